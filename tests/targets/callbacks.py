# SPDX-License-Identifier: Apache-2.0
"""Python and C frames in an order known beforehand: every hop of hops.py once, nested, in two threads.

    callbacks.py ACCOUNT [--turns 1] [--only via_sorted,via_sub]

Each frame of the account has `via`: what must lie between it and its caller; null where Python calls Python.
`facts.hops` is the order (outermost first), `facts.missing` the hops this interpreter cannot do, and why.
"""
from __future__ import print_function

import os
import sys
import threading
import time

import hops
from common import Account, big_stacks, parse


class Chain(object):
    """What is still to be called; the last call blocks."""

    def __init__(self, account, steps, block, arguments, syscall):
        self.account = account
        self.steps = list(steps)
        self.block = block
        self.arguments = arguments
        self.syscall = syscall

    def onward(self):
        if self.steps:
            return self.steps.pop(0)(self.onward)
        return self.bottom()

    def bottom(self):
        self.account.will_block_in(self.syscall)
        for step in (self.account.record, self.block):
            step(*self.arguments)


class CallbackAccount(Account):
    """Adds `via` to each frame."""

    def record(self, *ignored):
        Account.record(self)

    def publish(self, **facts):
        for stack in self.stacks:
            # The walk began in `record`: that frame is not there when the call blocks.
            del stack["frames"][0]
            for frame in stack["frames"]:
                frame["via"] = hops.via_of(frame)
        Account.publish(self, **facts)


def main():
    path, options = parse({"turns": 1, "only": "", "threads": 1})
    wanted = options["only"].split(",") if options["only"] else None
    chosen = [hop for hop in hops.HOPS if wanted is None or hop.__name__ in wanted]
    sys.setrecursionlimit(100000)
    big_stacks(64)
    hops.write_imported(os.path.dirname(os.path.abspath(path)))
    account = CallbackAccount(path, threads=options["threads"] + 1)
    account.facts.update(hops=[hop.__name__ for hop in chosen] * options["turns"], missing=hops.MISSING)
    # The import lock is the threads' to share: only main imports.
    in_threads = [hop for hop in chosen if hop is not hops.via_import]
    for index in range(options["threads"]):
        reader = os.pipe()[0]
        chain = Chain(account, in_threads * options["turns"], os.read, (reader, 1), ["read"])
        thread = threading.Thread(target=chain.onward, name="callbacks-%d" % index)
        thread.daemon = True
        thread.start()
    sleep = ["clock_nanosleep", "select", "pselect6"]
    Chain(account, chosen * options["turns"], time.sleep, (100000,), sleep).onward()


if __name__ == "__main__":
    main()
