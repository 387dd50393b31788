// SPDX-License-Identifier: Apache-2.0
#include "symbols/module_dw.h"

#include "symbols/elf_internal.h"

#ifdef PYB_HAVE_LIBDW
#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "symbols/debug_file.h"

#define MAX_SECTION (UINT64_C(1) << 30)
#define MAX_LINES (UINT64_C(64) << 20) // a byte of .debug_line becomes some 50 in memory

struct pyb_dwarf {
    struct pyb_ctx *ctx;
    Dwarf *dwarf;
    Elf *elf;
    int fd;
};

void pyb_dwarf_free(struct pyb_dwarf *d)
{
    if (!d)
        return;
    if (d->dwarf)
        (void)dwarf_end(d->dwarf);
    if (d->elf)
        (void)elf_end(d->elf);
    if (d->fd >= 0)
        (void)close(d->fd);
    pyb_free(d->ctx, d);
}

// Its size in memory; UINT64_MAX: it makes no sense.
static uint64_t unpacked_size(struct pyb_elf *e, const struct pyb_elf_raw_section *s)
{
    uint8_t head[sizeof(Elf64_Chdr)];
    if (s->type == SHT_NOBITS)
        return 0;
    if (s->offset > e->file_size || s->size > e->file_size - s->offset)
        return UINT64_MAX;
    if (!(s->flags & SHF_COMPRESSED))
        return s->size;
    size_t want = e->ptr_size == 8 ? sizeof(Elf64_Chdr) : sizeof(Elf32_Chdr);
    if (s->size < want || pyb_elf_pread(e, s->offset, head, want) != want)
        return UINT64_MAX;
    struct pyb_bytes b = pyb_elf_bytes(e, head, want);
    return e->ptr_size == 8 ? pyb_get_u64(&b, 8) : pyb_get_u32(&b, 4);
}

// Every section: libelf looks at all headers. The old .zdebug_* are left out by not being looked for.
static bool is_sound(struct pyb_elf *e)
{
    size_t n;
    const struct pyb_elf_raw_section *s = pyb_elf_sections(e, &n);
    bool info = false;
    for (size_t i = 1; i < n; i++) {
        const char *name = s[i].name < e->section_names_len ? e->section_names + s[i].name : "";
        if (strncmp(name, ".zdebug", 7) == 0)
            return false;
        if (strncmp(name, ".debug_", 7) != 0)
            continue;
        uint64_t size = unpacked_size(e, &s[i]);
        if (size > (strncmp(name, ".debug_line", 11) == 0 ? MAX_LINES : MAX_SECTION))
            return false;
        info |= strcmp(name, ".debug_info") == 0 && size > 0;
    }
    return info;
}

static struct pyb_dwarf *open_dwarf(struct pyb_elf *e)
{
    struct pyb_dwarf *d = pyb_alloc(e->ctx, sizeof(*d));
    if (!d)
        return NULL;
    d->ctx = e->ctx;
    d->fd = fcntl(e->fd, F_DUPFD_CLOEXEC, 3);
    if (d->fd >= 0 && elf_version(EV_CURRENT) != EV_NONE)
        d->elf = elf_begin(d->fd, ELF_C_READ, NULL);
    if (d->elf)
        d->dwarf = dwarf_begin_elf(d->elf, DWARF_C_READ, NULL);
    if (d->dwarf)
        return d;
    pyb_dwarf_free(d);
    return NULL;
}

Dwarf *pyb_module_dwarf(struct pyb_target *t, struct pyb_module *mod)
{
    struct pyb_elf *e;
    if (pyb_module_elf(t, mod, &e, NULL) != 0 || e->source != PYB_ELF_FILE)
        return NULL;
    if (!e->dwarf_tried) {
        e->dwarf_tried = true;
        e->quiet++;
        struct pyb_elf *from = pyb_elf_find_section(e, ".debug_info") ? e : pyb_module_debug_file(t, mod);
        if (from && is_sound(from))
            e->dwarf = open_dwarf(from);
        e->quiet--;
    }
    return e->dwarf ? e->dwarf->dwarf : NULL;
}
#else
void pyb_dwarf_free(struct pyb_dwarf *d)
{
    (void)d; // never made
}
#endif
