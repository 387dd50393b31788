// SPDX-License-Identifier: Apache-2.0
// pybraid ps: the Python processes of this machine.
#include <getopt.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ps.h"

static const char help[] =
    "Usage: pybraid ps [OPTIONS]\n\n"
    "The Python processes of this machine, whatever their programs are called: process id,\n"
    "version (t: free-threaded, d: debug build), number of threads, innermost Python frame\n"
    "of the main thread, command. Nothing is stopped. What cannot be read says why.\n\n"
    "      --unreadable    also processes of which not even that much can be told\n"
    "      --json          one JSON document a process and line\n"
    "  -o, --output FILE   write there instead of standard output\n"
    "      --color WHEN    auto, always or never\n"
    "  -h, --help\n\n"
    "Example: sudo pybraid ps\n";

// Of the terminal that it goes to; 0: none, lines are not cut.
static size_t columns_of(const struct cli_out *o)
{
    struct winsize size;
    if (!isatty(fileno(o->file)) || ioctl(fileno(o->file), TIOCGWINSZ, &size) != 0)
        return 0;
    return size.ws_col;
}

static int run(struct cli_out *out, bool json, bool unreadable)
{
    struct ps_rows rows;
    cli_catch_interrupt();
    int code = ps_collect(unreadable, &rows);
    if (json)
        ps_json(out, &rows);
    else
        ps_text(out, &rows, columns_of(out));
    if (!json && code == EXIT_OK && rows.n == 0)
        fprintf(stderr, "pybraid: no Python process among the %zu that can be looked into\n", rows.n_processes - rows.n_unseen);
    if (!json && rows.n_unseen)
        fprintf(stderr, "pybraid: %zu process%s cannot be looked into: %s\n", rows.n_unseen, rows.n_unseen == 1 ? "" : "es",
                geteuid() == 0 ? "--unreadable lists them and says why" : "sudo pybraid ps");
    ps_rows_free(&rows);
    return code;
}

int cmd_ps(int argc, char **argv)
{
    static const struct option options[] = {{"unreadable", no_argument, NULL, 'u'}, {"json", no_argument, NULL, 'j'},
                                            {"output", required_argument, NULL, 'o'}, {"color", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'}, {0}};
    const char *output = NULL;
    enum cli_color color = CLI_COLOR_AUTO;
    bool json = false, unreadable = false;
    int c;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
        if (c == 'h')
            return fputs(help, stdout) < 0 ? EXIT_FAILED : EXIT_OK;
        if (c == 'j')
            json = true;
        else if (c == 'u')
            unreadable = true;
        else if (c == 'o')
            output = optarg;
        else if (c != 'c')
            return cli_usage("ps", "no option %s", argv[optind - 1]);
        else if (!cli_parse_color(optarg, &color))
            return cli_usage("ps", "--color is auto, always or never, not '%s'", optarg);
    }
    if (argc > optind)
        return cli_usage("ps", "no arguments, such as '%s'", argv[optind]);
    struct cli_out out;
    int code = cli_open(&out, output, color);
    return code != EXIT_OK ? code : cli_close(&out, run(&out, json, unreadable));
}
