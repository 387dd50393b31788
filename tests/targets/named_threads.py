# SPDX-License-Identifier: Apache-2.0
"""Threads with all kinds of names, and a subinterpreter where the version has one; all of them block in read().

    named_threads.py ACCOUNT.json [--threads 5] [--spin 0] [--subinterpreter 0] [--collect 0]

--spin N: so many more threads, "spinner", that run Python all the time. --collect 1: the main
thread collects garbage all the time instead of blocking. The account's fact "subinterpreter": its id and
the ident of the thread that is in it, or null.
"""
import gc
import os
import sys
import threading

from common import Account, parse

NAMES = ["plain", "with space", "tab\there", "0", "x" * 300]
if sys.version_info[0] >= 3:
    NAMES += ["caf\u00e9", "\u0442\u0435\u043a\u0441\u0442", "\u65e5\u672c", "\U0001f40d snake"]


def new_interpreter():
    """(id, run) of a new subinterpreter; None where there is no way to make one. Up to 3.12 its thread state is its maker's."""
    try:
        import _interpreters as module
    except ImportError:
        try:
            import _xxsubinterpreters as module
        except ImportError:
            return None
    made = module.create()
    return int(made), lambda source: module.run_string(made, source)


def block(account, fd):
    account.will_block_in(["read"])
    account.record()
    os.read(fd, 1)


def spin(account):
    account.record()
    while True:
        pass


class Node(object):
    pass


def collect(account):
    keep = []
    for _ in range(100000):
        node = Node()
        node.itself = [node]
        keep.append(node)
    account.record()
    while keep:
        gc.collect()


def occupy(facts, fd, entered):
    made = new_interpreter()
    if made is None:
        os.write(entered, b"x")
        return
    facts["subinterpreter"] = {"id": made[0], "ident": threading.current_thread().ident}
    made[1]("import os, threading\nos.write(%d, b'x')\nos.read(%d, 1)" % (entered, fd))


def main():
    path, options = parse({"threads": 5, "spin": 0, "subinterpreter": 0, "collect": 0})
    fd, _ = os.pipe()
    account = Account(path, threads=1 + options["threads"] + options["spin"])
    account.facts["subinterpreter"] = None
    if options["subinterpreter"]:
        watch, entered = os.pipe()
        thread = threading.Thread(target=occupy, args=(account.facts, fd, entered), name="occupied")
        thread.daemon = True
        thread.start()
        os.read(watch, 1)
    for i in range(options["threads"]):
        name = NAMES[i] if i < len(NAMES) else "worker-%d" % i
        thread = threading.Thread(target=block, args=(account, fd), name=name)
        thread.daemon = True
        thread.start()
    for i in range(options["spin"]):
        thread = threading.Thread(target=spin, args=(account,), name="spinner")
        thread.daemon = True
        thread.start()
    if options["collect"]:
        collect(account)
    block(account, fd)


if __name__ == "__main__":
    main()
