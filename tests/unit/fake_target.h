// SPDX-License-Identifier: Apache-2.0
/** A target whose memory the test makes up: regions of bytes, and a function for memory that goes on for ever. No modules. */
#ifndef PYB_TESTS_FAKE_TARGET_H
#define PYB_TESTS_FAKE_TARGET_H
#include "interp/python.h"
#include "symbols/modules.h"
#include "unit.h"

#define FAKE_REGIONS 32

struct fake_region {
    pyb_addr addr;
    size_t len;
    uint8_t data[4096];
};
struct fake_memory {
    struct pyb_memory mem; // first
    struct fake_region regions[FAKE_REGIONS];
    size_t n;
    bool (*word)(pyb_addr addr, uint64_t *ret); // an 8-byte word outside the regions, NULL: none
    uint64_t reads;
};
struct fake {
    struct fake_memory memory;
    struct pyb_target target;
    struct pyb_python py;
};

static inline bool fake_byte(struct fake_memory *m, pyb_addr addr, uint8_t *ret)
{
    for (size_t i = 0; i < m->n; i++) {
        if (addr >= m->regions[i].addr && addr - m->regions[i].addr < m->regions[i].len) {
            *ret = m->regions[i].data[addr - m->regions[i].addr];
            return true;
        }
    }
    uint64_t word;
    if (!m->word || !m->word(addr & ~UINT64_C(7), &word))
        return false;
    *ret = (uint8_t)(word >> 8 * (addr & 7));
    return true;
}

static inline int fake_readv(struct pyb_memory *mem, struct pyb_range *ranges, size_t n, struct pyb_error *err)
{
    (void)err;
    struct fake_memory *m = (struct fake_memory *)mem;
    m->reads++;
    for (size_t i = 0; i < n; i++) {
        uint8_t *buf = ranges[i].buf;
        while (ranges[i].done < ranges[i].len && fake_byte(m, ranges[i].addr + ranges[i].done, &buf[ranges[i].done]))
            ranges[i].done++;
    }
    return 0;
}

static inline pyb_addr fake_add(struct fake *f, pyb_addr addr, size_t len)
{
    assert_true(f->memory.n < FAKE_REGIONS && len <= sizeof(f->memory.regions[0].data));
    f->memory.regions[f->memory.n++] = (struct fake_region){.addr = addr, .len = len};
    return addr;
}

static inline void fake_set(struct fake *f, pyb_addr base, struct pyb_field field, uint64_t value)
{
    pyb_addr at = base + (pyb_addr)field.offset;
    for (size_t i = 0; i < f->memory.n; i++) {
        struct fake_region *r = &f->memory.regions[i];
        if (at >= r->addr && at + field.width <= r->addr + r->len) {
            for (uint32_t k = 0; k < field.width; k++)
                r->data[at - r->addr + k] = (uint8_t)(value >> 8 * k);
            return;
        }
    }
    fail_msg("the test writes outside its memory: 0x%llx", (unsigned long long)at);
}

static inline void fake_init(struct fake *f)
{
    static const struct pyb_memory_ops ops = {.name = "fake", .readv = fake_readv};
    memset(f, 0, sizeof(*f));
    f->memory.mem = (struct pyb_memory){.ops = &ops, .ctx = unit_ctx(), .ptr_size = 8, .machine = 62};
    f->target = (struct pyb_target){.ctx = f->memory.mem.ctx, .mem = &f->memory.mem, .executable = "/fake"};
    f->py.target = &f->target;
    pyb_arena_init(&f->py.arena, f->target.ctx);
    pyb_arena_init(&f->py.code_arena, f->target.ctx);
    pyb_map_init(&f->py.codes, f->target.ctx);
    pyb_map_init(&f->py.types, f->target.ctx);
}

static inline void fake_deinit(struct fake *f)
{
    pyb_map_deinit(&f->py.codes);
    pyb_arena_deinit(&f->py.code_arena);
    pyb_map_deinit(&f->py.types);
    pyb_arena_deinit(&f->py.arena);
}

/** Every member absent; then the test states those that it needs. */
static inline void fake_no_layout(struct pyb_layout *l)
{
    memset(l, 0, sizeof(*l));
    strcpy(l->name, "fake");
    l->ptr_size = 8;
#define F(group, name, type, path) l->group##_##name = (struct pyb_field){.offset = PYB_ABSENT};
#define S(group, type)
#define B(group, name, type, path) l->group##_##name = (struct pyb_bits){.offset = PYB_ABSENT};
#define K(name, expression) l->name = PYB_ABSENT;
#define R(name) l->name = PYB_ABSENT;
#include "interp/layout_fields.def"
#undef F
#undef S
#undef B
#undef K
#undef R
}
#endif
