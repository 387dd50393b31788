# -*- coding: utf-8 -*-
# SPDX-License-Identifier: Apache-2.0
"""Frames whose locals are values of every builtin type, and what repr() says of each.

    values.py ACCOUNT                            one of each kind, in the frame `hold_known`
    values.py ACCOUNT --random 1000 --seed 7     random values of the builtin types, 50 to a frame (`hold`)

facts.frames: innermost first, a row for each such frame: {"name", "locals": [{"name", "repr", "type", "id"}]}.
"""
from __future__ import print_function

import array
import collections
import datetime
import decimal
import functools
import os
import random
import sys

from common import Account, as_text, parse

PY2 = sys.version_info < (3,)
PER_FRAME = 50
integer = long if PY2 else int  # noqa: F821
character = chr

Point = collections.namedtuple("Point", "x y")


class Plain(object):
    def __init__(self, a, b):
        self.a = a
        self.b = b

    def method(self):
        return self.a


class Slots(object):
    __slots__ = ("left", "right", "unset")

    def __init__(self):
        self.left, self.right = 1, [2]


class OwnRepr(object):
    def __repr__(self):
        return "own repr: must not be run by an observer"


class IntSubclass(int):
    pass


class DictSubclass(dict):
    pass


class Managed(object):
    """Many attributes, added late and deleted: the dict leaves its inline or split form."""

    def __init__(self):
        for index in range(40):
            setattr(self, "field%d" % index, index)
        del self.field3


def known_values():
    """Name to value; every kind the repr has to know."""
    values = collections.OrderedDict()
    values.update(a_none=None, a_true=True, a_false=False, an_ellipsis=Ellipsis)
    values["a_notimplemented"] = NotImplemented
    for index, number in enumerate([0, 1, -1, 255, 256, -6, 2**15, 2**30 - 1, 2**30, -2**30, 2**31, 2**60 - 1,
                                    2**60, -2**63, 2**64, 10**50, -10**200, 3**700]):
        values["int_%d" % index] = number
        values["long_%d" % index] = integer(number)
    floats = [0.0, -0.0, 0.1, 1.0, -1.5, 1e15, 1e16, 1e22, 1e23, 123456789.123456789, 5e-324,
              1.7976931348623157e308, float("inf"), float("-inf"), float("nan"), 1e-5, 0.0001, 2.5e-7, 1/3.0]
    for index, number in enumerate(floats):
        values["float_%d" % index] = number
        values["complex_%d" % index] = complex(number, -number)
    values.update(complex_a=complex(0, 1), complex_b=complex(-0.0, 2), complex_c=complex(1, float("nan")))
    texts = [u"", u"plain", u"quote'", u'double"', u"both'\"", u"line\n\ttab\r\\", u"\x00\x01\x7f\x80\xa0\xad\xff",
             u"\u0100\u2028\u200b\ufeff\uffff", u"\U0001f40d\U00010ffff", u"\ud800 lone \udfff", u"e\u0301",
             u"\u0378\u0600\ue000\u3000", u"x" * 5000]
    for index, text in enumerate(texts):
        values["text_%d" % index] = text
        values["bytes_%d" % index] = text.encode("utf-8", "replace" if PY2 else "backslashreplace")
        values["bytearray_%d" % index] = bytearray(values["bytes_%d" % index])
    values["bytes_all"] = bytes(bytearray(range(256)))
    values.update(tuple_0=(), tuple_1=(1,), tuple_2=(1, (2, [3])), list_0=[], list_1=[1, "two", None],
                  dict_0={}, dict_1={"a": 1, 2: [3], None: {}}, set_0=set(), set_1={1}, set_2={1, "a", (2,)},
                  frozenset_0=frozenset(), frozenset_1=frozenset([1, "b"]),
                  range_0=range(3), slice_0=slice(1, None, -2))
    if not PY2:
        values.update(range_1=range(5, 100, 7), range_2=range(-(2**70), 2**70, 2**66))
    deleted = {index: str(index) for index in range(20)}
    for index in range(0, 20, 3):
        del deleted[index]
    values["dict_deleted"] = deleted
    values["dict_big"] = {"key%d" % index: index for index in range(300)}
    values["set_big"] = set(range(0, 3000, 7))
    values.update(self_list=[1], self_dict={}, self_tuple=([],), list_deep=[[[[[[[[[[1]]]]]]]]]])
    values["self_list"].append(values["self_list"])
    values["self_dict"]["me"] = values["self_dict"]
    values["self_tuple"][0].append(values["self_tuple"])
    day = datetime.date(2024, 2, 29)
    values.update(date_0=day, time_0=datetime.time(1, 2), time_1=datetime.time(1, 2, 3, 4),
                  time_2=datetime.time(0, 0), datetime_0=datetime.datetime(1, 1, 1),
                  datetime_1=datetime.datetime(9999, 12, 31, 23, 59, 59, 999999), delta_0=datetime.timedelta(),
                  delta_1=datetime.timedelta(-1, 5, 7), delta_2=datetime.timedelta(days=3))
    if not PY2:
        zone = datetime.timezone(datetime.timedelta(hours=-5))
        values.update(datetime_2=datetime.datetime(2024, 1, 2, tzinfo=datetime.timezone.utc),
                      datetime_3=datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=zone), zone_0=zone,
                      datetime_4=datetime.datetime(2024, 1, 2, 3, 4, fold=1),
                      time_3=datetime.time(1, 2, 3, fold=1))
        from enum import Enum, IntEnum, Flag
        colour = Enum("Colour", "RED GREEN")
        number = IntEnum("Number", "ONE TWO")
        bits = Flag("Bits", "A B")
        values.update(enum_0=colour.RED, enum_1=number.TWO, enum_2=bits.A | bits.B, enum_class=colour)
    if sys.version_info >= (3, 7):
        import dataclasses
        made = dataclasses.make_dataclass("Made", [("x", int), ("y", str)])
        values["dataclass_0"] = made(1, "two")
    slots = Slots()
    generator = (index for index in range(3))
    values.update(namedtuple_0=Point(1, "y"), plain_0=Plain(1, [2]), slots_0=slots, own_repr=OwnRepr(),
                  int_subclass=IntSubclass(7), dict_subclass=DictSubclass(a=1), managed_0=Managed(),
                  type_0=int, type_1=Plain, type_2=type, function_0=known_values, lambda_0=lambda: 0,
                  module_0=os, module_1=sys, builtin_0=len, builtin_1=[].append, method_0=Plain(1, 2).method,
                  descriptor_0=str.upper, wrapper_0=int.__add__, partial_0=functools.partial(max, 1),
                  generator_0=generator, code_0=main.__code__,
                  deque_0=collections.deque([1, 2], 5), ordered_0=collections.OrderedDict([("a", 1)]),
                  default_0=collections.defaultdict(list, a=[1]), counter_0=collections.Counter("aab"),
                  array_0=array.array("i", [1, 2]), decimal_0=decimal.Decimal("1.50"),
                  memory_0=memoryview(b"abc"),
                  exception_0=ValueError("bad", 1), exception_1=KeyError("k"), object_0=object())
    return values


class Dice(object):
    """Random values of the builtin types, nested up to `depth`."""

    def __init__(self, seed):
        self.rng = random.Random(seed)

    def value(self, depth=3):
        kinds = [self.an_int, self.a_float, self.a_text, self.some_bytes, self.a_constant, self.a_complex,
                 self.a_range]
        if depth:
            kinds += [self.a_list, self.a_tuple, self.a_dict, self.a_set] * 2
        return self.rng.choice(kinds)(depth - 1)

    def hashable(self, depth):
        kinds = [self.an_int, self.a_float, self.a_text, self.a_constant]
        return self.rng.choice(kinds)(depth)

    def size(self):
        return self.rng.choice([0, 1, 2, 3, 5, 9])

    def an_int(self, depth):
        bits = self.rng.choice([1, 8, 15, 30, 31, 60, 64, 90, 200, 1000])
        return self.rng.choice([1, -1]) * self.rng.getrandbits(bits)

    def a_float(self, depth):
        import struct
        if self.rng.random() < 0.5:
            return struct.unpack("<d", struct.pack("<Q", self.rng.getrandbits(64)))[0]
        return round(self.rng.uniform(-1000, 1000), self.rng.randrange(6))

    def a_complex(self, depth):
        return complex(self.a_float(0), self.a_float(0))

    def a_character(self):
        top = self.rng.choice([0x7f, 0x7f, 0x7f, 0xff, 0x800, 0xffff, 0x10ffff])
        code = self.rng.randrange(top + 1)
        return ("\\U%08x" % code).encode("ascii").decode("unicode-escape") if PY2 else character(code)

    def a_text(self, depth):
        return u"".join(self.a_character() for _ in range(self.size() * 2))

    def some_bytes(self, depth):
        made = bytearray(self.rng.randrange(256) for _ in range(self.size() * 2))
        return made if self.rng.random() < 0.3 else bytes(made)

    def a_constant(self, depth):
        return self.rng.choice([None, True, False, Ellipsis])

    def a_range(self, depth):
        if PY2:
            return slice(self.rng.randrange(9), None)
        return range(self.an_int(0), self.an_int(0), self.rng.choice([1, -1, 2, 7]))

    def a_list(self, depth):
        return [self.value(depth) for _ in range(self.size())]

    def a_tuple(self, depth):
        return tuple(self.a_list(depth))

    def a_dict(self, depth):
        made = {self.hashable(depth): self.value(depth) for _ in range(self.size())}
        if made and self.rng.random() < 0.3:
            del made[next(iter(made))]
        return made

    def a_set(self, depth):
        made = set(self.hashable(depth) for _ in range(self.size()))
        return frozenset(made) if self.rng.random() < 0.4 else made


def described(name, value):
    return {"name": name, "repr": as_text(repr(value)), "type": type(value).__name__, "id": id(value)}


def make_holder(function, names):
    """def FUNCTION(rest, waiter, NAMES...): descend and keep the names alive as locals."""
    source = "def %s(rest, waiter, %s):\n    return onward(rest, waiter)\n" % (function, ", ".join(names))
    space = {"onward": onward}
    exec(compile(source, "<holder>", "exec"), space)
    return space[function]


def onward(rest, waiter):
    if rest:
        holder, arguments = rest[0]
        return holder(rest[1:], waiter, *arguments)
    return waiter.bottom()


class Waiter(object):
    def __init__(self, account):
        self.account = account
        self.reader = os.pipe()[0]

    def bottom(self):
        self.account.will_block_in(["read"])
        for step in (self.account.record, os.read):
            step(self.reader, 1)


def main():
    path, options = parse({"random": 0, "seed": 1})
    account = Account(path)
    rows, chain = [], []
    if options["random"]:
        dice = Dice(options["seed"])
        names = ["v%02d" % index for index in range(PER_FRAME)]
        for number in range((options["random"] + PER_FRAME - 1) // PER_FRAME):
            values = [dice.value() for _ in names]
            chain.append((make_holder("hold", names), values))
            rows.append({"name": "hold", "locals": [described(*pair) for pair in zip(names, values)]})
    else:
        known = known_values()
        chain.append((make_holder("hold_known", list(known)), list(known.values())))
        rows.append({"name": "hold_known", "locals": [described(*pair) for pair in known.items()]})
    sys.setrecursionlimit(len(chain) * 4 + 1000)
    account.facts["frames"] = rows[::-1]
    onward(chain, Waiter(account))


if __name__ == "__main__":
    main()
