# SPDX-License-Identifier: Apache-2.0
"""Python and C frames in their true order: at known places, and at random stops of a target that never rests."""
import json

import pytest

from support import debugger, truth
from support.braid import (check_inside, check_native, check_order, compare_thread, gdb_json, python_frames, thread_of)
from support.said import differences, truth_is_missing
from support.target import start


def has_symbols(python):
    return "stripped" not in python.traits


@pytest.mark.matrix("braid")
def test_known_order_many_times(python, target_folder):
    known_order(python, target_folder, 4)


@pytest.mark.wide
@pytest.mark.matrix("braid")
def test_known_order(python, target_folder):
    known_order(python, target_folder, 1)


def known_order(python, target_folder, turns):
    with start(python, "callbacks.py", "--turns", str(turns), folder=target_folder) as target:
        document, _done = gdb_json(target, pid=target.pid, symbols=has_symbols(python))
        for told in target.account["threads"]:
            thread = thread_of(document, told["tid"])
            compare_thread(python, thread, told)
            checked = check_order(python, thread, told, has_symbols(python))
            assert checked >= 10 * turns
            if has_symbols(python):
                check_inside(thread)


@pytest.mark.matrix("braid")
def test_known_order_in_a_core(python, target_folder):
    with start(python, "callbacks.py", folder=target_folder) as target:
        core = debugger.gcore(target)
        document, _done = gdb_json(target, core=core, exe=python.path, symbols=has_symbols(python))
        for told in target.account["threads"]:
            thread = thread_of(document, told["tid"])
            compare_thread(python, thread, told)
            assert check_order(python, thread, told, has_symbols(python)) >= 10


def judge(python, stop):
    """(verdict, detail) of one stop: "same", "ended" (GDB's own stack), "unsaid" (faulthandler sees nothing), "wrong"."""
    thread = thread_of(json.loads(stop.said[0]), stop.tid)
    if stop.frames is None:  # 2.7 has no faulthandler: GDB's own names say where Python frames must stand, and how many
        assert thread["complete"] and python_frames(thread), thread["note"]
        check_native(thread, stop.native)
        check_inside(thread)
        return "same", None
    if truth_is_missing(python, stop):
        return "unsaid" if thread["complete"] and python_frames(thread) else "wrong", thread["note"]
    found = differences(stop, thread)
    if not found and not thread["complete"] and stop.native[-1][2] != "_start":
        # GDB's own stack ends early: JIT code has no unwind information, BOLTed builds lack some. The Python frames are all
        # there, and it is said.
        assert thread["note"].startswith("native stack ends here"), thread["note"]
        return "ended", None
    if found or not thread["complete"]:
        return "wrong", (found[:2], thread["note"], [name for _pc, _sp, name in stop.native][:6], stop.raw[:200])
    check_native(thread, stop.native)
    if has_symbols(python):
        check_inside(thread)
    return "same", None


@pytest.mark.wide
@pytest.mark.matrix("stops")
def test_random_stops(python, target_folder, request):
    count = request.config.getoption("--stops")
    verdicts, wrong, crashes, seed = {}, [], 0, 1
    while sum(verdicts.values()) < count and crashes <= count // 20:
        with start(python, "spin.py", "--seed", str(seed), folder=target_folder) as target:
            left = count - sum(verdicts.values())
            stops = truth.random_stops(target, left, ["py-bt-native --json"], seed=seed, timeout=60 + count,
                                       symbols=has_symbols(python))
            if len(stops) < left:
                crashes += 1
            else:
                debugger.assert_undisturbed(target)
        seed += 1
        for number, stop in enumerate(stops):
            verdict, detail = judge(python, stop)
            verdicts[verdict] = verdicts.get(verdict, 0) + 1
            if verdict == "wrong":
                wrong.append((number, detail))
    print("%s: %d stops, %d differ; %s; faulthandler itself crashed %d times"
          % (python.id, sum(verdicts.values()), len(wrong), verdicts, crashes))
    assert not wrong, wrong[:5]
    assert verdicts.get("same", 0) >= count * (0.5 if "jit" in python.traits else 0.9)
