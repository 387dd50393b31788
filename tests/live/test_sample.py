# SPDX-License-Identifier: Apache-2.0
"""pyb_sample(): frames equal the target's own account, cold and warm, in few reads when nothing moved; also of
a stack that moves."""
import ctypes
import os
import signal
import time

import pytest

from support import pythons
from support.process import wait_blocked
from support.target import start

BUILD = os.environ.get("PYBRAID_BUILD", os.path.join(pythons.REPO, "build"))
TEXTS = ("name", "func", "file")
NUMBERS = ("line", "end_line", "column", "end_column", "lasti")
QUICK = 4
NOTFOUND = -13


class Error(ctypes.Structure):
    _fields_ = [("code", ctypes.c_int), ("sys_errno", ctypes.c_int), ("addr", ctypes.c_uint64),
                ("length", ctypes.c_uint64), ("what", ctypes.c_char * 384), ("remedy", ctypes.c_char * 512)]


class State(ctypes.Structure):
    _fields_ = [("state", ctypes.c_uint64), ("tid", ctypes.c_int32), ("ident", ctypes.c_uint64),
                ("interpreter", ctypes.c_int64), ("main", ctypes.c_bool)]


class Frame(ctypes.Structure):
    _fields_ = [(name, ctypes.c_char_p) for name in TEXTS] + [(name, ctypes.c_int32) for name in NUMBERS] + \
        [("code", ctypes.c_uint64), ("frame", ctypes.c_uint64), ("evaluation", ctypes.c_uint64),
         ("entry", ctypes.c_bool), ("approximate", ctypes.c_bool)]


class Sample(ctypes.Structure):
    _fields_ = [("frames", ctypes.POINTER(Frame)), ("n_frames", ctypes.c_uint32), ("complete", ctypes.c_bool),
                ("note", ctypes.c_char_p), ("reads", ctypes.c_uint64)]


class Options(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t)] + \
        [(name, ctypes.c_uint32) for name in ("flags", "max_frames", "repr_length", "repr_depth", "repr_items")]


class SessionOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t)] + \
        [(name, ctypes.c_void_p) for name in ("alloc", "free", "alloc_ctx")] + \
        [(name, ctypes.c_uint64) for name in ("max_bytes", "max_ms")]


class Session:
    """A session on one live process, as a sampler has it."""

    def __init__(self, pid, max_bytes=0):
        self.lib = ctypes.CDLL(os.path.join(BUILD, "lib", "libpybraid.so"))
        self.handle = ctypes.c_void_p()
        options = SessionOptions(size=ctypes.sizeof(SessionOptions), max_bytes=max_bytes)
        self.call("pyb_session_new", ctypes.byref(options), ctypes.byref(self.handle), handle=False)
        self.call("pyb_open_pid", ctypes.c_int32(pid))

    def call(self, name, *arguments, handle=True, allow=()):
        error = Error()
        code = getattr(self.lib, name)(*([self.handle] if handle else []), *arguments, ctypes.byref(error))
        assert code == 0 or code in allow, "%s: %d %s" % (name, code, error.what)
        return code

    def states(self):
        rows, count = ctypes.POINTER(State)(), ctypes.c_uint32()
        self.call("pyb_thread_states", ctypes.byref(rows), ctypes.byref(count))
        return [(row.state, row.tid, row.ident) for row in rows[:count.value]]

    def sample(self, state, flags=0, allow=(), complete=True):
        """(frames as dicts, reads), or None when the thread state is gone."""
        found, options = ctypes.POINTER(Sample)(), Options(ctypes.sizeof(Options), flags)
        if self.call("pyb_sample", ctypes.c_uint64(state), ctypes.byref(options), ctypes.byref(found),
                     allow=allow) != 0:
            return None
        sample = found.contents
        assert sample.complete or not complete, sample.note
        frames = []
        for frame in sample.frames[:sample.n_frames]:
            row = {name: getattr(frame, name) and getattr(frame, name).decode("utf-8") for name in TEXTS}
            row.update({name: getattr(frame, name) for name in NUMBERS + ("code",)})
            frames.append(row)
        return frames, sample.reads

    def close(self):
        self.lib.pyb_session_free(self.handle)


@pytest.fixture
def session():
    opened = []

    def make(pid, max_bytes=0):
        opened.append(Session(pid, max_bytes))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def told_by(sampled):
    """Of a sampled frame what a target can tell of itself."""
    return {name: sampled[name] for name in TEXTS + NUMBERS}


def told(frame):
    row = {"name": frame["qualname"] or frame["name"], "func": frame["name"], "file": frame["file"]}
    row.update({name: -1 if frame[name] is None else frame[name] for name in NUMBERS})
    return row


@pytest.mark.matrix("sample")
@pytest.mark.parametrize("shape", ["plain", "mixed", "async"])
def test_samples_equal_the_account(python, session, target_folder, shape):
    if shape == "async" and python.minor < (3, 6):
        pytest.skip("no coroutines before 3.6")
    arguments = ["--depth", "100", "--threads", "2", "--thread-depth", "40", "--shape", shape]
    with start(python, "depth.py", *arguments, folder=target_folder) as target:
        opened = session(target.pid)
        states = opened.states()
        for thread in target.account["threads"]:
            mine = [state for state, tid, ident in states
                    if thread["ident"] in (None, ident) and tid in (0, thread["tid"])]
            assert len(mine) == 1, (thread["tid"], thread["ident"], states)
            expected = [told(frame) for frame in thread["frames"]]
            for flags in (0, 0, 0, QUICK, QUICK):
                frames, _ = opened.sample(mine[0], flags)
                assert [told_by(frame) for frame in frames] == expected
            _, reads = opened.sample(mine[0])
            assert reads <= (6 if shape == "async" else 3), "%d reads for what was read before" % reads


@pytest.mark.matrix("sample")
def test_a_stack_that_moved(python, session, target_folder):
    """Stopped anywhere, what was kept from earlier stops changes nothing: a new session says the same."""
    with start(python, "spin.py", folder=target_folder) as target:
        opened = session(target.pid)
        lengths = set()
        for _ in range(40):
            target.signal(signal.SIGSTOP)
            wait_stopped(target.pid)
            state = opened.states()[0][0]
            fresh = session(target.pid)
            fresh.states()
            seen = opened.sample(state, complete=False)[0]
            assert seen == fresh.sample(state, complete=False)[0]
            lengths.add(len(seen))
            target.signal(signal.SIGCONT)
            time.sleep(0.002)
        assert len(lengths) > 1, "it did not move"


def wait_stopped(pid):
    """Until the kernel shows every thread stopped."""
    for _ in range(2000):
        states = []
        for tid in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/stat" % (pid, tid), "rb") as stream:
                states.append(stream.read().rpartition(b")")[2].split()[0])
        if set(states) == {b"T"}:
            return
        time.sleep(0.001)
    raise AssertionError("not stopped: %r" % states)


@pytest.mark.matrix("sample")
def test_code_that_is_new_all_the_time(python, session, target_folder):
    """Each sample sees the code of its moment, at addresses used again and again; several times the session's
    limit on memory passes through."""
    limit, size, rounds = 4 << 20, 12000, 1000
    with start(python, "newcode.py", "--size", size, folder=target_folder) as target:
        opened = session(target.pid, limit)
        state = opened.states()[0][0]
        places = set()
        for number in range(1, rounds + 1):
            target.go_on()
            assert target.read_line() == str(number)
            wait_blocked(target.pid, target.pid, ["read"])
            frames, _ = opened.sample(state, QUICK if number % 50 == 0 else 0)
            name = ("call_%d_" % number).ljust(size, "x")
            seen = [frames[0][key] for key in ("name", "func", "file", "line")]
            assert seen == [name, name, "/made/file_%d.py" % (number % 5), 4 + number % 7]
            places.add(frames[0]["code"])
        assert len(places) < rounds * 0.9, "code objects hardly ever stood where another one had been"
        assert rounds * size > 2 * limit


@pytest.mark.matrix("sample")
def test_a_thread_state_that_was_not_listed(python, session, target_folder):
    with start(python, "depth.py", "--depth", "5", "--threads", "0", folder=target_folder) as target:
        opened = session(target.pid)
        state = opened.states()[0][0]
        assert opened.sample(state + 8, allow=(NOTFOUND,)) is None
        assert opened.sample(state) is not None
