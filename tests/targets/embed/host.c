// SPDX-License-Identifier: Apache-2.0
// A C program that embeds CPython: host_outer -> host_inner -> PyRun_AnyFile of the script in argv[1], with the
// remaining arguments as sys.argv. Linked with a shared libpython, or a static one and then stripped. 3.8 and later.
#include <Python.h>
#include <stdio.h>

#define KEPT __attribute__((noinline, noclone))

static KEPT int host_inner(const char *script)
{
    FILE *stream = fopen(script, "rb");
    if (stream == NULL) {
        perror(script);
        return 1;
    }
    int result = PyRun_SimpleFileEx(stream, script, 1);
    __asm__ volatile("" ::: "memory");
    return result == 0 ? 0 : 1;
}

static KEPT int host_outer(const char *script)
{
    int result = host_inner(script);
    __asm__ volatile("" ::: "memory");
    return result;
}

static int failed(PyStatus status)
{
    fprintf(stderr, "host: %s\n", status.err_msg ? status.err_msg : "the interpreter does not start");
    return 1;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: host SCRIPT [ARGUMENT...]\n");
        return 2;
    }
    PyConfig config;
    PyConfig_InitPythonConfig(&config);
    config.parse_argv = 0;
    PyStatus status = PyConfig_SetBytesArgv(&config, argc - 1, argv + 1);
    if (!PyStatus_Exception(status) && getenv("HOST_PYTHON_HOME"))
        status = PyConfig_SetBytesString(&config, &config.home, getenv("HOST_PYTHON_HOME"));
    if (!PyStatus_Exception(status))
        status = Py_InitializeFromConfig(&config);
    PyConfig_Clear(&config);
    if (PyStatus_Exception(status))
        return failed(status);
    // The folder of the script, as python does for its own command line.
    PyRun_SimpleString("import os, sys; sys.path.insert(0, os.path.dirname(os.path.abspath(sys.argv[0])))");
    int result = host_outer(argv[1]);
    if (Py_FinalizeEx() < 0)
        result = 120;
    return result;
}
