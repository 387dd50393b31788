// SPDX-License-Identifier: Apache-2.0
// One sample as perf's own text, and as a folded stack.
#include <string.h>

#include "annotate.h"

static bool is_shown(const struct ann_filter *f, const struct ann_row *row)
{
    if (row->kind == ANN_NATIVE)
        return !f->options.python && (f->options.all || !row->hidden);
    return true;
}

static struct ann_span line_of(const struct ann_filter *f, const struct ann_row *row)
{
    static const struct ann_span none;
    return f->options.lines ? row->source : none;
}

// All of the line but the name, its offset and the file is as it was, its ending too.
static void put_python_line(struct ann_filter *f, const struct ann_row *row, const struct ann_python *python)
{
    const struct ann_frame *frame = &row->frame;
    size_t end = ann_trimmed(row->line, row->n);
    pyb_buf_add(&f->out, row->line, (size_t)(frame->name.p - row->line));
    ann_put_python(&f->out, python, line_of(f, row));
    if (frame->dso.p) {
        pyb_buf_adds(&f->out, " (");
        ann_put_escaped(&f->out, python->file);
        pyb_buf_addc(&f->out, ')');
    }
    pyb_buf_add(&f->out, row->line + end, row->n - end);
}

void ann_write_text(struct ann_filter *f, const struct ann_sample *s)
{
    bool shown = true;
    for (size_t i = 0; i < s->n; i++) {
        const struct ann_row *row = &s->rows[i];
        struct ann_python python;
        if (row->kind != ANN_EXTRA) // which goes with its frame
            shown = is_shown(f, row);
        if (!shown)
            continue;
        if (row->kind == ANN_PYTHON)
            put_python_line(f, row, &row->python);
        else if (row->kind == ANN_HEADER && row->frame.name.p && ann_is_python(&row->frame, &python))
            put_python_line(f, row, &python);
        else
            pyb_buf_add(&f->out, row->line, row->n);
    }
}

// What stands between semicolons and on one line; C++ names keep their blanks.
static void put_piece(struct pyb_buf *b, struct ann_span s, bool blanks)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == ';')
            pyb_buf_addc(b, ':');
        else if (c == ' ' && !blanks)
            pyb_buf_addc(b, '_');
        else if (c < ' ' || c == 0x7f)
            pyb_buf_printf(b, "\\x%02x", c);
        else
            pyb_buf_addc(b, (char)c);
    }
}

// perf's consumers show a frame without a symbol by its file: [libfoo.so].
static void put_native(struct pyb_buf *b, const struct ann_frame *frame)
{
    if (!ann_is_unknown(frame->name)) {
        put_piece(b, frame->name, true);
        return;
    }
    struct ann_span dso = frame->dso;
    for (size_t i = 0; i < dso.n; i++) {
        if (dso.p[i] == '/') {
            dso = (struct ann_span){dso.p + i + 1, dso.n - i - 1};
            i = (size_t)-1;
        }
    }
    if (ann_is_unknown(dso) || dso.p[0] == '[') {
        pyb_buf_adds(b, "[unknown]");
        return;
    }
    pyb_buf_addc(b, '[');
    put_piece(b, dso, false);
    pyb_buf_addc(b, ']');
}

static void put_frame(struct ann_filter *f, const struct ann_row *row)
{
    struct ann_python python;
    pyb_buf_addc(&f->stack, ';');
    if (row->kind == ANN_PYTHON)
        ann_put_python(&f->stack, &row->python, line_of(f, row));
    else if (ann_is_python(&row->frame, &python))
        ann_put_python(&f->stack, &python, line_of(f, row));
    else
        put_native(&f->stack, &row->frame);
}

static void put_comm(struct ann_filter *f, const struct ann_sample *s)
{
    const struct ann_header *h = &s->header;
    if (h->comm.n)
        put_piece(&f->stack, h->comm, false);
    else
        pyb_buf_adds(&f->stack, "[unknown]");
    if (f->options.tid && h->pid >= 0)
        pyb_buf_printf(&f->stack, "-%lld/%lld", (long long)h->pid, (long long)h->tid);
    else if (f->options.tid && h->tid >= 0)
        pyb_buf_printf(&f->stack, "-?/%lld", (long long)h->tid);
}

void ann_write_folded(struct ann_filter *f, const struct ann_sample *s)
{
    pyb_buf_clear(&f->stack);
    put_comm(f, s);
    if (s->cut)
        pyb_buf_adds(&f->stack, ";[cut]");
    for (size_t i = s->n; i-- > 0;) {
        const struct ann_row *row = &s->rows[i];
        struct ann_python python;
        if (row->kind == ANN_EXTRA || (row->kind == ANN_HEADER && !row->frame.name.p))
            continue;
        if (row->kind == ANN_HEADER && f->options.python && !ann_is_python(&row->frame, &python))
            continue;
        if (is_shown(f, row))
            put_frame(f, row);
    }
    f->failed |= f->stack.failed || !ann_fold_add(&f->fold, pyb_buf_str(&f->stack), f->stack.len, &f->out);
}
