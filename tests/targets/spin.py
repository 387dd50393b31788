# SPDX-License-Identifier: Apache-2.0
"""Never stops: random chains of the hops of hops.py, to be stopped at any instruction.

    spin.py ACCOUNT [--seed 1] [--threads 0] [--only via_sorted,...]

facts: `signal`, a signal for which faulthandler.register(signal, file, all_threads=False) was called (null
without faulthandler), and `file`, where it writes. Queue it with tgkill before the stopped thread goes on:
the handler then runs at the very instruction where the thread stood and writes that thread's stack.
"""
from __future__ import print_function

import os
import random
import signal
import threading

import hops
from common import Account, big_stacks, native_id, parse

try:
    import faulthandler
except ImportError:
    faulthandler = None


def leaf_arithmetic(rng):
    total = 0
    for index in range(rng.randrange(30)):
        total += index * 3 % 7
    return total


def leaf_strings(rng):
    return "".join([chr(65 + index % 26) for index in range(rng.randrange(40))]).lower().split("m")


def leaf_generator(rng):
    return [item for item in (index * 2 for index in range(rng.randrange(20))) if item % 3]


def leaf_recursion(rng):
    return recurse(rng.randrange(12))


def recurse(left):
    return 0 if left == 0 else 1 + recurse(left - 1)


def leaf_exception(rng):
    try:
        {}[rng.random()]
    except KeyError as error:
        return str(error)


class Box(object):
    def __init__(self, value):
        self.value = value

    @property
    def doubled(self):
        return self.value * 2

    def __add__(self, other):
        return Box(self.value + other.value)

    def __lt__(self, other):
        return self.value < other.value


def leaf_objects(rng):
    boxes = [Box(rng.randrange(9)) for _ in range(5)]
    return sorted(boxes)[0].doubled + (boxes[0] + boxes[1]).value


LEAVES = [leaf_arithmetic, leaf_strings, leaf_generator, leaf_recursion, leaf_exception, leaf_objects]


class Walker(object):
    """Goes down a random chain, does something small at the bottom, comes back."""

    def __init__(self, seed, choices):
        self.rng = random.Random(seed)
        self.choices = choices
        self.left = 0

    def onward(self):
        if self.left:
            self.left -= 1
            return self.rng.choice(self.choices)(self.onward)
        return self.rng.choice(LEAVES)(self.rng)

    def forever(self):
        while True:
            self.left = self.rng.randrange(7)
            self.onward()


def main():
    path, options = parse({"seed": 1, "threads": 0, "only": "", "signal": int(signal.SIGUSR1)})
    folder = os.path.dirname(os.path.abspath(path))
    wanted = options["only"].split(",") if options["only"] else None
    choices = [hop for hop in hops.HOPS if wanted is None or hop.__name__ in wanted]
    big_stacks(16)
    hops.write_imported(folder)
    account = Account(path)
    if faulthandler is not None and hasattr(faulthandler, "register"):
        report = open(os.path.join(folder, "faulthandler.txt"), "wb")
        faulthandler.register(options["signal"], file=report, all_threads=False, chain=False)
        account.facts.update(signal=options["signal"], file=report.name)
    else:
        account.facts.update(signal=None, file=None)
    in_threads = [hop for hop in choices if hop is not hops.via_import]
    for index in range(options["threads"]):
        walker = Walker(options["seed"] + 1000 + index, in_threads)
        thread = threading.Thread(target=walker.forever, name="spin-%d" % index)
        thread.daemon = True
        thread.start()
    account.publish(hops=[hop.__name__ for hop in choices], missing=hops.MISSING, tid=native_id())
    Walker(options["seed"], choices).forever()


if __name__ == "__main__":
    main()
