# SPDX-License-Identifier: Apache-2.0
"""Threads that never stand still, threads that sleep, and a log of signals.

    busy.py ACCOUNT [--running 2] [--sleeping 2] [--signals LIBRARY]

ACCOUNT.counts: one 64-bit counter for each running thread (in work(), called by running()), counted up in shared memory.
ACCOUNT.signals: with LIBRARY (odd/serials.c), the serial numbers of the queued real-time signals in the order in which they came.
A line on stdin: "exit" ends it, "exec" makes it another program (sleep), "abort" dumps core; ACCOUNT is no JSON here, it only names files.
"""
import ctypes
import mmap
import os
import struct
import sys
import threading
import time

from common import Account, parse


def work(counts, at):
    number = 0
    while True:
        number += 1
        struct.pack_into("Q", counts, at, number)


def running(counts, at):
    work(counts, at)


def sleeping():
    time.sleep(100000)


def start(function, *arguments):
    thread = threading.Thread(target=function, args=arguments)
    thread.daemon = True
    thread.start()


def listen():
    """The main thread; it ends the process in the way that it is told."""
    line = sys.stdin.readline().strip()
    if line == "exec":
        os.execv("/bin/sleep", ["sleep", "1000"])
    if line == "abort":
        os.abort()
    os._exit(0)


def main():
    path, options = parse({"running": 2, "sleeping": 2, "signals": ""})
    with open(path + ".counts", "w+b") as stream:
        stream.truncate(4096)
        counts = mmap.mmap(stream.fileno(), 4096)
    if options["signals"]:
        library = ctypes.CDLL(options["signals"])
        if library.log_serials((path + ".signals").encode()) != 0:
            raise SystemExit("no log of signals")
    for _ in range(options["sleeping"]):
        start(sleeping)
    for index in range(options["running"]):
        start(running, counts, 8 * index)
    Account(path, threads=0).publish()
    listen()


if __name__ == "__main__":
    main()
