// SPDX-License-Identifier: Apache-2.0
// _Py_DebugOffsets: bytes cut out of real interpreters (tests/layout/offsets, capture.py), and hostile variants of them.
#include <fcntl.h>

#include "fake_target.h"
#include "interp/debug_offsets.h"

#define RUNTIME UINT64_C(0x555500000000)

struct sample {
    const char *file;
    int minor, micro;
    unsigned flags;
    unsigned moved; // members, not sizes, that this build has elsewhere than the row
};

// Linux builds lie exactly where the headers' row says; others move what follows a pthread or a long.
static const struct sample samples[] = {
    {"3.13.0-linux-x86_64", 13, 0, 0, 0},
    {"3.13.1-linux-x86_64-standalone", 13, 1, 0, 0},
    {"3.13.1-linux-arm64-standalone", 13, 1, PYB_LAYOUT_AARCH64, 0},
    {"3.13.1-darwin-arm64-standalone", 13, 1, 0, 0},
    {"3.13.1-darwin-x86_64-standalone", 13, 1, 0, 0},
    {"3.13.1-windows-x86_64-standalone", 13, 1, 0, 10},
    {"3.13.5-linux-x86_64-bytedeco", 13, 5, 0, 0},
    {"3.13.5-darwin-arm64-bytedeco", 13, 5, 0, 0},
    {"3.14.3-linux-x86_64-bytedeco", 14, 3, 0, 8},
    {"3.14.3-linux-arm64-bytedeco", 14, 3, PYB_LAYOUT_AARCH64, 8},
    {"3.14.3-windows-x86_64-bytedeco", 14, 3, 0, 14},
    {"3.13.18-linux-x86_64", 13, 18, 0, 0},
    {"3.13.18-linux-x86_64-debug", 13, 18, PYB_LAYOUT_DEBUG, 0},
    {"3.14.6-linux-x86_64-standalone", 14, 6, 0, 0},
    {"3.14.6-linux-arm64-standalone", 14, 6, PYB_LAYOUT_AARCH64, 0},
    {"3.14.6-darwin-arm64-standalone", 14, 6, 0, 2},
    {"3.14.6-darwin-x86_64-standalone", 14, 6, 0, 2},
    {"3.14.6-windows-x86_64-standalone", 14, 6, 0, 14},
    {"3.14.10-linux-x86_64", 14, 10, 0, 0},
    {"3.14.10-linux-x86_64-debug", 14, 10, PYB_LAYOUT_DEBUG, 0},
    {"3.15.2-linux-x86_64", 15, 2, 0, 0},
    {"3.15.2-linux-x86_64-debug", 15, 2, PYB_LAYOUT_DEBUG, 0},
};
#define N_SAMPLES (sizeof(samples) / sizeof(samples[0]))

static void load(struct fake *f, const char *file)
{
    fake_init(f);
    fake_add(f, RUNTIME, 0);
    struct fake_region *r = &f->memory.regions[0];
    char path[200];
    snprintf(path, sizeof(path), "tests/layout/offsets/%s.bin", file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail_msg("%s cannot be opened: run from the top of the tree", path);
    ssize_t n = read(fd, r->data, sizeof(r->data));
    close(fd);
    assert_true(n > 500 && n < 1000);
    r->len = (size_t)n;
}

static uint64_t word(const struct fake *f, size_t at)
{
    uint64_t w;
    memcpy(&w, f->memory.regions[0].data + at, 8);
    return w;
}

static void set_word(struct fake *f, size_t at, uint64_t w)
{
    memcpy(f->memory.regions[0].data + at, &w, 8);
}

static const struct sample *find_sample(const char *file)
{
    for (size_t i = 0; i < N_SAMPLES; i++) {
        if (strcmp(samples[i].file, file) == 0)
            return &samples[i];
    }
    fail_msg("no sample %s", file);
    return NULL;
}

static const struct pyb_layout *row_of(const struct sample *s)
{
    bool exact = false;
    const struct pyb_layout *row = pyb_layout_find(3, s->minor, s->micro, 8, false, s->flags, &exact);
    assert_non_null(row);
    assert_int_equal(exact, s->micro != 3); // 3.14.0 to 3.14.4 have no row: what they publish tells
    return row;
}

// Members where the two differ, absent ones in `b` not counted.
// A line for each member of the layout: clang's sanitizers take minutes for such a function, so it goes without.
__attribute__((no_sanitize("address", "undefined")))
static unsigned differing(const struct pyb_layout *a, const struct pyb_layout *b, unsigned *ret_dropped)
{
    unsigned moved = 0;
    *ret_dropped = 0;
#define F(group, name, type, path) \
    if (a->group##_##name.offset != b->group##_##name.offset) { \
        if (b->group##_##name.offset == PYB_ABSENT) \
            ++*ret_dropped; \
        else \
            moved++; \
    }
#define S(group, type)
#define B(group, name, type, path)
#define K(name, expression)
#define R(name)
#include "interp/layout_fields.def"
#undef F
#undef S
#undef B
#undef K
#undef R
    return moved;
}

static void test_real(void **state)
{
    (void)state;
    static struct fake f;
    for (size_t i = 0; i < N_SAMPLES; i++) {
        const struct sample *s = &samples[i];
        struct pyb_error err = {0};
        struct pyb_layout got;
        load(&f, s->file);
        assert_ok(pyb_debug_offsets_apply(&f.memory.mem, RUNTIME, row_of(s), &got, &err), &err);
        unsigned dropped = 0, moved = differing(row_of(s), &got, &dropped);
        print_message("%-36s %u members moved, %u dropped\n", s->file, moved, dropped);
        if (s->moved == 0)
            assert_int_equal(moved, 0);
        else
            assert_true(moved >= s->moved);
        // Where pthread types are smaller, the embedded main interpreter lies elsewhere: dropped, nothing else.
        assert_true(s->moved || dropped == 0 || (dropped == 1 && got.runtime_main_interpreter.offset == PYB_ABSENT));
        assert_true(dropped == 0 || s->micro == 3 || !strstr(s->file, "linux"));
        assert_int_equal(got.verified, PYB_LAYOUT_TARGET);
        // 3.15 here is built with the JIT, which makes the thread state inside the interpreter's larger.
        if (strstr(s->file, "linux") && s->minor < 15 && s->micro != 3) {
            assert_int_equal(got.interp_size, row_of(s)->interp_size);
            assert_int_equal(got.runtime_size, row_of(s)->runtime_size);
        }
        // The struct's own words, at their places in every version so far: runtime_state, then interpreter_state.
        assert_int_equal(got.runtime_size, word(&f, 24));
        assert_int_equal(got.runtime_finalizing.offset, word(&f, 32));
        assert_int_equal(got.runtime_interpreters_head.offset, word(&f, 40));
        assert_int_equal(got.interp_size, word(&f, 48));
        assert_int_equal(got.interp_tstate_head.offset, word(&f, 72));
        // thread_state follows 13 (3.13) or 16 (3.14, 3.15) words of interpreter_state.
        size_t tstate = 48 + 8 * (s->minor == 13 ? 13u : 16u);
        assert_int_equal(got.tstate_size, word(&f, tstate));
        assert_int_equal(got.tstate_next.offset, word(&f, tstate + 16));
        assert_int_equal(got.tstate_current_frame.offset, word(&f, tstate + 32));
    }
}

// Windows: `unsigned long` has 4 bytes, so native_thread_id follows at 4; its neighbours that nothing states are dropped.
static void test_windows(void **state)
{
    (void)state;
    static struct fake f;
    struct pyb_error err = {0};
    struct pyb_layout got;
    const struct sample *s = find_sample("3.13.1-windows-x86_64-standalone");
    load(&f, s->file);
    assert_ok(pyb_debug_offsets_apply(&f.memory.mem, RUNTIME, row_of(s), &got, &err), &err);
    assert_int_equal(got.tstate_native_thread_id.offset, got.tstate_thread_id.offset + 4);
    assert_int_equal(got.tstate_datastack_top.offset, PYB_ABSENT);
    assert_int_equal(got.tstate_next.offset, 8);
    assert_int_equal(got.interp_gc_collecting.offset, got.interp_gc.offset + got.gcstate_collecting.offset);
    assert_int_equal(got.gil_locked.offset, got.interp_own_gil_locked.offset - got.interp_own_gil.offset);
}

// 3.14.3: a smaller collector's state, and no datastack_cached_chunk at the end of the thread state.
static void test_older_patch(void **state)
{
    (void)state;
    static struct fake f;
    struct pyb_error err = {0};
    struct pyb_layout got;
    const struct pyb_layout *row = pyb_layout_find(3, 14, 3, 8, false, 0, NULL);
    load(&f, "3.14.3-linux-x86_64-bytedeco");
    assert_ok(pyb_debug_offsets_apply(&f.memory.mem, RUNTIME, row, &got, &err), &err);
    assert_int_equal(row->interp_modules.offset - got.interp_modules.offset, 24);
    assert_int_equal(got.tstate_datastack_cached_chunk.offset, PYB_ABSENT);
    assert_int_equal(got.tstate_datastack_top.offset, row->tstate_datastack_top.offset);
    assert_int_equal(got.interp_asyncio_tasks_head.offset, PYB_ABSENT);
    assert_int_equal(got.tstateimpl_asyncio_running_task.offset, row->tstateimpl_asyncio_running_task.offset - 8);
}

static void expect_refused(struct fake *f, const struct pyb_layout *base, int code, const char *what)
{
    struct pyb_error err = {0};
    struct pyb_layout got;
    memset(&got, 0x5a, sizeof(got));
    int rc = pyb_debug_offsets_apply(&f->memory.mem, RUNTIME, base, &got, &err);
    if (rc != code || !strstr(err.what, what))
        fail_msg("got %d \"%s\", wanted %d with \"%s\"", rc, err.what, code, what);
    assert_memory_equal(&got, base, sizeof(got));
}

static void test_header(void **state)
{
    (void)state;
    static struct fake f;
    const struct sample *s = &samples[0];
    const struct pyb_layout *base = row_of(s);
    load(&f, s->file);
    f.memory.regions[0].data[0] ^= 1;
    expect_refused(&f, base, PYB_E_CORRUPT, "cookie");
    load(&f, s->file);
    expect_refused(&f, pyb_layout_find(3, 14, 0, 8, false, 0, NULL), PYB_E_CORRUPT, "expected 3.14");
    expect_refused(&f, pyb_layout_find(3, 12, 0, 8, false, 0, NULL), PYB_E_UNSUPPORTED, "3.12");
    set_word(&f, 8, word(&f, 8) | UINT64_C(1) << 40);
    expect_refused(&f, base, PYB_E_CORRUPT, "version");
    load(&f, s->file);
    set_word(&f, 16, 2);
    expect_refused(&f, base, PYB_E_CORRUPT, "free_threaded");
    load(&f, s->file);
    f.memory.regions[0].len = 20;
    expect_refused(&f, base, PYB_E_FAULT, "");
    f.memory.regions[0].len = 500;
    expect_refused(&f, base, PYB_E_FAULT, "");
}

// A line for each member of the layout: clang's sanitizers take minutes for such a function, so it goes without.
__attribute__((no_sanitize("address", "undefined")))
static void members_inside(const struct pyb_layout *base, const struct pyb_layout *got)
{
#define F(group, name, type, path) \
    if (got->group##_size && got->group##_##name.offset >= 0 && got->group##_##name.offset < (1 << 20) && \
        base->group##_##name.offset != got->group##_##name.offset) \
        assert_true((uint64_t)got->group##_##name.offset + got->group##_##name.width <= got->group##_size);
#define S(group, type)
#define B(group, name, type, path)
#define K(name, expression)
#define R(name)
#include "interp/layout_fields.def"
#undef F
#undef S
#undef B
#undef K
#undef R
}

// Every word of the struct, one after another, set to what no struct can have: refused, or believed only where harmless.
static void test_hostile(void **state)
{
    (void)state;
    static const uint64_t bad[] = {UINT64_MAX, UINT64_C(1) << 63, UINT64_C(0x7fffffff), UINT64_C(0xffffffff),
                                   UINT64_C(0x100000000), 1, 3, 0};
    static struct fake f;
    unsigned refused = 0, taken = 0;
    for (size_t i = 0; i < N_SAMPLES; i++) {
        const struct pyb_layout *base = row_of(&samples[i]);
        load(&f, samples[i].file);
        for (size_t at = 24; at < f.memory.regions[0].len; at += 8) {
            uint64_t was = word(&f, at);
            for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
                struct pyb_error err = {0};
                struct pyb_layout got;
                set_word(&f, at, bad[k]);
                int rc = pyb_debug_offsets_apply(&f.memory.mem, RUNTIME, base, &got, &err);
                if (rc == 0) {
                    taken++;
                    members_inside(base, &got);
                } else {
                    refused++;
                    assert_int_equal(rc, PYB_E_CORRUPT);
                    assert_true(strstr(err.what, "_Py_DebugOffsets") != NULL);
                }
            }
            set_word(&f, at, was);
        }
    }
    print_message("hostile words: %u refused, %u taken\n", refused, taken);
    assert_true(refused > taken);
}

// A target that says "free-threaded": the row becomes that of the free-threaded build.
static void test_free_threaded(void **state)
{
    (void)state;
    static struct fake f;
    const struct pyb_layout *ft = pyb_layout_find(3, 13, 18, 8, false, PYB_LAYOUT_FREETHREADED, NULL);
    struct pyb_error err = {0};
    struct pyb_layout got;
    load(&f, "3.13.18-linux-x86_64");
    set_word(&f, 16, 1);
    assert_ok(pyb_debug_offsets_apply(&f.memory.mem, RUNTIME, row_of(find_sample("3.13.18-linux-x86_64")), &got, &err), &err);
    assert_int_equal(got.flags & PYB_LAYOUT_FREETHREADED, PYB_LAYOUT_FREETHREADED);
    assert_int_equal(got.obj_ref_local.offset, PYB_ABSENT); // this target's obj_type is not where that row has it
    assert_true(ft->obj_ref_local.offset > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real),    cmocka_unit_test(test_windows), cmocka_unit_test(test_header),
        cmocka_unit_test(test_hostile), cmocka_unit_test(test_free_threaded), cmocka_unit_test(test_older_patch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
