# SPDX-License-Identifier: Apache-2.0
"""LLDB in batch mode with our plug-in; with a timeout, cleaned up."""
import json
import os
import shutil
import signal
import subprocess

from . import extension
from .process import TargetError, before_exec
from .tools import BUILD

PLUGIN = os.environ.get("PYBRAID_LLDB_LIBRARY", os.path.join(BUILD, "lib", "liblldb-pybraid.so"))
PROGRAM = "lldb-14"


def obstacle():
    """Why LLDB cannot be tested here; "" if it can."""
    if not shutil.which(PROGRAM):
        return "no %s (Debian: lldb-14)" % PROGRAM
    if not os.path.exists(PLUGIN):
        return "%s was not built: no LLDB headers (Debian: liblldb-14-dev)" % PLUGIN
    return ""


def sysroot_of(interpreter):
    """What a user tells LLDB about a core of a process that lived in another root; [] if it lived in ours.

    With `host` instead of `remote-linux` LLDB takes our own libc for that of the core.
    """
    if interpreter is None or not interpreter.root:
        return []
    built = extension.folder_for(interpreter)
    return ["platform select --sysroot %s remote-linux" % interpreter.root,
            *(["settings append target.exec-search-paths " + built] if built else [])]


def lldb_batch(commands, pid=None, core=None, exe=None, connect=None, first=(), timeout=120, check=True):
    """Runs lldb -b and returns (stdout, stderr, exit code); LLDB ends at the first command that fails, and says so on stderr."""
    lines = ["settings set interpreter.prompt-on-quit false", "settings set use-color false", *first, "plugin load " + PLUGIN]
    if core is not None:
        lines.append("target create %s--core %s" % (exe + " " if exe else "", core))
    elif exe is not None:
        lines.append("target create " + exe)
    if pid is not None:
        lines.append("process attach -p %d" % pid)
    if connect is not None:
        lines.append("gdb-remote " + connect)
    argv = [PROGRAM, "-b", "--no-lldbinit"]
    for line in [*lines, *commands, *(["detach"] if pid is not None or connect is not None else [])]:
        argv += ["-o", line]
    environment = dict(os.environ, LC_ALL="C.UTF-8")
    for name in list(environment):
        if name.startswith(("PYTHON", "DEBUGINFOD")):
            del environment[name]
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
                               encoding="utf-8", errors="replace", start_new_session=True, preexec_fn=before_exec())
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        raise TargetError("lldb took more than %g s\n%s\n%s" % (timeout, out[-3000:], err[-3000:])) from None
    if process.returncode < 0 or (check and "error: " in err):
        raise TargetError("lldb ended with %d\n%s\n%s" % (process.returncode, out[-3000:], err[-3000:]))
    return out, err, process.returncode


def lldb_json(target, command="pystack all --json", **options):
    """The document that a command of a real LLDB writes."""
    path = os.path.join(target.folder, "lldb.json")
    if os.path.exists(path):
        os.unlink(path)
    interpreter = target.interpreter
    if interpreter is not None and interpreter.root:
        options.setdefault("exe", interpreter.path)
    out, err, _code = lldb_batch(["%s -o %s" % (command, path)], first=sysroot_of(interpreter), **options)
    assert os.path.exists(path), out[-3000:] + err[-3000:]
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)
