// SPDX-License-Identifier: Apache-2.0
/**
 * A target made of one block of memory, for tests and fuzzers: objects are put into it by hand, in any word
 * size and byte order, and read by the same code as a real one's.
 */
#ifndef PYB_TESTS_MADE_TARGET_H
#define PYB_TESTS_MADE_TARGET_H
#include <stdlib.h>
#include <string.h>
#include "interp/python.h"

#define MADE_BASE 0x10000u
#ifndef MADE_SIZE
#define MADE_SIZE (1u << 20)
#endif

struct made {
    struct pyb_memory mem; // first
    struct pyb_ctx ctx;
    struct pyb_target target;
    struct pyb_python py;
    uint8_t *data;   // MADE_SIZE bytes at MADE_BASE
    size_t used;     // grows up
};

static inline int made_readv(struct pyb_memory *m, struct pyb_range *ranges, size_t n, struct pyb_error *err)
{
    (void)err;
    struct made *f = (struct made *)m;
    for (size_t i = 0; i < n; i++) {
        struct pyb_range *r = &ranges[i];
        if (r->addr < MADE_BASE || r->addr >= MADE_BASE + MADE_SIZE)
            continue;
        size_t at = (size_t)(r->addr - MADE_BASE), rest = MADE_SIZE - at;
        r->done = r->len < rest ? r->len : rest;
        memcpy(r->buf, f->data + at, r->done);
    }
    return 0;
}

/** `layout` is copied; change f->py.layout freely. */
static inline void made_init(struct made *f, const struct pyb_layout *layout)
{
    static const struct pyb_memory_ops ops = {.name = "made", .readv = made_readv};
    memset(f, 0, sizeof *f);
    pyb_ctx_init(&f->ctx, NULL);
    f->data = calloc(1, MADE_SIZE);
    if (!f->data)
        abort();
    f->mem = (struct pyb_memory){.ops = &ops, .ctx = &f->ctx, .ptr_size = (uint8_t)layout->ptr_size,
                                 .big_endian = layout->big_endian};
    f->target = (struct pyb_target){.ctx = &f->ctx, .mem = &f->mem};
    f->py = (struct pyb_python){.target = &f->target, .layout = *layout, .major = layout->major,
                                .minor = layout->minor, .version = "made"};
    pyb_arena_init(&f->py.arena, &f->ctx);
    pyb_arena_init(&f->py.code_arena, &f->ctx);
    pyb_map_init(&f->py.codes, &f->ctx);
    pyb_map_init(&f->py.types, &f->ctx);
}

static inline void made_deinit(struct made *f)
{
    pyb_map_deinit(&f->py.codes);
    pyb_arena_deinit(&f->py.code_arena);
    pyb_map_deinit(&f->py.types);
    pyb_arena_deinit(&f->py.arena);
    free(f->data);
}

/** Zeroed, aligned to 16. */
static inline pyb_addr made_alloc(struct made *f, size_t n)
{
    pyb_addr at = MADE_BASE + f->used;
    f->used += (n + 15) & ~(size_t)15;
    if (f->used > MADE_SIZE)
        abort();
    return at;
}

static inline void made_put(struct made *f, pyb_addr addr, unsigned width, uint64_t value)
{
    if (addr < MADE_BASE || addr - MADE_BASE + width > MADE_SIZE)
        abort();
    for (unsigned i = 0; i < width; i++) {
        unsigned shift = 8 * (f->mem.big_endian ? width - 1 - i : i);
        f->data[addr - MADE_BASE + i] = (uint8_t)(value >> shift);
    }
}

/** A member that the layout does not have is left out. */
static inline void made_set(struct made *f, pyb_addr base, struct pyb_field field, uint64_t value)
{
    if (pyb_has_field(field))
        made_put(f, base + (uint32_t)field.offset, field.width, value);
}

static inline void made_bits(struct made *f, pyb_addr base, struct pyb_bits b, uint64_t value)
{
    if (!pyb_has_bits(b))
        return;
    unsigned at = b.shift;
    if (f->mem.big_endian) // a compiler there counts from the top
        at = 8u * b.width - b.shift - b.bits;
    uint64_t word = 0;
    for (unsigned i = 0; i < b.width; i++)
        word |= (uint64_t)f->data[base + (uint32_t)b.offset - MADE_BASE + i]
                << (8 * (f->mem.big_endian ? b.width - 1u - i : i));
    made_put(f, base + (uint32_t)b.offset, b.width, word | value << at);
}

/** A type object. */
static inline pyb_addr made_type(struct made *f, const char *name, uint64_t flags)
{
    pyb_addr text = made_alloc(f, strlen(name) + 1);
    memcpy(f->data + (text - MADE_BASE), name, strlen(name) + 1);
    pyb_addr type = made_alloc(f, f->py.layout.type_size ? f->py.layout.type_size : 512);
    made_set(f, type, f->py.layout.type_name, text);
    made_set(f, type, f->py.layout.type_flags, flags);
    return type;
}

/** A bytes object (2.7: str) of `n` bytes. */
static inline pyb_addr made_bytes(struct made *f, pyb_addr type, const void *data, size_t n)
{
    const struct pyb_layout *l = &f->py.layout;
    pyb_addr o = made_alloc(f, (size_t)l->bytes_size + n + 1);
    made_set(f, o, l->obj_type, type);
    made_set(f, o, pyb_has_field(l->bytes_ob_size) ? l->bytes_ob_size : l->var_ob_size, n);
    memcpy(f->data + (o + (uint32_t)l->bytes_data.offset - MADE_BASE), data, n);
    return o;
}

/** A compact str of `kind` bytes a character (3.3+). `ascii` needs kind 1. */
static inline pyb_addr made_compact(struct made *f, pyb_addr type, unsigned kind, bool ascii,
                                    const uint32_t *chars, size_t n)
{
    const struct pyb_layout *l = &f->py.layout;
    size_t head = ascii ? l->ascii_size : l->compact_size;
    pyb_addr o = made_alloc(f, head + (n + 1) * kind);
    made_set(f, o, l->obj_type, type);
    made_set(f, o, l->ascii_length, n);
    made_bits(f, o, l->ascii_kind, kind);
    made_bits(f, o, l->ascii_compact, 1);
    made_bits(f, o, l->ascii_ascii, ascii);
    made_bits(f, o, l->ascii_ready, 1);
    for (size_t i = 0; i < n; i++)
        made_put(f, o + head + i * kind, kind, chars[i]);
    return o;
}

static inline pyb_addr made_ascii(struct made *f, pyb_addr type, const char *s)
{
    uint32_t chars[256] = {0};
    size_t n = strlen(s);
    for (size_t i = 0; i < n && i < 256; i++)
        chars[i] = (unsigned char)s[i];
    return made_compact(f, type, 1, true, chars, n < 256 ? n : 256);
}
#endif
