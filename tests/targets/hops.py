# SPDX-License-Identifier: Apache-2.0
"""Ways to get from one Python function into the next through C, each known beforehand.

A hop is a function `via_X(onward)`: it calls a C function that calls a Python callback, and the callback
calls `onward()`. VIAS says for each callback what must lie between its frame and its caller's:

    what       for people
    functions  native names (regular expressions), innermost first, all of which must be there if the modules
               that hold them have symbols; each entry is a list of alternatives (versions, inlining)
    builtins   Python names that the method tables of a stripped interpreter can give for it
    modules    regular expressions; each must match the file of one native frame between; "<python>" stands
               for the file with the interpreter itself
"""
from __future__ import print_function

import functools
import os
import re
import sys

PY2 = sys.version_info < (3,)
PYTHON = "<python>"

VIAS = {}
HOPS = []
MISSING = {}


def says(callback, what, functions, builtins=(), modules=(PYTHON,)):
    VIAS[callback] = {"what": what, "functions": [list(names) for names in functions],
                      "builtins": list(builtins), "modules": list(modules)}


def hop(function):
    HOPS.append(function)
    return function


says("sorted_key", "sorted(key=)", [["builtin_sorted", "list_sort_impl.*", "list_sort", "listsort"]],
     ["sorted", "list.sort"])


@hop
def via_sorted(onward):
    def sorted_key(item):
        onward()
        return item
    return sorted([1], key=sorted_key)


says("reduce_step", "functools.reduce", [["functools_reduce", "_functools_reduce.*", "builtin_reduce"]],
     ["_functools.reduce", "functools.reduce", "reduce"], [PYTHON + r"|_functools.*\.so"])


@hop
def via_reduce(onward):
    def reduce_step(left, right):
        onward()
        return left + right
    return functools.reduce(reduce_step, [1, 2])


says("sub_callback", "re.Pattern.sub", [["pattern_subx.*", "_sre_SRE_Pattern_sub.*", "pattern_sub"]],
     ["re.Pattern.sub", "_sre.SRE_Pattern.sub", "SRE_Pattern.sub"], [PYTHON + r"|_sre.*\.so"])


@hop
def via_sub(onward):
    def sub_callback(match):
        onward()
        return match.group(0).upper()
    return re.compile("a").sub(sub_callback, "-a-")


says("getattr_slot", "__getattr__ by slot", [["(_Py_)?slot_tp_getattr_hook.*", "call_attribute.*"]])


@hop
def via_getattr(onward):
    def getattr_slot(self, name):
        onward()
        return name
    return type("Getattr", (object,), {"__getattr__": getattr_slot})().missing


says("del_slot", "__del__ by slot",
     [["slot_tp_finalize.*", "slot_tp_del", "subtype_dealloc.*", "PyObject_CallFinalizer.*"]])


@hop
def via_del(onward):
    def del_slot(self):
        onward()
    victim = type("Del", (object,), {"__del__": del_slot})()
    del victim


says("hash_slot", "__hash__ by slot", [["slot_tp_hash.*"]])


@hop
def via_hash(onward):
    def hash_slot(self):
        onward()
        return 7
    return {type("Hash", (object,), {"__hash__": hash_slot})(): 1}


says("eq_slot", "__eq__ by slot, from list.index",
     [["slot_tp_richcompare.*", "half_richcompare.*", "list_index.*", "listindex"]], ["list.index"])


@hop
def via_eq(onward):
    def eq_slot(self, other):
        onward()
        return True
    kind = type("Eq", (object,), {"__eq__": eq_slot})
    return [kind()].index(kind())


says("len_slot", "__len__ by slot, from len()", [["slot_sq_length.*", "builtin_len.*"]], ["len"])


@hop
def via_len(onward):
    def len_slot(self):
        onward()
        return 3
    return len(type("Len", (object,), {"__len__": len_slot})())


says("generator_for_list", "generator next from list()",
     [["gen_send_ex.*", "gen_iternext.*"],
      ["list_extend.*", "listextend", "list___init__.*", "list_init", "list_vectorcall", "_PyList_Extend.*"]])


@hop
def via_list(onward):
    def generator_for_list():
        onward()
        yield 1
    return list(generator_for_list())


says("generator_for_sum", "generator next from sum()",
     [["gen_send_ex.*", "gen_iternext.*"], ["builtin_sum.*"]], ["sum"])


@hop
def via_sum(onward):
    def generator_for_sum():
        onward()
        yield 1
    return sum(generator_for_sum())


says("map_function", "map()", [["map_next.*", "builtin_map"]], ["map"])


@hop
def via_map(onward):
    def map_function(item):
        onward()
        return item
    return list(map(map_function, [1]))


says("filter_function", "filter()", [["filter_next.*", "builtin_filter"]], ["filter"])


@hop
def via_filter(onward):
    def filter_function(item):
        onward()
        return True
    return list(filter(filter_function, [1]))


says("max_key", "max(key=)", [["builtin_max.*", "min_max.*"]], ["max"])


@hop
def via_max(onward):
    def max_key(item):
        onward()
        return item
    return max([1], key=max_key)


says("partial_function", "functools.partial", [["partial_call.*", "partial_vectorcall.*"]], [],
     [PYTHON + r"|_functools.*\.so"])


@hop
def via_partial(onward):
    def partial_function(item):
        onward()
        return item
    # Called by map, in C: the interpreter itself may take a partial apart.
    return max([1], key=functools.partial(partial_function))


GENERATED = "<generated by hops.py>"
says("<module> " + GENERATED, "exec of generated code",
     [["builtin_exec.*", "exec_statement.*", "PyEval_EvalCode.*", "_PyEval_Vector", "run_eval_code_obj.*"]], ["exec"])


@hop
def via_exec(onward):
    # exec is a statement in 2.7: this form is valid in both.
    exec(compile("value = 1\nonward()\n", GENERATED, "exec"), {"onward": onward})


IMPORTED = "pyb_imported.py"
says("<module> " + IMPORTED, "import running a module body",
     [["builtin_exec.*", "PyEval_EvalCode.*", "load_source_module.*", "PyImport_ExecCodeModuleEx.*"]])
says("_find_and_load", "the import statement",
     [["PyImport_ImportModuleLevelObject.*", "import_find_and_load.*", "import_name.*", "_PyEval_ImportName.*",
       "builtin___import__.*"]])
ONWARD = []


def write_imported(folder):
    """Makes the module that via_import imports; call once, before it."""
    with open(os.path.join(folder, IMPORTED), "w") as stream:
        stream.write("import hops\nhops.ONWARD[-1]()\n")
    sys.path.insert(0, folder)


@hop
def via_import(onward):
    # One thread at a time may use it: imports of one module are serialised by a lock.
    ONWARD.append(onward)
    sys.modules.pop("pyb_imported", None)
    try:
        import pyb_imported  # noqa: F401
    finally:
        ONWARD.pop()


LIBC = r"libc[.-].*so.*|ld-musl.*|libc\.so"

try:
    import ctypes
except ImportError as error:
    ctypes = None
    MISSING["via_qsort"] = "no ctypes: %s" % error

if ctypes is not None:
    says("qsort_compare", "ctypes: libc's qsort",
         [["qsort", "qsort_r", "__qsort_r.*", "__GI___qsort_r", "msort_with_tmp.*", "introsort.*", "insertion_sort.*"]],
         [], [LIBC, PYTHON + r"|_ctypes.*\.so"])
    COMPARE = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    LIBC_SELF = ctypes.CDLL(None)

    @hop
    def via_qsort(onward):
        def qsort_compare(left, right):
            onward()
            return 0
        LIBC_SELF.qsort((ctypes.c_int * 2)(2, 1), 2, 4, COMPARE(qsort_compare))

try:
    import pybtest
except ImportError as error:
    pybtest = None
    MISSING["via_extension"] = "no pybtest: %s" % error

if pybtest is not None:
    says("extension_callback", "the tests' own C extension",
         [["pybt_inner"], ["pybt_middle"], ["pybt_outer"]], ["pybtest.call"], [r"pybtest\.so"])

    @hop
    def via_extension(onward):
        def extension_callback(item):
            onward()
            return item
        return pybtest.call(extension_callback, 1)

says("_bootstrap", "a thread's first function", [["t_bootstrap", "thread_run"]], [], [PYTHON, LIBC])
says("__bootstrap", "a thread's first function", [["t_bootstrap", "thread_run"]], [], [PYTHON, LIBC])

if sys.version_info >= (3, 14):
    # A thread runs in a context of its own: Thread._bootstrap_inner calls Context.run(self.run).
    says("run", "contextvars.Context.run", [["context_run.*"]], ["_contextvars.Context.run"])


def via_of(frame_entry):
    """The VIAS row of a frame of an account: by name, module bodies by name and file."""
    name, filename = frame_entry["name"], os.path.basename(frame_entry["file"])
    if name == "<module>":
        return VIAS.get("<module> " + filename)
    if name == "_find_and_load" and "importlib" not in filename:
        return None
    return VIAS.get(name)
