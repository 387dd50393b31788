// SPDX-License-Identifier: Apache-2.0
// pybraid record: what a reading of a process or core needs, in one file.
#include <getopt.h>

#include "cli.h"

static const char help[] =
    "Usage: pybraid record PID|CORE [EXE] -o FILE\n\n"
    "Writes what a reading of the process or core needs to FILE, for a bug report.\n"
    "FILE holds memory of the process: look before you give it away.\n\n"
    "  -o, --output FILE   the file to write\n"
    "  -h, --help\n\n"
    "Example: pybraid record 4711 -o stuck.pyb\n";

static int record(const char *target, const char *exe, const char *output)
{
    struct pyb_error err = {0};
    struct pyb_session *session;
    int status = pyb_session_new(NULL, &session, &err);
    if (status != 0)
        return cli_fail(status, &err);
    status = cli_open_target(session, target, exe, &err);
    if (status == 0)
        status = pyb_record(session, NULL, 0, output, &err);
    pyb_session_free(session);
    return status == 0 ? EXIT_OK : cli_fail(status, &err);
}

int cmd_record(int argc, char **argv)
{
    static const struct option options[] = {
        {"output", required_argument, NULL, 'o'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *output = NULL;
    int c;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
        if (c == 'h')
            return fputs(help, stdout) < 0 ? EXIT_FAILED : EXIT_OK;
        if (c != 'o')
            return cli_usage("record", "no option %s", argv[optind - 1]);
        output = optarg;
    }
    if (argc - optind < 1 || argc - optind > 2 || !output)
        return cli_usage("record", "a PID or core file and -o FILE are needed");
    return record(argv[optind], argc - optind == 2 ? argv[optind + 1] : NULL, output);
}
