// SPDX-License-Identifier: Apache-2.0
/**
 * The filter: bytes of `perf script`'s text in, text, folded stacks or JSON out.
 *
 * Memory is bounded whatever comes in. As text, each byte that is not part of a Python frame or of hidden plumbing comes out as it went in.
 */
#ifndef PERF_ANNOTATE_H
#define PERF_ANNOTATE_H
#include "fold.h"
#include "sample.h"

enum ann_form { ANN_TEXT, ANN_FOLDED, ANN_JSON };

struct ann_options {
    enum ann_form form;
    bool all;    // plumbing too
    bool python; // Python frames only
    bool lines;  // where perf printed them
    bool tid;    // folded: threads apart
    size_t fold_limit;
};

/** What could and what could not be done, for the last word. */
struct ann_counts {
    uint64_t samples, with_python, unnamed, cut, strange_lines, unknown_frames, python_frames, lineless_frames;
};

struct ann_filter {
    struct ann_options options;
    struct ann_counts counts;
    struct pyb_ctx ctx;
    struct pyb_buf out;   // what has to be written; the caller takes it and clears it
    struct pyb_buf stack; // one folded stack
    struct ann_fold fold;
    struct ann_sample sample;
    char *line; // ANN_MAX_LINE: a line that is not whole yet
    size_t n_line;
    bool long_line; // its beginning has gone out already
    bool failed;    // no memory
};

bool ann_init(struct ann_filter *f, const struct ann_options *options); // false: no memory
void ann_deinit(struct ann_filter *f);
void ann_feed(struct ann_filter *f, const char *data, size_t n);
/** After the last byte. */
void ann_finish(struct ann_filter *f);

/** Of write.c: one sample, judged. */
void ann_write_text(struct ann_filter *f, const struct ann_sample *s);
void ann_write_folded(struct ann_filter *f, const struct ann_sample *s);
void ann_write_json(struct ann_filter *f, const struct ann_sample *s);
#endif
