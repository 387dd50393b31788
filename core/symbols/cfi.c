// SPDX-License-Identifier: Apache-2.0
#include "symbols/cfi.h"

#include <string.h>

enum { // DW_EH_PE_*
    PE_ABSPTR = 0x00, PE_ULEB = 0x01, PE_UDATA2 = 0x02, PE_UDATA4 = 0x03, PE_UDATA8 = 0x04,
    PE_SLEB = 0x09, PE_SDATA2 = 0x0a, PE_SDATA4 = 0x0b, PE_SDATA8 = 0x0c,
    PE_PCREL = 0x10, PE_DATAREL = 0x30, PE_ALIGNED = 0x50, PE_OMIT = 0xff,
};

static uint64_t get_uleb(struct pyb_bytes *b, size_t *at)
{
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = pyb_get_u8(b, *at);
        (*at)++;
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        if (b->bad || !(byte & 0x80))
            return value;
    }
}

static uint64_t get_sleb(struct pyb_bytes *b, size_t *at)
{
    uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = pyb_get_u8(b, *at);
        (*at)++;
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        if (b->bad || !(byte & 0x80)) {
            if ((byte & 0x40) && shift + 7 < 64)
                value |= UINT64_MAX << (shift + 7);
            return value;
        }
    }
}

static bool get_value(struct pyb_bytes *b, size_t *at, uint8_t format, uint8_t addr_size, uint64_t *ret)
{
    size_t width = addr_size;
    switch (format) {
    case PE_ULEB: *ret = get_uleb(b, at); return !b->bad;
    case PE_SLEB: *ret = get_sleb(b, at); return !b->bad;
    case PE_ABSPTR: break;
    case PE_UDATA2: case PE_SDATA2: width = 2; break;
    case PE_UDATA4: case PE_SDATA4: width = 4; break;
    case PE_UDATA8: case PE_SDATA8: width = 8; break;
    default: return false;
    }
    *ret = format & 8 ? (uint64_t)pyb_get_int(b, *at, width) : pyb_get_uint(b, *at, width);
    *at += width;
    return !b->bad;
}

bool pyb_cfi_pointer(struct pyb_bytes *b, size_t *at, uint8_t encoding, uint8_t addr_size,
                     uint64_t field_vaddr,
                     uint64_t data_base, uint64_t *ret)
{
    uint64_t base;
    switch (encoding & 0xf0) {
    case 0: base = 0; break;
    case PE_PCREL: base = field_vaddr; break;
    case PE_DATAREL: base = data_base; break;
    default: return false;
    }
    if (!get_value(b, at, encoding & 0x0f, addr_size, ret))
        return false;
    *ret += base;
    if (addr_size == 4)
        *ret &= UINT32_MAX;
    return true;
}

bool pyb_cfi_entry(struct pyb_bytes *b, size_t at, bool eh, struct pyb_cfi_entry *ret)
{
    uint64_t length = pyb_get_u32(b, at);
    size_t head = 4;
    ret->offset_size = 4;
    if (length == UINT32_MAX) {
        length = pyb_get_u64(b, at + 4);
        head = 12;
        // 64-bit DWARF widens the id in .debug_frame only
        ret->offset_size = eh ? 4 : 8;
    }
    if (b->bad || length > UINT64_MAX - head)
        return false;
    ret->size = length == 0 ? 0 : length + head;
    ret->id_at = at + head;
    if (length == 0)
        return true;
    if (length < ret->offset_size)
        return false;
    ret->id = pyb_get_uint(b, ret->id_at, ret->offset_size);
    uint64_t cie_id = eh ? 0 : ret->offset_size == 8 ? UINT64_MAX : UINT32_MAX;
    ret->is_cie = ret->id == cie_id;
    return !b->bad;
}

// 'R' gives the encoding; 'P' and 'L' must be stepped over to find it.
static bool read_augmentation(struct pyb_bytes *b, size_t at, const char *augmentation,
                              struct pyb_cfi_cie *ret)
{
    (void)get_uleb(b, &at); // its length
    for (const char *p = augmentation + 1; *p && !b->bad; p++) {
        if (*p == 'R') {
            ret->encoding = pyb_get_u8(b, at);
            return !b->bad;
        }
        if (*p == 'L') {
            at++;
        } else if (*p == 'P') {
            uint8_t encoding = pyb_get_u8(b, at++);
            uint64_t ignored;
            if (encoding == PE_ALIGNED ||
                (encoding != PE_OMIT && !get_value(b, &at, encoding & 0x0f, ret->addr_size, &ignored)))
                return false;
        } else if (*p != 'S' && *p != 'B' && *p != 'G') {
            return true; // unknown from here on; 'R' comes first in what compilers write
        }
    }
    return !b->bad;
}

bool pyb_cfi_cie(struct pyb_bytes *b, size_t at, bool eh, struct pyb_cfi_cie *ret)
{
    struct pyb_cfi_entry entry;
    if (!pyb_cfi_entry(b, at, eh, &entry) || entry.size == 0 || !entry.is_cie)
        return false;
    at = entry.id_at + entry.offset_size;
    *ret = (struct pyb_cfi_cie){PE_ABSPTR, b->ptr_size};
    uint8_t version = pyb_get_u8(b, at++);
    if (b->bad || at >= b->len || (version != 1 && version != 3 && version != 4))
        return false;
    const char *augmentation = (const char *)b->data + at;
    size_t length = strnlen(augmentation, b->len - at);
    at += length + 1;
    if (at > b->len)
        return false;
    if (version == 4) {
        ret->addr_size = pyb_get_u8(b, at);
        at += 2; // and the segment selector's size
    }
    if (strcmp(augmentation, "eh") == 0)
        at += b->ptr_size; // gcc 2
    (void)get_uleb(b, &at); // code alignment
    (void)get_sleb(b, &at); // data alignment
    if (version == 1)
        at++; // return address register
    else
        (void)get_uleb(b, &at);
    if (b->bad || (ret->addr_size != 4 && ret->addr_size != 8))
        return false;
    return augmentation[0] != 'z' || read_augmentation(b, at, augmentation, ret);
}

bool pyb_cfi_fde(struct pyb_bytes *b, size_t at, const struct pyb_cfi_entry *entry,
                 const struct pyb_cfi_cie *cie,
                 uint64_t vaddr, uint64_t *ret_start, uint64_t *ret_end)
{
    size_t field = entry->id_at + entry->offset_size;
    uint64_t range;
    if (!pyb_cfi_pointer(b, &field, cie->encoding, cie->addr_size, vaddr + (field - at), 0, ret_start) ||
        (cie->encoding & 0xf0) == PE_DATAREL)
        return false;
    if (!get_value(b, &field, cie->encoding & 0x0f, cie->addr_size, &range))
        return false;
    return !__builtin_add_overflow(*ret_start, range, ret_end);
}
