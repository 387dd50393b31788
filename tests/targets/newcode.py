# SPDX-License-Identifier: Apache-2.0
"""Runs code that was made a moment ago, for each line on stdin other code, much of it where earlier code was.

    newcode.py ACCOUNT [--size 4000]

For line N it compiles a function named call_N_xx...x, of `size` characters, writes "N" to stdout and calls it;
the function waits for the next line. What was made before it has been freed by then.
"""
import os
import sys

from common import Account, parse

SOURCE = """
def %(name)s():
    %(blank)s
    return read(0, 1)
"""


def make(number, size):
    name = ("call_%d_" % number).ljust(size, "x")
    space = {"read": os.read}
    blank = "\n    ".join(["pass"] * (number % 7 + 1))
    exec(compile(SOURCE % {"name": name, "blank": blank}, "/made/file_%d.py" % (number % 5), "exec"), space)
    return space[name]


def main():
    path, options = parse({"size": 4000})
    account = Account(path, threads=1)
    account.will_block_in(["read"])
    for step in (account.record, os.read):
        step(0, 1)
    number = 0
    while True:
        number += 1
        call = make(number, options["size"])
        os.write(1, ("%d\n" % number).encode("ascii"))
        call()
        del call


if __name__ == "__main__":
    main()
