// SPDX-License-Identifier: Apache-2.0
// What happens to one line, and to one sample: from the bottom to the top of this file.
#include "annotate.h"

#include <stdlib.h>
#include <string.h>

// What is no part of a sample: as it came; in the other forms it has no place.
static void pass(struct ann_filter *f, const char *line, size_t n, bool strange)
{
    if (f->options.form == ANN_TEXT)
        pyb_buf_add(&f->out, line, n);
    f->counts.strange_lines += strange;
}

static void count(struct ann_filter *f, const struct ann_sample *s)
{
    f->counts.samples++;
    f->counts.with_python += s->has_python;
    f->counts.unnamed += s->unnamed;
    f->counts.cut += s->cut;
    f->counts.unknown_frames += s->n_unknown;
    for (size_t i = 0; i < s->n; i++) {
        f->counts.python_frames += s->rows[i].kind == ANN_PYTHON;
        f->counts.lineless_frames += s->rows[i].kind == ANN_PYTHON && s->rows[i].source.n == 0;
    }
}

static void end_sample(struct ann_filter *f)
{
    struct ann_sample *s = &f->sample;
    if (s->n == 0)
        return;
    bool named = s->rows[0].kind == ANN_HEADER;
    if (!(named && s->is_sample) && s->n_frames == 0) { // perf's other records, and what is none of perf's
        for (size_t i = 0; i < s->n; i++)
            pass(f, s->rows[i].line, s->rows[i].n, s->header.event.n == 0);
    } else {
        ann_sample_judge(s);
        count(f, s);
        if (f->options.form == ANN_TEXT)
            ann_write_text(f, s);
        else if (f->options.form == ANN_FOLDED)
            ann_write_folded(f, s);
        else
            ann_write_json(f, s);
    }
    ann_sample_clear(s);
}

// A sample of more lines than anybody's: as text it goes on as a new one, else its outer frames are left out, which is said.
static void overflow(struct ann_filter *f, enum ann_kind kind, const char *line, size_t n, const struct ann_frame *frame)
{
    if (f->options.form != ANN_TEXT) {
        f->sample.cut = true;
        return;
    }
    struct ann_counts before = f->counts;
    end_sample(f);
    f->counts = before; // its last part counts
    if (!ann_sample_add(&f->sample, kind, line, n, frame))
        pass(f, line, n, true);
}

static void add(struct ann_filter *f, enum ann_kind kind, const char *line, size_t n, const struct ann_frame *frame)
{
    if (!ann_sample_add(&f->sample, kind, line, n, frame))
        overflow(f, kind, line, n, frame);
}

static bool is_sample_line(const char *line, size_t n)
{
    struct ann_header header;
    return ann_parse_header(line, n, &header) && header.time.p;
}

// With -F ip,sym there is no first line. perf gives an address 16 columns, so that text with a tab is none.
static bool is_bare_frame(const char *line, size_t len)
{
    size_t i = 1;
    while (i < len && i < 17 && line[i] == ' ')
        i++;
    return line[0] == '\t' && len >= 17 && memchr(line + i, ' ', 17 - i) == NULL && (len == 17 || line[17] == ' ');
}

// One line with its ending.
static void take_line(struct ann_filter *f, const char *line, size_t n)
{
    struct ann_sample *s = &f->sample;
    struct ann_frame frame;
    size_t len = ann_trimmed(line, n);
    if (len == 0 || line[0] == '#') {
        end_sample(f);
        pass(f, line, n, false);
        return;
    }
    bool indented = line[0] == ' ' || line[0] == '\t';
    if (indented && (s->n > 0 || is_bare_frame(line, len)) && ann_parse_frame(line, n, &frame) &&
        (line[0] == '\t' || !is_sample_line(line, n))) {
        add(f, ANN_NATIVE, line, n, &frame);
    } else if (indented && s->n_frames > 0 && !is_sample_line(line, n)) {
        add(f, ANN_EXTRA, line, n, NULL);
    } else {
        end_sample(f);
        add(f, ANN_HEADER, line, n, NULL);
    }
}

static void take_long_line(struct ann_filter *f, const char *data, size_t n)
{
    if (!f->long_line)
        end_sample(f);
    pass(f, data, n, !f->long_line);
    f->long_line = true;
}

void ann_feed(struct ann_filter *f, const char *data, size_t n)
{
    while (n > 0) {
        const char *newline = memchr(data, '\n', n);
        size_t len = newline ? (size_t)(newline - data) + 1 : n;
        bool whole = newline != NULL;
        if (f->long_line || f->n_line + len > ANN_MAX_LINE) {
            if (f->n_line)
                take_long_line(f, f->line, f->n_line);
            f->n_line = 0;
            take_long_line(f, data, len);
            f->long_line = !whole;
        } else if (whole && f->n_line == 0) {
            take_line(f, data, len);
        } else {
            memcpy(f->line + f->n_line, data, len);
            f->n_line += len;
            if (whole)
                take_line(f, f->line, f->n_line);
            f->n_line = whole ? 0 : f->n_line;
        }
        data += len;
        n -= len;
    }
}

void ann_finish(struct ann_filter *f)
{
    if (f->n_line)
        take_line(f, f->line, f->n_line);
    f->n_line = 0;
    end_sample(f);
    if (f->options.form == ANN_FOLDED)
        ann_fold_take(&f->fold, &f->out);
    f->failed |= f->out.failed;
}

bool ann_init(struct ann_filter *f, const struct ann_options *options)
{
    *f = (struct ann_filter){.options = *options, .line = malloc(ANN_MAX_LINE)};
    pyb_ctx_init(&f->ctx, NULL);
    pyb_buf_init(&f->out, &f->ctx, 0);
    pyb_buf_init(&f->stack, &f->ctx, 0);
    bool sample = ann_sample_init(&f->sample);
    bool fold = ann_fold_init(&f->fold, options->fold_limit);
    return f->line && sample && fold;
}

void ann_deinit(struct ann_filter *f)
{
    free(f->line);
    ann_sample_deinit(&f->sample);
    ann_fold_deinit(&f->fold);
    pyb_buf_deinit(&f->out);
    pyb_buf_deinit(&f->stack);
}
