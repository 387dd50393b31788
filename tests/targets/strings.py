# -*- coding: utf-8 -*-
# SPDX-License-Identifier: Apache-2.0
"""str objects of every form this version has; facts.strings: [[address, text, form], ...].

text is what UTF-8 with backslashreplace makes of it. Without ctypes there are no strings that are not ready.
"""
from __future__ import print_function

import sys
import time

from common import Account, parse

PYTHON3 = sys.version_info >= (3,)


class Sub(str):
    """Instances are not compact: the characters lie elsewhere."""


def made():
    """(object, form) of those that the language can make."""
    yield u"plain", "ascii"
    yield u"", "empty"
    yield u"caf\xe9", "latin-1"
    yield u"\u6f22\u5b57", "ucs-2"
    yield u"\U0001f40d x", "ucs-4"
    yield u"\u0444" * 3000, "long ucs-2"
    yield u"a" * 5000, "long ascii"
    if PYTHON3:
        yield u"\udc80z", "lone surrogate"
        yield u"\ud83d\udc0d", "two surrogates"
        for text in (u"sub", u"sub\xe9", u"sub\u6f22", u"sub\U0001f40d"):
            yield Sub(text), "subclass"
    else:
        yield "bytes", "2.7 str"
        yield "caf\xc3\xa9", "2.7 str of UTF-8"
        yield "bad\xff", "2.7 str of other bytes"


def not_ready():
    """(address, text) of strings that are wchar_t characters only (3.3 to 3.11). Nobody must look at them."""
    if not (3, 3) <= sys.version_info < (3, 12):
        return
    try:
        import ctypes
    except ImportError:
        return
    new, characters = ctypes.pythonapi.PyUnicode_FromUnicode, ctypes.pythonapi.PyUnicode_AsUnicode
    new.restype = characters.restype = ctypes.c_void_p
    new.argtypes, characters.argtypes = [ctypes.c_void_p, ctypes.c_ssize_t], [ctypes.c_void_p]
    for text in (u"notready", u"nr\xe9", u"nr\u6f22\U0001f40d"):
        address = new(None, len(text))
        source = ctypes.create_unicode_buffer(text)
        ctypes.memmove(characters(address), source, len(text) * ctypes.sizeof(ctypes.c_wchar))
        yield address, text


def expected(value):
    if PYTHON3:
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, str):
        return "".join(c if ord(c) < 128 else "\\x%02x" % ord(c) for c in value) if "bad" in value else value
    return value


def main():
    path, _ = parse({})
    keep = list(made())
    rows = [[id(value), expected(value), form] for value, form in keep]
    rows += [[address, text, "not ready"] for address, text in not_ready()]
    Account(path).publish(strings=rows)
    time.sleep(100000)
    print(keep)


if __name__ == "__main__":
    main()
