# SPDX-License-Identifier: Apache-2.0
"""Stopping threads (core/live/stop.h), by a process of our own that traces and by a thread that does: nothing is left
stopped and no signal is lost, whoever is killed or ends, and whenever.

The truth is the target's (its counters, its list of signals, its exit status, its clock) and the kernel's.
PYBRAID_KILLS=1000 makes the counts of the soak run.
"""
import os
import random
import re
import subprocess

import pytest

from support import process
from support.tools import built

ROUNDS = int(os.environ.get("PYBRAID_KILLS", "60"))
CANNOT = 77
# Version 1, version 2 beside it, version 2 alone.
CGROUPS = ["/sys/fs/cgroup/freezer", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"]

pytestmark = pytest.mark.matrix("stop")


def run(tool, *arguments, timeout=60, allow=()):
    """Its output; it must exit with 0 or a code of `allow`."""
    command = [built(tool), *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
                          stdin=subprocess.DEVNULL, timeout=timeout, preexec_fn=process.before_exec())
    assert done.returncode == 0 or done.returncode in allow, "%s: exit %d\n%s" % (
        " ".join(command), done.returncode, done.stdout)
    return done


def figures(text):
    return {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", text)}


@pytest.fixture(params=["process", "thread"])
def way(request):
    return request.param


def test_killed_while_it_traces(way, record_property):
    """Who traces is killed at a random moment: parent, keeper, or both."""
    done = run("stops_killed", ROUNDS, random.randrange(1 << 31), way, timeout=60 + ROUNDS * 2)
    seen = figures(done.stdout)
    assert seen["rounds"] == ROUNDS and seen["signals"] > ROUNDS and seen["stops"] > ROUNDS, done.stdout
    # Stops that met a signal just being delivered, which is what could be lost.
    assert seen["signal_stops"] > ROUNDS // 6 and seen["killed_in_signal_stop"] > 0, done.stdout
    # Most of the moments are such that a thread is held just then.
    assert seen["traced_when_killed"] > ROUNDS // 4, done.stdout
    record_property("said", "stops, %s killed: %s" % (way, done.stdout.strip()))


def test_target_ends_while_traced(way, record_property):
    """The target exits, is killed or runs another program at a random moment, and comes to that at once."""
    done = run("stops_ending", ROUNDS, random.randrange(1 << 31), way, timeout=60 + ROUNDS * 2)
    seen = figures(done.stdout)
    assert seen["rounds"] == ROUNDS and seen["stops"] > ROUNDS and seen["gone"] > ROUNDS // 2, done.stdout
    assert seen["slowest_us"] < 900000, done.stdout  # milliseconds, but for what else runs here
    record_property("said", "stops, target ends (%s): %s" % (way, done.stdout.strip()))


def test_which_calls_mind_a_stop(way):
    """EINTR after a stop exactly where pyb_syscall_minds_stops() says so; reading /proc never causes it."""
    lines = run("stops_calls", way).stdout.splitlines()
    minding = {line.split(":")[0] for line in lines if "stop EINTR" in line}
    quiet = {line.split(":")[0] for line in lines if "stop goes on" in line}
    assert {"epoll_wait", "rt_sigtimedwait", "recvfrom timeout"} <= minding, lines
    assert {"poll", "read pipe", "futex", "clock_nanosleep", "recvfrom no timeout"} <= quiet, lines
    assert all("reading undisturbed" in line or "not here" in line for line in lines), lines


@pytest.mark.parametrize("case", ["vfork", "stopped", "patience"])
def test_odd_targets(way, case):
    run("stops_odd", case, way)


@pytest.mark.parametrize("case", ["suspended", "keeper", "host"])
def test_odd_moments(case):
    """We or the keeper are suspended; what the host program sees of it all."""
    run("stops_odd", case, "process")


@pytest.fixture(params=CGROUPS)
def cgroup(request):
    folder = os.path.join(request.param, "pybraid-test-%d" % os.getpid())
    try:
        os.mkdir(folder)
    except OSError as error:
        pytest.skip("no cgroup can be made in %s: %s" % (request.param, error.strerror))
    if not os.path.exists(os.path.join(folder, "cgroup.procs")):
        os.rmdir(folder)
        pytest.skip("%s is no cgroup" % request.param)
    yield folder
    process.wait_until(lambda: removed(folder), "cgroup %s empty" % folder)


def removed(folder):
    try:
        os.rmdir(folder)
    except OSError:
        return False
    return True


def test_frozen(way, cgroup):
    done = run("stops_odd", "frozen", way, cgroup, allow=(CANNOT,))
    if done.returncode == CANNOT:
        pytest.skip(done.stdout.strip())


def test_already_traced_by_gdb(way, gdb):
    target = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, preexec_fn=process.before_exec())
    holder = subprocess.Popen([*gdb.launch(), "-nx", "-q", "-p", str(target.pid)], stdin=subprocess.PIPE,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=process.before_exec())
    try:
        process.wait_until(lambda: process.state_of(target.pid) == "t", "gdb has attached")
        tracer = process.tracer_of(target.pid)
        text = run("stops_odd", "one", way, target.pid, target.pid).stdout
        name = process.read_text("/proc/%d/comm" % tracer).strip()
        assert "already traced by %d %s" % (tracer, name) in text and "code -5" in text, text
        assert process.tracer_of(target.pid) == tracer
        holder.communicate(b"detach\nquit\n", timeout=30)
        process.wait_until(lambda: process.state_of(target.pid) == "S", "gdb has gone")
        assert "code 0" in run("stops_odd", "one", way, target.pid, target.pid).stdout
    finally:
        for one in (holder, target):
            one.kill()
            one.wait()


def test_time_stopped(record_property):
    """How long a running thread stands still for its registers and 64 KiB of its stack, by its own clock."""
    text = run("stops_odd", "time", "process", 300).stdout
    median = float(re.search(r"median=([\d.]+)", text).group(1))
    assert 1 < median < 5000, text  # 0.1 ms on an idle machine
    record_property("said", "stops, one thread: %s" % text.strip())
