# SPDX-License-Identifier: Apache-2.0
"""GDB: py-bt-native beside GDB's own bt and CPython's python-gdb.py; gdbserver; deep stacks; loading.

What happens in one process is measured in seconds of its CPU time, so that a busy machine does not change it;
what two do together (gdbserver) in seconds that pass. Of several runs the best counts: whatever else happens
can only add.
"""
import json
import os
import pathlib
import resource
import subprocess
import tempfile

from support import debugger
from support.process import TargetError
from support.pythons import REPO
from support.target import start

TIMES = 5
IN_GDB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "in_gdb.py")
PYTHONS = ("pyenv-3.8.18", "pyenv-3.11.7", "pyenv-3.13.0")


def steps(commands, pid=None, remote=None, plugin=True, extra=()):
    """Runs GDB once; the steps' entries."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        environment = dict(os.environ, BENCH_STEPS=json.dumps(commands), BENCH_OUT=out.name)
        first = ["set sysroot /", "target remote " + remote] if remote else []
        debugger.gdb_batch([*first, *extra, "source " + IN_GDB], pid=pid, plugin=plugin, env=environment,
                           timeout=300)
        return json.loads(pathlib.Path(out.name).read_text(encoding="utf-8"))


def best(entries, clock="cpu"):
    return min(entry[clock] for entry in entries) * 1000


def target_of(row, folder, depth=600, shape="plain"):
    arguments = ["--depth", str(depth), "--threads", "0", "--shape", shape]
    return start(row, "depth.py", *arguments, folder=pathlib.Path(folder))


def chosen(table, rows, names):
    there = {row.id: row for row in rows}
    for name in names:
        if name in there:
            yield there[name]
        else:
            table.lacks(name, "not on this machine")


def lacks_gdb(table):
    if debugger.gdbs():
        return False
    table.lacks("gdb", "not installed")
    return True


def python_gdb(row):
    """CPython's own extension for this interpreter, or None."""
    path = "%s/python%d.%d-gdb.py" % (os.path.dirname(row.path), *row.minor)
    return path if os.path.exists(path) else None


def one_stop(table, row, pid):
    fresh, ours, second, plain, cold_bt, cold_ours = [], [], [], [], [], []
    for _ in range(TIMES):
        # A stop in a GDB that has looked at this program before: symbols are read, nothing is unwound.
        done = steps(["bt", "py-bt-native", "flush", "new-stop", "bt", "flush", "new-stop", "py-bt-native",
                      "py-bt-native"], pid)
        fresh.append(done[1])
        plain.append(done[2])
        ours.append(done[3])
        second.append(done[4])
    for _ in range(2):
        cold_bt += steps(["bt"], pid)
        cold_ours += steps(["py-bt-native"], pid)
    frames = ours[0]["lines"]
    more = best(ours) - best(plain)
    name = "%d.%d" % row.minor
    table.row("gdb %s, 600 frames (%d lines)" % (name, frames), "%.1f ms" % best(ours),
              "bt %.1f ms" % best(plain), best(plain) / best(ours), "bt + 20 ms", more <= 20)
    table.row("gdb %s, first command of the session" % name, "%.1f ms" % best(cold_ours),
              "bt %.1f ms" % best(cold_bt), best(cold_bt) / best(cold_ours), "bt + 20 ms",
              best(cold_ours) - best(cold_bt) <= 20)
    table.row("gdb %s, first one, after bt" % name, "%.1f ms" % best(fresh), "", None, "20 ms",
              best(fresh) <= 20)
    table.row("gdb %s, again in the same stop" % name, "%.2f ms" % best(second), "", None, "5 ms",
              best(second) <= 5)
    peer = python_gdb(row)
    if not peer:
        table.lacks("python-gdb.py for " + row.id, "not beside the interpreter")
        return
    try:
        theirs = steps(["bt", "py-bt", "flush", "py-bt"], pid, plugin=False, extra=["source " + peer])
    except TargetError as error:
        table.lacks("python-gdb.py for " + row.id, str(error).splitlines()[-1])
        return
    table.row("gdb %s, python-gdb.py's py-bt (%d lines)" % (name, theirs[2]["lines"]), "%.1f ms" % best(ours),
              "py-bt %.0f ms" % best(theirs[1:]), best(theirs[1:]) / best(ours), "20 times",
              best(theirs[1:]) >= 20 * best(ours))


def same_stop(table, rows):
    if lacks_gdb(table):
        return
    for row in chosen(table, rows, PYTHONS):
        with tempfile.TemporaryDirectory() as folder, target_of(row, folder) as target:
            one_stop(table, row, target.pid)


def server(table, rows):
    if lacks_gdb(table):
        return
    for row in chosen(table, rows, ("pyenv-3.11.7", "pyenv-3.13.0")):
        with tempfile.TemporaryDirectory() as folder, target_of(row, folder) as target:
            plain, ours = [], []
            try:
                for _ in range(TIMES):
                    with debugger.gdbserver(target) as address:
                        plain += steps(["bt"], remote=address)
                    with debugger.gdbserver(target) as address:
                        ours += steps(["py-bt-native"], remote=address)
            except TargetError as error:
                table.lacks("gdbserver", str(error).splitlines()[0])
                return
            mine, its = best(ours, "seconds"), best(plain, "seconds")
            table.row("gdbserver %d.%d, first command, 600 frames" % row.minor, "%.0f ms" % mine,
                      "bt %.0f ms" % its, its / mine, "3 times bt", mine <= 3 * its)


def deep(table, rows):
    if lacks_gdb(table):
        return
    for row in chosen(table, rows, ("pyenv-3.11.7", "pyenv-3.13.0", "sid-3.15")):
        with tempfile.TemporaryDirectory() as folder, target_of(row, folder, 100000) as target:
            done = steps(["py-bt-native", "flush", "new-stop", "py-bt-native"], target.pid)
            table.row("gdb %d.%d, 100 000 frames (%d lines)" % (*row.minor, done[0]["lines"]),
                      "%.0f ms" % best(done), "", None, "1000 ms", best(done) <= 1000)


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def start_up(table, _rows):
    if lacks_gdb(table):
        return
    without, loaded = [], []
    for _ in range(20):
        for more, seconds in (([], without), (["-x", os.path.join(REPO, "gdb", "pybraid.py")], loaded)):
            before = children_seconds()
            subprocess.run(["gdb", "-nx", "-batch", *more], check=True, stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
            seconds.append(children_seconds() - before)
    table.row("gdb starts with pybraid loaded", "%.0f ms" % (min(loaded) * 1000),
              "without %.0f ms" % (min(without) * 1000), min(without) / min(loaded), "+ 20 ms",
              min(loaded) - min(without) <= 0.020)
