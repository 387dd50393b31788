// SPDX-License-Identifier: Apache-2.0
/**
 * Writing results: escaping shared by text and JSON. A hostile target must not drive the user's terminal:
 * control characters (C0, C1, DEL) and bidi overrides are shown escaped.
 */
#ifndef PYB_OUTPUT_OUTPUT_H
#define PYB_OUTPUT_OUTPUT_H
#include "base/buf.h"
#include "pybraid.h"

/** Buffers writes; the first failure sticks. */
struct pyb_out { pyb_write_fn write; void *ctx; int failed; char data[4096]; size_t len; };
void pyb_out_init(struct pyb_out *o, pyb_write_fn write, void *ctx);
void pyb_out_add(struct pyb_out *o, const char *s, size_t n);
void pyb_out_adds(struct pyb_out *o, const char *s);
void pyb_out_printf(struct pyb_out *o, const char *format, ...) __attribute__((format(printf, 2, 3)));
void pyb_out_escaped(struct pyb_out *o, const char *utf8);      // for a terminal
void pyb_out_json_string(struct pyb_out *o, const char *utf8);  // with quotes; NULL: null
int pyb_out_finish(struct pyb_out *o);                          // flushes; 0 or PYB_E_FAILED
void pyb_out_spaces(struct pyb_out *o, size_t n);
/** Columns that pyb_out_escaped() takes: one for each code point or escaped character. */
size_t pyb_out_width(const char *utf8);
/** The part after the last slash. */
const char *pyb_basename(const char *path);
#endif
