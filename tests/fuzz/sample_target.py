# SPDX-License-Identifier: Apache-2.0
"""What tests/fuzz/sample.pyb is a recording of: generators, coroutines, closures, C between them, two threads.

    env -i PYTHONHASHSEED=0 LC_ALL=C.UTF-8 python3.11 -S -E tests/fuzz/sample_target.py &
    pybraid record -o tests/fuzz/sample.pyb PID
"""
import os
import threading
import time


class Box(object):
    def __init__(self, value):
        self.value, self.more = value, {1: 2, 'k': [1.5, (None, True)]}


def gen(n):
    box, text, number = Box(n), u'caf\u00e9 \u20ac', 10 ** 40
    pair, data, some = (1, -2), b'ab\x00', {1, 2}
    for item in range(n):
        yield down(3) if item == 2 else item


def down(left):
    return stop([left]) if left == 0 else down(left - 1)


def stop(cell):
    def inner():
        cell.append(1)
        os.write(1, b'R')
        while True:
            time.sleep(1000)

    return sorted([3], key=lambda x: inner())


class Waiter(object):
    async def step(self, n):
        return await self.step(n - 1) if n else time.sleep(1000)

    def go(self):
        self.step(4).send(None)


other = threading.Thread(target=Waiter().go, name='an other')
other.daemon = True
other.start()
list(gen(5))
