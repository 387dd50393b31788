// SPDX-License-Identifier: Apache-2.0
/**
 * A small shared object made by hand, of any word size and byte order, with what the dynamic linker needs:
 * PT_LOAD, PT_DYNAMIC, PT_NOTE (build-id), a DT_HASH or DT_GNU_HASH of three symbols: "alpha" (function),
 * "beta" (object), "gamma" (undefined). File offset and virtual address differ by MADE_BASE.
 */
#ifndef PYB_TESTS_MADE_ELF_H
#define PYB_TESTS_MADE_ELF_H
#include <elf.h>

#include "memory/memory.h"
#include "unit.h"

#define MADE_BASE 0x10000u
#define MADE_SIZE 4096u
#define MADE_ALPHA (MADE_BASE + 0x800u)
#define MADE_BETA (MADE_BASE + 0x900u)

struct made_elf { uint8_t data[MADE_SIZE]; uint8_t width; bool big; };

static inline void made_put(struct made_elf *m, size_t at, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        m->data[at + (m->big ? width - 1 - i : i)] = (uint8_t)(value >> (8 * i));
}

static inline void made_phdr(struct made_elf *m, unsigned index, uint32_t type, uint64_t offset,
                             uint64_t size)
{
    size_t at = (m->width == 8 ? 64 : 52) + index * (m->width == 8 ? 56 : 32), w = m->width;
    made_put(m, at, type, 4);
    made_put(m, at + (w == 8 ? 4 : 24), PF_R | PF_X, 4);
    size_t field = at + (w == 8 ? 8 : 4);
    made_put(m, field, offset, w);
    made_put(m, field + w, offset + MADE_BASE, w);
    made_put(m, field + 2 * w, offset + MADE_BASE, w);
    made_put(m, field + 3 * w, size, w);
    made_put(m, field + 4 * w, size, w);
}

static inline void made_symbol(struct made_elf *m, size_t table, unsigned index, uint32_t name,
                               uint64_t value, uint64_t size,
                               uint8_t info, uint16_t shndx)
{
    size_t at = table + index * (m->width == 8 ? 24 : 16);
    made_put(m, at, name, 4);
    if (m->width == 8) {
        made_put(m, at + 4, info, 1);
        made_put(m, at + 6, shndx, 2);
        made_put(m, at + 8, value, 8);
        made_put(m, at + 16, size, 8);
    } else {
        made_put(m, at + 4, value, 4);
        made_put(m, at + 8, size, 4);
        made_put(m, at + 12, info, 1);
        made_put(m, at + 14, shndx, 2);
    }
}

static inline uint32_t made_gnu_hash(const char *s)
{
    uint32_t h = 5381;
    for (; *s; s++)
        h = h * 33 + (unsigned char)*s;
    return h;
}

// One bucket: the chain has all symbols in their order.
static inline void made_hash(struct made_elf *m, size_t at, bool gnu)
{
    if (!gnu) {
        uint32_t words[] = {1, 4, 1, 0, 2, 3, 0}; // nbucket, nchain, bucket, chains
        for (size_t i = 0; i < 7; i++)
            made_put(m, at + 4 * i, words[i], 4);
        return;
    }
    uint32_t head[] = {1, 1, 1, 6};
    for (size_t i = 0; i < 4; i++)
        made_put(m, at + 4 * i, head[i], 4);
    made_put(m, at + 16, UINT64_MAX, m->width); // a bloom filter that allows all
    size_t bucket = at + 16 + m->width;
    made_put(m, bucket, 1, 4);
    made_put(m, bucket + 4, made_gnu_hash("alpha") & ~1u, 4);
    made_put(m, bucket + 8, made_gnu_hash("beta") & ~1u, 4);
    made_put(m, bucket + 12, made_gnu_hash("gamma") | 1u, 4);
}

static inline struct made_elf made_elf(uint8_t width, bool big, bool gnu)
{
    enum { DYNAMIC = 0x200, HASH = 0x300, SYMS = 0x400, STRS = 0x500, NOTE = 0x600 };
    struct made_elf m = {.width = width, .big = big};
    memcpy(m.data, "\177ELF", 4);
    m.data[EI_CLASS] = width == 8 ? ELFCLASS64 : ELFCLASS32;
    m.data[EI_DATA] = big ? ELFDATA2MSB : ELFDATA2LSB;
    m.data[EI_VERSION] = 1;
    made_put(&m, 16, ET_DYN, 2);
    made_put(&m, 18, width == 8 ? (big ? EM_PPC64 : EM_X86_64) : (big ? EM_PPC : EM_386), 2);
    made_put(&m, width == 8 ? 32 : 28, width == 8 ? 64 : 52, width); // e_phoff
    made_put(&m, width == 8 ? 54 : 42, width == 8 ? 56 : 32, 2);
    made_put(&m, width == 8 ? 56 : 44, 3, 2);
    made_phdr(&m, 0, PT_LOAD, 0, MADE_SIZE);
    made_phdr(&m, 1, PT_DYNAMIC, DYNAMIC, 0x100);
    made_phdr(&m, 2, PT_NOTE, NOTE, 20);
    uint64_t dynamic[][2] = {{gnu ? DT_GNU_HASH : DT_HASH, HASH + MADE_BASE}, {DT_SYMTAB, SYMS + MADE_BASE},
                             {DT_STRTAB, STRS + MADE_BASE}, {DT_STRSZ, 64}, {DT_SONAME, 18}, {DT_NULL, 0}};
    for (size_t i = 0; i < sizeof(dynamic) / sizeof(dynamic[0]); i++) {
        made_put(&m, DYNAMIC + 2 * i * width, dynamic[i][0], width);
        made_put(&m, DYNAMIC + (2 * i + 1) * width, dynamic[i][1], width);
    }
    made_hash(&m, HASH, gnu);
    memcpy(m.data + STRS, "\0alpha\0beta\0gamma\0libmade.so.1", 31);
    made_symbol(&m, SYMS, 1, 1, MADE_ALPHA, 0x40, STB_GLOBAL << 4 | STT_FUNC, 1);
    made_symbol(&m, SYMS, 2, 7, MADE_BETA, 8, STB_GLOBAL << 4 | STT_OBJECT, 1);
    made_symbol(&m, SYMS, 3, 12, 0, 0, STB_GLOBAL << 4 | STT_OBJECT, SHN_UNDEF);
    made_put(&m, NOTE, 4, 4);
    made_put(&m, NOTE + 4, 4, 4);
    made_put(&m, NOTE + 8, NT_GNU_BUILD_ID, 4);
    memcpy(m.data + NOTE + 12, "GNU\0\xde\xad\xbe\xef", 8);
    return m;
}

/** Bytes of a buffer as target memory from `base` on. */
struct made_memory { struct pyb_memory mem; const uint8_t *data; size_t len; pyb_addr base; };

static inline int made_readv(struct pyb_memory *mem, struct pyb_range *ranges, size_t n,
                             struct pyb_error *err)
{
    (void)err;
    struct made_memory *m = (struct made_memory *)mem;
    for (size_t i = 0; i < n; i++) {
        if (ranges[i].addr < m->base || ranges[i].addr - m->base >= m->len)
            continue;
        size_t skip = (size_t)(ranges[i].addr - m->base), got = m->len - skip < ranges[i].len
            ? m->len - skip : ranges[i].len;
        memcpy(ranges[i].buf, m->data + skip, got);
        ranges[i].done = got;
    }
    return 0;
}

static inline struct made_memory made_memory(struct pyb_ctx *ctx, const void *data, size_t len, pyb_addr base,
                                             uint8_t width, bool big)
{
    static const struct pyb_memory_ops ops = {.name = "made", .readv = made_readv};
    return (struct made_memory){.mem = {.ops = &ops, .ctx = ctx, .ptr_size = width, .big_endian = big},
                                .data = data, .len = len,
                                .base = base};
}
#endif
