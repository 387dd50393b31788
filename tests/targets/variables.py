# SPDX-License-Identifier: Apache-2.0
"""Frames with every kind of variable, standing still; the account has, for each frame, what its f_locals say.

    variables.py ACCOUNT.json

facts: "frames": innermost first {"func", "locals": {name: repr}, "ids": {name: id}, "args": [names],
"cells": [names]}; "addresses": of some globals and builtins. Values whose repr is not ours to match are left
out of "locals" and are in "ids".
"""
import os
import sys

from common import Account, as_text, parse

TWO = sys.version_info[0] == 2
GLOBAL = ["a global"]
shadowed = "global"
NAMES = {}  # of the code that executed() executes


class Instance(object):
    def __init__(self):
        self.first = 1
        self.second = [2, "x"]


class Slotted(object):
    __slots__ = ("only",)


def plain_repr(value):
    """repr() where it is one of those that have to be equal, else None."""
    if isinstance(value, (list, tuple)) and not all(plain_repr(v) is not None for v in value):
        return None
    if isinstance(value, dict) and not all(plain_repr(v) is not None for v in value.values()):
        return None
    ours = (int, float, complex, bytes, bytearray, str, list, tuple, dict, set, frozenset, type(None), type,
            type(len), type(plain_repr), type(sys))
    if not isinstance(value, ours):
        return None
    text = repr(value)
    return None if " object at 0x" in text else as_text(text)


def describe(frame):
    code = frame.f_code
    n_args = code.co_argcount + getattr(code, "co_kwonlyargcount", 0)
    n_args += bool(code.co_flags & 4) + bool(code.co_flags & 8)
    space = dict(frame.f_locals) if frame.f_locals is not frame.f_globals else {}
    if "extra" in frame.f_globals and code.co_name == "<module>":
        # From 3.13 on f_locals is only the comprehension's part while one is running there.
        space = dict(NAMES, **space)
    return {
        "func": as_text(code.co_name),
        "locals": dict((as_text(k), plain_repr(v)) for k, v in space.items() if plain_repr(v) is not None),
        "ids": dict((as_text(k), "0x%x" % (id(v) & (2 ** 64 - 1))) for k, v in space.items()),
        "args": [as_text(n) for n in code.co_varnames[:n_args]],
        "cells": [as_text(n) for n in code.co_cellvars + code.co_freevars],
        "names": [as_text(n) for n in code.co_varnames + code.co_cellvars + code.co_freevars],
        "optimized": bool(code.co_flags & 1),
    }


class Told(Account):
    def record(self, *ignored):
        frame, frames = sys._getframe(1), []
        while frame is not None:
            frames.append(describe(frame))
            frame = frame.f_back
        # The loop's variable is the blocking call by the time it is observed.
        frames[0]["ids"]["step"] = "0x%x" % (id(os.read) & (2 ** 64 - 1))
        frames[0]["locals"]["step"] = as_text(repr(os.read))
        self.facts["frames"] = frames
        return Account.record(self, *ignored)


def wait(account):
    account.will_block_in(["read"])
    for step in (account.record, os.read):
        step(0, 1)


def plain(account, b, c=3, *rest, **keywords):
    number, text, nothing = 2 ** 70, u"caf\u00e9 '", None
    items = [1, {"k": (2.5, b"x")}]
    if not items:
        never = 1
    deleted = 5
    del deleted
    for loop in range(2):
        pass
    wait(account)
    return never, number, text, nothing, rest, keywords, loop, b, c


def closures(account, argument_cell, other):
    local_cell = [argument_cell]
    shadowed = "local"

    def inner(account):
        own = "own"
        if argument_cell is None:
            return unset, own
        plain(account, 1, 2, 3, 4, z=5)
        return local_cell, argument_cell, own
    inner(account)
    unset = 1
    return shadowed, other, unset


def generator(account, start):
    total = start
    closures(account, (1, 2), "other")
    yield total


def class_body(account):
    seen = "function"

    class Body(object):
        attribute = 1
        name = "Body"
        if True:
            in_body = list(generator(account, 7))
        after = seen
    return Body


def comprehension(account):
    outer = 9
    return [class_body(account) for item in (5,) if outer + item]


def instances(account):
    made, slotted, function, builtin, module, kind = Instance(), Slotted(), plain, len, os, dict
    slotted.only = 1
    comprehension(account)
    return builtin, module, kind


def executed(account):
    space = {"account": account, "instances": instances, "extra": 5}
    NAMES["here"] = 1
    exec("there = 2\n[instances(account) for hidden in (4,)]", space, NAMES)


SOURCE = """
def keyword_only(account, one, *, two=2, three):
    executed(account)
def positional(account, one, two=2):
    keyword_only(account, one, three="3")
"""


def main():
    path, _ = parse({})
    account = Told(path)
    account.facts["addresses"] = {"GLOBAL": "0x%x" % (id(GLOBAL) & (2 ** 64 - 1)),
                                  "len": "0x%x" % (id(len) & (2 ** 64 - 1)),
                                  "shadowed": "0x%x" % (id(shadowed) & (2 ** 64 - 1))}
    if TWO:
        executed(account)
    else:
        space = {"executed": executed}
        source = SOURCE
        if sys.version_info >= (3, 8):
            source = source.replace("account, one, two=2)", "account, one, /, two=2)")
        exec(source, space)
        space["positional"](account, 1)


if __name__ == "__main__":
    main()
