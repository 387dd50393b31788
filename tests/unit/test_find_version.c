// SPDX-License-Identifier: Apache-2.0
// Which CPython: numbers, names and texts as interpreters really carry them, and texts of others that look like them.
#include "unit.h"

#include "interp/version.h"

static void expect(const struct pyb_version *v, const char *text, unsigned abi)
{
    char buf[48];
    pyb_version_text(v, buf, sizeof(buf));
    assert_string_equal(buf, text);
    assert_int_equal(v->abi, abi);
}

static void test_hex(void **state)
{
    (void)state;
    struct pyb_version v;
    assert_true(pyb_version_from_hex(0x030b02f0, &v));
    expect(&v, "3.11.2", 0);
    assert_true(pyb_version_from_hex(0x030f00c1, &v));
    expect(&v, "3.15.0rc1", 0);
    assert_true(pyb_version_from_hex(0x030e00a7, &v));
    expect(&v, "3.14.0a7", 0);
    static const uint64_t bad[] = {0, 0x030b0200, 0x030b02d0, 0x040000f0, 0x020900f0, 0x1030b02f0, UINT64_MAX};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(pyb_version_from_hex(bad[i], &v));
}

static void test_names(void **state)
{
    (void)state;
    static const struct { const char *name, *text; unsigned abi; } good[] = {
        {"libpython3.11.so.1.0", "3.11", 0},
        {"/usr/lib/x86_64-linux-gnu/libpython3.7m.so.1.0", "3.7", 0},
        {"libpython3.13td.so.1.0", "3.13", PYB_LAYOUT_DEBUG | PYB_LAYOUT_FREETHREADED},
        {"/usr/bin/python2.7", "2.7", 0},
        {"/usr/bin/python3.14d", "3.14", PYB_LAYOUT_DEBUG},
        {"/usr/bin/python2.7-dbg", "2.7", PYB_LAYOUT_DEBUG},
        {"/opt/python3.9/bin/python3.10", "3.10", 0},
    };
    struct pyb_version v;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        assert_true(pyb_version_from_name(good[i].name, &v));
        expect(&v, good[i].text, good[i].abi);
    }
    static const char *const bad[] = {"python3", "libpython3.so", "/opt/python3.9/bin/uwsgi", "python", "python9.1", "", "python3.1234"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(pyb_version_from_name(bad[i], &v));
}

#define BANNER(text) text, sizeof(text)

static void test_banner(void **state)
{
    (void)state;
    static const struct { const char *data; size_t len; const char *text; unsigned abi; } good[] = {
        {BANNER("xx\0" "3.11.2 (main, Mar 13 2023, 12:18:29) [GCC 12.2.0]\0"), "3.11.2", 0},
        {BANNER("\0\0" "2.7.18 (default, Feb  1 2024, 10:00:00) \n[GCC 12.2.0]\0"), "2.7.18", 0},
        {BANNER("\0" "3.13.0 experimental free-threading build (main, Oct  7 2024, 01:02:03) [GCC 12.2.0]\0"), "3.13.0",
         PYB_LAYOUT_FREETHREADED},
        {BANNER("\0" "3.14.0 free-threading build (main, Oct  7 2025, 01:02:03) [Clang 20.1.4 ]\0"), "3.14.0", PYB_LAYOUT_FREETHREADED},
        {BANNER("\0" "3.15.0rc1 (main, Aug 1 2026, 01:02:03) [GCC 15.2.0]\0"), "3.15.0rc1", 0},
        {BANNER("(a) (b)\0" "3.8.5+ (heads/3.8:1234, Jan  1 2020, 00:00:00) \n[GCC 9]\0"), "3.8.5+", 0},
    };
    struct pyb_version v;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        assert_true(pyb_version_scan_banner(good[i].data, good[i].len, &v));
        expect(&v, good[i].text, good[i].abi);
    }
    static const struct { const char *data; size_t len; } bad[] = {
        {BANNER("3.11 (main, x) [GCC]")}, {BANNER("3.40.1 (main)")},   {BANNER("version 3.11.2 (main, x) [GCC]")},
        {BANNER("3.11.2(main) [x]")},     {BANNER("3.11.2 (main, ")}, {BANNER("(((((((((((((")},
        {BANNER("")},                     {BANNER("4.1.2 (a) [b]")},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_false(pyb_version_scan_banner(bad[i].data, bad[i].len, &v));
}

static void test_constants(void **state)
{
    (void)state;
    // A statically linked sqlite ("3.40.1") and an embedded zlib version come before Python's own.
    static const char data[] = "3.40.1\0" "1.2.13\0" "lib/python3.11\0" "%d.%d\0" "3.11.2\0" ".cpython-311d-x86_64-linux-gnu.so\0";
    struct pyb_version_evidence ev = {0};
    pyb_version_scan_constants(data, sizeof(data), NULL, &ev);
    assert_true(ev.has[PYB_VERSION_TAG] && ev.has[PYB_VERSION_PATH] && ev.has[PYB_VERSION_LITERAL]);
    expect(&ev.from[PYB_VERSION_LITERAL], "3.11.2", 0);
    expect(&ev.from[PYB_VERSION_TAG], "3.11", PYB_LAYOUT_DEBUG);
    expect(&ev.from[PYB_VERSION_PATH], "3.11", 0);
    struct pyb_version v;
    unsigned agreeing;
    const char *note;
    assert_int_equal(pyb_version_decide(&ev, &v, &agreeing, &note), 0);
    expect(&v, "3.11.2", PYB_LAYOUT_DEBUG);
    assert_int_equal(agreeing, 3);
    assert_null(note);

    static const char old[] = "\0lib/python2.7\0x\0" "2.7.18\0cpython-\0cpython-3";
    memset(&ev, 0, sizeof(ev));
    pyb_version_scan_constants(old, sizeof(old), NULL, &ev);
    assert_false(ev.has[PYB_VERSION_TAG]);
    expect(&ev.from[PYB_VERSION_LITERAL], "2.7.18", 0);

    static const char none[] = "3.40.1\0https://docs.python.org/3.11\0cpython-compat\0/usr/lib/python2.5/site-packages\0";
    memset(&ev, 0, sizeof(ev));
    pyb_version_scan_constants(none, sizeof(none), NULL, &ev);
    for (int i = 0; i < PYB_VERSION_SOURCES; i++)
        assert_false(ev.has[i]);
}

static void add(struct pyb_version_evidence *ev, enum pyb_version_source source, int minor, int micro)
{
    ev->has[source] = true;
    ev->from[source] = (struct pyb_version){.major = 3, .minor = minor, .micro = micro};
}

static void test_decide(void **state)
{
    (void)state;
    struct pyb_version v;
    unsigned agreeing;
    const char *note;
    struct pyb_version_evidence ev = {0};
    assert_int_equal(pyb_version_decide(&ev, &v, &agreeing, &note), PYB_E_NOTFOUND);

    add(&ev, PYB_VERSION_FILE, 8, -1); // one source: said so
    assert_int_equal(pyb_version_decide(&ev, &v, &agreeing, &note), 0);
    expect(&v, "3.8", 0);
    assert_int_equal(agreeing, 1);
    assert_non_null(note);

    add(&ev, PYB_VERSION_BANNER, 8, 18);
    assert_int_equal(pyb_version_decide(&ev, &v, &agreeing, &note), 0);
    expect(&v, "3.8.18", 0);
    assert_int_equal(agreeing, 2);
    assert_null(note);

    // A file that somebody renamed to python3.8; the symbol and the banner know better.
    memset(&ev, 0, sizeof(ev));
    add(&ev, PYB_VERSION_FILE, 8, -1);
    add(&ev, PYB_VERSION_SYMBOL, 11, 2);
    add(&ev, PYB_VERSION_BANNER, 11, 2);
    assert_int_equal(pyb_version_decide(&ev, &v, &agreeing, &note), 0);
    expect(&v, "3.11.2", 0);
    assert_non_null(note);

    // The best ranked one stands alone against two that agree: the two win.
    memset(&ev, 0, sizeof(ev));
    add(&ev, PYB_VERSION_SYMBOL, 12, 0);
    add(&ev, PYB_VERSION_BANNER, 11, 2);
    add(&ev, PYB_VERSION_SONAME, 11, -1);
    assert_int_equal(pyb_version_decide(&ev, &v, &agreeing, &note), 0);
    expect(&v, "3.11.2", 0);
    // Different patch levels do not agree.
    memset(&ev, 0, sizeof(ev));
    add(&ev, PYB_VERSION_SYMBOL, 11, 3);
    add(&ev, PYB_VERSION_BANNER, 11, 2);
    assert_int_equal(pyb_version_decide(&ev, &v, &agreeing, &note), 0);
    assert_int_equal(agreeing, 1);
    assert_non_null(note);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_hex), cmocka_unit_test(test_names), cmocka_unit_test(test_banner),
                                       cmocka_unit_test(test_constants), cmocka_unit_test(test_decide)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
