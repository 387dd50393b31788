// SPDX-License-Identifier: Apache-2.0
/* Symbol tables as such: where they are, one symbol, one name. */
#include <elf.h>
#include <string.h>

#include "symbols/elf_internal.h"

size_t pyb_elf_symbol_size(const struct pyb_elf *e)
{
    return e->ptr_size == 8 ? sizeof(Elf64_Sym) : sizeof(Elf32_Sym);
}

// Tables of a hundred thousand symbols are common: those of this host's own kind are taken as they are.
static bool is_native(const struct pyb_elf *e)
{
    return e->ptr_size == 8 && e->big_endian == (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__);
}

struct pyb_elf_raw_symbol pyb_elf_decode_symbol(const struct pyb_elf *e, const uint8_t *data)
{
    if (is_native(e)) {
        Elf64_Sym raw;
        memcpy(&raw, data, sizeof(raw));
        return (struct pyb_elf_raw_symbol){.name = raw.st_name, .info = raw.st_info, .shndx = raw.st_shndx,
                                           .value = raw.st_value, .size = raw.st_size};
    }
    struct pyb_bytes b = pyb_elf_bytes(e, data, pyb_elf_symbol_size(e));
    struct pyb_elf_raw_symbol s = {.name = pyb_get_u32(&b, 0)};
    if (e->ptr_size == 8) {
        s.info = pyb_get_u8(&b, 4);
        s.shndx = pyb_get_u16(&b, 6);
        s.value = pyb_get_u64(&b, 8);
        s.size = pyb_get_u64(&b, 16);
    } else {
        s.value = pyb_get_u32(&b, 4);
        s.size = pyb_get_u32(&b, 8);
        s.info = pyb_get_u8(&b, 12);
        s.shndx = pyb_get_u16(&b, 14);
    }
    return s;
}

// Undefined symbols (extension modules carry an undefined _PyRuntime), commons and absolute ones have no
// address.
bool pyb_elf_symbol_defined(const struct pyb_elf_raw_symbol *s)
{
    uint8_t type = s->info & 0xf;
    return s->shndx != SHN_UNDEF && s->shndx != SHN_COMMON && s->shndx != SHN_ABS && type != STT_FILE &&
           type != STT_SECTION;
}

bool pyb_elf_table_read(const struct pyb_elf_table *t, uint64_t where, void *buf, size_t len)
{
    if (t->by_vaddr)
        return pyb_elf_read_all(t->e, where, buf, len);
    return pyb_elf_pread(t->e, where, buf, len) == len;
}

static bool dynsym_table(struct pyb_elf *e, struct pyb_elf_table *ret)
{
    const struct pyb_elf_dynamic *d = pyb_elf_dynamic(e);
    if (!d->symtab || !d->strtab)
        return false;
    *ret = (struct pyb_elf_table){.e = e, .by_vaddr = true, .syms = d->symtab, .strs = d->strtab,
                                  .strs_size = d->strsz};
    return true;
}

static bool section_table(struct pyb_elf *e, uint32_t type, struct pyb_elf_table *ret)
{
    size_t n;
    const struct pyb_elf_raw_section *s = pyb_elf_sections(e, &n);
    for (size_t i = 1; i < n; i++) {
        if (s[i].type != type || s[i].link >= n || s[s[i].link].type != SHT_STRTAB ||
            s[i].entsize != pyb_elf_symbol_size(e))
            continue;
        uint64_t size = s[i].size;
        if (e->source != PYB_ELF_PAGES) {
            if (s[i].offset >= e->file_size)
                return false;
            if (size > e->file_size - s[i].offset) // a cut file: the symbols it still has
                size = e->file_size - s[i].offset;
        }
        *ret = (struct pyb_elf_table){.e = e, .syms = s[i].offset, .n = size / s[i].entsize,
                                      .strs = s[s[i].link].offset, .strs_size = s[s[i].link].size};
        return true;
    }
    return false;
}

bool pyb_elf_table(struct pyb_elf *e, int which, struct pyb_elf_table *ret)
{
    if (which == PYB_TABLE_DYNSYM)
        return dynsym_table(e, ret);
    if (which == PYB_TABLE_SYMTAB)
        return section_table(e, SHT_SYMTAB, ret);
    struct pyb_elf *inner = which == PYB_TABLE_SEPARATE ? e->separate : pyb_elf_debugdata(e);
    return inner && section_table(inner, SHT_SYMTAB, ret);
}

// Reads at most one chunk of the string at `offset`; returns its length, `whole` tells if its NUL was seen.
static size_t read_chunk(const struct pyb_elf_table *t, uint64_t offset, char *buf, size_t len, bool *whole)
{
    *whole = false;
    if (offset >= t->strs_size)
        return 0;
    if (len > t->strs_size - offset)
        len = (size_t)(t->strs_size - offset);
    size_t got = 0;
    if (t->by_vaddr) {
        if (pyb_elf_read(t->e, t->strs + offset, buf, len, &got, NULL) != 0)
            return 0;
    } else {
        got = pyb_elf_pread(t->e, t->strs + offset, buf, len);
    }
    size_t n = strnlen(buf, got);
    *whole = n < got;
    return n;
}

bool pyb_elf_table_name_is(const struct pyb_elf_table *t, uint32_t offset, const char *name)
{
    char buf[64];
    size_t len = strlen(name), done = 0;
    bool whole = false;
    while (!whole) {
        size_t want = len + 1 - done < sizeof(buf) ? len + 1 - done : sizeof(buf);
        size_t n = read_chunk(t, (uint64_t)offset + done, buf, want, &whole);
        if (n > len - done || memcmp(buf, name + done, n) != 0 || (n == 0 && !whole))
            return false;
        done += n;
    }
    return done == len;
}

const char *pyb_elf_table_name(struct pyb_elf *e, int which, const struct pyb_elf_table *t, uint32_t offset)
{
    uint64_t key = (uint64_t)which << 32 | offset;
    uintptr_t known;
    if (pyb_map_get(&e->names, key, &known))
        return (const char *)known;
    char *buf = pyb_alloc(e->ctx, PYB_ELF_MAX_NAME);
    size_t done = 0;
    bool whole = false;
    while (buf && !whole && done < PYB_ELF_MAX_NAME) {
        size_t want = PYB_ELF_MAX_NAME - done < 256 ? PYB_ELF_MAX_NAME - done : 256;
        size_t n = read_chunk(t, (uint64_t)offset + done, buf + done, want, &whole);
        if (n == 0 && !whole)
            break;
        done += n;
    }
    char *name = whole && done > 0 ? pyb_arena_strndup(&e->arena, buf, done) : NULL;
    pyb_free(e->ctx, buf);
    if (name && pyb_map_put(&e->names, key, (uintptr_t)name) != 0)
        return name; // not interned, but good
    return name;
}

bool pyb_elf_has_symtab(struct pyb_elf *e)
{
    struct pyb_elf_table t;
    return section_table(e, SHT_SYMTAB, &t) && t.n > 1;
}
