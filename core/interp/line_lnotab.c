// SPDX-License-Identifier: Apache-2.0
// co_lnotab, up to 3.9, and co_linetable of 3.10: pairs of bytes.
#include "interp/code.h"
#include "interp/line.h"

static const struct pyb_position nowhere = {-1, -1, -1, -1};

// A line number that no int holds is the sign of a table that is none.
static bool line_ok(int64_t line)
{
    return line >= INT32_MIN && line <= INT32_MAX;
}

// PyCode_Addr2Line: a pair says how far the next line's first instruction is, and by how much the line grows
// there.
void pyb_lines_lnotab(const uint8_t *table, size_t len, int32_t firstlineno, int32_t lasti,
                      bool signed_deltas, struct pyb_position *ret)
{
    *ret = nowhere;
    int64_t line = firstlineno;
    uint64_t addr = 0;
    for (size_t i = 0; lasti >= 0 && i + 1 < len; i += 2) {
        addr += table[i];
        if (addr > (uint64_t)lasti)
            break;
        line += signed_deltas ? (int8_t)table[i + 1] : table[i + 1];
        if (!line_ok(line))
            return;
    }
    ret->line = (int32_t)line;
}

// PyLineTable_NextAddressRange: a pair is a range's length and its line's distance from the line before,
// -128: no line.
void pyb_lines_linetable310(const uint8_t *table, size_t len, int32_t firstlineno, int32_t lasti,
                            struct pyb_position *ret)
{
    *ret = nowhere;
    if (lasti < 0) {
        ret->line = firstlineno;
        return;
    }
    int64_t line = firstlineno;
    uint64_t end = 0;
    for (size_t i = 0; i + 1 < len; i += 2) {
        int delta = (int8_t)table[i + 1];
        end += table[i];
        if (delta != -128)
            line += delta;
        if (!line_ok(line))
            return;
        if (end > (uint64_t)lasti) {
            ret->line = delta == -128 ? -1 : (int32_t)line;
            return;
        }
    }
}
