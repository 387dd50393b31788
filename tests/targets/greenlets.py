# SPDX-License-Identifier: Apache-2.0
"""Three greenlets that take turns on one thread; the account is of the moment at which one of them blocks.

    greenlets.py ACCOUNT [--rounds 50] [--current 1]

`threads[0].frames` are those of the running greenlet only: those of the others are not on any C stack, and
facts.others lists names that must not appear. facts.absent says why when greenlet is not installed.
"""
import os

from common import Account, parse

try:
    import greenlet
except ImportError as error:
    greenlet = None
    REASON = str(error)


class Ring(object):
    def __init__(self, rounds, current, account):
        self.rounds = rounds
        self.current = current
        self.account = account
        self.turn = 0
        self.members = [greenlet.greenlet(body) for body in (body_red, body_green, body_blue)]

    def switch(self):
        """Gives the next one its turn; the chosen one blocks in the last round."""
        self.turn += 1
        self.members[self.turn % 3].switch(self)

    def last_round(self, index):
        return self.turn >= self.rounds * 3 and index == self.current


def block(ring):
    reader = os.pipe()[0]
    ring.account.will_block_in(["read"])
    for step in (ring.account.record, os.read):
        step(reader, 1)


def red_deep(ring, left):
    return red_deep(ring, left - 1) if left else ring.switch()


def body_red(ring):
    while True:
        if ring.last_round(0):
            sorted([1], key=lambda item: block(ring))
        red_deep(ring, 5)


def green_key(ring):
    def key(item):
        if ring.last_round(1):
            block(ring)
        ring.switch()
        return item
    return key


def body_green(ring):
    while True:
        # Switches away from under a C function: its native frames are saved with the greenlet.
        sorted([1, 2], key=green_key(ring))


def blue_generator(ring):
    while True:
        if ring.last_round(2):
            block(ring)
        ring.switch()
        yield 1


def body_blue(ring):
    for _ in blue_generator(ring):
        pass


def main():
    path, options = parse({"rounds": 50, "current": 1})
    account = Account(path)
    if greenlet is None:
        account.publish(absent="greenlet: %s" % REASON)
        return os.read(os.pipe()[0], 1)
    names = [["body_red", "red_deep"], ["body_green", "key"], ["body_blue", "blue_generator"]]
    others = [name for index, group in enumerate(names) if index != options["current"] for name in group]
    account.facts.update(others=others, current=names[options["current"]], greenlet=greenlet.__version__)
    ring = Ring(options["rounds"], options["current"], account)
    ring.members[0].switch(ring)


if __name__ == "__main__":
    main()
