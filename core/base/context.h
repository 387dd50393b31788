// SPDX-License-Identifier: Apache-2.0
/**
 * What every layer needs from the caller: allocator, limits, the wish to stop. One per session; layers keep a pointer.
 *
 * Memory reads call pyb_ctx_check(), so each loop over target data ends when the user or the clock says so.
 */
#ifndef PYB_BASE_CONTEXT_H
#define PYB_BASE_CONTEXT_H
#include "pybraid.h"

struct pyb_ctx {
    void *(*alloc)(void *ctx, size_t n);
    void (*free)(void *ctx, void *p);
    void *alloc_ctx;
    uint64_t max_bytes, max_ms;
    bool (*abort)(void *ctx);
    void *abort_ctx;
    uint64_t deadline_ns; // 0: none; monotonic
    uint32_t check_countdown;
    bool debug_server;        // DEBUGINFOD_URLS may be asked
    char debug_folders[1024]; // of separate debug files, with ':' between them
};

void pyb_ctx_init(struct pyb_ctx *ctx, const struct pyb_options *options);
/** Starts the clock of one public call. */
void pyb_ctx_begin(struct pyb_ctx *ctx);
/** 0, PYB_E_ABORTED or PYB_E_LIMIT. Cheap: looks at the clock every 64th time only. */
int pyb_ctx_check(struct pyb_ctx *ctx, struct pyb_error *err);
/** Zeroed memory; NULL when there is none. `pyb_free` accepts NULL. */
void *pyb_alloc(struct pyb_ctx *ctx, size_t n);
void *pyb_realloc(struct pyb_ctx *ctx, void *p, size_t old, size_t n);
void pyb_free(struct pyb_ctx *ctx, void *p);
char *pyb_strdup(struct pyb_ctx *ctx, const char *s);
#endif
