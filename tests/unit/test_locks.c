// SPDX-License-Identifier: Apache-2.0
// Locks, value stacks and blocks of made targets in every row of the layout tables; exception tables and bytecode of real interpreters;
// and what is none of these. (Real threads: tests/live/test_findings.py.)
#include "unit.h"

#include "interp/lock.h"
#include "interp/lock_blocks.h"
#include "interp/lock_stack.h"
#include "made_values.h"

// co_exceptiontable of 3.12.1 and co_code of the others, for
//     def f(l, m, g):
//         with l:
//             try:
//                 with m:
//                     g()
//             except ValueError:
//                 pass
static const uint8_t table312[] = {131, 1, 59, 3, 133, 2, 44, 2, 135, 8, 32, 5, 143, 8, 44, 2, 160, 5, 41, 9, 165, 7, 44, 2, 172, 9, 56, 5,
                                   181, 2, 59, 3, 183, 1, 56, 5, 184, 3, 59, 3, 187, 5, 65, 4, 7};
static const uint8_t code27[] = {124, 0, 0, 143, 49, 0, 1, 121, 24, 0, 124, 1, 0, 143, 12, 0, 1, 124, 2, 0, 131, 0, 0, 1, 87, 100, 0, 0,
                                 81, 88, 87, 110, 17, 0, 4, 116, 0, 0, 107, 10, 0, 114, 50, 0, 1, 1, 1, 110, 1, 0, 88, 87, 100, 0, 0,
                                 81, 88, 100, 0, 0, 83};
static const uint8_t code38[] = {124, 0, 143, 54, 1, 0, 122, 26, 124, 1, 143, 12, 1, 0, 124, 2, 131, 0, 1, 0, 87, 0, 53, 0, 81, 0, 82, 0,
                                 88, 0, 87, 0, 110, 20, 4, 0, 116, 0, 107, 10, 114, 52, 1, 0, 1, 0, 1, 0, 89, 0, 110, 2, 88, 0, 87, 0,
                                 53, 0, 81, 0, 82, 0, 88, 0, 100, 0, 83, 0};
static const uint8_t code310[] = {124, 0, 143, 50, 1, 0, 122, 23, 124, 1, 143, 11, 1, 0, 124, 2, 131, 0, 1, 0, 87, 0, 100, 0, 4, 0, 4, 0,
                                  131, 3, 1, 0, 110, 8, 49, 0, 115, 20, 119, 1, 1, 0, 1, 0, 1, 0, 89, 0, 1, 0};

static void exception_table(void **state)
{
    (void)state;
    static const struct pyb_exception_entry said[] = { // as dis._parse_exception_table() has them
        {6, 8, 118, 1, true}, {10, 14, 88, 1, false}, {14, 30, 64, 2, true}, {30, 46, 88, 1, false}, {64, 74, 82, 4, true},
        {74, 88, 88, 1, false}, {88, 106, 112, 2, true}, {106, 110, 118, 1, true}, {110, 112, 112, 2, true}, {112, 118, 118, 1, true},
        {118, 128, 136, 3, true}};
    const size_t n = sizeof said / sizeof said[0];
    for (size_t len = 0; len <= sizeof table312; len++) {
        struct pyb_exception_entry e;
        size_t at = 0, i = 0;
        for (; pyb_exception_entry_next(table312, len, &at, &e); i++) {
            assert_true(i < n);
            assert_int_equal(e.start, said[i].start);
            assert_int_equal(e.end, said[i].end);
            assert_int_equal(e.target, said[i].target);
            assert_int_equal(e.depth, said[i].depth);
            assert_int_equal(e.lasti, said[i].lasti);
        }
        assert_true(at <= len);
        if (len == sizeof table312)
            assert_int_equal(i, n);
    }
}

static void exception_table_of_anything(void **state)
{
    (void)state;
    uint8_t noise[64];
    uint32_t seed = 12345;
    for (int round = 0; round < 20000; round++) {
        for (size_t i = 0; i < sizeof noise; i++)
            noise[i] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
        struct pyb_exception_entry e;
        size_t at = 0, before = 0, n = 0;
        while (pyb_exception_entry_next(noise, sizeof noise, &at, &e)) {
            assert_true(at > before && at <= sizeof noise && e.start <= e.end);
            before = at;
            n++;
        }
        assert_true(n <= sizeof noise / 4);
        // A place that it names does hold SETUP_WITH.
        int32_t place = pyb_setup_with_at(3, 8, noise, sizeof noise, (int32_t)(seed % 80));
        assert_true(place == -1 || (place >= 0 && (size_t)place + 1 < sizeof noise && noise[place] == 143));
        place = pyb_setup_with_at(2, 7, noise, sizeof noise, (int32_t)(seed % 80));
        assert_true(place == -1 || (place >= 0 && (size_t)place + 2 < sizeof noise && noise[place] == 143));
    }
}

static void setup_with(void **state)
{
    (void)state;
    assert_int_equal(pyb_setup_with_at(2, 7, code27, sizeof code27, 55), 3);
    assert_int_equal(pyb_setup_with_at(2, 7, code27, sizeof code27, 28), 13);
    assert_int_equal(pyb_setup_with_at(3, 8, code38, sizeof code38, 58), 2);
    assert_int_equal(pyb_setup_with_at(3, 8, code38, sizeof code38, 24), 10);
    assert_int_equal(pyb_setup_with_at(3, 10, code310, sizeof code310, 104 / 2), 2);
    assert_int_equal(pyb_setup_with_at(3, 10, code310, sizeof code310, 34 / 2), 10);
    assert_int_equal(pyb_setup_with_at(3, 8, code38, sizeof code38, 34), -1); // SETUP_FINALLY leads there
    assert_int_equal(pyb_setup_with_at(3, 8, code38, sizeof code38, -1), -1);
    assert_int_equal(pyb_setup_with_at(3, 8, code38, 2, 58), -1);
    assert_int_equal(pyb_setup_with_at(2, 7, code27, 5, 55), -1); // cut in its argument
    const uint8_t extended[] = {144, 1, 143, 4, 9, 0};
    assert_int_equal(pyb_setup_with_at(3, 8, extended, sizeof extended, 4 + 256 + 4), 2);
}

struct made_lock {
    struct values v;
    pyb_addr plain_type, recursive_type;
};

static void begin(struct made_lock *m, const struct pyb_layout *row)
{
    values_begin(&m->v, row);
    m->plain_type = values_type(&m->v, row->major == 2 ? "thread.lock" : "_thread.lock", m->v.object, 0, false);
    m->recursive_type = values_type(&m->v, "_thread.RLock", m->v.object, 0, false);
}

static bool has_plain(const struct pyb_layout *l)
{
    return l->lock_size > 0 && pyb_has(l->lock_lock);
}

static void check_plain(struct made_lock *m, bool taken)
{
    const struct pyb_layout *l = &m->v.f.py.layout;
    struct pyb_error err = {0};
    struct pyb_lock lock;
    pyb_addr object = values_object(&m->v, m->plain_type, l->lock_size), semaphore = made_alloc(&m->v.f, 32);
    made_put(&m->v.f, semaphore, 4, taken ? 0 : 1);
    if (l->lock_lock.width == 1) {
        made_set(&m->v.f, object, l->lock_lock, taken ? 3 : 0); // locked, and somebody is parked
    } else {
        made_set(&m->v.f, object, l->lock_lock, semaphore);
        if (pyb_has(l->lock_locked))
            made_set(&m->v.f, object, l->lock_locked, taken);
    }
    assert_ok(pyb_lock_read(&m->v.f.py, object, &lock, &err), &err);
    assert_int_equal(lock.taken, taken);
    assert_false(lock.recursive);
    assert_int_equal(lock.owner, 0);
    const char *type;
    struct pyb_slept_on on = {.futex = semaphore}, other = {.futex = semaphore + 32};
    if (l->lock_lock.width == 1)
        on = other = (struct pyb_slept_on){.futex = 0x7000, .parked = object + (uint64_t)l->lock_lock.offset};
    made_set(&m->v.f, m->plain_type, l->type_basicsize, l->lock_size);
    pyb_python_invalidate(&m->v.f.py);
    if (l->lock_lock.width == 1)
        other.parked = object + l->lock_size;
    assert_true(pyb_is_slept_on(&m->v.f.py, object, &on, &type));
    assert_false(pyb_is_slept_on(&m->v.f.py, object, &other, &type));
    assert_false(pyb_is_slept_on(&m->v.f.py, m->v.list, &on, &type));
    pyb_addr found;
    assert_int_equal(pyb_parked_lock(&m->v.f.py, &on, &found) == 0, l->lock_lock.width == 1);
    if (l->lock_lock.width == 1)
        assert_int_equal(found, object);
}

static void check_recursive(struct made_lock *m, uint64_t owner, uint64_t count, bool taken)
{
    const struct pyb_layout *l = &m->v.f.py.layout;
    struct pyb_error err = {0};
    struct pyb_lock lock;
    pyb_addr object = values_object(&m->v, m->recursive_type, l->rlock_size);
    made_set(&m->v.f, object, l->rlock_owner, owner);
    made_set(&m->v.f, object, l->rlock_count, count);
    if (l->rlock_lock.width == 1)
        made_set(&m->v.f, object, l->rlock_lock, taken);
    assert_ok(pyb_lock_read(&m->v.f.py, object, &lock, &err), &err);
    assert_true(lock.recursive);
    assert_int_equal(lock.taken, taken);
    assert_int_equal(lock.owner, taken ? owner : 0);
}

static void locks_of_every_row(void **state)
{
    (void)state;
    unsigned n, seen = 0;
    const struct pyb_layout *rows = pyb_layout_rows(&n);
    for (unsigned i = 0; i < n; i++) {
        struct made_lock m;
        if (!has_plain(&rows[i]))
            continue;
        begin(&m, &rows[i]);
        check_plain(&m, true);
        check_plain(&m, false);
        if (rows[i].rlock_size > 0) {
            check_recursive(&m, 0x1234560, 1, true);
            check_recursive(&m, 0, 0, false);
        }
        made_deinit(&m.v.f);
        seen++;
    }
    assert_true(seen > 20);
}

static void what_is_no_lock(void **state)
{
    (void)state;
    unsigned n;
    const struct pyb_layout *rows = pyb_layout_rows(&n);
    for (unsigned i = 0; i < n; i++) {
        struct made_lock m;
        struct pyb_lock lock;
        pyb_addr own;
        if (!has_plain(&rows[i]))
            continue;
        begin(&m, &rows[i]);
        const pyb_addr list = values_list(&m.v, NULL, 0);
        const pyb_addr places[] = {0, 1, list, m.v.list, MADE_BASE + MADE_SIZE - 4, UINT64_MAX - 7, MADE_BASE + 3};
        for (size_t k = 0; k < sizeof places / sizeof places[0]; k++) {
            assert_int_equal(pyb_lock_read(&m.v.f.py, places[k], &lock, NULL), PYB_E_NOTFOUND);
            assert_int_equal(pyb_lock_of(&m.v.f.py, places[k], &own, NULL), PYB_E_NOTFOUND);
            assert_int_equal(pyb_bound_to(&m.v.f.py, places[k]), places[k]);
        }
        made_deinit(&m.v.f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exception_table), cmocka_unit_test(exception_table_of_anything), cmocka_unit_test(setup_with),
        cmocka_unit_test(locks_of_every_row), cmocka_unit_test(what_is_no_lock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
