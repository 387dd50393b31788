# SPDX-License-Identifier: Apache-2.0
"""What leads to which function of a program, as binutils read it: truth for names that are given by such references."""
import bisect
import collections
import os
import re
import subprocess

LINE = re.compile(r"^ *([0-9a-f]+):\t(\S+) *(.*)")


def text_of(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, timeout=300, encoding="utf-8", errors="replace")
    assert done.stdout, argv  # readelf ends with 1 for a mere warning
    return done.stdout


def debug_file_of(interpreter, path):
    """Its separate debug file by build-id, or None."""
    found = re.search(r"Build ID: ([0-9a-f]+)", text_of("readelf", "-n", path))
    if not found:
        return None
    name = "%s/usr/lib/debug/.build-id/%s/%s.debug" % (interpreter.root or "", found.group(1)[:2], found.group(1)[2:])
    return name if os.path.exists(name) else None


def symbols_of(debug_file):
    """{address: name} of functions."""
    rows = (line.split() for line in text_of("nm", debug_file).splitlines())
    return {int(row[0], 16): row[2] for row in rows if len(row) == 3 and row[1] in "tT"}


class References:
    """`to[start]`: {(start of the function it comes from, "jump" or "other")}; addresses as in the file."""

    def __init__(self, path):
        self.extents = sorted((int(a, 16), int(b, 16)) for a, b in
                              re.findall(r" FDE cie=\S+ pc=([0-9a-f]+)\.\.([0-9a-f]+)", text_of("readelf", "--debug-dump=frames", path)))
        self.starts = [start for start, _end in self.extents]
        self.to = collections.defaultdict(set)
        for line in text_of("objdump", "-d", "--no-show-raw-insn", path).splitlines():
            found = LINE.match(line)
            if found:
                self._instruction(int(found.group(1), 16), found.group(2), found.group(3))

    def function_at(self, address):
        at = bisect.bisect_right(self.starts, address) - 1
        return self.starts[at] if at >= 0 and address < self.extents[at][1] else None

    def _instruction(self, address, operation, operands):
        branch = operation == "call" or operation.startswith("j")
        found = re.match(r"([0-9a-f]+)\b", operands) if branch else re.search(r"(?:# |\$0x)([0-9a-f]+)", operands)
        if not found:
            return
        target = int(found.group(1), 16)
        function, source = self.function_at(target), self.function_at(address)
        if function is None or (function == source and branch) or (not branch and function != target):
            return
        self.to[function].add((source, "jump" if operation.startswith("j") else "other"))

    def owners(self, start, known):
        """Known functions that it is reached from by jumps alone, through unknown ones; None if anything else leads there."""
        group, found, todo = {start}, set(), [start]
        while todo:
            for source, kind in self.to[todo.pop()]:
                if source in group:
                    continue
                if kind != "jump" or source is None:
                    return None
                if source in known:
                    found.add(source)
                else:
                    group.add(source)
                    todo.append(source)
        return found
