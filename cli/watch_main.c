// SPDX-License-Identifier: Apache-2.0
// The course of a watch: wait, look at half time, look twice at the end, report, end the tree.
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "escape.h"
#include "watch.h"

#define SECOND_LOOK (2 * WATCH_SECOND) // after the first at the end
#define IDLE_TICKS 20                  // looks at CPU and output during --idle
#define SLOWEST_TICK WATCH_SECOND
#define FASTEST_TICK (WATCH_SECOND / 20)

struct watch {
    const struct watch_options *o;
    struct watch_run run;
    struct watch_idle idle;
    struct watch_look *half[2]; // by enum watch_cause
    struct cli_out report, json;
    bool color;                 // of the report
    int64_t tick;               // how often idleness is looked at; 0: not
};

static bool on_terminal(const struct watch *w)
{
    return isatty(STDERR_FILENO) && w->o->ci == WATCH_NO_CI;
}

// Without them a file of ours would be standard error. The command finds them closed, as it would.
static bool have_standard_files(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_CLOEXEC) != fd)
            return false;
    }
    return true;
}

// What a person who waits would like to know, and nobody else.
static void progress(const struct watch *w, const char *text)
{
    if (on_terminal(w) || w->o->verbose)
        watch_sayf("%spybraid watch: %s\n", on_terminal(w) ? "\n" : "", text); // the command may be in the middle of a line
}

static struct watch_look *look(struct watch *w)
{
    struct watch_tree tree;
    if (!watch_run_tree(&w->run, &tree))
        return NULL;
    struct watch_look *ret = watch_look_take(&tree, &w->o->show, w->color, watch_run_clock(&w->run));
    watch_tree_free(&tree);
    return ret;
}

static void half_time(struct watch *w, enum watch_cause cause)
{
    if (w->o->verbose)
        progress(w, cause == WATCH_TIMEOUT ? "half of the time is over: a first look" : "nothing happens: a first look");
    watch_look_free(w->half[cause]);
    w->half[cause] = look(w);
}

static int64_t idle_for(struct watch *w)
{
    struct watch_tree tree;
    if (!w->o->idle_ns || !watch_run_tree(&w->run, &tree))
        return 0;
    return watch_idle_look(&w->idle, &tree, watch_run_clock(&w->run));
}

// True: a limit was reached. False: the command has ended.
static bool wait_for_limit(struct watch *w, enum watch_cause *ret)
{
    const struct watch_options *o = w->o;
    bool half_idle = false;
    for (;;) {
        int64_t now = watch_run_clock(&w->run), idle = idle_for(w), next = INT64_MAX;
        *ret = WATCH_TIMEOUT;
        if (o->timeout_ns && now >= o->timeout_ns)
            return true;
        if (o->timeout_ns && now >= o->timeout_ns / 2 && !w->half[WATCH_TIMEOUT])
            half_time(w, WATCH_TIMEOUT);
        *ret = WATCH_IDLE;
        if (o->idle_ns && idle >= o->idle_ns)
            return true;
        if (o->idle_ns && idle >= o->idle_ns / 2 && !half_idle)
            half_time(w, WATCH_IDLE);
        half_idle = o->idle_ns && idle >= o->idle_ns / 2;
        if (o->timeout_ns)
            next = now < o->timeout_ns / 2 ? o->timeout_ns / 2 : o->timeout_ns;
        if (w->tick && now + w->tick < next)
            next = now + w->tick;
        if (watch_run_wait(&w->run, next))
            return false;
    }
}

static void write_json(struct watch *w, const struct watch_report *r)
{
    if (!w->json.file)
        return;
    watch_report_json(&w->json, r);
    (void)cli_close(&w->json, EXIT_OK); // says what failed
    w->json.file = NULL;
}

static void write_report(struct watch *w, const struct watch_report *r)
{
    char *text = NULL;
    size_t size = 0;
    struct cli_out memory = {.file = open_memstream(&text, &size), .path = "memory", .color = w->color && !w->o->output};
    if (w->report.file) {
        watch_report_stacks(&w->report, r);
        watch_report_summary(&w->report, r);
        (void)cli_close(&w->report, EXIT_OK);
        w->report.file = NULL;
    }
    if (!memory.file)
        return;
    cli_printf(&memory, "\n"); // the command may have left its line without an end
    if (w->o->output) {
        cli_printf(&memory, "pybraid watch: ");
        watch_report_headline(&memory, r);
        cli_printf(&memory, "\n  the report is in ");
        (void)cli_escaped(&memory, w->o->output, 0);
        cli_printf(&memory, "\n");
    } else {
        watch_ci_log(&memory, r, w->o->ci);
    }
    if (fclose(memory.file) == 0)
        (void)watch_say(text, size); // nobody there to be told
    free(text);
}

static void end_tree(struct watch *w)
{
    char grace[64];
    if (!w->run.ours && !w->o->kill) {
        watch_sayf("pybraid watch: process %d was left as it is (--kill ends it)\n", w->run.pid);
        return;
    }
    size_t killed, left = watch_run_end(&w->run, w->o->grace_ns, &killed);
    watch_duration(grace, sizeof(grace), w->o->grace_ns);
    watch_sayf("pybraid watch: ended it, exit code %d\n", WATCH_STUCK);
    if (killed)
        watch_sayf("pybraid watch: %zu process%s ended by SIGKILL, since SIGTERM had not ended %s within %s\n", killed,
                   killed == 1 ? " was" : "es were", killed == 1 ? "it" : "them", grace);
    if (left)
        watch_sayf("pybraid watch: %zu process%s still there: another user's, or uninterruptible\n", left,
                   left == 1 ? " is" : "es are");
}

// The two looks at the end. False: it is not stuck after all; if it has ended, its code counts.
static bool look_twice(struct watch *w, struct watch_report *r)
{
    progress(w, r->cause == WATCH_TIMEOUT ? "too long: looking at it twice" : "nothing happens any more: looking at it twice");
    struct watch_look *first = look(w), *half = w->half[r->cause];
    bool ended = watch_run_wait(&w->run, watch_run_clock(&w->run) + SECOND_LOOK);
    bool stuck = !ended && !(r->cause == WATCH_IDLE && idle_for(w) < w->o->idle_ns);
    struct watch_look *last = stuck ? look(w) : NULL;
    if (!last || !first) {
        watch_look_free(first);
        watch_look_free(last);
        if (stuck)
            watch_sayf("pybraid watch: no memory for the stacks\n");
        return stuck;
    }
    watch_look_compare(last, (struct watch_look *const[]){half, first}, 2);
    r->looks[0] = half;
    r->looks[1] = first;
    r->looks[2] = last;
    return true;
}

static void report(struct watch *w, struct watch_report *r)
{
    if (!r->looks[2])
        return;
    write_json(w, r);
    write_report(w, r);
    if (w->o->ci == WATCH_GITHUB)
        watch_ci_step_summary(r);
    if (w->o->core_dir)
        watch_cores(r->looks[2], w->o->core_dir);
    watch_look_free(r->looks[1]);
    watch_look_free(r->looks[2]);
}

static int own_code(const struct watch *w)
{
    return w->run.ours ? w->run.code : 0;
}

static int watch_it(struct watch *w)
{
    struct watch_report r = {.pid = w->run.pid, .name = w->o->pid ? "?" : w->o->command[0], .every_look = w->o->verbose};
    do {
        if (!wait_for_limit(w, &r.cause))
            return own_code(w);
        r.limit_ns = r.cause == WATCH_TIMEOUT ? w->o->timeout_ns : w->o->idle_ns;
    } while (!look_twice(w, &r) && !w->run.ended);
    if (w->run.ended && !r.looks[2]) {
        progress(w, "it has ended by itself meanwhile");
        return own_code(w);
    }
    report(w, &r);
    end_tree(w);
    return WATCH_STUCK;
}

static int open_outputs(struct watch *w)
{
    const struct watch_options *o = w->o;
    if (o->output && cli_open(&w->report, o->output, o->color) != EXIT_OK)
        return WATCH_FAILED;
    if (o->json && cli_open(&w->json, o->json, CLI_COLOR_NEVER) != EXIT_OK)
        return WATCH_FAILED;
    struct cli_out console = {.file = stderr};
    w->color = o->output ? w->report.color : cli_wants_color(&console, o->color);
    return 0;
}

int watch_main(const struct watch_options *o)
{
    struct watch w = {.o = o};
    int code = have_standard_files() ? open_outputs(&w) : WATCH_FAILED;
    if (o->idle_ns) {
        w.tick = o->idle_ns / IDLE_TICKS;
        w.tick = w.tick > SLOWEST_TICK ? SLOWEST_TICK : w.tick < FASTEST_TICK ? FASTEST_TICK : w.tick;
    }
    if (code == 0)
        code = o->pid ? watch_run_attach(&w.run, o->pid) : watch_run_start(&w.run, o->command);
    if (code == 0)
        code = watch_it(&w);
    watch_look_free(w.half[0]);
    watch_look_free(w.half[1]);
    watch_idle_deinit(&w.idle);
    watch_run_deinit(&w.run);
    if (w.report.file && w.report.path)
        (void)cli_close(&w.report, EXIT_OK);
    if (w.json.file && w.json.path)
        (void)cli_close(&w.json, EXIT_OK);
    return code;
}
