# SPDX-License-Identifier: Apache-2.0
"""The ways in which GDB is used: starting a program, non-stop, several inferiors, servers, a terminal, MI, filters; and
what hostile names may do to any of them."""
import os
import re
import signal
import subprocess
import time

import pytest

from support import debugger, pythons
from support.braid import gdb_json, python_frames, thread_of
from support.process import state_of, wait_until
from support.target import start
from support.terminal import Terminal

QUICK = ("debian-3.11", "pyenv-3.8", "pyenv-3.13", "sid-3.15")

STUCK = '''
import os, sys, threading, time
def hold(item):
    os.write(1, ("READY %d\\n" % os.getpid()).encode())
    while True:
        time.sleep(1000)
def outer():
    return sorted([1], key=hold)
outer()
'''

MOVES = '''
import os, threading, time
def first():
    time.sleep(0.05)
def second():
    os.getppid()
    time.sleep(0.05)
def mover():
    while True:
        first()
        second()
def still():
    time.sleep(1000)
thread = threading.Thread(target=mover, name="mover")
thread.daemon = True
thread.start()
os.write(1, ("READY %d\\n" % os.getpid()).encode())
still()
'''


def pytest_generate_tests(metafunc):
    """Every way of use on a few quick interpreters: the interpreter is not what these tests are about."""
    if "few" in metafunc.fixturenames:
        from conftest import ROWS
        chosen = metafunc.config.stash[ROWS][1]
        rows = [next((row for row in chosen if row.id.startswith(name) and "jit" not in row.traits), None) for name in QUICK]
        rows = [row for row in rows if row] or chosen[:3]
        metafunc.parametrize("few", rows, ids=[row.id for row in rows], scope="session")


def program(folder, text, name="program.py"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.fixture
def stuck(few, target_folder):
    with start(few, program(target_folder, STUCK), folder=target_folder) as target:
        yield target


def said(done):
    return done.out.split("=====\n", 1)[1].split("[Inferior 1")[0]


def names_of(text):
    return re.findall(r"^py +(\S+) ", text, re.M)


STACK = ["hold", "outer", "<module>"]


@pytest.mark.matrix("modes")
def test_started_by_gdb(few, target_folder):
    if few.root:
        pytest.skip("%s is started in a root of its own" % few.id)
    path = program(target_folder, STUCK)
    done = debugger.gdb_batch(["set breakpoint pending on", "break clock_nanosleep", "break select", "run", "echo =====\\n",
                               "py-bt-native", "kill"], args=[few.path, path], folders=[target_folder])
    assert names_of(said(done)) == STACK, done.out + done.err


@pytest.mark.matrix("modes")
def test_batch_ex(stuck):
    """As a user types it: nothing but -batch, -p and -ex."""
    done = subprocess.run(["gdb", "-batch", "-p", str(stuck.pid), "-ex", "source " + debugger.PLUGIN, "-ex", "py-bt-native"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120,
                          encoding="utf-8", env=dict(os.environ, LC_ALL="C.UTF-8", DEBUGINFOD_URLS=""))
    assert done.returncode == 0 and names_of(done.stdout) == STACK, done.stdout + done.stderr
    assert "\033" not in done.stdout
    debugger.assert_undisturbed(stuck)


@pytest.mark.matrix("modes")
def test_each_gdb(stuck, gdb):
    """The main jobs with every GDB there is."""
    done = debugger.gdb_batch(["echo =====\\n", "py-bt-native", "py-threads", "py-up", "py-locals", "py-info", "py-print sorted"],
                              pid=stuck.pid, gdb=gdb, folders=[stuck.folder])
    text = said(done)
    assert names_of(text)[:3] == STACK and "MainThread" in text and "builtin 'sorted' = <built-in function sorted>" in text
    assert re.search(r"^Python: +%d\.%d\." % stuck.interpreter.minor, text, re.M)
    document, _done = gdb_json(stuck, pid=stuck.pid, gdb=gdb)
    assert [f["func"] for f in python_frames(thread_of(document, stuck.pid))] == STACK
    with debugger.gdbserver(stuck, gdb=gdb) as address:
        done = debugger.gdb_batch(["target remote " + address, "echo =====\\n", "py-bt-native"], gdb=gdb, folders=[stuck.folder])
    assert names_of(said(done)) == STACK
    core = debugger.gcore(stuck)
    document, _done = gdb_json(stuck, core=core, exe=stuck.interpreter.path, gdb=gdb)
    thread = thread_of(document, stuck.pid)
    assert [f["func"] for f in python_frames(thread)] == STACK, thread["note"]
    # A GDB that lives in another root does not see the interpreter's files: no native frames there, and it is said.
    assert thread["complete"] or (gdb.root and re.search("native (stack ends|frames that evaluate)", thread["note"])), thread["note"]


@pytest.mark.matrix("modes")
def test_extended_remote(stuck, few):
    """A server that is told what to attach to, and attached twice."""
    with subprocess.Popen(["gdbserver", "--multi", "127.0.0.1:0"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as server:
        try:
            address = "127.0.0.1:%d" % debugger._listening_port(server, 30)
            attach = "attach %d" % stuck.pid
            done = debugger.gdb_batch(["target extended-remote " + address, "echo =====\\n", attach, "py-bt-native", "detach", attach,
                                       "py-bt-native", "py-info", "detach", "monitor exit"])
        finally:
            server.kill()
    assert names_of(done.out) == STACK * 2, done.out + done.err
    debugger.assert_undisturbed(stuck)


@pytest.mark.matrix("modes")
def test_non_stop(few, target_folder):
    """One thread stopped, one running: the stopped one is shown, the running one named; asked for itself it is an error."""
    with start(few, program(target_folder, MOVES), folder=target_folder) as target, \
            Terminal(gdb=None) as gdb:
        gdb.ask("set pagination off")
        gdb.ask("set non-stop on")
        gdb.ask("attach %d" % target.pid)
        gdb.ask("interrupt -a")
        wait_until(lambda: "t" == state_of(target.pid), "the main thread to stop")
        mover = next(tid for tid in map(int, os.listdir("/proc/%d/task" % target.pid)) if tid != target.pid)
        wait_until(lambda: "t" == state_of(target.pid, mover), "the other thread to stop")
        time.sleep(0.3)
        listed = gdb.ask("info threads")
        numbers = {int(tid): int(number) for number, tid in re.findall(r"^\*? +(\d+) .*?LWP (\d+)", listed, re.M)}
        gdb.ask("thread %d" % numbers[mover])
        gdb.ask("continue &")
        wait_until(lambda: state_of(target.pid, mover) in "SR", "the other thread to run")
        assert "is running: `interrupt` it first" in gdb.ask("py-bt-native")
        gdb.ask("thread %d" % numbers[target.pid])
        assert names_of(gdb.ask("py-bt-native")) == ["still", "<module>"]
        text = gdb.ask("py-bt-native all")
        assert names_of(text) == ["still", "<module>"], text
        assert "(%d) is running and was not read" % mover in text, text
        assert "MainThread" in gdb.ask("py-threads")
        assert state_of(target.pid, mover) in "SR"


@pytest.mark.matrix("modes")
def test_two_inferiors(target_folder):
    """Two Python versions in one GDB: each command speaks of the selected one."""
    rows = [row for row in pythons.discover()[0] if not row.root and not {"jit", "freethreaded"} & row.traits]
    one = next((row for row in rows if row.minor == (3, 8)), rows[0])
    two = next((row for row in reversed(rows) if row.minor != one.minor and row.minor >= (3, 11)), None)
    if two is None:
        pytest.skip("two different versions are needed")
    (target_folder / "one").mkdir()
    (target_folder / "two").mkdir()
    path = program(target_folder, STUCK)
    other = program(target_folder, MOVES, "other.py")
    with start(one, path, folder=target_folder / "one") as first, start(two, other, folder=target_folder / "two") as second:
        done = debugger.gdb_batch([
            "echo =====\\n", "attach %d" % first.pid, "add-inferior", "inferior 2", "attach %d" % second.pid,
            "echo <2>\\n", "py-bt-native", "py-info", "echo <1>\\n", "inferior 1", "py-bt-native", "py-info", "py-threads",
            "echo <2>\\n", "inferior 2", "py-bt-native all", "py-threads", "py-bt-native", "echo <end>\\n"])
    parts = done.out.split("=====\n", 1)[1].split("<end>")[0]
    twos, ones = parts.split("<2>\n")[1:], parts.split("<1>\n")[1].split("<2>")[0]
    twos[0] = twos[0].split("<1>")[0]
    assert names_of(ones) == STACK and names_of(twos[0]) == ["still", "<module>"]
    for text, row in ((ones, one), (twos[0], two)):
        assert re.search(r"^Python: +%d\.%d\.%d" % row.version, text, re.M), text
    assert names_of(twos[1]).count("still") == 2 and "mover" in twos[1] and "hold" not in twos[1]
    assert "mover" not in ones and re.search(r"^\* \S+ +%d +MainThread" % first.pid, ones, re.M), ones


@pytest.mark.matrix("modes")
def test_fresh_after_it_ran(few, target_folder):
    """Stop, look, let it run, stop, look: never the last stop's stack."""
    with start(few, program(target_folder, MOVES), folder=target_folder) as target:
        look = ["python print([t.ptid[1] for t in gdb.selected_inferior().threads()])", "thread apply all py-bt-native"]
        commands = ["break getppid", "continue", "echo <a>\\n", "py-bt-native", "py-locals", "tbreak clock_nanosleep", "tbreak select",
                    "continue", "echo <b>\\n", "py-bt-native", "delete", "tbreak getppid", "continue", "echo <c>\\n",
                    "py-bt-native", "py-frame"]
        done = debugger.gdb_batch(commands, pid=target.pid, check=False)
        debugger.assert_undisturbed(target)
    assert look
    a, b, c = re.split(r"<[abc]>\n", done.out)[1:]
    assert names_of(a)[:2] == ["second", "mover"], a
    assert names_of(b)[0] in ("first", "second") and names_of(b)[1] == "mover", b
    assert names_of(c)[:2] == ["second", "mover"], c


@pytest.mark.matrix("modes")
def test_interrupted_at_the_keyboard(few, target_folder):
    with start(few, program(target_folder, STUCK), folder=target_folder) as target, Terminal("-p", target.pid) as gdb:
        assert names_of(gdb.ask("py-bt-native")) == STACK
        for _turn in range(2):
            gdb.send("continue\n")
            gdb.read_until("Continuing.")
            wait_until(lambda: state_of(target.pid) == "S", "the target to go on")
            os.kill(target.pid, signal.SIGINT)
            text = gdb.read_until("(gdb) ")
            assert "SIGINT" in text
            assert names_of(gdb.ask("py-bt-native")) == STACK
        gdb.ask("handle SIGINT nopass")
        gdb.ask("detach")
        assert "attach PID" in gdb.ask("py-bt-native")


@pytest.mark.matrix("modes")
def test_target_dies_between_commands(stuck):
    with Terminal("-p", stuck.pid) as gdb:
        assert names_of(gdb.ask("py-bt-native")) == STACK
        stuck.signal(signal.SIGKILL)
        wait_until(lambda: state_of(stuck.pid) in (None, "Z", "X"), "the target to die")
        for command in ("py-bt-native", "py-threads", "py-locals", "py-bt-native all", "py-up", "py-info"):
            text = gdb.ask(command)
            assert "Traceback" not in text and "Python Exception" not in text, (command, text)
        gdb.ask("continue")
        # GDB itself may need a moment to notice.
        assert re.search("attach PID|has ended", gdb.ask("py-bt-native"))


@pytest.mark.matrix("modes")
def test_pager(few, target_folder):
    """`q` at the pager ends the command without a word, and the next command works."""
    with start(few, "depth.py", "--depth", "100", "--threads", "0", folder=target_folder) as target, \
            Terminal("-p", target.pid, height=10) as gdb:
        gdb.send("py-bt-native\n")
        page = gdb.read_until("--Type <RET>", timeout=60)
        gdb.read_until("--")
        assert page.count("\n") <= 12
        gdb.send("q\n")
        text = gdb.read_until("(gdb) ")
        assert "Traceback" not in text and "Error" not in text and "Exception" not in text, text
        assert "Python" in gdb.ask("python print('Python')")
        gdb.send("py-bt-native\n")
        gdb.read_until("--Type <RET>")
        gdb.send("c\n")
        assert "<module>" in gdb.read_until("(gdb) ")


SLOW = '''
import time
from pybraid_gdb import session
class Slow:
    """A slow server, in effect: every read takes 20 ms."""
    def __init__(self, inferior):
        self.inferior = inferior
    def __getattr__(self, name):
        return getattr(self.inferior, name)
    def read_memory(self, *arguments):
        time.sleep(0.02)
        return self.inferior.read_memory(*arguments)
current = session.current()
current.inferior = Slow(current.inferior)
'''


@pytest.mark.matrix("modes")
@pytest.mark.parametrize("words", ["py-bt-native -l -v", "py-bt-native"])
def test_ctrl_c(few, target_folder, words):
    """During a long command: `Quit`, soon, and GDB lives on."""
    if few.minor < (3, 11):
        pytest.skip("100 000 frames need 3.11")
    with start(few, "depth.py", "--depth", "100000", "--threads", "0", "--shape", "plain", folder=target_folder) as target, \
            Terminal("-p", target.pid) as gdb:
        gdb.ask("py-info")
        gdb.ask("source " + program(target_folder, SLOW, "slow.py"))
        gdb.send(words + "\n")
        gdb.read_until("\n")
        time.sleep(1.0)
        begin = time.monotonic()
        gdb.interrupt()
        text = gdb.read_until("(gdb) ", timeout=60)
        assert time.monotonic() - begin < 5, text[-500:]
        assert "Quit" in text and "Traceback" not in text and "Exception" not in text, text[-1000:]
        gdb.ask("python current.inferior = current.inferior.inferior")
        assert len(names_of(gdb.ask("py-bt-native -p 5", timeout=120))) == 5
        debugger_lives = gdb.ask("python print(6 * 7)")
        assert "42" in debugger_lives


@pytest.mark.matrix("modes")
def test_colour(stuck):
    with Terminal("-p", stuck.pid, style=True) as gdb:
        assert "\033[" in gdb.ask("py-bt-native")
        gdb.ask("set style enabled off")
        for command in ("py-bt-native", "py-threads", "py-up", "py-locals", "py-info"):
            assert "\033" not in gdb.ask(command), command
        path = os.path.join(stuck.folder, "out")
        gdb.ask("set style enabled on")
        gdb.ask("py-bt-native -o " + path)
        with open(path, encoding="utf-8") as stream:
            assert "\033" not in stream.read()


@pytest.mark.matrix("modes")
def test_frame_filter(stuck, gdb):
    commands = ["echo =====\\n", "bt", "echo <on>\\n", "set pybraid frame-filter on", "bt", "echo <hide>\\n", "bt -hide", "echo <full>\\n",
                "bt full", "echo <raw>\\n", "bt -no-filters", "echo <few>\\n", "bt 3", "echo <off>\\n", "set pybraid frame-filter off",
                "bt"]
    done = debugger.gdb_batch(commands, pid=stuck.pid, gdb=gdb, folders=[stuck.folder])
    plain, on, hide, full, raw, few, off = re.split(r"<\w+>\n(?=#)", said(done))
    assert plain == raw == off
    filtered = re.compile(r" in py (\S+) \(\) at ")
    assert filtered.findall(on) == STACK == filtered.findall(full), on
    assert re.findall(r"^#(\d+)", on, re.M) == re.findall(r"^#(\d+)", plain, re.M)
    # Hidden are the elided frames: the evaluation function, and Python frames that share it.
    assert filtered.findall(hide)[0] == "hold" and len(hide.splitlines()) < len(on.splitlines())
    assert filtered.findall(few) == filtered.findall(on)[:len(filtered.findall(few))]
    assert "Python Exception" not in done.err and "pybraid: no" not in done.err, done.err


@pytest.mark.matrix("modes")
def test_machine_interface(stuck):
    """MI's own frames stay as they are until filters are asked for on both sides; our command's output is a console stream."""
    lines = ["-stack-list-frames", "-enable-frame-filters", "-stack-list-frames", "-interpreter-exec console \"py-bt-native\"",
             "-interpreter-exec console \"set pybraid frame-filter on\"", "-stack-list-frames", "-stack-list-frames --no-frame-filters",
             "-stack-list-frames 0 1", "-stack-info-depth", "-gdb-exit"]
    done = subprocess.run(["gdb", "-nx", "-q", "-i=mi", "-iex", "set debuginfod enabled off", "-iex", "source " + debugger.PLUGIN,
                           "-p", str(stuck.pid)], input="\n".join(lines) + "\n", stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=120, encoding="utf-8", env=dict(os.environ, LC_ALL="C.UTF-8"))
    results = [line for line in done.stdout.splitlines() if line.startswith("^done,stack")]
    assert len(results) == 5, done.stdout[-3000:] + done.stderr
    assert results[0] == results[1] == results[3]
    assert re.findall(r'func="py ([^"]+)"', results[2]) == STACK and "hold" not in results[0]
    assert results[2].count("{") > results[4].count("{") >= 2
    errors = [line for line in done.stdout.splitlines() if line.startswith("^error")]
    assert not errors and "\\e[" not in done.stdout and re.search(r'^~"py +hold', done.stdout, re.M)


HOSTILE = '''
# -*- coding: utf-8 -*-
import os, threading, time
code = compile("""
def f():
    value = "\\\\x1b[31m\\\\x07 red"
    time.sleep(1000)
f()
""", "/tmp/\\x1b[2Jevil\\x07\\n\\u202efile.py", "exec")
name = "\\x1b]0;owned\\x07\\u202e\\u2066x\\x9b31m\\r"
def renamed(c):
    parts = tuple(renamed(k) if hasattr(k, "co_code") else k for k in c.co_consts)
    c = c.replace(co_consts=parts)
    if c.co_name == "f":
        c = c.replace(co_name=name, **({"co_qualname": name} if hasattr(c, "co_qualname") else {}))
    return c
threading.current_thread().name = name
os.write(1, ("READY %d\\n" % os.getpid()).encode())
exec(renamed(code), {"time": time, name: 1})
'''


@pytest.mark.matrix("modes")
def test_hostile_names(few, target_folder):
    """Nothing that the target has named reaches the terminal as a control or direction character."""
    if few.minor < (3, 8):
        pytest.skip("CodeType.replace is 3.8's")
    with start(few, program(target_folder, HOSTILE), folder=target_folder) as target:
        from support.process import wait_blocked
        wait_blocked(target.pid, target.pid, ["clock_nanosleep", "select", "pselect6"])
        commands = ["py-bt-native", "py-bt-native -l", "py-bt-native -l -v -a all", "py-bt-native --traceback", "py-bt-native -p",
                    "py-threads", "py-frame", "py-up", "py-down", "py-locals", "py-locals -v", "py-print value", "py-info",
                    "py-list", "set pybraid frame-filter on", "bt"]
        wrapped = ["python exec(%r)" % ("try:\n gdb.execute(%r)\nexcept gdb.error as e:\n print('error', e)" % command)
                   for command in commands]
        done = debugger.gdb_batch(wrapped, pid=target.pid)
        document, _done = gdb_json(target, pid=target.pid)
    for text in (done.out, done.err):
        odd = [c for c in text if (ord(c) < 32 and c not in "\n\t") or 0x7f <= ord(c) < 0xa0 or c in "\u202e\u2066\u200f\r"]
        assert not odd, (set(odd), [line for line in text.splitlines() if set(line) & set(odd)][:5])
    assert "owned" in done.out and "evil" in done.out and "\\x1b" in done.out
    inner = python_frames(thread_of(document, target.pid))[0]
    assert inner["func"] == "\x1b]0;owned\x07\u202e\u2066x\x9b31m\r"  # JSON has the very name
