// SPDX-License-Identifier: Apache-2.0
// The pure half of repr(). What is expected here is what Python prints, typed in by hand;
// tests/live/test_repr.py compares many more.
#include "unit.h"

#include <locale.h>
#include <math.h>

#include "interp/repr_text.h"

static struct pyb_buf out;

static const char *taken(void)
{
    static char text[4096];
    snprintf(text, sizeof text, "%s", pyb_buf_str(&out));
    pyb_buf_deinit(&out);
    pyb_buf_init(&out, unit_ctx(), 0);
    return text;
}

static const char *shown(double value)
{
    pyb_repr_double(value, true, false, &out);
    return taken();
}

static const struct {
    double value;
    const char *text;
} FLOATS[] = {
    {0.0, "0.0"},           {-0.0, "-0.0"},      {1.0, "1.0"},         {0.1, "0.1"},
    {1e16, "1e+16"},        {1e15, "1000000000000000.0"}, {123456789012345680.0, "1.2345678901234568e+17"},
    {1e-4, "0.0001"},       {1e-5, "1e-05"},     {1.5e-7, "1.5e-07"},  {1e22, "1e+22"},
    {1e23, "1e+23"},        {5e-324, "5e-324"},  {1.7976931348623157e308, "1.7976931348623157e+308"},
    {0.1 + 0.2, "0.30000000000000004"},          {2.2250738585072014e-308, "2.2250738585072014e-308"},
    {1e100, "1e+100"},      {-1234.5, "-1234.5"},
};

static void test_floats(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof FLOATS / sizeof *FLOATS; i++)
        assert_string_equal(shown(FLOATS[i].value), FLOATS[i].text);
    assert_string_equal(shown(INFINITY), "inf");
    assert_string_equal(shown(-INFINITY), "-inf");
    assert_string_equal(shown(-NAN), "nan");
}

// Every power of two reads back as itself, and no shorter text does: where rounding is lopsided.
static void test_powers_of_two(void **state)
{
    (void)state;
    for (int e = -1074; e < 1024; e++) {
        double value = ldexp(1, e);
        assert_true(strtod(shown(value), NULL) == value);
    }
    assert_string_equal(shown(ldexp(1, -44)), "5.684341886080802e-14");
    assert_string_equal(shown(ldexp(1, -1022)), "2.2250738585072014e-308");
}

// A debugger sets the user's locale: where 1.5 is written 1,5 the text stays Python's.
static void test_locale(void **state)
{
    (void)state;
    static const char *const COMMA[] = {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8", "de_DE"};
    for (size_t i = 0; i < sizeof COMMA / sizeof *COMMA; i++)
        if (setlocale(LC_NUMERIC, COMMA[i]))
            break;
    assert_string_equal(shown(1.5), "1.5");
    assert_string_equal(shown(1e300), "1e+300");
    setlocale(LC_NUMERIC, "C");
}

static void test_complex(void **state)
{
    (void)state;
    pyb_repr_complex(0.0, 1.0, &out);
    assert_string_equal(taken(), "1j");
    pyb_repr_complex(-0.0, -0.0, &out);
    assert_string_equal(taken(), "(-0-0j)");
    pyb_repr_complex(1.5, NAN, &out);
    assert_string_equal(taken(), "(1.5+nanj)");
    pyb_repr_complex(INFINITY, 1e20, &out);
    assert_string_equal(taken(), "(inf+1e+20j)");
}

static void test_float32(void **state)
{
    (void)state;
    float tenth = 0.1f;
    uint32_t bits;
    memcpy(&bits, &tenth, sizeof bits);
    pyb_repr_float32(bits, &out);
    assert_string_equal(taken(), "0.1");
}

static void test_bigint(void **state)
{
    (void)state;
    const uint32_t zero[1] = {0}, one[] = {1}, two_64[] = {0, 0, 16}, small[] = {0x7fff, 0x7fff};
    assert_int_equal(pyb_repr_bigint(unit_ctx(), zero, 0, 30, false, &out), 0);
    assert_string_equal(taken(), "0");
    assert_int_equal(pyb_repr_bigint(unit_ctx(), one, 1, 30, true, &out), 0);
    assert_string_equal(taken(), "-1");
    assert_int_equal(pyb_repr_bigint(unit_ctx(), two_64, 3, 30, false, &out), 0);
    assert_string_equal(taken(), "18446744073709551616");
    assert_int_equal(pyb_repr_bigint(unit_ctx(), small, 2, 15, false, &out), 0);
    assert_string_equal(taken(), "1073741823");
}

static void test_codepoints(void **state)
{
    (void)state;
    const unsigned v = pyb_unicode_version(11);
    pyb_repr_codepoint('\'', '\'', v, &out);
    pyb_repr_codepoint('"', '\'', v, &out);
    pyb_repr_codepoint('\n', '\'', v, &out);
    pyb_repr_codepoint(0x7f, '\'', v, &out);
    pyb_repr_codepoint(0xe9, '\'', v, &out);
    pyb_repr_codepoint(0xad, '\'', v, &out);
    pyb_repr_codepoint(0x200b, '\'', v, &out);
    pyb_repr_codepoint(0xdc80, '\'', v, &out);
    pyb_repr_codepoint(0xe0001, '\'', v, &out);
    assert_string_equal(taken(), "\\'\"\\n\\x7f\xc3\xa9\\xad\\u200b\\udc80\\U000e0001");
    pyb_repr_codepoint(0xe9, '\'', 0, &out);
    assert_string_equal(taken(), "\\xe9");
    assert_int_equal(pyb_repr_quote(true, false), '"');
    assert_int_equal(pyb_repr_quote(true, true), '\'');
}

static void test_unicode_grows(void **state)
{
    (void)state;
    assert_false(pyb_unicode_printable(0x1fae8, pyb_unicode_version(11))); // of Unicode 15
    assert_true(pyb_unicode_printable(0x1fae8, pyb_unicode_version(12)));
    assert_true(pyb_unicode_printable(' ', pyb_unicode_version(3)));
    assert_false(pyb_unicode_printable(0xa0, pyb_unicode_version(99)));
    assert_false(pyb_unicode_printable(0x110000, pyb_unicode_version(15)));
    assert_int_equal(pyb_unicode_version(99), pyb_unicode_version(15));
}

static void test_bytes(void **state)
{
    (void)state;
    const uint8_t data[] = {0, '\t', 'a', '\'', '\\', 0xff};
    pyb_repr_bytes(data, sizeof data, '\'', &out);
    assert_string_equal(taken(), "\\x00\\ta\\'\\\\\\xff");
}

int main(void)
{
    pyb_buf_init(&out, unit_ctx(), 0);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floats),     cmocka_unit_test(test_powers_of_two),
            cmocka_unit_test(test_locale),
        cmocka_unit_test(test_complex),    cmocka_unit_test(test_float32),
            cmocka_unit_test(test_bigint),
        cmocka_unit_test(test_codepoints), cmocka_unit_test(test_unicode_grows), cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
