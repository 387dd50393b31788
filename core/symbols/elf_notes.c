// SPDX-License-Identifier: Apache-2.0
#include <elf.h>
#include <string.h>

#include "symbols/elf_internal.h"

#define MAX_NOTE_BYTES 65536u

// Finds NT_GNU_BUILD_ID in one PT_NOTE.
static bool search_notes(struct pyb_elf *e, const uint8_t *data, size_t len, uint64_t align)
{
    struct pyb_bytes b = pyb_elf_bytes(e, data, len);
    uint64_t mask = align == 8 ? 7 : 3;
    uint64_t at = 0;
    while (at + 12 <= len) {
        uint64_t name_len = pyb_get_u32(&b, (size_t)at), desc_len = pyb_get_u32(&b, (size_t)at + 4);
        uint32_t type = pyb_get_u32(&b, (size_t)at + 8);
        uint64_t name = at + 12;
        uint64_t desc = (name + name_len + mask) & ~mask;
        if (desc > len || desc_len > len - desc)
            return false;
        if (type == NT_GNU_BUILD_ID && name_len == 4 && memcmp(data + name, "GNU", 4) == 0 && desc_len > 0 &&
            desc_len <= sizeof(e->build_id)) {
            memcpy(e->build_id, data + desc, (size_t)desc_len);
            e->build_id_len = (size_t)desc_len;
            return true;
        }
        at = (desc + desc_len + mask) & ~mask;
    }
    return false;
}

const uint8_t *pyb_elf_build_id(struct pyb_elf *e, size_t *ret_len)
{
    for (size_t i = 0; i < e->n_notes && !e->build_id_tried; i++) {
        size_t len = e->notes[i].size < MAX_NOTE_BYTES ? (size_t)e->notes[i].size : MAX_NOTE_BYTES, got = 0;
        uint8_t *data = pyb_alloc(e->ctx, len);
        if (data && pyb_elf_read(e, e->notes[i].vaddr, data, len, &got, NULL) == 0)
            e->build_id_tried = search_notes(e, data, got, e->notes[i].align);
        pyb_free(e->ctx, data);
    }
    e->build_id_tried = true;
    *ret_len = e->build_id_len;
    return e->build_id_len ? e->build_id : NULL;
}
