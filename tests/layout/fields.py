# SPDX-License-Identifier: Apache-2.0
"""The columns of struct pyb_layout, read from core/interp/layout_fields.def (the C compiler reads the same lines)."""
import os
import re

CORE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "core", "interp")
ENTRY = re.compile(r'^(F|S|B|K|R)\((\w+)(?:, (\w+))?(?:,\s*"([^"]*)")?(?:,\s*"([^"]*)")?\)', re.M)
INCLUDE = re.compile(r'^#include "(\w+\.inc)"$', re.M)


class Column:
    """kind: F member, S size, B bit field, K stated number, R ruled number. types and paths are alternatives."""

    def __init__(self, kind, group, member, first, second):
        self.kind = kind
        self.group = group
        self.name = group if kind in "KR" else "%s_%s" % (group, "size" if kind == "S" else member)
        self.types = first.split("|") if kind in "FSB" else []
        self.paths = second.split("|") if kind in "FB" else []
        self.expressions = first.split("|") if kind == "K" else []


def read_text(name="layout_fields.def"):
    with open(os.path.join(CORE, name)) as f:
        text = f.read()
    return INCLUDE.sub(lambda m: read_text(m.group(1)), text)


def columns():
    result = [Column(*m.groups()) for m in ENTRY.finditer(read_text())]
    names = [c.name for c in result]
    assert len(names) == len(set(names)), "two columns with one name"
    return result


PUBLISHED = re.compile(r"^(?:D\((\w+), (\w+), \w+, \w+, [01]\)|Z\((\w+), (\w+), \w+\))$", re.M)


def published():
    """["section.member"] of _Py_DebugOffsets, in the order of layout_debug_offsets.def."""
    with open(os.path.join(CORE, "layout_debug_offsets.def")) as f:
        return [".".join(x for x in m.groups() if x) for m in PUBLISHED.finditer(f.read())]
