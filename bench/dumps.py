# SPDX-License-Identifier: Apache-2.0
"""pybraid dump beside py-spy dump and pystack, process start to end: time, memory, and how long the target stands still.

Medians of runs that take turns, so that a machine that gets slower meanwhile does it to all. The target's standstill is measured by the
target itself: a thread of its process reads the clock all the time and notes its largest gap.
"""
import os
import pathlib
import statistics
import subprocess
import tempfile

import peers
from support import debugger, pythons
from support.shell import PYBRAID
from support.target import start

PEAK = os.path.join(pythons.REPO, os.environ.get("PYBRAID_BUILD", "build"), "bench", "peak")
TIMES = 15
CASES = [ # interpreter, threads, depth, limits in ms: -p, braided
    ("debian-3.11", 0, 10, 3, 7),
    ("pyenv-3.11.7", 0, 10, 3, 7),
    ("debian-3.11", 49, 100, 10, 25),
    ("sid-3.14", 49, 100, 10, 25),
    ("sid-3.15", 49, 100, 10, 25),
]


def once(argv, environment=None):
    """(milliseconds, peak KiB, exit code, output) of one run, start to end; see peak.c."""
    with tempfile.TemporaryFile() as out, tempfile.NamedTemporaryFile("r", encoding="ascii") as said:
        code = subprocess.call([PEAK, said.name, *argv], stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=environment)
        out.seek(0)
        words = said.read().split()
        if len(words) != 2:
            raise RuntimeError("%s: %s" % (PEAK, out.read().decode("utf-8", "replace")))
        return float(words[0]), int(words[1]), code, out.read().decode("utf-8", "replace")


def medians(commands, times=TIMES):
    """{name: (median ms, KiB)} of commands that take turns; a name whose command fails has (None, its last line)."""
    took, memory, failed = {}, {}, {}
    for _ in range(times):
        for name, argv in commands.items():
            if name in failed:
                continue
            ms, kib, code, output = once(argv)
            if code != 0:
                failed[name] = (output.strip().splitlines() or ["exit code %d" % code])[-1]
                continue
            took.setdefault(name, []).append(ms)
            memory[name] = max(kib, memory.get(name, 0))
    result = {name: (statistics.median(values), memory[name]) for name, values in took.items()}
    result.update({name: (None, why) for name, why in failed.items()})
    return result


def peer_commands(table, pid, native):
    commands = {}
    for name, plain, more in (("py-spy", ["dump", "--pid", str(pid)], ["--native"]),
                              ("pystack", ["remote", str(pid)], ["--native"])):
        argv, _version, missing = peers.launcher(name)
        if missing:
            table.lacks(name, missing)
        else:
            commands[name + (" --native" if native else "")] = [*argv, *plain, *(more if native else [])]
    return commands


def beside(figures):
    return ", ".join("%s %.1f" % (name, ms) if ms is not None else "%s failed" % name
                     for name, (ms, _kib) in figures.items() if name != "ours")


def compare(table, what, ours, others, limit, times=TIMES):
    figures = medians({"ours": ours, **others}, times)
    ms, kib = figures["ours"]
    if ms is None:
        table.row(what, "failed: " + str(kib), met=False)
        return
    known = [value for name, (value, _k) in figures.items() if name != "ours" and value is not None]
    least = [k for name, (value, k) in figures.items() if name != "ours" and value is not None]
    table.row(what, "%.1f ms, %.1f MB" % (ms, kib / 1024), beside(figures), min(known) / ms if known else None,
              "%g ms" % limit, ms <= limit and (not known or ms <= min(known)))
    if least:
        table.row(what + ", memory", "%.1f MB" % (kib / 1024), "%.1f MB" % (min(least) / 1024), min(least) / kib, "less", kib < min(least))


def run(table, rows):
    there = {row.id: row for row in rows}
    for name, threads, depth, plain_ms, braided_ms in CASES:
        row = there.get(name) or next((r for r in rows if r.id.startswith(name)), None)
        if row is None:
            table.lacks(name, "not on this machine")
            continue
        with tempfile.TemporaryDirectory() as folder:
            arguments = ["--depth", str(depth), "--threads", str(threads), "--thread-depth", str(depth), "--shape", "plain"]
            with start(row, "depth.py", *arguments, folder=pathlib.Path(folder)) as target:
                what = "dump %s, %d x %d" % (row.id, threads + 1, depth)
                compare(table, what + " -p", [PYBRAID, "dump", "-p", str(target.pid)],
                        peer_commands(table, target.pid, False), plain_ms)
                compare(table, what, [PYBRAID, "dump", str(target.pid)], peer_commands(table, target.pid, True),
                        braided_ms)


def cores(table, rows):
    """A core of 540 MB: ours beside pystack core."""
    row = next((r for r in rows if r.id.startswith("debian-3.11") and "debug" not in r.traits), None)
    if row is None:
        table.lacks("core", "Debian's 3.11 is not on this machine")
        return
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        arguments = ["--depth", "10", "--threads", "3", "--thread-depth", "10", "--shape", "plain", "--ballast", "540"]
        with start(row, "depth.py", *arguments, folder=pathlib.Path(folder)) as target:
            core = debugger.gcore(target)
        argv, _version, missing = peers.launcher("pystack")
        others = {} if missing else {"pystack": [*argv, "core", core, row.path]}
        native = {} if missing else {"pystack --native": [*argv, "core", "--native", core, row.path]}
        if missing:
            table.lacks("pystack", missing)
        size = os.path.getsize(core) >> 20
        compare(table, "core of %d MB -p" % size, [PYBRAID, "dump", "-p", core], others, 5, 7)
        compare(table, "core of %d MB" % size, [PYBRAID, "dump", core], native, 15, 7)
