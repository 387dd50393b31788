// SPDX-License-Identifier: Apache-2.0
// The braid of any native stack and any evaluations. Input: records of 6 bytes: kind, then what the kind
// takes.
#include "../unit/braid_made.h"

#include "base/arena.h"

#define MAX_ITEMS 400u
#define MAX_TSTATES 3u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct scene {
    struct made_env env;
    struct pyb_native_frame native[MAX_ITEMS];
    struct pyb_native_stack stack;
    struct pyb_tstate tstate[MAX_TSTATES];
    struct pyb_frames frames[MAX_TSTATES];
    struct pyb_pyframe python[MAX_TSTATES][MAX_ITEMS];
    struct pyb_evaluation evaluations[MAX_TSTATES][MAX_ITEMS];
};

// Small numbers meet each other; the last shift reaches the ends of the address space.
static pyb_addr address(const uint8_t *p)
{
    static const unsigned shifts[] = {0, 0, 4, 8, 12, 20, 40, 56};
    pyb_addr low = (pyb_addr)(p[0] | p[1] << 8);
    return p[2] & 0x80 ? MADE_STACK + (low & (MADE_STACK_SIZE - 1)) : low << shifts[p[2] & 7];
}

static void add_native(struct scene *s, const uint8_t *p)
{
    struct pyb_native_frame *f = &s->native[s->stack.n_frames];
    if (s->stack.n_frames == MAX_ITEMS)
        return;
    s->stack.n_frames++;
    *f = (struct pyb_native_frame){.size = sizeof *f, .pc = (pyb_addr)(p[0] << 8 | (p[4] & 64) << 17),
                                   .sp = address(p + 1),
                                   .flags = p[4] & 15u};
}

static void add_evaluation(struct scene *s, const uint8_t *p, bool addresses)
{
    struct pyb_frames *f = &s->frames[p[0] % MAX_TSTATES];
    if (f->n_evaluations == MAX_ITEMS)
        return;
    uint32_t n = p[4] & 7u, first = p[4] & 0x40 ? p[4] : f->n;
    if (f->n + n > MAX_ITEMS)
        n = 0;
    f->evaluations[f->n_evaluations++] = (struct pyb_evaluation){.stack_addr = addresses ? address(p + 1) : 0,
                                                                 .first = first, .n = p[4] == 0xff
                                                                     ? UINT32_MAX : n};
    for (uint32_t i = 0; i < n; i++, f->n++)
        f->frames[f->n].addr = 0x9000 + 8 * (pyb_addr)p[1];
}

static void build(struct scene *s, const uint8_t *data, size_t size, uint8_t options)
{
    s->stack = (struct pyb_native_stack){.size = sizeof s->stack, .frames = s->native,
                                         .truncated = options & 1 ? "cut" : NULL};
    for (size_t i = 0; i < MAX_TSTATES; i++)
        s->frames[i] = (struct pyb_frames){.frames = s->python[i], .evaluations = s->evaluations[i],
                                           .complete = true};
    for (; size >= 6; data += 6, size -= 6) {
        switch (data[0] % 5) {
        case 0:
        case 1:
            add_native(s, data + 1);
            break;
        case 2:
        case 3:
            add_evaluation(s, data + 1, !(options & 2));
            break;
        default:
            made_poke(&s->env, MADE_STACK + ((pyb_addr)(data[1] | data[2] << 8) & (MADE_STACK_SIZE - 8)),
                      0x9000 + 8 * (uint64_t)data[3]);
            s->frames[data[4] % MAX_TSTATES].complete = data[5] != 0;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct scene *s = calloc(1, sizeof *s);
    struct pyb_ctx ctx;
    struct pyb_arena arena;
    struct pyb_braid braid;
    made_require(s != NULL, "memory");
    pyb_ctx_init(&ctx, NULL);
    pyb_arena_init(&arena, &ctx);
    build(s, data + 1, size - 1, data[0]);
    s->env.mapping_end = data[0] & 4 ? 0x4000 : 0;
    const struct pyb_tstate *tstates[MAX_TSTATES] = {&s->tstate[0], &s->tstate[1], &s->tstate[2]};
    struct pyb_braid_env env = made_braid_env(&s->env);
    struct pyb_braid_input in = {.native = data[0] & 8 ? NULL : &s->stack, .tstates = tstates,
                                 .frames = s->frames,
                                 .n_tstates = MAX_TSTATES};
    made_require(pyb_braid_with(&env, &in, &arena, &braid, NULL) == 0, "an error");
    made_check(&in, &braid);
    pyb_arena_deinit(&arena);
    free(s);
    return 0;
}
