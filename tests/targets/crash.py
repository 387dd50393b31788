# SPDX-License-Identifier: Apache-2.0
"""Dies when told to: READY, then a line on stdin, then the way to die under a known stack.

    crash.py ACCOUNT --how segv|abort|exit [--depth 5]

segv: ctypes.string_at(0); with -X faulthandler the signal is raised again from the signal stack.
The account's frames are those of the dying call.
"""
import os
import sys

from common import Account, parse


def die(how, step, arguments, account):
    account.record()
    sys.stdin.readline()
    step(*arguments)


def down(left, how, step, arguments, account):
    if left:
        return down(left - 1, how, step, arguments, account)
    return die(how, step, arguments, account)


class DyingAccount(Account):
    """The innermost frame goes on from where it recorded to the call that kills: it gets that call's line."""

    def publish(self, **facts):
        innermost = self.stacks[0]["frames"]
        del innermost[0]
        code = die.__code__
        unknown = dict.fromkeys(["end_line", "column", "end_column", "lasti"])
        innermost[0].update(unknown, line=code.co_firstlineno + 3)
        Account.publish(self, **facts)

    def record(self, *ignored):
        Account.record(self)


def segv():
    """A call that reads address 0; a build without libffi has no ctypes."""
    try:
        import ctypes
        return ctypes.string_at, (0,)
    except ImportError:
        import faulthandler
        return faulthandler._sigsegv, ()


def main():
    path, options = parse({"how": "segv", "depth": 5})
    how = options["how"]
    if how == "segv":
        step, arguments = segv()
    elif how == "abort":
        step, arguments = os.abort, ()
    else:
        step, arguments = os._exit, (3,)
    account = DyingAccount(path)
    down(options["depth"], how, step, arguments, account)


if __name__ == "__main__":
    main()
