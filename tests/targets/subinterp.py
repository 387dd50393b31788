# SPDX-License-Identifier: Apache-2.0
"""A subinterpreter run on the main thread: one OS thread, two thread states, frames of both on its C stack.

    subinterp.py ACCOUNT

The outer interpreter goes two frames down, runs code in the inner one, which goes three frames down and
blocks. Each tells its own part: `threads[0].frames` has the inner's frames, then the outer's, and each frame
says its `interpreter` (0 is the main one). facts.absent says why where this version cannot do it.
"""
import functools
import json
import os
import sys
import textwrap

from common import Account, native_id, parse, walk

INNER = r"""
import sys
sys.path[:] = {path!r}
import json, os
import common

def inner_bottom(fd, step_list):
    for step in step_list:
        step(fd, 1)

def inner_middle(fd, step_list):
    return inner_bottom(
        fd, step_list)

def inner_top(fd, step_list):
    return inner_middle(fd, step_list)

def record(*ignored):
    with open({inner_account!r}, "w") as stream:
        json.dump(common.walk(sys._getframe(1)), stream)

def publish(*ignored):
    # The outer interpreter cannot speak while the inner one runs: this one joins both accounts.
    with open({inner_account!r}) as stream:
        inner = json.load(stream)
    with open({outer_account!r}) as stream:
        document = json.load(stream)
    for frame in inner:
        frame["interpreter"] = {inner_id!r}
    document["threads"][0]["frames"] = inner + document["threads"][0]["frames"]
    with open({account!r} + ".part", "w") as stream:
        json.dump(document, stream)
    os.rename({account!r} + ".part", {account!r})
    common.ready()

inner_top({fd}, [record, publish, os.read])
"""


class Runner(object):
    """The way this version makes a subinterpreter and runs text in it on the calling thread."""

    def __init__(self):
        self.id = None
        self.reason = None
        self.function = self.find()

    def find(self):
        for name in ("_interpreters", "_xxsubinterpreters"):
            try:
                module = __import__(name)
            except ImportError as error:
                self.reason = str(error)
                continue
            try:
                # With the main interpreter's GIL where that can be chosen, so that all imports work.
                made = module.create("legacy") if name == "_interpreters" else module.create()
            except TypeError:
                made = module.create()
            self.id = int(made)
            run = getattr(module, "run_string", None) or getattr(module, "exec")
            return functools.partial(run, made)  # no Python frame of its own
        for name in ("_testcapi", "pybtest"):
            function = getattr(optional(name), "run_in_subinterp", None)
            if function:
                self.id = -1
                return function
        self.reason = "no _interpreters, _xxsubinterpreters, _testcapi or pybtest: %s" % self.reason
        return None


def optional(name):
    try:
        return __import__(name)
    except ImportError:
        return None


def outer_call(run, text, account):
    # The steps are one call site: what is recorded is where it stands while the inner interpreter runs.
    result = None
    for step in (account.record_outer, run):
        result = step(text)
    return result


def outer_top(run, text, account):
    return outer_call(run, text, account)


class OuterAccount(Account):
    def record_outer(self, *ignored):
        tid = native_id()
        frames = walk(sys._getframe(1))
        for frame in frames:
            frame["interpreter"] = 0
        document = {
            "pid": os.getpid(), "version": list(sys.version_info[:3]), "executable": sys.executable,
            "facts": self.facts,
            "threads": [{"tid": tid, "name": "MainThread", "ident": None, "main": True, "syscall": ["read"],
                         "frames": frames}],
        }
        with open(self.path + ".outer", "w") as stream:
            json.dump(document, stream)


def main():
    path, _ = parse({})
    path = os.path.abspath(path)
    account = OuterAccount(path)
    runner = Runner()
    if runner.function is None:
        account.facts["absent"] = runner.reason
        account.publish()
        return os.read(os.pipe()[0], 1)
    reader = os.pipe()[0]
    account.facts["inner_id"] = runner.id
    text = textwrap.dedent(INNER).format(path=sys.path, account=path, inner_account=path + ".inner",
                                         outer_account=path + ".outer", fd=reader, inner_id=runner.id)
    error = outer_top(runner.function, text, account)
    raise SystemExit("the subinterpreter came back: %s" % (error,))


if __name__ == "__main__":
    main()
