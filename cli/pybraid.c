// SPDX-License-Identifier: Apache-2.0
// pybraid: the shell's front end. Each command is a file of its own (cli.h).
#include <string.h>

#include "cli.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    {"dump", cmd_dump, "the stacks of a process or core file"},
    {"ps", cmd_ps, "the Python processes of this machine"},
    {"doctor", cmd_doctor, "whether a process can be read here, and what helps if not"},
    {"watch", cmd_watch, "run a command, and when it is stuck say where and end it"},
    {"record", cmd_record, "write what a reading needs to a file, for a bug report"},
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int usage(FILE *out)
{
    fprintf(out, "Usage: pybraid COMMAND [OPTIONS] [ARGUMENTS]\n\n"
                 "What a CPython process is doing, Python and native frames in one stack.\n\n");
    for (size_t i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\n  pybraid COMMAND --help    its options\n  pybraid --version\n\n"
                 "Exit codes: 0 ok, 1 failed, 2 usage, 3 no such process or file, 4 permission,\n"
                 "5 not a (supported) Python, 6 partial under --strict.\n\n"
                 "Example: sudo pybraid dump 4711\n");
    return out == stdout ? EXIT_OK : EXIT_USAGE;
}

int main(int argc, char **argv)
{
    const char *word = argc >= 2 ? argv[1] : "";
    if (strcmp(word, "--version") == 0) {
        printf("pybraid %s\n", pyb_version());
        return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0)
        return usage(stdout);
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(word, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    }
    if (*word)
        fprintf(stderr, "pybraid: no command '%s'\n", word);
    return usage(stderr);
}
