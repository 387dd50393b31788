// SPDX-License-Identifier: Apache-2.0
#include "base/context.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"

#define DEFAULT_MAX_BYTES (UINT64_C(256) << 20)
#define CHECK_EVERY 64

// Options may come from a caller built against an older, shorter struct.
#define HAS_FIELD(o, field) ((o)->size >= offsetof(struct pyb_options, field) + sizeof((o)->field))

void pyb_ctx_init(struct pyb_ctx *ctx, const struct pyb_options *o)
{
    memset(ctx, 0, sizeof(*ctx));
    ctx->max_bytes = DEFAULT_MAX_BYTES;
    strcpy(ctx->debug_folders, "/usr/lib/debug");
    if (!o)
        return;
    if (HAS_FIELD(o, alloc_ctx) && o->alloc && o->free) {
        ctx->alloc = o->alloc;
        ctx->free = o->free;
        ctx->alloc_ctx = o->alloc_ctx;
    }
    if (HAS_FIELD(o, max_bytes) && o->max_bytes)
        ctx->max_bytes = o->max_bytes;
    if (HAS_FIELD(o, max_ms))
        ctx->max_ms = o->max_ms;
    if (HAS_FIELD(o, abort_ctx)) {
        ctx->abort = o->abort;
        ctx->abort_ctx = o->abort_ctx;
    }
    ctx->debug_server = HAS_FIELD(o, debug_server) && o->debug_server;
    if (HAS_FIELD(o, debug_folders) && o->debug_folders && strlen(o->debug_folders) < sizeof(ctx->debug_folders))
        strcpy(ctx->debug_folders, o->debug_folders);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_MONOTONIC, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void pyb_ctx_begin(struct pyb_ctx *ctx)
{
    ctx->check_countdown = 0;
    ctx->deadline_ns = 0;
    if (ctx->max_ms) {
        uint64_t span;
        if (__builtin_mul_overflow(ctx->max_ms, UINT64_C(1000000), &span) ||
            __builtin_add_overflow(now_ns(), span, &ctx->deadline_ns))
            ctx->deadline_ns = 0; // centuries: none
    }
}

int pyb_ctx_check(struct pyb_ctx *ctx, struct pyb_error *err)
{
    if (ctx->check_countdown > 0) {
        ctx->check_countdown--;
        return 0;
    }
    // Once over, always over until the next call begins: the countdown stays at 0.
    if (ctx->abort && ctx->abort(ctx->abort_ctx))
        return pyb_fail(err, PYB_E_ABORTED, "interrupted");
    if (ctx->deadline_ns && now_ns() >= ctx->deadline_ns)
        return pyb_fail(err, PYB_E_LIMIT, "the limit of %llu ms is over", (unsigned long long)ctx->max_ms);
    ctx->check_countdown = CHECK_EVERY - 1;
    return 0;
}

void *pyb_alloc(struct pyb_ctx *ctx, size_t n)
{
    if (n == 0)
        n = 1;
    if (!ctx->alloc)
        return calloc(1, n);
    void *p = ctx->alloc(ctx->alloc_ctx, n);
    if (p)
        memset(p, 0, n);
    return p;
}

void *pyb_realloc(struct pyb_ctx *ctx, void *p, size_t old, size_t n)
{
    void *fresh;
    if (!ctx->alloc) {
        fresh = realloc(p, n ? n : 1);
        if (fresh && n > old)
            memset((char *)fresh + old, 0, n - old);
        return fresh;
    }
    fresh = pyb_alloc(ctx, n);
    if (fresh && p) {
        memcpy(fresh, p, old < n ? old : n);
        pyb_free(ctx, p);
    }
    return fresh;
}

void pyb_free(struct pyb_ctx *ctx, void *p)
{
    if (!p)
        return;
    if (ctx->free)
        ctx->free(ctx->alloc_ctx, p);
    else
        free(p);
}

char *pyb_strdup(struct pyb_ctx *ctx, const char *s)
{
    size_t n = strlen(s) + 1;
    char *copy = pyb_alloc(ctx, n);
    if (copy)
        memcpy(copy, s, n);
    return copy;
}
