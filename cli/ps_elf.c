// SPDX-License-Identifier: Apache-2.0
#include "ps_elf.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORTED "PyInterpreterState_Head" // by every CPython from 2.2 on
#define SECTION ".PyRuntime"
#define MAX_SECTIONS 4096u
#define MAX_SEGMENTS 128u
#define MAX_DYNAMIC 512u
#define MAX_CHAIN 4096u
#define MAX_NAMES (1u << 20)

// One layout for both word sizes: what is read from the file is widened at once.
struct image {
    int fd;
    bool wide; // 64-bit
    struct { uint64_t offset, vaddr, filesz; } loads[MAX_SEGMENTS];
    size_t n_loads;
    uint64_t dynamic, dynamic_size;
};
struct tables {
    uint64_t gnu_hash, hash, symtab, strtab; // addresses, 0: none
};

static bool read_at(const struct image *m, uint64_t offset, void *buf, size_t size)
{
    return offset < INT64_MAX - size && pread(m->fd, buf, size, (off_t)offset) == (ssize_t)size;
}

static uint64_t word_at(const struct image *m, const uint8_t *p)
{
    uint64_t w = 0;
    memcpy(&w, p, m->wide ? 8 : 4); // little-endian hosts and files only: checked by open_image()
    return w;
}

static bool read_u32(const struct image *m, uint64_t offset, uint32_t *ret)
{
    return read_at(m, offset, ret, sizeof(*ret));
}

// File offset of an address, or 0: not in the file.
static uint64_t offset_of(const struct image *m, uint64_t vaddr)
{
    for (size_t i = 0; i < m->n_loads; i++) {
        if (vaddr >= m->loads[i].vaddr && vaddr - m->loads[i].vaddr < m->loads[i].filesz)
            return m->loads[i].offset + (vaddr - m->loads[i].vaddr);
    }
    return 0;
}

static void add_segment(struct image *m, const uint8_t *p)
{
    Elf64_Phdr h = {0};
    if (m->wide) {
        memcpy(&h, p, sizeof(h));
    } else {
        Elf32_Phdr small;
        memcpy(&small, p, sizeof(small));
        h = (Elf64_Phdr){.p_type = small.p_type, .p_offset = small.p_offset, .p_vaddr = small.p_vaddr, .p_filesz = small.p_filesz};
    }
    if (h.p_type == PT_LOAD) {
        m->loads[m->n_loads].offset = h.p_offset;
        m->loads[m->n_loads].vaddr = h.p_vaddr;
        m->loads[m->n_loads++].filesz = h.p_filesz;
    } else if (h.p_type == PT_DYNAMIC) {
        m->dynamic = h.p_offset;
        m->dynamic_size = h.p_filesz;
    }
}

// The header, widened. False: no ELF file of this byte order.
static bool read_header(struct image *m, Elf64_Ehdr *ret)
{
    uint8_t raw[sizeof(Elf64_Ehdr)] = {0};
    const uint16_t one = 1;
    if (pread(m->fd, raw, sizeof(raw), 0) < (ssize_t)sizeof(Elf32_Ehdr) || memcmp(raw, ELFMAG, SELFMAG) != 0 ||
        raw[EI_DATA] != (*(const uint8_t *)&one ? ELFDATA2LSB : ELFDATA2MSB) || raw[EI_DATA] != ELFDATA2LSB)
        return false;
    m->wide = raw[EI_CLASS] == ELFCLASS64;
    if (m->wide) {
        memcpy(ret, raw, sizeof(*ret));
        return true;
    }
    Elf32_Ehdr small;
    memcpy(&small, raw, sizeof(small));
    *ret = (Elf64_Ehdr){.e_phoff = small.e_phoff, .e_phnum = small.e_phnum, .e_phentsize = small.e_phentsize, .e_shoff = small.e_shoff,
                        .e_shnum = small.e_shnum, .e_shentsize = small.e_shentsize, .e_shstrndx = small.e_shstrndx};
    return true;
}

static bool read_segments(struct image *m, const Elf64_Ehdr *h)
{
    uint8_t raw[MAX_SEGMENTS * sizeof(Elf64_Phdr)];
    size_t size = m->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    if (h->e_phnum > MAX_SEGMENTS || h->e_phentsize != size || !read_at(m, h->e_phoff, raw, h->e_phnum * size))
        return false;
    for (size_t i = 0; i < h->e_phnum; i++)
        add_segment(m, raw + i * size);
    return true;
}

static bool read_dynamic(const struct image *m, struct tables *ret)
{
    uint8_t raw[MAX_DYNAMIC * 16];
    size_t word = m->wide ? 8 : 4, n = (size_t)(m->dynamic_size < MAX_DYNAMIC * 2 * word ? m->dynamic_size : MAX_DYNAMIC * 2 * word) / (2 * word);
    *ret = (struct tables){0};
    if (n == 0 || !read_at(m, m->dynamic, raw, n * 2 * word))
        return false;
    for (size_t i = 0; i < n; i++) {
        uint64_t tag = word_at(m, raw + 2 * i * word), value = word_at(m, raw + (2 * i + 1) * word);
        if (tag == DT_NULL)
            break;
        uint64_t *slot = tag == DT_GNU_HASH ? &ret->gnu_hash : tag == DT_HASH ? &ret->hash : tag == DT_SYMTAB ? &ret->symtab
                       : tag == DT_STRTAB ? &ret->strtab : NULL;
        if (slot)
            *slot = value;
    }
    return ret->symtab && ret->strtab;
}

// The symbol of that number is ours, and defined here: extension modules ask for it, too.
static bool is_wanted(const struct image *m, const struct tables *t, uint32_t number)
{
    uint8_t raw[sizeof(Elf64_Sym)];
    char name[sizeof(EXPORTED)];
    size_t size = m->wide ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
    uint64_t at = offset_of(m, t->symtab);
    if (!at || !read_at(m, at + (uint64_t)number * size, raw, size))
        return false;
    uint32_t name_at;
    uint16_t section;
    memcpy(&name_at, raw, sizeof(name_at));
    memcpy(&section, raw + (m->wide ? offsetof(Elf64_Sym, st_shndx) : offsetof(Elf32_Sym, st_shndx)), sizeof(section));
    at = offset_of(m, t->strtab);
    return section != SHN_UNDEF && at && read_at(m, at + name_at, name, sizeof(name)) && memcmp(name, EXPORTED, sizeof(name)) == 0;
}

static bool in_gnu_hash(const struct image *m, const struct tables *t)
{
    uint32_t head[4], hash = 5381, number, entry; // buckets, first symbol, words of the filter, shift
    for (const char *p = EXPORTED; *p; p++)
        hash = hash * 33 + (uint8_t)*p;
    uint64_t at = offset_of(m, t->gnu_hash);
    if (!at || !read_at(m, at, head, sizeof(head)) || head[0] == 0)
        return false;
    uint64_t buckets = at + sizeof(head) + (uint64_t)head[2] * (m->wide ? 8 : 4), chains = buckets + (uint64_t)head[0] * 4;
    if (!read_u32(m, buckets + (uint64_t)(hash % head[0]) * 4, &number) || number < head[1])
        return false;
    for (uint32_t i = 0; i < MAX_CHAIN; i++, number++) {
        if (!read_u32(m, chains + (uint64_t)(number - head[1]) * 4, &entry))
            return false;
        if ((entry | 1) == (hash | 1) && is_wanted(m, t, number))
            return true;
        if (entry & 1)
            return false;
    }
    return false;
}

static bool in_hash(const struct image *m, const struct tables *t)
{
    uint32_t head[2], hash = 0, number;
    for (const char *p = EXPORTED; *p; p++) {
        hash = (hash << 4) + (uint8_t)*p;
        hash ^= (hash & 0xf0000000u) >> 24;
        hash &= 0x0fffffffu;
    }
    uint64_t at = offset_of(m, t->hash);
    if (!at || !read_at(m, at, head, sizeof(head)) || head[0] == 0 || !read_u32(m, at + 8 + (uint64_t)(hash % head[0]) * 4, &number))
        return false;
    for (uint32_t i = 0; i < MAX_CHAIN && number != 0; i++) {
        if (is_wanted(m, t, number))
            return true;
        if (!read_u32(m, at + 8 + ((uint64_t)head[0] + number) * 4, &number))
            return false;
    }
    return false;
}

static bool has_export(struct image *m)
{
    struct tables t;
    if (!m->dynamic || !read_dynamic(m, &t))
        return false;
    return t.gnu_hash ? in_gnu_hash(m, &t) : t.hash ? in_hash(m, &t) : false;
}

static void section_fields(const struct image *m, const uint8_t *p, uint32_t *ret_name, uint64_t *ret_offset, uint64_t *ret_size)
{
    Elf64_Shdr h;
    Elf32_Shdr small;
    if (m->wide) {
        memcpy(&h, p, sizeof(h));
        *ret_name = h.sh_name, *ret_offset = h.sh_offset, *ret_size = h.sh_size;
    } else {
        memcpy(&small, p, sizeof(small));
        *ret_name = small.sh_name, *ret_offset = small.sh_offset, *ret_size = small.sh_size;
    }
}

static bool names_runtime(const struct image *m, const uint8_t *headers, size_t n, size_t size, size_t strings)
{
    uint32_t name;
    uint64_t offset, length;
    section_fields(m, headers + strings * size, &name, &offset, &length);
    if (length == 0 || length > MAX_NAMES)
        return false;
    char *text = malloc(length + 1);
    bool found = false;
    if (text && read_at(m, offset, text, length)) {
        text[length] = '\0';
        uint64_t unused;
        for (size_t i = 0; i < n && !found; i++) {
            section_fields(m, headers + i * size, &name, &unused, &unused);
            found = name < length && strcmp(text + name, SECTION) == 0;
        }
    }
    free(text);
    return found;
}

static bool has_section(const struct image *m, const Elf64_Ehdr *h)
{
    size_t size = m->wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
    if (h->e_shnum == 0 || h->e_shnum > MAX_SECTIONS || h->e_shentsize != size || h->e_shstrndx >= h->e_shnum)
        return false;
    uint8_t *headers = malloc(h->e_shnum * size);
    bool found = headers && read_at(m, h->e_shoff, headers, h->e_shnum * size) && names_runtime(m, headers, h->e_shnum, size, h->e_shstrndx);
    free(headers);
    return found;
}

bool elf_is_interpreter(int fd)
{
    struct image m = {.fd = fd};
    Elf64_Ehdr h;
    if (!read_header(&m, &h))
        return false;
    return (read_segments(&m, &h) && has_export(&m)) || has_section(&m, &h);
}
