// SPDX-License-Identifier: Apache-2.0
// Chains of frames made by hand: whole, cut, turning back, caught in the middle of a push or a pop.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "made_objects.h"

#define THREAD 0
#define GENERATOR 1
#define CSTACK 3

static struct pyb_frames read_frames(struct world *w, uint32_t max)
{
    struct pyb_frames frames;
    struct pyb_error err = {0};
    if (pyb_frames_read(&w->f.py, &w->t, max, &w->f.py.arena, &frames, &err))
        fail_msg("%s", err.what);
    uint32_t covered = 0; // each frame belongs to exactly one evaluation, in order
    for (uint32_t i = 0; i < frames.n_evaluations; i++) {
        assert_int_equal(frames.evaluations[i].first, covered);
        for (uint32_t k = 0; k < frames.evaluations[i].n; k++)
            assert_int_equal(frames.frames[covered + k].evaluation, i);
        covered += frames.evaluations[i].n;
    }
    assert_int_equal(covered, frames.n);
    assert_int_equal(frames.complete, frames.note == NULL);
    return frames;
}

static void is(const struct pyb_pyframe *f, pyb_addr addr, int32_t lasti, bool entry)
{
    assert_int_equal(f->addr, addr);
    assert_int_equal(f->lasti, lasti);
    assert_int_equal(f->entry, entry);
}

static pyb_addr simple_code(struct world *w)
{
    return world_code(w, "f", "f", "x.py", 20);
}

static void begin(struct world *w, enum pyb_walker walker)
{
    world_begin(w, walker, 8, false);
    w->f.py.layout.owner_cstack = CSTACK;
}

static void frame_objects(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct world w;
        world_begin(&w, PYB_WALKER_FRAMEOBJECT, i & 1 ? 4 : 8, i & 2);
        pyb_addr code = simple_code(&w);
        pyb_addr outer = world_frame_object(&w, 0, code, -1), inner = world_frame_object(&w, outer, code, 6);
        made_set(&w.f, inner, w.f.py.layout.frame_gen, 0x1234);
        w.t.top = inner;
        struct pyb_frames r = read_frames(&w, 100);
        assert_int_equal(r.n, 2);
        assert_int_equal(r.n_evaluations, 2); // one each
        is(&r.frames[0], inner, 6, true);
        is(&r.frames[1], outer, -1, true);
        assert_true(r.frames[0].generator && !r.frames[1].generator);
        w.f.py.layout.lasti_scale = 2; // 3.10 counts in code units
        assert_int_equal(read_frames(&w, 100).frames[0].lasti, 12);
        made_deinit(&w.f);
    }
}

// main -> f -> [C] -> g: two evaluations, the inner one of one frame.
static void iframes(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct world w;
        world_begin(&w, PYB_WALKER_IFRAME, i & 1 ? 4 : 8, i & 2);
        w.f.py.layout.owner_cstack = CSTACK;
        pyb_addr code = simple_code(&w);
        pyb_addr shim1 = world_iframe(&w, 0, 0, 0, CSTACK), main = world_iframe(&w, shim1, code, 4, THREAD);
        pyb_addr f = world_iframe(&w, main, code, 8, GENERATOR);
        pyb_addr shim2 = world_iframe(&w, f, 0, 0, CSTACK), g = world_iframe(&w, shim2, code, 10, THREAD);
        w.t.top = g;
        struct pyb_frames r = read_frames(&w, 100);
        assert_int_equal(r.n, 3);
        assert_int_equal(r.n_evaluations, 2);
        is(&r.frames[0], g, 10, true);
        is(&r.frames[1], f, 8, false);
        is(&r.frames[2], main, 4, true);
        assert_true(r.frames[1].generator && !r.frames[2].generator);
        assert_int_equal(r.evaluations[0].stack_addr, shim2);
        assert_int_equal(r.evaluations[1].stack_addr, shim1);
        made_deinit(&w.f);
    }
}

static void base_frame(void **state)
{
    (void)state;
    struct world w;
    begin(&w, PYB_WALKER_IFRAME);
    w.f.py.layout.owner_interpreter = 4;
    pyb_addr base = w.t.addr + 40; // inside the thread state: no evaluation
    world_iframe_at(&w, base, 0, 0, 0, 4);
    pyb_addr shim = world_iframe(&w, base, 0, 0, 4);
    w.t.top = world_iframe(&w, shim, simple_code(&w), 2, THREAD);
    struct pyb_frames r = read_frames(&w, 100);
    assert_int_equal(r.n, 1);
    assert_int_equal(r.n_evaluations, 1);
    assert_int_equal(r.evaluations[0].stack_addr, shim);
    w.t.top = base; // a thread that runs no Python
    r = read_frames(&w, 100);
    assert_int_equal(r.n + r.n_evaluations, 0);
    assert_true(r.complete);
    made_deinit(&w.f);
}

static void tagged_executable(void **state)
{
    (void)state;
    struct world w;
    begin(&w, PYB_WALKER_IFRAME);
    w.f.py.layout.executable_tag_mask = 3;
    pyb_addr code = simple_code(&w), shim = world_iframe(&w, 0, 0, 0, CSTACK);
    w.t.top = world_iframe(&w, shim, code, 4, THREAD);
    made_set(&w.f, w.t.top, w.f.py.layout.iframe_executable, code | 1);
    struct pyb_frames r = read_frames(&w, 100);
    assert_int_equal(r.frames[0].code, code);
    assert_int_equal(r.frames[0].lasti, 4);
    made_deinit(&w.f);
}

// Free-threaded: the instruction lies in this thread's copy of the bytecode.
static void thread_local_bytecode(void **state)
{
    (void)state;
    struct world w;
    begin(&w, PYB_WALKER_IFRAME);
    const struct pyb_layout *l = &w.f.py.layout;
    pyb_addr code = simple_code(&w), copy = made_alloc(&w.f, 40), array = made_alloc(&w.f, 32);
    made_set(&w.f, code, l->code_tlbc, array);
    made_set(&w.f, array, l->codearray_count, 2);
    made_put(&w.f, array + (uint32_t)l->codearray_entries.offset + 8, 8, copy);
    pyb_addr shim = world_iframe(&w, 0, 0, 0, CSTACK);
    w.t.top = world_iframe(&w, shim, code, 0, THREAD);
    made_set(&w.f, w.t.top, l->iframe_instr_ptr, copy + 14);
    made_set(&w.f, w.t.top, l->iframe_tlbc_index, 1);
    struct pyb_frames r = read_frames(&w, 100);
    assert_int_equal(r.frames[0].lasti, 14);
    assert_false(r.frames[0].jit);
    // there is no such copy: the instruction is not where it says
    made_set(&w.f, w.t.top, l->iframe_tlbc_index, 2);
    r = read_frames(&w, 100);
    assert_true(r.frames[0].jit);
    made_deinit(&w.f);
}

static void instruction_outside(void **state)
{
    (void)state;
    struct world w;
    begin(&w, PYB_WALKER_IFRAME);
    pyb_addr code = simple_code(&w), shim = world_iframe(&w, 0, 0, 0, CSTACK);
    pyb_addr outer = world_iframe(&w, shim, code, 4, THREAD);
    w.t.top = world_iframe(&w, outer, code, 40, THREAD); // one past the last
    struct pyb_frames r = read_frames(&w, 100);
    assert_int_equal(r.n, 2);
    assert_true(r.frames[0].jit && !r.frames[1].jit);
    assert_int_equal(r.frames[0].lasti, -1);
    w.t.top = outer; // in a trace: the innermost instruction is approximate
    made_set(&w.f, w.t.addr, w.f.py.layout.tstate_current_executor, 0x5000);
    assert_true(read_frames(&w, 100).frames[0].jit);
    made_deinit(&w.f);
}

static void incomplete_and_trampolines(void **state)
{
    (void)state;
    struct world w;
    begin(&w, PYB_WALKER_IFRAME);
    const struct pyb_layout *l = &w.f.py.layout;
    pyb_addr code = simple_code(&w), trampoline = simple_code(&w);
    made_set(&w.f, code, l->code_firsttraceable, 3);
    made_set(&w.f, trampoline, l->code_firsttraceable, 24); // more than there are
    made_set(&w.f, trampoline, l->code_flags, 0x2000000);
    pyb_addr shim = world_iframe(&w, 0, 0, 0, CSTACK), outer = world_iframe(&w, shim, code, 6, THREAD);
    pyb_addr cleanup = world_iframe(&w, outer, trampoline, 2, THREAD); // of an inlined __init__: no function
    pyb_addr generator = world_iframe(&w, cleanup, code, 4, GENERATOR);
    w.t.top = world_iframe(&w, generator, code, 4, THREAD);
    struct pyb_frames r = read_frames(&w, 100);
    assert_int_equal(r.n, 3);
    assert_true(r.frames[0].incomplete);
    assert_false(r.frames[1].incomplete || r.frames[2].incomplete);
    assert_int_equal(r.frames[2].addr, outer);
    made_deinit(&w.f);
}

struct old { // 3.11: two evaluations; f runs inline under main
    pyb_addr code, main, f, g, root, cframe1, cframe2;
};

static struct old build_311(struct world *w)
{
    struct old o;
    begin(w, PYB_WALKER_CFRAME);
    struct pyb_layout *l = &w->f.py.layout;
    l->owner_cstack = PYB_ABSENT;
    l->iframe_is_entry = (struct pyb_field){40, 1};
    o.code = simple_code(w);
    o.main = world_iframe(w, 0, o.code, 4, THREAD);
    o.f = world_iframe(w, o.main, o.code, 8, THREAD);
    o.g = world_iframe(w, o.f, o.code, 12, THREAD);
    made_set(&w->f, o.main, l->iframe_is_entry, 1);
    made_set(&w->f, o.g, l->iframe_is_entry, 1);
    o.root = world_cframe(w, 0, 0);
    o.cframe1 = world_cframe(w, o.root, o.f);
    o.cframe2 = world_cframe(w, o.cframe1, o.g);
    w->t.top = o.cframe2;
    w->t.base = o.root;
    return o;
}

static void cframes(void **state)
{
    (void)state;
    struct world w;
    struct old o = build_311(&w);
    struct pyb_frames r = read_frames(&w, 100);
    assert_int_equal(r.n, 3);
    assert_int_equal(r.n_evaluations, 2);
    is(&r.frames[0], o.g, 12, true);
    is(&r.frames[1], o.f, 8, false);
    is(&r.frames[2], o.main, 4, true);
    assert_int_equal(r.evaluations[0].stack_addr, o.cframe2);
    assert_int_equal(r.evaluations[1].stack_addr, o.cframe1);
    made_set(&w.f, o.g, w.f.py.layout.iframe_prev_instr,
             o.code + (uint32_t)w.f.py.layout.code_code_adaptive.offset - 2); // not started
    assert_int_equal(read_frames(&w, 100).frames[0].lasti, -1);
    w.t.top = o.root;
    r = read_frames(&w, 100);
    assert_int_equal(r.n + r.n_evaluations, 0);
    assert_true(r.complete);
    made_deinit(&w.f);
}

// The evaluation has linked its _PyCFrame, both members of which still hold what lay on the stack.
static void cframe_being_pushed(void **state)
{
    (void)state;
    struct world w;
    struct old o = build_311(&w);
    pyb_addr stale[] = {0, 0xdead0008, 0xdead0003, o.main, o.cframe1};
    pyb_addr top = made_alloc(&w.f, 256), other = top + 64, caller = top + 96; // the C stack, growing down
    made_set(&w.f, other, w.f.py.layout.cframe_current_frame, o.main);         // left over: leads nowhere
    made_set(&w.f, other, w.f.py.layout.cframe_previous, caller);
    made_set(&w.f, caller, w.f.py.layout.cframe_current_frame, o.g);
    made_set(&w.f, caller, w.f.py.layout.cframe_previous, w.t.addr + 200);
    made_set(&w.f, o.g, w.f.py.layout.iframe_previous, 0);
    w.t.base = w.t.addr + 200;
    w.t.top = top;
    for (size_t i = 0; i < sizeof stale / sizeof *stale; i++)
        for (size_t k = 0; k < 4; k++) {
            pyb_addr previous[] = {caller, 0, 0xdead0000, top - 16};
            made_set(&w.f, top, w.f.py.layout.cframe_current_frame, stale[i]);
            made_set(&w.f, top, w.f.py.layout.cframe_previous, previous[k]);
            struct pyb_frames r = read_frames(&w, 100);
            assert_int_equal(r.n, 1);
            assert_int_equal(r.n_evaluations, 2);
            assert_int_equal(r.evaluations[0].n, 0);
            assert_int_equal(r.evaluations[0].stack_addr, top);
            assert_int_equal(r.evaluations[1].stack_addr, caller);
            is(&r.frames[0], o.g, 12, true);
            assert_true(r.complete);
        }
    made_set(&w.f, caller, w.f.py.layout.cframe_current_frame, 0xdead0000); // nobody proves to be the caller
    struct pyb_frames r = read_frames(&w, 100);
    assert_int_equal(r.n + r.n_evaluations, 0);
    assert_non_null(strstr(r.note, "being set up"));
    made_set(&w.f, top, w.f.py.layout.cframe_current_frame, 0); // the very first evaluation of the thread
    made_set(&w.f, top, w.f.py.layout.cframe_previous, w.t.base);
    r = read_frames(&w, 100);
    assert_int_equal(r.n + r.n_evaluations, 0);
    assert_true(r.complete);
    made_deinit(&w.f);
}

// 3.11 gives the code of a frame back before it unlinks the frame.
static void frame_being_popped(void **state)
{
    (void)state;
    struct world w;
    struct old o = build_311(&w);
    pyb_addr other = made_ascii(&w.f, w.str, "was a code object, is freed and used for something else now");
    made_alloc(&w.f, 256); // as long as a code object
    made_set(&w.f, o.g, w.f.py.layout.iframe_executable, other);
    struct pyb_frames frames;
    assert_int_equal(pyb_frames_read(&w.f.py, &w.t, 100, &w.f.py.arena, &frames, NULL), 0);
    assert_int_equal(frames.n, 2);
    assert_true(frames.complete);
    assert_non_null(strstr(frames.note, "being removed"));
    assert_int_equal(frames.evaluations[0].stack_addr, o.cframe2);
    assert_int_equal(frames.evaluations[0].n, 0);
    made_deinit(&w.f);
}

static void python312(void **state)
{
    (void)state;
    struct world w;
    begin(&w, PYB_WALKER_CFRAME);
    pyb_addr code = simple_code(&w), root = world_cframe(&w, 0, 0);
    pyb_addr shim1 = world_iframe(&w, 0, code, 0, CSTACK), main = world_iframe(&w, shim1, code, 4, THREAD);
    pyb_addr cframe1 = world_cframe(&w, root, main);
    pyb_addr shim2 = world_iframe(&w, main, code, 0, CSTACK), f = world_iframe(&w, shim2, code, 8, THREAD);
    pyb_addr cframe2 = world_cframe(&w, cframe1, f);
    w.t.top = cframe2;
    struct pyb_frames r = read_frames(&w, 100);
    assert_int_equal(r.n, 2);
    assert_int_equal(r.evaluations[0].stack_addr, shim2);
    assert_int_equal(r.evaluations[1].stack_addr, shim1);
    // Returning: the frame is gone, the shim is current, the evaluation still there.
    made_set(&w.f, cframe2, w.f.py.layout.cframe_current_frame, shim2);
    r = read_frames(&w, 100);
    assert_int_equal(r.n, 1);
    assert_int_equal(r.n_evaluations, 2);
    assert_int_equal(r.evaluations[0].n, 0);
    assert_int_equal(r.evaluations[0].stack_addr, shim2);
    // Just linked; the calling evaluation's _PyCFrame lies above it.
    pyb_addr stack = made_alloc(&w.f, 128);
    made_set(&w.f, stack, w.f.py.layout.cframe_current_frame, 0xdead0000);
    made_set(&w.f, stack + 64, w.f.py.layout.cframe_current_frame, main);
    made_set(&w.f, stack + 64, w.f.py.layout.cframe_previous, root);
    w.t.base = root;
    w.t.top = cframe2 = stack;
    r = read_frames(&w, 100);
    assert_int_equal(r.n, 1);
    assert_int_equal(r.evaluations[0].stack_addr, cframe2);
    made_deinit(&w.f);
}

static void cycles(void **state)
{
    (void)state;
    for (uint32_t tail = 0; tail < 5; tail++)
        for (uint32_t period = 1; period < 12; period++)
            for (int walker = PYB_WALKER_FRAMEOBJECT; walker <= PYB_WALKER_IFRAME; walker += 2) {
                struct world w;
                begin(&w, (enum pyb_walker)walker);
                bool old = walker == PYB_WALKER_FRAMEOBJECT;
                pyb_addr code = simple_code(&w), first = 0, addr = 0, turn = 0;
                for (uint32_t i = 0; i < tail + period; i++) { // from the outermost in; that one leads back
                    addr = old ? world_frame_object(&w, addr, code, 4)
                               : world_iframe(&w, addr, code, 4, THREAD);
                    first = i == 0 ? addr : first;
                    turn = i == period - 1 ? addr : turn;
                }
                made_set(&w.f, first, old ? w.f.py.layout.frame_back : w.f.py.layout.iframe_previous, turn);
                w.t.top = addr;
                struct pyb_frames r = read_frames(&w, 100000);
                assert_int_equal(r.n, tail + period);
                assert_non_null(strstr(r.note, "turns back"));
                made_deinit(&w.f);
            }
}

static void shims_only(void **state)
{
    (void)state;
    struct world w;
    begin(&w, PYB_WALKER_IFRAME);
    pyb_addr a = world_iframe(&w, 0, 0, 0, CSTACK), b = world_iframe(&w, a, 0, 0, CSTACK);
    made_set(&w.f, a, w.f.py.layout.iframe_previous, b);
    w.t.top = b;
    struct pyb_frames r = read_frames(&w, 100);
    assert_int_equal(r.n, 0);
    assert_int_equal(r.n_evaluations, 2);
    assert_false(r.complete);
    made_deinit(&w.f);
}

static void cut_chains(void **state)
{
    (void)state;
    struct world w;
    begin(&w, PYB_WALKER_IFRAME);
    pyb_addr code = simple_code(&w), outer = world_iframe(&w, 0xdead0000, code, 4, THREAD);
    w.t.top = world_iframe(&w, outer, code, 4, THREAD);
    struct pyb_frames r = read_frames(&w, 100);
    assert_int_equal(r.n, 2);
    assert_non_null(strstr(r.note, "0xdead0000"));
    assert_int_equal(r.evaluations[0].stack_addr, 0); // not seen
    assert_false(r.frames[1].entry);
    r = read_frames(&w, 1);
    assert_int_equal(r.n, 1);
    assert_non_null(strstr(r.note, "more than 1 frame"));
    made_set(&w.f, outer, w.f.py.layout.iframe_executable, made_type(&w.f, "int", 0)); // no code object
    r = read_frames(&w, 100);
    assert_int_equal(r.n, 1);
    assert_non_null(strstr(r.note, "not a code object"));
    made_set(&w.f, w.t.top, w.f.py.layout.iframe_previous, outer + 1);
    r = read_frames(&w, 100);
    assert_int_equal(r.n, 1);
    assert_non_null(strstr(r.note, "not the address of a frame"));
    w.t.top = 0xdead0000;
    r = read_frames(&w, 100);
    assert_int_equal(r.n, 0);
    assert_false(r.complete);
    made_deinit(&w.f);
}

static void no_layout(void **state)
{
    (void)state;
    struct world w;
    begin(&w, PYB_WALKER_IFRAME);
    w.t.top = world_iframe(&w, 0, simple_code(&w), 4, THREAD);
    w.f.py.layout.iframe_owner.offset = PYB_ABSENT;
    struct pyb_frames r;
    assert_int_equal(pyb_frames_read(&w.f.py, &w.t, 100, &w.f.py.arena, &r, NULL), PYB_E_UNSUPPORTED);
    w.f.py.layout.walker = 0;
    assert_int_equal(pyb_frames_read(&w.f.py, &w.t, 100, &w.f.py.arena, &r, NULL), PYB_E_UNSUPPORTED);
    made_deinit(&w.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frame_objects),       cmocka_unit_test(iframes),
        cmocka_unit_test(base_frame),          cmocka_unit_test(tagged_executable),
        cmocka_unit_test(thread_local_bytecode), cmocka_unit_test(instruction_outside),
        cmocka_unit_test(incomplete_and_trampolines), cmocka_unit_test(cframes),
        cmocka_unit_test(cframe_being_pushed), cmocka_unit_test(frame_being_popped),
        cmocka_unit_test(python312),           cmocka_unit_test(cycles),
        cmocka_unit_test(shims_only),          cmocka_unit_test(cut_chains),
        cmocka_unit_test(no_layout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
