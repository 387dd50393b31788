// SPDX-License-Identifier: Apache-2.0
/**
 * A target made of one block of memory, for tests and fuzzers: objects are put into it by hand, in any word size and
 * byte order, and read by the same code as a real one's.
 */
#ifndef FAKE_TARGET_H
#define FAKE_TARGET_H
#include <stdlib.h>
#include <string.h>
#include "interp/python.h"

#define FAKE_BASE 0x10000u
#define FAKE_SIZE (1u << 20)

struct fake {
    struct pyb_memory mem;
    struct pyb_ctx ctx;
    struct pyb_target target;
    struct pyb_python py;
    uint8_t *data;   // FAKE_SIZE bytes at FAKE_BASE
    size_t used;     // grows up
};

static int fake_readv(struct pyb_memory *m, struct pyb_range *ranges, size_t n, struct pyb_error *err)
{
    (void)err;
    struct fake *f = (struct fake *)m;
    for (size_t i = 0; i < n; i++) {
        struct pyb_range *r = &ranges[i];
        if (r->addr < FAKE_BASE || r->addr >= FAKE_BASE + FAKE_SIZE)
            continue;
        size_t at = (size_t)(r->addr - FAKE_BASE), rest = FAKE_SIZE - at;
        r->done = r->len < rest ? r->len : rest;
        memcpy(r->buf, f->data + at, r->done);
    }
    return 0;
}

static const struct pyb_memory_ops fake_ops = {.name = "fake", .readv = fake_readv};

/** `layout` is copied; change f->py.layout freely. */
static inline void fake_init(struct fake *f, const struct pyb_layout *layout)
{
    memset(f, 0, sizeof *f);
    pyb_ctx_init(&f->ctx, NULL);
    f->data = calloc(1, FAKE_SIZE);
    if (!f->data)
        abort();
    f->mem = (struct pyb_memory){.ops = &fake_ops, .ctx = &f->ctx, .ptr_size = (uint8_t)layout->ptr_size,
                                 .big_endian = layout->big_endian};
    f->target = (struct pyb_target){.ctx = &f->ctx, .mem = &f->mem};
    f->py = (struct pyb_python){.target = &f->target, .layout = *layout, .major = layout->major,
                                .minor = layout->minor, .version = "fake"};
    pyb_arena_init(&f->py.arena, &f->ctx);
    pyb_map_init(&f->py.codes, &f->ctx);
    pyb_map_init(&f->py.types, &f->ctx);
}

static inline void fake_deinit(struct fake *f)
{
    pyb_map_deinit(&f->py.codes);
    pyb_map_deinit(&f->py.types);
    pyb_arena_deinit(&f->py.arena);
    free(f->data);
}

/** Zeroed, aligned to 16. */
static inline pyb_addr fake_alloc(struct fake *f, size_t n)
{
    pyb_addr at = FAKE_BASE + f->used;
    f->used += (n + 15) & ~(size_t)15;
    if (f->used > FAKE_SIZE)
        abort();
    return at;
}

static inline void fake_put(struct fake *f, pyb_addr addr, unsigned width, uint64_t value)
{
    for (unsigned i = 0; i < width; i++) {
        unsigned shift = 8 * (f->mem.big_endian ? width - 1 - i : i);
        f->data[addr - FAKE_BASE + i] = (uint8_t)(value >> shift);
    }
}

static inline void fake_set(struct fake *f, pyb_addr base, struct pyb_field field, uint64_t value)
{
    if (pyb_has_field(field))
        fake_put(f, base + (uint32_t)field.offset, field.width, value);
}

static inline void fake_bits(struct fake *f, pyb_addr base, struct pyb_bits b, uint64_t value)
{
    if (!pyb_has_bits(b))
        return;
    unsigned at = (unsigned)b.shift;
    if (f->mem.big_endian) // a compiler there counts from the top
        at = 8u * b.width - b.shift - b.bits;
    uint64_t word = 0;
    for (unsigned i = 0; i < b.width; i++)
        word |= (uint64_t)f->data[base + (uint32_t)b.offset - FAKE_BASE + i]
                << (8 * (f->mem.big_endian ? b.width - 1u - i : i));
    fake_put(f, base + (uint32_t)b.offset, b.width, word | value << at);
}

/** A static type object. */
static inline pyb_addr fake_type(struct fake *f, const char *name, uint64_t flags)
{
    pyb_addr text = fake_alloc(f, strlen(name) + 1);
    memcpy(f->data + (text - FAKE_BASE), name, strlen(name) + 1);
    pyb_addr type = fake_alloc(f, f->py.layout.type_size ? f->py.layout.type_size : 512);
    fake_set(f, type, f->py.layout.type_name, text);
    fake_set(f, type, f->py.layout.type_flags, flags);
    return type;
}

/** The bytes object (2.7: str) of `n` bytes. */
static inline pyb_addr fake_bytes(struct fake *f, pyb_addr type, const void *data, size_t n)
{
    const struct pyb_layout *l = &f->py.layout;
    pyb_addr o = fake_alloc(f, (size_t)l->bytes_size + n + 1);
    fake_set(f, o, l->obj_type, type);
    fake_set(f, o, pyb_has_field(l->bytes_ob_size) ? l->bytes_ob_size : l->var_ob_size, n);
    memcpy(f->data + (o + (uint32_t)l->bytes_data.offset - FAKE_BASE), data, n);
    return o;
}

/** A compact str of `kind` bytes a character (3.3+). `ascii` needs kind 1. */
static inline pyb_addr fake_compact(struct fake *f, pyb_addr type, unsigned kind, bool ascii, const uint32_t *chars,
                                    size_t n)
{
    const struct pyb_layout *l = &f->py.layout;
    size_t head = ascii ? l->ascii_size : l->compact_size;
    pyb_addr o = fake_alloc(f, head + (n + 1) * kind);
    fake_set(f, o, l->obj_type, type);
    fake_set(f, o, l->ascii_length, n);
    fake_bits(f, o, l->ascii_kind, kind);
    fake_bits(f, o, l->ascii_compact, 1);
    fake_bits(f, o, l->ascii_ascii, ascii);
    fake_bits(f, o, l->ascii_ready, 1);
    for (size_t i = 0; i < n; i++)
        fake_put(f, o + head + i * kind, kind, chars[i]);
    return o;
}

static inline pyb_addr fake_ascii(struct fake *f, pyb_addr type, const char *s)
{
    uint32_t chars[256];
    size_t n = strlen(s);
    for (size_t i = 0; i < n && i < 256; i++)
        chars[i] = (unsigned char)s[i];
    return fake_compact(f, type, 1, true, chars, n < 256 ? n : 256);
}
#endif
