# SPDX-License-Identifier: Apache-2.0
"""The matrix that a test run prints at its end: interpreter x way of looking x result."""
from collections import Counter, defaultdict

RESULTS = ("passed", "failed", "skipped")


class Matrix:
    """Collects results by (row, column); a row is an interpreter's id, a column a `matrix` marker's word."""

    def __init__(self):
        self.cells = defaultdict(Counter)
        self.skips = defaultdict(Counter)
        self.columns = []

    def add(self, row, column, result, reason=""):
        if column not in self.columns:
            self.columns.append(column)
        self.cells[row, column][result] += 1
        if result == "skipped":
            self.skips[row][reason] += 1

    def cell(self, row, column):
        counts = self.cells.get((row, column))
        if not counts:
            return "-"
        return " ".join("%d %s" % (counts[result], result) for result in RESULTS if counts[result])

    def lines(self, rows, absent):
        """Text lines: a table of the rows, then who is absent and every reason for a skip."""
        table = [["interpreter", *self.columns]]
        table += [[row, *(self.cell(row, column) for column in self.columns)] for row in rows]
        widths = [max(len(line[index]) for line in table) for index in range(len(table[0]))]
        for line in table:
            yield "  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip()
        for row in absent:
            yield "%s  absent: %s" % (row.id.ljust(widths[0]), row.reason)
        for row in sorted(self.skips):
            for reason, count in sorted(self.skips[row].items()):
                yield "skipped %d x %s: %s" % (count, row, reason)
