// SPDX-License-Identifier: Apache-2.0
// Which symbols are plumbing, and that no built-in is.
#include "unit.h"

#include "stack/native_name.h"

static void test_plumbing(void **state)
{
    (void)state;
    static const char *const names[] = {
        "_PyEval_EvalFrameDefault", "_PyEval_EvalFrameDefault.cold", "PyEval_EvalFrameEx.part.12",
            "_PyEval_EvalFrameDefault.lto_priv.0",
        "PyObject_Vectorcall", "_PyObject_VectorcallTstate", "_PyObject_VectorcallTstate.lto_priv.5",
            "cfunction_vectorcall_FASTCALL_KEYWORDS",
        "method_vectorcall_NOARGS", "_PyFunction_Vectorcall", "_TAIL_CALL_CALL_FUNCTION_EX", "slot_tp_call",
            "slot_nb_add", "_Py_slot_tp_getattr_hook",
        "gen_send_ex2", "gen_iternext", "py_trampoline_evaluator", "pymain_run_python.constprop.0",
            "Py_RunMain", "run_mod", "type_call",
        "wrap_unaryfunc", "wrap_binaryfunc_l", "fast_function", "PyCFunction_Call",
            "py::Server.wait:/srv/app/server.py",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!pyb_is_plumbing_symbol(names[i]))
            fail_msg("%s is plumbing", names[i]);
    }
}

static void test_real_functions(void **state)
{
    (void)state;
    static const char *const names[] = {
        "builtin_sorted", "list_sort", "list_sort_impl", "list.sort", "time_sleep", "functools_reduce",
            "builtin_exec", "main", "_start", "poll",
        "__libc_start_main", "my_call_function", "wrap_text", "wrap_library_read", "collect_results",
            "run_server", "PyObject_GetAttr", "PyObject_Repr",
        "PyImport_ImportModule", "method_calls_total", "type_caller", "slot_machine", "gen_sender", "", ".",
            "call",
        "_ZN3app6Server4waitEv", "instance", "do_caller", "pymalloc_alloc", "sqlite3_step",
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (pyb_is_plumbing_symbol(names[i]))
            fail_msg("%s is no plumbing", names[i]);
    }
    assert_false(pyb_is_plumbing_symbol(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_plumbing),
                                       cmocka_unit_test(test_real_functions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
