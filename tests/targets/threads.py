# SPDX-License-Identifier: Apache-2.0
"""Threads in the states that are hard to read.

    threads.py ACCOUNT --mode gil|fork|shutdown|churn

gil       one thread holds the GIL in C (a long native call that does not let go), others wait for it
fork      READY comes from a forked child, whose parent had three more threads: their states are dead
shutdown  main is in threading._shutdown, waiting for a thread that sleeps
churn     threads are made and end all the time
"""
import os
import sys
import threading
import time

from common import Account, native_id, parse


def sleeper(account, kind):
    account.will_block_in(["clock_nanosleep", "select", "pselect6"])
    for step in (account.record, time.sleep):
        step(100000)


def start(function, name, arguments, daemon=True):
    thread = threading.Thread(target=function, name=name, args=arguments)
    thread.daemon = daemon
    thread.start()
    return thread


def hold_the_gil(account):
    """A regular expression that backtracks for hours, in C, without letting the GIL go."""
    import re
    pattern, text = re.compile("(a|aa)+$"), "a" * 200 + "b"
    account.will_block_in([])
    for step in (account.record, pattern.match):
        step(text)


def gil(account):
    """The account is written before the GIL is taken for good: nobody could speak afterwards."""
    for index in range(2):
        start(sleeper, "sleeper-%d" % index, (account, "sleep"))
    start(spin, "waits-for-gil", (account,))
    wait_for(lambda: len(account.stacks) == 3)
    # The waiter goes on after its record: of its innermost frame only the name is known.
    account.facts.update(holder=native_id(), waiter="waits-for-gil")
    hold_the_gil(account)


def spin(account):
    account.record()
    while True:
        pass


def wait_for(condition):
    while not condition():
        time.sleep(0.002)


def fork(path):
    before = Account(path + ".parent", threads=4)
    for index in range(3):
        start(sleeper, "dead-in-the-child-%d" % index, (before, "sleep"))
    wait_for(lambda: len(before.stacks) == 3)
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        os._exit(status >> 8)
    account = Account(path, threads=1)
    account.facts.update(parent=os.getppid(), dead=3)
    reader = os.pipe()[0]
    account.will_block_in(["read"])
    for step in (account.record, os.read):
        step(reader, 1)


def last_words(account, main_ident):
    """A thread that is not a daemon: main waits for it in threading._shutdown."""
    names = []
    while not {"_shutdown", "_exitfunc"} & set(names):
        time.sleep(0.002)
        # 3.x ends here only after main's module is done: its frames are threading's alone.
        frame, names = sys._current_frames().get(main_ident), []
        while frame is not None:
            names.append(frame.f_code.co_name)
            frame = frame.f_back
    account.facts["main_names"] = names
    account.will_block_in(["clock_nanosleep", "select", "pselect6"])
    for step in (account.record, time.sleep):
        step(100000)


def churn(path):
    account = Account(path)
    account.publish(mode="churn")
    while True:
        started = [start(time.sleep, "churn-%d" % index, (0.0005 * index,)) for index in range(8)]
        for thread in started:
            thread.join()


def main():
    path, options = parse({"mode": "gil"})
    mode = options["mode"]
    if mode == "gil":
        gil(Account(path, threads=4))
    elif mode == "fork":
        fork(path)
    elif mode == "shutdown":
        start(last_words, "last-words", (Account(path), threading.current_thread().ident), daemon=False)
    elif mode == "churn":
        churn(path)
    else:
        raise SystemExit("unknown mode %r" % mode)


if __name__ == "__main__":
    main()
