// SPDX-License-Identifier: Apache-2.0
// The text of perf script. The first byte chooses the options and the size of the pieces that it comes in.
#include <stdlib.h>
#include <string.h>

#include "annotate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void feed(struct ann_filter *f, const char *text, size_t n, size_t step)
{
    for (size_t i = 0; i < n; i += step)
        ann_feed(f, text + i, n - i < step ? n - i : step);
    ann_finish(f);
    require(!f->failed && f->counts.unnamed <= f->counts.samples && f->counts.with_python <= f->counts.samples);
}

// `stack COUNT` each, with no semicolon at an end; the counts sum to the samples.
static void check_folded(const struct ann_filter *f)
{
    uint64_t sum = 0;
    const char *p = f->out.len ? f->out.data : "", *end = p + f->out.len;
    while (p < end) {
        const char *newline = memchr(p, '\n', (size_t)(end - p));
        require(newline != NULL);
        const char *blank = memrchr(p, ' ', (size_t)(newline - p));
        require(blank && blank > p && blank[-1] != ';' && *p != ';');
        char *rest;
        sum += strtoull(blank + 1, &rest, 10);
        require(rest == newline && !memmem(p, (size_t)(blank - p), ";;", 2));
        p = newline + 1;
    }
    require(sum == f->counts.samples);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    size_t n = size - 1;
    uint8_t choice = data[0];
    struct ann_options options = {.form = (enum ann_form)(choice % 3), .all = choice & 4, .python = choice & 8, .lines = choice & 16,
                                  .tid = choice & 32, .fold_limit = 256};
    struct ann_filter f;
    require(ann_init(&f, &options));
    feed(&f, text, n, choice & 64 ? 3 : n + 1);
    if (options.form == ANN_FOLDED)
        check_folded(&f);
    if (options.form == ANN_TEXT && !options.python && f.counts.python_frames == 0 && !memmem(text, n, "py::", 4))
        require(f.out.len == n && (n == 0 || memcmp(f.out.data, text, n) == 0));
    ann_deinit(&f);
    return 0;
}
