# SPDX-License-Identifier: Apache-2.0
"""One sample of a live 100-frame stack: microseconds and system calls, beside py-spy's and austin's."""
import os
import pathlib
import re
import subprocess
import tempfile

import peers
from support import pythons
from support.target import start

LIVE = os.path.join(pythons.REPO, os.environ.get("PYBRAID_BUILD", "build"), "bench", "live")
WANTED = ["pyenv-2.7.18", "pyenv-3.8.18", "pyenv-3.10.13", "pyenv-3.11.7", "pyenv-3.12.1", "pyenv-3.13.0",
          "sid-3.14", "sid-3.15", "ft-3.13.5t"]
BESIDE = ("pyenv-3.11.7", "pyenv-3.13.0")  # interpreters whose targets the peers read too


def live(pid, count=2000, *more):
    """What the program says of one process, as a dict."""
    done = subprocess.run([LIVE, str(pid), str(count), *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=120, encoding="utf-8")
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return {key: text or word for key, text, word in re.findall(r'(\w+)=(?:"([^"]*)"|(\S+))', done.stdout)}


def traced_calls(pid):
    """System calls of one warm sample: what 1000 samples more cost, by strace; None without strace."""
    totals = []
    with tempfile.TemporaryDirectory() as folder:
        summary = os.path.join(folder, "calls")
        for count in (1000, 2000):
            try:
                subprocess.run(["strace", "-f", "-c", "-o", summary, LIVE, str(pid), str(count)], check=True,
                               timeout=120, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            except (OSError, subprocess.SubprocessError):
                return None
            with open(summary, encoding="utf-8") as stream:
                totals.append([int(line.split()[3]) for line in stream if line.strip().endswith("total")][0])
    return (totals[1] - totals[0]) / 1000


def beside(table, what, found, ours):
    version, microseconds, calls, missing = found
    if missing:
        table.lacks("%s %s" % (what, version or ""), missing)
        return
    counted = "%.0f" % calls if calls else "?"
    table.row("  beside: " + version, "", "%.0f us, %s calls" % (microseconds, counted), microseconds / ours)


NAMES = {"plain": "recursion", "mixed": "30 functions", "async": "awaits"}


def limits(row, shape):
    """(microseconds, system calls, as text) that a sample may take; None: no limit."""
    microseconds = 10 if row.minor >= (3, 11) else 30
    if shape == "mixed":
        return None, None, ""
    if shape == "async":
        return (None, 6, "6 calls") if row.minor >= (3, 11) else (30, 6, "30 us, 6 calls")
    return microseconds, 3, "%d us, 3 calls" % microseconds


def within(found, calls, limit_us, limit_calls):
    """True or False; None where there is no limit."""
    if limit_calls is None:
        return None
    return calls <= limit_calls and (limit_us is None or float(found["median_us"]) <= limit_us)


def one(table, row, shape):
    with tempfile.TemporaryDirectory() as folder:
        with start(row, "depth.py", "--depth", "98", "--threads", "0", "--shape", shape,
                   folder=pathlib.Path(folder)) as target:
            found = live(target.pid)
            traced = traced_calls(target.pid)
            calls = float(found["reads"]) if traced is None else traced
            limit_us, limit_calls, limit = limits(row, shape)
            table.row("sample %s, %s frames, %s" % (found["version"], found["frames"], NAMES[shape]),
                      "%s us, %.2f calls" % (found["median_us"], calls), "", None, limit,
                      within(found, calls, limit_us, limit_calls))
            if row.minor < (3, 12):
                quick = live(target.pid, 2000, "quick")
                table.row("  the same, PYB_READ_QUICK", 
                          "%s us, %s calls" % (quick["median_us"], quick["reads"]), "", None, limit,
                          within(quick, float(quick["reads"]), limit_us, limit_calls))
            if found["agrees"] != "1":
                table.row("  frames differ from pyb_read()", "", "", None, "equal", False)
            if row.id in BESIDE and shape == "plain":
                beside(table, "py-spy", peers.py_spy(target.pid), float(found["median_us"]))
                beside(table, "austin", peers.austin(target.pid), float(found["median_us"]))


def run(table, rows):
    there = {row.id: row for row in rows}
    for name in WANTED:
        if name not in there:
            table.lacks(name, "not on this machine (make pythons)")
            continue
        for shape in ("plain", "mixed", "async"):
            if shape == "async" and there[name].minor < (3, 6):
                continue
            one(table, there[name], shape)
