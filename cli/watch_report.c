// SPDX-License-Identifier: Apache-2.0
#include "watch_report.h"

#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "proc.h"

#define MAX_GROUPS 40      // lines of one process in the summary
#define GROUP_TIDS 6       // named in one of them
#define MANY 3             // processes of which the same is said are named together
#define MAX_LIKE 3000      // processes that are compared with each other
#define COMMAND_COLUMNS 100
#define BOLD "\033[1m"
#define WARN "\033[1;33m"
#define PLAIN "\033[0m"

void watch_duration(char *buf, size_t size, int64_t ns)
{
    long seconds = (long)((ns + 50000000) / 1000000000), tenths = (long)((ns + 50000000) / 100000000 % 10);
    if (seconds >= 3600)
        proc_format(buf, size, "%ld h %ld min", seconds / 3600, seconds / 60 % 60);
    else if (seconds >= 600)
        proc_format(buf, size, "%ld min %ld s", seconds / 60, seconds % 60);
    else if (tenths)
        proc_format(buf, size, "%ld.%ld s", seconds, tenths);
    else
        proc_format(buf, size, "%ld s", seconds);
}

static const struct watch_look *last_look(const struct watch_report *r)
{
    return r->looks[WATCH_LOOKS - 1];
}

void watch_report_headline(struct cli_out *o, const struct watch_report *r)
{
    char limit[64];
    watch_duration(limit, sizeof(limit), r->limit_ns);
    cli_printf(o, r->cause == WATCH_TIMEOUT ? "no end after %s: " : "nothing happened for %s: ", limit);
    const char *command = r->name;
    for (size_t i = 0; i < last_look(r)->n; i++) {
        if (last_look(r)->seen[i].proc.pid == r->pid)
            command = last_look(r)->seen[i].command;
    }
    (void)cli_escaped(o, command, COMMAND_COLUMNS);
}

static void times_of_looks(struct cli_out *o, const struct watch_report *r)
{
    int n = 0;
    cli_printf(o, "  looked at after ");
    for (size_t i = 0; i < WATCH_LOOKS; i++) {
        char text[64];
        if (!r->looks[i])
            continue;
        watch_duration(text, sizeof(text), r->looks[i]->at_ns);
        cli_printf(o, "%s%s", n == 0 ? "" : i + 1 == WATCH_LOOKS ? " and " : ", ", text);
        n++;
    }
    cli_printf(o, "\n");
}

static bool has_moved(const struct watch_thread *t)
{
    return t->motion == WATCH_MOVING || t->motion == WATCH_LATELY;
}

static void earlier_stack(struct cli_out *o, const struct watch_look *look, const struct watch_seen *seen,
                          const struct watch_thread *t)
{
    const struct watch_thread *old = watch_seen_find(watch_look_find(look, seen), t, 0);
    char at[64];
    if (!old || !old->text || (t->text && strcmp(t->text, old->text) == 0))
        return;
    watch_duration(at, sizeof(at), look->at_ns);
    cli_printf(o, "\nThread %d%s%s, after %s:\n%s", t->tid, t->name ? ": " : "", t->name ? t->name : "", at, old->text);
}

// Of threads that moved, the Python frames they were in before.
static void earlier(struct cli_out *o, const struct watch_report *r, const struct watch_seen *seen)
{
    for (uint32_t k = 0; k < seen->n_threads; k++) {
        const struct watch_thread *t = &seen->threads[k];
        for (size_t i = WATCH_LOOKS - 1; has_moved(t) && !t->same_lines && i-- > 0;)
            earlier_stack(o, r->looks[i], seen, t);
    }
}

static const char *state_word(char state)
{
    switch (state) {
    case 'R': return "running";
    case 'S': return "asleep";
    case 'D': return "uninterruptible";
    case 'T': return "stopped by a signal";
    case 't': return "stopped by a debugger";
    case 'Z': return "ended, its parent has not asked for its exit code";
    default: return "in an unknown state";
    }
}

static void without_stacks(struct cli_out *o, const struct watch_seen *s)
{
    cli_printf(o, "%s%s", s->failure ? "not readable: " : "no Python, ", s->failure ? s->failure : "");
    cli_printf(o, "%s%s%s%s\n", s->failure ? "; " : "", state_word(s->proc.state), s->waits_in ? " in " : "",
               s->waits_in ? s->waits_in : "");
}

void watch_report_stacks(struct cli_out *o, const struct watch_report *r)
{
    for (size_t i = 0; r->every_look && i + 1 < WATCH_LOOKS; i++) {
        char at[64];
        if (!r->looks[i])
            continue;
        watch_duration(at, sizeof(at), r->looks[i]->at_ns);
        cli_printf(o, "After %s:\n\n", at);
        for (size_t k = 0; k < r->looks[i]->n; k++)
            cli_printf(o, "%s%s", r->looks[i]->seen[k].text ? r->looks[i]->seen[k].text : "",
                       r->looks[i]->seen[k].text ? "\n" : "");
    }
    char at[64];
    watch_duration(at, sizeof(at), last_look(r)->at_ns);
    if (r->every_look)
        cli_printf(o, "After %s:\n\n", at);
    for (size_t i = 0; i < last_look(r)->n; i++) {
        const struct watch_seen *s = &last_look(r)->seen[i];
        if (!s->text)
            continue;
        cli_printf(o, "%s", s->text);
        if (!r->every_look)
            earlier(o, r, s);
        cli_printf(o, "\n");
    }
}

// "same place in all 3 looks, no CPU"
static void verdict(struct cli_out *o, const struct watch_report *r, const struct watch_thread *t)
{
    int looks = 0;
    for (size_t i = 0; i < WATCH_LOOKS; i++)
        looks += r->looks[i] != NULL;
    switch (t->motion) {
    case WATCH_SAME:
        cli_printf(o, "same place in %s %d looks", looks == 2 ? "both" : "all", looks);
        break;
    case WATCH_LATELY:
        cli_printf(o, "same place in the last 2 looks, elsewhere before");
        break;
    case WATCH_NEW:
        cli_printf(o, "same place in the last 2 looks, started after the first");
        break;
    case WATCH_MOVING:
        cli_printf(o, "moving");
        break;
    default:
        cli_printf(o, "seen in the last look only");
    }
    if (t->cpu >= 0.02)
        cli_printf(o, ", %.0f %% CPU", t->cpu * 100);
    else if (t->woke > 0 && t->motion != WATCH_MOVING)
        cli_printf(o, ", but it woke up in between");
    else if (t->cpu >= 0)
        cli_printf(o, ", no CPU used");
}

static char *place_and_verdict(const struct watch_report *r, const struct watch_thread *t)
{
    char *ret = NULL;
    size_t size;
    struct cli_out out = {.file = open_memstream(&ret, &size)};
    if (!out.file)
        return NULL;
    cli_printf(&out, "%s\n        ", t->where ? t->where : "?");
    verdict(&out, r, t);
    if (t->same_lines && has_moved(t))
        cli_printf(&out, "; the Python lines are the same in all");
    else if (t->inside && has_moved(t) && t->where && strncmp(t->inside, t->where, strlen(t->inside)) == 0)
        cli_printf(&out, "; each time in this function");
    else if (t->inside && has_moved(t))
        cli_printf(&out, "; each time inside %s", t->inside);
    return fclose(out.file) == 0 ? ret : NULL;
}

struct group {
    char *text;
    const struct watch_thread *first[GROUP_TIDS];
    size_t n;
};

static void put_group(struct cli_out *o, const struct group *g, bool ids)
{
    cli_printf(o, "    ");
    for (size_t i = 0; ids && i < g->n && i < GROUP_TIDS; i++)
        cli_printf(o, "%s%d%s%s", i ? ", " : "", g->first[i]->tid, g->first[i]->name ? " " : "",
                   g->first[i]->name ? g->first[i]->name : "");
    if (!ids)
        cli_printf(o, "%s", g->n > 1 ? "in each" : g->first[0]->name ? g->first[0]->name : "thread");
    if (g->n > (ids ? GROUP_TIDS : 1))
        cli_printf(o, ids ? " and %zu more" : " %zu threads", ids ? g->n - GROUP_TIDS : g->n);
    cli_printf(o, ": %s\n", g->text);
}

// Threads at the same place of which the same is said make one line. Without ids the text is the same for a process like this one.
static void threads(struct cli_out *o, const struct watch_report *r, const struct watch_seen *s, bool ids)
{
    struct group groups[MAX_GROUPS];
    size_t n = 0, left = 0;
    for (uint32_t k = 0; k < s->n_threads; k++) {
        char *text = place_and_verdict(r, &s->threads[k]);
        size_t i = 0;
        while (text && i < n && strcmp(groups[i].text, text) != 0)
            i++;
        if (!text || i == MAX_GROUPS) {
            left++;
            free(text);
            continue;
        }
        if (i < n)
            free(text);
        else
            groups[n++] = (struct group){.text = text};
        if (groups[i].n < GROUP_TIDS)
            groups[i].first[groups[i].n] = &s->threads[k];
        groups[i].n++;
    }
    for (size_t i = 0; i < n; i++) {
        put_group(o, &groups[i], ids);
        free(groups[i].text);
    }
    if (left)
        cli_printf(o, "    and %zu more threads, at other places\n", left);
}

// What is said of a process but for its ids, or NULL.
static char *what_is_said(const struct watch_report *r, const struct watch_seen *s)
{
    char *ret = NULL;
    size_t size;
    struct cli_out out = {.file = open_memstream(&ret, &size)};
    if (!out.file)
        return NULL;
    (void)cli_escaped(&out, s->command, COMMAND_COLUMNS);
    cli_printf(&out, "\n%s", s->findings ? s->findings : "");
    if (s->text)
        threads(&out, r, s, false);
    else
        without_stacks(&out, s);
    return fclose(out.file) == 0 ? ret : NULL;
}

static void one_process(struct cli_out *o, const struct watch_report *r, const struct watch_seen *s)
{
    cli_printf(o, "%s  %d ", o->color ? BOLD : "", s->proc.pid);
    (void)cli_escaped(o, s->command, COMMAND_COLUMNS);
    cli_printf(o, "%s%s%s", o->color ? PLAIN : "", s->text ? "\n" : "\n    ", s->findings ? s->findings : "");
    if (s->text)
        threads(o, r, s, true);
    else
        without_stacks(o, s);
}

// Processes of which the same is said (workers, mostly) once.
static void like_processes(struct cli_out *o, const struct watch_look *look, char *const *said, size_t first, size_t n)
{
    const char *end = strchr(said[first], '\n'), *rest = end ? end + 1 : "";
    cli_printf(o, "%s  %zu processes (", o->color ? BOLD : "", n);
    for (size_t i = first, named = 0; i < look->n && named < GROUP_TIDS; i++) {
        if (said[i] && strcmp(said[i], said[first]) == 0)
            cli_printf(o, "%s%d", named++ ? ", " : "", look->seen[i].proc.pid);
    }
    cli_printf(o, "%s): %.*s%s\n%s%s", n > GROUP_TIDS ? ", ..." : "", (int)(end ? end - said[first] : 0), said[first],
               o->color ? PLAIN : "", look->seen[first].text ? "" : "    ", rest);
}

static void processes(struct cli_out *o, const struct watch_report *r, const struct watch_look *look, char **said)
{
    for (size_t i = 0; i < look->n; i++)
        said[i] = what_is_said(r, &look->seen[i]);
    for (size_t i = 0; i < look->n; i++) {
        size_t like = 0;
        bool first = true;
        for (size_t k = 0; said[i] && k < look->n; k++) {
            bool same = said[k] && strcmp(said[k], said[i]) == 0;
            like += same;
            first = first && !(same && k < i);
        }
        if (like < MANY)
            one_process(o, r, &look->seen[i]);
        else if (first)
            like_processes(o, look, said, i, like);
    }
    for (size_t i = 0; i < look->n; i++)
        free(said[i]);
}

void watch_report_summary(struct cli_out *o, const struct watch_report *r)
{
    cli_printf(o, "%spybraid watch: ", o->color ? WARN : "");
    watch_report_headline(o, r);
    cli_printf(o, "%s\n", o->color ? PLAIN : "");
    times_of_looks(o, r);
    const struct watch_look *look = last_look(r);
    char **said = look->n <= MAX_LIKE ? calloc(look->n + 1, sizeof(*said)) : NULL;
    if (said)
        processes(o, r, look, said);
    for (size_t i = 0; !said && i < look->n; i++)
        one_process(o, r, &look->seen[i]);
    free(said);
}

static const char *motion_word(enum watch_motion motion)
{
    static const char *const words[] = {"unknown", "same", "lately", "moving", "new"};
    return words[motion];
}

static void json_threads(struct cli_out *o, const struct watch_seen *s)
{
    cli_printf(o, ", \"threads\": [");
    for (uint32_t k = 0; k < s->n_threads; k++) {
        const struct watch_thread *t = &s->threads[k];
        cli_printf(o, "%s{\"tid\": %d, \"motion\": \"%s\", \"common_frames\": %u, ", k ? ", " : "", t->tid,
                   motion_word(t->motion), t->n_common);
        if (t->cpu >= 0)
            cli_printf(o, "\"cpu\": %.3f, \"woke\": %llu, \"inside\": ", t->cpu, (unsigned long long)t->woke);
        else
            cli_printf(o, "\"cpu\": null, \"woke\": null, \"inside\": ");
        cli_json_string(o, t->inside);
        cli_printf(o, "}");
    }
    cli_printf(o, "]");
}

static void json_process(struct cli_out *o, const struct watch_report *r, size_t look, const struct watch_seen *s)
{
    cli_printf(o, "{\"watch\": {\"look\": %zu, \"elapsed\": %.3f, \"cause\": \"%s\", \"limit\": %.3f, \"parent\": %d, ", look + 1,
               (double)r->looks[look]->at_ns / 1e9, r->cause == WATCH_TIMEOUT ? "timeout" : "idle", (double)r->limit_ns / 1e9,
               s->proc.ppid);
    cli_printf(o, "\"state\": \"%c\", \"command_line\": ", s->proc.state);
    cli_json_string(o, s->command);
    cli_printf(o, ", \"python\": %s, \"failure\": ", s->python ? "true" : "false");
    cli_json_string(o, s->failure);
    cli_printf(o, ", \"waits_in\": ");
    cli_json_string(o, s->waits_in);
    json_threads(o, s);
    cli_printf(o, "}, ");
    if (s->json && s->json[0] == '{') {
        (void)cli_write(o, s->json + 1, strlen(s->json) - 1);
        return;
    }
    cli_printf(o, "\"schema\": 1, \"tool\": \"pybraid %s\", \"process\": {\"pid\": %d, \"core\": null, \"executable\": null, "
                  "\"python\": null, \"free_threaded\": null, \"debug_build\": null, \"command\": null}, \"threads\": []}\n",
               pyb_version(), s->proc.pid);
}

void watch_report_json(struct cli_out *o, const struct watch_report *r)
{
    for (size_t i = 0; i < WATCH_LOOKS; i++) {
        for (size_t k = 0; r->looks[i] && k < r->looks[i]->n; k++)
            json_process(o, r, i, &r->looks[i]->seen[k]);
    }
}
