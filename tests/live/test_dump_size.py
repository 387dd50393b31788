# SPDX-License-Identifier: Apache-2.0
"""pybraid dump of large things: what it shows is right, its memory is bounded; its time is printed, and judged with patience only."""
import glob
import json
import os
import subprocess
import sys

import pytest

from support import debugger, odd, target
from support.braid import compare_thread, python_frames, thread_of
from support.process import before_exec, read_text, task_ids, wait_blocked
from support.shell import PYBRAID
from support.target import start

pytestmark = pytest.mark.matrix("size")

# A small process that starts another, so that the largest size of the test itself is not taken for that of what it starts.
MEASURE = """
import json, os, resource, subprocess, sys, time
begin = time.perf_counter()
code = subprocess.call(sys.argv[2:], stdout=open(sys.argv[1], "wb"))
seconds, used = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024.0]))
"""


class Measured:
    """A run of a command: its stdout as text, wall clock and CPU seconds, and the largest resident size in MB."""

    def __init__(self, folder, *argv):
        out = os.path.join(str(folder), "out")
        done = subprocess.run([sys.executable, "-S", "-E", "-c", MEASURE, out, *map(str, argv)], stdout=subprocess.PIPE, timeout=300)
        self.code, self.seconds, self.cpu, self.size = json.loads(done.stdout.decode())
        self.out = read_text(out)

    def __str__(self):
        return "%.3f s (CPU %.3f s), %.1f MB" % (self.seconds, self.cpu, self.size)


def dump(folder, *words, runs=3):
    """(documents, the fastest run) of pybraid dump --json."""
    done = [Measured(folder, PYBRAID, "dump", "--json", *words) for _ in range(runs)]
    assert all(one.code == 0 for one in done)
    return [json.loads(line) for line in done[0].out.splitlines()], min(done, key=lambda one: one.seconds)


def in_time(measured, seconds):
    """Three times as long as it may take, and more on a machine that does other things."""
    return measured.seconds < 3 * seconds * max(1.0, os.getloadavg()[0] / os.cpu_count())


@pytest.fixture
def plain(interpreters):
    """Debian's own, else any: what is measured does not depend on the interpreter."""
    rows = [row for row in interpreters if row.minor >= (3, 11) and not row.root and not {"jit", "debug"} & row.traits]
    if not rows:
        pytest.skip("no CPython from 3.11 on")
    return next((row for row in rows if "debian" in row.traits), rows[0])


def beside_py_spy(folder, pid, mine, *words):
    """How long py-spy takes for the same, where it has been fetched for the benchmarks."""
    cache = os.path.join(os.environ.get("PYBRAID_CACHE", os.path.expanduser("~/.cache/pybraid")), "bench")
    found = glob.glob(os.path.join(cache, "**", "py-spy"), recursive=True)
    if not found:
        return "py-spy is not here"
    its = Measured(folder, found[0], "dump", *words, "--pid", pid)
    return "py-spy %s; ratio %.1f" % (its, its.seconds / mine.seconds) if its.code == 0 else "py-spy fails (exit code %d)" % its.code


def test_a_thousand_threads(plain, target_folder, record_property):
    with start(plain, "depth.py", "--depth", "12", "--threads", "999", "--thread-depth", "6", folder=target_folder) as there:
        assert len(task_ids(there.pid)) == 1000
        (document,), measured = dump(target_folder, there.pid)
        assert len(document["threads"]) == 1000
        odd.check(plain, document, there.account)
        _, only = dump(target_folder, "-p", there.pid)
        record_property("said", "1000 threads: %s; -p %s; %s" % (measured, only, beside_py_spy(target_folder, there.pid, only)))
        assert in_time(measured, 0.4) and in_time(only, 0.4) and measured.size < 100


def test_a_hundred_thousand_frames(plain, target_folder, record_property):
    with start(plain, "depth.py", "--depth", "100000", "--threads", "0", "--shape", "plain", folder=target_folder) as there:
        (document,), measured = dump(target_folder, there.pid)
        odd.check(plain, document, there.account)
        record_property("said", "100 000 frames: %s, of which writing JSON is most" % measured)
        shown = Measured(target_folder, PYBRAID, "dump", "-n", "20", there.pid)
        assert shown.code == 0 and 10 < len(shown.out.splitlines()) < 60
        record_property("said", "100 000 frames, 20 shown: %s" % shown)
        assert in_time(measured, 2) and measured.size < 400


MAPPINGS = """
import ctypes, mmap, runpy, sys
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
for index in range(4000):
    assert libc.mmap(None, 4096, (mmap.PROT_READ, mmap.PROT_READ | mmap.PROT_WRITE)[index %% 2], mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0) > 0
sys.path.insert(0, %r)
runpy.run_path(%r, run_name="__main__")
"""

LARGE = """
import mmap, runpy, sys
kept = mmap.mmap(-1, 2 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
kept[1 << 30] = 1  # the kernel leaves out what was never touched
sys.path.insert(0, %r)
runpy.run_path(%r, run_name="__main__")
"""


def with_preface(python, text, folder, **options):
    """depth.py after something else."""
    script = os.path.join(str(folder), "preface.py")
    with open(script, "w") as stream:
        stream.write(text % (target.TARGETS, os.path.join(target.TARGETS, "depth.py")))
    return start(python, script, "--depth", "12", folder=folder, **options)


def test_four_thousand_mappings(plain, target_folder, record_property):
    with with_preface(plain, MAPPINGS, target_folder) as there:
        assert len(read_text("/proc/%d/maps" % there.pid).splitlines()) > 4000
        (document,), measured = dump(target_folder, there.pid)
        odd.check(plain, document, there.account)
        record_property("said", "4000 mappings: %s" % measured)
        assert in_time(measured, 0.1) and measured.size < 60


def test_a_core_of_two_gigabytes(plain, target_folder, record_property):
    """Most of it are holes in the file: what is not needed is not read."""
    with with_preface(plain, LARGE, target_folder, core=True) as there:
        account = there.account
        if debugger.kernel_core_obstacle():
            core = debugger.gcore(there)
        else:
            core = debugger.kernel_core(there)
    assert os.path.getsize(core) > 2 << 30
    (document,), measured = dump(target_folder, core)
    for told in account["threads"]:
        compare_thread(plain, thread_of(document, told["tid"]), told)
    _, only = dump(target_folder, "-p", core)
    record_property("said", "core of %.1f GB: %s; -p %s" % (os.path.getsize(core) / 2.0 ** 30, measured, only))
    assert measured.size < 60 and only.size < 60
    assert in_time(measured, 0.3) and in_time(only, 0.3)


CHILDREN = """
import os, time
def child(number):
    time.sleep(1000)
def parent():
    for number in range(200):
        if os.fork() == 0:
            child(number)
    os.write(1, b"R")
    os.wait()
parent()
"""


def test_two_hundred_children(plain, target_folder, record_property):
    process = subprocess.Popen([plain.path, "-c", CHILDREN], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True,
                               preexec_fn=before_exec())
    try:
        assert process.stdout.read(1) == b"R"
        children = [pid for pid in odd.below(process.pid) if pid != process.pid]
        assert len(children) == 200
        for pid in children:
            wait_blocked(pid, pid, ["clock_nanosleep", "select", "pselect6"])
        documents, measured = dump(target_folder, "--children", process.pid)
        found = {one["process"]["pid"]: python_frames(one["threads"][0]) for one in documents}
        assert sorted(found) == sorted([process.pid, *children])
        assert [f["func"] for f in found.pop(process.pid)] == ["parent", "<module>"]
        assert all([f["func"] for f in frames] == ["child", "parent", "<module>"] for frames in found.values())
        record_property("said", "200 children: %s" % measured)
        assert in_time(measured, 3) and measured.size < 60
    finally:
        os.killpg(process.pid, 9)
        process.wait()
        process.stdout.close()
