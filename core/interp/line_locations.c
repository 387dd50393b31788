// SPDX-License-Identifier: Apache-2.0
// Location tables, 3.11 and later: entries of a head byte and up to four numbers.
#include "interp/code.h"
#include "interp/line.h"

// The head byte: 1 in the top bit, four bits of kind, three bits of length in code units less one.
enum {
    KIND_SHORT_LAST = 9, // 0 to 9: same line, column group and width in one more byte
    KIND_LINE0 = 10,     // 10 to 12: line + 0 to 2, columns in two bytes
    KIND_LINE2 = 12,
    KIND_NO_COLUMNS = 13,
    KIND_LONG = 14,
    KIND_NONE = 15,
};

// Only a head byte has its top bit set: one where a number should be says that the entry was cut.
static bool byte(struct pyb_location_iter *it, uint32_t *ret)
{
    if (it->next >= it->len || it->table[it->next] & 0x80)
        return false;
    *ret = it->table[it->next++];
    return true;
}

// Six bits a byte, the lowest first; bit 6 says that more follow.
static bool varint(struct pyb_location_iter *it, uint32_t *ret)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift <= 30; shift += 6) {
        uint32_t b;
        if (!byte(it, &b))
            return false;
        value |= (uint64_t)(b & 0x3f) << shift;
        if (!(b & 0x40)) {
            *ret = (uint32_t)value;
            return value <= UINT32_MAX;
        }
    }
    return false;
}

// The lowest bit is the sign.
static bool svarint(struct pyb_location_iter *it, int64_t *ret)
{
    uint32_t u;
    if (!varint(it, &u))
        return false;
    *ret = u & 1 ? -(int64_t)(u >> 1) : (int64_t)(u >> 1);
    return true;
}

static bool move_line(struct pyb_location_iter *it, int64_t delta, int64_t span)
{
    it->line += delta;
    int64_t last = it->line + span;
    if (it->line < INT32_MIN || it->line > INT32_MAX || last > INT32_MAX)
        return false;
    it->position.line = (int32_t)it->line;
    it->position.end_line = (int32_t)last;
    return true;
}

static bool short_form(struct pyb_location_iter *it, uint32_t kind)
{
    uint32_t b;
    if (!byte(it, &b))
        return false;
    it->position.column = (int32_t)(kind * 8 + (b >> 4));
    it->position.end_column = it->position.column + (int32_t)(b & 15);
    return move_line(it, 0, 0);
}

static bool one_line_form(struct pyb_location_iter *it, uint32_t kind)
{
    uint32_t column, end_column;
    if (!byte(it, &column) || !byte(it, &end_column))
        return false;
    it->position.column = (int32_t)column;
    it->position.end_column = (int32_t)end_column;
    return move_line(it, kind - KIND_LINE0, 0);
}

static bool long_form(struct pyb_location_iter *it)
{
    int64_t delta;
    uint32_t span, column, end_column; // columns plus one; 0: none
    if (!svarint(it, &delta) || !varint(it, &span) || !varint(it, &column) || !varint(it, &end_column))
        return false;
    if (column > INT32_MAX || end_column > INT32_MAX)
        return false;
    it->position.column = (int32_t)column - 1;
    it->position.end_column = (int32_t)end_column - 1;
    return move_line(it, delta, span);
}

void pyb_location_iter_init(struct pyb_location_iter *it, const uint8_t *table, size_t len,
                            int32_t firstlineno)
{
    *it = (struct pyb_location_iter){.table = table, .len = len, .line = firstlineno};
}

bool pyb_location_next(struct pyb_location_iter *it)
{
    if (it->next >= it->len || !(it->table[it->next] & 0x80))
        return false;
    uint32_t head = it->table[it->next++];
    uint32_t kind = (head >> 3) & 15;
    it->start = it->end;
    it->end += ((head & 7) + 1) * 2;
    it->position = (struct pyb_position){-1, -1, -1, -1};
    if (kind == KIND_NONE)
        return true;
    if (kind <= KIND_SHORT_LAST)
        return short_form(it, kind);
    if (kind <= KIND_LINE2)
        return one_line_form(it, kind);
    if (kind == KIND_LONG)
        return long_form(it);
    int64_t delta;
    return svarint(it, &delta) && move_line(it, delta, 0);
}

void pyb_lines_locations(const uint8_t *table, size_t len, int32_t firstlineno, int32_t lasti,
                         struct pyb_position *ret)
{
    *ret = (struct pyb_position){-1, -1, -1, -1};
    if (lasti < 0) {
        ret->line = firstlineno;
        return;
    }
    struct pyb_location_iter it;
    pyb_location_iter_init(&it, table, len, firstlineno);
    while (pyb_location_next(&it))
        if (it.end > (uint64_t)lasti) {
            *ret = it.position;
            return;
        }
}
