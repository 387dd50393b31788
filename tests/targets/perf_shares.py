# SPDX-License-Identifier: Apache-2.0
"""Burns CPU time in known functions, and says how much in each: perf_shares.py SECONDS. For Python 3.12 and later."""
import json
import sys
import threading
import time

SPENT = {}


def burn(seconds):
    end = time.thread_time() + seconds
    total = 0
    while time.thread_time() < end:
        for number in range(3000):
            total += number
    return total


def timed(name, work, seconds):
    begin = time.thread_time()
    work(seconds)
    SPENT[name] = SPENT.get(name, 0) + time.thread_time() - begin


def straight(seconds):
    burn(seconds)


class Shop:
    def by_price(self, seconds):
        burn(seconds)
        return seconds

    def through_sorted(self, seconds):
        sorted([seconds / 4] * 4, key=self.by_price)


def through_exec(seconds):
    exec(compile("burn(%r)" % seconds, "/no where/a;b(c).py", "exec"), {"burn": burn})


def in_thread(seconds):
    timed("in_thread", burn, seconds)


def main(seconds):
    timed("straight", straight, seconds)
    timed("through_sorted", Shop().through_sorted, 2 * seconds)
    timed("through_exec", through_exec, seconds)
    thread = threading.Thread(target=in_thread, args=(seconds,))
    thread.start()
    thread.join()
    json.dump(SPENT, sys.stdout)


main(float(sys.argv[1]))
