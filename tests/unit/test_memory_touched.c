// SPDX-License-Identifier: Apache-2.0
// What a sampler keeps of a page cache: which pages were asked for, and what they hold at the next moment.
#include "unit.h"

#include "memory/cache.h"
#include "memory/readers.h"

#define BASE 0x200000u
#define PAGES 16u

struct space {
    uint8_t bytes[PAGES * PYB_PAGE];
    size_t end; // bytes from here on are missing
};

static uint64_t space_read(void *ctx, pyb_addr addr, void *buf, uint64_t len)
{
    struct space *s = ctx;
    if (addr < BASE || addr - BASE >= s->end)
        return 0;
    uint64_t rest = s->end - (addr - BASE);
    len = len < rest ? len : rest;
    memcpy(buf, s->bytes + (addr - BASE), len);
    return len;
}

static struct pyb_memory *open_space(struct space *s)
{
    struct pyb_target_desc d = {.size = sizeof(d), .ctx = s, .read = space_read, .ptr_size = 8, .machine = 62};
    struct pyb_memory *m;
    struct pyb_error err;
    memset(s, 0, sizeof(*s));
    s->end = sizeof(s->bytes);
    assert_ok(pyb_callback_open(unit_ctx(), &d, &m, &err), &err);
    return m;
}

static uint8_t get(struct pyb_memory *m, pyb_addr addr)
{
    uint8_t byte = 0;
    struct pyb_error err;
    assert_ok(pyb_read_u8(m, addr, &byte, &err), &err);
    return byte;
}

static void pages_come_back_by_one_read_and_are_new(void **state)
{
    (void)state;
    static struct space s;
    struct pyb_memory *below = open_space(&s), *m;
    struct pyb_error err;
    struct pyb_range *pages = NULL;
    size_t n = 0, cap = 0;
    assert_ok(pyb_cache_borrow(unit_ctx(), below, &m, &err), &err);
    struct pyb_range ahead = {.addr = BASE + 9 * PYB_PAGE, .len = 2 * PYB_PAGE};
    pyb_memory_prefetch(m, &ahead, 1); // of these only the second is asked for
    (void)get(m, BASE + 10 * PYB_PAGE);
    (void)get(m, BASE + 3 * PYB_PAGE + 7);
    (void)get(m, BASE + 5 * PYB_PAGE);
    assert_int_equal(pyb_cache_touched(m, &pages, &n, &cap), 0);
    assert_int_equal(n, 3);
    assert_int_equal(pages[0].addr, BASE + 3 * PYB_PAGE);
    assert_int_equal(pages[2].addr, BASE + 10 * PYB_PAGE);
    for (uint8_t round = 1; round < 4; round++) {
        s.bytes[3 * PYB_PAGE + 7] = round;
        pyb_memory_invalidate(m);
        uint64_t before = below->n_reads;
        pyb_memory_prefetch(m, pages, n);
        assert_int_equal(get(m, BASE + 3 * PYB_PAGE + 7), round);
        (void)get(m, BASE + 5 * PYB_PAGE);
        (void)get(m, BASE + 10 * PYB_PAGE);
        assert_int_equal(below->n_reads, before + 1);
        assert_int_equal(pyb_cache_touched(m, &pages, &n, &cap), 0);
        assert_int_equal(n, 3);
    }
    // What is not asked for any more is not fetched again.
    pyb_memory_invalidate(m);
    pyb_memory_prefetch(m, pages, n);
    (void)get(m, BASE + 5 * PYB_PAGE);
    assert_int_equal(pyb_cache_touched(m, &pages, &n, &cap), 0);
    assert_int_equal(n, 1);
    assert_int_equal(pages[0].addr, BASE + 5 * PYB_PAGE);
    pyb_free(unit_ctx(), pages);
    pyb_memory_destroy(m); // not below, which it borrows
    assert_int_equal(get(below, BASE), 0);
    pyb_memory_destroy(below);
}

static void views_stay_within_what_is_there(void **state)
{
    (void)state;
    static struct space s;
    struct pyb_memory *below = open_space(&s), *m;
    struct pyb_error err;
    uint8_t own[64];
    const void *at;
    s.end = 2 * PYB_PAGE + 100; // the third page ends early
    for (size_t i = 0; i < sizeof(s.bytes); i++)
        s.bytes[i] = (uint8_t)(i * 7 + i / PYB_PAGE);
    assert_ok(pyb_cache_borrow(unit_ctx(), below, &m, &err), &err);
    (void)get(m, BASE + 2 * PYB_PAGE);
    assert_ok(pyb_view_bytes(m, BASE + 2 * PYB_PAGE + 36, own, 64, &at, &err), &err);
    assert_ptr_not_equal(at, own);
    assert_memory_equal(at, s.bytes + 2 * PYB_PAGE + 36, 64);
    assert_int_equal(pyb_view_bytes(m, BASE + 2 * PYB_PAGE + 37, own, 64, &at, &err), PYB_E_FAULT);
    assert_int_equal(pyb_view_bytes(m, BASE + 2 * PYB_PAGE + 100, own, 1, &at, &err), PYB_E_FAULT);
    // Across two pages: copied.
    assert_ok(pyb_view_bytes(m, BASE + PYB_PAGE - 32, own, 64, &at, &err), &err);
    assert_ptr_equal(at, own);
    assert_memory_equal(at, s.bytes + PYB_PAGE - 32, 64);
    // Nowhere, and around the end of the address space.
    assert_int_equal(pyb_view_bytes(m, 8, own, 8, &at, &err), PYB_E_FAULT);
    assert_int_equal(pyb_view_bytes(m, UINT64_MAX - 3, own, 64, &at, &err), PYB_E_FAULT);
    pyb_memory_destroy(m);
    pyb_memory_destroy(below);
}

static const uint8_t *look(struct pyb_memory *m, struct pyb_window *w, pyb_addr addr)
{
    static uint8_t own[8];
    const void *at;
    struct pyb_error err;
    assert_ok(pyb_window_bytes(m, w, addr, own, sizeof(own), &at, &err), &err);
    return at;
}

static void renewed_pages_are_new_and_windows_closed(void **state)
{
    (void)state;
    static struct space s;
    struct pyb_memory *below = open_space(&s), *m;
    struct pyb_error err;
    assert_ok(pyb_cache_borrow(unit_ctx(), below, &m, &err), &err);
    struct pyb_range pages[3] = {{.addr = BASE + PYB_PAGE, .len = PYB_PAGE}, {.addr = BASE + 4 * PYB_PAGE, .len = PYB_PAGE},
                                 {.addr = BASE + 15 * PYB_PAGE, .len = PYB_PAGE}};
    struct pyb_window w = {0};
    uint8_t byte;
    for (uint8_t round = 1; round < 6; round++) {
        s.bytes[PYB_PAGE + 9] = s.bytes[4 * PYB_PAGE + 5] = round;
        s.end = round == 4 ? 15 * PYB_PAGE + 8 : sizeof(s.bytes); // the last page ends early for once
        uint64_t before = below->n_reads;
        pyb_cache_renew(m, pages, 3);
        assert_int_equal(below->n_reads, before + 1);
        assert_int_equal(look(m, &w, BASE + PYB_PAGE + 9)[0], round);
        const uint8_t *again = look(m, &w, BASE + PYB_PAGE + 10);
        assert_ptr_equal(again, w.data + 10);
        assert_int_equal(get(m, BASE + 4 * PYB_PAGE + 5), round);
        assert_int_equal(below->n_reads, before + 1);
        assert_int_equal(pyb_read_u8(m, BASE + 15 * PYB_PAGE + 8, &byte, NULL), round == 4 ? PYB_E_FAULT : 0);
    }
    // A page more, a page less: another list.
    (void)get(m, BASE + 7 * PYB_PAGE);
    s.bytes[7 * PYB_PAGE] = s.bytes[4 * PYB_PAGE + 5] = 77;
    pyb_cache_renew(m, pages, 2);
    assert_int_equal(get(m, BASE + 4 * PYB_PAGE + 5), 77);
    assert_int_equal(get(m, BASE + 7 * PYB_PAGE), 77);
    s.bytes[7 * PYB_PAGE] = 78;
    pyb_cache_renew(m, pages, 0);
    assert_int_equal(get(m, BASE + 7 * PYB_PAGE), 78);
    // An invalidation closes windows too.
    (void)look(m, &w, BASE + 2 * PYB_PAGE);
    s.bytes[2 * PYB_PAGE] = 79;
    pyb_memory_invalidate(m);
    assert_int_equal(look(m, &w, BASE + 2 * PYB_PAGE)[0], 79);
    pyb_memory_destroy(m);
    pyb_memory_destroy(below);
}

// Neighbours in the target, buffers anywhere, a hole among them: each range gets its own bytes, in as few calls as before.
static void neighbours_are_read_into_scattered_buffers(void **state)
{
    (void)state;
    size_t size = 8 * PYB_PAGE;
    uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    for (size_t i = 0; i < size; i++)
        p[i] = (uint8_t)(i / 3 + i / PYB_PAGE * 11);
    assert_int_equal(mprotect(p + 5 * PYB_PAGE, PYB_PAGE, PROT_NONE), 0);
    struct pyb_memory *m;
    struct pyb_error err;
    assert_ok(pyb_live_open(unit_ctx(), getpid(), &m, &err), &err);
    static uint8_t bufs[8][PYB_PAGE];
    struct pyb_range r[8];
    for (size_t i = 0; i < 8; i++)
        r[i] = (struct pyb_range){.addr = (pyb_addr)(uintptr_t)p + i * PYB_PAGE, .buf = bufs[7 - i], .len = PYB_PAGE};
    assert_ok(pyb_memory_readv(m, r, 8, &err), &err);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(r[i].done, i == 5 ? 0 : PYB_PAGE);
        if (i != 5)
            assert_memory_equal(bufs[7 - i], p + i * PYB_PAGE, PYB_PAGE);
    }
    pyb_memory_destroy(m);
    munmap(p, size);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_come_back_by_one_read_and_are_new),
        cmocka_unit_test(views_stay_within_what_is_there),
        cmocka_unit_test(renewed_pages_are_new_and_windows_closed),
        cmocka_unit_test(neighbours_are_read_into_scattered_buffers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
