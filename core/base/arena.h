// SPDX-License-Identifier: Apache-2.0
/** An arena: many small allocations, freed at once. Bounded by max_bytes of the context. Memory is zeroed, aligned to 16. */
#ifndef PYB_BASE_ARENA_H
#define PYB_BASE_ARENA_H
#include "base/context.h"

struct pyb_arena_block;
struct pyb_arena {
    struct pyb_ctx *ctx;
    struct pyb_arena_block *last;
    uint64_t total;
};
void pyb_arena_init(struct pyb_arena *a, struct pyb_ctx *ctx);
void pyb_arena_deinit(struct pyb_arena *a);
/** Frees what was allocated, keeps the largest block for what comes. */
void pyb_arena_reset(struct pyb_arena *a);
/** NULL when memory or the limit is used up: the caller fails with PYB_E_NOMEM. */
void *pyb_arena_alloc(struct pyb_arena *a, size_t n);
/** n * size with the overflow checked. */
void *pyb_arena_array(struct pyb_arena *a, size_t n, size_t size);
char *pyb_arena_strndup(struct pyb_arena *a, const char *s, size_t n);
char *pyb_arena_strdup(struct pyb_arena *a, const char *s);
char *pyb_arena_printf(struct pyb_arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));
#endif
