// SPDX-License-Identifier: Apache-2.0
/*
 * One name in a table without a hash (.symtab): first the strings are searched for it, then the symbols for
 * those string offsets. Two passes over bytes instead of a string comparison for each of 80 000 symbols.
 */
#include <elf.h>
#include <string.h>

#include "base/error.h"
#include "symbols/elf_internal.h"

#define CHUNK 65536u
#define MAX_OFFSETS 1024u

struct offsets { uint32_t at[MAX_OFFSETS]; size_t n; bool full; };

static void search_chunk(const char *data, size_t len, uint64_t base, const char *name, size_t size,
                         struct offsets *ret)
{
    const char *p = data, *end = data + len;
    while ((size_t)(end - p) >= size && (p = memmem(p, (size_t)(end - p), name, size)) != NULL) {
        uint64_t at = base + (uint64_t)(p - data);
        if (ret->n == MAX_OFFSETS || at > UINT32_MAX) {
            ret->full = true;
            return;
        }
        // A string may end another one ("init" in "interp_init"): only a symbol's st_name tells.
        ret->at[ret->n++] = (uint32_t)at;
        p++;
    }
}

static int find_offsets(const struct pyb_elf_table *t, const char *name, uint8_t *buf, struct offsets *ret)
{
    size_t size = strlen(name) + 1; // with the NUL
    uint64_t pos = 0;
    while (pos < t->strs_size) {
        size_t want = t->strs_size - pos < CHUNK ? (size_t)(t->strs_size - pos) : CHUNK;
        size_t got = pyb_elf_pread(t->e, t->strs + pos, buf, want);
        search_chunk((const char *)buf, got, pos, name, size, ret);
        if (got < want || got < size || pos + got >= t->strs_size)
            break;
        pos += got - (size - 1); // what straddles two chunks
        if (pyb_ctx_check(t->e->ctx, NULL) != 0)
            return PYB_E_ABORTED;
    }
    if (ret->full)
        return PYB_E_LIMIT;
    return ret->n ? 0 : PYB_E_NOTFOUND;
}

static bool has_offset(const struct offsets *o, uint32_t name)
{
    for (size_t i = 0; i < o->n && o->at[i] <= name; i++) { // ascending
        if (o->at[i] == name)
            return true;
    }
    return false;
}

static int bind_rank(const struct pyb_elf_raw_symbol *s)
{
    switch (s->info >> 4) {
    case STB_GLOBAL: return 3;
    case STB_WEAK: return 2;
    case STB_LOCAL: return 1;
    default: return 0;
    }
}

static int find_symbol(const struct pyb_elf_table *t, const struct offsets *o, uint8_t *buf,
                       struct pyb_elf_raw_symbol *ret)
{
    size_t size = pyb_elf_symbol_size(t->e), per = CHUNK / size;
    int best = -1;
    for (uint64_t i = 0; i < t->n;) {
        size_t n = t->n - i < per ? (size_t)(t->n - i) : per;
        size_t got = pyb_elf_pread(t->e, t->syms + i * size, buf, n * size) / size;
        for (size_t k = 0; k < got; k++) {
            struct pyb_elf_raw_symbol s = pyb_elf_decode_symbol(t->e, buf + k * size);
            if (!has_offset(o, s.name) || !pyb_elf_symbol_defined(&s) || bind_rank(&s) <= best)
                continue;
            best = bind_rank(&s);
            *ret = s;
        }
        if (got < n)
            break;
        i += got;
        if (pyb_ctx_check(t->e->ctx, NULL) != 0)
            return PYB_E_ABORTED;
    }
    return best >= 0 ? 0 : PYB_E_NOTFOUND;
}

int pyb_elf_scan_lookup(const struct pyb_elf_table *t, const char *name, struct pyb_elf_raw_symbol *ret)
{
    struct pyb_ctx *ctx = t->e->ctx;
    uint8_t *buf = pyb_alloc(ctx, CHUNK);
    struct offsets *o = pyb_alloc(ctx, sizeof(*o));
    int rc = PYB_E_NOMEM;
    if (buf && o && strlen(name) < CHUNK / 2) {
        rc = find_offsets(t, name, buf, o);
        if (rc == 0)
            rc = find_symbol(t, o, buf, ret);
    }
    pyb_free(ctx, o);
    pyb_free(ctx, buf);
    return rc;
}
