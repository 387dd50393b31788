# SPDX-License-Identifier: Apache-2.0
"""GDB in batch mode, core files and gdbserver for the tests; all with timeouts, all cleaned up."""
import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

from . import extension
from .process import TargetError, before_exec, read_text, tracer_of
from .pythons import ENTER_ROOT, REPO, cache_folder

PLUGIN = os.path.join(REPO, "gdb", "pybraid.py")

# Nothing may wait for a user, ask the network for symbols, or cut a line.
QUIET = ["set debuginfod enabled off", "set auto-load python-scripts off",
         "set confirm off", "set pagination off", "set height 0", "set width 0", "set style enabled off"]


@dataclass(frozen=True)
class Gdb:
    """A GDB: its version text and how to start it (`launch(folders)`: folders it must see)."""

    id: str
    version: str
    root: str = ""

    def launch(self, *folders, program="gdb"):
        if not self.root:
            return [program]
        return [sys.executable, ENTER_ROOT, self.root, REPO, *folders, "--", program]


def _version(argv):
    try:
        done = subprocess.run([*argv, "--version"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=60, encoding="utf-8", errors="replace")
    except OSError:
        return None
    match = re.search(r"(\d+\.\d+)\s*$", (done.stdout.splitlines() or [""])[0])
    return match.group(1) if match else None


def gdbs():
    """The GDBs of this machine: the installed one, and that of the cached Debian root."""
    found = []
    version = _version(["gdb"])
    if version:
        found.append(Gdb("gdb-" + version, version))
    root = os.path.join(cache_folder(), "sid")
    if os.geteuid() == 0 and os.path.exists(root + "/usr/bin/gdb"):
        newer = Gdb("sid", "", root)
        version = _version(newer.launch())
        if version:
            found.append(Gdb("gdb-" + version, version, root))
    return found


def sysroot_of(interpreter):
    """What a user tells GDB about a core of a process that lived in another root; [] if it lived in ours.

    The tests' extension was only mounted in that root: it is found where it was built.
    """
    if interpreter is None or not interpreter.root:
        return []
    built = extension.folder_for(interpreter)
    return ["set sysroot " + interpreter.root, *(["set solib-search-path " + built] if built else [])]


@dataclass
class Output:
    """What a batch run left: `out` and `err` as text, `code`, `seconds`."""

    out: str
    err: str
    code: int
    seconds: float


def gdb_batch(commands, pid=None, core=None, exe=None, args=None, plugin=True, gdb=None, timeout=120, env=None,
              folders=(), first=(), symbols=True, check=True):
    """Runs gdb -nx -batch and returns its Output.

    `pid` attaches (gdb detaches at its end), `core`/`exe` open files, `args` is a whole command line to debug
    (--args). `plugin` sources gdb/pybraid.py first. `first` are commands run before attaching. `symbols`
    false keeps gdb from separate debug files, so that a stripped interpreter is really stripped. `check`
    raises TargetError if gdb is killed, times out, or exits non-zero.
    """
    argv = (gdb or Gdb("host", "")).launch(*map(str, folders))
    if not symbols:
        first = ["set debug-file-directory /nonexistent", *first]
    argv += ["-nx", "-batch"]
    for command in [*QUIET, *first]:
        argv += ["-iex", command]
    if plugin:
        argv += ["-iex", "source " + PLUGIN]
    if pid is not None:
        argv += ["-p", str(pid)]
    if core is not None:
        argv += ["-core", str(core)]
    for command in commands:
        argv += ["-ex", command]
    if args is not None:
        argv += ["--args", *map(str, args)]
    elif exe is not None:
        argv += [str(exe)]
    environment = dict(os.environ if env is None else env, LC_ALL="C.UTF-8")
    for name in list(environment):
        if name.startswith(("PYTHON", "DEBUGINFOD")):
            del environment[name]
    begin = time.monotonic()
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=environment, encoding="utf-8", errors="replace", start_new_session=True,
                               preexec_fn=before_exec())
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise TargetError("gdb took more than %g s\n%s\n%s" % (timeout, out[-3000:], err[-3000:])) from None
    done = Output(out, err, process.returncode, time.monotonic() - begin)
    if check and process.returncode != 0:
        raise TargetError("gdb ended with %d\n%s\n%s" % (process.returncode, out[-3000:], err[-3000:]))
    return done


def gcore(target, path=None, gdb=None, timeout=180):
    """A core of a living target made by GDB; returns its path. The target goes on.

    By the GDB of the target's own root, if that has one: GDB 13 takes mappings that a newer libc or Python
    has named ("[anon: glibc: pthread stack]") for files and leaves them out.
    """
    if gdb is None and target.interpreter is not None and target.interpreter.root:
        gdb = next((found for found in gdbs() if found.root == target.interpreter.root), None)
    path = str(path or os.path.join(target.folder, "gcore.core"))
    done = gdb_batch(["generate-core-file " + path], pid=target.pid, plugin=False, gdb=gdb, timeout=timeout,
                     folders=[target.folder])
    if not os.path.exists(path) or os.path.getsize(path) == 0:
        raise TargetError("gcore left no %s\n%s\n%s" % (path, done.out, done.err))
    return path


def kernel_core_obstacle():
    """Why the kernel writes no core into the working folder of a process; "" if it does."""
    pattern = read_text("/proc/sys/kernel/core_pattern").strip()
    if "/" in pattern or pattern.startswith("|") or "%" in pattern:
        return "core_pattern is %r, no plain file name (it is the machine's: not changed here)" % pattern
    return ""


def kernel_core(target, number=signal.SIGABRT, filter_mask=None, send=True, timeout=60):
    """Ends a target started with core=True by a signal and returns the kernel's core of it.

    `send` false: it dies by itself. Call `kernel_core_obstacle` first and skip with what it says.
    """
    pattern = read_text("/proc/sys/kernel/core_pattern").strip()
    if filter_mask is not None:
        with open("/proc/%d/coredump_filter" % target.pid, "w", encoding="ascii") as stream:
            stream.write("0x%x" % filter_mask)
    if send:
        target.signal(number)
    code = target.wait(timeout)
    folder = target.folder
    names = [pattern, "%s.%d" % (pattern, target.pid)]
    for name in names:
        path = os.path.join(folder, name)
        if os.path.exists(path) and os.path.getsize(path):
            return path
    raise TargetError("no core in %s (exit %s); there: %s" % (folder, code, os.listdir(folder)))


@contextlib.contextmanager
def gdbserver(target, gdb=None, timeout=30):
    """gdbserver attached to a target on the loopback; gives the address to `target remote` to.

    It is the one that belongs to `gdb`: an old server (13.1) dies of some questions of a new client (18.1).
    """
    if not shutil.which("gdbserver"):
        raise TargetError("gdbserver is not installed (Debian: gdbserver)")
    argv = (gdb or Gdb("host", "")).launch(program="gdbserver")
    argv += ["--once", "--attach", "127.0.0.1:0", str(target.pid)]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          start_new_session=True, preexec_fn=before_exec()) as server:
        try:
            yield "127.0.0.1:%d" % _listening_port(server, timeout)
        finally:
            # SIGTERM lets it detach; a client's `kill` or the end of --once may have ended it before.
            server.terminate()
            try:
                server.wait(timeout=10)
            except subprocess.TimeoutExpired:
                server.kill()


def _listening_port(server, timeout):
    seen = b""
    deadline = time.monotonic() + timeout
    while True:
        match = re.search(rb"Listening on port (\d+)", seen)
        if match:
            return int(match.group(1))
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([server.stdout], [], [], left)[0]:
            raise TargetError("gdbserver does not listen: %s" % seen.decode("utf-8", "replace"))
        piece = os.read(server.stdout.fileno(), 4096)
        if not piece:
            raise TargetError("gdbserver ended: %s" % seen.decode("utf-8", "replace"))
        seen += piece


def assert_undisturbed(target):
    """The target lives, is not traced and not stopped."""
    if target.process.poll() is not None:
        raise TargetError("%s ended with %s" % (target, target.process.returncode))
    tracer = tracer_of(target.pid)
    if tracer:
        raise TargetError("%s is still traced by %d" % (target, tracer))
    state = re.search(r"State:\s+(\S)", read_text("/proc/%d/status" % target.pid)).group(1)
    if state in "Tt":
        raise TargetError("%s is left stopped (state %s)" % (target, state))
