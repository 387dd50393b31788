// SPDX-License-Identifier: Apache-2.0
/**
 * The little of call frame information that tells where functions begin and end: CIE and FDE headers of
 * .eh_frame (Linux Standard Base) and .debug_frame (DWARF 3 to 5, section 6.4.1). Pure functions over bytes;
 * everything is bounded by the buffer.
 */
#ifndef PYB_SYMBOLS_CFI_H
#define PYB_SYMBOLS_CFI_H
#include "base/bytes.h"

struct pyb_cfi_entry {
    uint64_t size;       // of the whole entry with its length field; 0: the terminator
    size_t id_at;        // where the id (CIE) or CIE pointer (FDE) field is
    uint8_t offset_size; // 4 or 8
    uint64_t id;
    bool is_cie;
};
struct pyb_cfi_cie {
    uint8_t encoding;    // DW_EH_PE_* of an FDE's pc_begin; .debug_frame: absolute
    uint8_t addr_size;
};

/** Header of the entry at `at`. False when it makes no sense or does not fit. */
bool pyb_cfi_entry(struct pyb_bytes *b, size_t at, bool eh, struct pyb_cfi_entry *ret);
/** The CIE at `at`, as far as FDEs need it. */
bool pyb_cfi_cie(struct pyb_bytes *b, size_t at, bool eh, struct pyb_cfi_cie *ret);
/**
 * pc_begin and the end of the FDE whose entry header is `entry`, at `at`; `vaddr` is the address of byte
 * `at`.
 */
bool pyb_cfi_fde(struct pyb_bytes *b, size_t at, const struct pyb_cfi_entry *entry,
                 const struct pyb_cfi_cie *cie, uint64_t vaddr,
                 uint64_t *ret_start, uint64_t *ret_end);
/**
 * An encoded pointer; *at moves on. False for encodings that need what we do not have (indirect, text- and
 * function-relative).
 */
bool pyb_cfi_pointer(struct pyb_bytes *b, size_t *at, uint8_t encoding, uint8_t addr_size,
                     uint64_t field_vaddr, uint64_t data_base,
                     uint64_t *ret);
#endif
