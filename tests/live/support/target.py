# SPDX-License-Identifier: Apache-2.0
"""Starts a program to be observed, waits until it has said what it does, and always ends it.

    with start(interpreter, "depth.py", "--depth", "100", folder=tmp_path) as target:
        target.pid, target.account["threads"][0]["frames"]

READY is read from the target's stdout with a timeout; then each thread of the account is waited for until
the kernel shows it asleep in the system call it named. Targets die with the test run (PR_SET_PDEATHSIG).
"""
import json
import os
import select
import shutil
import signal
import subprocess
import time

from . import extension
from .process import TargetError, before_exec, wait_blocked
from .pythons import REPO

TARGETS = os.path.join(REPO, "tests", "targets")
GIGABYTE = 1 << 30
STACK_I386 = 128 << 20  # each thread gets as much, of 4 GiB


class Target:
    """A started program. `account` is its own account (None before READY), `folder` its place for files."""

    def __init__(self, interpreter, process, folder, account_path):
        self.interpreter = interpreter
        self.process = process
        self.pid = process.pid
        self.folder = folder
        self.account_path = account_path
        self.account = None
        self.errors = os.path.join(folder, "stderr")
        self._line = b""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill()

    def said(self):
        """What it wrote to stderr so far."""
        with open(self.errors, encoding="utf-8", errors="replace") as stream:
            return stream.read()[-4000:]

    def read_line(self, timeout=30.0):
        """The next line of its stdout; TargetError if it ends or stays silent."""
        deadline = time.monotonic() + timeout
        while b"\n" not in self._line:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                raise TargetError("%s: no line within %g s\n%s" % (self, timeout, self.said()))
            piece = os.read(self.process.stdout.fileno(), 4096)
            if not piece:
                code = self.process.wait(timeout=10)
                raise TargetError("%s: ended with %s before it was ready\n%s" % (self, code, self.said()))
            self._line += piece
        line, _, self._line = self._line.partition(b"\n")
        return line.decode("utf-8", "replace")

    def wait_ready(self, timeout=60.0):
        """Until READY, its account is read, and every thread of the account sleeps where it said it would."""
        line = self.read_line(timeout)
        if not line.startswith("READY "):
            raise TargetError("%s: said %r, not READY\n%s" % (self, line, self.said()))
        said = int(line.split()[1])
        if said != self.pid and os.getpgid(said) != self.process.pid:
            raise TargetError("%s: says it is %s, started as %d" % (self, line, self.pid))
        # A child that the started program forked may be the one to look at.
        self.pid = said
        if os.path.exists(self.account_path):
            self.reload()
            for thread in self.account["threads"]:
                if thread["syscall"]:
                    wait_blocked(self.pid, thread["tid"], thread["syscall"])
        return self

    def reload(self):
        """Reads the account again (a target may have renewed it)."""
        with open(self.account_path, encoding="utf-8") as stream:
            self.account = json.load(stream)
        return self.account

    def thread(self, name):
        """The account of the thread with that name."""
        hits = [thread for thread in self.account["threads"] if thread["name"] == name]
        if len(hits) != 1:
            raise TargetError("%d threads named %r" % (len(hits), name))
        return hits[0]

    @property
    def main(self):
        """The account of the main thread."""
        return next(thread for thread in self.account["threads"] if thread["main"])

    def signal(self, number):
        os.kill(self.pid, number)

    def go_on(self):
        """Writes the line to its stdin that a target such as crash.py waits for."""
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def wait(self, timeout=60.0):
        return self.process.wait(timeout=timeout)

    def kill(self):
        """Ends it and everything it started; never fails because it has gone already."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        # With large memory the kernel takes its time to write a core or to tear down.
        self.process.wait(timeout=30)
        self.process.stdout.close()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass

    def __str__(self):
        return "%s (pid %d) on %s" % (" ".join(self.process.args[-4:]), self.pid, self.interpreter)


def launch(argv, folder, account_path, interpreter=None, env=None, core=False, stack=None):
    """Starts any command as a Target (embedded hosts, gdb itself); `start` is for Python programs."""
    with open(os.path.join(folder, "stderr"), "wb") as errors:
        process = subprocess.Popen(argv, env=env, cwd=folder, stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=errors, start_new_session=True,
                                   preexec_fn=before_exec(stack, core))
    return Target(interpreter, process, folder, account_path)


def start(interpreter, script, *arguments, folder, options=(), env=None, core=False, stack=GIGABYTE,
          ready=True, path=()):
    """Starts tests/targets/SCRIPT ACCOUNT ARGUMENTS... and waits until it is ready.

    `options` go to the interpreter (-X faulthandler), `path` in front of its module search path. The tests'
    C extension is on the path wherever it can be built for this interpreter.
    """
    folder = str(folder)
    os.makedirs(folder, exist_ok=True)
    account_path = os.path.join(folder, "account.json")
    if os.path.exists(account_path):
        os.unlink(account_path)
    if not os.path.isabs(script):
        script = os.path.join(TARGETS, script)
    built = extension.folder_for(interpreter)
    environment = interpreter.environment()
    search = [*map(str, path), *([built] if built else [])]
    if search:
        environment["PYTHONPATH"] = os.pathsep.join(search)
    environment.update(env or {})
    binds = [folder, extension.BUILD, os.path.dirname(script), *map(str, path)]
    os.makedirs(extension.BUILD, exist_ok=True)
    if "i386" in interpreter.traits:
        stack = min(stack, STACK_I386)
    argv = [*interpreter.launch(*binds), *options, script, account_path, *map(str, arguments)]
    target = launch(argv, folder, account_path, interpreter, environment, core, stack)
    if ready:
        try:
            target.wait_ready()
        except BaseException:
            target.kill()
            raise
    return target


def copy_of_targets(folder):
    """The targets in another place (file names with spaces, deleted files); returns the new folder."""
    return shutil.copytree(TARGETS, os.path.join(str(folder), "targets"))


def deep(python, folder, shape, depth):
    """depth.py, its other threads no deeper than 100."""
    return start(python, "depth.py", "--depth", str(depth), "--thread-depth", str(min(depth, 100)), "--shape", shape,
                 folder=folder)
