# SPDX-License-Identifier: Apache-2.0
"""pybraid dump: the target's own account, live and in cores, without a debugger; how it is read; what it prints."""
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from support import debugger
from support.braid import check_inside, check_order, compare_document, compare_thread, python_frames, thread_of
from support.process import state_of, wait_until
from support.shell import PYBRAID, dump_json, pybraid
from support.target import deep, start

REGISTERS = "native stack ends here: a sleeping thread's registers are not known"
SHAPES = [("plain", 1), ("mixed", 12), ("plain", 1000)]


def has_symbols(python):
    return "stripped" not in python.traits


@pytest.mark.wide
@pytest.mark.matrix("dump")
def test_live(python, target_folder):
    with deep(python, target_folder, "mixed", 100) as target:
        document = dump_json(target.pid)
        compare_document(python, document, target.account)
        told = {thread["tid"] for thread in target.account["threads"]}
        # stopped: only where a frame needs registers that a sleeping thread does not show, and its system call allows it
        assert {t["mode"] for t in document["threads"] if t["tid"] in told} <= {"blocked", "stopped"}
        debugger.assert_undisturbed(target)


@pytest.mark.matrix("dump")
@pytest.mark.parametrize("shape,depth", SHAPES)
@pytest.mark.parametrize("option", [[], ["-p"], ["--consistent"], ["--no-stop"]])
def test_live_depths(python, target_folder, shape, depth, option):
    with deep(python, target_folder, shape, depth) as target:
        document = dump_json(*option, target.pid)
        if option == ["--no-stop"]:
            # Where every function uses the frame pointer, or has no unwind information, a sleeping thread's unknown registers may end the
            # native stack: said, and no Python frame is lost.
            for thread in document["threads"]:
                assert thread["complete"] or thread["note"].startswith(REGISTERS), thread["note"]
                thread.update(complete=True, frames=[f for f in thread["frames"] if f["kind"] != "gap"])
        compare_document(python, document, target.account)
        if option == ["--consistent"]:
            assert {t["mode"] for t in document["threads"]} == {"stopped"}
        debugger.assert_undisturbed(target)


@pytest.mark.wide
@pytest.mark.matrix("dump")
@pytest.mark.parametrize("option", [[], ["--consistent"]])
def test_known_order(python, target_folder, option):
    """Python and C alternate as they really do, by our own unwinder."""
    with start(python, "callbacks.py", "--turns", "2", folder=target_folder) as target:
        document = dump_json(*option, target.pid)
        for told in target.account["threads"]:
            thread = thread_of(document, told["tid"])
            compare_thread(python, thread, told)
            assert check_order(python, thread, told, has_symbols(python)) >= 20
            if has_symbols(python):
                check_inside(thread)


@pytest.mark.wide
@pytest.mark.matrix("dump-core")
def test_core(python, target_folder):
    with start(python, "callbacks.py", "--turns", "2", folder=target_folder) as target:
        core = debugger.gcore(target)
        document = dump_json(core, *([python.path] if "root" in python.traits else []))
        for told in target.account["threads"]:
            thread = thread_of(document, told["tid"])
            compare_thread(python, thread, told)
            assert check_order(python, thread, told, has_symbols(python)) >= 20


@pytest.mark.matrix("dump")
@pytest.mark.pythons(since=(3, 11))
def test_a_hundred_thousand_frames(python, target_folder):
    with start(python, "depth.py", "--depth", "100000", "--threads", "0", "--shape", "plain",
               folder=target_folder) as target:
        compare_document(python, dump_json(target.pid), target.account)


@pytest.mark.matrix("dump")
def test_a_running_target_goes_on(python, target_folder):
    """spin.py never sleeps: stopped for a moment, many times, and it runs on, untraced, with all that it was sent."""
    with start(python, "spin.py", folder=target_folder) as target:
        for _ in range(20):
            thread = thread_of(dump_json(target.pid), target.pid)
            assert thread["mode"] in ("stopped", "blocked"), thread["note"]
            assert python_frames(thread) and thread["complete"], thread["note"]
        before = cpu_ticks(target.pid)
        time.sleep(0.3)
        assert cpu_ticks(target.pid) > before
        debugger.assert_undisturbed(target)


def cpu_ticks(pid):
    with open("/proc/%d/stat" % pid, encoding="ascii", errors="replace") as stream:
        words = stream.read().rpartition(")")[2].split()
    return int(words[11]) + int(words[12])


WAITS = r"""
import ctypes, os, select, signal, socket, struct, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
def epoll():
    empty = select.epoll()
    libc.epoll_wait(empty.fileno(), ctypes.create_string_buffer(64), 1, -1)
def sigwait():
    libc.sigwaitinfo(ctypes.byref((ctypes.c_ulong * 16)(1 << (signal.SIGUSR2 - 1))), None)
def receive():
    a, b = socket.socketpair()
    a.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 500, 0))
    libc.recv(a.fileno(), ctypes.create_string_buffer(8), 8, 0)
def run(wait):
    ctypes.set_errno(0)
    wait()
    os.write(1, b"%s %d\n" % (wait.__name__.encode(), ctypes.get_errno()))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
for wait in (epoll, sigwait, receive):
    threading.Thread(target=run, args=(wait,), daemon=True).start()
os.write(1, b"READY\n")
threading.Event().wait()
"""


@pytest.mark.matrix("dump")
@pytest.mark.pythons(since=(3, 6), without={"root"})
def test_waits_are_not_interrupted(python):
    """epoll_wait, sigwaitinfo and recv with a timeout fail with EINTR after any stop, however short: none is made."""
    times = int(os.environ.get("PYBRAID_WAITS", "40"))
    with subprocess.Popen([python.path, "-c", WAITS], stdout=subprocess.PIPE, env={**os.environ, **python.env}) as child:
        try:
            assert child.stdout.readline() == b"READY\n"
            wait_until(lambda: [s for s in states(child.pid)] == ["S"] * 4, "four sleeping threads")
            for _ in range(times):
                document = dump_json(child.pid)
                assert len(document["threads"]) == 4
                for thread in document["threads"]:
                    if thread["syscall"] in ("epoll_wait", "rt_sigtimedwait", "recvfrom"):
                        assert thread["mode"] == "blocked", thread["note"]
                        assert any(f["name"] == "run" for f in python_frames(thread))
            os.set_blocking(child.stdout.fileno(), False)
            assert child.stdout.read() is None, "a wait came back"
        finally:
            child.kill()


def states(pid):
    return [state_of(pid, int(tid)) for tid in os.listdir("/proc/%d/task" % pid)]


@pytest.mark.matrix("dump")
def test_locals(python, target_folder):
    with deep(python, target_folder, "plain", 12) as target:
        frames = python_frames(thread_of(dump_json("-l", target.pid), target.pid))
        assert any(local["repr"] for frame in frames for local in frame["locals"])
        assert all("locals" not in f for f in python_frames(thread_of(dump_json(target.pid), target.pid)))


@pytest.mark.matrix("dump")
def test_text(python, target_folder):
    with deep(python, target_folder, "mixed", 12) as target:
        done = pybraid("dump", target.pid)
        assert done.code == 0 and done.err == ""
        assert done.out.startswith("Process %d (Python %d.%d." % (target.pid, *python.minor))
        assert re.search(r'^Thread %d \(idle in \w+.*\): "MainThread"$' % target.pid, done.out, re.M), done.out
        for frame in target.main["frames"][:5]:
            assert frame["name"] in done.out
        assert "\x1b" not in done.out
        assert "\x1b[" in pybraid("dump", "--color=always", target.pid).out
        # File "x.py", line 3, in f: outermost first
        lines = pybraid("dump", "-p", "--traceback", "--tid", target.pid, target.pid).out.splitlines()
        places = [line for line in lines if line.startswith("  File ")]
        assert len(places) == len(target.main["frames"])
        innermost = target.main["frames"][0]
        assert places[-1].endswith('line %d, in %s' % (innermost["line"], innermost["name"]))


@pytest.mark.matrix("dump")
def test_equal_stacks_are_shown_once(python, target_folder):
    with start(python, "depth.py", "--depth", "5", "--threads", "6", "--shape", "plain", folder=target_folder) as target:
        grouped, single = pybraid("dump", target.pid).out, pybraid("dump", "--no-group", target.pid).out
        assert len(re.findall(r"^Thread ", single, re.M)) == len(target.account["threads"])
        assert len(grouped) <= len(single)
        for thread in target.account["threads"]:
            assert str(thread["tid"]) in grouped


def program(text):
    return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE)


def test_a_stopped_process_stays_stopped():
    with program("import time; print(flush=True); time.sleep(600)") as child:
        child.stdout.readline()
        child.send_signal(signal.SIGSTOP)
        wait_until(lambda: state_of(child.pid) == "T", "stopped")
        for options in ([], ["--consistent"], ["-l"], ["--no-stop"]):
            thread = thread_of(dump_json(*options, child.pid), child.pid)
            assert thread["complete"] and python_frames(thread), (options, thread["note"])
            # Let go, it comes out of the one stop and goes into the other: for a moment it is in none.
            wait_until(lambda: state_of(child.pid) == "T", "still stopped after %s" % options)
        child.send_signal(signal.SIGCONT)
        wait_until(lambda: state_of(child.pid) == "S", "asleep again")
        child.kill()


@pytest.mark.parametrize("words,code,said", [
    ([], 2, "a process id or a core file"),
    (["--nonsense", "1"], 2, "no option --nonsense"),
    (["-n", "0", "1"], 2, "--limit"),
    (["--color=pink", "1"], 2, "--color"),
    (["--consistent", "--no-stop", "1"], 2, "exclude each other"),
    (["999999999"], 3, "999999999"),
    (["/no/such/core"], 3, "/no/such/core"),
    (["/etc/passwd"], 5, "/etc/passwd"),
])
def test_usage_and_absence(words, code, said):
    done = pybraid("dump", *words)
    assert (done.code, said in done.err, done.out) == (code, True, ""), done


def test_not_a_python():
    with subprocess.Popen(["sleep", "100"]) as child:
        done = pybraid("dump", child.pid)
        child.kill()
    assert done.code == 5 and str(child.pid) in done.err and done.out == "", done


def test_several_targets_and_children(tmp_path):
    text = "import subprocess, sys, time\np = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n" \
        "q = subprocess.Popen(['sleep', '600'])\nprint(flush=True); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, start_new_session=True) as child:
        child.stdout.readline()
        time.sleep(0.5)
        done = pybraid("dump", "--json", "--children", child.pid)
        one = pybraid("dump", "--children", child.pid)
        os.killpg(child.pid, signal.SIGKILL)
    assert done.code == 0 and len(done.out.splitlines()) == 2, done
    assert one.out.count("Process ") == 2 and "not a" in one.err.lower() or "no CPython" in one.err, one
    assert one.code == 0


def test_a_full_disk_is_said_once():
    with program("import time; print(flush=True); time.sleep(600)") as child:
        child.stdout.readline()
        done = pybraid("dump", "-o", "/dev/full", child.pid)
        closed = subprocess.run("'%s' dump %d | head -c 1" % (PYBRAID, child.pid), shell=True,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8")
        child.kill()
    assert done.code == 1 and done.err.count("No space left") == 1, done
    assert closed.stderr == "", closed
