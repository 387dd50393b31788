// SPDX-License-Identifier: Apache-2.0
/**
 * Names: what CPython's own perf support (`-X perf`, `-X perf_jit`) calls a Python function, and how names are written so that
 * every consumer of perf's text parses them.
 */
#ifndef PERF_NAME_H
#define PERF_NAME_H
#include "base/buf.h"
#include "line.h"

struct ann_python {
    struct ann_span name, file; // as CPython wrote them, not escaped
    bool seen;                  // in our own output: what is to be told by its place has been
};

/**
 * `py::NAME:FILE`, in a file that CPython's symbols come from (/tmp/perf-PID.map, jitted-PID-N.so, none printed) or, in this
 * program's own output, in FILE itself. C++ functions of a namespace `py` are none of these.
 */
bool ann_is_python(const struct ann_frame *f, struct ann_python *ret);
/** The evaluation function: the frame under which a Python function runs that perf could not name. */
bool ann_is_evaluation(struct ann_span name);

/** Names asked for lately and the answer: the core's list is long, and a recording has few names. Zero it. */
struct ann_known {
    struct {
        char text[60];
        uint16_t n; // 0: free
        bool plumbing;
    } slots[256];
};
/** Carries Python's call protocol only (the core's rule, as in every front end). */
bool ann_is_plumbing(struct ann_known *known, struct ann_span name);
bool ann_is_unknown(struct ann_span name);
bool ann_is_kernel(const struct ann_frame *f);

/** No blank, no `;`, no parenthesis, no quote, nothing that moves a cursor: \xNN, \uNNNN. What was escaped so before stays as it is. */
void ann_put_escaped(struct pyb_buf *b, struct ann_span s);
/** py::NAME:FILE, escaped; with a `line` (digits) py::NAME:FILE:LINE. */
void ann_put_python(struct pyb_buf *b, const struct ann_python *p, struct ann_span line);
#endif
