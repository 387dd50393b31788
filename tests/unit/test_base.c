// SPDX-License-Identifier: Apache-2.0
#include "unit.h"

#include <errno.h>
#include <time.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/map.h"

static void error_has_code_text_and_place(void **state)
{
    (void)state;
    struct pyb_error err;
    assert_int_equal(pyb_fail(&err, PYB_E_CORRUPT, "size %d", -7), PYB_E_CORRUPT);
    assert_int_equal(err.code, PYB_E_CORRUPT);
    assert_string_equal(err.what, "size -7");
    assert_string_equal(err.remedy, "");
    assert_int_equal(pyb_fail_at(&err, PYB_E_FAULT, 0x1234, 8, "x"), PYB_E_FAULT);
    assert_int_equal(err.addr, 0x1234);
    assert_int_equal(err.length, 8);
    assert_int_equal(pyb_fail_errno(&err, EACCES, "%s", "/x"), PYB_E_PERM);
    assert_string_equal(err.what, "/x: Permission denied");
    assert_int_equal(err.sys_errno, EACCES);
    assert_int_equal(pyb_remedy(&err, "do %s", "this"), PYB_E_PERM);
    assert_string_equal(err.remedy, "do this");
    assert_string_equal(err.what, "/x: Permission denied");
}

static void error_may_be_null(void **state)
{
    (void)state;
    assert_int_equal(pyb_fail(NULL, PYB_E_LIMIT, "%d", 1), PYB_E_LIMIT);
    assert_int_equal(pyb_fail_at(NULL, PYB_E_FAULT, 1, 1, "x"), PYB_E_FAULT);
    assert_int_equal(pyb_fail_errno(NULL, ENOENT, "x"), PYB_E_NOENT);
    assert_int_equal(pyb_fail_errno(NULL, ESRCH, "x"), PYB_E_GONE);
}

static void error_text_is_one_printable_line(void **state)
{
    (void)state;
    struct pyb_error err;
    pyb_fail(&err, PYB_E_FAILED, "%s",
             "a\x1b[31m\nb\x7f\xc2\x9b"
             "c\xc3\xa9");
    assert_string_equal(err.what, "a?[31m?b???c\xc3\xa9");
    // Cut within a character of two bytes: none of it stays.
    char text[1000];
    memset(text, 'a', sizeof(text));
    for (size_t i = 1; i + 1 < sizeof(text); i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    text[sizeof(text) - 1] = '\0';
    pyb_fail(&err, PYB_E_FAILED, "%s", text);
    assert_int_equal(strlen(err.what), sizeof(err.what) - 1);
    assert_int_equal((unsigned char)err.what[sizeof(err.what) - 2], 0xa9);
    pyb_fail(&err, PYB_E_FAILED, "%s", text + 1);
    assert_int_equal(strlen(err.what), sizeof(err.what) - 2);
    assert_int_equal((unsigned char)err.what[sizeof(err.what) - 3], 0xa9);
}

static void arena_is_zeroed_and_aligned(void **state)
{
    (void)state;
    struct pyb_arena a;
    pyb_arena_init(&a, unit_ctx());
    for (size_t n = 0; n < 5000; n += 7) {
        unsigned char *p = pyb_arena_alloc(&a, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xaa, n);
    }
    assert_string_equal(pyb_arena_printf(&a, "%s %d", "x", 5), "x 5");
    assert_string_equal(pyb_arena_strndup(&a, "abc", 2), "ab");
    assert_string_equal(pyb_arena_strdup(&a, ""), "");
    assert_null(pyb_arena_array(&a, SIZE_MAX / 2, 4));
    assert_null(pyb_arena_alloc(&a, SIZE_MAX));
    pyb_arena_deinit(&a);
}

static void arena_ends_at_its_limit(void **state)
{
    (void)state;
    struct pyb_options o = {.size = sizeof(o), .max_bytes = 100000};
    struct pyb_ctx ctx;
    pyb_ctx_init(&ctx, &o);
    struct pyb_arena a;
    pyb_arena_init(&a, &ctx);
    assert_null(pyb_arena_alloc(&a, 100000));
    size_t total = 0;
    while (pyb_arena_alloc(&a, 64))
        total += 64;
    assert_true(total > 90000 && total <= 100000);
    assert_true(a.total <= 100000);
    pyb_arena_deinit(&a);
}

static void buf_grows_and_sticks_at_its_limit(void **state)
{
    (void)state;
    struct pyb_buf b;
    pyb_buf_init(&b, unit_ctx(), 0);
    assert_string_equal(pyb_buf_str(&b), "");
    for (int i = 0; i < 1000; i++)
        pyb_buf_printf(&b, "%d,", i);
    assert_int_equal(b.len, 10 * 2 + 90 * 3 + 900 * 4);
    assert_memory_equal(pyb_buf_str(&b) + b.len - 4, "999,", 5);
    char big[5001];
    memset(big, 'x', 5000);
    big[5000] = '\0';
    pyb_buf_clear(&b);
    pyb_buf_printf(&b, "<%s>", big);
    assert_int_equal(b.len, 5002);
    assert_int_equal(b.data[5001], '>');
    pyb_buf_deinit(&b);

    pyb_buf_init(&b, unit_ctx(), 10);
    pyb_buf_adds(&b, "12345678");
    pyb_buf_printf(&b, "%s", "abcd");
    assert_string_equal(pyb_buf_str(&b), "12345678ab");
    assert_true(b.limited);
    pyb_buf_addc(&b, 'z');
    assert_string_equal(pyb_buf_str(&b), "12345678ab");
    pyb_buf_clear(&b);
    pyb_buf_adds(&b, "12345678");
    pyb_buf_add_codepoint(&b, 0x20ac); // three bytes: whole or not at all
    assert_string_equal(pyb_buf_str(&b), "12345678");
    assert_true(b.limited);
    pyb_buf_deinit(&b);
}

static const char *utf8(struct pyb_buf *b, const char *data, size_t n)
{
    pyb_buf_clear(b);
    pyb_buf_add_utf8(b, data, n);
    return pyb_buf_str(b);
}

static void buf_writes_only_utf8(void **state)
{
    (void)state;
    struct pyb_buf b;
    pyb_buf_init(&b, unit_ctx(), 0);
    pyb_buf_add_codepoint(&b, 'A');
    pyb_buf_add_codepoint(&b, 0xe9);
    pyb_buf_add_codepoint(&b, 0x20ac);
    pyb_buf_add_codepoint(&b, 0x1f600);
    assert_string_equal(pyb_buf_str(&b), "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    pyb_buf_clear(&b);
    pyb_buf_add_codepoint(&b, 0xdc80);
    pyb_buf_add_codepoint(&b, 0xd800);
    pyb_buf_add_codepoint(&b, 0x110000);
    assert_string_equal(pyb_buf_str(&b), "\\udc80\\ud800\\U00110000");
    assert_string_equal(utf8(&b, "ab\xc3\xa9\xf4\x8f\xbf\xbf", 8), "ab\xc3\xa9\xf4\x8f\xbf\xbf");
    // Overlong, surrogate, above U+10FFFF, lone continuation, cut at the end: Python's backslashreplace.
    assert_string_equal(utf8(&b, "\xc0\xaf", 2), "\\xc0\\xaf");
    assert_string_equal(utf8(&b, "\xe0\x80\xaf", 3), "\\xe0\\x80\\xaf");
    assert_string_equal(utf8(&b, "\xed\xa0\x80", 3), "\\xed\\xa0\\x80");
    assert_string_equal(utf8(&b, "\xf4\x90\x80\x80", 4), "\\xf4\\x90\\x80\\x80");
    assert_string_equal(utf8(&b, "x\x80y", 3), "x\\x80y");
    assert_string_equal(utf8(&b, "x\xe2\x82", 3), "x\\xe2\\x82");
    pyb_buf_deinit(&b);
}

static void map_keeps_what_was_put(void **state)
{
    (void)state;
    struct pyb_map m;
    pyb_map_init(&m, unit_ctx());
    uintptr_t v = 99;
    assert_false(pyb_map_get(&m, 1, &v));
    assert_int_equal(v, 99);
    for (uint64_t i = 0; i < 10000; i++)
        assert_int_equal(pyb_map_put(&m, i * 4096, (uintptr_t)(i + 1)), 0);
    assert_int_equal(pyb_map_put(&m, 4096, 7), 0);
    assert_int_equal(pyb_map_put(&m, UINT64_MAX, 0), 0);
    assert_int_equal(m.used, 10001);
    for (uint64_t i = 0; i < 10000; i++) {
        assert_true(pyb_map_get(&m, i * 4096, &v));
        assert_int_equal(v, i == 1 ? 7 : i + 1);
        assert_false(pyb_map_get(&m, i * 4096 + 1, NULL));
    }
    assert_true(pyb_map_get(&m, UINT64_MAX, NULL));
    pyb_map_clear(&m);
    assert_false(pyb_map_get(&m, 4096, NULL));
    assert_int_equal(pyb_map_put(&m, 4096, 8), 0);
    assert_true(pyb_map_get(&m, 4096, &v));
    pyb_map_deinit(&m);
}

static void bytes_decode_both_orders(void **state)
{
    (void)state;
    const uint8_t raw[8] = {0x81, 2, 3, 4, 5, 6, 7, 0x88};
    struct pyb_bytes little = pyb_bytes(raw, sizeof(raw), 8, false),
                     big = pyb_bytes(raw, sizeof(raw), 4, true);
    assert_int_equal(pyb_get_u16(&little, 0), 0x0281);
    assert_int_equal(pyb_get_u16(&big, 0), 0x8102);
    assert_int_equal(pyb_get_u32(&little, 1), 0x05040302);
    assert_int_equal(pyb_get_u32(&big, 1), 0x02030405);
    assert_true(pyb_get_u64(&little, 0) == 0x8807060504030281u);
    assert_true(pyb_get_u64(&big, 0) == 0x8102030405060788u);
    assert_true(pyb_get_ptr(&little, 0) == 0x8807060504030281u);
    assert_int_equal(pyb_get_ptr(&big, 4), 0x05060788);
    assert_int_equal(pyb_get_ssize(&big, 0), (int32_t)0x81020304);
    assert_int_equal(pyb_get_int(&big, 0, 1), -127);
    assert_int_equal(pyb_get_int(&big, 7, 1), (int8_t)0x88);
    assert_int_equal(pyb_get_int(&big, 1, 2), 0x203);
    assert_int_equal(pyb_get_int(&little, 6, 2), (int16_t)0x8807);
    assert_false(little.bad);
    assert_false(big.bad);
}

static void bytes_never_reach_beyond_their_end(void **state)
{
    (void)state;
    uint8_t *raw = malloc(5); // on the heap: valgrind and ASan see one byte too far
    assert_non_null(raw);
    memset(raw, 0xff, 5);
    const size_t offsets[] = {2, 5, 6, SIZE_MAX, SIZE_MAX - 2, SIZE_MAX - 3};
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        struct pyb_bytes b = pyb_bytes(raw, 5, 8, false);
        assert_int_equal(pyb_get_u32(&b, offsets[i]), 0);
        assert_true(b.bad);
        assert_int_equal(pyb_get_u8(&b, 0), 0xff);
        assert_true(b.bad);
    }
    struct pyb_bytes b = pyb_bytes(raw, 5, 8, false);
    assert_int_equal(pyb_get_uint(&b, 0, 3), 0);
    assert_true(b.bad);
    b = pyb_bytes(NULL, 0, 8, false);
    assert_int_equal(pyb_get_u8(&b, 0), 0);
    assert_true(b.bad);
    free(raw);
}

static bool say_stop(void *ctx)
{
    ++*(int *)ctx;
    return *(int *)ctx > 2;
}

static void context_asks_for_abort_and_clock(void **state)
{
    (void)state;
    int asked = 0;
    struct pyb_options o = {.size = sizeof(o), .abort = say_stop, .abort_ctx = &asked};
    struct pyb_ctx ctx;
    pyb_ctx_init(&ctx, &o);
    pyb_ctx_begin(&ctx);
    struct pyb_error err;
    int checks = 0;
    while (pyb_ctx_check(&ctx, &err) == 0)
        checks++;
    assert_int_equal(checks, 128);
    assert_int_equal(asked, 3);
    assert_int_equal(err.code, PYB_E_ABORTED);
    assert_int_equal(pyb_ctx_check(&ctx, NULL), PYB_E_ABORTED); // stays so

    struct pyb_options timed = {.size = sizeof(timed), .max_ms = 20};
    pyb_ctx_init(&ctx, &timed);
    pyb_ctx_begin(&ctx);
    assert_int_equal(pyb_ctx_check(&ctx, &err), 0);
    struct timespec t = {.tv_nsec = 25000000};
    nanosleep(&t, NULL);
    int rc = 0;
    for (int i = 0; i < 64 && rc == 0; i++)
        rc = pyb_ctx_check(&ctx, &err);
    assert_int_equal(rc, PYB_E_LIMIT);
    pyb_ctx_begin(&ctx);
    assert_int_equal(pyb_ctx_check(&ctx, &err), 0);
}

static size_t live_blocks;
static void *counting_alloc(void *ctx, size_t n)
{
    size_t *left = ctx;
    if (*left == 0)
        return NULL;
    --*left;
    live_blocks++;
    void *p = malloc(n);
    if (p)
        memset(p, 0x5a, n); // ours must zero it
    return p;
}
static void counting_free(void *ctx, void *p)
{
    (void)ctx;
    live_blocks--;
    free(p);
}

static void callers_allocator_is_used_and_may_fail(void **state)
{
    (void)state;
    size_t left = 4;
    // An older caller: its struct ended before max_ms.
    struct pyb_options o = {.size = offsetof(struct pyb_options, max_ms),
                            .alloc = counting_alloc,
                            .free = counting_free,
                            .alloc_ctx = &left,
                            .max_ms = 1,
                            .abort = say_stop};
    struct pyb_ctx ctx;
    pyb_ctx_init(&ctx, &o);
    assert_int_equal(ctx.max_ms, 0);
    assert_null(ctx.abort);
    char *p = pyb_strdup(&ctx, "text");
    assert_string_equal(p, "text");
    p = pyb_realloc(&ctx, p, 5, 50);
    assert_string_equal(p, "text");
    for (int i = 5; i < 50; i++)
        assert_int_equal(p[i], 0);
    struct pyb_buf b;
    pyb_buf_init(&b, &ctx, 0);
    for (int i = 0; i < 1000; i++)
        pyb_buf_adds(&b, "0123456789");
    assert_true(b.failed);
    assert_true(b.len > 0 && b.len < 10000);
    assert_int_equal(strlen(b.data), b.len);
    struct pyb_map m;
    pyb_map_init(&m, &ctx);
    assert_int_equal(pyb_map_put(&m, 1, 1), PYB_E_NOMEM);
    pyb_map_deinit(&m);
    pyb_buf_deinit(&b);
    pyb_free(&ctx, p);
    assert_int_equal(live_blocks, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_has_code_text_and_place),
        cmocka_unit_test(error_may_be_null),
        cmocka_unit_test(error_text_is_one_printable_line),
        cmocka_unit_test(arena_is_zeroed_and_aligned),
        cmocka_unit_test(arena_ends_at_its_limit),
        cmocka_unit_test(buf_grows_and_sticks_at_its_limit),
        cmocka_unit_test(buf_writes_only_utf8),
        cmocka_unit_test(map_keeps_what_was_put),
        cmocka_unit_test(bytes_decode_both_orders),
        cmocka_unit_test(bytes_never_reach_beyond_their_end),
        cmocka_unit_test(context_asks_for_abort_and_clock),
        cmocka_unit_test(callers_allocator_is_used_and_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
