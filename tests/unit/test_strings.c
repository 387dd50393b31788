// SPDX-License-Identifier: Apache-2.0
// str objects of every model, word size and byte order, made by hand; and objects that are none.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "made_layout.h"
#include "made_target.h"
#include "interp/string.h"

#define UNICODE ((uint64_t)1 << 28)
#define BYTES ((uint64_t)1 << 27)

struct world {
    struct made f;
    pyb_addr str, bytes, other; // types
};

static void begin(struct world *w, enum pyb_unicode_model model, unsigned unit, unsigned ptr_size,
                  bool big_endian)
{
    struct pyb_layout l = made_layout_nothing(ptr_size, big_endian);
    made_layout_objects(&l);
    made_layout_strings(&l, model, unit);
    made_init(&w->f, &l);
    w->str = made_type(&w->f, "str", UNICODE);
    w->bytes = made_type(&w->f, "bytes", BYTES);
    w->other = made_type(&w->f, "int", 1 << 24);
}

static void reads(struct world *w, pyb_addr addr, const char *expected)
{
    const char *text = NULL;
    bool cut = true;
    struct pyb_error err = {0};
    assert_int_equal(pyb_string_read(&w->f.py, addr, PYB_STRING_MAX, &w->f.py.arena, &text, &cut, &err), 0);
    assert_string_equal(text, expected);
    assert_false(cut);
}

static pyb_addr compact(struct world *w, unsigned kind, bool ascii, const uint32_t *chars, size_t n)
{
    return made_compact(&w->f, w->str, kind, ascii, chars, n);
}
#define COMPACT(w, kind, ...) \
    compact(w, kind, false, (uint32_t[]){__VA_ARGS__}, sizeof((uint32_t[]){__VA_ARGS__}) / 4)

static void check_compact(enum pyb_unicode_model model, unsigned ptr_size, bool big_endian)
{
    struct world w;
    begin(&w, model, 4, ptr_size, big_endian);
    reads(&w, made_ascii(&w.f, w.str, ""), "");
    reads(&w, made_ascii(&w.f, w.str, "main"), "main");
    reads(&w, COMPACT(&w, 1, 0xe9, 't', 0xff), "\xc3\xa9t\xc3\xbf");
    reads(&w, COMPACT(&w, 2, 0x6f22, 0x5b57), "\xe6\xbc\xa2\xe5\xad\x97");
    reads(&w, COMPACT(&w, 4, 0x1f40d, 'x'), "\xf0\x9f\x90\x8dx");
    reads(&w, COMPACT(&w, 2, 'a', 0xdc80, 'b'), "a\\udc80b");       // surrogateescape
    reads(&w, COMPACT(&w, 2, 0xd83d, 0xdc0d), "\\ud83d\\udc0d");    // two characters, never one
    reads(&w, COMPACT(&w, 1, 'a', 0, 'b'), "a\\x00b");
    reads(&w, COMPACT(&w, 1, 0x1b, '['), "\x1b[");                  // the output layers escape these
    made_deinit(&w.f);
}

static void compact_forms(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        check_compact(PYB_UNICODE_33, i & 1 ? 4 : 8, i & 2);
        check_compact(PYB_UNICODE_312, i & 1 ? 4 : 8, i & 2);
    }
}

static pyb_addr legacy(struct world *w, bool ready, unsigned kind, const uint32_t *chars, size_t n)
{
    struct made *f = &w->f;
    const struct pyb_layout *l = &f->py.layout;
    pyb_addr data = made_alloc(f, n * kind + 4), o = made_alloc(f, l->unicode_size);
    for (size_t i = 0; i < n; i++)
        made_put(f, data + i * kind, kind, chars[i]);
    made_set(f, o, l->obj_type, w->str);
    made_bits(f, o, l->ascii_ready, ready);
    made_bits(f, o, l->ascii_kind, ready ? kind : 0);
    made_set(f, o, ready ? l->ascii_length : l->compact_wstr_length, n);
    made_set(f, o, ready ? l->unicode_data : l->ascii_wstr, data);
    return o;
}

static void legacy_forms(void **state)
{
    (void)state;
    struct world w;
    const uint32_t chars[] = {'f', 0x6f22, '!'}, astral[] = {0x1f40d}, pair[] = {0xd83d, 0xdc0d};
    begin(&w, PYB_UNICODE_33, 4, 8, false);
    reads(&w, legacy(&w, true, 2, chars, 3), "f\xe6\xbc\xa2!");
    reads(&w, legacy(&w, false, 4, chars, 3), "f\xe6\xbc\xa2!");
    reads(&w, legacy(&w, false, 4, astral, 1), "\xf0\x9f\x90\x8d");
    w.f.py.layout.unicode_unit = 2; // a 16-bit wchar_t
    reads(&w, legacy(&w, false, 2, pair, 2), "\xf0\x9f\x90\x8d");
    w.f.py.layout.unicode_unit = PYB_ABSENT; // four bytes unless the layout says otherwise
    reads(&w, legacy(&w, false, 4, chars, 3), "f\xe6\xbc\xa2!");
    made_deinit(&w.f);
    begin(&w, PYB_UNICODE_312, 4, 8, false); // a subclass's instance: not compact, and no `ready`
    reads(&w, legacy(&w, true, 2, chars, 3), "f\xe6\xbc\xa2!");
    made_deinit(&w.f);
}

static pyb_addr old_unicode(struct world *w, const uint32_t *units, size_t n)
{
    struct made *f = &w->f;
    const struct pyb_layout *l = &f->py.layout;
    unsigned unit = (unsigned)l->unicode_unit;
    pyb_addr data = made_alloc(f, (n + 1) * unit), o = made_alloc(f, l->unicode_size);
    for (size_t i = 0; i < n; i++)
        made_put(f, data + i * unit, unit, units[i]);
    made_set(f, o, l->obj_type, w->str);
    made_set(f, o, l->unicode_length, n);
    made_set(f, o, l->unicode_str, data);
    return o;
}

static void python27(void **state)
{
    (void)state;
    const uint32_t pair[] = {'a', 0xd83d, 0xdc0d, 0xd83d, 'b', 0xd83d}, wide[] = {0x1f40d, 0xd83d, 0xdc0d};
    for (unsigned i = 0; i < 4; i++) {
        struct world w;
        begin(&w, PYB_UNICODE_27, 2, i & 1 ? 4 : 8, i & 2);
        reads(&w, made_bytes(&w.f, w.bytes, "main", 4), "main");
        reads(&w, made_bytes(&w.f, w.bytes, "\xc3\xa9\xff", 3), "\xc3\xa9\\xff"); // bytes that are not UTF-8
        reads(&w, made_bytes(&w.f, w.bytes, "a\0b\0", 4), "a\\x00b\\x00");
        reads(&w, old_unicode(&w, pair, 6), "a\xf0\x9f\x90\x8d\\ud83db\\ud83d");
        w.f.py.layout.unicode_unit = 4;
        reads(&w, old_unicode(&w, wide, 3), "\xf0\x9f\x90\x8d\\ud83d\\udc0d");
        made_deinit(&w.f);
    }
}

static void long_ones(void **state)
{
    (void)state;
    struct world w;
    begin(&w, PYB_UNICODE_33, 4, 8, false);
    static uint32_t chars[10000];
    for (size_t i = 0; i < 10000; i++)
        chars[i] = (uint32_t)('a' + i % 26);
    pyb_addr o = compact(&w, 2, false, chars, 10000); // several windows
    const char *text = NULL;
    bool cut = false;
    assert_int_equal(pyb_string_read(&w.f.py, o, PYB_STRING_MAX, &w.f.py.arena, &text, &cut, NULL), 0);
    assert_int_equal(strlen(text), 10000);
    for (size_t i = 0; i < 10000; i++)
        assert_int_equal(text[i], chars[i]);
    assert_false(cut);
    assert_int_equal(pyb_string_read(&w.f.py, o, 5, &w.f.py.arena, &text, &cut, NULL), 0);
    assert_string_equal(text, "abcde");
    assert_true(cut);
    uint32_t points[8];
    size_t n = 0;
    int64_t total = 0;
    assert_int_equal(pyb_string_codepoints(&w.f.py, o, points, 8, &n, &total, NULL), 0);
    assert_int_equal(n, 8);
    assert_int_equal(total, 10000);
    assert_memory_equal(points, chars, sizeof points);
    made_deinit(&w.f);
}

static void equality(void **state)
{
    (void)state;
    struct world w;
    begin(&w, PYB_UNICODE_33, 4, 8, false);
    pyb_addr o = made_ascii(&w.f, w.str, "_MainThread");
    assert_true(pyb_string_equals(&w.f.py, o, "_MainThread"));
    assert_false(pyb_string_equals(&w.f.py, o, "_MainThrea"));
    assert_false(pyb_string_equals(&w.f.py, o, "_MainThreadx"));
    assert_false(pyb_string_equals(&w.f.py, o, "_mainThread"));
    assert_true(pyb_string_equals(&w.f.py, COMPACT(&w, 4, 'a', 'b'), "ab"));
    assert_false(pyb_string_equals(&w.f.py, COMPACT(&w, 4, 'a', 0x162), "ab"));
    assert_false(pyb_string_equals(&w.f.py, w.other, "ab"));
    assert_true(pyb_string_equals(&w.f.py, made_ascii(&w.f, w.str, ""), ""));
    made_deinit(&w.f);
}

static void bytes_objects(void **state)
{
    (void)state;
    struct world w;
    begin(&w, PYB_UNICODE_33, 4, 8, false);
    uint8_t data[4] = {0};
    size_t n = 0;
    int64_t total = 0;
    pyb_addr o = made_bytes(&w.f, w.bytes, "\0\1\2\3\4\5", 6);
    assert_int_equal(pyb_bytes_object_read(&w.f.py, o, data, 4, &n, &total, NULL), 0);
    assert_int_equal(n, 4);
    assert_int_equal(total, 6);
    assert_memory_equal(data, "\0\1\2\3", 4);
    assert_int_equal(pyb_bytes_object_read(&w.f.py, made_ascii(&w.f, w.str, "x"), data, 4, &n, &total, NULL),
                     PYB_E_CORRUPT);
    made_deinit(&w.f);
}

static int fails(struct world *w, pyb_addr addr)
{
    const char *text = NULL;
    struct pyb_error err = {0};
    int code = pyb_string_read(&w->f.py, addr, PYB_STRING_MAX, &w->f.py.arena, &text, NULL, &err);
    assert_true(code < 0);
    assert_int_equal(err.code, code);
    assert_true(strlen(err.what) > 0);
    return code;
}

static void no_strings(void **state)
{
    (void)state;
    struct world w;
    begin(&w, PYB_UNICODE_33, 4, 8, false);
    const struct pyb_layout *l = &w.f.py.layout;
    assert_int_equal(fails(&w, 0), PYB_E_FAULT);
    assert_int_equal(fails(&w, MADE_BASE + MADE_SIZE), PYB_E_FAULT);
    assert_int_equal(fails(&w, UINT64_MAX - 8), PYB_E_FAULT);
    pyb_addr o = made_ascii(&w.f, w.str, "x");
    made_set(&w.f, o, l->obj_type, w.other);
    assert_int_equal(fails(&w, o), PYB_E_CORRUPT);
    o = made_ascii(&w.f, w.str, "x");
    made_set(&w.f, o, l->ascii_length, (uint64_t)-1); // a negative size
    assert_int_equal(fails(&w, o), PYB_E_CORRUPT);
    w.f.used = MADE_SIZE - 256;                       // at the end of memory
    o = made_ascii(&w.f, w.str, "x");
    made_set(&w.f, o, l->ascii_length, 1u << 30);     // more than there is
    assert_int_equal(fails(&w, o), PYB_E_FAULT);
    w.f.used = MADE_SIZE / 2;
    o = COMPACT(&w, 1, 'a');
    made_bits(&w.f, o, l->ascii_kind, 7);             // kind 7: none
    assert_int_equal(fails(&w, o), PYB_E_CORRUPT);
    w.f.py.layout.ascii_length.offset = PYB_ABSENT;
    assert_int_equal(fails(&w, made_ascii(&w.f, w.str, "x")), PYB_E_UNSUPPORTED);
    made_deinit(&w.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compact_forms), cmocka_unit_test(legacy_forms), cmocka_unit_test(python27),
        cmocka_unit_test(long_ones),     cmocka_unit_test(equality),     cmocka_unit_test(bytes_objects),
        cmocka_unit_test(no_strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
