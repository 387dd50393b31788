// SPDX-License-Identifier: Apache-2.0
// The typed reads, a front end's callback and the page cache, over a made-up address space with holes.
#include "unit.h"

#include "base/error.h"
#include "memory/readers.h"

#define BASE 0x100000u
#define PAGES 64u
#define PAGE 4096u

struct space {
    uint8_t bytes[PAGES * PAGE];
    bool missing[PAGES];
    size_t ends_at;      // bytes from here on are missing, 0: none
    bool all_or_nothing; // as a debugger: a range with a missing byte is refused
    bool fails;
    size_t calls;
};

static uint64_t space_read(void *ctx, pyb_addr addr, void *buf, uint64_t len)
{
    struct space *s = ctx;
    s->calls++;
    if (s->fails)
        return UINT64_MAX;
    uint64_t done = 0;
    for (; done < len; done++) {
        pyb_addr at = addr + done - BASE;
        if (addr + done < BASE || at >= sizeof(s->bytes) || s->missing[at / PAGE] ||
            (s->ends_at && at >= s->ends_at))
            break;
        ((uint8_t *)buf)[done] = s->bytes[at];
    }
    if (s->all_or_nothing && done < len)
        return 0;
    return done;
}

static struct space *new_space(void)
{
    struct space *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    for (size_t i = 0; i < sizeof(s->bytes); i++)
        s->bytes[i] = (uint8_t)(i * 7 + i / PAGE);
    return s;
}

static struct pyb_memory *open_space(struct space *s, uint8_t ptr_size, bool big)
{
    struct pyb_target_desc d = {.size = sizeof(d),
                                .ctx = s,
                                .read = space_read,
                                .ptr_size = ptr_size,
                                .big_endian = big,
                                .machine = 20};
    struct pyb_memory *m;
    struct pyb_error err;
    assert_ok(pyb_callback_open(unit_ctx(), &d, &m, &err), &err);
    assert_int_equal(m->machine, 20);
    return m;
}

static struct pyb_memory *open_cache(struct space *s, size_t max_pages)
{
    struct pyb_memory *m;
    struct pyb_error err;
    struct pyb_memory *below = open_space(s, 8, false);
    assert_ok(pyb_cache_open(below->ctx, below, max_pages, &m, &err), &err);
    return m;
}

static void typed_reads_decode_the_target(void **state)
{
    (void)state;
    struct space *s = new_space();
    const uint8_t raw[8] = {0xf1, 2, 3, 4, 5, 6, 7, 8};
    memcpy(s->bytes, raw, sizeof(raw));
    struct pyb_memory *m = open_space(s, 4, true);
    struct pyb_error err;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    int32_t i32;
    uint64_t u64;
    int64_t ssize;
    pyb_addr ptr;
    assert_ok(pyb_read_u8(m, BASE, &u8, &err), &err);
    assert_int_equal(u8, 0xf1);
    assert_ok(pyb_read_u16(m, BASE, &u16, &err), &err);
    assert_int_equal(u16, 0xf102);
    assert_ok(pyb_read_u32(m, BASE, &u32, &err), &err);
    assert_int_equal(u32, 0xf1020304);
    assert_ok(pyb_read_i32(m, BASE, &i32, &err), &err);
    assert_int_equal(i32, (int32_t)0xf1020304);
    assert_ok(pyb_read_u64(m, BASE, &u64, &err), &err);
    assert_true(u64 == 0xf102030405060708u);
    assert_ok(pyb_read_ptr(m, BASE, &ptr, &err), &err);
    assert_int_equal(ptr, 0xf1020304);
    assert_ok(pyb_read_ssize(m, BASE, &ssize, &err), &err);
    assert_true(ssize == (int32_t)0xf1020304);
    assert_int_equal(pyb_read_uint(m, BASE, 3, &u64, &err), PYB_E_USAGE);
    pyb_memory_destroy(m);
    m = open_space(s, 8, false);
    assert_ok(pyb_read_ptr(m, BASE, &ptr, &err), &err);
    assert_true(ptr == 0x08070605040302f1u);
    pyb_memory_destroy(m);
    free(s);
}

static void faults_name_the_first_missing_byte(void **state)
{
    (void)state;
    struct space *s = new_space();
    struct pyb_memory *m = open_space(s, 8, false);
    struct pyb_error err;
    uint8_t buf[64];
    s->missing[1] = true;
    assert_int_equal(pyb_read_bytes(m, BASE + PAGE - 10, buf, 64, &err), PYB_E_FAULT);
    assert_int_equal(err.addr, BASE + PAGE);
    assert_int_equal(err.length, 54);
    assert_non_null(strstr(err.what, "54 of 64 bytes"));
    size_t got;
    assert_ok(pyb_read_some(m, BASE + PAGE - 10, buf, 64, &got, &err), &err);
    assert_int_equal(got, 10);
    assert_memory_equal(buf, s->bytes + PAGE - 10, 10);
    assert_int_equal(pyb_read_some(m, BASE + PAGE, buf, 64, &got, &err), PYB_E_FAULT);
    size_t calls = s->calls;
    const pyb_addr senseless[] = {0, 8, 4095, UINT64_MAX, UINT64_MAX - 62};
    for (size_t i = 0; i < sizeof(senseless) / sizeof(senseless[0]); i++) {
        assert_int_equal(pyb_read_bytes(m, senseless[i], buf, 64, &err), PYB_E_FAULT);
        assert_int_equal(err.addr, senseless[i]);
        assert_int_equal(pyb_read_bytes(m, senseless[i], buf, 64, NULL), PYB_E_FAULT);
    }
    assert_int_equal(s->calls, calls); // never reached the reader
    assert_int_equal(pyb_read_bytes(m, UINT64_MAX - 63, buf, 0, &err), 0);
    pyb_memory_destroy(m);
    free(s);
}

static void vectored_reads_are_independent(void **state)
{
    (void)state;
    struct space *s = new_space();
    struct pyb_memory *m = open_space(s, 8, false);
    struct pyb_error err;
    uint8_t a[8] = {0}, b[8] = {0}, c[8] = {0}, d[8] = {0};
    struct pyb_range r[] = {{BASE, a, 8, 5}, {8, b, 8, 5}, {0x10, c, 8, 5}, {BASE + 100, d, 8, 5}};
    assert_ok(pyb_memory_readv(m, r, 4, &err), &err);
    assert_int_equal(r[0].done, 8);
    assert_int_equal(r[1].done, 0);
    assert_int_equal(r[2].done, 0);
    assert_int_equal(r[3].done, 8);
    assert_memory_equal(d, s->bytes + 100, 8);
    pyb_memory_destroy(m);
    free(s);
}

static void strings_stop_at_nul_limit_or_fault(void **state)
{
    (void)state;
    struct space *s = new_space();
    struct pyb_memory *m = open_space(s, 8, false);
    struct pyb_error err;
    char buf[2001];
    memset(s->bytes, 'x', 3 * PAGE);
    s->bytes[PAGE + 500] = '\0';
    assert_ok(pyb_read_cstr(m, BASE + PAGE - 700, buf, 2000, &err), &err);
    assert_int_equal(strlen(buf), 1200);
    assert_ok(pyb_read_cstr(m, BASE + PAGE - 700, buf, 100, &err), &err);
    assert_int_equal(strlen(buf), 100);
    assert_ok(pyb_read_cstr(m, BASE + PAGE + 500, buf, 100, &err), &err);
    assert_string_equal(buf, "");
    s->missing[2] = true;
    assert_int_equal(pyb_read_cstr(m, BASE + 2 * PAGE - 7, buf, 100, &err), PYB_E_FAULT);
    assert_string_equal(buf, "xxxxxxx");
    // The NUL is the last readable byte: what follows is not asked for.
    s->bytes[2 * PAGE - 1] = '\0';
    assert_ok(pyb_read_cstr(m, BASE + 2 * PAGE - 7, buf, 100, &err), &err);
    assert_string_equal(buf, "xxxxxx");
    pyb_memory_destroy(m);
    free(s);
}

static void callback_is_asked_page_by_page_when_it_refuses(void **state)
{
    (void)state;
    struct space *s = new_space();
    struct pyb_memory *m = open_space(s, 8, false);
    struct pyb_error err;
    uint8_t *buf = malloc(5 * PAGE);
    s->all_or_nothing = true;
    s->missing[3] = true;
    size_t got;
    assert_ok(pyb_read_some(m, BASE + 100, buf, 5 * PAGE, &got, &err), &err);
    assert_int_equal(got, 3 * PAGE - 100);
    assert_memory_equal(buf, s->bytes + 100, got);
    free(buf);
    pyb_memory_destroy(m);
    free(s);
}

static bool is_interrupted(void *ctx)
{
    return *(bool *)ctx;
}

static void callback_that_fails_is_an_error(void **state)
{
    (void)state;
    struct space *s = new_space();
    struct pyb_memory *m = open_space(s, 8, false);
    struct pyb_error err;
    uint8_t byte;
    s->fails = true;
    assert_int_equal(pyb_read_u8(m, BASE, &byte, &err), PYB_E_FAILED);
    assert_int_equal(err.addr, BASE);
    bool interrupted = true; // Ctrl-C made it fail
    m->ctx->abort = is_interrupted;
    m->ctx->abort_ctx = &interrupted;
    assert_int_equal(pyb_read_u8(m, BASE, &byte, &err), PYB_E_ABORTED);
    m->ctx->abort = NULL;
    pyb_memory_destroy(m);
    struct pyb_target_desc d = {.size = sizeof(d), .ptr_size = 8};
    assert_int_equal(pyb_callback_open(unit_ctx(), &d, &m, &err), PYB_E_USAGE);
    d.read = space_read;
    d.ptr_size = 3;
    assert_int_equal(pyb_callback_open(unit_ctx(), &d, &m, &err), PYB_E_USAGE);
    free(s);
}

static void cache_reads_each_page_once(void **state)
{
    (void)state;
    struct space *s = new_space();
    struct pyb_memory *m = open_cache(s, 0);
    struct pyb_error err;
    for (int round = 0; round < 3; round++) {
        for (size_t at = 0; at < 10 * PAGE - 8; at += 61) {
            uint64_t value, want;
            assert_ok(pyb_read_u64(m, BASE + at, &value, &err), &err);
            memcpy(&want, s->bytes + at, 8);
            assert_true(value == want);
        }
    }
    assert_int_equal(s->calls, 10);
    assert_true(pyb_cache_hits(m) > 2000);
    // Stale until told, fresh then.
    uint8_t byte, old = s->bytes[5];
    s->bytes[5] = (uint8_t)~old;
    assert_ok(pyb_read_u8(m, BASE + 5, &byte, &err), &err);
    assert_int_equal(byte, old);
    pyb_memory_invalidate(m);
    assert_ok(pyb_read_u8(m, BASE + 5, &byte, &err), &err);
    assert_int_equal(byte, (uint8_t)~old);
    assert_int_equal(s->calls, 11);
    pyb_memory_destroy(m);
    free(s);
}

static void cache_evicts_the_least_recently_used(void **state)
{
    (void)state;
    for (size_t max = 1; max <= 9; max++) {
        struct space *s = new_space();
        struct pyb_memory *m = open_cache(s, max);
        struct pyb_error err;
        uint8_t byte;
        // Page 0 is used between all others: only with one page it goes.
        for (size_t i = 0; i < 500; i++) {
            assert_ok(pyb_read_u8(m, BASE, &byte, &err), &err);
            assert_int_equal(byte, s->bytes[0]);
            size_t page = 1 + i % 20;
            assert_ok(pyb_read_u8(m, BASE + page * PAGE, &byte, &err), &err);
            assert_int_equal(byte, s->bytes[page * PAGE]);
        }
        assert_int_equal(s->calls, max == 1 ? 1000 : 501);
        // Ranges longer than the cache come whole.
        uint8_t *buf = malloc(PAGES * PAGE);
        struct pyb_range r[] = {{BASE + 1, buf, 30 * PAGE, 0},
                                {BASE + 3 * PAGE, buf + 31 * PAGE, 20 * PAGE, 0}};
        assert_ok(pyb_memory_readv(m, r, 2, &err), &err);
        assert_int_equal(r[0].done, 30 * PAGE);
        assert_int_equal(r[1].done, 20 * PAGE);
        assert_memory_equal(buf, s->bytes + 1, 30 * PAGE);
        assert_memory_equal(buf + 31 * PAGE, s->bytes + 3 * PAGE, 20 * PAGE);
        free(buf);
        pyb_memory_destroy(m);
        free(s);
    }
}

// Against the plain space: any reads in any order give the same bytes, with pages missing and cut.
static void cache_agrees_with_what_it_caches(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (int round = 0; round < 40; round++) {
        struct space *s = new_space();
        for (size_t i = 0; i < PAGES; i++)
            s->missing[i] = rand_r(&seed) % 5 == 0;
        if (round % 2) {
            s->missing[60] = s->missing[61] = false;
            s->ends_at = 60 * PAGE + 1000;
        }
        s->all_or_nothing = round % 4 >= 2;
        struct pyb_memory *m = open_cache(s, (size_t[]){0, 1, 3, 20}[round / 4 % 4]);
        struct pyb_error err;
        uint8_t *buf = malloc(4 * 16 * PAGE);
        for (int i = 0; i < 300; i++) {
            struct pyb_range r[4];
            for (size_t k = 0; k < 4; k++)
                r[k] = (struct pyb_range){
                    .addr = BASE - 2 * PAGE + (unsigned)rand_r(&seed) % ((PAGES + 4) * PAGE),
                    .buf = buf + k * 16 * PAGE,
                    .len = (unsigned)rand_r(&seed) % (rand_r(&seed) % 2 ? 16 * PAGE : 64)};
            if (rand_r(&seed) % 4 == 0)
                pyb_memory_prefetch(m, r, 4);
            assert_ok(pyb_memory_readv(m, r, 4, &err), &err);
            for (size_t k = 0; k < 4; k++) {
                uint8_t want[16 * PAGE];
                bool strict = s->all_or_nothing;
                s->all_or_nothing = false;
                size_t n = (size_t)space_read(s, r[k].addr, want, r[k].len);
                s->all_or_nothing = strict;
                // A debugger that refuses a range can be asked for this very range only: the last page may
                // come short.
                bool cut_page = strict && s->ends_at && r[k].addr + n == BASE + s->ends_at && n < r[k].len;
                if (!cut_page)
                    assert_int_equal(r[k].done, n);
                assert_memory_equal(r[k].buf, want, r[k].done);
            }
        }
        free(buf);
        pyb_memory_destroy(m);
        free(s);
    }
}

static void cache_delivers_a_page_that_ends_early(void **state)
{
    (void)state;
    for (int strict = 0; strict < 2; strict++) {
        struct space *s = new_space();
        s->ends_at = 2 * PAGE + 100;
        s->all_or_nothing = strict;
        struct pyb_memory *m = open_cache(s, 0);
        struct pyb_error err;
        uint8_t buf[100];
        assert_ok(pyb_read_bytes(m, BASE + 2 * PAGE, buf, 100, &err), &err);
        assert_memory_equal(buf, s->bytes + 2 * PAGE, 100);
        assert_ok(pyb_read_bytes(m, BASE + 2 * PAGE - 50, buf, 100, &err), &err);
        assert_memory_equal(buf, s->bytes + 2 * PAGE - 50, 100);
        assert_int_equal(pyb_read_bytes(m, BASE + 2 * PAGE + 1, buf, 100, &err), PYB_E_FAULT);
        pyb_memory_destroy(m);
        free(s);
    }
}

struct counting { // a reader that notes how it is called
    struct pyb_memory base;
    struct pyb_memory *below;
    size_t calls, ranges;
    int fail;
};
static int counting_readv(struct pyb_memory *m, struct pyb_range *r, size_t n, struct pyb_error *err)
{
    struct counting *c = (struct counting *)m;
    c->calls++;
    c->ranges += n;
    return c->fail ? pyb_fail(err, c->fail, "told to fail") : pyb_memory_readv(c->below, r, n, err);
}
static void counting_destroy(struct pyb_memory *m)
{
    pyb_memory_destroy(((struct counting *)m)->below);
}
static const struct pyb_memory_ops counting_ops = {
    .name = "counting", .readv = counting_readv, .destroy = counting_destroy};

static void prefetch_is_one_vectored_read(void **state)
{
    (void)state;
    struct space *s = new_space();
    struct counting c = {.below = open_space(s, 8, false)};
    c.base = *c.below;
    c.base.ops = &counting_ops;
    struct pyb_memory *m;
    struct pyb_error err;
    assert_ok(pyb_cache_open(c.base.ctx, &c.base, 0, &m, &err), &err);
    s->missing[7] = true;
    struct pyb_range r[300];
    for (size_t i = 0; i < 300; i++) // several in each page, none in order, some senseless
        r[i] = (struct pyb_range){.addr = i % 50 == 49 ? 16 : BASE + (i * 37 % 60) * PAGE + i,
                                  .len = i == 5 ? SIZE_MAX : 40};
    pyb_memory_prefetch(m, r, 300);
    assert_int_equal(c.calls, 1);
    assert_true(c.ranges > 40 && c.ranges <= 60);
    uint8_t byte;
    for (size_t i = 0; i < 300; i++)
        if (i % 50 != 49 && r[i].len == 40)
            (void)pyb_read_u8(m, r[i].addr, &byte, &err);
    assert_true(c.calls <= 1 + 10); // page 7 only
    c.fail = PYB_E_GONE;
    pyb_memory_invalidate(m);
    pyb_memory_prefetch(m, r, 300); // says nothing
    assert_int_equal(pyb_read_u8(m, BASE, &byte, &err), PYB_E_GONE);
    c.fail = 0;
    assert_ok(pyb_read_u8(m, BASE, &byte, &err), &err); // the failure was not cached
    assert_int_equal(byte, s->bytes[0]);
    assert_ptr_equal(pyb_cache_below(m), &c.base);
    pyb_memory_destroy(m);
    free(s);
}

static void large_reads_pass_by(void **state)
{
    (void)state;
    struct space *s = new_space();
    struct pyb_memory *m = open_cache(s, 0);
    struct pyb_error err;
    uint8_t *buf = malloc(2 << 20), byte;
    assert_ok(pyb_read_u8(m, BASE, &byte, &err), &err);
    size_t calls = s->calls, got;
    assert_ok(pyb_read_some(m, BASE, buf, 2 << 20, &got, &err), &err);
    assert_int_equal(got, sizeof(s->bytes));
    assert_memory_equal(buf, s->bytes, got);
    assert_true(s->calls - calls <= 2);
    calls = s->calls;
    assert_ok(pyb_read_u8(m, BASE + 1, &byte, &err), &err);
    assert_int_equal(s->calls, calls);
    free(buf);
    pyb_memory_destroy(m);
    free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(typed_reads_decode_the_target),
        cmocka_unit_test(faults_name_the_first_missing_byte),
        cmocka_unit_test(vectored_reads_are_independent),
        cmocka_unit_test(strings_stop_at_nul_limit_or_fault),
        cmocka_unit_test(callback_is_asked_page_by_page_when_it_refuses),
        cmocka_unit_test(callback_that_fails_is_an_error),
        cmocka_unit_test(cache_reads_each_page_once),
        cmocka_unit_test(cache_evicts_the_least_recently_used),
        cmocka_unit_test(cache_agrees_with_what_it_caches),
        cmocka_unit_test(cache_delivers_a_page_that_ends_early),
        cmocka_unit_test(prefetch_is_one_vectored_read),
        cmocka_unit_test(large_reads_pass_by),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
