// SPDX-License-Identifier: Apache-2.0
/**
 * Growable text or bytes in the context's memory. Errors stick: after a failed allocation, or at `limit` bytes, appends do
 * nothing and `failed` (or `limited`) stays set, so that callers check once at the end.
 */
#ifndef PYB_BASE_BUF_H
#define PYB_BASE_BUF_H
#include "base/context.h"

struct pyb_buf {
    struct pyb_ctx *ctx;
    char *data;    // always NUL-terminated once something was appended; NULL before
    size_t len, cap;
    size_t limit;  // 0: none
    bool failed;   // out of memory
    bool limited;  // the limit cut it
};
void pyb_buf_init(struct pyb_buf *b, struct pyb_ctx *ctx, size_t limit);
void pyb_buf_deinit(struct pyb_buf *b);
void pyb_buf_clear(struct pyb_buf *b);
void pyb_buf_add(struct pyb_buf *b, const void *data, size_t n);
void pyb_buf_adds(struct pyb_buf *b, const char *s);
void pyb_buf_addc(struct pyb_buf *b, char c);
void pyb_buf_printf(struct pyb_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** UTF-8 of a code point; surrogates and values above 0x10ffff as Python's backslashreplace writes them (\udc80). */
void pyb_buf_add_codepoint(struct pyb_buf *b, uint32_t cp);
/** Bytes that should be UTF-8: what is not becomes \xNN. */
void pyb_buf_add_utf8(struct pyb_buf *b, const void *data, size_t n);
/** The text so far or "", never NULL. */
const char *pyb_buf_str(const struct pyb_buf *b);
#endif
