# SPDX-License-Identifier: Apache-2.0
"""Which C function implements which built-in, as ctypes finds it in the objects themselves.

    builtin_names.py ACCOUNT

`facts.functions`: [[address, owner, name], ...] of every method table entry that a function or method descriptor
reachable from sys.modules points to. The owner of a method is its type, of a function its module.
"""
from __future__ import print_function

import collections  # noqa: F401: more to find
import ctypes
import functools    # noqa: F401
import itertools    # noqa: F401
import re           # noqa: F401
import sys
import time

from common import Account, parse

WORD = ctypes.sizeof(ctypes.c_void_p)
HEADER = object.__basicsize__
FUNCTION = type(len)
DESCRIPTOR = type(list.sort)


def word(address):
    return ctypes.c_size_t.from_address(address).value


def implementation(method_def):
    """PyMethodDef: name, function."""
    return word(method_def + WORD)


def function_of(function):
    """PyCFunctionObject: header, m_ml."""
    return implementation(word(id(function) + HEADER))


def function_of_descriptor(descriptor):
    """PyMethodDescrObject: header, d_type, d_name, from 3.3 on d_qualname; then d_method."""
    return implementation(word(id(descriptor) + HEADER + (2 if sys.version_info[0] == 2 else 3) * WORD))


def types():
    seen, todo = set(), [object]
    while todo:
        now = todo.pop()
        if id(now) in seen:
            continue
        seen.add(id(now))
        yield now
        try:
            todo.extend(type.__subclasses__(now))
        except TypeError:
            pass  # type itself wants an argument


def functions():
    for owner in types():
        for name, value in list(vars(owner).items()):
            if type(value) is DESCRIPTOR and value.__objclass__ is owner:
                yield [function_of_descriptor(value), owner.__name__, name]
    for module in list(sys.modules.values()):
        for value in list(vars(module).values()) if type(module) is type(sys) else ():
            if type(value) is FUNCTION and isinstance(value.__module__, str):
                if value.__self__ is None or type(value.__self__) is type(sys):
                    yield [function_of(value), value.__module__, value.__name__]


def main():
    path, _options = parse({})
    account = Account(path)
    account.will_block_in(["clock_nanosleep", "select", "pselect6"])
    account.facts["functions"] = list(functions())
    account.record()
    time.sleep(1000)


main()
