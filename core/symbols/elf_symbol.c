// SPDX-License-Identifier: Apache-2.0
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "symbols/elf_internal.h"

#define MAX_FUNCS (1u << 22)
#define MAX_NESTED 4096u // symbols looked at for one address

static int lookup(struct pyb_elf *e, const char *name, struct pyb_elf_raw_symbol *ret)
{
    int rc = pyb_elf_hash_lookup(e, name, ret);
    for (int which = PYB_TABLE_SYMTAB; rc != 0 && which <= PYB_TABLE_DEBUGDATA; which++) {
        struct pyb_elf_table t;
        if (!pyb_elf_table(e, which, &t))
            continue;
        int scanned = pyb_elf_scan_lookup(&t, name, ret);
        if (scanned != PYB_E_NOTFOUND)
            rc = scanned;
    }
    return rc;
}

int pyb_elf_symbol(struct pyb_elf *e, const char *name, struct pyb_elf_symbol *ret)
{
    const struct pyb_elf_answer *known = pyb_elf_recall(e, PYB_ANSWER_NAME, name, 0);
    if (!known) {
        struct pyb_elf_raw_symbol s = {0};
        e->quiet++;
        int rc = *name ? lookup(e, name, &s) : PYB_E_NOTFOUND;
        e->quiet--;
        *ret = (struct pyb_elf_symbol){s.value, s.size, s.info & 0xf, s.info >> 4};
        if (rc == 0 || rc == PYB_E_NOTFOUND) {
            struct pyb_elf_answer a = {.kind = PYB_ANSWER_NAME, .code = rc, .name = name, .start = ret->value,
                                       .end = ret->size, .type = ret->type, .bind = ret->bind};
            (void)pyb_elf_remember(e, &a);
        }
        return rc;
    }
    *ret = (struct pyb_elf_symbol){known->start, known->end, known->type, known->bind};
    return known->code;
}

static uint8_t rank_of(uint8_t info)
{
    switch (info >> 4) {
    case STB_GLOBAL: return 3;
    case STB_WEAK: return 2;
    case STB_LOCAL: return 1;
    default: return 0;
    }
}

struct index { struct pyb_elf_func *at; size_t n, cap; };

static bool index_add(struct pyb_elf *e, struct index *x, const struct pyb_elf_raw_symbol *s, int which)
{
    if (x->n == x->cap) {
        size_t cap = x->cap ? x->cap * 2 : 1024;
        void *more = cap <= MAX_FUNCS ? pyb_realloc(e->ctx, x->at, x->cap * sizeof(*x->at),
                                                    cap * sizeof(*x->at)) : NULL;
        if (!more)
            return false;
        x->at = more;
        x->cap = cap;
    }
    x->at[x->n++] = (struct pyb_elf_func){s->value, s->size, s->name, rank_of(s->info), (uint8_t)which};
    return true;
}

static bool index_table(struct pyb_elf *e, struct index *x, int which, const struct pyb_elf_table *t)
{
    size_t size = pyb_elf_symbol_size(t->e), per = 2048;
    uint64_t n = which == PYB_TABLE_DYNSYM ? pyb_elf_dynsym_count(t->e) : t->n;
    uint8_t *buf = pyb_alloc(e->ctx, per * size);
    bool ok = buf != NULL;
    for (uint64_t i = 1; ok && i < n;) {
        size_t count = n - i < per ? (size_t)(n - i) : per, got = 0;
        if (t->by_vaddr)
            (void)pyb_elf_read(t->e, t->syms + i * size, buf, count * size, &got, NULL);
        else
            got = pyb_elf_pread(t->e, t->syms + i * size, buf, count * size);
        for (size_t k = 0; ok && k < got / size; k++) {
            struct pyb_elf_raw_symbol s = pyb_elf_decode_symbol(t->e, buf + k * size);
            uint8_t type = s.info & 0xf;
            if ((type == STT_FUNC || type == STT_GNU_IFUNC) && pyb_elf_symbol_defined(&s))
                ok = index_add(e, x, &s, which);
        }
        if (got / size < count)
            break;
        i += count;
        ok = ok && pyb_ctx_check(e->ctx, NULL) == 0;
    }
    pyb_free(e->ctx, buf);
    return ok;
}

// By start; of equals the preferred one last: the shorter (but not the one without a size), then global,
// weak, local.
static int compare_funcs(const void *left, const void *right)
{
    const struct pyb_elf_func *a = left, *b = right;
    if (a->value != b->value)
        return a->value < b->value ? -1 : 1;
    uint64_t size_a = a->size ? a->size : UINT64_MAX, size_b = b->size ? b->size : UINT64_MAX;
    if (size_a != size_b)
        return size_a > size_b ? -1 : 1;
    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    return a->name < b->name ? 1 : a->name > b->name ? -1 : 0;
}

// Symbol tables are spread evenly over the code, in no order: as many buckets by address as there are symbols leave a handful to sort in each. One
// qsort took 18 % of the CPU time of a whole `pybraid dump` of python3.11, this takes 4 %. False: no memory.
static bool sort_funcs(struct pyb_elf *e, struct index *x)
{
    uint64_t low = UINT64_MAX, high = 0;
    for (size_t i = 0; i < x->n; i++) {
        low = x->at[i].value < low ? x->at[i].value : low;
        high = x->at[i].value > high ? x->at[i].value : high;
    }
    unsigned shift = 0;
    while ((high - low) >> shift >= x->n)
        shift++;
    size_t n_buckets = (size_t)((high - low) >> shift) + 1;
    uint32_t *ends = pyb_alloc(e->ctx, (n_buckets + 1) * sizeof(*ends)); // where a bucket begins, then (filled) where it ends
    struct pyb_elf_func *sorted = pyb_alloc(e->ctx, x->n * sizeof(*sorted));
    bool ok = ends && sorted;
    if (ok) {
        for (size_t i = 0; i < x->n; i++)
            ends[((x->at[i].value - low) >> shift) + 1]++;
        for (size_t b = 1; b <= n_buckets; b++)
            ends[b] += ends[b - 1];
        for (size_t i = 0; i < x->n; i++)
            sorted[ends[(x->at[i].value - low) >> shift]++] = x->at[i];
        for (size_t b = 0, begin = 0; b < n_buckets; begin = ends[b++]) {
            if (ends[b] - begin > 1)
                qsort(sorted + begin, ends[b] - begin, sizeof(*sorted), compare_funcs);
        }
        pyb_free(e->ctx, x->at);
        x->at = sorted;
        sorted = NULL;
    }
    pyb_free(e->ctx, ends);
    pyb_free(e->ctx, sorted);
    return ok;
}

static uint64_t end_of(const struct pyb_elf_func *f)
{
    uint64_t end;
    return __builtin_add_overflow(f->value, f->size ? f->size : 1, &end) ? UINT64_MAX : end;
}

// .symtab holds what .dynsym does, in a separate debug file too; without one, .dynsym and .gnu_debugdata complete each other. On failure:
// no index, no names.
static void build_index(struct pyb_elf *e)
{
    struct index x = {0};
    struct pyb_elf_table t;
    bool ok = true;
    e->index_tried = true;
    if (pyb_elf_table(e, PYB_TABLE_SYMTAB, &t) && t.n > 1) {
        ok = index_table(e, &x, PYB_TABLE_SYMTAB, &t);
    } else if (pyb_elf_table(e, PYB_TABLE_SEPARATE, &t) && t.n > 1) {
        ok = index_table(e, &x, PYB_TABLE_SEPARATE, &t);
    } else {
        if (pyb_elf_table(e, PYB_TABLE_DYNSYM, &t))
            ok = index_table(e, &x, PYB_TABLE_DYNSYM, &t);
        if (ok && pyb_elf_table(e, PYB_TABLE_DEBUGDATA, &t))
            ok = index_table(e, &x, PYB_TABLE_DEBUGDATA, &t);
    }
    uint64_t *ends = ok && x.n ? pyb_alloc(e->ctx, x.n * sizeof(*ends)) : NULL;
    if (!ends || !sort_funcs(e, &x)) {
        pyb_free(e->ctx, ends);
        pyb_free(e->ctx, x.at);
        return;
    }
    for (size_t i = 0; i < x.n; i++) {
        ends[i] = end_of(&x.at[i]);
        if (i && ends[i - 1] > ends[i])
            ends[i] = ends[i - 1];
    }
    e->funcs = x.at;
    e->n_funcs = x.n;
    e->func_ends = ends;
}

static const struct pyb_elf_func *find_func(const struct pyb_elf *e, uint64_t vaddr)
{
    size_t low = 0, high = e->n_funcs; // first that starts above vaddr
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (e->funcs[mid].value <= vaddr)
            low = mid + 1;
        else
            high = mid;
    }
    for (size_t i = low, steps = 0; i-- > 0 && e->func_ends[i] > vaddr && steps < MAX_NESTED; steps++) {
        if (end_of(&e->funcs[i]) > vaddr)
            return &e->funcs[i];
    }
    return NULL;
}

const char *pyb_elf_symbol_covering(struct pyb_elf *e, uint64_t vaddr, uint64_t *ret_start)
{
    const struct pyb_elf_answer *known = pyb_elf_recall(e, PYB_ANSWER_COVER, NULL, vaddr);
    if (known) {
        *ret_start = known->start;
        return known->name;
    }
    *ret_start = 0;
    if (e->source == PYB_ELF_PAGES)
        return NULL; // a recording answers what was asked when it was made
    e->quiet++;
    if (!e->index_tried)
        build_index(e);
    const struct pyb_elf_func *f = find_func(e, vaddr);
    struct pyb_elf_table t;
    const char *name = NULL;
    if (f && pyb_elf_table(e, f->table, &t))
        name = pyb_elf_table_name(e, f->table, &t, f->name);
    e->quiet--;
    if (name)
        *ret_start = f->value;
    struct pyb_elf_answer a = {.kind = PYB_ANSWER_COVER, .vaddr = vaddr, .name = name, .start = *ret_start};
    (void)pyb_elf_remember(e, &a);
    return name;
}
