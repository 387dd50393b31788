// SPDX-License-Identifier: Apache-2.0
#include <elf.h>
#include <string.h>

#include "base/error.h"
#include "symbols/elf_internal.h"

#define MAX_SECTION_NAMES (UINT64_C(1) << 22)

static size_t header_size(const struct pyb_elf *e)
{
    return e->ptr_size == 8 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
}

static struct pyb_elf_raw_section decode(const struct pyb_elf *e, const uint8_t *data)
{
    struct pyb_bytes b = pyb_elf_bytes(e, data, header_size(e));
    struct pyb_elf_raw_section s = {.name = pyb_get_u32(&b, 0), .type = pyb_get_u32(&b, 4)};
    size_t w = e->ptr_size, at = 8;
    s.flags = pyb_get_uint(&b, at, w);
    s.addr = pyb_get_uint(&b, at + w, w);
    s.offset = pyb_get_uint(&b, at + 2 * w, w);
    s.size = pyb_get_uint(&b, at + 3 * w, w);
    s.link = pyb_get_u32(&b, at + 4 * w);
    s.entsize = pyb_get_uint(&b, at + 4 * w + 8 + w, w);
    return s;
}

// More than 65279 sections: the true counts are in section header 0.
static bool true_counts(struct pyb_elf *e)
{
    if (e->shnum != 0 && e->shstrndx != SHN_XINDEX)
        return true;
    uint8_t data[sizeof(Elf64_Shdr)];
    if (pyb_elf_pread(e, e->shoff, data, header_size(e)) != header_size(e))
        return false;
    struct pyb_elf_raw_section first = decode(e, data);
    if (e->shnum == 0)
        e->shnum = first.size > PYB_ELF_MAX_SECTIONS ? 0 : (uint32_t)first.size;
    if (e->shstrndx == SHN_XINDEX)
        e->shstrndx = first.link;
    return e->shnum != 0;
}

static void read_names(struct pyb_elf *e)
{
    if (e->shstrndx >= e->n_sections)
        return;
    const struct pyb_elf_raw_section *s = &e->sections[e->shstrndx];
    if (s->type != SHT_STRTAB || s->size == 0 || s->size > MAX_SECTION_NAMES)
        return;
    e->section_names = pyb_alloc(e->ctx, (size_t)s->size + 1);
    if (e->section_names)
        e->section_names_len = pyb_elf_pread(e, s->offset, e->section_names, (size_t)s->size);
}

static void read_sections(struct pyb_elf *e)
{
    if (e->shoff == 0 || !true_counts(e) || e->shnum > PYB_ELF_MAX_SECTIONS)
        return;
    size_t size = header_size(e), len = e->shnum * size;
    uint8_t *data = pyb_alloc(e->ctx, len);
    size_t n = data ? pyb_elf_pread(e, e->shoff, data, len) / size : 0; // a cut table: what is left of it
    e->sections = n ? pyb_alloc(e->ctx, n * sizeof(*e->sections)) : NULL;
    for (size_t i = 0; e->sections && i < n; i++)
        e->sections[i] = decode(e, data + i * size);
    e->n_sections = e->sections ? n : 0;
    pyb_free(e->ctx, data);
    read_names(e);
}

const struct pyb_elf_raw_section *pyb_elf_sections(struct pyb_elf *e, size_t *ret_n)
{
    if (!e->sections_tried) {
        unsigned quiet = e->quiet; // a recording needs them, whoever asks first
        e->quiet = 0;
        e->sections_tried = true;
        read_sections(e);
        e->quiet = quiet;
    }
    *ret_n = e->n_sections;
    return e->sections;
}

const struct pyb_elf_raw_section *pyb_elf_find_section(struct pyb_elf *e, const char *name)
{
    size_t n;
    const struct pyb_elf_raw_section *s = pyb_elf_sections(e, &n);
    for (size_t i = 1; i < n; i++) {
        // section_names has a NUL after its last byte
        if (s[i].name < e->section_names_len && strcmp(e->section_names + s[i].name, name) == 0)
            return &s[i];
    }
    return NULL;
}

int pyb_elf_section(struct pyb_elf *e, const char *name, struct pyb_elf_section *ret)
{
    const struct pyb_elf_raw_section *s = pyb_elf_find_section(e, name);
    if (!s)
        return PYB_E_NOTFOUND;
    *ret = (struct pyb_elf_section){s->addr, s->offset, s->size, s->type, s->flags};
    return 0;
}
