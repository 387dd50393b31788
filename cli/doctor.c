// SPDX-License-Identifier: Apache-2.0
// pybraid doctor: can this user read that process, what is in the way, and what helps.
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "doctor_show.h"

static const char help[] =
    "Usage: pybraid doctor [OPTIONS] [PID]\n\n"
    "Says whether this user can read the process, or without PID processes in general;\n"
    "if not, what is in the way and what can be pasted to change that. Also says which\n"
    "interpreter was found where, and what gdb, lldb, perf and BPF can do here.\n"
    "Changes nothing and stops nothing.\n\n"
    "      --pid PID       the process, named by an option\n"
    "      --json          one JSON document\n"
    "  -o, --output FILE   write there instead of standard output\n"
    "      --color WHEN    auto, always or never\n"
    "  -h, --help\n\n"
    "Exit codes: 0 it can, 4 no permission, 3 no such process, 5 not a (supported) Python,\n"
    "2 usage, 1 failed.\n\n"
    "Example: pybraid doctor 4711\n";

// What the library itself makes of the process: that, and nothing else, is the verdict.
static void look_inside(struct report *r)
{
    const struct pyb_options limits = {.size = sizeof(limits), .max_ms = 10000};
    r->status = pyb_session_new(&limits, &r->session, &r->error);
    if (r->status == 0)
        r->status = pyb_open_pid(r->session, r->facts.pid, &r->error);
    r->info.size = sizeof(r->info);
    if (r->status == 0)
        r->status = pyb_session_info(r->session, &r->info, &r->error);
    const struct pyb_thread_state *states;
    if (r->status == 0 && pyb_thread_states(r->session, &states, &r->n_states, NULL) != 0)
        r->n_states = 0; // it may be starting or ending
}

static void judge_process(struct report *r, int32_t pid)
{
    facts_process("", pid, &r->facts);
    doctor_judge(&r->facts, &r->diagnosis);
    look_inside(r);
    if (r->status == PYB_E_PERM && r->diagnosis.n == 0) {
        struct obstacle *o = &r->diagnosis.obstacles[r->diagnosis.n++];
        o->kind = OBSTACLE_UNKNOWN;
        proc_format(o->what, sizeof(o->what), "%s", r->error.what);
        if (r->error.remedy[0])
            obstacle_remedy(o, "# %s", r->error.remedy);
    }
}

static void judge_general(struct report *r)
{
    r->tried = facts_trial(&r->facts);
    if (!r->tried) {
        r->status = PYB_E_FAILED;
        proc_format(r->error.what, sizeof(r->error.what), "a process to try it on cannot be started");
        return;
    }
    doctor_judge(&r->facts, &r->diagnosis);
    r->status = facts_readable(&r->facts) ? 0 : PYB_E_PERM;
}

static int run(const char *word, bool json, struct cli_out *out)
{
    struct report *r = calloc(1, sizeof(*r));
    int32_t pid = 0;
    if (!r) {
        fputs("pybraid: no memory\n", stderr);
        return EXIT_FAILED;
    }
    facts_own("", &r->facts);
    if (word && cli_is_pid(word, &pid))
        judge_process(r, pid);
    else
        judge_general(r);
    tools_look(&r->facts, r->tools);
    if (json)
        report_json(out, r);
    else
        report_text(out, r);
    int code = r->status == 0 ? EXIT_OK : cli_exit_code(r->status);
    pyb_session_free(r->session);
    free(r);
    return code;
}

int cmd_doctor(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},        {"output", required_argument, NULL, 'o'},
                                            {"color", required_argument, NULL, 'c'}, {"help", no_argument, NULL, 'h'},
                                            {"pid", required_argument, NULL, 'p'},   {0}};
    const char *output = NULL, *word = NULL;
    enum cli_color color = CLI_COLOR_AUTO;
    bool json = false;
    int32_t pid;
    int c;
    opterr = 0;
    while ((c = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
        if (c == 'h')
            return fputs(help, stdout) < 0 ? EXIT_FAILED : EXIT_OK;
        if (c == 'j')
            json = true;
        else if (c == 'o')
            output = optarg;
        else if (c == 'p')
            word = optarg;
        else if (c != 'c')
            return cli_usage("doctor", "no option %s", argv[optind - 1]);
        else if (!cli_parse_color(optarg, &color))
            return cli_usage("doctor", "--color is auto, always or never, not '%s'", optarg);
    }
    if (argc - optind > (word ? 0 : 1))
        return cli_usage("doctor", "one process id only, not '%s' too", argv[word ? optind : optind + 1]);
    word = word ? word : argv[optind]; // NULL at the end of argv: no process
    if (word && !cli_is_pid(word, &pid))
        return cli_usage("doctor", "'%s' is no process id", word);
    struct cli_out out;
    int code = cli_open(&out, output, color);
    return code != EXIT_OK ? code : cli_close(&out, run(word, json, &out));
}
