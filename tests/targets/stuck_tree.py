# SPDX-License-Identifier: Apache-2.0
"""A tree of processes that never ends: stuck_tree.py ACCOUNT [name of a thread].

    first process    main() -> wait_for_ever(), blocked in read; one thread in work(), never still; one in nap(), asleep most of the time
    a child          `sleep`, no Python
    a daemon         of a fork, setsid, fork: daemon() -> wait_in_daemon(), blocked in read

ACCOUNT.main, ACCOUNT.daemon and ACCOUNT.sleep hold their pids once each is where it will stay.
"""
import os
import subprocess
import sys
import threading
import time

PIPE = os.pipe()


def tell(role, pid):
    with open("%s.new" % sys.argv[1], "w") as stream:
        stream.write("%d" % pid)
    os.rename("%s.new" % sys.argv[1], "%s.%s" % (sys.argv[1], role))


def wait_for_ever():
    os.read(PIPE[0], 1)


def wait_in_daemon():
    os.read(PIPE[0], 1)


def work(n):
    return sum(i * i for i in range(n))


def never_still():
    n = 0
    while True:
        n = (n + 7) % 1000
        work(n)


def nap():
    time.sleep(0.02)


def often_asleep():
    while True:
        nap()


def daemon():
    tell("daemon", os.getpid())
    wait_in_daemon()


def main():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            daemon()
        os._exit(0)
    os.wait()
    for function in (never_still, often_asleep):
        thread = threading.Thread(target=function, name=sys.argv[2] if len(sys.argv) > 2 else function.__name__)
        thread.daemon = True
        thread.start()
    tell("sleep", subprocess.Popen(["sleep", "1000"]).pid)
    tell("main", os.getpid())
    wait_for_ever()


main()
