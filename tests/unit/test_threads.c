// SPDX-License-Identifier: Apache-2.0
// Walking interpreters and thread states in made-up memory, sound and hostile; who holds the GIL and who collects.
#include "fake_target.h"

#include "interp/runtime.h"
#include "interp/thread.h"

#define FIELD(at, size) ((struct pyb_field){.offset = (at), .width = (size)})
#define RUNTIME 0x10000
#define ENDLESS 0x700000000000

static void make_layout(struct pyb_layout *l)
{
    fake_no_layout(l);
    l->walker = PYB_WALKER_IFRAME;
    l->runtime_interpreters_head = FIELD(0x20, 8);
    l->runtime_interpreters_main = FIELD(0x28, 8);
    l->runtime_main_thread = FIELD(0x30, 8);
    l->runtime_finalizing = FIELD(0x38, 8);
    l->interp_next = FIELD(0, 8);
    l->interp_id = FIELD(8, 8);
    l->interp_tstate_head = FIELD(0x10, 8);
    l->interp_gc_collecting = FIELD(0x18, 4);
    l->interp_gil_ptr = FIELD(0x20, 8);
    l->gil_locked = FIELD(0, 4);
    l->gil_last_holder = FIELD(8, 8);
    l->tstate_prev = FIELD(0, 8);
    l->tstate_next = FIELD(8, 8);
    l->tstate_interp = FIELD(0x10, 8);
    l->tstate_current_frame = FIELD(0x18, 8);
    l->tstate_thread_id = FIELD(0x20, 8);
    l->tstate_native_thread_id = FIELD(0x28, 8);
    l->tstate_status = FIELD(0x30, 4);
    l->iframe_previous = FIELD(8, 8);
}

static void setup(struct fake *f)
{
    fake_init(f);
    make_layout(&f->py.layout);
    f->py.runtime = RUNTIME;
    f->py.interp_head_at = RUNTIME + 0x20;
    f->py.major = 3;
    fake_add(f, RUNTIME, 0x100);
}

static pyb_addr add_interp(struct fake *f, pyb_addr at, uint64_t id, pyb_addr next)
{
    fake_add(f, at, 0x100);
    fake_set(f, at, f->py.layout.interp_id, id);
    fake_set(f, at, f->py.layout.interp_next, next);
    return at;
}

static pyb_addr add_tstate(struct fake *f, pyb_addr at, pyb_addr interp, pyb_addr prev, pyb_addr next, uint64_t ident)
{
    const struct pyb_layout *l = &f->py.layout;
    fake_add(f, at, 0x100);
    fake_set(f, at, l->tstate_interp, interp);
    fake_set(f, at, l->tstate_prev, prev);
    fake_set(f, at, l->tstate_next, next);
    fake_set(f, at, l->tstate_thread_id, ident);
    fake_set(f, at, l->tstate_native_thread_id, ident & 0xffff);
    fake_set(f, at, l->tstate_current_frame, at + 0x5000);
    return at;
}

// Interpreter 1 with one thread, then interpreter 0 with two; ident 0x7001 is the main thread.
static void two_interpreters(struct fake *f)
{
    const struct pyb_layout *l = &f->py.layout;
    setup(f);
    add_interp(f, 0x21000, 1, 0x20000);
    add_interp(f, 0x20000, 0, 0);
    add_tstate(f, 0x32000, 0x21000, 0, 0, 0x7003);
    add_tstate(f, 0x31000, 0x20000, 0, 0x30000, 0x7002);
    add_tstate(f, 0x30000, 0x20000, 0x31000, 0, 0x7001);
    fake_set(f, 0x21000, l->interp_tstate_head, 0x32000);
    fake_set(f, 0x20000, l->interp_tstate_head, 0x31000);
    fake_set(f, RUNTIME, l->runtime_interpreters_head, 0x21000);
    fake_set(f, RUNTIME, l->runtime_interpreters_main, 0x20000);
    fake_set(f, RUNTIME, l->runtime_main_thread, 0x7001);
}

static void read_threads(struct fake *f, struct pyb_threads *ret)
{
    struct pyb_error err = {0};
    assert_ok(pyb_threads_read(&f->py, &f->py.arena, ret, &err), &err);
}

static void test_walk(void **state)
{
    (void)state;
    struct fake f;
    struct pyb_threads threads;
    two_interpreters(&f);
    f.py.layout.tstateimpl_base_frame = FIELD(0x80, 0x40);
    read_threads(&f, &threads);
    assert_null(threads.note);
    assert_false(threads.finalizing);
    assert_int_equal(threads.n, 3);
    assert_int_equal(threads.items[0].addr, 0x32000);
    assert_int_equal(threads.items[0].interp_id, 1);
    assert_int_equal(threads.items[1].addr, 0x31000);
    assert_int_equal(threads.items[2].addr, 0x30000);
    assert_int_equal(threads.items[2].interp_id, 0);
    assert_int_equal(threads.items[2].thread_id, 0x7001);
    assert_int_equal(threads.items[2].native_tid, 0x7001);
    assert_int_equal(threads.items[2].top, 0x35000);
    assert_int_equal(threads.items[2].base, 0x30080);
    assert_true(threads.items[2].main);
    assert_false(threads.items[1].main);
    fake_deinit(&f);
}

static void test_empty(void **state)
{
    (void)state;
    struct fake f;
    struct pyb_threads threads;
    setup(&f);
    read_threads(&f, &threads);
    assert_int_equal(threads.n, 0);
    assert_null(threads.note);
    add_interp(&f, 0x20000, 0, 0);
    fake_set(&f, RUNTIME, f.py.layout.runtime_interpreters_head, 0x20000);
    read_threads(&f, &threads);
    assert_int_equal(threads.n, 0);
    assert_null(threads.note);
    fake_deinit(&f);
}

static void test_thread_cycle(void **state)
{
    (void)state;
    struct fake f;
    struct pyb_threads threads;
    two_interpreters(&f);
    fake_set(&f, 0x30000, f.py.layout.tstate_next, 0x31000);
    read_threads(&f, &threads);
    assert_int_equal(threads.n, 3); // each once
    assert_non_null(strstr(threads.note, "comes back to 0x31000"));
    // A thread state that is in two interpreters' lists is listed with the first.
    fake_set(&f, 0x30000, f.py.layout.tstate_next, 0x32000);
    read_threads(&f, &threads);
    assert_int_equal(threads.n, 3);
    assert_non_null(threads.note);
    fake_deinit(&f);
}

static void test_interpreter_cycle(void **state)
{
    (void)state;
    struct fake f;
    struct pyb_threads threads;
    struct pyb_head_check check;
    struct pyb_error err = {0};
    two_interpreters(&f);
    fake_set(&f, 0x20000, f.py.layout.interp_next, 0x21000);
    read_threads(&f, &threads);
    assert_int_equal(threads.n, 3);
    assert_non_null(strstr(threads.note, "comes back to 0x21000"));
    assert_int_equal(pyb_head_check(&f.target, &f.py.layout, f.py.interp_head_at, &check, &err), PYB_E_CORRUPT);
    fake_deinit(&f);
}

static void test_wild_pointers(void **state)
{
    (void)state;
    static const pyb_addr wild[] = {1, 0xfff, 0xdead0000, UINT64_MAX, UINT64_MAX - 0x20, 0x8000000000000000};
    for (size_t i = 0; i < sizeof(wild) / sizeof(*wild); i++) {
        struct fake f;
        struct pyb_threads threads;
        two_interpreters(&f);
        fake_set(&f, 0x31000, f.py.layout.tstate_next, wild[i]);
        read_threads(&f, &threads);
        assert_int_equal(threads.n, 2);
        assert_non_null(threads.note);
        fake_set(&f, 0x21000, f.py.layout.interp_tstate_head, wild[i]);
        read_threads(&f, &threads);
        assert_int_equal(threads.n, 1);
        fake_set(&f, 0x21000, f.py.layout.interp_next, wild[i]);
        read_threads(&f, &threads);
        assert_int_equal(threads.n, 0);
        assert_non_null(threads.note);
        fake_set(&f, RUNTIME, f.py.layout.runtime_interpreters_head, wild[i]);
        read_threads(&f, &threads);
        assert_int_equal(threads.n, 0);
        assert_non_null(threads.note);
        fake_deinit(&f);
    }
}

static void test_foreign_thread(void **state)
{
    (void)state;
    struct fake f;
    struct pyb_threads threads;
    struct pyb_head_check check;
    struct pyb_error err = {0};
    two_interpreters(&f);
    fake_set(&f, 0x30000, f.py.layout.tstate_interp, 0x21000);
    read_threads(&f, &threads);
    assert_int_equal(threads.n, 2);
    assert_non_null(threads.note);
    assert_int_equal(pyb_head_check(&f.target, &f.py.layout, f.py.interp_head_at, &check, &err), PYB_E_CORRUPT);
    assert_non_null(strstr(err.what, "0x30000"));
    fake_deinit(&f);
}

// Thread states of interpreter 0x20000, one after another, 0x100 apart, without end.
static bool endless_threads(pyb_addr addr, uint64_t *ret)
{
    if (addr < ENDLESS)
        return false;
    *ret = (addr & 0xff) == 8 ? (addr & ~UINT64_C(0xff)) + 0x100 : (addr & 0xff) == 0x10 ? 0x20000 : 0;
    return true;
}

static bool endless_interpreters(pyb_addr addr, uint64_t *ret)
{
    if (addr < ENDLESS)
        return false;
    *ret = (addr & 0xff) == 0 ? addr + 0x100 : 0;
    return true;
}

static void test_endless(void **state)
{
    (void)state;
    struct fake f;
    struct pyb_threads threads;
    two_interpreters(&f);
    f.memory.word = endless_threads;
    fake_set(&f, 0x20000, f.py.layout.interp_tstate_head, ENDLESS);
    read_threads(&f, &threads);
    assert_int_equal(threads.n, PYB_MAX_THREADS);
    assert_non_null(strstr(threads.note, "131072"));
    f.memory.word = endless_interpreters;
    fake_set(&f, RUNTIME, f.py.layout.runtime_interpreters_head, ENDLESS);
    f.memory.reads = 0;
    read_threads(&f, &threads);
    assert_int_equal(threads.n, 0);
    assert_non_null(strstr(threads.note, "4096"));
    assert_in_range(f.memory.reads, 4096, 5000);
    fake_deinit(&f);
}

static void test_memory_limit(void **state)
{
    (void)state;
    struct fake f;
    struct pyb_threads threads;
    struct pyb_error err = {0};
    two_interpreters(&f);
    f.target.ctx->max_bytes = 64 << 10;
    f.memory.word = endless_threads;
    fake_set(&f, 0x20000, f.py.layout.interp_tstate_head, ENDLESS);
    assert_int_equal(pyb_threads_read(&f.py, &f.py.arena, &threads, &err), PYB_E_NOMEM);
    fake_deinit(&f);
}

static void test_finalizing(void **state)
{
    (void)state;
    struct fake f;
    struct pyb_threads threads;
    two_interpreters(&f);
    f.py.layout.tstate_status_finalizing = (struct pyb_bits){.offset = 0x30, .width = 4, .shift = 6, .bits = 1};
    fake_set(&f, 0x31000, f.py.layout.tstate_status, 1u << 6);
    read_threads(&f, &threads);
    assert_true(threads.items[1].finalizing);
    assert_false(threads.items[0].finalizing);
    fake_set(&f, RUNTIME, f.py.layout.runtime_finalizing, 0x30000);
    read_threads(&f, &threads);
    assert_true(threads.finalizing);
    assert_true(threads.items[0].finalizing);
    fake_deinit(&f);
}

static void test_longest_head(void **state)
{
    (void)state;
    struct fake f;
    pyb_addr first;
    struct pyb_error err = {0};
    two_interpreters(&f);
    fake_add(&f, 0x40000, 16);
    fake_set(&f, 0x40000, FIELD(0, 8), 0x20000); // as autoInterpreterState: the main one
    fake_set(&f, 0x40000, FIELD(8, 8), 0x21000); // as interp_head
    f.py.interp_head_at = 0x40000;
    f.py.other_heads[0] = 0x40008;
    f.py.n_other_heads = 1;
    assert_ok(pyb_interp_first(&f.py, &first, &err), &err);
    assert_int_equal(first, 0x21000);
    fake_deinit(&f);
}

static void expect_gil(struct fake *f, enum pyb_gil a, enum pyb_gil b, enum pyb_gil c)
{
    struct pyb_threads threads;
    read_threads(f, &threads);
    pyb_gil_read(&f->py, &threads);
    assert_int_equal(threads.items[0].gil, a);
    assert_int_equal(threads.items[1].gil, b);
    assert_int_equal(threads.items[2].gil, c);
}

static pyb_addr current_symbol(void *ctx, const char *name)
{
    return strcmp(name, "_PyThreadState_Current") == 0 ? *(pyb_addr *)ctx : 0;
}

static void test_gil_27(void **state)
{
    (void)state;
    struct fake f;
    pyb_addr at = 0;
    two_interpreters(&f);
    f.py.runtime = 0;
    f.target.symbol = current_symbol;
    f.target.symbol_ctx = &at;
    expect_gil(&f, PYB_GIL_UNKNOWN, PYB_GIL_UNKNOWN, PYB_GIL_UNKNOWN);
    f.py.globals_cache = NULL;
    at = fake_add(&f, 0x40000, 8);
    expect_gil(&f, PYB_GIL_RELEASED, PYB_GIL_RELEASED, PYB_GIL_RELEASED);
    fake_set(&f, at, FIELD(0, 8), 0x31000);
    expect_gil(&f, PYB_GIL_RELEASED, PYB_GIL_HOLDS, PYB_GIL_RELEASED);
    fake_deinit(&f);
}

static void test_gil_runtime(void **state)
{
    (void)state;
    struct fake f;
    two_interpreters(&f);
    struct pyb_layout *l = &f.py.layout;
    l->interp_gil_ptr.offset = PYB_ABSENT;
    l->runtime_gil_locked = FIELD(0x40, 4);
    l->runtime_gil_last_holder = FIELD(0x48, 8);
    l->runtime_tstate_current = FIELD(0x50, 8);
    fake_set(&f, RUNTIME, l->runtime_gil_last_holder, 0x30000);
    expect_gil(&f, PYB_GIL_RELEASED, PYB_GIL_RELEASED, PYB_GIL_RELEASED);
    fake_set(&f, RUNTIME, l->runtime_gil_locked, 1);
    expect_gil(&f, PYB_GIL_RELEASED, PYB_GIL_RELEASED, PYB_GIL_HOLDS);
    fake_set(&f, RUNTIME, l->runtime_tstate_current, 0x32000); // swapped to the subinterpreter
    expect_gil(&f, PYB_GIL_HOLDS, PYB_GIL_RELEASED, PYB_GIL_RELEASED);
    fake_deinit(&f);
}

// A gil of its own for each interpreter; one of them is held, in the other somebody waits.
static void test_gil_interp(void **state)
{
    (void)state;
    struct fake f;
    two_interpreters(&f);
    struct pyb_layout *l = &f.py.layout;
    fake_add(&f, 0x50000, 0x20);
    fake_add(&f, 0x51000, 0x20);
    fake_set(&f, 0x20000, l->interp_gil_ptr, 0x50000);
    fake_set(&f, 0x21000, l->interp_gil_ptr, 0x51000);
    fake_set(&f, 0x50000, l->gil_locked, 1);
    fake_set(&f, 0x50000, l->gil_last_holder, 0x31000);
    expect_gil(&f, PYB_GIL_RELEASED, PYB_GIL_HOLDS, PYB_GIL_RELEASED);
    l->tstate_status_holds_gil = (struct pyb_bits){.offset = 0x30, .width = 4, .shift = 5, .bits = 1};
    l->tstate_gil_requested = FIELD(0x38, 4);
    fake_set(&f, 0x31000, l->tstate_status, 1u << 5);
    fake_set(&f, 0x30000, l->tstate_gil_requested, 1);
    expect_gil(&f, PYB_GIL_RELEASED, PYB_GIL_HOLDS, PYB_GIL_WAITS);
    f.py.free_threaded = true;
    l->gil_enabled = FIELD(0x10, 4);
    expect_gil(&f, PYB_GIL_UNKNOWN, PYB_GIL_UNKNOWN, PYB_GIL_UNKNOWN);
    fake_set(&f, 0x20000, l->interp_gil_ptr, 0xdead000);
    f.py.free_threaded = false;
    expect_gil(&f, PYB_GIL_RELEASED, PYB_GIL_UNKNOWN, PYB_GIL_UNKNOWN);
    fake_deinit(&f);
}

static void test_gc(void **state)
{
    (void)state;
    struct fake f;
    struct pyb_threads threads;
    two_interpreters(&f);
    struct pyb_layout *l = &f.py.layout;
    fake_set(&f, 0x20000, l->interp_gc_collecting, 1);
    read_threads(&f, &threads);
    pyb_gil_read(&f.py, &threads);
    assert_int_equal(threads.items[0].gc, 0);
    assert_int_equal(threads.items[1].gc, -1); // one of two: which, nothing says
    assert_int_equal(threads.items[2].gc, -1);
    fake_set(&f, 0x21000, l->interp_gc_collecting, 1);
    l->interp_gc_frame = FIELD(0x40, 8);
    fake_add(&f, 0x36000, 0x20); // a finalizer's frame of thread 0x31000, called from the frame that collects
    fake_set(&f, 0x36000, l->iframe_previous, 0x36100);
    fake_set(&f, 0x20000, l->interp_gc_frame, 0x36100);
    read_threads(&f, &threads);
    pyb_gil_read(&f.py, &threads);
    assert_int_equal(threads.items[0].gc, 1); // alone
    assert_int_equal(threads.items[1].gc, 1);
    assert_int_equal(threads.items[2].gc, 0);
    fake_set(&f, 0x20000, l->interp_gc_collecting, 77);
    read_threads(&f, &threads);
    pyb_gil_read(&f.py, &threads);
    assert_int_equal(threads.items[1].gc, -1);
    fake_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk),          cmocka_unit_test(test_empty),         cmocka_unit_test(test_thread_cycle),
        cmocka_unit_test(test_interpreter_cycle), cmocka_unit_test(test_wild_pointers), cmocka_unit_test(test_foreign_thread),
        cmocka_unit_test(test_endless),       cmocka_unit_test(test_memory_limit),  cmocka_unit_test(test_finalizing),
        cmocka_unit_test(test_longest_head),  cmocka_unit_test(test_gil_27),        cmocka_unit_test(test_gil_runtime),
        cmocka_unit_test(test_gil_interp),    cmocka_unit_test(test_gc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
