// SPDX-License-Identifier: Apache-2.0
#include "symbols/elf_extents.h"

#include <elf.h>
#include <stdlib.h>
#include <zlib.h>

#include "symbols/cfi.h"

#define MAX_FRAME_BYTES (UINT64_C(256) << 20)
#define MAX_EXTENTS (1u << 22)

struct list { struct pyb_elf_extent *at; size_t n, cap; };

static bool add(struct pyb_elf *e, struct list *l, struct pyb_elf_extent x)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 1024;
        void *more = cap <= MAX_EXTENTS ? pyb_realloc(e->ctx, l->at, l->cap * sizeof(x),
                                                      cap * sizeof(x)) : NULL;
        if (!more)
            return false;
        l->at = more;
        l->cap = cap;
    }
    l->at[l->n++] = x;
    return true;
}

static void walk(struct pyb_elf *e, struct list *l, const uint8_t *data, size_t len, uint64_t vaddr, bool eh)
{
    size_t at = 0, cie_at = SIZE_MAX;
    struct pyb_cfi_cie cie = {0};
    bool cie_ok = false;
    while (at < len && pyb_ctx_check(e->ctx, NULL) == 0) {
        struct pyb_bytes b = pyb_elf_bytes(e, data, len);
        struct pyb_cfi_entry entry;
        if (!pyb_cfi_entry(&b, at, eh, &entry) || entry.size == 0 || entry.size > len - at)
            return; // the terminator, or the end of what makes sense
        if (!entry.is_cie) {
            uint64_t where = eh ? entry.id_at - entry.id : entry.id;
            if (where != cie_at) {
                struct pyb_bytes c = pyb_elf_bytes(e, data, len);
                cie_at = (size_t)where;
                cie_ok = where < len && pyb_cfi_cie(&c, cie_at, eh, &cie);
            }
            struct pyb_elf_extent x = {.at = eh ? vaddr + at : at, .debug = !eh};
            if (cie_ok && pyb_cfi_fde(&b, at, &entry, &cie, vaddr + at, &x.start, &x.end) &&
                x.end > x.start && x.start &&
                !add(e, l, x))
                return;
        }
        at += (size_t)entry.size;
    }
}

// The section's bytes, unpacked when it is SHF_COMPRESSED with zlib.
static uint8_t *section_bytes(struct pyb_elf *e, const struct pyb_elf_raw_section *s, size_t *ret_len)
{
    if (s->size == 0 || s->size > MAX_FRAME_BYTES || s->type == SHT_NOBITS || s->offset >= e->file_size ||
        s->size > e->file_size - s->offset)
        return NULL;
    uint8_t *data = pyb_alloc(e->ctx, (size_t)s->size);
    *ret_len = data ? pyb_elf_pread(e, s->offset, data, (size_t)s->size) : 0;
    if (!data || !(s->flags & SHF_COMPRESSED))
        return data;
    struct pyb_bytes b = pyb_elf_bytes(e, data, *ret_len);
    size_t head = e->ptr_size == 8 ? sizeof(Elf64_Chdr) : sizeof(Elf32_Chdr);
    uint32_t type = pyb_get_u32(&b, 0);
    uint64_t size = pyb_get_uint(&b, e->ptr_size == 8 ? 8 : 4, e->ptr_size);
    uint8_t *out = NULL;
    if (!b.bad && type == ELFCOMPRESS_ZLIB && *ret_len > head && size > 0 && size <= MAX_FRAME_BYTES)
        out = pyb_alloc(e->ctx, (size_t)size);
    uLongf out_len = (uLongf)size;
    if (out && uncompress(out, &out_len, data + head, *ret_len - head) != Z_OK) {
        pyb_free(e->ctx, out);
        out = NULL;
    }
    pyb_free(e->ctx, data);
    *ret_len = out ? out_len : 0;
    return out;
}

static void walk_section(struct pyb_elf *e, struct list *l, const char *name, bool eh)
{
    const struct pyb_elf_raw_section *s = pyb_elf_find_section(e, name);
    size_t len = 0;
    uint8_t *data = s ? section_bytes(e, s, &len) : NULL;
    size_t before = l->n;
    if (data)
        walk(e, l, data, len, s->addr, eh);
    if (!eh && l->n > before) {
        e->debug_frame = data;
        e->debug_frame_len = len;
    } else {
        pyb_free(e->ctx, data);
    }
}

static int compare(const void *left, const void *right)
{
    const struct pyb_elf_extent *a = left, *b = right;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    return a->end < b->end ? -1 : a->end > b->end;
}

void pyb_elf_collect_extents(struct pyb_elf *e, bool eh_frame_hdr_good)
{
    struct list l = {0};
    e->extents_tried = true;
    walk_section(e, &l, ".debug_frame", false);
    if (!eh_frame_hdr_good)
        walk_section(e, &l, ".eh_frame", true);
    if (l.n)
        qsort(l.at, l.n, sizeof(*l.at), compare);
    e->extents = l.at;
    e->n_extents = l.n;
}
