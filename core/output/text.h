// SPDX-License-Identifier: Apache-2.0
/** The printers of text: stacks (text.c), a thread's header (text_header.c), tracebacks (traceback.c). */
#ifndef PYB_OUTPUT_TEXT_H
#define PYB_OUTPUT_TEXT_H
#include "output/output.h"

enum pyb_style {
    PYB_STYLE_HEADER,
    PYB_STYLE_PYTHON,
    PYB_STYLE_PLACE,
    PYB_STYLE_ADDRESS,
    PYB_STYLE_GAP,
    PYB_STYLE_DIM,
    PYB_STYLE_LOCAL,
};
struct pyb_text {
    struct pyb_out out;
    uint32_t flags, limit;
    int32_t current;
    uint32_t column;   // width of the first column
    size_t name_width; // of the Python names
};
/** Copies the options, whatever their size. */
int pyb_text_begin(struct pyb_text *t, const struct pyb_text_options *o, pyb_write_fn write, void *ctx);
/** SGR sequences where PYB_TEXT_COLOR asks for them, else nothing. */
void pyb_text_style(struct pyb_text *t, enum pyb_style style);
void pyb_text_plain(struct pyb_text *t);
/** "Thread 4711 (idle in poll, waits for GIL): "name"", or "Threads 4711 4712 (...)" for n of them with equal states. */
void pyb_text_header(struct pyb_text *t, const struct pyb_thread *const *threads, size_t n);
/** Frames of one thread, as a stack or a traceback. */
void pyb_text_stack(struct pyb_text *t, const struct pyb_thread *thread);
/** Plumbing and native frames are left out where the options say so. */
bool pyb_text_shows(const struct pyb_text *t, const struct pyb_frame *f);
void pyb_text_gap(struct pyb_text *t, const char *note);
void pyb_traceback(struct pyb_text *t, const struct pyb_thread *thread);
void pyb_traceback_frame(struct pyb_text *t, const struct pyb_frame *f);
#endif
