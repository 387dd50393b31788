// SPDX-License-Identifier: Apache-2.0
/**
 * The lines of one sample, and which of its frames are Python functions, which are the interpreter's way from one to the next.
 *
 * A chain under -X perf, innermost first: [what the evaluation function called] _PyEval_EvalFrameDefault py::leaf py_trampoline_evaluator
 * PyObject_Vectorcall _PyEval_EvalFrameDefault py::caller ... Plumbing is hidden where it touches a Python frame; C functions in between are
 * kept. Where an interpreter is stripped, two frames are still known by their place: the one that called a trampoline is CPython's
 * py_trampoline_evaluator, and the one that a trampoline called is the evaluation function, unless it is the innermost.
 */
#ifndef PERF_SAMPLE_H
#define PERF_SAMPLE_H
#include "name.h"

enum { ANN_MAX_LINE = 128 << 10, ANN_MAX_TEXT = 1 << 20, ANN_MAX_ROWS = 8192 };

enum ann_kind { ANN_HEADER, ANN_NATIVE, ANN_PYTHON, ANN_EXTRA }; // EXTRA: perf's source line below a frame

struct ann_row {
    enum ann_kind kind;
    const char *line; // in the sample's text
    size_t n;         // with its line ending
    bool hidden;      // plumbing
    struct ann_frame frame;
    struct ann_python python;
    struct ann_span source; // the line number that perf printed for this frame; empty: none
};

struct ann_sample {
    char *text; // ANN_MAX_TEXT
    size_t used;
    struct ann_row *rows; // ANN_MAX_ROWS
    struct ann_known *known;
    size_t n;
    size_t n_frames;
    bool cut;                // more frames came than fit
    struct ann_header header;
    bool is_sample;          // the header says so, or frames follow it
    // ann_sample_judge:
    bool has_python;
    bool unnamed;            // an evaluation function whose Python function perf could not name
    size_t n_unknown;        // frames without a symbol between Python frames
};

bool ann_sample_init(struct ann_sample *s); // false: no memory
void ann_sample_deinit(struct ann_sample *s);
void ann_sample_clear(struct ann_sample *s);
/** Copies a line of at most ANN_MAX_LINE; false: full. A frame is given as ANN_NATIVE, with what ann_parse_frame found in that line. */
bool ann_sample_add(struct ann_sample *s, enum ann_kind kind, const char *line, size_t n, const struct ann_frame *frame);
/** Finds Python frames, marks plumbing. */
void ann_sample_judge(struct ann_sample *s);
#endif
