// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "escape.h"
#include "ps.h"

#define FRAME_MAX 60 // columns of the innermost frame in a terminal

static const char *base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static void version_of(const struct ps_row *r, char *buf, size_t size)
{
    proc_format(buf, size, "%s%s%s", r->python ? r->python : r->is_python ? "?" : "-", r->free_threaded ? "t" : "", r->debug_build ? "d" : "");
}

static void frame_of(const struct ps_row *r, char *buf, size_t size)
{
    if (!r->readable)
        proc_format(buf, size, "not readable: %s", r->note ? r->note : "?");
    else if (!r->has_frame)
        proc_format(buf, size, "(%s)", r->note ? r->note : "?");
    else if (r->line > 0)
        proc_format(buf, size, "%s  %s:%d", r->name ? r->name : "?", r->file ? base(r->file) : "?", r->line);
    else
        proc_format(buf, size, "%s  %s", r->name ? r->name : "?", r->file ? base(r->file) : "?");
}

struct widths {
    size_t pid, version, threads, frame;
};

static void widen(size_t *width, size_t value)
{
    if (value > *width)
        *width = value;
}

static struct widths measure(const struct ps_rows *rows, size_t columns)
{
    struct widths w = {strlen("PID"), strlen("PYTHON"), strlen("THREADS"), strlen("INNERMOST FRAME")};
    for (size_t i = 0; i < rows->n; i++) {
        char text[1024];
        proc_format(text, sizeof(text), "%d", rows->rows[i].pid);
        widen(&w.pid, strlen(text));
        version_of(&rows->rows[i], text, sizeof(text));
        widen(&w.version, cli_width(text));
        proc_format(text, sizeof(text), "%u", rows->rows[i].status.threads);
        widen(&w.threads, strlen(text));
        frame_of(&rows->rows[i], text, sizeof(text));
        // What a few long reasons need is no measure for the others.
        if (rows->rows[i].readable)
            widen(&w.frame, cli_width(text));
    }
    size_t most = columns / 2 < FRAME_MAX ? columns / 2 : FRAME_MAX; // the command wants some, too
    if (columns && w.frame > most)
        w.frame = most;
    return w;
}

static void spaces(struct cli_out *o, size_t n)
{
    for (; n > 0; n--)
        cli_printf(o, " ");
}

// `left`: columns that are left for both, 0: any number. A reason takes the room that it needs, then the command.
static void frame_and_command(struct cli_out *o, const struct ps_row *r, const char *frame, size_t width, size_t left)
{
    size_t limit = r->readable && left && width < left ? width : left;
    size_t wide = cli_escaped(o, frame, limit);
    size_t gap = wide < width ? width - wide : 0;
    if (left && left <= wide + gap + 3)
        return;
    spaces(o, gap + 2);
    (void)cli_escaped(o, r->command ? r->command : "", left ? left - wide - gap - 2 : 0);
}

static void row(struct cli_out *o, const struct ps_row *r, const struct widths *w, size_t columns)
{
    char version[80], frame[1024], head[160];
    version_of(r, version, sizeof(version));
    frame_of(r, frame, sizeof(frame));
    proc_format(head, sizeof(head), "%*d  %-*s  %*u  ", (int)w->pid, r->pid, (int)w->version, version, (int)w->threads, r->status.threads);
    size_t used = cli_escaped(o, head, columns), left = columns ? columns - used : 0;
    if (!columns || left > 0)
        frame_and_command(o, r, frame, w->frame, left);
    cli_printf(o, "\n");
}

void ps_text(struct cli_out *o, const struct ps_rows *rows, size_t columns)
{
    struct widths w = measure(rows, columns);
    if (rows->n) {
        char head[256];
        proc_format(head, sizeof(head), "%*s  %-*s  %*s  %-*s  COMMAND", (int)w.pid, "PID", (int)w.version, "PYTHON", (int)w.threads, "THREADS",
                    (int)w.frame, "INNERMOST FRAME");
        cli_printf(o, "%s", o->color ? "\33[1m" : "");
        (void)cli_escaped(o, head, columns);
        cli_printf(o, "%s\n", o->color ? "\33[0m" : "");
    }
    for (size_t i = 0; i < rows->n; i++)
        row(o, &rows->rows[i], &w, columns);
}

static void json_words(struct cli_out *o, const struct ps_row *r)
{
    cli_printf(o, "[");
    for (size_t i = 0; i < r->words_len; i += strlen(r->words + i) + 1) {
        cli_printf(o, "%s", i ? ", " : "");
        cli_json_string(o, r->words + i);
    }
    cli_printf(o, "]");
}

static void json_frame(struct cli_out *o, const struct ps_row *r)
{
    bool first = false;
    if (!r->has_frame) {
        cli_printf(o, "null");
        return;
    }
    cli_printf(o, "{\"kind\": \"python\"");
    cli_json_member(o, &first, "name", r->name);
    cli_json_member(o, &first, "func", r->func);
    cli_json_member(o, &first, "file", r->file);
    cli_json_member(o, &first, "short_file", r->file ? base(r->file) : NULL);
    if (r->line > 0)
        cli_printf(o, ", \"line\": %d}", r->line);
    else
        cli_printf(o, ", \"line\": null}");
}

static const char *tristate(const struct ps_row *r, bool value)
{
    return !r->python ? "null" : value ? "true" : "false";
}

void ps_json(struct cli_out *o, const struct ps_rows *rows)
{
    for (size_t i = 0; i < rows->n; i++) {
        const struct ps_row *r = &rows->rows[i];
        bool first = false;
        cli_printf(o, "{\"schema\": 1, \"tool\": \"pybraid %s\", \"process\": {\"pid\": %d, \"core\": null", pyb_version(), r->pid);
        cli_json_member(o, &first, "executable", r->executable);
        cli_json_member(o, &first, "python", r->python);
        cli_printf(o, ", \"free_threaded\": %s, \"debug_build\": %s, \"command\": ", tristate(r, r->free_threaded), tristate(r, r->debug_build));
        json_words(o, r);
        cli_printf(o, ", \"ppid\": %d, \"uid\": %u}, \"is_python\": %s, \"readable\": %s, \"n_threads\": %u, ", r->status.ppid, r->status.uid[1],
                   r->is_python ? "true" : "null", r->readable ? "true" : "false", r->status.threads);
        if (r->readable)
            cli_printf(o, "\"n_thread_states\": %u, \"frame\": ", r->n_states);
        else
            cli_printf(o, "\"n_thread_states\": null, \"frame\": ");
        json_frame(o, r);
        cli_json_member(o, &first, "note", r->note);
        cli_json_member(o, &first, "remedy", r->remedy);
        cli_printf(o, "}\n");
    }
}
