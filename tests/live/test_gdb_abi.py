# SPDX-License-Identifier: Apache-2.0
"""What Python believes of the C library, member by member, beside what the library's debug information says:
every struct, constant and prototype of gdb/library.py, and the structs that test_sample.py declares."""
import ctypes
import importlib.util
import json
import os
import re

import pytest

import test_sample
from support import debugger, pythons

BUILD = os.environ.get("PYBRAID_BUILD", os.path.join(pythons.REPO, "build"))
LIBRARY = os.path.join(BUILD, "lib", "libpybraid.so")

# Runs inside GDB: names on the command line, JSON on stdout.
ASK = '''
import gdb, json
def kind(t):
    t = t.strip_typedefs()
    if t.code == gdb.TYPE_CODE_ARRAY:
        return ["array", t.sizeof]
    if t.code == gdb.TYPE_CODE_VOID:
        return ["none", 0]
    names = {gdb.TYPE_CODE_PTR: "pointer", gdb.TYPE_CODE_BOOL: "bool", gdb.TYPE_CODE_ENUM: "enum",
             gdb.TYPE_CODE_STRUCT: "struct"}
    if t.code in names:
        return [names[t.code], t.sizeof]
    return ["unsigned" if t.is_signed is False else "signed", t.sizeof]
def struct(name):
    try:
        t = gdb.lookup_type("struct " + name)
    except gdb.error:
        return None
    return [t.sizeof, [[f.name, f.bitpos // 8, kind(f.type)] for f in t.fields()]]
def constant(name):
    try:
        return int(gdb.parse_and_eval(name))
    except gdb.error:
        return None
def function(name):
    try:
        t = gdb.parse_and_eval(name).type
    except gdb.error:
        return None
    return [kind(t.target()), [kind(f.type) for f in t.fields()]]
asked = json.loads(%r)
print("ANSWER " + json.dumps([{n: f(n) for n in names}
                              for f, names in zip((struct, constant, function), asked)]))
'''


def load_library():
    spec = importlib.util.spec_from_file_location("pybraid_abi", os.path.join(pythons.REPO, "gdb", "library.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def c_name(python_name):
    return "pyb_" + re.sub(r"(?<!^)(?=[A-Z])", "_", python_name).lower()


def kind(declared):
    """As the debugger's kind() of the same thing."""
    if declared is None:
        return ["none", 0]
    size = ctypes.sizeof(declared)
    if issubclass(declared, ctypes.Array):
        return ["array", size]
    if issubclass(declared, ctypes.Structure):
        return ["struct", size]
    pointers = (ctypes.c_char_p, ctypes.c_void_p, ctypes._Pointer, ctypes._CFuncPtr)
    if issubclass(declared, pointers):
        return ["pointer", size]
    if issubclass(declared, ctypes.c_bool):
        return ["bool", size]
    signed = declared is ctypes.c_char or declared(-1).value == -1
    return ["signed" if signed else "unsigned", size]


def agrees(declared, real):
    """An enum is an int of its size, as the compiler likes it signed."""
    if real[0] == "enum":
        return declared in (["signed", real[1]], ["unsigned", real[1]])
    return declared == real


def structs_of(module, names):
    """Those that the module declares, by their C names; `names` where the classes are called otherwise."""
    return {c_name(names.get(name, name)): value for name, value in vars(module).items()
            if isinstance(value, type) and issubclass(value, ctypes.Structure)
            and value.__module__ == module.__name__ and "_fields_" in vars(value)}


def constants_of(module):
    """E_GONE is PYB_E_GONE and so on."""
    return {"PYB_" + name: value for name, value in vars(module).items()
            if isinstance(value, int) and not isinstance(value, bool) and re.fullmatch(r"[A-Z][A-Z_]+", name)}


def ask(structs, constants, functions):
    asked = json.dumps([sorted(structs), sorted(constants), sorted(functions)])
    text = debugger.gdb_batch(["python exec(%r)" % (ASK % asked)], exe=LIBRARY, plugin=False).out
    lines = [line[7:] for line in text.splitlines() if line.startswith("ANSWER ")]
    assert len(lines) == 1, text[-2000:]
    return json.loads(lines[0])


def struct_differences(name, declared, real):
    if real is None:
        return ["the library has no struct %s" % name]
    mine = [(field, getattr(declared, field).offset, kind(what)) for field, what in declared._fields_]
    size, members = real
    found = []
    if ctypes.sizeof(declared) != size:
        found.append("%s: %d bytes, not %d" % (name, ctypes.sizeof(declared), size))
    if len(mine) != len(members):
        lacking = [row[0] for row in members[len(mine):]]
        found.append("%s: %d members, not %d: %s" % (name, len(mine), len(members), lacking))
    for (field, offset, what), (its_field, its_offset, its_kind) in zip(mine, members):
        if (field, offset) != (its_field, its_offset) or not agrees(what, its_kind):
            found.append("%s: %s, %s at %d, not %s, %s at %d"
                         % (name, field, what, offset, its_field, its_kind, its_offset))
    return found


def function_differences(name, declared, real):
    if real is None:
        return ["the library has no %s" % name]
    result, arguments = declared
    mine = [kind(result), *map(kind, arguments)]
    theirs = [real[0], *real[1]]
    if len(mine) != len(theirs) or not all(map(agrees, mine, theirs)):
        return ["%s: %s, not %s" % (name, mine, theirs)]
    return []


def differences(structs, constants, functions):
    real_structs, real_constants, real_functions = ask(structs, constants, functions)
    found = []
    for name, declared in structs.items():
        found += struct_differences(name, declared, real_structs[name])
    found += ["%s: %d, not %s" % (name, value, real_constants[name]) for name, value in constants.items()
              if real_constants[name] != value]
    for name, declared in functions.items():
        found += function_differences(name, declared, real_functions[name])
    return found


@pytest.mark.matrix("gdb")
def test_library_py_is_the_c_library():
    library = load_library()
    structs, constants = structs_of(library, {}), constants_of(library)
    assert len(structs) >= 13 and len(constants) >= 20 and len(library._PROTOTYPES) >= 14
    assert differences(structs, constants, library._PROTOTYPES) == []


@pytest.mark.matrix("sample")
def test_the_structs_of_the_sample_tests():
    names = {"State": "ThreadState", "Frame": "SampleFrame", "Options": "ReadOptions"}
    structs = structs_of(test_sample, names)
    del structs["pyb_session_options"]  # the beginning of struct pyb_options only
    assert set(structs) == {"pyb_error", "pyb_thread_state", "pyb_sample_frame", "pyb_sample", "pyb_read_options"}
    assert differences(structs, {}, {}) == []


def test_a_difference_is_found():
    """Each kind of mistake that a change of the header could leave behind."""
    class Local(ctypes.Structure):
        _fields_ = [("name", ctypes.c_char_p), ("cell", ctypes.c_bool), ("arg", ctypes.c_bool),
                    ("addr", ctypes.c_int64), ("type", ctypes.c_char_p), ("repr", ctypes.c_char_p)]

    found = differences({"pyb_local": Local}, {"PYB_E_GONE": -11}, {"pyb_read": (ctypes.c_int, [])})
    about = [row.partition(":")[0] for row in found]
    assert about == ["pyb_local"] * 5 + ["PYB_E_GONE", "pyb_read"], found
