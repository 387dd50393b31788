// SPDX-License-Identifier: Apache-2.0
// pybraid: the shell's front end. So far: --version, and `record`, which takes a recording of a process or
// core.
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pybraid.h"

// Exit codes that scripts are built on.
enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_NOENT, EXIT_PERM, EXIT_NOTPYTHON };

static int exit_code(int status)
{
    switch (status) {
    case PYB_OK:
        return EXIT_OK;
    case PYB_E_USAGE:
        return EXIT_USAGE;
    case PYB_E_NOENT:
    case PYB_E_GONE:
        return EXIT_NOENT;
    case PYB_E_PERM:
        return EXIT_PERM;
    case PYB_E_NOTPYTHON:
    case PYB_E_UNSUPPORTED:
        return EXIT_NOTPYTHON;
    default:
        return EXIT_FAILED;
    }
}

static int fail(int status, const struct pyb_error *err)
{
    fprintf(stderr, "pybraid: %s\n", err->what[0] ? err->what : "failed");
    if (err->remedy[0])
        fprintf(stderr, "%s\n", err->remedy);
    return exit_code(status);
}

static int usage(FILE *out)
{
    fprintf(out, "Usage: pybraid record PID|CORE [EXE] -o FILE\n"
                 "       pybraid --version | --help\n\n"
                 "record   write what a reading of the process or core needs to FILE, for a bug report.\n"
                 "         FILE holds memory of the process: look before you give it away.\n");
    return out == stdout ? EXIT_OK : EXIT_USAGE;
}

static bool is_pid(const char *word, int32_t *ret)
{
    char *end;
    errno = 0;
    long value = strtol(word, &end, 10);
    if (*end || end == word || errno || value <= 0 || value > INT32_MAX)
        return false;
    *ret = (int32_t)value;
    return true;
}

static int record(int argc, char **argv)
{
    const char *words[2] = {NULL, NULL}, *output = NULL;
    int n = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "-o") == 0 || strcmp(argv[i], "--output") == 0) {
            if (++i == argc)
                return usage(stderr);
            output = argv[i];
        } else if (strncmp(argv[i], "--output=", 9) == 0) {
            output = argv[i] + 9;
        } else if (argv[i][0] == '-' || n == 2) {
            return usage(stderr);
        } else {
            words[n++] = argv[i];
        }
    }
    if (n == 0 || !output)
        return usage(stderr);
    struct pyb_error err = {0};
    struct pyb_session *session;
    int32_t pid;
    int status = pyb_session_new(NULL, &session, &err);
    if (status != 0)
        return fail(status, &err);
    status = is_pid(words[0], &pid) ? pyb_open_pid(session, pid, &err)
        : pyb_open_core(session, words[0], words[1], &err);
    if (status == 0)
        status = pyb_record(session, NULL, 0, output, &err);
    pyb_session_free(session);
    return status == 0 ? EXIT_OK : fail(status, &err);
}

int main(int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        printf("pybraid %s\n", pyb_version());
        return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
    }
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return usage(stdout);
    if (argc >= 3 && strcmp(argv[1], "record") == 0)
        return record(argc - 2, argv + 2);
    return usage(stderr);
}
