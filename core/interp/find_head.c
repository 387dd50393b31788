// SPDX-License-Identifier: Apache-2.0
// Without any symbol: a variable in .data or .bss of the interpreter's module that points at an interpreter state whose thread
// states point back. Two vectored reads judge some hundreds of pointers, so the scan costs few system calls.
#include "interp/find.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "interp/fields.h"
#include "interp/scan.h"

#define BATCH 256
#define MAX_SPANS 16
#define MAX_POINTERS (1u << 18) // distinct ones judged in one module
#define MAX_HEADS 64

struct slot {
    pyb_addr at, interp, tstate;
};
struct scan {
    struct pyb_finder *f;
    const struct pyb_layout *layout;
    struct slot batch[BATCH];
    size_t n;
    struct slot heads[MAX_HEADS]; // variables that passed
    size_t n_heads;
    uint32_t judged;
    int rc;
    struct pyb_error *err;
};

// The same member of many structs by one read.
static int read_members(struct scan *s, struct pyb_field field, const pyb_addr *bases, uint64_t *ret, size_t n)
{
    struct pyb_memory *m = s->f->t->mem;
    struct pyb_range ranges[BATCH];
    uint8_t raw[BATCH][8];
    size_t width = m->ptr_size == 4 ? 4 : 8;
    for (size_t i = 0; i < n; i++)
        ranges[i] = (struct pyb_range){.addr = pyb_field_at(bases[i], field), .buf = raw[i], .len = width};
    int rc = pyb_memory_readv(m, ranges, n, s->err);
    for (size_t i = 0; i < n && rc == 0; i++) {
        struct pyb_bytes b = pyb_memory_bytes(m, raw[i], width);
        ret[i] = ranges[i].done == width ? pyb_get_ptr(&b, 0) : 0;
    }
    return rc;
}

// Keeps the slots whose interpreter has a first thread state that points back at it.
static void judge(struct scan *s)
{
    pyb_addr bases[BATCH];
    uint64_t first[BATCH], back[BATCH];
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        bases[i] = s->batch[i].interp;
    if (s->n)
        s->rc = read_members(s, s->layout->interp_tstate_head, bases, first, s->n);
    for (size_t i = 0; i < s->n && s->rc == 0; i++) {
        if (first[i] < 4096 || first[i] % s->f->t->mem->ptr_size || first[i] == s->batch[i].interp)
            continue;
        s->batch[n] = s->batch[i];
        bases[n] = first[i];
        s->batch[n++].tstate = first[i];
    }
    if (n && s->rc == 0)
        s->rc = read_members(s, s->layout->tstate_interp, bases, back, n);
    for (size_t i = 0; i < n && s->rc == 0; i++) {
        if (back[i] == s->batch[i].interp && s->n_heads < MAX_HEADS)
            s->heads[s->n_heads++] = s->batch[i];
    }
    s->n = 0;
}

// An interpreter is on the heap or (3.12+: the main one) in the module: writable memory.
static bool may_be_interp(struct pyb_target *t, pyb_addr value)
{
    if (value < 4096 || value % t->mem->ptr_size)
        return false;
    size_t n_maps;
    (void)pyb_modules_mappings(t->modules, &n_maps);
    if (n_maps == 0)
        return true; // a front end without maps
    const struct pyb_mapping *map = pyb_modules_mapping(t->modules, value);
    return map && map->w;
}

static bool head_block(void *ctx, pyb_addr addr, const uint8_t *data, size_t len)
{
    struct scan *s = ctx;
    struct pyb_bytes b = pyb_memory_bytes(s->f->t->mem, data, len);
    size_t step = b.ptr_size;
    for (size_t i = (size_t)(-addr % step); i + step <= len && s->rc == 0; i += step) {
        pyb_addr value = pyb_get_ptr(&b, i);
        if (value == 0 || !may_be_interp(s->f->t, value))
            continue;
        if (s->judged++ >= MAX_POINTERS)
            return true;
        s->batch[s->n++] = (struct slot){.at = addr + i, .interp = value};
        if (s->n == BATCH)
            judge(s);
    }
    return s->rc != 0 || s->n_heads == MAX_HEADS;
}

// 3.7+: the variable is _PyRuntime.interpreters.head only if .main, at its distance, is an interpreter of that list too.
static pyb_addr runtime_of(const struct scan *s, const struct slot *slot)
{
    const struct pyb_layout *l = s->layout;
    if (!pyb_has_field(l->runtime_interpreters_head) || slot->at < (pyb_addr)l->runtime_interpreters_head.offset)
        return 0;
    pyb_addr runtime = slot->at - (pyb_addr)l->runtime_interpreters_head.offset, at = slot->interp;
    struct pyb_want main = {.base = runtime, .field = l->runtime_interpreters_main};
    if (pyb_wants_read(s->f->t->mem, &main, 1, NULL) || !main.ok || main.value == 0)
        return 0;
    // A gil that is neither taken nor free is none: tells .head from .main and from the interpreter that PyGILState uses.
    struct pyb_want locked = {.base = runtime, .field = l->runtime_gil_locked};
    if (pyb_wants_read(s->f->t->mem, &locked, 1, NULL))
        return 0;
    if (locked.ok && locked.value > 1 && (uint32_t)locked.value != UINT32_MAX)
        return 0;
    for (int i = 0; i < 4096 && at; i++) {
        if (at == main.value)
            return runtime;
        struct pyb_want next = {.base = at, .field = l->interp_next};
        if (pyb_wants_read(s->f->t->mem, &next, 1, NULL) || !next.ok)
            return 0;
        at = next.value;
    }
    return 0;
}

static void add_other_heads(struct scan *s, pyb_addr chosen)
{
    struct pyb_python *py = s->f->py;
    for (size_t i = 0; i < s->n_heads; i++) {
        if (s->heads[i].at != chosen && py->n_other_heads < sizeof(py->other_heads) / sizeof(*py->other_heads))
            py->other_heads[py->n_other_heads++] = s->heads[i].at;
    }
}

static int try_heads(struct scan *s, struct pyb_module *mod)
{
    bool has_runtime = pyb_has_field(s->layout->runtime_interpreters_head);
    for (size_t i = 0; i < s->n_heads && !s->f->has_threads; i++) {
        struct pyb_candidate c = {.module = mod, .how = "scan of .data and .bss for an interpreter state"};
        if (has_runtime)
            c.runtime = runtime_of(s, &s->heads[i]);
        else
            c.head_at = s->heads[i].at;
        if (c.runtime == 0 && c.head_at == 0)
            continue;
        int rc = pyb_find_try(s->f, &c, s->err);
        if (rc)
            return rc;
        if (s->f->has_threads && !has_runtime)
            add_other_heads(s, c.head_at);
    }
    return 0;
}

static int scan_layout(struct scan *s, struct pyb_module *mod)
{
    struct pyb_span spans[MAX_SPANS];
    size_t n = pyb_scan_writable(s->f->t, mod, spans, MAX_SPANS);
    for (size_t i = 0; i < n && s->rc == 0; i++) {
        int rc = pyb_scan_memory(s->f->t, spans[i], 7, head_block, s, NULL, s->err);
        if (rc)
            return rc;
    }
    if (s->rc == 0)
        judge(s);
    return s->rc ? s->rc : try_heads(s, mod);
}

// A host program that has CPython inside exports its API for extension modules; a plugin links it in.
static bool may_hold_python(struct pyb_target *t, struct pyb_module *mod)
{
    struct pyb_elf *elf;
    struct pyb_elf_symbol symbol;
    if (pyb_find_is_likely(t, mod))
        return true;
    return pyb_module_elf(t, mod, &elf, NULL) == 0 && pyb_elf_symbol(elf, "Py_GetVersion", &symbol) == 0;
}

static int scan_module(struct pyb_finder *f, struct pyb_module *mod, struct pyb_error *err)
{
    enum { MAX_CHOICES = 4 };
    struct pyb_version v;
    struct pyb_version_evidence ev;
    const char *note;
    if (!may_hold_python(f->t, mod))
        return 0;
    int rc = pyb_version_find(f->t, mod, 0, &v, &ev, &note, err);
    if (rc)
        return pyb_is_final(rc) ? rc : 0;
    struct pyb_layout_choice *choices = pyb_alloc(f->t->ctx, MAX_CHOICES * sizeof(*choices));
    struct scan *s = pyb_alloc(f->t->ctx, sizeof(*s));
    if (!choices || !s)
        rc = pyb_fail(err, PYB_E_NOMEM, "no memory to scan for an interpreter");
    size_t n = rc ? 0 : pyb_find_layouts(f->t, &v, 0, choices, MAX_CHOICES, NULL);
    for (size_t i = 0; i < n && rc == 0 && !f->has_threads; i++) {
        *s = (struct scan){.f = f, .layout = &choices[i].layout, .err = err};
        rc = scan_layout(s, mod);
    }
    pyb_free(f->t->ctx, s);
    pyb_free(f->t->ctx, choices);
    return rc;
}

int pyb_find_by_head(struct pyb_finder *f, bool likely, struct pyb_error *err)
{
    return pyb_find_each(f, likely, scan_module, err);
}
