// SPDX-License-Identifier: Apache-2.0
// The line table decoders. Input: format (1), first line (4), lasti (4), the table.
#include <stdlib.h>
#include <string.h>
#include "interp/code.h"
#include "interp/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
    if (!condition)
        abort();
}

// Whatever the table: a line or none, and no end before its beginning where columns are known.
static void sound(const struct pyb_position *p)
{
    require(p->column >= -1 && p->end_column >= -1);
    require(p->end_line == -1 || p->end_line >= p->line);
}

static void walk(const uint8_t *table, size_t len, int32_t first)
{
    struct pyb_location_iter it;
    uint64_t end = 0;
    size_t steps = 0;
    pyb_location_iter_init(&it, table, len, first);
    while (pyb_location_next(&it)) {
        require(it.start == end && it.end > it.start && it.next <= len && ++steps <= len);
        end = it.end;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int32_t numbers[2];
    if (size < 1 + sizeof numbers)
        return 0;
    memcpy(numbers, data + 1, sizeof numbers);
    const uint8_t *table = data + 1 + sizeof numbers;
    size_t len = size - 1 - sizeof numbers;
    struct pyb_position p;
    switch (data[0] % 4) {
    case 0:
    case 1:
        pyb_lines_lnotab(table, len, numbers[0], numbers[1], data[0] % 4 == 1, &p);
        break;
    case 2:
        pyb_lines_linetable310(table, len, numbers[0], numbers[1], &p);
        break;
    default:
        pyb_lines_locations(table, len, numbers[0], numbers[1], &p);
        walk(table, len, numbers[0]);
        if (numbers[0] >= 0 && p.line >= 0)
            sound(&p);
    }
    return 0;
}
