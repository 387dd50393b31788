// SPDX-License-Identifier: Apache-2.0
/**
 * What CPython's structs look like, version by version: one row of numbers for each minor version (and range of
 * patch releases), pointer width and ABI; nothing else in pybraid knows a version.
 *
 * The columns are listed in layout_fields.def. The rows, layouts.inc, are generated from CPython's own headers
 * and debug information (tests/layout/generate.py) and checked against them by tests/layout/check.py. Three rows
 * (3.3, 3.4, 3.5: `verified` is PYB_LAYOUT_FACTS) come from published facts and lack what those do not state.
 *
 * Offsets and widths are in bytes. Zero is a valid offset: a member that a version does not have, or that is not
 * known, has offset PYB_ABSENT and width 0. Rows are measured on little-endian machines; on a big-endian target
 * of the same pointer width offsets are the same, and pyb_bits_get() mirrors bit fields.
 */
#ifndef PYB_INTERP_LAYOUT_H
#define PYB_INTERP_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#define PYB_ABSENT (-1)

// Flags of a row: which ABI.
#define PYB_LAYOUT_DEBUG 1u        // Py_DEBUG (--with-pydebug)
#define PYB_LAYOUT_FREETHREADED 2u // Py_GIL_DISABLED (--disable-gil)
#define PYB_LAYOUT_TRACE_REFS 4u   // Py_TRACE_REFS; implied by Py_DEBUG up to 3.7
#define PYB_LAYOUT_AARCH64 8u      // Linux on aarch64, whose pthread types are larger; rows only where that matters

/** A member: `width` bytes at `offset` from the start of its struct. For an array: the width of one element. */
struct pyb_field {
    int32_t offset;
    uint32_t width;
};

/** A bit field: `bits` bits, `shift` above the lowest of the little-endian word of `width` bytes at `offset`. */
struct pyb_bits {
    int32_t offset;
    uint8_t width;
    uint8_t shift;
    uint8_t bits;
};

enum pyb_walker {
    PYB_WALKER_FRAMEOBJECT = 1, // 2.7 to 3.10: tstate_frame, then frame_back
    PYB_WALKER_CFRAME = 2,      // 3.11, 3.12: tstate_cframe, then cframe_current_frame, then iframe_previous
    PYB_WALKER_IFRAME = 3,      // 3.13 on: tstate_current_frame, then iframe_previous
};

enum pyb_line_table {
    PYB_LNOTAB_27 = 1,      // co_lnotab, unsigned line deltas (up to 3.5)
    PYB_LNOTAB_36 = 2,      // co_lnotab, signed line deltas (3.6 to 3.9)
    PYB_LINETABLE_310 = 3,  // co_linetable of 3.10, pairs of deltas
    PYB_LOCATIONS_311 = 4,  // co_linetable from 3.11 on, variable length, with columns
};

enum pyb_unicode_model {
    PYB_UNICODE_27 = 1,     // str is bytes; unicode has length and str, of unicode_unit bytes each
    PYB_UNICODE_33 = 2,     // compact and legacy strings, wstr (3.3 to 3.11)
    PYB_UNICODE_312 = 3,    // no wstr (3.12 on)
};

enum pyb_int_model {
    PYB_INT_SIGNED_SIZE = 1, // number of digits in ob_size, negative for negative numbers (up to 3.11)
    PYB_INT_TAG = 2,         // lv_tag: digits << 3 | sign (0 positive, 1 zero, 2 negative) (3.12 on)
};

enum pyb_dict_model {
    PYB_DICT_TABLE = 1,   // 2.7: one open table of dictentry, mask + 1 long
    PYB_DICT_SPLIT = 2,   // 3.3 to 3.5: keys hold an open table of dictentry; values, if any, run beside it
    PYB_DICT_COMPACT = 3, // 3.6 to 3.10: indices, then dictentry in order; size in dk_size; values: array of pointers
    PYB_DICT_LOG2 = 4,    // 3.11 on: sizes as log2, dk_kind chooses dictentry or dictuentry; values: dictvalues
};

// How a row came to be known.
enum pyb_layout_source {
    PYB_LAYOUT_FACTS = 1,   // published facts only
    PYB_LAYOUT_HEADERS = 2, // real headers
    PYB_LAYOUT_DWARF = 3,   // real headers, and the debug information of a real build for what they do not have
    PYB_LAYOUT_TARGET = 4,  // a row refined by what the target publishes (debug_offsets.h)
};

struct pyb_layout {
    int major, minor;
    int patch_min, patch_max; // inclusive
    unsigned ptr_size;        // 4 or 8
    bool big_endian;
    unsigned flags;           // PYB_LAYOUT_*
    enum pyb_layout_source verified;
    char name[48];            // e.g. "3.13 64-bit free-threaded"; no pointer: the rows need no relocation at start-up

#define F(group, name, type, path) struct pyb_field group##_##name;
#define S(group, type) uint32_t group##_size; // 0: no such struct, or not known
#define B(group, name, type, path) struct pyb_bits group##_##name;
#define K(name, expression) int64_t name;
#define R(name) int64_t name;
#include "layout_fields.def"
#undef F
#undef S
#undef B
#undef K
#undef R
};

static inline bool pyb_has_field(struct pyb_field f)
{
    return f.offset >= 0;
}

static inline bool pyb_has_bits(struct pyb_bits b)
{
    return b.offset >= 0 && b.bits > 0;
}

/** Value of a bit field out of the word read at b.offset (b.width bytes, in the target's byte order). */
uint64_t pyb_bits_get(struct pyb_bits b, uint64_t word, bool big_endian);

/**
 * The row for a CPython version; NULL only where no row of that word size and threading model exists at all.
 *
 * patch < 0: unknown, the newest range is taken. flags: the target's ABI, with PYB_LAYOUT_AARCH64 on such a machine.
 * *ret_exact is false when the row is only the nearest one: a version newer than the tables, a patch release outside
 * every range, a byte order or ABI without a row of its own. Another word size is never substituted, nor a
 * free-threaded row for another. ret_exact may be NULL. The row is static.
 */
const struct pyb_layout *pyb_layout_find(int major, int minor, int patch, unsigned ptr_size, bool big_endian,
                                         unsigned flags, bool *ret_exact);

/** All rows, for listings and tests; *ret_count of them. */
const struct pyb_layout *pyb_layout_rows(unsigned *ret_count);

#endif
