// SPDX-License-Identifier: Apache-2.0
// pybraid dump: the stacks of processes and cores.
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "show.h"
#include "watch_tree.h"

#define MAX_TIDS 1024

static const char help[] =
    "Usage: pybraid dump [OPTIONS] PID...\n"
    "       pybraid dump [OPTIONS] CORE [EXE]\n\n"
    "Shows every thread of a Python process, Python and native frames in one stack, innermost first.\n"
    "The process goes on: sleeping threads are not disturbed, running ones stopped for less than a millisecond.\n\n"
    "  -p, --python        Python frames only\n"
    "  -a, --all           also the interpreter's own plumbing frames\n"
    "  -l, --locals        local variables; holds the running threads meanwhile\n"
    "  -v, --verbose       instances with their __dict__, full paths, addresses\n"
    "  -n, --limit N       at most N frames of each thread\n"
    "      --tid TID       only this thread (again for more)\n"
    "      --children      also all descendants of the process\n"
    "      --traceback     Python frames as a traceback: most recent call last\n"
    "      --source        files, lines and inlined functions of native frames, from debug information\n"
    "      --consistent    stop all threads together: one moment for all\n"
    "      --no-stop       never stop a thread: read until two readings agree\n"
    "      --no-group      threads with equal stacks each for itself\n"
    "      --strict        exit with 6 when a stack is incomplete\n"
    "      --json          one JSON document a process and line\n"
    "  -o, --output FILE   write there instead of standard output\n"
    "      --color WHEN    auto, always or never\n"
    "  -h, --help\n\n"
    "Exit codes: 0 ok, 1 failed, 2 usage, 3 no such process or file, 4 permission,\n"
    "5 not a (supported) Python, 6 partial under --strict.\n\n"
    "Example: sudo pybraid dump --children 4711\n";

enum { OPT_TID = 256, OPT_CHILDREN, OPT_TRACEBACK, OPT_SOURCE, OPT_CONSISTENT, OPT_NO_STOP, OPT_NO_GROUP, OPT_STRICT,
       OPT_JSON, OPT_COLOR, OPT_PID };

static const struct option options[] = {
    {"python", no_argument, NULL, 'p'},
    {"all", no_argument, NULL, 'a'},
    {"locals", no_argument, NULL, 'l'},
    {"verbose", no_argument, NULL, 'v'},
    {"limit", required_argument, NULL, 'n'},
    {"tid", required_argument, NULL, OPT_TID},
    {"pid", required_argument, NULL, OPT_PID},
    {"children", no_argument, NULL, OPT_CHILDREN},
    {"traceback", no_argument, NULL, OPT_TRACEBACK},
    {"source", no_argument, NULL, OPT_SOURCE},
    {"consistent", no_argument, NULL, OPT_CONSISTENT},
    {"no-stop", no_argument, NULL, OPT_NO_STOP},
    {"no-group", no_argument, NULL, OPT_NO_GROUP},
    {"strict", no_argument, NULL, OPT_STRICT},
    {"json", no_argument, NULL, OPT_JSON},
    {"output", required_argument, NULL, 'o'},
    {"color", required_argument, NULL, OPT_COLOR},
    {"help", no_argument, NULL, 'h'},
    {0},
};

struct dump {
    struct show show;
    int32_t tids[MAX_TIDS];
    bool children, strict, help;
    const char *output, *pid;
    enum cli_color color;
};

static int add_tid(struct dump *d, const char *word)
{
    long tid;
    if (!cli_number(word, 1, INT32_MAX, &tid))
        return cli_usage("dump", "--tid wants a thread id, not '%s'", word);
    if (d->show.n_tids == MAX_TIDS)
        return cli_usage("dump", "more than %d times --tid", MAX_TIDS);
    d->tids[d->show.n_tids++] = (int32_t)tid;
    return EXIT_OK;
}

static int set_limit(struct dump *d, const char *word)
{
    long limit;
    if (!cli_number(word, 1, INT32_MAX, &limit))
        return cli_usage("dump", "--limit wants a number of frames from 1 on, not '%s'", word);
    d->show.limit = (uint32_t)limit;
    return EXIT_OK;
}

static int apply(struct dump *d, int c, char *word)
{
    switch (c) {
    case 'p': d->show.text |= PYB_TEXT_PYTHON; d->show.dump |= PYB_DUMP_PYTHON; return EXIT_OK;
    case 'a': d->show.text |= PYB_TEXT_ALL; return EXIT_OK;
    case 'l': d->show.text |= PYB_TEXT_LOCALS; d->show.read |= PYB_READ_LOCALS; return EXIT_OK;
    case 'v': d->show.text |= PYB_TEXT_VERBOSE; d->show.read |= PYB_READ_VERBOSE; return EXIT_OK;
    case 'n': return set_limit(d, optarg);
    case 'o': d->output = optarg; return EXIT_OK;
    case 'h': d->help = true; return EXIT_OK;
    case OPT_TID: return add_tid(d, optarg);
    case OPT_PID: d->pid = optarg; return EXIT_OK;
    case OPT_CHILDREN: d->children = true; return EXIT_OK;
    case OPT_TRACEBACK: d->show.text |= PYB_TEXT_TRACEBACK; d->show.dump |= PYB_DUMP_PYTHON; return EXIT_OK;
    case OPT_SOURCE: d->show.dump |= PYB_DUMP_SOURCE; return EXIT_OK;
    case OPT_CONSISTENT: d->show.dump |= PYB_DUMP_CONSISTENT; return EXIT_OK;
    case OPT_NO_STOP: d->show.dump |= PYB_DUMP_NO_STOP; return EXIT_OK;
    case OPT_NO_GROUP: d->show.no_group = true; return EXIT_OK;
    case OPT_STRICT: d->strict = true; return EXIT_OK;
    case OPT_JSON: d->show.json = true; return EXIT_OK;
    case OPT_COLOR:
        return cli_parse_color(optarg, &d->color) ? EXIT_OK
            : cli_usage("dump", "--color wants auto, always or never, not '%s'", optarg);
    case ':': return cli_usage("dump", "%s wants an argument", word);
    default: return cli_usage("dump", "no option %s", word);
    }
}

static int parse(struct dump *d, int argc, char **argv)
{
    int c, code = EXIT_OK;
    opterr = 0;
    while (code == EXIT_OK && (c = getopt_long(argc, argv, ":palvn:o:h", options, NULL)) != -1)
        code = apply(d, c, argv[optind - 1]);
    d->show.tids = d->show.n_tids ? d->tids : NULL;
    if (code == EXIT_OK && (d->show.dump & PYB_DUMP_CONSISTENT) && (d->show.dump & PYB_DUMP_NO_STOP))
        return cli_usage("dump", "--consistent and --no-stop exclude each other");
    return code;
}

// The first failure decides the exit code; the others are tried all the same.
static void add_code(const struct dump *d, int status, bool partial, int *code)
{
    if (status == EXIT_OK && partial && d->strict)
        status = EXIT_PARTIAL;
    if (*code == EXIT_OK)
        *code = status;
}

static void one(struct dump *d, struct cli_out *o, const char *target, bool *first, int *code)
{
    bool partial = false;
    if (!*first && !d->show.json)
        cli_printf(o, "\n");
    *first = false;
    int status = show_target(o, target, &d->show, &partial);
    add_code(d, status, partial, code);
}

static void descendants(struct dump *d, struct cli_out *o, const char *root, bool *first, int *code)
{
    struct watch_tree tree;
    int32_t pid;
    if (!cli_is_pid(root, &pid))
        return; // a core has none
    if (!watch_tree_read_session(pid, &tree)) {
        fprintf(stderr, "pybraid: the children of %s cannot be listed: /proc is not readable\n", root);
        add_code(d, EXIT_FAILED, false, code);
        return;
    }
    d->show.optional = true;
    for (size_t i = 0; i < tree.n && !cli_interrupted(NULL); i++) {
        char word[16];
        (void)snprintf(word, sizeof(word), "%d", tree.procs[i].pid);
        if (tree.procs[i].state != 'Z')
            one(d, o, word, first, code);
    }
    d->show.optional = false;
    watch_tree_free(&tree);
}

static int targets(struct dump *d, int argc, char **argv, struct cli_out *o)
{
    int code = EXIT_OK;
    bool first = true;
    int32_t pid;
    if (argc == 2 && !cli_is_pid(argv[0], &pid)) { // CORE EXE
        d->show.exe = argv[1];
        argc = 1;
    }
    if (d->pid)
        one(d, o, d->pid, &first, &code);
    for (int i = 0; i < argc && !cli_interrupted(NULL); i++) {
        one(d, o, argv[i], &first, &code);
        if (d->children)
            descendants(d, o, argv[i], &first, &code);
    }
    if (d->pid && d->children)
        descendants(d, o, d->pid, &first, &code);
    return code;
}

int cmd_dump(int argc, char **argv)
{
    struct dump d = {.show = {.dump = PYB_DUMP_FINDINGS}};
    struct cli_out out;
    int code = parse(&d, argc, argv);
    if (code != EXIT_OK)
        return code;
    if (d.help)
        return fputs(help, stdout) < 0 || fflush(stdout) != 0 ? EXIT_FAILED : EXIT_OK;
    if (optind == argc && !d.pid)
        return cli_usage("dump", "a process id or a core file is needed");
    int32_t pid;
    if (d.pid && !cli_is_pid(d.pid, &pid))
        return cli_usage("dump", "--pid wants a process id, not '%s'", d.pid);
    code = cli_open(&out, d.output, d.color);
    if (code != EXIT_OK)
        return code;
    cli_catch_interrupt();
    return cli_close(&out, targets(&d, argc - optind, argv + optind, &out));
}
