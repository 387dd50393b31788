# SPDX-License-Identifier: Apache-2.0
"""
The layout tables against the interpreters of this machine. pytest runs it; by hand: tests/layout/check.py

Every set of headers is measured again in every ABI, and every column compared with the row of core/interp/layouts.inc
that pyb_layout_find() would give for it; then the debug information of every real build, which also has the structs
that only a .c file declares (private_structs.py). A mismatch names the cell. PYBRAID_ROOTS: see generate.py.
"""
import os
import re
import sys
import tempfile

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import facts  # noqa: E402
import fields  # noqa: E402
import generate  # noqa: E402
import measure  # noqa: E402
import sources  # noqa: E402

# Sizes that a build option decides and no reader uses to find a member: Py_TIER2 (JIT) adds a pointer to the thread
# state, which the runtime and the interpreter embed. Told apart below from cells that must agree.
BUILD_OPTIONS = {"runtime_size", "runtime_main_interpreter", "interp_size", "tstateimpl_size"}
ROW = re.compile(r"^\{ (\d+), (\d+), (\d+), (\d+), (\d+), false, (\d+), (\w+), \"([^\"]*)\",\n(.*?) \}, // numbers$",
                 re.M | re.S)
CELL = re.compile(r"\{([^}]*)\}|(-?\d+)")


def read_table():
    """[(version, patch_min, patch_max, ptr_size, flags, {column: value})] of layouts.inc as it is."""
    with open(generate.OUT) as f:
        text = f.read()
    rows = []
    for m in ROW.finditer(text):
        major, minor, first, last, ptr_size, flags = (int(x) for x in m.groups()[:6])
        body = re.sub(r"//.*", "", m.group(9))
        values = [[int(x) for x in c.group(1).split(",")] if c.group(1) else int(c.group(2))
                  for c in CELL.finditer(body)]
        columns = fields.columns()
        assert len(values) == len(columns), "row of %d.%d: %d cells" % (major, minor, len(values))
        rows.append(((major, minor), first, last, ptr_size, flags, dict(zip([c.name for c in columns], values))))
    return rows


TABLE = read_table()


def row_of(version, ptr_size, flags):
    found = [r for r in TABLE
             if r[0] == version[:2] and r[1] <= version[2] <= r[2] and r[3] == ptr_size and r[4] == flags]
    if not found and flags & measure.AARCH64:  # has one only where it differs, as pyb_layout_find() knows
        return row_of(version, ptr_size, flags & ~measure.AARCH64)
    assert len(found) == 1, "%d rows for %s, %d bytes, flags %d" % (len(found), version, ptr_size, flags)
    return found[0][5]


def compare(row, measured):
    """(cells compared, [(column, row's, measured)])."""
    wrong = [(k, row[k], v) for k, v in sorted(measured.items()) if row[k] != v]
    return len(measured), wrong


HEADERS = sources.header_sets()
DEBUG_INFO = sources.debug_infos()


def test_something_to_compare_with():
    assert HEADERS, "no CPython headers on this machine: neither %s nor /usr/include" % sources.PYENV
    assert DEBUG_INFO, "no CPython with debug information on this machine"


def test_what_is_not_compared():
    """Says which rows nothing on this machine vouches for now (they were measured where the table was made)."""
    here = {measure.version_of(include) for _name, include, _own in HEADERS}
    missing = sorted({"%d.%d.%d to %d" % (row[0] + (row[1], row[2])) for row in TABLE
                      if row[0] > (3, 5) or row[0] == (2, 7)
                      if not any(v[:2] == row[0] and row[1] <= v[2] <= row[2] for v in here)})
    print("no headers here for: %s" % (", ".join(missing) or "none, all rows compared"))
    assert len(here) > 0


@pytest.mark.parametrize("name,include,own", HEADERS, ids=[h[0] for h in HEADERS])
def test_headers(name, include, own):
    version = measure.version_of(include)
    for ptr_size in (8, 4):
        for flags in generate.abis(version, ptr_size):
            if own & ~flags:
                continue
            measured = measure.from_headers(include, ptr_size, flags, own)
            columns = generate.complete(version, ptr_size, flags, measured)
            cells, wrong = compare(row_of(version, ptr_size, flags), columns)
            where = (name,) + version + (8 * ptr_size, flags, cells)
            print("%s: %d.%d.%d, %d-bit, flags %d: %d cells compared" % where)
            assert not wrong, "cell, layouts.inc, headers: %s" % wrong
            assert cells == len(fields.columns())


def check_debug_info(name, version, flags, ptr_size, files):
    abi = flags | (measure.TRACE_REFS if flags and version < (3, 8) else 0)
    row = row_of(version, ptr_size, abi)
    total = 0
    for path in files:
        measured = measure.from_debug_info(path)
        for extra in ("types", "debug_offsets"):
            measured.pop(extra, None)
        cells, wrong = compare(row, measured)
        total += cells
        allowed = [w for w in wrong if w[0] in BUILD_OPTIONS]
        for cell, ours, theirs in allowed:
            print("%s: %s is %s here, %s in the row: a build option" % (name, cell, theirs, ours))
        assert len(wrong) == len(allowed), "%s: cell, layouts.inc, debug information: %s" % (path, wrong)
    print("%s: %d.%d.%d, flags %d: %d cells compared" % ((name,) + version + (flags, total)))
    assert total > 300


@pytest.mark.parametrize("info", DEBUG_INFO, ids=[d[0] for d in DEBUG_INFO])
def test_debug_info(info):
    check_debug_info(*info)


def test_standalone():
    """python-build-standalone of the Go module, where it is there and has debug information."""
    with tempfile.TemporaryDirectory() as tmp:
        infos = sources.standalone_infos(tmp)
        if not infos:
            pytest.skip("no python-build-standalone under %s" % sources.STANDALONE)
        for info in infos:
            check_debug_info(*info)


def test_published_facts():
    """3.3 to 3.5: each number of the published file is in its row."""
    for release, structs in facts.load().items():
        version = tuple(int(x) for x in release.split("."))
        cells, wrong = compare(row_of(version, 8, 0), facts.columns_of(structs))
        print("%s: %d cells compared" % (release, cells))
        assert not wrong
        assert cells > 100


def test_published_facts_widths():
    """The file states no widths: those that facts.py adds are the widths of the same members in 3.6's headers."""
    row = row_of((3, 6, 15), 8, 0)
    for release, structs in facts.load().items():
        stated = facts.columns_of(structs)
        wrong = [(k, v, row[k]) for k, v in stated.items()
                 if isinstance(v, list) and row[k][0] >= 0 and v[1] != row[k][1]]
        assert not wrong, "%s: %s" % (release, wrong)


if __name__ == "__main__":
    sys.exit(pytest.main(["-q", "-rA", __file__]))
