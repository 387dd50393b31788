# SPDX-License-Identifier: Apache-2.0
"""What the kernel says about a process, and helpers for processes of the tests' own."""
import ctypes
import os
import resource
import signal
import time

PR_SET_PDEATHSIG = 1

# System calls in which targets block, by number (x86_64, then aarch64).
SYSCALLS = {
    "x86_64": {"read": 0, "poll": 7, "select": 23, "pause": 34, "nanosleep": 35, "futex": 202,
               "clock_nanosleep": 230, "epoll_wait": 232, "pselect6": 270, "ppoll": 271, "wait4": 61, "tgkill": 234,
               "rt_sigtimedwait": 128},
    "aarch64": {"read": 63, "nanosleep": 101, "futex": 98, "clock_nanosleep": 115, "pselect6": 72,
                "ppoll": 73, "wait4": 260, "tgkill": 131, "rt_sigtimedwait": 137},
}[os.uname().machine]

# Those of a 32-bit process on x86_64, with the ones of 64-bit time.
SYSCALLS_I386 = {"read": (3,), "poll": (168,), "select": (142,), "pause": (29,), "nanosleep": (162,), "futex": (240, 422),
                 "clock_nanosleep": (267, 407), "epoll_wait": (256,), "pselect6": (308, 413), "ppoll": (309, 414),
                 "wait4": (114,), "rt_sigtimedwait": (177, 421)}

_libc = ctypes.CDLL(None, use_errno=True)


class TargetError(Exception):
    """A target did not do what it had to; the message has its output."""


def before_exec(stack_bytes=None, core=False):
    """A preexec function: die with the test run, a group of its own, and the limits asked for."""
    def prepare():
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if stack_bytes:
            hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
            soft = stack_bytes if hard == resource.RLIM_INFINITY else min(stack_bytes, hard)
            resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))
        if core:
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return prepare


def tgkill(pid, tid, number):
    """A signal for one thread."""
    if _libc.syscall(ctypes.c_long(SYSCALLS["tgkill"]), pid, tid, number) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), "tgkill(%d, %d, %d)" % (pid, tid, number))


def read_text(path):
    with open(path, encoding="utf-8", errors="replace") as stream:
        return stream.read()


def task_ids(pid):
    return sorted(int(name) for name in os.listdir("/proc/%d/task" % pid))


def syscall_of(pid, tid):
    """The number of the system call a thread sleeps in; None while it runs or if it has gone."""
    try:
        word = read_text("/proc/%d/task/%d/syscall" % (pid, tid)).split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(word[0]) if word and word[0].lstrip("-").isdigit() else None


def state_of(pid, tid=None):
    """One letter: R, S, D, T, t, Z; None if it has gone."""
    try:
        text = read_text("/proc/%d/task/%d/stat" % (pid, tid or pid))
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text.rpartition(")")[2].split()[0]


def tracer_of(pid):
    """The pid of the process that traces it, 0 for none."""
    for line in read_text("/proc/%d/status" % pid).splitlines():
        if line.startswith("TracerPid:"):
            return int(line.split()[1])
    raise TargetError("no TracerPid in the status of %d" % pid)


def wait_until(condition, what, timeout=20.0, every=0.002):
    """Polls a condition on facts that send no event (/proc); TargetError when it does not come true."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TargetError("waited %g s in vain: %s" % (timeout, what))
        time.sleep(every)


def is_i386(pid):
    """Whether a process on x86_64 runs a 32-bit program: its calls have other numbers."""
    with open("/proc/%d/exe" % pid, "rb") as stream:
        return os.uname().machine == "x86_64" and stream.read(5) == b"\x7fELF\x01"


def wait_blocked(pid, tid, names, timeout=20.0):
    """Until a thread sleeps in one of the named system calls."""
    if is_i386(pid):
        numbers = {number for name in names for number in SYSCALLS_I386.get(name, ())}
    else:
        numbers = {SYSCALLS[name] for name in names if name in SYSCALLS}
    what = "thread %d of %d in %s" % (tid, pid, "/".join(names))
    wait_until(lambda: syscall_of(pid, tid) in numbers, what, timeout)
