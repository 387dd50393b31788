// SPDX-License-Identifier: Apache-2.0
/** Core files written field by field, in any class and byte order. The reader under test shares no code with
 * this. */
#ifndef PYB_TESTS_MADE_CORE_H
#define PYB_TESTS_MADE_CORE_H
#include <elf.h>

#include "unit.h"

struct made {
    bool is64, big;
    uint16_t machine;
    uint8_t *data;
    size_t len, cap;
};

static inline void made_put(struct made *c, size_t at, uint64_t value, size_t width)
{
    if (at + width > c->cap) {
        size_t cap = (at + width) * 2;
        c->data = realloc(c->data, cap);
        assert_non_null(c->data);
        memset(c->data + c->cap, 0, cap - c->cap);
        c->cap = cap;
    }
    for (size_t i = 0; i < width; i++)
        c->data[at + (c->big ? width - 1 - i : i)] = (uint8_t)(value >> 8 * i);
    if (at + width > c->len)
        c->len = at + width;
}
static inline void made_word(struct made *c, size_t at, uint64_t value)
{
    made_put(c, at, value, c->is64 ? 8 : 4);
}
static inline void made_bytes(struct made *c, size_t at, const void *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        made_put(c, at + i, ((const uint8_t *)data)[i], 1);
}

static inline size_t made_phentsize(const struct made *c)
{
    return c->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
}
static inline size_t made_phoff(const struct made *c)
{
    return c->is64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
}

static inline void made_header(struct made *c, uint16_t type, size_t phnum)
{
    const uint8_t ident[16] = {0x7f, 'E', 'L', 'F', c->is64 ? 2 : 1, c->big ? 2 : 1, 1};
    made_bytes(c, 0, ident, sizeof(ident));
    made_put(c, 16, type, 2);
    made_put(c, 18, c->machine, 2);
    made_put(c, 20, 1, 4);
    made_word(c, c->is64 ? 32 : 28, made_phoff(c));
    made_put(c, c->is64 ? 54 : 42, made_phentsize(c), 2);
    made_put(c, c->is64 ? 56 : 44, phnum, 2);
    if (c->len < made_phoff(c))
        made_put(c, made_phoff(c) - 1, 0, 1);
}

static inline void made_phdr(struct made *c, size_t i, uint32_t type, uint64_t offset, uint64_t vaddr,
                             uint64_t filesz, uint64_t memsz)
{
    size_t at = made_phoff(c) + i * made_phentsize(c);
    made_put(c, at, type, 4);
    if (c->is64) {
        made_put(c, at + 4, 6, 4);
        made_put(c, at + 8, offset, 8);
        made_put(c, at + 16, vaddr, 8);
        made_put(c, at + 32, filesz, 8);
        made_put(c, at + 40, memsz, 8);
        made_put(c, at + 48, 4096, 8);
    } else {
        made_put(c, at + 4, offset, 4);
        made_put(c, at + 8, vaddr, 4);
        made_put(c, at + 16, filesz, 4);
        made_put(c, at + 20, memsz, 4);
        made_put(c, at + 24, 6, 4);
        made_put(c, at + 28, 4096, 4);
    }
}

/** Header of a note at the end; returns where its content begins. The caller fills desc_len bytes there. */
static inline size_t made_note(struct made *c, const char *name, uint32_t type, size_t desc_len)
{
    size_t at = (c->len + 3) & ~(size_t)3;
    size_t name_len = strlen(name) + 1, desc = at + 12 + ((name_len + 3) & ~(size_t)3);
    made_put(c, at, name_len, 4);
    made_put(c, at + 4, desc_len, 4);
    made_put(c, at + 8, type, 4);
    made_bytes(c, at + 12, name, name_len);
    made_put(c, desc + ((desc_len + 3) & ~(size_t)3) - 1, 0, 1);
    return desc;
}

struct made_arch {
    const char *name;
    bool is64, big;
    uint16_t machine;
    size_t word, n, pc, sp;
    int tp; // index, -1: none among the registers
};
static const struct made_arch made_archs[] = {
    {"x86_64", true, false, EM_X86_64, 8, 27, 16, 19, 21},
    {"i386", false, false, EM_386, 4, 17, 12, 15, -1},
    {"aarch64", true, false, EM_AARCH64, 8, 34, 32, 31, -1},
    {"arm", false, false, EM_ARM, 4, 18, 15, 13, -1},
    {"ppc", false, true, EM_PPC, 4, 48, 32, 1, 2},
    {"s390x", true, true, EM_S390, 8, 27, 1, 17, -1},
};
#define MADE_ARCHS (sizeof(made_archs) / sizeof(made_archs[0]))
#define MADE_BASE 0x40000000u

static inline void made_thread(struct made *c, const struct made_arch *a, int tid, int sig, uint64_t pc,
                               uint64_t sp, uint64_t tp)
{
    size_t regs = c->is64 ? 112 : 72;
    size_t at = made_note(c, "CORE", NT_PRSTATUS, regs + a->n * a->word + 8);
    made_put(c, at + 12, (uint64_t)sig, 2);
    made_put(c, at + (c->is64 ? 32 : 24), (uint64_t)tid, 4);
    made_put(c, at + regs + a->pc * a->word, pc, a->word);
    made_put(c, at + regs + a->sp * a->word, sp, a->word);
    if (a->tp >= 0)
        made_put(c, at + regs + (size_t)a->tp * a->word, tp, a->word);
    if (a->machine == EM_S390) { // access registers 0 and 1
        made_put(c, at + regs + 144, tp >> 32, 4);
        made_put(c, at + regs + 148, tp & 0xffffffff, 4);
    }
    if (a->machine == EM_386) {
        made_put(c, at + regs + 10 * 4, 6 << 3 | 3, 4); // gs
        at = made_note(c, "LINUX", 0x200, 48);
        for (size_t i = 0; i < 3; i++) {
            made_put(c, at + i * 16, 12 - i * 3, 4); // entries 12, 9, 6
            made_put(c, at + i * 16 + 4, i == 2 ? tp : 0xdead, 4);
        }
    }
    if (a->machine == EM_AARCH64 || a->machine == EM_ARM) {
        at = made_note(c, "LINUX", 0x401, c->is64 ? 8 : 4);
        made_word(c, at, tp);
    }
}

/**
 * A whole core: threads 100 and 101, process info, auxv, two file mappings, and segments
 *   MADE_BASE          2 pages, in the file: byte i is i * 3
 *   MADE_BASE + 2 pages 1 page, left out (program text)
 *   MADE_BASE + 3 pages 1 page, of which 100 bytes are in the file
 *   MADE_BASE + 8 pages 1 page, in the file: byte i is i * 5, placed before the first in the headers
 */
static inline struct made made_core(const struct made_arch *a)
{
    struct made c = {.is64 = a->is64, .big = a->big, .machine = a->machine};
    size_t w = c.is64 ? 8 : 4;
    made_header(&c, ET_CORE, 5);
    made_put(&c, made_phoff(&c) + 5 * made_phentsize(&c) - 1, 0, 1);
    size_t notes = c.len;
    made_thread(&c, a, 100, 11, 0x40002010, 0x40000ff0, 0x41000);
    size_t at = made_note(&c, "CORE", NT_PRPSINFO, c.is64 ? 136 : a->machine == EM_PPC ? 128 : 124);
    size_t pid_at = c.is64 ? 24 : a->machine == EM_PPC ? 16 : 12;
    made_put(&c, at + pid_at, 100, 4);
    made_bytes(&c, at + pid_at + 16, "python3", 8);
    made_bytes(&c, at + pid_at + 32, "python3 app.py ", 16);
    at = made_note(&c, "CORE", NT_AUXV, 5 * 2 * w);
    const uint64_t auxv[] = {AT_PHDR,    0x40002040,      AT_PHNUM, 9,       AT_ENTRY,
                             0x40002abc, AT_SYSINFO_EHDR, 0x4f000,  AT_NULL, 0};
    for (size_t i = 0; i < 10; i++)
        made_word(&c, at + i * w, auxv[i]);
    made_note(&c, "GNU", NT_PRSTATUS, 4); // somebody else's
    const char names[] = "/usr/bin/python3\0/a \x1b[1mname";
    at = made_note(&c, "CORE", NT_FILE, 8 * w + sizeof(names));
    const uint64_t files[] = {2, 4096, MADE_BASE + 0x2000, MADE_BASE + 0x3000, 5, 0x50000000, 0x50001000, 0};
    for (size_t i = 0; i < 8; i++)
        made_word(&c, at + i * w, files[i]);
    made_bytes(&c, at + 8 * w, names, sizeof(names));
    made_thread(&c, a, 101, 0, 0x40002020, 0x40000fe0, 0x42000);
    size_t notes_end = c.len, load = (c.len + 15) & ~(size_t)15;
    for (size_t i = 0; i < 8192; i++)
        made_put(&c, load + i, (uint8_t)(i * 3), 1);
    for (size_t i = 0; i < 100; i++)
        made_put(&c, load + 8192 + i, (uint8_t)(i * 7), 1);
    for (size_t i = 0; i < 4096; i++)
        made_put(&c, load + 8292 + i, (uint8_t)(i * 5), 1);
    made_phdr(&c, 0, PT_NOTE, notes, 0, notes_end - notes, 0);
    made_phdr(&c, 1, PT_LOAD, load + 8292, MADE_BASE + 0x8000, 4096, 4096);
    made_phdr(&c, 2, PT_LOAD, load, MADE_BASE, 8192, 8192);
    made_phdr(&c, 3, PT_LOAD, load + 8192, MADE_BASE + 0x2000, 0, 4096);
    made_phdr(&c, 4, PT_LOAD, load + 8192, MADE_BASE + 0x3000, 100, 4096);
    return c;
}
#endif
