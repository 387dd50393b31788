// SPDX-License-Identifier: Apache-2.0
/*
 * One name in .dynsym through the hash table that the dynamic linker uses: a few small reads, whatever the
 * table's size. Layout of DT_GNU_HASH: u32 nbuckets, symoffset, bloom_size, bloom_shift; bloom words of the
 * pointer's width; u32 buckets[nbuckets]; u32 chains[], the lowest bit of which marks the end of a bucket.
 * DT_HASH: u32 nbucket, nchain, buckets, chains.
 */
#include <string.h>

#include "base/error.h"
#include "symbols/elf_internal.h"

#define MAX_CHAIN (1u << 16) // symbols in one bucket; linkers aim at a handful
#define MAX_SAME 256u        // of them with the very hash of the name
#define CHUNK 16u

static bool read_u32(struct pyb_elf *e, uint64_t vaddr, uint32_t *ret)
{
    uint8_t data[4];
    if (!pyb_elf_read_all(e, vaddr, data, sizeof(data)))
        return false;
    struct pyb_bytes b = pyb_elf_bytes(e, data, sizeof(data));
    *ret = pyb_get_u32(&b, 0);
    return true;
}

static int check_symbol(const struct pyb_elf_table *t, uint64_t index, const char *name,
                        struct pyb_elf_raw_symbol *ret)
{
    size_t size = pyb_elf_symbol_size(t->e);
    uint8_t data[24];
    if (!pyb_elf_table_read(t, t->syms + index * size, data, size))
        return PYB_E_FAULT;
    *ret = pyb_elf_decode_symbol(t->e, data);
    return pyb_elf_symbol_defined(ret) && pyb_elf_table_name_is(t, ret->name, name) ? 0 : PYB_E_NOTFOUND;
}

struct gnu_hash { uint32_t nbuckets, symoffset, bloom_size, bloom_shift; uint64_t buckets, chains; };

static int gnu_header(struct pyb_elf *e, uint64_t at, struct gnu_hash *ret)
{
    uint8_t data[16];
    if (!pyb_elf_read_all(e, at, data, sizeof(data)))
        return PYB_E_FAULT;
    struct pyb_bytes b = pyb_elf_bytes(e, data, sizeof(data));
    *ret = (struct gnu_hash){.nbuckets = pyb_get_u32(&b, 0), .symoffset = pyb_get_u32(&b, 4),
                             .bloom_size = pyb_get_u32(&b, 8), .bloom_shift = pyb_get_u32(&b, 12)};
    if (ret->nbuckets == 0 || ret->bloom_size == 0)
        return PYB_E_NOTFOUND; // an empty table
    ret->buckets = at + 16 + (uint64_t)ret->bloom_size * e->ptr_size;
    ret->chains = ret->buckets + (uint64_t)ret->nbuckets * 4;
    return 0;
}

static int bloom_allows(struct pyb_elf *e, uint64_t at, const struct gnu_hash *g, uint32_t h)
{
    uint32_t bits = e->ptr_size * 8u;
    uint8_t data[8];
    uint64_t word_at = at + 16 + (uint64_t)(h / bits & (g->bloom_size - 1)) * e->ptr_size;
    if (!pyb_elf_read_all(e, word_at, data, e->ptr_size))
        return PYB_E_FAULT;
    struct pyb_bytes b = pyb_elf_bytes(e, data, e->ptr_size);
    uint64_t word = pyb_get_ptr(&b, 0);
    uint32_t second = g->bloom_shift < 32 ? h >> g->bloom_shift : 0;
    return (word >> (h % bits) & word >> (second % bits) & 1) ? 0 : PYB_E_NOTFOUND;
}

static int gnu_lookup(struct pyb_elf *e, uint64_t at, const struct pyb_elf_table *t, const char *name,
                      struct pyb_elf_raw_symbol *ret)
{
    uint32_t h = 5381;
    for (const unsigned char *p = (const unsigned char *)name; *p; p++)
        h = h * 33 + *p;
    struct gnu_hash g;
    int rc = gnu_header(e, at, &g);
    if (rc == 0)
        rc = bloom_allows(e, at, &g, h);
    uint32_t index = 0;
    if (rc == 0 && !read_u32(e, g.buckets + (uint64_t)(h % g.nbuckets) * 4, &index))
        rc = PYB_E_FAULT;
    if (rc)
        return rc;
    if (index < g.symoffset || index == 0)
        return PYB_E_NOTFOUND;
    uint32_t same = 0;
    for (uint32_t steps = 0; steps < MAX_CHAIN; steps += CHUNK) {
        uint8_t data[CHUNK * 4];
        size_t got = 0;
        uint64_t where = g.chains + ((uint64_t)index + steps - g.symoffset) * 4;
        if (pyb_elf_read(e, where, data, sizeof(data), &got, NULL) != 0 || got < 4)
            return PYB_E_FAULT;
        struct pyb_bytes b = pyb_elf_bytes(e, data, got);
        for (uint32_t i = 0; i < got / 4; i++) {
            uint32_t value = pyb_get_u32(&b, i * 4);
            if ((value | 1) == (h | 1)) {
                if (check_symbol(t, (uint64_t)index + steps + i, name, ret) == 0)
                    return 0;
                if (++same > MAX_SAME)
                    return PYB_E_CORRUPT;
            }
            if (value & 1)
                return PYB_E_NOTFOUND;
        }
        if (got < sizeof(data))
            return PYB_E_CORRUPT; // the chain runs out of the segment
    }
    return PYB_E_CORRUPT;
}

static int sysv_lookup(struct pyb_elf *e, uint64_t at, const struct pyb_elf_table *t, const char *name,
                       struct pyb_elf_raw_symbol *ret)
{
    uint32_t h = 0;
    for (const unsigned char *p = (const unsigned char *)name; *p; p++) {
        h = (h << 4) + *p;
        h = (h ^ (h >> 24 & 0xf0)) & 0x0fffffff;
    }
    uint32_t nbucket, nchain, index;
    if (!read_u32(e, at, &nbucket) || !read_u32(e, at + 4, &nchain))
        return PYB_E_FAULT;
    if (nbucket == 0)
        return PYB_E_NOTFOUND;
    uint64_t chains = at + 8 + (uint64_t)nbucket * 4;
    if (!read_u32(e, at + 8 + (uint64_t)(h % nbucket) * 4, &index))
        return PYB_E_FAULT;
    uint32_t seen = 0; // Brent: an index met again at twice the distance is a cycle
    for (uint32_t steps = 0; index != 0; steps++) {
        if (index >= nchain || index == seen || steps >= MAX_CHAIN)
            return PYB_E_CORRUPT;
        if ((steps & (steps - 1)) == 0)
            seen = index;
        if (check_symbol(t, index, name, ret) == 0)
            return 0;
        if (!read_u32(e, chains + (uint64_t)index * 4, &index))
            return PYB_E_FAULT;
        if (steps % 64 == 0 && pyb_ctx_check(e->ctx, NULL) != 0)
            return PYB_E_ABORTED;
    }
    return PYB_E_NOTFOUND;
}

int pyb_elf_hash_lookup(struct pyb_elf *e, const char *name, struct pyb_elf_raw_symbol *ret)
{
    struct pyb_elf_table t;
    if (!pyb_elf_table(e, PYB_TABLE_DYNSYM, &t))
        return PYB_E_NOTFOUND;
    const struct pyb_elf_dynamic *d = pyb_elf_dynamic(e);
    if (d->gnu_hash)
        return gnu_lookup(e, d->gnu_hash, &t, name, ret);
    if (d->hash)
        return sysv_lookup(e, d->hash, &t, name, ret);
    return PYB_E_NOTFOUND;
}

// The last symbol is the end of the chain of the bucket that begins latest.
static uint64_t gnu_count(struct pyb_elf *e, uint64_t at)
{
    struct gnu_hash g;
    if (gnu_header(e, at, &g) != 0)
        return 0;
    uint32_t last = 0;
    for (uint64_t i = 0; i < g.nbuckets;) {
        uint8_t data[1024];
        size_t got = 0, want = g.nbuckets - i < sizeof(data) / 4
            ? (size_t)(g.nbuckets - i) * 4 : sizeof(data);
        if (pyb_elf_read(e, g.buckets + i * 4, data, want, &got, NULL) != 0 || got < 4 ||
            pyb_ctx_check(e->ctx, NULL))
            return 0;
        struct pyb_bytes b = pyb_elf_bytes(e, data, got);
        for (size_t k = 0; k < got / 4; k++) {
            uint32_t value = pyb_get_u32(&b, k * 4);
            last = value > last ? value : last;
        }
        i += got / 4;
    }
    if (last < g.symoffset)
        return g.symoffset < MAX_CHAIN ? g.symoffset : 0;
    for (uint32_t steps = 0; steps < MAX_CHAIN; steps++) {
        uint32_t value;
        if (!read_u32(e, g.chains + ((uint64_t)last + steps - g.symoffset) * 4, &value))
            return 0;
        if (value & 1)
            return (uint64_t)last + steps + 1;
    }
    return 0;
}

uint64_t pyb_elf_dynsym_count(struct pyb_elf *e)
{
    const struct pyb_elf_dynamic *d = pyb_elf_dynamic(e);
    uint32_t nchain = 0;
    if (d->hash && read_u32(e, d->hash + 4, &nchain) && nchain)
        return nchain;
    return d->gnu_hash ? gnu_count(e, d->gnu_hash) : 0;
}
