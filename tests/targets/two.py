# SPDX-License-Identifier: Apache-2.0
"""Two interpreters run in this process: its own, and that of another libpython.

    two.py ACCOUNT --home PREFIX --lib LIBPYTHON

The account's facts say where the _PyRuntime of each is.
"""
import ctypes
import os
import sys
import time

from common import Account, parse

DEEPBIND = 8  # the library's own symbols come before those of this interpreter


def runtime_of(library):
    return ctypes.addressof(ctypes.c_char.in_dll(library, "_PyRuntime"))


def main():
    path, options = parse({"home": "", "lib": ""})
    account = Account(path, threads=1)
    os.environ["PYTHONHOME"] = options["home"]
    other = ctypes.CDLL(options["lib"], mode=os.RTLD_NOW | os.RTLD_LOCAL | DEEPBIND)
    other.Py_InitializeEx(0)
    account.facts.update(own=runtime_of(ctypes.pythonapi), other=runtime_of(other),
                         own_version="%d.%d.%d" % sys.version_info[:3])
    account.will_block_in(["clock_nanosleep", "select", "pselect6"])
    for step in (account.record, time.sleep):
        step(100000)


if __name__ == "__main__":
    main()
