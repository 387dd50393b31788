# SPDX-License-Identifier: Apache-2.0
"""
Runs inside GDB (gdb -batch -x gdb_reader.py FILE): reads every column out of FILE's debug information.

PYB_OUT names the JSON file to write: {column: [offset, width] | [offset, width, shift, bits] | number}, only for
columns that FILE knows, and "types": {column: name of the member's type} for members that are structs.
PYB_PRIVATE=1 lets struct pybx_GROUP (private_structs.py) stand in where FILE has no struct of the real name.
"""
import json
import os
import sys

import gdb

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import fields  # noqa: E402

BASES = ("ob_base", "_base")


def find_type(names):
    """The first of the named types that is complete here."""
    for name in names:
        try:
            t = gdb.lookup_type(name).strip_typedefs()
        except gdb.error:
            continue
        if t.code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
            if t.sizeof > 0 and t.fields():
                return t
        elif t.sizeof > 0:
            return t
    return None


def find_member(t, name):
    """[(field, its bit position in t)] of a direct member, looking through anonymous members and leading bases."""
    t = t.strip_typedefs()
    if t.code not in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
        return None
    for f in t.fields():
        if f.name == name:
            return f, f.bitpos
    for f in t.fields():
        if not f.name or f.name in BASES:
            inner = find_member(f.type, name)
            if inner is not None:
                return inner[0], f.bitpos + inner[1]
    return None


def find_path(t, path):
    position = 0
    member = None
    for part in path.split("."):
        found = find_member(t, part)
        if found is None:
            return None
        member, bitpos = found
        position += bitpos
        t = member.type
    return member, position


def element(t):
    """An array's element type, else the type itself."""
    while t.strip_typedefs().code == gdb.TYPE_CODE_ARRAY:
        t = t.strip_typedefs().target()
    return t


def measure(column, t, types):
    for path in column.paths:
        found = find_path(t, path)
        if found is None:
            continue
        member, position = found
        kind = element(member.type)
        width = kind.strip_typedefs().sizeof
        if column.kind == "F":
            if member.bitsize:
                continue  # a bit field has no offset of its own: B columns read it
            if kind.strip_typedefs().code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
                types[column.name] = str(kind)
            return [position // 8, width]
        unit = position // (8 * width) * width
        return [unit, width, position - 8 * unit, member.bitsize or 8 * width]
    return None


def number(column):
    for expression in column.expressions:
        for candidate in ("(long long)pybk_" + expression, "(long long)" + expression):
            try:
                return int(gdb.parse_and_eval(candidate))
            except gdb.error:
                continue
    return None


def debug_offsets():
    """{"section.member": offset, "": size} of _Py_DebugOffsets, where FILE has one (3.13 on)."""
    t = find_type(["_Py_DebugOffsets", "struct _Py_DebugOffsets"])
    if t is None:
        return None
    result = {"": t.sizeof}
    for section in t.fields():
        inner = section.type.strip_typedefs()
        if inner.code == gdb.TYPE_CODE_STRUCT:
            for f in inner.fields():
                result["%s.%s" % (section.name, f.name)] = (section.bitpos + f.bitpos) // 8
    return result


def main():
    result, types, cache = {}, {}, {}
    for column in fields.columns():
        if column.kind == "K":
            value = number(column)
        elif column.kind in "FSB":
            names = list(column.types)
            if os.environ.get("PYB_PRIVATE"):
                names.append("struct pybx_" + column.group)
            key = tuple(names)
            if key not in cache:
                cache[key] = find_type(names)
            t = cache[key]
            value = None
            if t is not None:
                value = t.sizeof if column.kind == "S" else measure(column, t, types)
        else:
            continue
        if value is not None:
            result[column.name] = value
    result["types"] = types
    result["debug_offsets"] = debug_offsets()
    with open(os.environ["PYB_OUT"], "w") as f:
        json.dump(result, f)


main()
