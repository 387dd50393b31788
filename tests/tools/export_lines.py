# SPDX-License-Identifier: Apache-2.0
"""Writes what this interpreter itself says about the position of every instruction of its standard library.

usage: PYTHON export_lines.py OUT [STRIDE [FIRST]]

Runs on every CPython from 2.7 on. Takes every STRIDE-th module, compiles it (or takes its cached code), walks
its code objects and asks co_positions() (3.11+), co_lines() (3.10) or dis.findlinestarts() (up to 3.9).
OUT is native-endian 32-bit integers: magic, format (1 lnotab of 2.7, 2 of 3.6, 3 of 3.10, 4 of 3.11), step in
bytes; then for each code object first line, length of the table, the table padded to 4 bytes, number of runs,
and the runs: end offset, line, end line, column, end column; a run begins where the one before ended. -1: none.
"""
import array
import dis
import marshal
import os
import struct
import sys
import sysconfig
import types

MAGIC = 0x0BADC0DE
CODE = types.CodeType


def modules(stride, first):
    names = []
    root = sysconfig.get_path("stdlib")
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(f for f in folders if f not in ("site-packages", "dist-packages", "__pycache__"))
        names += [os.path.join(folder, f) for f in sorted(files) if f.endswith(".py")]
    return names[first::stride]


def cached(path):
    try:
        import importlib.util
        name = importlib.util.cache_from_source(path)
        magic = importlib.util.MAGIC_NUMBER
    except (ImportError, AttributeError, NotImplementedError):
        return None
    header = 16 if sys.version_info >= (3, 7) else 12
    try:
        with open(name, "rb") as f:
            data = f.read()
        if data[:4] != magic or (header == 16 and data[4:8] != b"\0\0\0\0"):
            return None
        if struct.unpack("<I", data[header - 8:header - 4])[0] != int(os.stat(path).st_mtime) & 0xFFFFFFFF:
            return None
        return marshal.loads(data[header:])
    except (OSError, ValueError, EOFError, TypeError):
        return None


def code_of(path):
    code = cached(path)
    if code is not None:
        return code
    try:
        with open(path, "rb") as f:
            return compile(f.read(), path, "exec", 0, True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None  # the test suite has files that are no Python on purpose


if sys.version_info < (3, 5):
    RecursionError = RuntimeError


def runs_positions(code):
    end, last = 0, None
    for p in code.co_positions():
        if p != last and last is not None:
            yield (end,) + last
        last = p
        end += 2
    if last is not None:
        yield (end,) + last


def runs_lines(code):
    for start, end, line in code.co_lines():
        if end > start:
            yield (end, line, None, None, None)


def runs_starts(code):
    last = code.co_firstlineno
    for start, line in dis.findlinestarts(code):
        if start > 0:
            yield (start, last, None, None, None)
        last = line
    yield (len(code.co_code), last, None, None, None)


if hasattr(CODE, "co_positions"):
    FORMAT, STEP, RUNS, TABLE = 4, 2, runs_positions, "co_linetable"
elif hasattr(CODE, "co_lines"):
    FORMAT, STEP, RUNS, TABLE = 3, 2, runs_lines, "co_linetable"
elif sys.version_info >= (3, 6):
    FORMAT, STEP, RUNS, TABLE = 2, 2, runs_starts, "co_lnotab"
else:
    FORMAT, STEP, RUNS, TABLE = 1, 1, runs_starts, "co_lnotab"


def write_code(out, code):
    table = getattr(code, TABLE)
    head = array.array("i", [code.co_firstlineno, len(table)])
    runs = array.array("i")
    for run in RUNS(code):
        runs.extend([-1 if v is None else v for v in run])
    out.write(head.tobytes() if sys.version_info > (3,) else head.tostring())
    out.write(table + b"\0" * (-len(table) % 4))
    out.write(struct.pack("=i", len(runs) // 5))
    out.write(runs.tobytes() if sys.version_info > (3,) else runs.tostring())


def main():
    stride = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    first = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    with open(sys.argv[1], "wb") as out:
        out.write(struct.pack("=3i", MAGIC, FORMAT, STEP))
        for path in modules(stride, first):
            top = code_of(path)
            queue = [top] if top is not None else []
            while queue:
                code = queue.pop()
                write_code(out, code)
                queue += [c for c in code.co_consts if isinstance(c, CODE)]


main()
