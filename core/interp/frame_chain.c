// SPDX-License-Identifier: Apache-2.0
// Collecting links: growth, the limit on frames, cycles; decoding one interpreter frame, and reading ahead of
// it.
#include "interp/frame_chain.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"

#define IFRAME_MAX 256
#define CHUNK_USUAL 16384u         // bytes of a chunk unless one frame needs more (Python/pystate.c)
#define CHUNK_MAX ((uint64_t)1 << 20) // bytes read ahead at once

static size_t end_of(struct pyb_field f)
{
    return pyb_has_field(f) ? (size_t)f.offset + f.width : 0;
}

static size_t iframe_extent(const struct pyb_layout *l)
{
    size_t ends[] = {end_of(l->iframe_executable), end_of(l->iframe_previous), end_of(l->iframe_prev_instr),
                     end_of(l->iframe_instr_ptr), end_of(l->iframe_owner), end_of(l->iframe_is_entry),
                     end_of(l->iframe_tlbc_index)};
    size_t most = 0;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
        most = ends[i] > most ? ends[i] : most;
    return most;
}

void pyb_chain_init(struct pyb_chain *c, struct pyb_python *py, const struct pyb_tstate *t,
                    uint32_t max_frames, struct pyb_arena *arena)
{
    *c = (struct pyb_chain){.py = py, .t = t, .arena = arena, .max_frames = max_frames, .power = 1,
                             .iframe_extent = iframe_extent(&py->layout)};
}

void pyb_chain_deinit(struct pyb_chain *c)
{
    pyb_free(c->py->target->ctx, c->links);
}

void pyb_chain_reset(struct pyb_chain *c)
{
    c->n = 0;
    c->n_frames = 0;
    c->tortoise = 0;
    c->power = 1;
    c->steps = 0;
    c->note = NULL;
}

void pyb_chain_note(struct pyb_chain *c, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const char *kept = pyb_arena_strdup(c->arena, text);
    c->note = kept ? kept : "cut; no memory to say why";
}

static int append(struct pyb_chain *c, const struct pyb_link *link, struct pyb_error *err)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 64;
        void *links = pyb_realloc(c->py->target->ctx, c->links, c->cap * sizeof *c->links,
                                  cap * sizeof *c->links);
        if (!links)
            return pyb_fail(err, PYB_E_NOMEM, "no memory for a stack of more than %zu frames", c->cap);
        c->links = links;
        c->cap = cap;
    }
    c->links[c->n++] = *link;
    return 0;
}

// The turn was noticed late: what was seen more than once goes.
static void cut_repeats(struct pyb_chain *c, size_t period)
{
    size_t first = 0;
    while (first + period < c->n &&
           (!c->links[first].addr || c->links[first].addr != c->links[first + period].addr))
        first++;
    if (first + period < c->n)
        c->n = first + period;
    c->n_frames = 0;
    for (size_t i = 0; i < c->n; i++)
        c->n_frames += c->links[i].code != 0;
}

static bool turns_back(struct pyb_chain *c, pyb_addr addr)
{
    if (addr == c->tortoise) {
        size_t period = 0; // in links, ends of evaluations included
        while (period < c->n && c->links[c->n - 1 - period++].addr != addr)
            ;
        cut_repeats(c, period);
        return true;
    }
    if (++c->steps == c->power) {
        c->tortoise = addr;
        c->power *= 2;
        c->steps = 0;
    }
    return false;
}

static bool ends_in_cycle(struct pyb_chain *c, pyb_addr addr)
{
    if (!turns_back(c, addr))
        return false;
    pyb_chain_note(c, "the chain of frames turns back to 0x%llx", (unsigned long long)addr);
    return true;
}

int pyb_chain_frame(struct pyb_chain *c, const struct pyb_link *link, struct pyb_error *err)
{
    if (ends_in_cycle(c, link->addr))
        return 0;
    if (c->n_frames >= c->max_frames) {
        pyb_chain_note(c, "more than %u frames", c->max_frames);
        return 0;
    }
    int code = append(c, link, err);
    if (code)
        return code;
    c->n_frames++;
    return 1;
}

int pyb_chain_shim(struct pyb_chain *c, pyb_addr addr, struct pyb_error *err)
{
    if (ends_in_cycle(c, addr))
        return 0;
    int code = pyb_chain_end(c, addr, err);
    return code ? code : 1;
}

int pyb_chain_end(struct pyb_chain *c, pyb_addr stack_addr, struct pyb_error *err)
{
    struct pyb_link link = {.addr = stack_addr};
    return append(c, &link, err);
}

int pyb_chain_broken(struct pyb_chain *c, const struct pyb_error *why, const char *what, pyb_addr addr)
{
    switch (why->code) {
    case PYB_E_NOMEM:
    case PYB_E_LIMIT:
    case PYB_E_ABORTED:
    case PYB_E_GONE:
    case PYB_E_PERM:
    case PYB_E_UNSUPPORTED:
        return why->code;
    default:
        pyb_chain_note(c, "%s at 0x%llx cannot be read: %s", what, (unsigned long long)addr, why->what);
        return 0;
    }
}

// Frames are pushed one after another into chunks: one read fetches many. The current chunk is used up to
// datastack_top.
static void first_chunk(struct pyb_chain *c)
{
    const struct pyb_layout *l = &c->py->layout;
    pyb_addr chunk = 0, top = 0;
    if (pyb_field_ptr(c->py, c->t->addr, l->tstate_datastack_chunk, &chunk, NULL) || !chunk ||
        pyb_field_ptr(c->py, c->t->addr, l->tstate_datastack_top, &top, NULL) || top <= chunk ||
        top - chunk > CHUNK_MAX)
        top = chunk + CHUNK_USUAL;
    c->chunk = (struct pyb_frame_chunk){.addr = chunk, .length = top - chunk};
}

static void load_chunk(struct pyb_chain *c)
{
    const struct pyb_layout *l = &c->py->layout;
    struct pyb_frame_chunk *k = &c->chunk;
    if (!k->addr)
        return;
    struct pyb_range range = {.addr = k->addr, .len = (size_t)k->length};
    pyb_memory_prefetch(c->py->target->mem, &range, 1);
    if (pyb_field_ptr(c->py, k->addr, l->chunk_previous, &k->previous, NULL))
        k->previous = 0;
}

static void read_ahead(struct pyb_chain *c, pyb_addr frame)
{
    const struct pyb_layout *l = &c->py->layout;
    struct pyb_frame_chunk *k = &c->chunk;
    if (!k->length) {
        first_chunk(c);
        load_chunk(c);
    }
    if (!k->addr || !k->previous || (frame >= k->addr && frame - k->addr < k->length))
        return;
    uint64_t length = CHUNK_USUAL;
    if (frame < k->previous || frame - k->previous >= CHUNK_MAX)
        return;
    if (frame - k->previous >= length &&
        (pyb_field_uint(c->py, k->previous, l->chunk_length, &length, NULL) || frame - k->previous >= length))
        return;
    *k = (struct pyb_frame_chunk){.addr = k->previous, .length = length < CHUNK_MAX ? length : CHUNK_MAX};
    load_chunk(c);
}

static uint64_t get(struct pyb_bytes *b, struct pyb_field f)
{
    return pyb_has_field(f) ? pyb_get_uint(b, (size_t)f.offset, f.width) : 0;
}

int pyb_iframe_read(struct pyb_chain *c, pyb_addr addr, struct pyb_iframe *ret, struct pyb_error *err)
{
    const struct pyb_layout *l = &c->py->layout;
    uint8_t data[IFRAME_MAX];
    size_t size = c->iframe_extent;
    if (size == 0 || size > IFRAME_MAX || !pyb_has_field(l->iframe_executable) ||
        !pyb_has_field(l->iframe_owner))
        return pyb_fail(err, PYB_E_UNSUPPORTED, "the layout %s has no interpreter frames", l->name);
    if (addr % l->ptr_size)
        return pyb_fail_at(err, PYB_E_CORRUPT, addr, size, "not the address of a frame");
    read_ahead(c, addr);
    const void *at;
    int code = pyb_view_bytes(c->py->target->mem, addr, data, size, &at, err);
    if (code)
        return code;
    struct pyb_bytes b = pyb_memory_bytes(c->py->target->mem, at, size);
    bool previous = l->instr_is_previous == 1;
    pyb_addr instr = get(&b, previous ? l->iframe_prev_instr : l->iframe_instr_ptr);
    uint64_t tlbc = get(&b, l->iframe_tlbc_index);
    *ret = (struct pyb_iframe){
        .previous = get(&b, l->iframe_previous),
        .owner = pyb_get_int(&b, (size_t)l->iframe_owner.offset, l->iframe_owner.width),
        .is_entry = get(&b, l->iframe_is_entry) != 0,
    };
    ret->shim = (l->owner_interpreter != PYB_ABSENT && ret->owner == l->owner_interpreter) ||
                (l->owner_cstack != PYB_ABSENT && ret->owner == l->owner_cstack);
    ret->link = (struct pyb_link){
        .addr = addr,
        .code = get(&b, l->iframe_executable) & ~(uint64_t)l->executable_tag_mask,
        .instr = (int64_t)instr,
        .tlbc_index = tlbc > INT32_MAX ? -1 : (int32_t)tlbc,
        .generator = ret->owner == l->owner_generator,
    };
    return 0;
}
