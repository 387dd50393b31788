// SPDX-License-Identifier: Apache-2.0
#include "interp/layout.h"
#include <stddef.h>

static const struct pyb_layout rows[] = {
#include "layouts.inc"
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

const struct pyb_layout *pyb_layout_rows(unsigned *ret_count)
{
    *ret_count = (unsigned)N_ROWS;
    return rows;
}

uint64_t pyb_bits_get(struct pyb_bits b, uint64_t word, bool big_endian)
{
    if (!pyb_has_bits(b) || b.width == 0 || b.width > 8 || b.shift + b.bits > 8 * b.width)
        return 0;
    // Compilers for big-endian machines give bit fields from the highest bit downwards.
    unsigned shift = big_endian ? 8u * b.width - b.shift - b.bits : b.shift;
    uint64_t mask = b.bits >= 64 ? UINT64_MAX : (UINT64_C(1) << b.bits) - 1;
    return (word >> shift) & mask;
}

// How many releases apart: minor versions weigh more than patch releases, a newer row more than an older one.
static uint64_t distance(const struct pyb_layout *row, int major, int minor, int patch)
{
    int64_t away = ((int64_t)major - row->major) * 1000 + ((int64_t)minor - row->minor);
    uint64_t d = away >= 0 ? (uint64_t)away * 4 : (uint64_t)-away * 4 + 2;
    d *= 1000;
    if (patch < row->patch_min)
        return d + (uint64_t)((int64_t)row->patch_min - patch);
    return patch > row->patch_max ? d + (uint64_t)((int64_t)patch - row->patch_max) : d;
}

// A row without the flag is that of aarch64 too, unless there is one with it (which is nearer).
static bool same_abi(const struct pyb_layout *row, unsigned flags)
{
    unsigned different = row->flags ^ flags;
    return different == 0 || (different == PYB_LAYOUT_AARCH64 && (flags & PYB_LAYOUT_AARCH64));
}

const struct pyb_layout *pyb_layout_find(int major, int minor, int patch, unsigned ptr_size, bool big_endian,
                                         unsigned flags, bool *ret_exact)
{
    bool known_patch = patch >= 0;
    if (!known_patch)
        patch = 99; // the newest
    const struct pyb_layout *best = NULL;
    uint64_t best_distance = UINT64_MAX;
    for (size_t i = 0; i < N_ROWS; i++) {
        const struct pyb_layout *row = &rows[i];
        unsigned different = row->flags ^ flags;
        if (row->ptr_size != ptr_size || (different & PYB_LAYOUT_FREETHREADED))
            continue;
        // Another ABI of the same release is nearer than the same ABI of another release.
        uint64_t d = distance(row, major, minor, patch) * 16;
        d += (different & ~PYB_LAYOUT_AARCH64 ? 8u : 0u) + (different & PYB_LAYOUT_TRACE_REFS ? 4u : 0u);
        d += (different & PYB_LAYOUT_AARCH64) ? 1u : 0u;
        if (d < best_distance) {
            best = row;
            best_distance = d;
        }
    }
    if (ret_exact)
        *ret_exact = best && best->major == major && best->minor == minor && patch >= best->patch_min &&
                     patch <= best->patch_max && same_abi(best, flags) && !big_endian &&
                     (known_patch || best->patch_min == 0);
    return best;
}
