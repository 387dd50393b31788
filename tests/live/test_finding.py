# SPDX-License-Identifier: Apache-2.0
"""The interpreter and its threads, as tests/tools/inspect.c reports them, against what the target says of itself."""
import os
import re
import signal
import subprocess
import time

import pytest

from support import process, pythons, target

INSPECT = "build/tools/inspect"


@pytest.fixture(scope="session")
def inspect():
    subprocess.run(["make", "-s", INSPECT], cwd=pythons.REPO, check=True, timeout=600)
    return pythons.REPO + "/" + INSPECT


def look(inspect, pid):
    """(the lines about the interpreter, one dict for each thread state)."""
    done = subprocess.run([inspect, "-n", str(pid)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, encoding="utf-8")
    assert done.returncode == 0, done.stdout
    threads = []
    for match in re.finditer(r"^thread (0x\w+) interpreter=(-?\d+) ident=(\d+) native=(\d+) gil=(\w+) gc=(-?\d)( main)?( finalizing)? "
                             r"name=([\s\S]*?)(?=\nthread 0x|\n?\Z)", done.stdout, re.M):
        threads.append({"interpreter": int(match[2]), "ident": int(match[3]), "tid": int(match[4]), "gil": match[5], "gc": int(match[6]),
                        "main": bool(match[7]), "name": match[9]})
    return done.stdout, threads


def all_stopped(pid):
    for tid in os.listdir("/proc/%d/task" % pid):
        with open("/proc/%d/task/%s/stat" % (pid, tid), encoding="utf-8") as stream:
            if stream.read().rpartition(")")[2].split()[0] != "T":
                return False
    return True


def check_interpreter(python, said):
    version = ".".join(map(str, python.version))
    assert re.search(r"^python %s(rc\d+|[ab]\d+|\+)? " % re.escape(version), said, re.M), said
    assert ("debug=1" in said) == ("debug" in python.traits), said
    assert ("free_threaded=1" in said) == ("freethreaded" in python.traits), said


@pytest.mark.wide
@pytest.mark.matrix("threads")
def test_names_and_ids(python, target_folder, inspect):
    with target.start(python, "named_threads.py", "--threads", "12", folder=target_folder) as running:
        said, threads = look(inspect, running.pid)
        check_interpreter(python, said)
        assert "threads in" in said and "; " not in said.split("threads in")[1].splitlines()[0], said
        assert len(threads) == len(running.account["threads"]) == 13
        for truth in running.account["threads"]:
            mine = [t for t in threads if t["ident"] == truth["ident"]]
            assert len(mine) == 1, (truth, said)
            assert mine[0]["name"] == truth["name"]
            assert mine[0]["main"] == truth["main"]
            assert mine[0]["interpreter"] == 0
            if python.minor >= (3, 11):
                assert mine[0]["tid"] == truth["tid"]
        # Blocked in read(2), outside the GIL.
        wanted = "unknown" if "freethreaded" in python.traits else "released"
        assert {t["gil"] for t in threads} == {wanted}, said
        # The collector's flag is an object of 3.7 on.
        assert {t["gc"] for t in threads} == ({0} if python.minor >= (3, 7) else {-1}), said


@pytest.mark.matrix("gil")
@pytest.mark.pythons(without={"freethreaded"})
def test_gil_holder(python, target_folder, inspect):
    with target.start(python, "named_threads.py", "--threads", "2", "--spin", "1", folder=target_folder) as running:
        seen = set()
        for _ in range(50):
            _, threads = look(inspect, running.pid)
            assert {t["gil"] for t in threads if t["name"] != "spinner"} == {"released"}
            seen |= {t["gil"] for t in threads if t["name"] == "spinner"}
        assert "holds" in seen and seen <= {"holds", "released", "waits"}, seen


@pytest.mark.matrix("gc")
@pytest.mark.pythons(since=(3, 7))
def test_collector(python, target_folder, inspect):
    with target.start(python, "named_threads.py", "--threads", "0", "--collect", "1", folder=target_folder) as running:
        seen = [look(inspect, running.pid)[1][0]["gc"] for _ in range(20)]
        assert set(seen) <= {0, 1} and seen.count(1) >= 10, seen
    with target.start(python, "named_threads.py", "--threads", "2", "--collect", "1", folder=target_folder) as running:
        seen = []
        for _ in range(20):
            threads = look(inspect, running.pid)[1]
            seen.append(([t["gc"] for t in threads if t["main"]][0], sorted({t["gc"] for t in threads if not t["main"]})))
        if python.minor >= (3, 15):  # the interpreter names the frame that collects
            assert all(others == [0] for _, others in seen) and sum(main for main, _ in seen) >= 10, seen
        else:
            assert all(pair in ((-1, [-1]), (0, [0])) for pair in seen), seen


@pytest.mark.matrix("waits")
@pytest.mark.pythons(since=(3, 11), without={"freethreaded"})  # earlier ones do not tell their OS thread ids
def test_gil_waiter(python, target_folder, inspect):
    with target.start(python, "named_threads.py", "--threads", "1", "--spin", "2", folder=target_folder) as running:
        pairs = []
        for _ in range(30):
            running.signal(signal.SIGSTOP)
            process.wait_until(lambda: all_stopped(running.pid), "all threads stopped")
            _, threads = look(inspect, running.pid)
            pairs.append(sorted(t["gil"] for t in threads if t["name"] == "spinner"))
            assert {t["gil"] for t in threads if t["name"] != "spinner"} == {"released"}
            running.signal(signal.SIGCONT)
            time.sleep(0.01)
        # Now and then the stop falls between the release by one and the wake-up of the other.
        assert pairs.count(["holds", "waits"]) >= 20, pairs
        assert ["holds", "holds"] not in pairs


@pytest.mark.matrix("subinterpreter")
@pytest.mark.pythons(since=(3, 8))
def test_subinterpreter(python, target_folder, inspect):
    with target.start(python, "named_threads.py", "--threads", "1", "--subinterpreter", "1", folder=target_folder) as running:
        made = running.account["facts"]["subinterpreter"]
        if not made:
            pytest.skip("no module to make a subinterpreter with")
        said, threads = look(inspect, running.pid)
        inside = [t for t in threads if t["interpreter"] == made["id"]]
        assert made["ident"] in [t["ident"] for t in inside], said
        outside = [t for t in threads if t["interpreter"] == 0 and t["ident"] == made["ident"]]
        assert [t["name"] for t in outside] == ["occupied"], said
        assert not any(t["main"] for t in inside), said
