// SPDX-License-Identifier: Apache-2.0
#include <elf.h>

#include "symbols/elf_internal.h"

#define MAX_DYNAMIC 65536u // bytes

// In memory the dynamic linker (glibc's, not musl's) has replaced virtual addresses by run-time ones.
static uint64_t unbias(const struct pyb_elf *e, uint64_t value)
{
    uint64_t low, high;
    if (e->source != PYB_ELF_MEMORY || e->bias == 0 || !pyb_elf_extent(e, &low, &high))
        return value;
    uint64_t vaddr = value - e->bias;
    return vaddr >= low && vaddr < high ? vaddr : value;
}

static void take_entry(struct pyb_elf *e, int64_t tag, uint64_t value)
{
    struct pyb_elf_dynamic *d = &e->dynamic;
    switch (tag) {
    case DT_HASH: d->hash = unbias(e, value); break;
    case DT_GNU_HASH: d->gnu_hash = unbias(e, value); break;
    case DT_SYMTAB: d->symtab = unbias(e, value); break;
    case DT_STRTAB: d->strtab = unbias(e, value); break;
    case DT_STRSZ: d->strsz = value; break;
    case DT_DEBUG: d->debug = value; break;
    case DT_SONAME:
        d->soname = value;
        d->has_soname = true;
        break;
    default: break;
    }
}

static void read_dynamic(struct pyb_elf *e)
{
    size_t len = e->dynamic_span.size < MAX_DYNAMIC ? (size_t)e->dynamic_span.size : MAX_DYNAMIC, got = 0;
    uint8_t *data = len ? pyb_alloc(e->ctx, len) : NULL;
    if (data && pyb_elf_read(e, e->dynamic_span.vaddr, data, len, &got, NULL) == 0) {
        struct pyb_bytes b = pyb_elf_bytes(e, data, got);
        size_t width = e->ptr_size;
        for (size_t at = 0; at + 2 * width <= got; at += 2 * width) {
            int64_t tag = pyb_get_int(&b, at, width);
            if (tag == DT_NULL)
                break;
            take_entry(e, tag, pyb_get_uint(&b, at + width, width));
        }
    }
    pyb_free(e->ctx, data);
}

const struct pyb_elf_dynamic *pyb_elf_dynamic(struct pyb_elf *e)
{
    if (!e->dynamic_tried) {
        unsigned quiet = e->quiet; // a recording needs it, whoever asks first
        e->quiet = 0;
        e->dynamic_tried = true;
        read_dynamic(e);
        e->quiet = quiet;
    }
    return &e->dynamic;
}

const char *pyb_elf_soname(struct pyb_elf *e)
{
    if (e->soname_tried)
        return e->soname;
    e->soname_tried = true;
    const struct pyb_elf_dynamic *d = pyb_elf_dynamic(e);
    if (!d->has_soname || d->soname >= d->strsz || d->soname > UINT32_MAX)
        return NULL;
    struct pyb_elf_table t = {.e = e, .by_vaddr = true, .strs = d->strtab, .strs_size = d->strsz};
    e->soname = pyb_elf_table_name(e, PYB_TABLE_DYNSYM, &t, (uint32_t)d->soname);
    return e->soname;
}

pyb_addr pyb_elf_dt_debug(struct pyb_elf *e)
{
    return pyb_elf_dynamic(e)->debug;
}
