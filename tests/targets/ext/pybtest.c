// SPDX-License-Identifier: Apache-2.0
// An extension of the tests' own: call(f, x) reaches f(x) through a chain of three C functions, so that a
// braid has to show pybt_outer, pybt_middle and pybt_inner between f and its caller. CPython 2.7 to 3.15.
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define KEPT __attribute__((noinline, noclone))

static KEPT PyObject *pybt_inner(PyObject *function, PyObject *argument)
{
    PyObject *value = PyObject_CallFunctionObjArgs(function, argument, NULL);
    __asm__ volatile("" ::: "memory");
    return value;
}

static KEPT PyObject *pybt_middle(PyObject *function, PyObject *argument)
{
    PyObject *value = pybt_inner(function, argument);
    __asm__ volatile("" ::: "memory");
    return value;
}

static KEPT PyObject *pybt_outer(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *function = NULL;
    PyObject *argument = NULL;
    if (!PyArg_ParseTuple(args, "OO", &function, &argument))
        return NULL;
    PyObject *value = pybt_middle(function, argument);
    __asm__ volatile("" ::: "memory");
    return value;
}

// Like _testcapi.run_in_subinterp, which 2.7 lacks: text runs in a new interpreter on the calling thread.
static PyObject *pybt_run_in_subinterp(PyObject *module, PyObject *args)
{
    (void)module;
    const char *text = NULL;
    if (!PyArg_ParseTuple(args, "s", &text))
        return NULL;
    PyThreadState *outer = PyThreadState_Get();
    PyThreadState *inner = Py_NewInterpreter();
    if (inner == NULL) {
        PyThreadState_Swap(outer);
        PyErr_SetString(PyExc_RuntimeError, "no new interpreter");
        return NULL;
    }
    int result = PyRun_SimpleString(text);
    Py_EndInterpreter(inner);
    PyThreadState_Swap(outer);
    return PyLong_FromLong(result);
}

static PyMethodDef methods[] = {
    {"call", pybt_outer, METH_VARARGS, "call(f, x): f(x) through three C functions"},
    {"run_in_subinterp", pybt_run_in_subinterp, METH_VARARGS, "run_in_subinterp(text): in a new interpreter"},
    {NULL, NULL, 0, NULL},
};

#if PY_MAJOR_VERSION >= 3
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, "pybtest", NULL, -1, methods, NULL, NULL, NULL, NULL};

PyMODINIT_FUNC PyInit_pybtest(void)
{
    return PyModule_Create(&definition);
}
#else
PyMODINIT_FUNC initpybtest(void)
{
    Py_InitModule("pybtest", methods);
}
#endif
