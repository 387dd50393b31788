// SPDX-License-Identifier: Apache-2.0
// Collecting links: growth, the limit on frames, cycles; decoding one interpreter frame, and reading ahead of
// it.
#include "interp/frame_chain.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

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

static bool is_plain(struct pyb_field f, uint32_t width)
{
    return !pyb_has_field(f) || f.width == width;
}

// All 64-bit targets of a host with the same byte order, in fact.
static bool plain_iframe(const struct pyb_python *py)
{
    const struct pyb_layout *l = &py->layout;
    return py->target->mem->big_endian == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) &&
           pyb_has_field(l->iframe_executable) && l->iframe_executable.width == 8 &&
           pyb_has_field(l->iframe_previous) && l->iframe_previous.width == 8 &&
           pyb_has_field(l->iframe_owner) && l->iframe_owner.width == 1 && is_plain(l->iframe_prev_instr, 8) && is_plain(l->iframe_instr_ptr, 8) &&
           is_plain(l->iframe_is_entry, 1) && is_plain(l->iframe_tlbc_index, 4);
}

void pyb_chain_init(struct pyb_chain *c, struct pyb_python *py, const struct pyb_tstate *t,
                    uint32_t max_frames, struct pyb_arena *arena)
{
    memset(c, 0, offsetof(struct pyb_chain, first));
    c->py = py;
    c->t = t;
    c->arena = arena;
    c->max_frames = max_frames;
    c->power = 1;
    c->links = c->first;
    c->cap = PYB_CHAIN_FIRST;
    if (py->layout.walker == PYB_WALKER_FRAMEOBJECT)
        return;
    c->extent = iframe_extent(&py->layout);
    c->plain = plain_iframe(py);
}

void pyb_chain_deinit(struct pyb_chain *c)
{
    if (c->links != c->first)
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

static bool grow(struct pyb_chain *c)
{
    struct pyb_ctx *ctx = c->py->target->ctx;
    size_t cap = c->cap * 2, old = c->cap * sizeof *c->links;
    void *links = c->links == c->first ? pyb_alloc(ctx, cap * sizeof *c->links)
                                       : pyb_realloc(ctx, c->links, old, cap * sizeof *c->links);
    if (!links)
        return false;
    if (c->links == c->first)
        memcpy(links, c->first, old);
    c->links = links;
    c->cap = cap;
    return true;
}

struct pyb_link *pyb_chain_next(struct pyb_chain *c, struct pyb_error *err)
{
    if (c->n < c->cap || grow(c))
        return &c->links[c->n];
    pyb_fail(err, PYB_E_NOMEM, "no memory for a stack of more than %zu frames", c->cap);
    return NULL;
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

int pyb_chain_frame(struct pyb_chain *c)
{
    if (ends_in_cycle(c, c->links[c->n].addr))
        return 0;
    if (c->n_frames >= c->max_frames) {
        pyb_chain_note(c, "more than %u frames", c->max_frames);
        return 0;
    }
    c->n++;
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
    struct pyb_link *link = pyb_chain_next(c, err);
    if (!link)
        return PYB_E_NOMEM;
    *link = (struct pyb_link){.addr = stack_addr};
    c->n++;
    return 0;
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

// A frame's members as they stand there.
struct members {
    uint64_t executable, previous, instr, tlbc;
    int64_t owner;
    bool is_entry;
};

static uint64_t get(struct pyb_bytes *b, struct pyb_field f)
{
    return pyb_has_field(f) ? pyb_get_uint(b, (size_t)f.offset, f.width) : 0;
}

static struct members decode(struct pyb_bytes b, const struct pyb_layout *l)
{
    return (struct members){
        .executable = get(&b, l->iframe_executable),
        .previous = get(&b, l->iframe_previous),
        .instr = get(&b, l->instr_is_previous == 1 ? l->iframe_prev_instr : l->iframe_instr_ptr),
        .tlbc = get(&b, l->iframe_tlbc_index),
        .owner = pyb_get_int(&b, (size_t)l->iframe_owner.offset, l->iframe_owner.width),
        .is_entry = get(&b, l->iframe_is_entry) != 0,
    };
}

static uint64_t word_at(const uint8_t *at, struct pyb_field f)
{
    uint64_t value;
    memcpy(&value, at + f.offset, sizeof value);
    return value;
}

// The same, quickly: the members lie within c->extent, which is made of them.
static struct members decode_plain(const uint8_t *at, const struct pyb_layout *l)
{
    struct pyb_field instr = l->instr_is_previous == 1 ? l->iframe_prev_instr : l->iframe_instr_ptr;
    uint32_t tlbc = 0;
    if (pyb_has_field(l->iframe_tlbc_index))
        memcpy(&tlbc, at + l->iframe_tlbc_index.offset, sizeof tlbc);
    return (struct members){
        .executable = word_at(at, l->iframe_executable),
        .previous = word_at(at, l->iframe_previous),
        .instr = pyb_has_field(instr) ? word_at(at, instr) : 0,
        .tlbc = tlbc,
        .owner = (int8_t)at[l->iframe_owner.offset],
        .is_entry = pyb_has_field(l->iframe_is_entry) && at[l->iframe_is_entry.offset] != 0,
    };
}

int pyb_iframe_read(struct pyb_chain *c, pyb_addr addr, struct pyb_iframe *ret, struct pyb_error *err)
{
    const struct pyb_layout *l = &c->py->layout;
    struct pyb_memory *mem = c->py->target->mem;
    uint8_t data[IFRAME_MAX];
    size_t size = c->extent;
    if (size == 0 || size > IFRAME_MAX || !pyb_has_field(l->iframe_executable) ||
        !pyb_has_field(l->iframe_owner))
        return pyb_fail(err, PYB_E_UNSUPPORTED, "the layout %s has no interpreter frames", l->name);
    if (addr & (l->ptr_size - 1u))
        return pyb_fail_at(err, PYB_E_CORRUPT, addr, size, "not the address of a frame");
    read_ahead(c, addr);
    const void *at;
    int code = pyb_window_bytes(mem, &c->frames, addr, data, size, &at, err);
    if (code)
        return code;
    struct members m = c->plain ? decode_plain(at, l) : decode(pyb_memory_bytes(mem, at, size), l);
    *ret = (struct pyb_iframe){
        .link = pyb_chain_next(c, err),
        .previous = m.previous,
        .owner = m.owner,
        .is_entry = m.is_entry,
        .shim = (l->owner_interpreter != PYB_ABSENT && m.owner == l->owner_interpreter) ||
                (l->owner_cstack != PYB_ABSENT && m.owner == l->owner_cstack),
    };
    if (!ret->link)
        return PYB_E_NOMEM;
    *ret->link = (struct pyb_link){
        .addr = addr,
        .code = m.executable & ~(uint64_t)l->executable_tag_mask,
        .instr = (int64_t)m.instr,
        .tlbc_index = m.tlbc > INT32_MAX ? -1 : (int32_t)m.tlbc,
        .generator = m.owner == l->owner_generator,
    };
    return 0;
}
