// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ALIGN 16u
#define FIRST_BLOCK 4096u
#define LARGEST_BLOCK (1u << 20)

struct pyb_arena_block {
    struct pyb_arena_block *previous;
    size_t used, size; // of data
    _Alignas(ALIGN) unsigned char data[];
};

void pyb_arena_init(struct pyb_arena *a, struct pyb_ctx *ctx)
{
    *a = (struct pyb_arena){.ctx = ctx};
}

void pyb_arena_deinit(struct pyb_arena *a)
{
    while (a->last) {
        struct pyb_arena_block *previous = a->last->previous;
        pyb_free(a->ctx, a->last);
        a->last = previous;
    }
    a->total = 0;
}

void pyb_arena_reset(struct pyb_arena *a)
{
    struct pyb_arena_block *last = a->last;
    if (!last)
        return;
    a->last = last->previous;
    pyb_arena_deinit(a);
    memset(last->data, 0, last->used);
    last->used = 0;
    last->previous = NULL;
    a->last = last;
    a->total = sizeof(*last) + last->size;
}

// Blocks double in size, so that small results stay small and large ones need few allocations.
static struct pyb_arena_block *add_block(struct pyb_arena *a, size_t n)
{
    size_t size = a->last ? a->last->size * 2 : FIRST_BLOCK;
    if (size > LARGEST_BLOCK)
        size = LARGEST_BLOCK;
    if (size < n)
        size = n;
    uint64_t left = a->ctx->max_bytes - a->total;
    if (left < sizeof(struct pyb_arena_block) || left - sizeof(struct pyb_arena_block) < n)
        return NULL;
    if (size > left - sizeof(struct pyb_arena_block))
        size = n;
    struct pyb_arena_block *block = pyb_alloc(a->ctx, sizeof(*block) + size);
    if (!block)
        return NULL;
    block->size = size;
    block->previous = a->last;
    a->last = block;
    a->total += sizeof(*block) + size;
    return block;
}

void *pyb_arena_alloc(struct pyb_arena *a, size_t n)
{
    if (n > SIZE_MAX / 2)
        return NULL;
    n = n ? (n + ALIGN - 1) & ~(size_t)(ALIGN - 1) : ALIGN;
    struct pyb_arena_block *block = a->last;
    if (!block || block->size - block->used < n) {
        block = add_block(a, n);
        if (!block)
            return NULL;
    }
    void *p = block->data + block->used;
    block->used += n;
    return p;
}

void *pyb_arena_array(struct pyb_arena *a, size_t n, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, size, &bytes))
        return NULL;
    return pyb_arena_alloc(a, bytes);
}

char *pyb_arena_strndup(struct pyb_arena *a, const char *s, size_t n)
{
    n = strnlen(s, n);
    char *copy = pyb_arena_alloc(a, n + 1);
    if (copy)
        memcpy(copy, s, n);
    return copy;
}

char *pyb_arena_strdup(struct pyb_arena *a, const char *s)
{
    return pyb_arena_strndup(a, s, strlen(s));
}

char *pyb_arena_printf(struct pyb_arena *a, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = n < 0 ? NULL : pyb_arena_alloc(a, (size_t)n + 1);
    if (text)
        (void)vsnprintf(text, (size_t)n + 1, format, again);
    va_end(again);
    return text;
}
