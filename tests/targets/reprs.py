# SPDX-License-Identifier: Apache-2.0
"""Values and what repr() prints for them, for the reader to be compared with.

    reprs.py ACCOUNT.json --values FILE [--count 5000] [--seed 1] [--numpy 0]

FILE: one line for each value, "address hex-of-repr-in-UTF-8 origin". Hand-made hard values first, then
everything of some kinds that the interpreter holds (functions, descriptors, classes, modules), then random
ones. No value here has an object in it whose repr pybraid means to show otherwise (<Name at 0x...>).
"""
from __future__ import print_function

import binascii
import collections
import datetime
import functools
import os
import random
import struct
import sys
import time
import types
import weakref

from common import Account, parse

TWO = sys.version_info[0] == 2
if TWO:
    integer, text, char = long, unicode, unichr  # noqa: F821
else:
    integer, text, char = int, str, chr
if hasattr(sys, "set_int_max_str_digits"):
    sys.set_int_max_str_digits(0)


class Plain(object):
    def method(self):
        pass

    @classmethod
    def of_class(cls):
        pass

    class Inner(object):
        pass


class Slots(object):
    __slots__ = ("a", "b")


class MyInt(integer):
    pass


class MyFloat(float):
    pass


class MyStr(text):
    pass


class MyBytes(bytes):
    pass


class MyByteArray(bytearray):
    pass


class MyList(list):
    pass


class MyTuple(tuple):
    pass


class MyDict(dict):
    pass


class MySet(set):
    pass


class MyFrozenSet(frozenset):
    pass


class MyDate(datetime.date):
    pass


class MyDateTime(datetime.datetime):
    pass


class MyDelta(datetime.timedelta):
    pass


class MyDeque(collections.deque):
    pass


class MyDefault(collections.defaultdict):
    pass


class MyOrdered(collections.OrderedDict):
    pass


class MyCounter(collections.Counter):
    pass


class MyError(ValueError):
    pass


class Meta(type):
    pass


Metal = Meta("Metal", (object,), {})
Point = collections.namedtuple("Point", "x y")
Nothing = collections.namedtuple("Nothing", "")


class SubPoint(Point):
    pass


class IntRepr(integer):
    __repr__ = integer.__repr__


MODERN = r'''
import enum

class Color(enum.Enum):
    RED = 1
    GREEN = "two"
    BLUE = (3, 4.5)

class Number(enum.IntEnum):
    ONE = 1
    TWO = 2

ENUMS = [Color, Number] + list(Color) + list(Number) + [[Color.RED], {Number.ONE: Color.BLUE}]
if hasattr(enum, "Flag"):
    class Perm(enum.Flag):
        R = 4
        W = 2
        X = 1
        RW = 6
    class IntPerm(enum.IntFlag):
        R = 4
        W = 2
        X = 1
    ENUMS += [Perm, IntPerm] + [Perm(i) for i in range(8)] + [IntPerm(i) for i in range(20)]
if hasattr(enum, "StrEnum"):
    class Word(enum.StrEnum):
        A = "a"
        B = "b"
    ENUMS += list(Word)
import re, socket, signal, http, sys
if sys.version_info >= (3, 11):
    ENUMS += [re.I, re.I | re.M, re.X | re.S | re.A]
ENUMS += [socket.AF_INET, signal.SIGINT, http.HTTPStatus.OK]
'''
DATACLASSES = r'''
import dataclasses, typing

@dataclasses.dataclass
class Item:
    name: str
    price: float = 1.5
    hidden: int = dataclasses.field(default=3, repr=False)
    klass: typing.ClassVar[int] = 5
    init: dataclasses.InitVar[int] = 0
    parts: list = dataclasses.field(default_factory=list)

@dataclasses.dataclass(frozen=True)
class Frozen:
    a: int
    b: object

class Sub(Item):
    pass

@dataclasses.dataclass
class Late(Item):
    more: int = 7
    class Deep:
        pass

class Outer:
    @dataclasses.dataclass
    class Within:
        x: int = 1

def local():
    @dataclasses.dataclass
    class InFunction:
        y: object = None
    return InFunction(2)

item = Item("cycle")
item.parts.append(item)
DATA = [Item("a"), Item("b", 2.0, parts=[Frozen(1, None)]), Sub("s"), Late("l"), Outer.Within(), local(),
        item, Frozen(Frozen(1, 2), {1: 2})]
class Named(typing.NamedTuple):
    first: int
    second: str = "x"
DATA += [Named(1), Named(2, "y")]
if __import__("sys").version_info >= (3, 10):
    @dataclasses.dataclass(slots=True)
    class Slotted:
        a: int
        b: list
    DATA += [Slotted(1, [2])]
'''


def collected(source, name):
    space = {"__name__": "made"}
    exec(source, space)
    return space[name]


def cycles():
    a = [1]
    a.append(a)
    d = {}
    d["self"] = d
    t = ([], 1)
    t[0].append(t)
    q = collections.deque([1, 2], 5)
    q.append(q)
    dd = collections.defaultdict(list)
    dd[1] = dd
    od = collections.OrderedDict()
    od["x"] = od
    both = [{"l": None}]
    both[0]["l"] = both
    found = [a, d, t, q, dd, both, [a, a], {1: a}]
    if not TWO or sys.version_info >= (2, 7):
        found.append(od)
    if hasattr(types, "SimpleNamespace"):
        ns = types.SimpleNamespace(z=1)
        ns.me = ns
        found.append(ns)
    error = ValueError(1)
    error.args = (error,)
    return found


def strings():
    found = [u"", u"a'b", u'a"b', u"a'b\"c", u"\\", u"\t\n\r\0\x1b\x7f", u"caf\xe9", u"\x80\x9f\xa0\xad\xff",
             u"\u0394\u20ac", u"\u200b\u2028\ue000",
             u"\U0001f40d", u"\U000e0001\U0010ffff", u"a\ud800b", u"\udcff", u"\U0001f40d\ud83d", u"x" * 5000,
             u"\u4e00" * 1000,
             u"\U0001f600" * 700, u"'" * 300, u"\u0378", u"\u1c80", u"\U0001fae8"]
    raw = [b"", b"a'b", b'a"b', b"'\"", bytes(bytearray(range(256))), b"\\" * 9, b"y" * 4000]
    # Every character there is: what is printable differs from one version of Unicode to the next.
    planes = [u"".join(map(char, range(p, p + 0x10000))) for p in range(0, sys.maxunicode, 0x10000)]
    return found + planes + raw + [bytearray(x) for x in raw]


def shrunk_bytearray():
    b = bytearray(b"0123456789" * 10)
    del b[:37]
    return b


def numbers():
    found = [0, 1, -1, 2 ** 30, 2 ** 30 - 1, -2 ** 30, 2 ** 15, 2 ** 31, 2 ** 60, 2 ** 63, -2 ** 63, 2 ** 64,
             10 ** 9, 10 ** 18, 10 ** 19, 10 ** 100,
             10 ** 4299, 10 ** 4300 - 1, 7 ** 20000, -3 ** 30000, True, False, integer(0), integer(5),
             -integer(2) ** 62, sys.maxsize]
    floats = [0.0, -0.0, 1.0, 0.1, 1e16, 1e15, 9999999999999998.0, 1e-4, 1e-5, 0.00012, 123456789.125, 5e-324,
              2.2250738585072014e-308,
              1.7976931348623157e308, float("inf"), float("-inf"), float("nan"), -float("nan"), 2.0 ** -44,
              1e22, 1e23, 9007199254740993.0]
    floats += [2.0 ** e for e in range(-1074, 1024)] + [-(2.0 ** e) * 3 for e in range(-1000, 1000, 7)]
    parts = [0.0, -0.0, 1.0, -1.5, float("inf"), float("-inf"), float("nan"), 1e20]
    return found + floats + [complex(a, b) for a in parts for b in parts]


def dates():
    d = datetime
    found = [d.date(1, 1, 1), d.date(9999, 12, 31), d.datetime(2024, 2, 29), d.datetime(2024, 2, 29, 1, 2, 3),
             d.datetime(2024, 2, 29, 1, 2, 0, 7),
             d.time(), d.time(1, 2), d.time(1, 2, 3), d.time(0, 0, 0, 999999), d.timedelta(0), d.timedelta(1),
             d.timedelta(-1, 5), d.timedelta(0, 0, 1),
             d.timedelta(3, 4, 5), d.timedelta(999999999), MyDate(2020, 1, 2), MyDateTime(2020, 1, 2, 3),
             MyDelta(5)]
    if not TWO:
        tz = d.timezone
        zones = [tz.utc, tz(d.timedelta(hours=1)), tz(d.timedelta(hours=-5, minutes=-30), "X'Y"),
                 tz(d.timedelta(0), "UTC"), tz(d.timedelta(0))]
        found += zones + [d.datetime(2024, 1, 1, tzinfo=z) for z in zones]
        found += [d.time(1, tzinfo=z) for z in zones]
        if sys.version_info >= (3, 6):
            found += [d.datetime(2024, 1, 1, fold=1), d.datetime(2024, 1, 1, fold=1, tzinfo=tz.utc),
                      d.time(2, fold=1), d.time(1, fold=1, tzinfo=tz.utc)]
    return found


def containers():
    O, D, C, q = collections.OrderedDict, collections.defaultdict, collections.Counter, collections.deque
    moved = O((i, i * i) for i in range(9))
    del moved[3]
    moved[3] = "again"
    if hasattr(moved, "move_to_end"):
        moved.move_to_end(5, last=False)
    rotated = q(range(200))
    rotated.rotate(77)
    front = q()
    for i in range(130):
        front.appendleft(i)
    for i in range(65):
        front.pop()
    holes = dict((i, str(i)) for i in range(50))
    for i in range(0, 50, 3):
        del holes[i]
    thin = set(range(100))
    for i in range(0, 100, 2):
        thin.discard(i)
    found = [(), (1,), (1, 2), [], {}, set(), frozenset(), set([1]), frozenset([2]), MyList([1]),
             MyTuple((1, 2)), MyDict(a=1), MySet([1]), MySet(),
             MyFrozenSet([3]), MyFrozenSet(), holes, thin, frozenset(thin), O(), moved, MyOrdered([(1, 2)]),
             D(None), D(list), D(int, {1: 2}),
             MyDefault(dict, {2: 3}), C(), C("hello world"), MyCounter("aab"), C({"x": -1, "y": 2.5, "z": 0}),
             q(), q([1], 3), q([], 0), rotated, front,
             MyDeque([1, 2], 4), Point(1, "y"), SubPoint(2, None), Nothing(), Point([Point(1, 2)], {}),
             slice(None), slice(1, 2, 3),
             slice("a", [1], ()), time.gmtime(0), os.stat("/"), sys.version_info, sys.flags, sys.float_info,
             os.times() if not TWO else 1,
             {u"k": [({1: frozenset([2])},)]}, [[[[[[[[[[1]]]]]]]]]], {}.keys(), {1: 2}.items(),
             {1: 2, 3: 4}.values(), {"a": 1}.keys()]
    if TWO:
        xr = xrange  # noqa: F821
        found += [xr(5), xr(1, 5), xr(1, 10, 3), xr(10, 0, -3), xr(0), xr(5, 5), xr(2, 3, 7)]
    else:
        found += [range(5), range(1, 5), range(1, 10, 3), range(10, 0, -3), range(0),
                  range(2 ** 70, 2 ** 71, 2 ** 69), types.MappingProxyType({1: 2})]
        found += [types.SimpleNamespace(), types.SimpleNamespace(b=1, a=[2]), functools.partial(int, 5),
                  functools.partial(int, "5", base=16),
                  functools.partial(print)]
    if hasattr(__builtins__, "frozendict"):
        found += eval("[frozendict(), frozendict(a=1), frozendict({1: [2]})]")
    return found


def split_dicts():
    found = []
    for order in ("abc", "cab", "b", "", "abcd"):
        p = Plain()
        for name in order:
            setattr(p, name, order)
        found.append(p.__dict__)
    p = Plain()
    p.x, p.y, p.z = 1, 2, 3
    del p.y
    found.append(p.__dict__)
    return found


def generator():
    yield 1


def callables():
    def nested():
        return cell
    cell = 5
    dead = weakref.ref(Plain())
    instance = Plain()
    found = [nested, lambda: 0, len, print, [].append, {}.get, "".join, dict.fromkeys, type.mro, int.__add__,
             (5).__add__, Plain.of_class, Plain.method,
             object.__init__, Plain, Plain.Inner, Metal, Meta, generator(), nested.__code__,
             generator.__code__, dead, weakref.ref(instance),
             weakref.ref(Plain), weakref.ref(nested), sys.stdout.write if TWO else time.time, time.sleep,
             MyInt(5).__str__]
    if not TWO:
        found += [nested.__closure__[0], nested.__closure__]
    found.append(instance)
    found.pop()
    KEEP.append(instance)
    return found


def errors():
    found = [ValueError(), ValueError("x"), ValueError("x", 1), KeyError(u"k"), MyError("y"),
             OSError(2, "no"), OSError(2, "no", "file"), StopIteration(),
             UnicodeDecodeError("utf-8", b"a", 0, 1, "bad"), KeyboardInterrupt(), ZeroDivisionError(("t",)),
             SyntaxError("m", ("f", 1, 2, "t"))]
    if sys.version_info >= (3, 11):
        found += eval("[ExceptionGroup('g', [ValueError(1), TypeError('t')])]")
    return found


def old_style():
    if not TWO:
        return []
    space = {"__name__": "made"}
    exec("class Old:\n    def method(self): pass\n", space)
    return [space["Old"], space["Old"].method]


def singletons():
    return [None, NotImplemented, Ellipsis, MyInt(5), MyInt(10 ** 40), MyFloat(2.5), MyStr(u"s'"),
            MyBytes(b"b"), MyByteArray(b"ba"), IntRepr(7),
            shrunk_bytearray(), object.__repr__, type, object]


def hand_made():
    for make in (singletons, numbers, strings, dates, containers, split_dicts, cycles, callables, errors,
                 old_style):
        for value in make():
            yield make.__name__, value
    if not TWO:
        for value in collected(MODERN, "ENUMS"):
            yield "enum", value
    if sys.version_info >= (3, 7):
        for value in collected(DATACLASSES, "DATA"):
            yield "dataclass", value


def classes():
    seen, todo = [], [object]
    while todo:
        c = todo.pop()
        if any(c is s for s in seen):
            continue
        seen.append(c)
        todo += type.__subclasses__(c)
    return seen


DESCRIPTORS = tuple(type(x) for x in (str.join, int.__add__, types.FunctionType.__code__,
                                      dict.__dict__["fromkeys"], property.fget))


def found_in_interpreter():
    for c in classes():
        if type(c) is type:
            yield "class", c
        for value in list(vars(c).values()):
            if isinstance(value, DESCRIPTORS + (types.FunctionType, types.BuiltinFunctionType)):
                yield "class attribute", value
    for name, module in sorted(sys.modules.items()):
        if type(module) is not types.ModuleType:
            continue
        if "object at 0x" not in repr(module):
            yield "module", module
        for value in list(vars(module).values()):
            if isinstance(value, (types.FunctionType, types.BuiltinFunctionType)):
                yield "module attribute", value


class Random(object):
    """Random values of the builtin types, nested."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.leaves = [self.integer, self.small, self.float, self.plain_float, self.complex, self.text,
                       self.bytes, self.bytearray, self.none, self.date,
                       self.datetime, self.time, self.delta, self.range, self.bool]
        self.nested = [self.list, self.tuple, self.dict, self.set, self.frozenset, self.deque, self.odict,
                       self.defaultdict, self.counter, self.point,
                       self.slice]
        self.hashable = [self.integer, self.small, self.float, self.text, self.bytes, self.none, self.date,
                         self.delta, self.bool, self.complex]

    def value(self, depth=0):
        kinds = self.leaves if depth >= 4 or self.rng.random() < 0.5 else self.nested
        return self.rng.choice(kinds)() if kinds is self.leaves else self.rng.choice(kinds)(depth + 1)

    def key(self):
        return self.rng.choice(self.hashable)()

    def size(self, depth=1):
        return self.rng.choice([0, 1, 2, 3, 5, 9, 20, 60] if depth == 1 else [0, 1, 2, 3, 4])

    def integer(self):
        most = self.rng.choice([16, 64, 128, 2000])
        return self.rng.getrandbits(self.rng.randint(1, most)) * self.rng.choice([1, -1])

    def small(self):
        return self.rng.randint(-300, 300)

    def bool(self):
        return self.rng.random() < 0.5

    def none(self):
        return self.rng.choice([None, Ellipsis, NotImplemented, int, len])

    def float(self):
        return struct.unpack("d", struct.pack("Q", self.rng.getrandbits(64)))[0]

    def plain_float(self):
        digits = round(self.rng.uniform(-1000, 1000), self.rng.randint(0, 12))
        return digits * 10.0 ** self.rng.randint(-20, 20)

    def complex(self):
        return complex(self.plain_float(), self.rng.choice([0.0, -0.0, self.float()]))

    def text(self):
        top = self.rng.choice([0x7f, 0xff, 0x7ff, 0xffff, 0x10ffff])
        return u"".join(char(self.rng.randint(0, min(top, sys.maxunicode))) for _ in range(self.size()))

    def bytes(self):
        return bytes(bytearray(self.rng.randint(0, 255) for _ in range(self.size())))

    def bytearray(self):
        b = bytearray(self.bytes())
        del b[:self.rng.randint(0, 3)]
        return b

    def date(self):
        return datetime.date.fromordinal(self.rng.randint(1, 3652059))

    def datetime(self):
        us = self.rng.choice([0, self.rng.randint(0, 999999)])
        return datetime.datetime(self.rng.randint(1, 9999), 5, 6, self.rng.randint(0, 23), 7,
                                 self.rng.choice([0, 8]), us, self.zone())

    def time(self):
        return datetime.time(self.rng.randint(0, 23), 0, self.rng.choice([0, 59]),
                             self.rng.choice([0, 1, 999999]), self.zone())

    def zone(self):
        if TWO or self.rng.random() < 0.5:
            return None
        return datetime.timezone(datetime.timedelta(minutes=self.rng.randint(-1439, 1439)),
                                 *self.rng.choice([[], ["n"]]))

    def delta(self):
        return datetime.timedelta(self.rng.randint(-9999, 9999),
                                  self.rng.choice([0, self.rng.randint(0, 86399)]), self.rng.choice([0, 1]))

    def range(self):
        make = xrange if TWO else range  # noqa: F821
        return make(self.small(), self.small(), self.rng.choice([1, 2, -3, 70]))

    def list(self, depth):
        return [self.value(depth) for _ in range(self.size(depth))]

    def tuple(self, depth):
        return tuple(self.list(depth))

    def dict(self, depth):
        made = dict((self.key(), self.value(depth)) for _ in range(self.size(depth)))
        for key in list(made):
            if self.rng.random() < 0.2:
                del made[key]
        return made

    def set(self, depth):
        made = set(self.key() for _ in range(self.size(depth)))
        for key in list(made):
            if self.rng.random() < 0.2:
                made.discard(key)
        for _ in range(self.rng.choice([0, 0, 3])):
            made.add(self.key())
        return made

    def frozenset(self, depth):
        return frozenset(self.set(depth))

    def deque(self, depth):
        made = collections.deque(self.list(depth), self.rng.choice([None, 7, 100]))
        made.rotate(self.rng.randint(-100, 100))
        return made

    def odict(self, depth):
        made = collections.OrderedDict((self.key(), self.value(depth)) for _ in range(self.size(depth)))
        for key in list(made):
            if self.rng.random() < 0.2:
                made[key] = made.pop(key)
        return made

    def defaultdict(self, depth):
        return collections.defaultdict(self.rng.choice([None, list, int]), self.dict(depth))

    def counter(self, depth):
        return collections.Counter(dict((self.key(), self.small()) for _ in range(self.size())))

    def point(self, depth):
        return Point(self.value(depth), self.value(depth))

    def slice(self, depth):
        return slice(self.value(depth), self.small(), None)


def numpy_values():
    import numpy
    found = [numpy.float64(1.5), numpy.float64(1e300), numpy.int64(-5), numpy.uint8(200), numpy.bool_(True),
             numpy.bool_(False), numpy.int32(7),
             numpy.complex128(1 + 2j), numpy.int16(-3), numpy.uint64(2 ** 64 - 1), numpy.float32(0.1),
             numpy.float32(1.5), numpy.float64("nan")]
    return found


KEEP = []


def main():
    account_path, options = parse({"values": "", "count": 5000, "seed": 1, "numpy": 0})
    source = Random(options["seed"])
    with open(options["values"], "w") as stream:
        def put(origin, value):
            shown = repr(value)
            if not isinstance(shown, bytes):
                shown = shown.encode("utf-8", "backslashreplace")
            KEEP.append(value)
            stream.write("%x %s %s\n" % (id(value) & (2 ** 64 - 1),
                                         binascii.hexlify(shown).decode("ascii") or "-",
                                         origin.replace(" ", "_")))
        for origin, value in hand_made():
            put(origin, value)
        if options["numpy"]:
            for value in numpy_values():
                put("numpy", value)
        for origin, value in found_in_interpreter():
            put(origin, value)
        for _ in range(options["count"]):
            put("random", source.value())
    account = Account(account_path, threads=1)
    if options["numpy"]:
        import numpy
        arrays = [numpy.zeros((3, 4)), numpy.arange(5, dtype="int16"), numpy.array(2.5),
                  numpy.zeros((1, 0, 2), "complex128"), numpy.array(["a", "b"]), numpy.array([None])]
        KEEP.append(arrays)
        account.facts["arrays"] = [[hex(id(a)), str(a.shape), a.dtype.type.__name__.rstrip("_")]
                                   for a in arrays]
    account.will_block_in(["read"])
    for step in (account.record, os.read):
        step(0, 1)


if __name__ == "__main__":
    main()
