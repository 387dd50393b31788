// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/error.h"
#include "symbols/cfi.h"
#include "symbols/elf_extents.h"

#define FIRST 512u // most entries fit: one read

// Bytes of the call frame information at `at`; how many there were.
static size_t read_at(struct pyb_elf *e, bool debug, uint64_t at, void *buf, size_t len)
{
    if (!debug) {
        size_t got = 0;
        e->quiet++;
        int rc = pyb_elf_read(e, at, buf, len, &got, NULL);
        e->quiet--;
        return rc == 0 ? got : 0;
    }
    if (at >= e->debug_frame_len)
        return 0;
    if (len > e->debug_frame_len - at)
        len = e->debug_frame_len - (size_t)at;
    memcpy(buf, e->debug_frame + at, len);
    return len;
}

// One whole entry.
static int read_entry(struct pyb_elf *e, bool debug, uint64_t at, struct pyb_arena *arena,
                      struct pyb_cfi_entry *head, const uint8_t **ret, size_t *ret_len)
{
    uint8_t first[FIRST] = {0};
    size_t got = read_at(e, debug, at, first, sizeof(first));
    struct pyb_bytes b = pyb_elf_bytes(e, first, got);
    if (!pyb_cfi_entry(&b, 0, !debug, head) || head->size == 0 || head->size > PYB_ELF_MAX_CFI)
        return got ? PYB_E_CORRUPT : PYB_E_FAULT;
    uint8_t *data = pyb_arena_alloc(arena, (size_t)head->size);
    if (!data)
        return PYB_E_NOMEM;
    *ret = data;
    *ret_len = (size_t)head->size;
    if (head->size <= got) {
        memcpy(data, first, *ret_len);
        return 0;
    }
    return read_at(e, debug, at, data, *ret_len) == *ret_len ? 0 : PYB_E_FAULT;
}

int pyb_elf_cfi(struct pyb_elf *e, uint64_t vaddr, struct pyb_arena *arena, struct pyb_elf_cfi *ret)
{
    struct pyb_elf_extent x = {0};
    struct pyb_cfi_entry fde, cie;
    *ret = (struct pyb_elf_cfi){0};
    int rc = pyb_elf_find_fde(e, vaddr, &x);
    if (rc == 0)
        rc = read_entry(e, x.debug, x.at, arena, &fde, &ret->fde, &ret->fde_len);
    if (rc)
        return rc;
    if (fde.is_cie)
        return PYB_E_CORRUPT;
    // an .eh_frame FDE says how far back its CIE is, one of .debug_frame where it is
    rc = read_entry(e, x.debug, x.debug ? fde.id : x.at + fde.id_at - fde.id, arena, &cie, &ret->cie, &ret->cie_len);
    if (rc)
        return rc;
    ret->start = x.start;
    ret->end = x.end;
    ret->eh = !x.debug;
    ret->fde_vaddr = x.debug ? 0 : x.at;
    return cie.is_cie ? 0 : PYB_E_CORRUPT;
}
