# SPDX-License-Identifier: Apache-2.0
"""py-bt-native where stacks are odd: subinterpreters, greenlets, signal stacks, embedding programs, threads at the edges
of their lives, JIT code, builds without symbols."""
import os
import re
import socket
import time
from types import SimpleNamespace

import pytest

from support import debugger, embedded
from support import target as targets
from support.braid import (between, check_order, compare_thread, gaps, gdb_json, ours, python_frames, theirs,
                           thread_of)
from support.process import wait_blocked
from support.pythons import packages_for
from support.target import TARGETS, start


def has_symbols(python):
    return "stripped" not in python.traits


def natives(thread):
    return [frame for frame in thread["frames"] if frame["kind"] == "native"]


def bt_numbers(text):
    """How many frames plain `bt` showed, and the pcs of those for which it printed one."""
    rows = re.findall(r"^#(\d+) +(0x[0-9a-f]+ in )?", text, re.M)
    assert [int(number) for number, _pc in rows] == list(range(len(rows))), text
    return len(rows), {int(number): int(pc.split()[0], 16) for number, pc in rows if pc}


def check_like_bt(thread, text):
    mine = natives(thread)
    count, pcs = bt_numbers(text)
    assert len(mine) == count, (len(mine), count)
    assert [frame["number"] for frame in mine] == list(range(count))
    for number, pc in pcs.items():
        assert int(mine[number]["pc"], 16) == pc


def after_mark(text):
    return text.split("=====\n", 1)[1].split("[Inferior 1")[0]


def same_frames(python, thread, told):
    """Python frames alone: name, file, line; also of threads whose name or ident is not told."""
    mine = [ours(frame)[:3] for frame in python_frames(thread)]
    assert mine == [theirs(python, frame)[:3] for frame in told["frames"]]


# Two thread states on one thread

@pytest.mark.matrix("special")
@pytest.mark.parametrize("core", [False, True], ids=["live", "core"])
def test_subinterpreter_on_the_main_thread(python, target_folder, core):
    with start(python, "subinterp.py", folder=target_folder) as target:
        facts = target.account["facts"]
        if "absent" in facts:
            pytest.skip("no subinterpreter: " + facts["absent"])
        told = target.main
        if core:
            document, _done = gdb_json(target, core=debugger.gcore(target), exe=python.path, symbols=has_symbols(python))
        else:
            document, _done = gdb_json(target, pid=target.pid, symbols=has_symbols(python))
    thread = thread_of(document, told["tid"])
    assert thread["complete"] and not gaps(thread), (thread["note"], gaps(thread))
    same_frames(python, thread, told)
    inner = facts["inner_id"]
    for mine, truth in zip(python_frames(thread), told["frames"]):
        if python.minor < (3, 7):
            assert mine["interpreter"] in (None, 0 if truth["interpreter"] == 0 else None)  # interpreters have no id there
        elif truth["interpreter"] == 0 or inner >= 0:
            assert mine["interpreter"] == truth["interpreter"], (mine, truth["interpreter"])
        else:
            assert mine["interpreter"] not in (0, None), mine
    assert thread["interpreter"] == python_frames(thread)[0]["interpreter"]
    crossing = [f for f in told["frames"]].index(next(f for f in told["frames"] if f["interpreter"] == 0))
    hop = between(thread)[crossing - 1]
    # Between the inner interpreter's outermost frame and the outer one's innermost lies the C that made one run the other.
    assert [frame for frame in hop if not frame["plumbing"]] or not has_symbols(python), hop


# Greenlets

@pytest.mark.matrix("special")
@pytest.mark.parametrize("current", [0, 1, 2])
def test_greenlets(python, target_folder, current):
    with start(python, "greenlets.py", "--current", current, folder=target_folder, path=packages_for(python)) as target:
        facts, told = target.account["facts"], None
        if "absent" in facts:
            pytest.skip("no greenlet for %s" % python.id)
        told = target.main
        document, done = gdb_json(target, pid=target.pid, symbols=has_symbols(python))
        debugger.assert_undisturbed(target)
    thread = thread_of(document, told["tid"])
    same_frames(python, thread, told)
    names = {frame["func"] for frame in python_frames(thread)}
    assert not names & set(facts["others"])
    if not thread["complete"] or gaps(thread):
        assert all(len(note) > 10 for note in gaps(thread)) and (thread["note"] or gaps(thread))
    # What is placed is placed right: the call through sorted() has list.sort's C between key and body.
    if current == 1 and has_symbols(python):
        key = next(i for i, f in enumerate(told["frames"]) if f["name"] == "key")
        hop = [frame["name"] or "" for frame in between(thread)[key]]
        assert any("sort" in name for name in hop), hop


# Crashes

@pytest.mark.matrix("special")
@pytest.mark.parametrize("options", [(), ("-X", "faulthandler")], ids=["plain", "faulthandler"])
def test_crash(python, target_folder, options):
    if options and python.minor < (3, 3):
        pytest.skip("no faulthandler before 3.3")
    if not python.facts["ctypes"]:
        pytest.skip("%s has no ctypes to crash with" % python.id)
    obstacle = debugger.kernel_core_obstacle()
    if obstacle:
        pytest.skip(obstacle)
    with start(python, "crash.py", folder=target_folder, core=True, options=options) as target:
        told = target.main
        target.go_on()
        core = debugger.kernel_core(target, send=False)
        document, done = gdb_json(target, core=core, exe=python.path, symbols=has_symbols(python),
                                  before=["echo =====\\n", "bt"])
    thread = thread_of(document, told["tid"])
    mine = python_frames(thread)
    # ctypes.string_at is Python up to 3.13: one frame more than the target could tell
    extra = [frame for frame in mine if frame["func"] == "string_at"]
    assert len(extra) <= 1 and mine[:len(extra)] == extra
    mine = mine[len(extra):]
    assert [ours(f)[:3] for f in mine] == [theirs(python, f)[:3] for f in told["frames"]]
    assert thread["complete"] and not gaps(thread), (thread["note"], gaps(thread))
    check_like_bt(thread, after_mark(done.out))
    frames = thread["frames"]
    first = frames.index(python_frames(thread)[0])
    signals = [i for i, f in enumerate(frames) if f["name"] == "<signal handler called>"]
    if options:
        assert signals and signals[0] < first, [f["name"] for f in frames[:12]]
    assert all(i < first for i in signals)
    if has_symbols(python):
        assert any("string_at" in (f["name"] or "") or "strlen" in (f["name"] or "") for f in frames[:first]), \
            [f["name"] for f in frames[:first]]


@pytest.mark.matrix("special")
@pytest.mark.pythons(since=(3, 6), without={"root"})
def test_crash_seen_under_gdb(python, target_folder):
    """At the stop itself, then as gcore's core of that stop: faulthandler's second signal, on its signal stack."""
    if not python.facts["ctypes"]:
        pytest.skip("%s has no ctypes to crash with" % python.id)
    core, account = os.path.join(str(target_folder), "stop.core"), os.path.join(str(target_folder), "account.json")
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYENV")}
    target = SimpleNamespace(folder=str(target_folder), interpreter=python)
    live, done = gdb_json(target, env=env, symbols=has_symbols(python), timeout=180,
                          args=[python.path, "-X", "faulthandler", os.path.join(TARGETS, "crash.py"), account],
                          before=["run", "continue", "generate-core-file " + core])
    after, done = gdb_json(target, core=core, exe=python.path, symbols=has_symbols(python))
    for document in (live, after):
        thread = document["threads"][0]
        names = [frame["func"] for frame in python_frames(thread) if frame["func"] != "string_at"]
        assert names == ["die"] + ["down"] * 6 + ["main", "<module>"], names
        assert thread["complete"] and not gaps(thread), (thread["note"], gaps(thread))
        assert any(frame["name"] == "<signal handler called>" for frame in thread["frames"])
    assert [f["pc"] for f in natives(live["threads"][0])] == [f["pc"] for f in natives(after["threads"][0])]


# Programs that embed an interpreter

@pytest.mark.matrix("special")
@pytest.mark.parametrize("static", [False, True], ids=["shared", "static"])
def test_embedded(python, target_folder, static):
    host, reason = embedded.build(python, static)
    if host is None:
        pytest.skip(reason[:200])
    with embedded.start(python, host, "callbacks.py", folder=target_folder) as target:
        document, _done = gdb_json(target, pid=target.pid, symbols=not static)
        told = target.main
        thread = thread_of(document, told["tid"])
        compare_thread(python, thread, told)
        row = SimpleNamespace(facts=dict(python.facts, binary=host if static else python.facts["binary"]), id=python.id)
        assert check_order(row, thread, told, has_symbols(python) and not static) >= 10
        outer = [frame["name"] for frame in natives(thread)][-8:]
        assert static or ("host_inner" in outer and "host_outer" in outer), outer
        core = debugger.gcore(target)
        document, _done = gdb_json(target, core=core, exe=host, symbols=not static)
        compare_thread(python, thread_of(document, told["tid"]), told)


@pytest.mark.matrix("special")
def test_gdb_itself(target_folder):
    account = str(target_folder / "account.json")
    script = target_folder / "sleeper.py"
    script.write_text("import sys, os\nsys.path.insert(0, %r)\nimport common\n"
                      "def hold(account):\n    account.will_block_in(['read'])\n    fd = os.pipe()[0]\n"
                      "    for step in (account.record, os.read):\n        step(fd, 1)\n"
                      "sorted([common.Account(%r)], key=hold)\n" % (TARGETS, account))
    env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
    argv = ["gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex", "source %s" % script]
    with targets.launch(argv, str(target_folder), account, env=env) as target:
        target.wait_ready()
        document, _done = gdb_json(target, pid=target.pid)
        told = target.main
        row = SimpleNamespace(minor=tuple(target.account["version"][:2]), id="gdb")
        thread = thread_of(document, told["tid"])
        compare_thread(row, thread, told)
        assert document["process"]["executable"].endswith("gdb")
        assert any(frame["name"] == "list.sort" or frame["name"] == "sorted" or "sort" in (frame["name"] or "")
                   for frame in between(thread)[0]), between(thread)[0]
        assert len(document["threads"]) == len(os.listdir("/proc/%d/task" % target.pid))


UWSGI_APP = '''
import os, sys
sys.path.insert(0, %r)
import common
def view(environ):
    account = common.Account(%r)
    account.will_block_in(["read"])
    fd = os.pipe()[0]
    for step in (account.record, os.read):
        step(fd, 1)
def application(environ, start_response):
    return sorted([environ], key=view)
'''


@pytest.mark.matrix("special")
@pytest.mark.parametrize("threads", [1, 3])
def test_uwsgi(target_folder, threads):
    if not os.path.exists("/usr/bin/uwsgi-core") or not os.path.exists("/usr/lib/uwsgi/plugins/python3_plugin.so"):
        pytest.skip("uWSGI is not installed (Debian: uwsgi-core uwsgi-plugin-python3)")
    account, address = str(target_folder / "account.json"), str(target_folder / "http")
    (target_folder / "app.py").write_text(UWSGI_APP % (TARGETS, account))
    argv = ["/usr/bin/uwsgi-core", "--plugin", "python3", "--http-socket", address, "--need-app", "--wsgi-file", "app.py",
            "--master", "--processes", "1", "--threads", str(threads), "--die-on-term"]
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYENV"))}
    with targets.launch(argv, str(target_folder), account, env=env) as target, \
            socket.socket(socket.AF_UNIX) as client:
        deadline = time.monotonic() + 30
        while not os.path.exists(address) or "spawned uWSGI worker" not in target.said():
            assert target.process.poll() is None and time.monotonic() < deadline, target.said()
            time.sleep(0.02)
        client.connect(address)
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        target.wait_ready()
        document, _done = gdb_json(target, pid=target.pid)
        row = SimpleNamespace(minor=tuple(target.account["version"][:2]), id="uwsgi")
        told = target.account["threads"][0]
        compare_thread(row, thread_of(document, told["tid"]), dict(told, name=None))
        for thread in document["threads"]:
            assert thread["complete"] and not gaps(thread), (thread["tid"], thread["note"], gaps(thread))


# Threads

@pytest.mark.matrix("special")
def test_gil(python, target_folder):
    with start(python, "threads.py", "--mode", "gil", folder=target_folder) as target:
        facts = target.account["facts"]
        time.sleep(0.05)  # the waiter asks again every 5 ms: by then it waits
        document, _done = gdb_json(target, pid=target.pid, symbols=has_symbols(python))
        debugger.assert_undisturbed(target)
    for told in target.account["threads"]:
        thread = thread_of(document, told["tid"])
        expected = "holds" if told["tid"] == facts["holder"] else "waits" if told["name"] == facts["waiter"] else "released"
        if "freethreaded" in python.traits:
            expected = None
        assert thread["gil"] == expected, (told["name"], thread["gil"])
        if told["name"] == facts["waiter"]:
            assert [f["func"] for f in python_frames(thread)] == [f["name"] for f in told["frames"]]
            assert thread["name"] == told["name"]
            # GDB's own stack may end in a JIT's code: then that is said.
            ended = "jit" in python.traits and (thread["note"] or "").startswith("native stack ends here")
            assert ended or (thread["complete"] and not gaps(thread)), thread["note"]
        else:
            compare_thread(python, thread, told)


@pytest.mark.matrix("special")
def test_forked_child(python, target_folder):
    with start(python, "threads.py", "--mode", "fork", folder=target_folder) as target:
        document, _done = gdb_json(target, pid=target.pid, symbols=has_symbols(python))
        told = target.account["threads"][0]
        assert [thread["tid"] for thread in document["threads"] if thread["tid"]] == [target.pid]
        dead = [thread for thread in document["threads"] if not thread["tid"]]
        # 2.7 keeps the states of the parent's threads; whatever is kept says that it has no thread.
        assert len(dead) <= target.account["facts"]["dead"] and all(thread["note"] for thread in dead), dead
        compare_thread(python, thread_of(document, target.pid), told)


@pytest.mark.matrix("special")
def test_shutdown(python, target_folder):
    with start(python, "threads.py", "--mode", "shutdown", folder=target_folder) as target:
        facts = target.account["facts"]
        wait_blocked(target.pid, target.pid, ["futex"])
        document, _done = gdb_json(target, pid=target.pid, symbols=has_symbols(python))
        for told in target.account["threads"]:
            compare_thread(python, thread_of(document, told["tid"]), told)
        thread = thread_of(document, target.pid)
    assert thread["complete"] and not gaps(thread), (thread["note"], gaps(thread))
    mine = [frame["func"] for frame in python_frames(thread)]
    # It was seen on its way into the wait: the outer frames are those, an inner one may have come since.
    assert mine[len(mine) - len(facts["main_names"]):] == facts["main_names"], (mine, facts["main_names"])


@pytest.mark.matrix("special")
@pytest.mark.pythons(without={"jit"})
def test_threads_that_come_and_go(python, target_folder):
    """Whatever is caught: every OS thread is listed, every stack complete or its note says why not."""
    with start(python, "threads.py", "--mode", "churn", folder=target_folder) as target:
        for _turn in range(4):
            document, done = gdb_json(target, pid=target.pid, symbols=has_symbols(python), before=["info threads"])
            listed = {int(tid) for tid in re.findall(r"LWP (\d+)", done.out)}
            tids = [thread["tid"] for thread in document["threads"]]
            assert len(set(tids) - {None}) == sum(tid is not None for tid in tids) and target.pid in tids
            # None: the state of a thread that is just being made, by its parent
            assert set(tids) <= listed | {target.pid, None}, (tids, listed)
            main = thread_of(document, target.pid)
            assert main["complete"] and python_frames(main)[-1]["func"] == "<module>", main["note"]
            for thread in document["threads"]:
                assert thread["complete"] or thread["note"], thread
                assert thread["tid"] is not None or (not thread["frames"] and thread["note"]), thread
                files = {os.path.basename(frame["file"]) for frame in python_frames(thread)}
                assert files <= {"threads.py", "threading.py", "common.py", "_weakrefset.py"}, files
        debugger.assert_undisturbed(target)


@pytest.mark.matrix("special")
@pytest.mark.pythons(having={"pyenv"})
@pytest.mark.parametrize("place", ["born", "ending"])
def test_thread_at_its_first_and_last_step(python, target_folder, place):
    function = "PyThreadState_Clear" if place == "ending" else "t_bootstrap" if python.minor < (3, 10) else "thread_run"
    with start(python, "threads.py", "--mode", "churn", folder=target_folder) as target:
        document, done = gdb_json(target, pid=target.pid, timeout=180,
                                  before=["break " + function, "continue", "python print('tid', gdb.selected_thread().ptid[1])"])
        tid = int(re.search(r"^tid (\d+)", done.out, re.M).group(1))
        thread = thread_of(document, tid)
        assert any(re.match(function, frame["name"] or "") for frame in thread["frames"][:2]), thread["frames"][:2]
        assert not python_frames(thread), python_frames(thread)
        for each in document["threads"]:
            assert each["complete"] and not gaps(each), (each["tid"], each["note"], gaps(each))


# JIT

HOT = '''
import sys, os
sys.path.insert(0, %r)
from common import Account, parse
def leaf(account, number, last):
    if number == last:
        account.will_block_in(["read"])
        fd = os.pipe()[0]
        for step in (account.record, os.read):
            step(fd, 1)
    return number
def warm(account, last):
    total = 0
    for number in range(last + 1):
        total += leaf(account, number, last)
    return total
def nested(account, last):
    return max([last], key=lambda number: warm(account, number))
nested(Account(parse({})[0]), 30000)
'''


@pytest.mark.matrix("special")
@pytest.mark.pythons(since=(3, 13), having={"jit"})
@pytest.mark.parametrize("core", [False, True], ids=["live", "core"])
def test_jit(python, target_folder, core):
    program = target_folder / "hot.py"
    program.write_text(HOT % TARGETS)
    with start(python, str(program), folder=target_folder) as target:
        told = target.main
        options = {"core": debugger.gcore(target), "exe": python.path} if core else {"pid": target.pid}
        document, _done = gdb_json(target, symbols=has_symbols(python), **options)
    thread = thread_of(document, told["tid"])
    same_frames(python, thread, told)
    if not thread["complete"]:  # GDB's own stack may end in code without unwind information: then that is said
        assert thread["note"].startswith("native stack ends here"), thread["note"]


# Without symbols

BUILTINS = '''
import os, re, time
def sleep(item):
    os.write(1, ("READY %d\\n" % os.getpid()).encode())
    time.sleep(1000)
def replace(match):
    [match].sort(key=sleep)
    return ""
def substitute(item):
    re.compile("a").sub(replace, "bab")
def start():
    sorted([1], key=substitute)
start()
'''


@pytest.mark.matrix("special")
@pytest.mark.pythons(having={"stripped"}, without={"jit"})
@pytest.mark.parametrize("core", [False, True], ids=["live", "core"])
def test_builtins_of_a_stripped_interpreter(python, target_folder, core):
    program = target_folder / "builtins.py"
    program.write_text(BUILTINS)
    with start(python, str(program), folder=target_folder) as target:
        wait_blocked(target.pid, target.pid, ["clock_nanosleep", "select", "pselect6"])
        options = {"core": debugger.gcore(target), "exe": python.path} if core else {"pid": target.pid}
        first = debugger.sysroot_of(python) if core else []
        done = debugger.gdb_batch(["echo =====\\n", "py-bt-native", "bt"], symbols=False, folders=[target.folder], first=first,
                                  **options)
    text = after_mark(done.out).split("#0", 1)
    braid = "#0" + text[1].split("#0", 1)[0]
    plain = "#0" + text[1].split("#0", 1)[1]
    names = ["time.sleep", "sleep", "list.sort", "replace", "re.Pattern.sub", "substitute", "sorted", "start", "<module>"]
    places = {name: re.search(r"(?<![\w.])%s(?![\w.])" % re.escape(name), braid) for name in names}
    # sid's gcc has list.sort and Pattern.sub jump into their bodies (list_sort_impl, pattern_subx): the frame on the stack
    # is that of a function that no table names, and it stays unnamed.
    jumps = {"list.sort", "re.Pattern.sub"} if "root" in python.traits else set()
    missing = {name for name in names if places[name] is None}
    assert missing <= jumps, (missing, braid)
    starts = [places[name].start() for name in names if places[name]]
    assert starts == sorted(starts), braid
    assert not re.search("list.sort|Pattern.sub|time_sleep|list_sort", plain), plain
