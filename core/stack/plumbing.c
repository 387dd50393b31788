// SPDX-License-Identifier: Apache-2.0
// Native functions that only carry Python's call protocol: a person who reads a stack loses nothing without
// them. Built-ins (builtin_sorted, list_sort, time_sleep) are not here, whatever they are called.
#include <string.h>

#include "stack/native_name.h"

// Whole names, or beginnings where the entry ends with '*'. Sources: Python/ceval.c,
// Python/generated_cases.c.h, Objects/call.c, methodobject.c, descrobject.c, classobject.c, funcobject.c,
// genobject.c, typeobject.c, Python/pythonrun.c, Modules/main.c, Modules/_threadmodule.c,
// Python/perf_trampoline.c of 2.7 to 3.15.
static const char *const carriers[] = {
    // evaluation
    "PyEval_EvalCode*", "PyEval_EvalFrame*", "_PyEval_EvalCode*", "_PyEval_EvalFrame*", "_PyEval_Vector*",
    "_PyEval_FrameClearAndPop", "_TAIL_CALL_*", "_PyTier2Interpreter", "_PyTier2_*", "_PyJIT*", "jit_func_*",
    "fast_function", "function_code_fastcall", "_PyFunction_FastCall*", "_PyFunction_Vectorcall",
    "function_call", "call_function*", "do_call", "do_call_core", "ext_do_call", "call_instrumentation*",
    "call_trampoline*", "_Py_VectorCall*", "_Py_CallBuiltin*", "_PyCallBuiltin*", "_PyCallMethod*",
    // calls
    "PyObject_Call*", "_PyObject_Call*", "PyObject_Vectorcall*", "_PyObject_Vectorcall*",
    "_PyObject_FastCall*", "_PyObject_MakeTpCall", "_PyObject_Vectorcall*", "_PyVectorcall_Call*",
    "PyVectorcall_Call*", "object_vacall", "callmethod", "_callmethod", "_PyObject_CallFunction*",
    "PyEval_Call*", "_PyStack_*", "vectorcall_method", "vectorcall_maybe", "vectorcall_unbound*",
    "call_method", "call_maybe", "call_unbound*", "call_attribute", "null_error", "_Py_CheckFunctionResult",
    // built-in functions and methods
    "PyCFunction_Call*", "_PyCFunction_*", "_PyMethodDef_RawFastCall*", "_PyMethodDescr_*",
    "_PyMethodDescr*", "cfunction_call*", "cfunction_vectorcall_*", "method_vectorcall*", "method_call",
    "methoddescr_call", "classmethoddescr_call", "instancemethod_call", "instance_call", "wrapperdescr_call",
    "wrapperdescr_raw_call", "wrapper_call", "wrap_call", "wrap_init", "wrap_next", "wrap_del",
    "wrap_descr_*", "wrap_unaryfunc", "wrap_binaryfunc*", "wrap_ternaryfunc*", "wrap_inquirypred",
    "wrap_lenfunc", "wrap_hashfunc", "wrap_richcmpfunc", "wrap_cmpfunc", "wrap_coercefunc", "wrap_sq_item",
    "wrap_sq_setitem", "wrap_sq_delitem", "wrap_objobjproc", "wrap_objobjargproc", "wrap_delitem",
    "wrap_setattr", "wrap_delattr", "wrap_indexargfunc", "type_call", "_PyCFunctionFast*", "_Py_Specialize*",
    // slots of classes written in Python
    "slot_tp_*", "slot_nb_*", "slot_sq_*", "slot_mp_*", "slot_am_*", "slot_bf_*", "_Py_slot_*", "instance_*",
    "half_richcompare",
    // generators and coroutines
    "gen_send_ex*", "gen_iternext", "_PyGen_Send", "PyGen_am_send", "gen_send", "coro_send",
    // from the start of a process or thread to its first frame
    "run_mod", "run_eval_code_obj", "PyRun_*", "_PyRun_*", "pyrun_*", "pymain_*", "Py_RunMain",
    "Py_BytesMain", "Py_Main", "run_file", "run_command", "run_python*", "thread_run", "t_bootstrap",
    "pythread_wrapper",
    // perf support
    "py_trampoline_evaluator", "_Py_trampoline_func_start", "py::*",
};

// One entry against a name of n bytes; '*' stands for any text and appears once.
static bool fits(const char *entry, const char *name, size_t n)
{
    const char *star = strchr(entry, '*');
    if (!star)
        return strlen(entry) == n && memcmp(entry, name, n) == 0;
    size_t head = (size_t)(star - entry), tail = strlen(star + 1);
    return n >= head + tail && memcmp(entry, name, head) == 0 && memcmp(star + 1, name + n - tail, tail) == 0;
}

bool pyb_is_plumbing_symbol(const char *symbol)
{
    if (!symbol)
        return false;
    // gcc's and clang's suffixes (.cold, .part.0, .constprop.1, .lto_priv.0, .llvm.123) and versions (@@...)
    size_t n = strcspn(symbol, ".@");
    for (size_t i = 0; i < sizeof(carriers) / sizeof(*carriers); i++) {
        if (fits(carriers[i], symbol, n))
            return true;
    }
    return false;
}
