// SPDX-License-Identifier: Apache-2.0
// The line table decoders on tables written by hand, form by form, and on tables that are none. (Whole
// standard libraries: tests/live/test_linetables.py.)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "interp/code.h"
#include "interp/line.h"

static void is(struct pyb_position p, int32_t line, int32_t end_line, int32_t column, int32_t end_column)
{
    assert_int_equal(p.line, line);
    assert_int_equal(p.end_line, end_line);
    assert_int_equal(p.column, column);
    assert_int_equal(p.end_column, end_column);
}

static void lnotab_is(const char *table, size_t len, int32_t lasti, bool is_signed, int32_t line)
{
    struct pyb_position p;
    pyb_lines_lnotab((const uint8_t *)table, len, 10, lasti, is_signed, &p);
    is(p, line, -1, -1, -1);
}
#define LNOTAB(table, lasti, is_signed, line) lnotab_is(table, sizeof(table) - 1, lasti, is_signed, line)

static void lnotab(void **state)
{
    (void)state;
    LNOTAB("", 0, false, 10);
    LNOTAB("\x06\x01\x08\x02", -1, false, 10);
    LNOTAB("\x06\x01\x08\x02", 5, false, 10); // the instruction at 6 is the next line's
    LNOTAB("\x06\x01\x08\x02", 6, false, 11);
    LNOTAB("\x06\x01\x08\x02", 13, false, 11);
    LNOTAB("\x06\x01\x08\x02", 14, false, 13);
    LNOTAB("\x06\x01\x08\x02", 1000000, false, 13);
    LNOTAB("\x00\x05\x06\x01", -1, false, 10);
    LNOTAB("\x00\x05\x06\x01", 0, false, 15);
    LNOTAB("\xff\x00\x2d\x01", 299, false, 10); // 300 bytes on
    LNOTAB("\xff\x00\x2d\x01", 300, false, 11);
    LNOTAB("\x06\xff\x00\x2d", 6, false, 310);  // 300 lines on
    LNOTAB("\x06\xff\x02\x05", 7, true, 9);     // a line back, 3.6+
    LNOTAB("\x06\xff\x02\x05", 8, true, 14);
    LNOTAB("\x06\x01\x08", 20, false, 11);      // half a pair at the end
}

static void lnotab_overflow(void **state)
{
    (void)state;
    uint8_t table[] = {0, 127, 0, 127};
    struct pyb_position p;
    pyb_lines_lnotab(table, sizeof table, INT32_MAX - 200, 0, true, &p);
    is(p, -1, -1, -1, -1);
}

static void linetable310_is(const char *table, size_t len, int32_t lasti, int32_t line)
{
    struct pyb_position p;
    pyb_lines_linetable310((const uint8_t *)table, len, 10, lasti, &p);
    is(p, line, -1, -1, -1);
}
#define LINETABLE(table, lasti, line) linetable310_is(table, sizeof(table) - 1, lasti, line)

static void linetable310(void **state)
{
    (void)state;
    LINETABLE("\x06\x01\x02\x80\x04\x01", -1, 10);
    LINETABLE("\x06\x01\x02\x80\x04\x01", 0, 11);
    LINETABLE("\x06\x01\x02\x80\x04\x01", 4, 11);
    LINETABLE("\x06\x01\x02\x80\x04\x01", 6, -1);  // no line: an artificial instruction
    LINETABLE("\x06\x01\x02\x80\x04\x01", 8, 12);  // goes on from the last real line
    LINETABLE("\x06\x01\x02\x80\x04\x01", 12, -1); // outside the table
    LINETABLE("\x00\x7f\x00\x7f\x02\x02", 0, 266); // empty ranges carry large distances
    LINETABLE("\x04\x05\x04\xfb", 4, 10);
    LINETABLE("\x04\x05\x04", 4, -1);
    LINETABLE("", 0, -1);
}

static void locations_are(const char *table, size_t len, int32_t lasti, int32_t l, int32_t el, int32_t c,
                          int32_t ec)
{
    // A copy of exactly that size, so that a step beyond the end is seen by the sanitizers.
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, table, len);
    struct pyb_position p;
    pyb_lines_locations(copy, len, 10, lasti, &p);
    free(copy);
    is(p, l, el, c, ec);
}
#define LOCATIONS(table, lasti, ...) locations_are(table, sizeof(table) - 1, lasti, __VA_ARGS__)

// Arrays end with a 0 that LOCATIONS drops, as the NUL of a literal.
#define HEAD(kind, units) (char)(0x80 | (kind) << 3 | ((units) - 1))

static void locations_forms(void **state)
{
    (void)state;
    char short3[] = {HEAD(3, 2), 0x5a, 0}; // column 3*8 + 5, ten wide
    LOCATIONS(short3, 0, 10, 10, 29, 39);
    LOCATIONS(short3, 2, 10, 10, 29, 39);
    LOCATIONS(short3, 4, -1, -1, -1, -1);
    LOCATIONS(short3, -1, 10, -1, -1, -1);
    char line2[] = {HEAD(12, 1), 100, 120, HEAD(10, 1), 1, 2, 0};
    LOCATIONS(line2, 0, 12, 12, 100, 120);
    LOCATIONS(line2, 2, 12, 12, 1, 2);
    char no_columns[] = {HEAD(13, 8), 0x03, HEAD(13, 1), 0x04, 0}; // -1, then +2
    LOCATIONS(no_columns, 15, 9, 9, -1, -1);
    LOCATIONS(no_columns, 16, 11, 11, -1, -1);
    char none[] = {HEAD(15, 1), HEAD(11, 1), 4, 5, 0};
    LOCATIONS(none, 1, -1, -1, -1, -1);
    LOCATIONS(none, 2, 11, 11, 4, 5);
}

static void locations_long(void **state)
{
    (void)state;
    // Lines +100 (svarint 200: 0x48, 0x03), three more (3), column 200 (201: 0x49, 0x03), end column 7 (8).
    char table[] = {HEAD(14, 1), 0x48, 0x03, 3, 0x49, 0x03, 8, 0};
    LOCATIONS(table, 0, 110, 113, 200, 7);
    char no_column[] = {HEAD(14, 1), 2, 0, 0, 0, 0};
    LOCATIONS(no_column, 0, 11, 11, -1, -1);
}

static void locations_malformed(void **state)
{
    (void)state;
    LOCATIONS("", 0, -1, -1, -1, -1);
    LOCATIONS("\x05", 0, -1, -1, -1, -1);                        // does not begin with a head
    char cut[] = {HEAD(3, 1), 0x5a, HEAD(14, 1), 2, 0, 1, 0};    // what precedes the fault still counts
    LOCATIONS(cut, 0, 10, 10, 29, 39);
    LOCATIONS(cut, 2, -1, -1, -1, -1);
    char head_inside[] = {HEAD(14, 1), 2, HEAD(3, 1), 0x5a, 0};
    LOCATIONS(head_inside, 0, -1, -1, -1, -1);
    char endless[] = {HEAD(13, 1), 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0x7f, 0};
    LOCATIONS(endless, 0, -1, -1, -1, -1);
    char huge[] = {HEAD(13, 1), 0x7e, 0x7f, 0x7f, 0x7f, 0x7f, 0x03, 0}; // + 2^31 - 1
    LOCATIONS(huge, 0, -1, -1, -1, -1);
}

static void iterator_covers(void **state)
{
    (void)state;
    uint8_t table[] = {(uint8_t)HEAD(3, 2), 0x5a, (uint8_t)HEAD(15, 8), (uint8_t)HEAD(11, 1), 4, 5};
    struct pyb_location_iter it;
    pyb_location_iter_init(&it, table, sizeof table, 10);
    uint64_t ends[] = {4, 20, 22}, start = 0;
    for (size_t i = 0; i < 3; i++) {
        assert_true(pyb_location_next(&it));
        assert_int_equal(it.start, start);
        assert_int_equal(it.end, ends[i]);
        start = it.end;
    }
    assert_false(pyb_location_next(&it));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lnotab),          cmocka_unit_test(lnotab_overflow), cmocka_unit_test(linetable310),
        cmocka_unit_test(locations_forms), cmocka_unit_test(locations_long),
            cmocka_unit_test(locations_malformed),
        cmocka_unit_test(iterator_covers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
