# SPDX-License-Identifier: Apache-2.0
"""Runs the parts of the benchmark and prints one table: what, ours, beside it, ratio, limit.

    run.py [live] [find] [gdb] [server] [deep] [start] [dump] [core]        all of them when none is named

A peer or an interpreter that is not there is a line with the reason, never a failure.
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "tests", "live")]

import debuggers  # noqa: E402
import dumps  # noqa: E402
import find  # noqa: E402
import samples  # noqa: E402
from support import pythons  # noqa: E402

PARTS = {"live": samples.run, "find": find.run, "gdb": debuggers.same_stop, "server": debuggers.server,
         "deep": debuggers.deep, "start": debuggers.start_up, "dump": dumps.run, "core": dumps.cores}


class Table:
    def __init__(self):
        self.absent = []
        self.missed = 0
        print("%-46s %-22s %-28s %8s  %s" % ("", "pybraid", "beside it", "ratio", "limit"))

    def row(self, what, ours, beside="", ratio=None, limit="", met=None):
        self.missed += met is False
        verdict = {True: "  ok", False: "  MISSED", None: ""}[met]
        print("%-46s %-22s %-28s %8s  %s" % (what, ours, beside, "" if ratio is None else "%.1f" % ratio,
                                             limit + verdict), flush=True)

    def lacks(self, what, why):
        self.absent.append("%s: %s" % (what, why))


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        names = [line.split(":", 1)[1].strip() for line in stream if line.startswith("model name")]
    load = os.getloadavg()[0]
    print("machine: %d x %s, Linux %s, load %.1f%s" % (
        os.cpu_count(), names[0] if names else "?", os.uname().release, load,
        " (busy: figures are too large, ratios are what counts)" if load > os.cpu_count() else ""))


def main():
    wanted = sys.argv[1:] or list(PARTS)
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        sys.exit("no part %s; there are: %s" % (", ".join(unknown), " ".join(PARTS)))
    machine()
    rows, absent = pythons.discover()
    table = Table()
    for row in absent:
        table.lacks(row.id, row.reason)
    for name in wanted:
        PARTS[name](table, rows)
    for line in table.absent:
        print("absent: " + line)
    print("limits missed: %d" % table.missed)


if __name__ == "__main__":
    main()
