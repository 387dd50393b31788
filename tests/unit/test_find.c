// SPDX-License-Identifier: Apache-2.0
// Judging a _PyRuntime in made-up memory that only the debugger's symbol leads to: newer than the tables, without an interpreter, broken.
#include "fake_target.h"

#include "interp/thread.h"

#define RUNTIME 0x100000
#define INTERP 0x200000
#define TSTATE 0x300000

static pyb_addr runtime_symbol(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "_PyRuntime") == 0 ? RUNTIME : 0;
}

static void member(struct fake *f, pyb_addr base, struct pyb_field field, uint64_t value)
{
    assert_true(pyb_has_field(field));
    fake_add(f, base + (pyb_addr)field.offset, 8);
    fake_set(f, base, field, value);
}

static void begin(struct fake *f, uint64_t version_hex)
{
    struct pyb_error err = {0};
    fake_init(f);
    f->target.symbol = runtime_symbol;
    assert_ok(pyb_modules_from_descs(&f->target, NULL, 0, &f->target.modules, &err), &err);
    fake_add(f, RUNTIME, 24);
    fake_set(f, RUNTIME, (struct pyb_field){.offset = 0, .width = 8}, 0x7970677562656478); // "xdebugpy"
    fake_set(f, RUNTIME, (struct pyb_field){.offset = 8, .width = 8}, version_hex);
}

static void end(struct fake *f)
{
    pyb_modules_free(f->target.modules);
    fake_deinit(f);
}

// The lists where the newest row has them.
static const struct pyb_layout *lists(struct fake *f, pyb_addr first_interp, pyb_addr back)
{
    bool exact;
    const struct pyb_layout *l = pyb_layout_find(3, 99, 0, 8, false, 0, &exact);
    assert_non_null(l);
    assert_false(exact);
    member(f, RUNTIME, l->runtime_interpreters_head, first_interp);
    member(f, INTERP, l->interp_next, 0);
    member(f, INTERP, l->interp_tstate_head, TSTATE);
    member(f, TSTATE, l->tstate_interp, back);
    member(f, TSTATE, l->tstate_next, 0);
    member(f, TSTATE, l->tstate_prev, 0);
    return l;
}

static void test_newer(void **state)
{
    (void)state;
    struct fake f;
    struct pyb_python *py;
    struct pyb_error err = {0};
    begin(&f, 0x036300c2);
    const struct pyb_layout *l = lists(&f, INTERP, INTERP);
    assert_ok(pyb_python_find(&f.target, &py, &err), &err);
    assert_string_equal(py->version, "3.99.0rc2");
    assert_int_equal(py->runtime, RUNTIME);
    assert_false(py->layout_exact);
    assert_non_null(strstr(py->layout_note, "nearest: "));
    assert_non_null(strstr(py->layout_note, l->name));
    assert_non_null(strstr(py->layout_note, "3.99.0rc2"));
    assert_non_null(strstr(py->layout_note, "one source"));
    assert_non_null(strstr(py->found_by, "_PyRuntime"));
    assert_true(py->initialized);
    assert_null(py->note);
    struct pyb_threads threads;
    assert_ok(pyb_threads_read(py, &f.py.arena, &threads, &err), &err);
    assert_int_equal(threads.n, 1);
    assert_int_equal(threads.items[0].addr, TSTATE);
    pyb_python_free(py);
    end(&f);
}

static void test_newer_misfit(void **state)
{
    (void)state;
    struct fake f;
    struct pyb_python *py;
    struct pyb_error err = {0};
    begin(&f, 0x036300f0);
    lists(&f, INTERP, 0x123456);
    assert_int_equal(pyb_python_find(&f.target, &py, &err), PYB_E_UNSUPPORTED);
    assert_null(py);
    assert_non_null(strstr(err.what, "3.99.0"));
    assert_non_null(strstr(err.what, "0x123456")); // what did not fit
    end(&f);
}

// A thread state that is linked just now: its neighbour points elsewhere until the target was looked at a few times more.
static struct fake *linking;
static unsigned looks, enough;

static void one_look_more(struct pyb_memory *m)
{
    (void)m;
    if (++looks == enough)
        fake_set(linking, TSTATE, linking->py.layout.tstate_prev, 0);
}

static void test_being_linked(void **state)
{
    (void)state;
    static struct pyb_memory_ops ops;
    enough = 1000;
    for (int live = 0; live < 2; live++) {
        struct fake f;
        struct pyb_python *py;
        struct pyb_error err = {0};
        begin(&f, 0x036300f0);
        f.py.layout = *lists(&f, INTERP, INTERP);
        fake_set(&f, TSTATE, f.py.layout.tstate_prev, 0x777000);
        ops = *f.memory.mem.ops;
        ops.invalidate = one_look_more;
        f.memory.mem.ops = &ops;
        f.target.is_local = live;
        linking = &f;
        looks = 0;
        if (live) {
            assert_ok(pyb_python_find(&f.target, &py, &err), &err);
            assert_true(looks >= enough);
            pyb_python_free(py);
        } else {
            assert_int_equal(pyb_python_find(&f.target, &py, &err), PYB_E_UNSUPPORTED);
            assert_non_null(strstr(err.what, "0x777000"));
        }
        assert_true(looks > 0 && looks < 200);
        enough = looks + 1; // more than a target that stands still gets
        end(&f);
    }
}

static void test_no_interpreter(void **state)
{
    (void)state;
    struct fake f;
    struct pyb_python *py;
    struct pyb_error err = {0};
    begin(&f, 0x036300f0);
    lists(&f, 0, 0);
    assert_ok(pyb_python_find(&f.target, &py, &err), &err);
    assert_false(py->initialized);
    assert_non_null(py->note);
    struct pyb_threads threads;
    assert_ok(pyb_threads_read(py, &f.py.arena, &threads, &err), &err);
    assert_int_equal(threads.n, 0);
    pyb_python_free(py);
    end(&f);
}

static void test_wild_head(void **state)
{
    (void)state;
    static const pyb_addr wild[] = {1, 0xdead0000, UINT64_MAX - 6, INTERP + 1, 0x8000000000000000};
    for (size_t i = 0; i < sizeof(wild) / sizeof(*wild); i++) {
        struct fake f;
        struct pyb_python *py;
        struct pyb_error err = {0};
        begin(&f, 0x030d00f0);
        lists(&f, wild[i], 0);
        assert_int_equal(pyb_python_find(&f.target, &py, &err), PYB_E_UNSUPPORTED);
        end(&f);
    }
}

// Published offsets that make no sense are not used, and that is said; the table's row is.
static void test_bad_offsets(void **state)
{
    (void)state;
    struct fake f;
    struct pyb_python *py;
    struct pyb_error err = {0};
    begin(&f, 0x030d00f0);
    const struct pyb_layout *l = pyb_layout_find(3, 13, 0, 8, false, 0, NULL);
    fake_add(&f, RUNTIME + 24, 400);
    for (int i = 24; i < 424; i += 8)
        fake_set(&f, RUNTIME, (struct pyb_field){.offset = i, .width = 8}, UINT64_MAX);
    member(&f, RUNTIME, l->runtime_interpreters_head, INTERP);
    member(&f, INTERP, l->interp_next, 0);
    member(&f, INTERP, l->interp_tstate_head, TSTATE);
    member(&f, TSTATE, l->tstate_interp, INTERP);
    member(&f, TSTATE, l->tstate_next, 0);
    assert_ok(pyb_python_find(&f.target, &py, &err), &err);
    assert_non_null(strstr(py->layout_note, "published offsets not used"));
    assert_true(py->layout_exact);
    pyb_python_free(py);
    end(&f);
}

static void test_not_python(void **state)
{
    (void)state;
    struct fake f;
    struct pyb_python *py;
    struct pyb_error err = {0};
    begin(&f, 0x030d00f0);
    f.target.symbol = NULL;
    assert_int_equal(pyb_python_find(&f.target, &py, &err), PYB_E_NOTPYTHON);
    assert_non_null(strstr(err.what, "/fake is no CPython"));
    assert_non_null(strstr(err.what, ".PyRuntime")); // says what was looked for
    end(&f);
    // A symbol of that name that leads to nothing readable.
    begin(&f, 0x030d00f0);
    f.memory.n = 0;
    assert_int_equal(pyb_python_find(&f.target, &py, &err), PYB_E_UNSUPPORTED);
    end(&f);
}

static bool stop(void *ctx)
{
    (void)ctx;
    return true;
}

static void test_abort(void **state)
{
    (void)state;
    struct fake f;
    struct pyb_python *py;
    struct pyb_error err = {0};
    begin(&f, 0x030d00f0);
    f.target.ctx->abort = stop;
    assert_int_equal(pyb_python_find(&f.target, &py, &err), PYB_E_ABORTED);
    assert_null(py);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_newer),          cmocka_unit_test(test_newer_misfit),
                                       cmocka_unit_test(test_being_linked), cmocka_unit_test(test_no_interpreter), cmocka_unit_test(test_wild_head),
                                       cmocka_unit_test(test_bad_offsets),    cmocka_unit_test(test_not_python),
                                       cmocka_unit_test(test_abort)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
