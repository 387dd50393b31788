# SPDX-License-Identifier: Apache-2.0
"""pybraid dump of processes that have ended, are frozen, stopped, traced, or change meanwhile: right, or with an exit code that says why not."""
import json
import os
import re
import signal
import subprocess
import time

import pytest

from support import debugger, odd
from support.braid import python_frames, thread_of
from support.process import before_exec, read_text, state_of, task_ids, tracer_of, wait_blocked, wait_until
from support.shell import dump_json, pybraid
from support.target import start

ROUNDS = int(os.environ.get("PYBRAID_KILLS", "60"))

pytestmark = pytest.mark.matrix("odd")


def test_zombie():
    """An ended process whose parent does not care: it has no memory any more."""
    holder = odd.asleep("import os, time\npid = os.fork()\nif not pid: os._exit(0)\nprint(pid, flush=True)\ntime.sleep(1000)")
    try:
        child = next(pid for pid in odd.below(holder.pid) if pid != holder.pid)
        wait_until(lambda: state_of(child) == "Z", "a zombie")
        for options in ([], ["--consistent"], ["--no-stop"]):
            done = pybraid("dump", *options, child)
            assert done.code == 3 and str(child) in done.err and not done.out, done
        done = pybraid("dump", "--children", holder.pid)
        assert done.code == 0 and not done.err and "py  <module>" in done.out and done.out.count("Process ") == 1, done
    finally:
        odd.end(holder)


def test_the_first_thread_has_ended(target_folder):
    """pthread_exit() in main: a zombie among threads that live."""
    code = "import ctypes, threading, time\ndef lives():\n    print(flush=True); time.sleep(1000)\n" \
        "threading.Thread(target=lives).start()\ntime.sleep(0.1)\nctypes.CDLL(None).syscall(60, 0)"
    process = odd.asleep(code)
    try:
        wait_until(lambda: state_of(process.pid) == "Z", "the first thread has ended")
        other, = [tid for tid in task_ids(process.pid) if tid != process.pid]
        for options in ([], ["--consistent"], ["--no-stop"]):
            wait_blocked(other, other, ["clock_nanosleep", "select", "pselect6"])
            document = dump_json(*options, process.pid)
            thread, = [t for t in document["threads"] if t["tid"] == other]
            ended = thread_of(document, process.pid)
            assert ended["state"] == "Z" and "has ended" in ended["note"], ended
            assert "lives" in odd.names(thread) and thread["complete"], thread
    finally:
        odd.end(process)


BUSY = """
import sys, threading, time
def spin():
    print(flush=True)
    while True:
        pass
def outer():
    spin()
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
outer()
"""


def goes_on(pid):
    """It uses CPU time, nobody traces it, nothing of it is stopped."""
    def ticks():
        words = read_text("/proc/%d/stat" % pid).rpartition(")")[2].split()
        return int(words[11]) + int(words[12])
    before = ticks()
    wait_until(lambda: ticks() > before, "it runs on", timeout=10)
    for tid in task_ids(pid):
        assert state_of(pid, tid) in "RS", (tid, state_of(pid, tid))
    assert tracer_of(pid) == 0


def check_busy(document, pid):
    thread = thread_of(document, pid)
    assert odd.names(thread) == ["spin", "outer", "<module>"], thread
    return thread


def test_stopped_while_it_runs():
    """SIGSTOP in the middle of running: it is read, and still stopped."""
    process = odd.asleep(BUSY)
    try:
        os.kill(process.pid, signal.SIGSTOP)
        wait_until(lambda: state_of(process.pid) == "T", "stopped")
        for options in ([], ["--consistent"], ["-l"], ["--no-stop"]):
            thread = check_busy(dump_json(*options, process.pid), process.pid)
            assert thread["complete"] or options == ["--no-stop"], (options, thread["note"])
            # Let go, each comes out of the one stop and goes into the other: it was in none for a moment, but ran no code of its own.
            wait_until(lambda: all(state_of(process.pid, tid) == "T" for tid in task_ids(process.pid)), "stopped after %s" % options)
        os.kill(process.pid, signal.SIGCONT)
        goes_on(process.pid)
    finally:
        odd.end(process)


@pytest.mark.parametrize("folder", ["/sys/fs/cgroup/freezer", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"])
def test_frozen(folder):
    """By the cgroup freezer: nothing can be stopped, all can be read."""
    group = os.path.join(folder, "pybraid-odd-%d" % os.getpid())
    try:
        os.mkdir(group)
    except OSError as error:
        pytest.skip("no cgroup can be made in %s: %s" % (folder, error.strerror))
    switch = next((name for name in ("freezer.state", "cgroup.freeze") if os.path.exists(os.path.join(group, name))), None)
    process = None
    try:
        if switch is None:
            pytest.skip("%s is no cgroup with a freezer" % folder)
        on, off = ("FROZEN", "THAWED") if switch == "freezer.state" else ("1", "0")
        process = odd.asleep(BUSY)
        write(group, "cgroup.procs", process.pid)
        write(group, switch, on)
        state = "D" if switch == "freezer.state" else "S"
        wait_until(lambda: all(state_of(process.pid, tid) in ("D", "S") for tid in task_ids(process.pid)), "frozen in state " + state)
        for options in ([], ["--consistent"], ["-l"], ["--no-stop"]):
            begin = time.monotonic()
            check_busy(dump_json(*options, process.pid), process.pid)
            assert time.monotonic() - begin < 5
        write(group, switch, off)
        goes_on(process.pid)
    finally:
        if process:
            write(group, switch, off)
            odd.end(process)
        wait_until(lambda: removed(group), "the cgroup is empty")


def write(group, name, text):
    with open(os.path.join(group, name), "w") as stream:
        stream.write(str(text))


def removed(group):
    try:
        os.rmdir(group)
    except OSError:
        return False
    return True


def test_held_by_gdb(gdb):
    """A debugger has stopped it: it is read as it stands, without a stop of ours."""
    process = odd.asleep(BUSY)
    holder = subprocess.Popen([*gdb.launch(), "-nx", "-q", "-iex", "set debuginfod enabled off", "-p", str(process.pid)],
                              stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=before_exec())
    try:
        wait_until(lambda: all(state_of(process.pid, tid) == "t" for tid in task_ids(process.pid)), "gdb has attached", timeout=60)
        tracer = tracer_of(process.pid)
        for options in ([], ["--consistent"], ["--no-stop"]):
            thread = check_busy(dump_json(*options, process.pid), process.pid)
            if options != ["--no-stop"] and not thread["complete"]:
                assert "already traced by %d" % tracer in thread["note"], thread
            assert tracer_of(process.pid) == tracer
        holder.communicate(b"detach\nquit\n", timeout=60)
        goes_on(process.pid)
    finally:
        for one in (holder, process):
            one.kill()
            one.wait()


def test_traced_and_running():
    """strace has it: it may run, but we may not stop it. Read without a stop, and that is said."""
    process = odd.asleep(BUSY)
    holder = subprocess.Popen([odd.compiled("tracer"), *map(str, [process.pid, *task_ids(process.pid)][1:])], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, preexec_fn=before_exec())
    try:
        assert holder.stdout.readline() == b"TRACES\n"
        for options in ([], ["--consistent"], ["-l"]):
            thread = check_busy(dump_json(*options, process.pid), process.pid)
            assert thread["mode"] in ("validated", "unchecked"), thread
            assert "already traced by %d tracer" % holder.pid in thread["note"], thread["note"]
            assert pybraid("dump", "--strict", *options, process.pid).code == 6
        assert tracer_of(process.pid) == holder.pid
        holder.communicate(timeout=10)
        goes_on(process.pid)
        assert check_busy(dump_json(process.pid), process.pid)["complete"]
    finally:
        for one in (holder, process):
            one.kill()
            one.wait()


VFORK = """
import subprocess, sys, threading
def work():
    while True:
        pass
def starts():
    threading.Thread(target=work, daemon=True).start()
    print(flush=True)
    subprocess.run(["/bin/true"])
starts()
"""


def test_a_vfork_parent(record_property):
    """CPython's own subprocess, whose child has not come to its exec: the parent cannot be stopped, all the same it is read."""
    process = odd.asleep(VFORK, env=dict(os.environ, LD_PRELOAD=odd.library("slow_exec")))
    try:
        wait_until(lambda: state_of(process.pid) == "D", "a vfork parent (uninterruptible)")
        other, = [tid for tid in task_ids(process.pid) if tid != process.pid]
        for options in ([], ["--consistent"], ["-l"], ["--no-stop"]):
            begin = time.monotonic()
            document = dump_json(*options, process.pid)
            seconds = time.monotonic() - begin
            assert seconds < 3, (options, seconds)
            main = thread_of(document, process.pid)
            assert odd.names(main)[-2:] == ["starts", "<module>"] and "_execute_child" in odd.names(main), main
            assert odd.names(thread_of(document, other))[0] == "work"
            record_property("said", "vfork parent, %s: %.0f ms, %s, %s" % (options, seconds * 1000, main["mode"], main["note"]))
        # The child shares the memory of its parent.
        child = next(pid for pid in odd.below(process.pid) if pid != process.pid)
        done = pybraid("dump", "--children", process.pid)
        assert done.code == 0 and "Process %d" % process.pid in done.out, done
        assert pybraid("dump", child).code == 0
        assert state_of(process.pid) == "D" and state_of(process.pid, other) in "RS"
    finally:
        odd.end(process)


# What changes meanwhile

EXECS = """
import os, sys
def again(n):
    for name in ("json", "decimal", "argparse"):
        __import__(name)
    words = sys.argv[2:] + [sys.executable, __file__, str(n + 1)] + sys.argv[2:]
    os.execvp(words[0], words)
if sys.argv[1] == "0":
    print(flush=True)
again(int(sys.argv[1]))
"""


def whole(document, script):
    """Every frame is one that this program can have: nothing of two images is mixed."""
    for thread in document["threads"]:
        for frame in python_frames(thread):
            assert re.match(r"(<string>|<frozen [\w.]+>|/.*/lib/.*\.py)$", frame["file"]) or frame["file"] == script, frame
            assert frame["line"] is None or 0 <= frame["line"] < 20000, frame
        mine = [frame["func"] for frame in python_frames(thread) if frame["file"] == script]
        assert mine in ([], ["<module>"], ["again", "<module>"]), thread  # [] while it starts


@pytest.mark.parametrize("same_addresses", [False, True], ids=["random", "same"])
def test_exec_during_the_dump(same_addresses, target_folder, record_property):
    """Each program is the same as the one before, at other addresses or at the very same ones."""
    script = str(target_folder / "execs.py")
    with open(script, "w") as stream:
        stream.write(EXECS)
    process = odd.asleep("import os, sys; os.execv(sys.executable, [sys.executable] + sys.argv[1:])", script, 0,
                         *(["setarch", "-R"] if same_addresses else []))
    codes = {}
    try:
        for turn in range(ROUNDS):
            options = [[], ["--consistent"], ["-l"], ["--no-stop"]][turn % 4]
            begin = time.monotonic()
            done = pybraid("dump", "--json", *options, process.pid, timeout=20)
            assert time.monotonic() - begin < 5, done
            assert done.code in (0, 3, 5), done  # 3, 5: the old program has gone, the new one is no Python yet
            if done.code == 0:
                whole(json.loads(done.out), script)
            else:
                assert done.err.startswith("pybraid: "), done
            codes[done.code] = codes.get(done.code, 0) + 1
        assert tracer_of(process.pid) == 0 and state_of(process.pid) in "RSD"
        assert codes.get(0, 0) > 0, codes
        record_property("said", "dumps of a process that only calls exec() (%s addresses), by exit code: %s"
                        % ("the same" if same_addresses else "random", codes))
    finally:
        odd.end(process)


STORM = """
import os, sys
def storm():
    print(flush=True)
    while True:
        pids = []
        for _ in range(4):
            pids.append(os.fork())
            if not pids[-1]:
                os._exit(0)
        for pid in pids:
            os.waitpid(pid, 0)
storm()
"""


def test_fork_storm(record_property):
    """Children come and go all the time; what has gone is no failure."""
    process = odd.asleep(STORM)
    shown = 0
    try:
        for turn in range(40):
            done = pybraid("dump", "--children", *[[], ["--consistent"], ["--no-stop"], ["-p"]][turn % 4], process.pid)
            assert done.code == 0, done
            assert "storm" in done.out.partition("\n\nProcess")[0], done.out
            shown += done.out.count("Process ") - 1
        assert tracer_of(process.pid) == 0
        record_property("said", "fork storm: %d of its short children were caught by 40 dumps" % shown)
    finally:
        odd.end(process)


def test_threads_come_and_go(interpreters, target_folder):
    python = next(row for row in interpreters if row.path == "/usr/bin/python3.11" or "pyenv" in row.traits and row.minor >= (3, 8))
    with start(python, "threads.py", "--mode", "churn", folder=target_folder) as there:
        for turn in range(30):
            document = dump_json(*[[], ["--consistent"], ["--no-stop"]][turn % 3], there.pid)
            assert "churn" in odd.names(thread_of(document, there.pid))
            tids = [t["tid"] for t in document["threads"] if t["tid"] is not None]
            assert len(tids) == len(set(tids))
        debugger.assert_undisturbed(there)


DAEMON = """
import os, sys, time
def daemon():
    print(os.getpid(), flush=True)
    time.sleep(1000)
def leader():
    time.sleep(1000)
if os.fork() == 0:
    SETSID
    if os.fork() == 0:
        daemon()
    os._exit(0)
os.wait()
leader()
"""


@pytest.mark.parametrize("way", ["same session", "own session"])
def test_a_daemonised_grandchild(way):
    """Its parent has gone; as long as it is in the session, it is found below the session's leader. If not, it has a pid of its own."""
    process = odd.asleep(DAEMON.replace("SETSID", "os.setsid()" if way == "own session" else "pass"))
    daemon = None
    try:
        daemon = next(pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
                      if pid != process.pid and (cmdline(pid) == cmdline(process.pid)))
        wait_until(lambda: odd.parent_of(daemon) not in (process.pid,) and state_of(process.pid) == "S", "a daemon")
        done = pybraid("dump", "--children", process.pid)
        assert done.code == 0 and "leader" in done.out and not done.err, done
        assert ("Process %d" % daemon in done.out and "daemon" in done.out) == (way == "same session"), done.out
        alone = dump_json(daemon)
        assert odd.names(thread_of(alone, daemon))[:1] == ["daemon"]
    finally:
        if daemon:
            os.kill(daemon, signal.SIGKILL)
        odd.end(process)


def cmdline(pid):
    try:
        return read_text("/proc/%d/cmdline" % pid)
    except (FileNotFoundError, ProcessLookupError):
        return None
