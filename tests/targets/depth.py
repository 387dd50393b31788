# -*- coding: utf-8 -*-
# SPDX-License-Identifier: Apache-2.0
"""N frames deep, in main and in named threads, each blocked in a native call it tells beforehand.

    depth.py ACCOUNT --depth 12 --threads 3 --thread-depth 12 --shape mixed|plain|async

`plain` is one function that calls itself; `mixed` goes through every shape a Python frame can have;
`async` is a chain of awaits (3.6+). The depth is the exact number of frames of that stack, threading's
own bootstrap frames excluded (facts.own_frames counts them from the innermost).
"""
from __future__ import print_function

import os
import sys
import threading
import time

from common import Account, big_stacks, parse

SYSCALLS = {"read": ["read"], "sleep": ["clock_nanosleep", "select", "pselect6"], "lock": ["futex"]}


class Waiter(object):
    """The blocking call of one thread."""

    def __init__(self, account, kind):
        self.kind = kind
        self.account = account
        self.pipe = os.pipe()
        self.lock = threading.Lock()
        self.lock.acquire()

    def call(self):
        self.account.will_block_in(SYSCALLS[self.kind])
        if self.kind == "read":
            return os.read, (self.pipe[0], 1)
        if self.kind == "sleep":
            return time.sleep, (100000,)
        return self.lock.acquire, ()


def bottom(waiter):
    block, arguments = waiter.call()
    for step in (waiter.account.record, block):
        step(*arguments)


def plain(depth, waiter):
    if depth == 2:
        return bottom(waiter)
    return plain(depth - 1, waiter)


# Each shape takes the number of frames that are still to be made, uses some of them, and goes on.

def shape_multiline(depth, waiter):
    return descend(
        depth
        - 1,
        waiter=
        waiter)


def shape_comprehension(depth, waiter):
    # The comprehension has a frame of its own up to 3.11; afterwards it is inlined.
    own = 1 if sys.version_info < (3, 12) and sys.version_info >= (3,) else 0
    return [descend(depth - 1 - own, waiter) for _ in (0,)]


def shape_genexpr(depth, waiter):
    return sum(descend(depth - 2, waiter) or 0
               for _ in (0,))


def shape_lambda(depth, waiter):
    return (lambda left: descend(left, waiter))(depth - 2)


def shape_generator(depth, waiter):
    def produce(left):
        yield 0
        yield descend(left, waiter)
    result = None
    for result in produce(depth - 2):
        pass
    return result


def shape_class_body(depth, waiter):
    class Body(object):
        made_in_the_body = descend(depth - 2, waiter)
    return Body


def shape_nested(depth, waiter):
    captured = depth - 3

    def outer():
        def inner():
            return descend(captured, waiter)
        return inner()
    return outer()


def decorate(function):
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper


@decorate
def decorated(depth, waiter):
    return descend(depth, waiter)


def shape_decorated(depth, waiter):
    return decorated(depth - 3, waiter)


class Holder(object):
    @staticmethod
    def static(depth, waiter):
        return descend(depth - 1, waiter)

    @property
    def prop(self):
        return descend(self.left, self.waiter)


def shape_static(depth, waiter):
    return Holder.static(depth - 1, waiter)


def shape_property(depth, waiter):
    holder = Holder()
    holder.left, holder.waiter = depth - 2, waiter
    return holder.prop


def shape_try_with(depth, waiter):
    try:
        with Null() as null:
            return null.same(
                descend(depth - 1, waiter))
    finally:
        depth = None


class Null(object):
    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return False

    def same(self, value):
        return value


def named_in(letters, filename):
    """A function whose name and file are made of `letters`, as exec of generated code makes it."""
    name = u"f_" + letters if sys.version_info >= (3,) else u"f_ascii"
    source = u"# -*- coding: utf-8 -*-\ndef %s(depth, waiter):\n    text = u'%s'; " % (name, letters)
    source += u"return descend(depth - 1, waiter)\n"
    space = {"descend": lambda depth, waiter: descend(depth - 1, waiter)}
    if sys.version_info < (3,):
        source, name, filename = source.encode("utf-8"), str(name), filename.encode("utf-8")
    exec(compile(source, filename, "exec"), space)
    return space[name]


LATIN1 = named_in(u"\u00e9t\u00e9_\u00ff", u"/tmp/\u00e9t\u00e9 \u00ff.py")
UCS2 = named_in(u"\u0444\u0443\u043d\u043a_\u6f22\u5b57", u"/tmp/\u6f22\u5b57.py")
UCS4 = named_in(u"\U00010400\U00020000", u"/tmp/\U0001f40d snake.py")
LONG = named_in(u"x" * 300, u"/tmp/" + u"d" * 200 + u"/" + u"f" * 100 + u".py")
CONTROL = named_in(u"esc", u"/tmp/\x1b[31mred\x07\ttab\nnewline.py")

MIXED = [
    shape_multiline, shape_comprehension, LATIN1, shape_genexpr, shape_lambda, UCS2, shape_generator,
    shape_class_body, UCS4, shape_nested, shape_decorated, LONG, shape_static, shape_property, CONTROL,
    shape_try_with,
]
MOST = 6  # frames that one shape uses at the most, descend included


def descend(depth, waiter):
    """Makes `depth` more frames, this one included; at least 3."""
    if depth <= MOST:
        return plain(depth - 1, waiter)
    shape = MIXED[waiter.turn % len(MIXED)]
    waiter.turn += 1
    return shape(depth - 1, waiter)


def go(depth, waiter, shape):
    """Makes exactly `depth` frames, this one included."""
    if depth == 1:
        block, arguments = waiter.call()
        for step in (waiter.account.record, block):
            step(*arguments)
    elif depth == 2:
        bottom(waiter)
    elif shape == "async":
        import depth_async
        depth_async.run(depth - 1, waiter)
    elif shape == "plain" or depth < 8:
        plain(depth - 1, waiter)
    else:
        waiter.turn = 0
        descend(depth - 1, waiter)


def main():
    path, options = parse({"depth": 12, "threads": 3, "thread_depth": 12, "shape": "mixed", "lock": "read",
                           "ballast": 0})
    depth, threads, shape = options["depth"], options["threads"], options["shape"]
    sys.setrecursionlimit(max(depth, options["thread_depth"]) * 2 + 1000)
    big_stacks(16 if options["thread_depth"] <= 1000 else 1024)
    account = Account(path, threads=threads + 1)
    account.facts.update(depth=depth, thread_depth=options["thread_depth"], shape=shape)
    ballast = b"\1" * (options["ballast"] << 20)  # MB of memory that a core has to hold
    kinds = ["read", "sleep", "lock"]
    names = [u"plain-%d", u"\u00e9t\u00e9-%d", u"\u6f22\u5b57-%d", u"\U0001f40d-%d", u"two words %d"]
    for index in range(threads):
        name = names[index % len(names)] % index
        if sys.version_info < (3,):
            name = name.encode("utf-8")
        waiter = Waiter(account, kinds[index % 3])
        thread = threading.Thread(target=go, name=name, args=(options["thread_depth"], waiter, shape))
        thread.daemon = True
        thread.start()
    go(depth, Waiter(account, options["lock"]), shape)
    del ballast


if __name__ == "__main__":
    main()
