// SPDX-License-Identifier: Apache-2.0
/*
 * The FDE that covers an address. .eh_frame_hdr is a sorted table of (start, FDE) pairs made for this: a
 * binary search by small reads, some 10 of them among 54 000 FDEs. The table is the file's word only: order
 * and the FDE found are checked; a table that lies is not used.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "symbols/cfi.h"
#include "symbols/elf_extents.h"

#define DATAREL_SDATA4 0x3b // the table encoding that every linker writes
#define MAX_SAME_START 4u   // BOLT: a patched entry's 5 bytes and the old function have FDEs with one start
#define BLOCK 64u           // entries read at once when so few are left

struct hdr { uint64_t vaddr, table, count; };

static bool read_hdr(struct pyb_elf *e, struct hdr *ret)
{
    struct pyb_elf_span span = e->eh_frame_hdr;
    if (span.size < 4)
        return false;
    uint8_t data[32];
    size_t got = 0, want = span.size < sizeof(data) ? (size_t)span.size : sizeof(data);
    if (pyb_elf_read(e, span.vaddr, data, want, &got, NULL) != 0)
        return false;
    struct pyb_bytes b = pyb_elf_bytes(e, data, got);
    size_t at = 4;
    uint64_t eh_frame;
    if (pyb_get_u8(&b, 0) != 1 || pyb_get_u8(&b, 3) != DATAREL_SDATA4 ||
        !pyb_cfi_pointer(&b, &at, pyb_get_u8(&b, 1), e->ptr_size, span.vaddr + at, span.vaddr, &eh_frame) ||
        !pyb_cfi_pointer(&b, &at, pyb_get_u8(&b, 2), e->ptr_size, span.vaddr + at, span.vaddr, &ret->count))
        return false;
    ret->vaddr = span.vaddr;
    ret->table = span.vaddr + at;
    return ret->count > 0 && ret->count <= (span.size - at) / 8;
}

struct entry { uint64_t start, fde; };

static struct entry decode(struct pyb_elf *e, const struct hdr *h, struct pyb_bytes *b, size_t at)
{
    uint64_t mask = e->ptr_size == 4 ? UINT32_MAX : UINT64_MAX;
    return (struct entry){(h->vaddr + (uint64_t)pyb_get_int(b, at, 4)) & mask,
                          (h->vaddr + (uint64_t)pyb_get_int(b, at + 4, 4)) & mask};
}

static size_t read_entries(struct pyb_elf *e, const struct hdr *h, uint64_t index, size_t n,
                           struct entry *ret)
{
    uint8_t data[BLOCK * 8];
    if (!pyb_elf_read_all(e, h->table + index * 8, data, n * 8))
        return 0;
    struct pyb_bytes b = pyb_elf_bytes(e, data, n * 8);
    for (size_t i = 0; i < n; i++)
        ret[i] = decode(e, h, &b, i * 8);
    return n;
}

// Index of the last entry with start <= vaddr. FAULT: unreadable, CORRUPT: not sorted, NOTFOUND: all start
// above.
static int search(struct pyb_elf *e, const struct hdr *h, uint64_t vaddr, uint64_t *ret)
{
    uint64_t low = 0, high = h->count; // entries in [low, high) are open
    uint64_t low_start = 0, high_start = UINT64_MAX;
    struct entry block[BLOCK];
    while (high - low > BLOCK) {
        uint64_t mid = low + (high - low) / 2;
        if (read_entries(e, h, mid, 1, block) != 1)
            return PYB_E_FAULT;
        if (block[0].start < low_start || block[0].start > high_start)
            return PYB_E_CORRUPT;
        if (block[0].start <= vaddr) {
            low = mid;
            low_start = block[0].start;
        } else {
            high = mid;
            high_start = block[0].start;
        }
    }
    size_t n = (size_t)(high - low);
    if (read_entries(e, h, low, n, block) != n)
        return PYB_E_FAULT;
    int rc = PYB_E_NOTFOUND;
    for (size_t i = 0; i < n; i++) {
        if (block[i].start < low_start || block[i].start > high_start)
            return PYB_E_CORRUPT;
        low_start = block[i].start;
        if (block[i].start <= vaddr) {
            *ret = low + i;
            rc = 0;
        }
    }
    return rc;
}

static int read_fde(struct pyb_elf *e, const struct entry *entry, struct pyb_elf_extent *ret)
{
    uint8_t data[64], cie_data[256];
    size_t got = 0, cie_got = 0;
    struct pyb_cfi_entry head;
    struct pyb_cfi_cie cie;
    if (pyb_elf_read(e, entry->fde, data, sizeof(data), &got, NULL) != 0)
        return PYB_E_FAULT;
    struct pyb_bytes b = pyb_elf_bytes(e, data, got);
    if (!pyb_cfi_entry(&b, 0, true, &head) || head.size == 0 || head.is_cie)
        return PYB_E_CORRUPT;
    if (pyb_elf_read(e, entry->fde + head.id_at - head.id, cie_data, sizeof(cie_data), &cie_got, NULL) != 0)
        return PYB_E_FAULT;
    struct pyb_bytes c = pyb_elf_bytes(e, cie_data, cie_got);
    if (!pyb_cfi_cie(&c, 0, true, &cie) || !pyb_cfi_fde(&b, 0, &head, &cie, entry->fde, &ret->start,
                                                        &ret->end))
        return PYB_E_CORRUPT;
    ret->at = entry->fde;
    ret->debug = false;
    return ret->start == entry->start ? 0 : PYB_E_CORRUPT;
}

static int find_by_hdr(struct pyb_elf *e, uint64_t vaddr, struct pyb_elf_extent *ret)
{
    struct hdr h;
    uint64_t index = 0, first_start = 0;
    if (!read_hdr(e, &h))
        return PYB_E_CORRUPT;
    int rc = search(e, &h, vaddr, &index);
    if (rc)
        return rc;
    for (unsigned i = 0; i < MAX_SAME_START; i++, index--) {
        struct entry entry;
        if (read_entries(e, &h, index, 1, &entry) != 1)
            return PYB_E_FAULT;
        if (i > 0 && entry.start != first_start)
            break;
        first_start = entry.start;
        rc = read_fde(e, &entry, ret);
        if (rc != 0 || vaddr < ret->end)
            return rc;
        if (index == 0)
            break;
    }
    return PYB_E_NOTFOUND;
}

static int find_by_extents(struct pyb_elf *e, uint64_t vaddr, bool hdr_good, struct pyb_elf_extent *ret)
{
    if (!e->extents_tried)
        pyb_elf_collect_extents(e, hdr_good);
    size_t low = 0, high = e->n_extents;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (e->extents[mid].start <= vaddr)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == 0 || vaddr >= e->extents[low - 1].end) // of those with one start the longest comes last
        return PYB_E_NOTFOUND;
    *ret = e->extents[low - 1];
    return 0;
}

int pyb_elf_find_fde(struct pyb_elf *e, uint64_t vaddr, struct pyb_elf_extent *ret)
{
    e->quiet++;
    int rc = find_by_hdr(e, vaddr, ret);
    if (rc != 0 && rc != PYB_E_FAULT)
        rc = find_by_extents(e, vaddr, rc == PYB_E_NOTFOUND, ret);
    e->quiet--;
    return rc;
}

int pyb_elf_fde(struct pyb_elf *e, uint64_t vaddr, uint64_t *ret_start, uint64_t *ret_end)
{
    *ret_start = *ret_end = 0;
    const struct pyb_elf_answer *known = pyb_elf_recall(e, PYB_ANSWER_FDE, NULL, vaddr);
    if (!known) {
        if (e->source == PYB_ELF_PAGES)
            return PYB_E_NOTFOUND; // a recording answers what was asked when it was made
        struct pyb_elf_extent x = {0};
        int rc = pyb_elf_find_fde(e, vaddr, &x);
        if (rc == 0) {
            *ret_start = x.start;
            *ret_end = x.end;
        }
        struct pyb_elf_answer a = {.kind = PYB_ANSWER_FDE, .code = rc, .vaddr = vaddr, .start = *ret_start,
                                   .end = *ret_end};
        if (rc == 0 || rc == PYB_E_NOTFOUND)
            (void)pyb_elf_remember(e, &a);
        return rc;
    }
    *ret_start = known->start;
    *ret_end = known->end;
    return known->code;
}
