// SPDX-License-Identifier: Apache-2.0
// One sample as one line of JSON: schema 1's frames (docs/json.md), plumbing marked.
#include <inttypes.h>
#include <string.h>

#include "annotate.h"

static const struct ann_span none;

// Bytes that are not UTF-8 are escaped as backslashreplace writes them, before JSON's own escapes.
static void string(struct ann_filter *f, struct ann_span s)
{
    if (!s.p) {
        pyb_buf_adds(&f->out, "null");
        return;
    }
    pyb_buf_clear(&f->stack);
    pyb_buf_add_utf8(&f->stack, s.p, s.n);
    const char *text = pyb_buf_str(&f->stack);
    pyb_buf_addc(&f->out, '"');
    for (size_t i = 0; i < f->stack.len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            pyb_buf_printf(&f->out, "\\%c", c);
        else if (c < ' ' || c == 0x7f)
            pyb_buf_printf(&f->out, "\\u%04x", c);
        else
            pyb_buf_addc(&f->out, (char)c);
    }
    pyb_buf_addc(&f->out, '"');
}

static void key(struct ann_filter *f, const char *name)
{
    pyb_buf_printf(&f->out, ", \"%s\": ", name);
}

static void member(struct ann_filter *f, const char *name, struct ann_span s)
{
    key(f, name);
    string(f, s);
}

// A number as perf printed it; too long for anybody's integer: a string.
static void number(struct ann_filter *f, const char *name, struct ann_span s)
{
    while (s.n > 1 && s.p[0] == '0')
        s = (struct ann_span){s.p + 1, s.n - 1};
    key(f, name);
    if (s.n > 0 && s.n <= 18)
        pyb_buf_add(&f->out, s.p, s.n);
    else
        string(f, s);
}

static void task(struct ann_filter *f, const char *name, int64_t id)
{
    key(f, name);
    if (id < 0)
        pyb_buf_adds(&f->out, "null");
    else
        pyb_buf_printf(&f->out, "%" PRId64, id);
}

static struct ann_span last_part(struct ann_span path)
{
    size_t at = path.n;
    while (at > 0 && path.p[at - 1] != '/')
        at--;
    return (struct ann_span){path.p + at, path.n - at};
}

static void python_frame(struct ann_filter *f, const struct ann_row *row, const struct ann_python *python)
{
    pyb_buf_adds(&f->out, "{\"kind\": \"python\"");
    member(f, "name", python->name);
    member(f, "file", python->file);
    member(f, "short_file", last_part(python->file));
    number(f, "line", row->source);
    pyb_buf_adds(&f->out, ", \"plumbing\": false}");
}

static void native_frame(struct ann_filter *f, const struct ann_sample *s, const struct ann_row *row)
{
    const struct ann_frame *frame = &row->frame;
    bool unknown = ann_is_unknown(frame->name);
    pyb_buf_printf(&f->out, "{\"kind\": \"%s\"", ann_is_kernel(frame) ? "kernel" : "native");
    member(f, "name", unknown ? none : frame->name);
    member(f, "module", ann_is_unknown(frame->dso) ? none : last_part(frame->dso));
    pyb_buf_printf(&f->out, ", \"pc\": \"0x%" PRIx64 "\"", frame->pc);
    key(f, "offset");
    if (frame->has_offset)
        pyb_buf_printf(&f->out, "%" PRIu64, frame->offset);
    else
        pyb_buf_adds(&f->out, "null");
    pyb_buf_printf(&f->out, ", \"file\": null, \"line\": null, \"inlined\": %s, \"plumbing\": %s}", frame->inlined ? "true" : "false",
                   row->hidden || ann_is_plumbing(s->known, frame->name) ? "true" : "false");
}

void ann_write_json(struct ann_filter *f, const struct ann_sample *s)
{
    const struct ann_header *h = &s->header;
    const char *comma = "";
    pyb_buf_adds(&f->out, "{\"schema\": 1, \"tool\": \"pyannotate " PYB_VERSION "\", \"sample\": {\"comm\": ");
    string(f, h->comm);
    task(f, "pid", h->pid);
    task(f, "tid", h->tid);
    number(f, "cpu", h->cpu);
    member(f, "time", h->time);
    number(f, "period", h->period);
    member(f, "event", h->event);
    pyb_buf_printf(&f->out, ", \"complete\": %s}, \"frames\": [", s->cut ? "false" : "true");
    for (size_t i = 0; i < s->n; i++) {
        const struct ann_row *row = &s->rows[i];
        struct ann_python python;
        bool is_python = row->frame.name.p && ann_is_python(&row->frame, &python);
        if (row->kind == ANN_EXTRA || (row->kind == ANN_HEADER && !row->frame.name.p) || (f->options.python && !is_python))
            continue;
        pyb_buf_adds(&f->out, comma);
        comma = ", ";
        if (is_python)
            python_frame(f, row, &python);
        else
            native_frame(f, s, row);
    }
    pyb_buf_adds(&f->out, "]}\n");
}
