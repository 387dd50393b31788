// SPDX-License-Identifier: Apache-2.0
#include "sample.h"

#include <stdlib.h>
#include <string.h>

bool ann_sample_init(struct ann_sample *s)
{
    *s = (struct ann_sample){.text = malloc(ANN_MAX_TEXT), .rows = malloc(ANN_MAX_ROWS * sizeof(*s->rows)), .known = calloc(1, sizeof(*s->known))};
    return s->text && s->rows && s->known;
}

void ann_sample_deinit(struct ann_sample *s)
{
    free(s->text);
    free(s->rows);
    free(s->known);
    *s = (struct ann_sample){0};
}

void ann_sample_clear(struct ann_sample *s)
{
    *s = (struct ann_sample){.text = s->text, .rows = s->rows, .known = s->known};
}

// "  x.py:12" below a frame: the line, if it is that function's file.
static void read_source(struct ann_row *frame, const struct ann_row *extra)
{
    const char *start = extra->line, *end = start + ann_trimmed(start, extra->n), *p = end;
    while (p > start && p[-1] >= '0' && p[-1] <= '9')
        p--;
    if (p == end || p == start || p[-1] != ':' || end - p > 9)
        return;
    frame->source = (struct ann_span){p, (size_t)(end - p)};
}

static struct ann_span moved(struct ann_span s, const char *from, const char *to)
{
    return s.p ? (struct ann_span){to + (s.p - from), s.n} : s;
}

bool ann_sample_add(struct ann_sample *s, enum ann_kind kind, const char *line, size_t n, const struct ann_frame *frame)
{
    if (s->n == ANN_MAX_ROWS || n > ANN_MAX_TEXT - s->used)
        return false;
    struct ann_row *row = &s->rows[s->n];
    *row = (struct ann_row){.kind = kind, .line = s->text + s->used, .n = n};
    memcpy(s->text + s->used, line, n);
    s->used += n;
    s->n++;
    if (kind == ANN_HEADER) {
        s->is_sample = ann_parse_header(row->line, n, &s->header);
        // With -G the innermost frame stands behind the event.
        if (s->is_sample && s->header.tail.n && ann_parse_frame(s->header.tail.p, s->header.tail.n, &row->frame) && row->frame.dso.p)
            s->n_frames++;
        else
            row->frame = (struct ann_frame){0};
    } else if (kind == ANN_NATIVE) {
        row->frame = *frame;
        row->frame.name = moved(frame->name, line, row->line);
        row->frame.dso = moved(frame->dso, line, row->line);
        s->n_frames++;
    } else if (kind == ANN_EXTRA && s->n > 1 && row[-1].kind == ANN_NATIVE) {
        read_source(row - 1, row);
    }
    return true;
}

// The next frame row after (step 1) or before (step -1) one; -1: none.
static ptrdiff_t next_frame(const struct ann_sample *s, ptrdiff_t i, int step)
{
    for (i += step; i >= 0 && i < (ptrdiff_t)s->n; i += step) {
        if (s->rows[i].kind == ANN_NATIVE || s->rows[i].kind == ANN_PYTHON)
            return i;
    }
    return -1;
}

// Outwards: the call's way to the trampoline. The caller's evaluation function is the caller's.
static void hide_outwards(struct ann_sample *s, ptrdiff_t python)
{
    ptrdiff_t i = next_frame(s, python, 1);
    bool by_place = !s->rows[python].python.seen;
    if (by_place && i >= 0 && s->rows[i].kind == ANN_NATIVE && ann_is_unknown(s->rows[i].frame.name)) {
        s->rows[i].hidden = true; // py_trampoline_evaluator
        i = next_frame(s, i, 1);
    }
    for (; i >= 0 && s->rows[i].kind == ANN_NATIVE; i = next_frame(s, i, 1)) {
        struct ann_span name = s->rows[i].frame.name;
        if (!ann_is_plumbing(s->known, name) || ann_is_evaluation(name))
            return;
        s->rows[i].hidden = true;
    }
}

// Inwards: its evaluation function, and what that called to call.
static void hide_inwards(struct ann_sample *s, ptrdiff_t python)
{
    bool evaluation = false;
    ptrdiff_t i = next_frame(s, python, -1);
    bool by_place = !s->rows[python].python.seen;
    if (by_place && i >= 0 && s->rows[i].kind == ANN_NATIVE && ann_is_unknown(s->rows[i].frame.name) && next_frame(s, i, -1) >= 0) {
        s->rows[i].hidden = evaluation = true;
        i = next_frame(s, i, -1);
    }
    for (; i >= 0 && s->rows[i].kind == ANN_NATIVE; i = next_frame(s, i, -1)) {
        struct ann_span name = s->rows[i].frame.name;
        if (!ann_is_plumbing(s->known, name) || (evaluation && ann_is_evaluation(name)))
            return;
        evaluation |= ann_is_evaluation(name);
        s->rows[i].hidden = true;
    }
}

static void count_left(struct ann_sample *s)
{
    size_t unknown = 0;
    bool inside = false;
    for (size_t i = 0; i < s->n; i++) {
        struct ann_row *row = &s->rows[i];
        if (row->kind == ANN_PYTHON) {
            s->n_unknown += inside ? unknown : 0;
            inside = true;
            unknown = 0;
        } else if (row->kind == ANN_NATIVE && !row->hidden) {
            s->unnamed |= ann_is_evaluation(row->frame.name);
            unknown += ann_is_unknown(row->frame.name);
        }
    }
}

void ann_sample_judge(struct ann_sample *s)
{
    for (size_t i = 0; i < s->n; i++) {
        struct ann_row *row = &s->rows[i];
        if (row->kind == ANN_NATIVE && ann_is_python(&row->frame, &row->python)) {
            row->kind = ANN_PYTHON;
            s->has_python = true;
        }
        if (row->kind == ANN_HEADER && row->frame.name.p)
            s->unnamed |= ann_is_evaluation(row->frame.name);
    }
    for (size_t i = 0; s->has_python && i < s->n; i++) {
        if (s->rows[i].kind == ANN_PYTHON) {
            hide_outwards(s, (ptrdiff_t)i);
            hide_inwards(s, (ptrdiff_t)i);
        }
    }
    count_left(s);
}
