# SPDX-License-Identifier: Apache-2.0
"""
Rows of 3.3, 3.4 and 3.5, whose headers cannot be had here: from cpython-3.3-3.5-offsets.json, published byte
offsets of 64-bit Linux release builds. Widths are those of the same members in the 3.6 headers' terms: given
below where they are not a pointer's.
"""
import json
import os

import fields

HERE = os.path.dirname(os.path.abspath(__file__))
PTR = 8
# C types of 3.3 to 3.5 that are not as wide as a pointer (Include/*.h of those versions).
WIDTHS = {"frame_lasti": 4, "frame_lineno": 4, "frame_iblock": 4, "frame_executing": 1, "tstate_recursion_depth": 4,
          "tstate_tracing": 4, "tstate_gilstate_counter": 4, "code_argcount": 4, "code_kwonlyargcount": 4,
          "code_nlocals": 4, "code_stacksize": 4, "code_flags": 4, "code_firstlineno": 4, "ascii_state": 4,
          "int_digit": 4, "bytes_data": 1, "frame_trace_lines": 1}
# struct { unsigned int interned:2; kind:3; compact:1; ascii:1; ready:1; } state (Include/unicodeobject.h).
STATE_BITS = {"ascii_interned": (0, 2), "ascii_kind": (2, 3), "ascii_compact": (5, 1), "ascii_ascii": (6, 1),
              "ascii_ready": (7, 1)}
NAMES = {"PyThreadState": "_ts", "PyInterpreterState": "_is", "PyFrameObject": "_frame", "PyLongObject": "_longobject",
         "PyTypeObject": "_typeobject", "PyObject": "_object", "PyDictKeysObject": "_dictkeysobject"}
# Not stated by the file, true of every version it covers.
NUMBERS = {"int_digit_bits": 30, "tpflags_heaptype": 1 << 9, "tpflags_ready": 1 << 12, "tpflags_have_gc": 1 << 14,
           "tpflags_long_subclass": 1 << 24, "tpflags_list_subclass": 1 << 25, "tpflags_tuple_subclass": 1 << 26,
           "tpflags_bytes_subclass": 1 << 27, "tpflags_unicode_subclass": 1 << 28, "tpflags_dict_subclass": 1 << 29,
           "tpflags_exception_subclass": 1 << 30, "tpflags_type_subclass": 1 << 31, "co_varargs": 4,
           "co_varkeywords": 8, "co_generator": 0x20}


def load():
    with open(os.path.join(HERE, "cpython-3.3-3.5-offsets.json")) as f:
        return {k: v for k, v in json.load(f).items() if k[0].isdigit()}


def find(structs, column):
    """(offset, size of its struct) of a column, by the struct's and the member's name."""
    for t in column.types:
        members = structs.get(NAMES.get(t, t.replace("struct ", "")))
        if members is None:
            continue
        if column.kind == "S":
            return members["sizeof"]
        for path in column.paths:
            leaf = path.split(".")[0]
            if leaf in members:
                return members[leaf]
            if leaf == "ob_size" and t != "PyObject" and "ob_base" in members:
                return structs["PyVarObject"]["ob_size"]
    return None


def columns_of(structs):
    cells = dict(NUMBERS)
    for c in fields.columns():
        if c.name in STATE_BITS:
            shift, bits = STATE_BITS[c.name]
            cells[c.name] = [structs["PyASCIIObject"]["state"], 4, shift, bits]
        elif c.kind in "FS":
            at = find(structs, c)
            if at is not None:
                cells[c.name] = at if c.kind == "S" else [at, WIDTHS.get(c.name, PTR)]
    return cells


def rows(complete):
    result = []
    for release, structs in load().items():
        version = tuple(int(x) for x in release.split(".")[:2])
        cells = complete(version, PTR, 0, columns_of(structs))
        result.append((version, PTR, 0, 0, 99, "PYB_LAYOUT_FACTS", cells))
    return result
