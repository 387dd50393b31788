# SPDX-License-Identifier: Apache-2.0
"""The targets themselves, before anything is measured against them: each runs on each interpreter, and its
account of itself is consistent."""
import os
import signal

import pytest

from support import debugger, embedded, extension, target, truth
from support.process import state_of, wait_blocked
from support.pythons import packages_for

pytestmark = pytest.mark.matrix("targets")


def names(stack):
    return [frame["name"] for frame in stack["frames"]]


def check_frames(stack):
    """Every frame has a name, a file, a line; from 3.11 on columns that fit the line."""
    for frame in stack["frames"]:
        assert frame["name"] and frame["file"], frame
        assert frame["line"] is None or frame["line"] >= 0, frame
        if frame["column"] is not None:
            assert frame["end_line"] >= frame["line"] and frame["column"] >= 0, frame


def depth_of(stack):
    return names(stack).index("go") + 1


@pytest.mark.parametrize("shape, depth", [("mixed", 1), ("mixed", 2), ("mixed", 12), ("mixed", 100),
                                          ("mixed", 1000), ("plain", 100), ("async", 12), ("async", 1000)])
def test_depth_is_exact(python, target_folder, depth, shape):
    if shape == "async" and python.minor < (3, 6):
        pytest.skip("no async before 3.6")
    if shape == "async" and depth == 1000 and python.minor == (3, 13) and "debug" in python.traits:
        pytest.skip("3.13's debug build allows 500 levels of C recursion")
    with target.start(python, "depth.py", "--depth", depth, "--shape", shape,
                      folder=target_folder) as started:
        assert len(started.account["threads"]) == 4
        assert depth_of(started.main) == depth
        for stack in started.account["threads"]:
            check_frames(stack)
            if not stack["main"]:
                assert depth_of(stack) == 12
        assert started.account["version"] == list(python.version)


def test_every_shape_is_there(python, target_folder):
    with target.start(python, "depth.py", "--depth", 200, folder=target_folder) as started:
        found = set(names(started.main))
        files = {frame["file"] for frame in started.main["frames"]}
        assert {"<genexpr>", "<lambda>", "produce", "Body", "inner", "wrapper", "prop", "static"} <= found
        if python.minor >= (3,):
            assert {"f_\u00e9t\u00e9_\u00ff", "f_\u0444\u0443\u043d\u043a_\u6f22\u5b57",
                    "f_\U00010400\U00020000"} <= found
        assert {"/tmp/\u00e9t\u00e9 \u00ff.py", "/tmp/\u6f22\u5b57.py", "/tmp/\U0001f40d snake.py"} <= files
        if python.minor >= (3, 11):
            assert any(frame["end_line"] > frame["line"] for frame in started.main["frames"])


@pytest.mark.pythons(since=(3, 11))
def test_a_hundred_thousand_frames(python, target_folder):
    with target.start(python, "depth.py", "--depth", 100000, "--shape", "plain", "--threads", 0,
                      folder=target_folder) as started:
        assert depth_of(started.main) == 100000


def test_callbacks_alternate(python, target_folder):
    with target.start(python, "callbacks.py", folder=target_folder) as started:
        facts = started.account["facts"]
        missing = set(facts["missing"])
        assert missing <= {"via_extension", "via_qsort"}
        assert ("via_extension" in missing) == bool(extension.reason(python)), facts["missing"]
        assert len(facts["hops"]) >= 16
        vias = [frame["via"]["what"] for frame in started.main["frames"] if frame["via"]]
        assert len(vias) >= len(facts["hops"])
        # Each hop's own function stands once, in the order in which they were called.
        assert [name for name in reversed(names(started.main)) if name.startswith("via_")] == facts["hops"]


def test_spin_reports_where_it_is(python, gdb, target_folder, request):
    with target.start(python, "spin.py", folder=target_folder) as started:
        count = 5
        stops = truth.random_stops(started, count, ["info threads"], plugin=False, gdb=gdb, symbols=False)
        assert all(word in stop.said[0] for stop in stops for word in ["*", str(started.pid)])
        if started.account["facts"]["signal"]:
            for stop in stops:
                assert stop.raw.count("Stack (most recent call first)") == 1, stop.raw
                assert stop.cut or stop.frames[-1][2] in ("<module>", "<invalid frame>"), stop.raw
        else:
            assert python.minor < (3, 3)
        debugger.assert_undisturbed(started)


def test_subinterpreter(python, target_folder):
    with target.start(python, "subinterp.py", folder=target_folder) as started:
        facts = started.account["facts"]
        if "absent" in facts:
            pytest.skip("no subinterpreter: " + facts["absent"])
        stack = started.main
        assert names(stack)[:4] == ["inner_bottom", "inner_middle", "inner_top", "<module>"]
        assert names(stack)[4:] == ["outer_call", "outer_top", "main", "<module>"]
        assert [frame["interpreter"] for frame in stack["frames"][4:]] == [0] * 4


@pytest.mark.parametrize("current", [0, 1, 2])
def test_greenlets(python, target_folder, current):
    with target.start(python, "greenlets.py", "--current", current, folder=target_folder,
                      path=packages_for(python)) as started:
        facts = started.account["facts"]
        if "absent" in facts:
            pytest.skip("greenlet is not there for this interpreter")
        assert names(started.main)[0] == "block"
        assert not set(names(started.main)) & set(facts["others"])


@pytest.mark.parametrize("options", [(), ("-X", "faulthandler")], ids=["plain", "faulthandler"])
def test_crash_leaves_a_core(python, target_folder, options):
    if debugger.kernel_core_obstacle():
        pytest.skip(debugger.kernel_core_obstacle())
    if options and python.minor < (3, 3):
        pytest.skip("no faulthandler before 3.3")
    with target.start(python, "crash.py", folder=target_folder, core=True, options=options) as started:
        assert names(started.main)[:7] == ["die"] + ["down"] * 6
        started.go_on()
        core = debugger.kernel_core(started, send=False)
        assert started.process.returncode == -signal.SIGSEGV
        assert os.path.getsize(core) > 100000
        assert ("Segmentation fault" in started.said()) == bool(options)


def test_gcore_leaves_the_target_alone(python, target_folder):
    with target.start(python, "depth.py", "--threads", 0, folder=target_folder) as started:
        assert os.path.getsize(debugger.gcore(started)) > 100000
        debugger.assert_undisturbed(started)


@pytest.mark.parametrize("mode", ["gil", "fork", "shutdown", "churn"])
def test_threads(python, target_folder, mode):
    with target.start(python, "threads.py", "--mode", mode, folder=target_folder) as started:
        stacks, facts = started.account["threads"], started.account["facts"]
        if mode == "gil":
            assert len(stacks) == 4
            assert state_of(started.pid) in "RS"
        elif mode == "fork":
            assert started.pid != started.process.pid and names(started.main)[0] == "fork"
        elif mode == "shutdown":
            wait_blocked(started.pid, started.pid, ["futex"])
            assert {"_shutdown", "_exitfunc"} & set(facts["main_names"])
        else:
            assert stacks == []
        assert started.process.poll() is None


def test_values(python, target_folder):
    with target.start(python, "values.py", folder=target_folder) as started:
        rows = {row["name"]: row["repr"] for row in started.account["facts"]["frames"][0]["locals"]}
        assert rows["an_ellipsis"] == "Ellipsis" and rows["list_1"] == "[1, 'two', None]"
        assert rows["self_list"] == "[1, [...]]" and len(rows) > 150
        assert names(started.main)[:3] == ["bottom", "onward", "hold_known"]


def test_random_values(python, target_folder):
    with target.start(python, "values.py", "--random", 1000, folder=target_folder) as started:
        frames = started.account["facts"]["frames"]
        assert len(frames) == 20 and all(len(frame["locals"]) == 50 for frame in frames)
        assert names(started.main).count("hold") == 20


@pytest.mark.parametrize("static", [False, True], ids=["shared", "static"])
def test_embedded(python, target_folder, static):
    host, reason = embedded.build(python, static)
    if host is None:
        pytest.skip(reason if len(reason) < 200 else reason[:200])
    with embedded.start(python, host, "depth.py", folder=target_folder) as started:
        assert depth_of(started.main) == 12
        assert os.readlink("/proc/%d/exe" % started.pid) == host
