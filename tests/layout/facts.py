# SPDX-License-Identifier: Apache-2.0
"""
Rows of 3.3, 3.4 and 3.5, whose headers cannot be had here: from cpython-3.3-3.5-offsets.json, published byte
offsets of 64-bit Linux release builds. Widths are those of the same members in the 3.6 headers' terms: given
below where they are not a pointer's.

What the file does not state is taken from measured rows in two cases, and else absent:
- a member that has one place in 2.7.18 and in 3.6.15 is taken to have it in between;
- HAND-WRITTEN below: members that 3.3 to 3.5 have as 3.6 does, by the CPython source file named there.
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
          "int_digit": 4, "bytes_data": 1, "type_version_tag": 4}
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

# (group, CPython source, first version that has the members of 3.6; members left out)
AS_IN_36 = [
    ("nb", "Include/object.h", (3, 3), ()),  # without matrix_multiply before 3.5, see below
    ("sq", "Include/object.h", (3, 3), ()),
    ("mp", "Include/object.h", (3, 3), ()),
    ("am", "Include/object.h", (3, 5), ()),
    ("bf", "Include/object.h", (3, 3), ()),
    ("type", "Include/object.h", (3, 3), ("type_finalize", "type_size", "type_as_async")),
    ("heaptype", "Include/object.h", (3, 5), ()),
    ("methoddef", "Include/methodobject.h", (3, 3), ()),
    ("getsetdef", "Include/descrobject.h", (3, 3), ()),
    ("moduledef", "Include/moduleobject.h", (3, 3), ()),
    ("cfunction", "Include/methodobject.h", (3, 3), ()),
    ("descr", "Include/descrobject.h", (3, 3), ()),
    ("getsetdescr", "Include/descrobject.h", (3, 3), ()),
    ("memberdescr", "Include/descrobject.h", (3, 3), ()),
    ("wrapperdescr", "Include/descrobject.h", (3, 3), ()),
    ("wrapperbase", "Include/descrobject.h", (3, 3), ()),
    ("methodwrapper", "Objects/descrobject.c", (3, 3), ()),
    ("mappingproxy", "Objects/descrobject.c", (3, 3), ()),
    ("property", "Objects/descrobject.c", (3, 3), ()),
    ("range", "Objects/rangeobject.c", (3, 3), ()),
    ("slice", "Include/sliceobject.h", (3, 3), ()),
    ("func", "Include/funcobject.h", (3, 3), ()),
    ("method", "Include/classobject.h", (3, 3), ()),
    ("staticmethod", "Objects/funcobject.c", (3, 3), ()),
    ("classmethod", "Objects/funcobject.c", (3, 3), ()),
    ("namespace", "Objects/namespaceobject.c", (3, 3), ()),
    ("partial", "Modules/_functoolsmodule.c", (3, 3), ()),
    ("cell", "Include/cellobject.h", (3, 3), ()),
    ("weakref", "Include/weakrefobject.h", (3, 3), ()),
    ("module", "Objects/moduleobject.c", (3, 3), ("module_name", "module_size")),
    ("exception", "Include/pyerrors.h", (3, 3), ()),
    ("oserror", "Include/pyerrors.h", (3, 3), ("oserror_size",)),
    ("gen", "Include/genobject.h", (3, 3), ("gen_name", "gen_qualname", "gen_size")),
    ("gen", "Include/genobject.h", (3, 5), ()),
    ("coro", "Include/genobject.h", (3, 5), ()),
    ("bytearray", "Include/bytearrayobject.h", (3, 4), ()),
    ("setentry", "Include/setobject.h", (3, 4), ()),
    ("timezone", "Modules/_datetimemodule.c", (3, 3), ()),
    ("lock", "Modules/_threadmodule.c", (3, 3), ()),
    ("rlock", "Modules/_threadmodule.c", (3, 3), ()),
    ("defaultdict", "Modules/_collectionsmodule.c", (3, 3), ("defaultdict_size",)),
]
# Objects/dictobject.c of 3.3 and 3.4 has the struct of 3.5's Objects/dict-common.h, which the file states.
KEYS_OF = {(3, 3): "3.5", (3, 4): "3.5"}
# Include/setobject.h of 3.3: the hash comes first, as in 2.7. Include/bytearrayobject.h of 3.3: as in 2.7.
AS_IN_27 = {(3, 3): ("setentry", "bytearray")}
# Include/object.h of 3.3 and 3.4: heap types have no as_async, and no matrix multiplication in as_number.
NO_MATRIX = ("nb_matrix_multiply", "nb_inplace_matrix_multiply")
HEAP_TYPE = ("as_number", 34), ("as_mapping", 3), ("as_sequence", 10), ("as_buffer", 2), ("name", 1), ("slots", 1), \
            ("qualname", 1), ("cached_keys", 1)
# Objects/odictobject.c, Modules/_collectionsmodule.c: other structs in 3.5 than in 2.7 or 3.6, not known here.
NOT_BETWEEN = ("odict", "odictnode", "deque", "dequeblock", "dictkeys", "setentry", "bytearray", "dict", "gchead")


def load():
    with open(os.path.join(HERE, "cpython-3.3-3.5-offsets.json")) as f:
        return {k: v for k, v in json.load(f).items() if k[0].isdigit()}


def find(structs, column):
    """(offset, size of its struct) of a column, by the struct's and the member's name."""
    for t in column.types:
        members = structs.get(NAMES.get(t, t.replace("struct ", "")))
        if members is None or "_address" in members:  # the latter: only declared where the file was made
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


def group_of(name, groups):
    return max((g for g in groups if name.startswith(g + "_")), key=len, default="")


def hand_written(version, stated, row27, row36):
    """Columns by the tables above."""
    cells = {}
    groups = {c.group for c in fields.columns() if c.kind in "FSB"}
    for c in fields.columns():
        if c.kind == "F" and row27[c.name] == row36[c.name] and c.group not in NOT_BETWEEN and row36[c.name][0] >= 0:
            cells[c.name] = row36[c.name]
    for group, _source, since, without in AS_IN_36:
        if version >= since:
            cells.update({k: v for k, v in row36.items() if group_of(k, groups) == group and k not in without})
    for group in AS_IN_27.get(version, ()):
        cells.update({k: v for k, v in row27.items() if group_of(k, groups) == group})
    if version < (3, 5):
        for name in NO_MATRIX:
            cells[name] = [-1, 0]
        cells["nb_size"] = 34 * PTR
        at = stated["type_size"]
        for name, words in HEAP_TYPE:
            cells["heaptype_" + name] = [at, words * PTR]
            at += words * PTR
        cells["heaptype_size"] = at
    if version >= (3, 4):
        cells["type_finalize"] = row36["type_finalize"]
    return {k: v for k, v in cells.items() if v != [-1, 0] and v != 0 or k in NO_MATRIX}


def rows(complete, measured):
    """measured: generate.measured_rows(), for the rows of 2.7 and 3.6."""
    published = load()
    by_minor = {k.rsplit(".", 1)[0]: v for k, v in published.items()}
    row27 = list(measured[(2, 7), PTR, 0].values())[0]
    row36 = list(measured[(3, 6), PTR, 0].values())[0]
    result = []
    for release, structs in published.items():
        version = tuple(int(x) for x in release.split(".")[:2])
        stated = columns_of(structs)
        if version in KEYS_OF:
            other = columns_of(by_minor[KEYS_OF[version]])
            stated.update({k: v for k, v in other.items() if k.startswith(("dictkeys_", "dictentry_"))})
        cells = hand_written(version, stated, row27, row36)
        cells.update(stated)
        result.append((version, PTR, 0, 0, 99, "PYB_LAYOUT_FACTS", complete(version, PTR, 0, cells)))
    return result
