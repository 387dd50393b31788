// SPDX-License-Identifier: Apache-2.0
/**
 * Little-endian items of a recording's blob: written by pyb_put_*, read back with every length checked. Docs:
 * docs/recording.md.
 */
#ifndef PYB_SYMBOLS_SAVED_H
#define PYB_SYMBOLS_SAVED_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"

void pyb_put_uint(struct pyb_buf *b, uint64_t value, size_t width);
/** NULL is kept apart from "". */
void pyb_put_str(struct pyb_buf *b, const char *s);
void pyb_put_bytes(struct pyb_buf *b, const void *data, size_t len);

struct pyb_saved { struct pyb_bytes b; size_t at; };
struct pyb_saved pyb_saved(const void *data, size_t len);
/** 0 and s->b.bad beyond the end. */
uint64_t pyb_take_uint(struct pyb_saved *s, size_t width);
/** A copy in the arena; NULL for NULL, and when bad. */
const char *pyb_take_str(struct pyb_saved *s, struct pyb_arena *a);
/** Points into the blob. */
const uint8_t *pyb_take_bytes(struct pyb_saved *s, size_t *ret_len);
#endif
