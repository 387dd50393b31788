# SPDX-License-Identifier: Apache-2.0
"""pybraid dump is killed, or its target ends, at a random moment: nothing is left stopped or traced, no signal is lost, nothing hangs.

The truth is the target's (its counters, its log of signals) and the kernel's. PYBRAID_KILLS=1000 makes the counts of the soak run.
"""
import ctypes
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time

import pytest

from support import odd
from support.process import before_exec, read_text, state_of, task_ids, tgkill, tracer_of, wait_until
from support.shell import PYBRAID, dump_json
from support.target import start

ROUNDS = int(os.environ.get("PYBRAID_KILLS", "60"))
OPTIONS = [[], ["--consistent"], ["-l"], ["--consistent", "--json"], ["-p"]]
RUNNING = 3
RELOAD = signal.SIGRTMIN + 3  # as odd/serials.c has it

pytestmark = pytest.mark.matrix("kills")
_libc = ctypes.CDLL(None, use_errno=True)


def patience(seconds):
    """So long it may take on a machine that has nothing else to do."""
    return seconds * max(1.0, os.getloadavg()[0] / os.cpu_count())


class Sender(threading.Thread):
    """Queues real-time signals with serial numbers until it is told to stop."""

    def __init__(self, pid):
        super().__init__()
        self.pid, self.sent, self.enough, self.failed = pid, 0, threading.Event(), None

    def run(self):
        while not self.enough.is_set():
            if _libc.sigqueue(self.pid, RELOAD, ctypes.c_void_p(self.sent)) == 0:
                self.sent += 1
            elif ctypes.get_errno() != 11:  # EAGAIN: the queue is full
                self.failed = os.strerror(ctypes.get_errno())
                return
            time.sleep(0.0002)


def signals_of(path):
    """The serial numbers that the target has logged, in their order."""
    with open(path, "rb") as stream:
        count, = struct.unpack("Q", stream.read(8))
        return list(struct.unpack("%di" % count, stream.read(4 * count)))


def counts_of(path):
    with open(path, "rb") as stream:
        return struct.unpack("%dQ" % RUNNING, stream.read(8 * RUNNING))


def is_free(pid):
    return all(tracer_of_thread(pid, tid) == 0 and state_of(pid, tid) != "t" for tid in task_ids(pid))


def tracer_of_thread(pid, tid):
    text = read_text("/proc/%d/task/%d/status" % (pid, tid))
    return int(text.partition("TracerPid:")[2].split()[0])


def mark_of(pid):
    try:
        with open("/proc/%d/environ" % pid, "rb") as stream:
            return stream.read()
    except OSError:
        return b""


def of_ours(mark):
    """The processes of a dump that were left behind."""
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if mark in mark_of(pid) and state_of(pid) != "Z"]


def kill_at_random(rng, dump, target, longest):
    """At any moment; in every second round while it holds a thread. True if it did."""
    if rng.random() < 0.5:
        time.sleep(rng.random() * longest)
        held = False
    else:
        tids = task_ids(target)
        while dump.poll() is None and not any(tracer_of_thread(target, tid) for tid in tids):
            pass
        time.sleep(rng.choice([0, 0, 0.00005, 0.0002]))
        held = any(tracer_of_thread(target, tid) for tid in tids)
    dump.kill()
    return dump.wait() == -signal.SIGKILL and held


def test_killed_while_it_dumps(interpreters, target_folder, record_property):
    python = next(row for row in interpreters if row.minor >= (3, 8) and row.facts["ctypes"] and not row.root)
    rng = random.Random()
    mark = "PYBRAID_TEST_MARK=%d.%d" % (os.getpid(), rng.randrange(1 << 30))
    env = dict(os.environ, **dict([mark.split("=")]))
    held = slowest = 0
    with start(python, "busy.py", "--running", RUNNING, "--sleeping", "3", "--signals", odd.library("serials"), folder=target_folder) as there:
        begin = time.monotonic()
        dump_json(there.pid)
        longest = time.monotonic() - begin
        sender = Sender(there.pid)
        sender.start()
        try:
            for turn in range(ROUNDS):
                stopped = turn % 6 == 5
                if stopped:
                    os.kill(there.pid, signal.SIGSTOP)
                    wait_until(lambda: all(state_of(there.pid, tid) == "T" for tid in task_ids(there.pid)), "SIGSTOP works")
                    halted = counts_of(there.account_path + ".counts")
                dump = subprocess.Popen([PYBRAID, "dump", *OPTIONS[turn % len(OPTIONS)], str(there.pid)], env=env, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                held += kill_at_random(rng, dump, there.pid, longest)
                begin = time.monotonic()
                wait_until(lambda: is_free(there.pid), "nobody traces it", timeout=10, every=0.0002)
                slowest = max(slowest, time.monotonic() - begin)
                if stopped:
                    # Let go, the kernel has each of them come out of the one stop and go into the other.
                    wait_until(lambda: all(state_of(there.pid, tid) == "T" for tid in task_ids(there.pid)), "it is still stopped")
                    assert counts_of(there.account_path + ".counts") == halted, "it ran meanwhile"
                    os.kill(there.pid, signal.SIGCONT)
                before = counts_of(there.account_path + ".counts")
                wait_until(lambda: all(now > then for now, then in zip(counts_of(there.account_path + ".counts"), before)), "all threads run")
        finally:
            sender.enough.set()
            sender.join()
        assert sender.failed is None
        path = there.account_path + ".signals"
        wait_until(lambda: len(signals_of(path)) >= sender.sent, "%d signals" % sender.sent)
        time.sleep(0.05)
        assert sorted(signals_of(path)) == list(range(sender.sent)), "a signal was lost, or came twice"
        wait_until(lambda: not of_ours(mark.encode()), "what dump started has ended", timeout=5)
    assert held > ROUNDS // 10, "hardly a kill came while a thread was held: %d" % held
    assert sender.sent > ROUNDS
    record_property("said", "dump killed %d times, %d times while it held a thread; %d signals, each came once; free after %.1f ms at the most"
                    % (ROUNDS, held, sender.sent, slowest * 1000))


# Forks a target for each line; it ends as the signal says that it gets.
NURSERY = """
import os, signal, sys, threading, time
def work():
    while True:
        pass
def target():
    for function in (work, work):
        threading.Thread(target=function, daemon=True).start()
    threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
    signal.signal(signal.SIGUSR1, lambda *_: os._exit(3))
    signal.signal(signal.SIGUSR2, lambda *_: sys.exit(4))
    signal.signal(signal.SIGALRM, lambda *_: os.execv("/bin/sleep", ["sleep", "1000"]))
    os.write(1, b"%d\\n" % os.getpid())
    while True:  # a handler's moment may be just before a sleep begins: so none is for long
        time.sleep(0.05)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    if os.fork() == 0:
        target()
"""
ENDS = [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGABRT]


def test_target_ends_during_the_dump(record_property):
    rng, codes, slowest = random.Random(), {}, 0
    nursery = subprocess.Popen([sys.executable, "-c", NURSERY], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
                               preexec_fn=before_exec(), env=dict(os.environ, PYTHONUNBUFFERED="1"))
    try:
        for turn in range(ROUNDS):
            nursery.stdin.write(b"\n")
            nursery.stdin.flush()
            pid = int(nursery.stdout.readline())
            options = OPTIONS[turn % len(OPTIONS)]
            if turn < len(OPTIONS):  # how long one takes
                begin = time.monotonic()
                dump_json(pid)
                longest = time.monotonic() - begin
            dump = subprocess.Popen([PYBRAID, "dump", *options, str(pid)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE)
            time.sleep(rng.random() * longest)
            how = ENDS[turn % len(ENDS)]
            # To its main thread: the kernel gives one for the process to another while that is held, and Python wakes only main for its handlers.
            tgkill(pid, pid, how)
            begin = time.monotonic()
            out, err = dump.communicate(timeout=30)
            slowest = max(slowest, time.monotonic() - begin)
            assert dump.returncode in ((0, 3, 5) if how == signal.SIGALRM else (0, 3)), (how, options, dump.returncode, err)
            assert dump.returncode == 0 or err.startswith(b"pybraid: "), (how, err)
            codes[dump.returncode] = codes.get(dump.returncode, 0) + 1
            if how == signal.SIGALRM:
                wait_until(lambda: read_text("/proc/%d/comm" % pid) == "sleep\n", "exec", timeout=20)
                assert tracer_of(pid) == 0 and state_of(pid) in "RSD"
                os.kill(pid, signal.SIGKILL)
            wait_until(lambda: state_of(pid) in (None, "Z"), "the end of %d by %s, dumped with %s" % (pid, how, options), timeout=20)
    finally:
        os.killpg(nursery.pid, signal.SIGKILL)
        nursery.wait()
        nursery.stdin.close()
        nursery.stdout.close()
    assert codes.get(3, 0) > 0, codes
    assert slowest < patience(1), slowest
    record_property("said", "dump of %d targets that end meanwhile, by exit code: %s; over after %.0f ms at the most"
                    % (ROUNDS, codes, slowest * 1000))
