// SPDX-License-Identifier: Apache-2.0
// pybraid watch: runs a command, and when it is stuck says where, then ends it.
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "watch.h"

static const char help[] =
    "Usage: pybraid watch [OPTIONS] -- COMMAND [ARGUMENT...]\n"
    "       pybraid watch [OPTIONS] --pid PID\n\n"
    "Runs a command as if nobody watched. When it takes too long, or nothing happens any more, shows the stacks\n"
    "of all its Python processes, ends it and exits with 124.\n\n"
    "      --timeout TIME   too long: it runs for TIME (600, 90s, 10m, 1.5h)\n"
    "      --idle TIME      for TIME no thread of it and its descendants used CPU and none wrote\n"
    "      --grace TIME     between SIGTERM and SIGKILL (default: 5s)\n"
    "      --core DIR       leaves a core file of each Python process in DIR\n"
    "      --json FILE      the stacks as JSON too, one document for each process and look, one a line\n"
    "  -o, --output FILE    the report goes there, not to standard error\n"
    "  -p, --python         Python frames only\n"
    "  -a, --all            also the interpreter's own plumbing frames\n"
    "  -l, --locals         local variables; a log that others read may be no place for them\n"
    "  -n, --limit N        at most N frames of each thread\n"
    "  -v, --verbose        stacks of every look; what is going on\n"
    "      --color WHEN     auto, always or never\n"
    "      --pid PID        watches a process that runs already; it is not ended\n"
    "      --kill           ends that one too\n"
    "  -h, --help\n\n"
    "Exit codes: the command's own, 128+N when signal N ended it; 124 it was stuck, 125 watch failed,\n"
    "126 the command cannot be run, 127 it was not found. With --pid: 0 it has ended.\n\n"
    "Example: pybraid watch --timeout 20m --idle 2m -- pytest\n";

enum { OPT_TIMEOUT = 256, OPT_IDLE, OPT_GRACE, OPT_CORE, OPT_JSON, OPT_COLOR, OPT_PID, OPT_KILL };

static const struct option options[] = {
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"idle", required_argument, NULL, OPT_IDLE},
    {"grace", required_argument, NULL, OPT_GRACE},
    {"core", required_argument, NULL, OPT_CORE},
    {"json", required_argument, NULL, OPT_JSON},
    {"output", required_argument, NULL, 'o'},
    {"python", no_argument, NULL, 'p'},
    {"all", no_argument, NULL, 'a'},
    {"locals", no_argument, NULL, 'l'},
    {"limit", required_argument, NULL, 'n'},
    {"verbose", no_argument, NULL, 'v'},
    {"color", required_argument, NULL, OPT_COLOR},
    {"pid", required_argument, NULL, OPT_PID},
    {"kill", no_argument, NULL, OPT_KILL},
    {"help", no_argument, NULL, 'h'},
    {0},
};

// As timeout(1): a number, and s, m, h or d.
static bool parse_time(const char *word, int64_t *ret)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    char *end;
    double number = strtod(word, &end);
    bool digits = *word >= '0' && *word <= '9' && strspn(word, "0123456789.") == (size_t)(end - word);
    for (size_t i = 0; digits && i < sizeof(units) / sizeof(units[0]); i++) {
        double seconds = number * units[i].seconds;
        if (strcmp(end, units[i].unit) == 0 && seconds < 1e9) {
            *ret = (int64_t)(seconds * 1e9);
            return true;
        }
    }
    return false;
}

static int usage(const char *format, const char *word)
{
    (void)cli_usage("watch", format, word);
    return WATCH_FAILED; // 2 could be the command's own
}

static int set_time(int64_t *ret, const char *name, bool zero, const char *word)
{
    if (parse_time(word, ret) && (zero || *ret > 0))
        return 0;
    fprintf(stderr, "pybraid watch: --%s wants a time such as 600, 90s, 10m or 1.5h, not '%s'\n", name, word);
    return WATCH_FAILED;
}

static int set_limit(struct watch_options *o, const char *word)
{
    long limit;
    if (!cli_number(word, 1, INT32_MAX, &limit))
        return usage("--limit wants a number of frames from 1 on, not '%s'", word);
    o->show.limit = (uint32_t)limit;
    return 0;
}

static int apply(struct watch_options *o, int c, const char *word)
{
    switch (c) {
    case OPT_TIMEOUT: return set_time(&o->timeout_ns, "timeout", false, optarg);
    case OPT_IDLE: return set_time(&o->idle_ns, "idle", false, optarg);
    case OPT_GRACE: return set_time(&o->grace_ns, "grace", true, optarg);
    case OPT_CORE: o->core_dir = optarg; return 0;
    case OPT_JSON: o->json = optarg; return 0;
    case 'o': o->output = optarg; return 0;
    case 'p': o->show.text |= PYB_TEXT_PYTHON; o->show.dump |= PYB_DUMP_PYTHON; return 0;
    case 'a': o->show.text |= PYB_TEXT_ALL; return 0;
    case 'l': o->show.text |= PYB_TEXT_LOCALS; o->show.read |= PYB_READ_LOCALS; return 0;
    case 'n': return set_limit(o, optarg);
    case 'v': o->verbose = true; return 0;
    case OPT_COLOR:
        return cli_parse_color(optarg, &o->color) ? 0 : usage("--color wants auto, always or never, not '%s'", optarg);
    case OPT_PID: return cli_is_pid(optarg, &o->pid) ? 0 : usage("--pid wants a process id, not '%s'", optarg);
    case OPT_KILL: o->kill = true; return 0;
    case ':': return usage("%s wants an argument", word);
    default: return usage("no option %s", word);
    }
}

static int check(const struct watch_options *o)
{
    if (!o->timeout_ns && !o->idle_ns)
        return usage("%s", "--timeout or --idle is needed");
    if (o->pid && *o->command)
        return usage("%s", "a command or --pid, not both");
    if (!o->pid && !*o->command)
        return usage("%s", "a command is needed");
    if (o->kill && !o->pid)
        return usage("%s", "--kill is for --pid: a command of ours is ended anyway");
    if (o->core_dir && access(o->core_dir, W_OK | X_OK) != 0) {
        fprintf(stderr, "pybraid watch: cores cannot be written to %s: %s\n", o->core_dir, strerror(errno));
        return WATCH_FAILED;
    }
    return 0;
}

int cmd_watch(int argc, char **argv)
{
    struct watch_options o = {.grace_ns = 5 * WATCH_SECOND, .ci = watch_ci_detect()};
    int c, code = 0;
    opterr = 0;
    while (code == 0 && (c = getopt_long(argc, argv, "+:o:paln:vh", options, NULL)) != -1) {
        if (c == 'h')
            return fputs(help, stdout) < 0 || fflush(stdout) != 0 ? WATCH_FAILED : 0;
        code = apply(&o, c, argv[optind - 1]);
    }
    o.command = argv + optind;
    o.show.dump |= PYB_DUMP_FINDINGS;
    if (code == 0)
        code = check(&o);
    return code ? code : watch_main(&o);
}
