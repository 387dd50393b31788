# SPDX-License-Identifier: Apache-2.0
"""The R columns: meaning that no header states, by version, each with the CPython source that it is read from."""

WALKER = {"frameobject": 1, "cframe": 2, "iframe": 3}
LINES = {"lnotab_27": 1, "lnotab_36": 2, "linetable_310": 3, "locations_311": 4}


def rules(version, ptr_size, flags, measured, types):
    """measured: columns read for this row; types: names of the struct types that members have."""
    v = tuple(version[:2])
    free_threaded = bool(flags & 2)
    r = {}
    # Python/ceval.c of each version; 3.13 dropped _PyCFrame.
    r["walker"] = WALKER["iframe" if v >= (3, 13) else "cframe" if v >= (3, 11) else "frameobject"]
    # Include/internal/pycore_stackref.h: members of type _PyStackRef carry tag bits. 3.14: Py_TAG_BITS where the
    # header states it. An integer on the stack (3.14+) has Py_INT_TAG in the low two bits.
    mask = measured.get("stackref_tag_mask", -1)
    tag = mask if mask > 0 else 3
    r["executable_tag_mask"] = tag if "StackRef" in types.get("iframe_executable", "") else 0
    r["localsplus_tag_mask"] = tag if "StackRef" in types.get("iframe_localsplus", "") else 0
    r["localsplus_int_tag"] = 3 if r["localsplus_tag_mask"] and v >= (3, 14) else -1
    # Include/cpython/frameobject.h, Objects/frameobject.c: f_lasti counts instructions on 3.10 only.
    r["lasti_scale"] = -1 if v >= (3, 11) else 2 if v == (3, 10) else 1
    # Include/internal/pycore_frame.h: prev_instr (3.11, 3.12), instr_ptr (3.13 on).
    r["instr_is_previous"] = 1 if v in ((3, 11), (3, 12)) else 0
    # Python/ceval.c, "wordcode" since 3.6.
    r["code_unit_size"] = 2 if v >= (3, 6) else 1
    # Objects/lnotab_notes.txt, Objects/locations.md.
    r["line_table"] = LINES["locations_311" if v >= (3, 11) else "linetable_310" if v == (3, 10)
                            else "lnotab_36" if v >= (3, 6) else "lnotab_27"]
    # Include/unicodeobject.h: PEP 393 in 3.3, PEP 623 in 3.12.
    r["unicode_model"] = 3 if v >= (3, 12) else 2 if v >= (3, 3) else 1
    # Include/cpython/longintrepr.h.
    r["int_model"] = 2 if v >= (3, 12) else 1
    # Objects/dictobject.c, Include/internal/pycore_dict.h.
    r["dict_model"] = 4 if v >= (3, 11) else 3 if v >= (3, 6) else 2 if v >= (3, 3) else 1
    # Include/internal/pycore_object.h: _PyObject_DictPointer and _PyObject_ValuesPointer (3.11), both one tagged
    # word in 3.12 (low bit set: values), MANAGED_DICT_OFFSET (3.13 on).
    words = {(3, 11): (-3, -4), (3, 12): (-3, -3)}.get(v, (0, 0))
    if v >= (3, 13):
        words = (-1 if free_threaded else -3, 0)
    r["managed_dict_at"], r["managed_values_at"] = words[0] * ptr_size, words[1] * ptr_size
    return r
