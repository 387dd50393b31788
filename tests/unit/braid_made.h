// SPDX-License-Identifier: Apache-2.0
/**
 * Braids made by hand, for the unit test and the fuzzer: a native stack, evaluations, stack memory, and what
 * must hold of every braid whatever its input.
 */
#ifndef PYB_TESTS_BRAID_MADE_H
#define PYB_TESTS_BRAID_MADE_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "stack/braid_internal.h"

// pcs 0xe000-0xefff evaluate, 0xf000-0xffff are a .part of that function, from 0x700000 on lie other
// libraries; all others evaluate once they were learned.
#define MADE_STACK 0x100000u // stack memory, for the frame objects' addresses in it
#define MADE_STACK_SIZE 0x10000u

struct made_env {
    pyb_addr learned[64];
    size_t n_learned;
    pyb_addr mapping_end;          // one mapping that ends here, 0: unknown
    uint8_t stack[MADE_STACK_SIZE];
};

static inline enum pyb_evaluates made_evaluates(void *ctx, pyb_addr pc)
{
    const struct made_env *e = ctx;
    if (pc >= 0xe000 && pc < 0xf000)
        return PYB_EVALUATES;
    if (pc >= 0xf000 && pc < 0x10000)
        return PYB_EVALUATES_PART;
    for (size_t i = 0; i < e->n_learned; i++) {
        if (pc >> 8 == e->learned[i] >> 8) // functions of 256 bytes
            return PYB_EVALUATES;
    }
    return PYB_EVALUATES_NOT;
}

static inline void made_learn(void *ctx, pyb_addr pc)
{
    struct made_env *e = ctx;
    if (made_evaluates(ctx, pc) == PYB_EVALUATES_NOT && e->n_learned < 64)
        e->learned[e->n_learned++] = pc;
}

static inline bool made_foreign(void *ctx, pyb_addr pc)
{
    (void)ctx;
    return pc >= 0x700000;
}

static inline pyb_addr made_mapping_end(void *ctx, pyb_addr addr)
{
    const struct made_env *e = ctx;
    return addr < e->mapping_end ? e->mapping_end : 0;
}

static inline size_t made_read(void *ctx, pyb_addr addr, void *buf, size_t len)
{
    const struct made_env *e = ctx;
    if (addr < MADE_STACK || addr >= MADE_STACK + MADE_STACK_SIZE)
        return 0;
    size_t at = (size_t)(addr - MADE_STACK), rest = MADE_STACK_SIZE - at;
    memcpy(buf, e->stack + at, len < rest ? len : rest);
    return len < rest ? len : rest;
}

static inline void made_poke(struct made_env *e, pyb_addr addr, uint64_t value)
{
    memcpy(e->stack + (addr - MADE_STACK), &value, sizeof value);
}

static inline struct pyb_braid_env made_braid_env(struct made_env *e)
{
    return (struct pyb_braid_env){.ctx = e, .evaluates = made_evaluates, .learn = made_learn,
                                  .foreign = made_foreign,
                                  .mapping_end = made_mapping_end, .read = made_read, .ptr_size = 8};
}

static inline void made_require(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "broken braid: %s\n", what);
        abort();
    }
}

/**
 * Nothing invented, nothing dropped: each Python frame once and in its order; native frames in theirs, from
 * the innermost without a hole.
 */
static inline void made_check(const struct pyb_braid_input *in, const struct pyb_braid *b)
{
    uint32_t *next = calloc(in->n_tstates + 1, sizeof *next), native = 0;
    bool gap = false;
    made_require(next != NULL, "memory");
    for (uint32_t i = 0; i < b->n; i++) {
        const struct pyb_strand *s = &b->items[i];
        if (s->kind == PYB_FRAME_PYTHON) {
            made_require(s->tstate < in->n_tstates, "a thread state that is not there");
            made_require(s->frame == next[s->tstate], "a Python frame out of order");
            next[s->tstate]++;
        } else if (s->kind == PYB_FRAME_GAP) {
            made_require(s->note && s->note[0], "a gap without a reason");
            gap = true;
        } else {
            made_require(in->native && s->native == native, "a native frame out of order");
            native++;
        }
    }
    for (size_t i = 0; i < in->n_tstates; i++)
        made_require(next[i] == in->frames[i].n, "a Python frame dropped");
    made_require(b->complete == !gap, "complete and a gap, or neither");
    made_require((b->note != NULL) == gap, "a gap without the thread's note");
    made_require(gap || !in->native || native == in->native->n_frames,
                 "native frames dropped without a word");
    free(next);
}
#endif
