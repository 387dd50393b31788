#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Writes core/interp/layouts.inc (run it by hand, or `make layouts`): a row for each minor version, range of patch
releases, word size and ABI, out of every set of CPython headers found on this machine (sources.py), measured by
the compiler (measure.py). Deterministic: the same headers give the same file.

    PYBRAID_ROOTS=/srv/sid:/srv/trixie tests/layout/generate.py      other Debian systems to look into
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import facts  # noqa: E402
import fields  # noqa: E402
import measure  # noqa: E402
import sources  # noqa: E402
from measure import AARCH64, DEBUG, FREETHREADED, TRACE_REFS  # noqa: E402
from rules import rules  # noqa: E402

OUT = os.path.join(fields.CORE, "layouts.inc")
OFFSETS = os.path.join(fields.CORE, "layout_debug_offsets.inc")
LAST_PATCH = 99
# First patch release that has the later of two measured shapes, where that is known to lie before the first
# release whose headers were measured: {(major, minor, first measured): real first}.
BOUNDARIES = {
    (3, 13, 5): 1,  # python-build-standalone's 3.13.1 has 3.13.5's shape in its debug information (check.py)
}
# Releases before the first one measured that are known to have another shape: a row does not claim them.
# 3.14.3 publishes other offsets behind the collector's state (tests/layout/offsets), 3.14.6 those of the headers.
SINCE = {(3, 14): 5}


def abis(version, ptr_size):
    """Flags of every ABI of a version that gets a row."""
    v = version[:2]
    result = [0, DEBUG | (TRACE_REFS if v < (3, 8) else 0)]  # Include/object.h: implied up to 3.7
    result += [FREETHREADED, FREETHREADED | DEBUG] if v >= (3, 13) else []
    # _PyRuntime (3.7 on) and later the interpreter's state embed pthread types.
    return result + ([f | AARCH64 for f in result if not f & DEBUG] if ptr_size == 8 and v >= (3, 7) else [])


def complete(version, ptr_size, flags, measured):
    """All columns of a row: what was measured, the ruled ones, absent ones."""
    types = measured.get("types", {})
    ruled = rules(version, ptr_size, flags, measured, types)
    absent = {"F": [-1, 0], "S": 0, "B": [-1, 0, 0, 0], "K": -1}
    return {c.name: ruled[c.name] if c.kind == "R" else measured.get(c.name, absent[c.kind])
            for c in fields.columns()}


def measured_rows(progress=None):
    """
    {(minor version, ptr_size, flags): {micro: columns}}, {minor version: shape of _Py_DebugOffsets}.

    A release measured twice must agree with itself; _Py_DebugOffsets must be one for all ABIs of a minor version.
    """
    rows, shapes = {}, {}
    for name, include, own in sources.header_sets():
        version = measure.version_of(include)
        for ptr_size in (8, 4):
            for flags in abis(version, ptr_size):
                if own & ~flags:
                    continue
                measured = measure.from_headers(include, ptr_size, flags, own)
                shape = measured["debug_offsets"]
                if shape and shapes.setdefault(version[:2], shape) != shape:
                    raise SystemExit("%s: another _Py_DebugOffsets than other headers of its version" % name)
                cells = complete(version, ptr_size, flags, measured)
                place = rows.setdefault((version[:2], ptr_size, flags), {})
                if version[2] in place and place[version[2]] != cells:
                    different = [k for k in cells if cells[k] != place[version[2]][k]]
                    raise SystemExit("%s disagrees with other headers of its version: %s" % (name, different))
                place[version[2]] = cells
        if progress:
            progress(name, version)
    for place, by_micro in list(rows.items()):
        if place[2] & AARCH64 and by_micro == rows[place[0], place[1], place[2] & ~AARCH64]:
            del rows[place]
    return rows, shapes


def ranges(version, by_micro):
    """[(patch_min, patch_max, columns)]: neighbours that do not differ become one."""
    result = []
    for micro in sorted(by_micro):
        if result and result[-1][2] == by_micro[micro]:
            continue
        first = BOUNDARIES.get(version + (micro,), micro) if result else SINCE.get(version, 0)
        result.append((first, by_micro[micro]))
        if len(result) > 1:
            result[-2] = (result[-2][0], first - 1, result[-2][2])
        result[-1] = (first, LAST_PATCH, by_micro[micro])
    return result


def name_of(version, ptr_size, flags):
    words = ["%d.%d" % version, "%d-bit" % (8 * ptr_size)]
    words += ["aarch64"] if flags & AARCH64 else []
    words += ["free-threaded"] if flags & FREETHREADED else []
    words += ["debug"] if flags & DEBUG else []
    return " ".join(words)


def cell_text(kind, value):
    return "{%s}" % ",".join(map(str, value)) if kind in "FB" else str(value)


def row_text(version, ptr_size, flags, patch_min, patch_max, verified, cells):
    head = version + (patch_min, patch_max, ptr_size, flags, verified, name_of(version, ptr_size, flags))
    lines = ["{ %d, %d, %d, %d, %d, false, %d, %s, \"%s\"," % head]
    current, group = [], None
    for c in fields.columns():
        g = "K" if c.kind in "KR" else c.group
        if g != group and current:
            lines.append("  %s, // %s" % (", ".join(current), group))
            current = []
        group = g
        current.append(cell_text(c.kind, cells[c.name]))
    lines.append("  %s }, // numbers" % ", ".join(current))
    return "\n".join(lines)


def all_rows(measured):
    """[(version, ptr_size, flags, patch_min, patch_max, source, columns)] in the order of the file."""
    rows = []
    for (version, ptr_size, flags), by_micro in measured.items():
        for patch_min, patch_max, cells in ranges(version, by_micro):
            rows.append((version, ptr_size, flags, patch_min, patch_max, "PYB_LAYOUT_HEADERS", cells))
    rows += facts.rows(complete, measured)
    return sorted(rows, key=lambda r: r[:5])


def text_of(rows):
    head = ["// SPDX-License-Identifier: Apache-2.0",
            "// Generated by tests/layout/generate.py from CPython's headers: do not edit."
            " Columns: layout_fields.def.", ""]
    return "\n".join(head + [row_text(*row) for row in rows]) + "\n"


def shapes_text(shapes):
    head = ["// SPDX-License-Identifier: Apache-2.0",
            "// Generated by tests/layout/generate.py from CPython's headers: do not edit."
            " Order: layout_debug_offsets.def.", ""]
    for version, shape in sorted(shapes.items()):
        at = ", ".join(str(shape.get(name, -1)) for name in fields.published())
        head.append("{ %d, %d, %d, { %s } }," % (version + (shape[""], at)))
    return "\n".join(head) + "\n"


def write(path, text):
    """Whole or not at all: others may be compiling it."""
    with open(path + ".new", "w") as f:
        f.write(text)
    os.replace(path + ".new", path)


def row_heads(text):
    return {line for line in text.splitlines() if line.startswith("{ ")}


def main():
    measured, shapes = measured_rows(lambda name, version: print("%-24s %d.%d.%d" % ((name,) + version)))
    rows = all_rows(measured)
    versions = {r[0] for r in rows}
    wanted = {(2, 7)} | {(3, n) for n in range(3, 16)}
    if versions < wanted:
        raise SystemExit("no headers for %s: %s is left as it was" % (sorted(wanted - versions), OUT))
    lost = row_heads(open(OUT).read()) - row_heads(text_of(rows)) if os.path.exists(OUT) else set()
    if lost and "--drop" not in sys.argv:
        raise SystemExit("these rows would be lost, for want of their headers here (--drop allows it):\n  %s"
                         % "\n  ".join(sorted(lost)))
    write(OUT, text_of(rows))
    write(OFFSETS, shapes_text(shapes))
    print("%d rows, %d columns, %d bytes" % (len(rows), len(fields.columns()), os.path.getsize(OUT)))


if __name__ == "__main__":
    main()
