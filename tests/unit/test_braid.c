// SPDX-License-Identifier: Apache-2.0
// Braids by hand: what stands where, written as one line. n3: native frame 3, E3: one that evaluates, p0.2:
// frame 2 of thread state 0, !: a gap.
#include "unit.h"

#include "base/arena.h"
#include "braid_made.h"

struct scene {
    struct pyb_ctx ctx;
    struct pyb_arena arena;
    struct made_env env;
    struct pyb_native_frame native[64];
    struct pyb_native_stack stack;
    struct pyb_tstate tstate[4];
    const struct pyb_tstate *tstates[4];
    struct pyb_frames frames[4];
    struct pyb_pyframe python[4][64];
    struct pyb_evaluation evaluations[4][64];
    struct pyb_braid braid;
    char text[2048];
};

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof *s);
    assert_non_null(s);
    pyb_ctx_init(&s->ctx, NULL);
    pyb_arena_init(&s->arena, &s->ctx);
    s->stack = (struct pyb_native_stack){.size = sizeof s->stack, .frames = s->native};
    for (size_t i = 0; i < 4; i++) {
        s->tstates[i] = &s->tstate[i];
        s->frames[i] = (struct pyb_frames){.frames = s->python[i], .evaluations = s->evaluations[i],
                                           .complete = true};
    }
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    pyb_arena_deinit(&s->arena);
    free(s);
    return 0;
}

static void native(struct scene *s, pyb_addr pc, pyb_addr sp, uint32_t flags)
{
    s->native[s->stack.n_frames++] = (struct pyb_native_frame){.size = sizeof *s->native, .pc = pc, .sp = sp,
                                                               .flags = flags};
}

// One evaluation of n frames whose struct is at addr (0: leaves none). Frame objects have the addresses
// 0x9000 + 16 * index.
static void evaluation(struct scene *s, size_t tstate, pyb_addr addr, uint32_t n)
{
    struct pyb_frames *f = &s->frames[tstate];
    f->evaluations[f->n_evaluations++] = (struct pyb_evaluation){.stack_addr = addr, .first = f->n, .n = n};
    for (uint32_t i = 0; i < n; i++, f->n++)
        f->frames[f->n].addr = 0x9000 + 0x1000 * (pyb_addr)tstate + 16 * (pyb_addr)f->n;
}

static const char *braid(struct scene *s, size_t n_tstates)
{
    struct pyb_braid_env env = made_braid_env(&s->env);
    struct pyb_braid_input in = {.native = s->stack.n_frames ? &s->stack : NULL, .tstates = s->tstates,
                                 .frames = s->frames, .n_tstates = n_tstates};
    struct pyb_error err = {0};
    assert_int_equal(pyb_braid_with(&env, &in, &s->arena, &s->braid, &err), 0);
    made_check(&in, &s->braid);
    size_t len = 0;
    for (uint32_t i = 0; i < s->braid.n; i++) {
        const struct pyb_strand *t = &s->braid.items[i];
        char *at = s->text + len;
        size_t room = sizeof s->text - len;
        int n = t->kind == PYB_FRAME_PYTHON ? snprintf(at, room, "p%u.%u ", t->tstate, t->frame)
                : t->kind == PYB_FRAME_GAP  ? snprintf(at, room, "! ")
                                            : snprintf(at, room, "%c%u ", t->kind == PYB_FRAME_KERNEL ? 'k'
                                                       : t->evaluation ? 'E' : 'n', t->native);
        len += (size_t)n;
    }
    if (len > 0)
        s->text[len - 1] = '\0';
    return s->text;
}

static void gap_says(const struct scene *s, const char *part)
{
    for (uint32_t i = 0; i < s->braid.n; i++) {
        if (s->braid.items[i].kind == PYB_FRAME_GAP && strstr(s->braid.items[i].note, part))
            return;
    }
    fail_msg("no gap says \"%s\"; the first says \"%s\"", part, s->braid.note ? s->braid.note : "(nothing)");
}

// sleep <- evaluation of two frames <- sort <- evaluation of one <- main
static void alternating(struct scene *s)
{
    native(s, 0x1000, 0x1000, 0);
    native(s, 0xe010, 0x2000, 0);
    native(s, 0x1200, 0x3000, 0);
    native(s, 0xe010, 0x4000, 0);
    native(s, 0x1300, 0x5000, 0);
}

static void test_by_address(void **state)
{
    struct scene *s = *state;
    alternating(s);
    evaluation(s, 0, 0x2800, 2);
    evaluation(s, 0, 0x4800, 1);
    assert_string_equal(braid(s, 1), "n0 p0.0 p0.1 E1 n2 p0.2 E3 n4");
    assert_true(s->braid.complete);
}

static void test_struct_at_the_very_ends_of_a_frame(void **state)
{
    struct scene *s = *state;
    alternating(s);
    evaluation(s, 0, 0x2000, 1);
    evaluation(s, 0, 0x4fff, 1);
    assert_string_equal(braid(s, 1), "n0 p0.0 E1 n2 p0.1 E3 n4");
}

static void test_unnamed_evaluation_functions_are_learned(void **state)
{
    struct scene *s = *state;
    native(s, 0x1000, 0x1000, 0);
    native(s, 0x5510, 0x2000, 0); // stripped: nothing says that it evaluates
    native(s, 0x1200, 0x3000, 0);
    // another place in the same function, and no struct of ours: a foreign greenlet's
    native(s, 0x5520, 0x4000, 0);
    native(s, 0x1300, 0x5000, 0);
    evaluation(s, 0, 0x2800, 1);
    assert_string_equal(braid(s, 1), "n0 p0.0 E1 n2 !");
    gap_says(s, "not shown: 2");
}

static void test_what_is_inlined_into_the_loop_stands_inside_python(void **state)
{
    struct scene *s = *state;
    native(s, 0x1000, 0x1000, 0);
    native(s, 0xe010, 0x2000, PYB_NATIVE_INLINED);
    native(s, 0xe010, 0x2000, PYB_NATIVE_INLINED);
    native(s, 0xe010, 0x2000, 0);
    native(s, 0x1300, 0x3000, 0);
    evaluation(s, 0, 0x2800, 2);
    assert_string_equal(braid(s, 1), "n0 n1 n2 p0.0 p0.1 E3 n4");
    assert_true(s->braid.complete);
}

static void test_evaluation_being_entered(void **state)
{
    struct scene *s = *state;
    native(s, 0xe010, 0x2000, 0); // in its prologue: no struct yet
    native(s, 0x1200, 0x3000, 0);
    native(s, 0xe010, 0x4000, 0);
    native(s, 0x1300, 0x5000, 0);
    evaluation(s, 0, 0x4800, 1);
    assert_string_equal(braid(s, 1), "E0 n1 p0.0 E2 n3");
    assert_true(s->braid.complete);
}

static void test_evaluation_without_frames(void **state)
{
    struct scene *s = *state;
    alternating(s);
    evaluation(s, 0, 0x2800, 0);
    evaluation(s, 0, 0x4800, 1);
    assert_string_equal(braid(s, 1), "n0 E1 n2 p0.0 E3 n4");
    assert_true(s->braid.complete);
}

static void test_the_first_evaluation_of_a_thread(void **state)
{
    struct scene *s = *state;
    native(s, 0xe010, 0x2000, 0);
    native(s, 0x1300, 0x3000, 0);
    assert_string_equal(braid(s, 1), "E0 n1");
    assert_true(s->braid.complete);
}

static void test_unmatched_evaluation_between_matched_ones(void **state)
{
    struct scene *s = *state;
    alternating(s);
    native(s, 0xe010, 0x6000, 0);
    native(s, 0x1300, 0x7000, 0);
    evaluation(s, 0, 0x2800, 1);
    evaluation(s, 0, 0x6800, 1);
    assert_string_equal(braid(s, 1), "n0 p0.0 E1 n2 ! E3 n4 p0.1 E5 n6");
}

static void test_signal_stack_below_the_main_stack(void **state)
{
    struct scene *s = *state;
    native(s, 0x1000, 0x5d23980, 0); // handler, on a stack of its own in the heap
    native(s, 0x1100, 0x5d23a00, PYB_NATIVE_SIGNAL);
    native(s, 0x1200, 0x7ffc0000, 0);
    native(s, 0xe010, 0x7ffc1000, 0);
    native(s, 0x1300, 0x7ffc2000, 0);
    evaluation(s, 0, 0x7ffc1800, 1);
    assert_string_equal(braid(s, 1), "n0 n1 n2 p0.0 E3 n4");
    assert_true(s->braid.complete);
}

static void test_signal_stack_above_the_main_stack(void **state)
{
    struct scene *s = *state;
    native(s, 0x1000, 0x7fff1000, 0);
    native(s, 0x1100, 0x7fff2000, PYB_NATIVE_SIGNAL);
    native(s, 0xe010, 0x1000, 0);
    native(s, 0x1300, 0x2000, 0);
    evaluation(s, 0, 0x1800, 1);
    assert_string_equal(braid(s, 1), "n0 n1 p0.0 E2 n3");
}

static void test_signal_during_the_evaluation_of_a_handler(void **state)
{
    // No frame of the interrupted code may claim what lies on the other stack.
    struct scene *s = *state;
    native(s, 0x1000, 0x1000, 0);
    native(s, 0x1100, 0x2000, PYB_NATIVE_SIGNAL);
    native(s, 0xe010, 0x900000, 0);
    native(s, 0x1300, 0x901000, 0);
    evaluation(s, 0, 0x800000, 1); // between the two stacks: nobody's
    evaluation(s, 0, 0x900800, 1);
    assert_string_equal(braid(s, 1), "! p0.0 n0 n1 p0.1 E2 n3");
}

static void test_stack_switch_without_a_signal(void **state)
{
    struct scene *s = *state;
    native(s, 0xe010, 0x900000, 0);
    native(s, 0x1000, 0x901000, 0); // last of a coroutine's stack
    native(s, 0xe010, 0x2000, 0);
    native(s, 0x1300, 0x3000, 0);
    evaluation(s, 0, 0x900800, 1);
    evaluation(s, 0, 0x2800, 1);
    assert_string_equal(braid(s, 1), "p0.0 E0 n1 p0.1 E2 n3");
}

static void test_leap_to_another_mapping_is_a_switch(void **state)
{
    struct scene *s = *state;
    s->env.mapping_end = 0x3000;
    native(s, 0x1000, 0x1000, 0);
    native(s, 0x1100, 0x2000, 0); // ends at 0x3000 at the latest, though the next sp is 0x5000
    native(s, 0xe010, 0x5000, 0);
    native(s, 0x1300, 0x6000, 0);
    evaluation(s, 0, 0x4000, 1);
    evaluation(s, 0, 0x5800, 1);
    assert_string_equal(braid(s, 1), "! p0.0 n0 n1 p0.1 E2 n3");
}

static void test_a_library_that_seems_to_hold_evaluations(void **state)
{
    struct scene *s = *state;
    native(s, 0x1000, 0x1000, 0);
    native(s, 0xe010, 0x2000, 0);
    native(s, 0x700010, 0x3000, 0); // the unwinder lost its way here
    native(s, 0, 0x9000, 0);
    evaluation(s, 0, 0x2800, 1);
    evaluation(s, 0, 0x4800, 1);
    evaluation(s, 0, 0x6800, 1);
    assert_string_equal(braid(s, 1), "n0 p0.0 E1 n2 n3 ! p0.1 p0.2");
}

static void test_greenlet_below(void **state)
{
    struct scene *s = *state;
    alternating(s);
    evaluation(s, 0, 0x2800, 2); // the other evaluation is another greenlet's
    assert_string_equal(braid(s, 1), "n0 p0.0 p0.1 E1 n2 !");
    gap_says(s, "greenlet");
    assert_false(s->braid.complete);
}

static void test_two_thread_states(void **state)
{
    struct scene *s = *state;
    alternating(s);
    native(s, 0xe010, 0x6000, 0);
    native(s, 0x1400, 0x7000, 0);
    evaluation(s, 0, 0x2800, 1); // main interpreter, called back
    evaluation(s, 0, 0x6800, 1); // main interpreter
    evaluation(s, 1, 0x4800, 2); // subinterpreter between
    assert_string_equal(braid(s, 2), "n0 p0.0 E1 n2 p1.0 p1.1 E3 n4 p0.1 E5 n6");
    assert_true(s->braid.complete);
}

static void test_native_stack_ends_early(void **state)
{
    struct scene *s = *state;
    native(s, 0x1000, 0x1000, 0);
    native(s, 0xe010, 0x2000, 0);
    native(s, 0x1200, 0x3000, 0);
    s->stack.truncated = "previous frame identical to this frame";
    evaluation(s, 0, 0x2800, 1);
    evaluation(s, 0, 0x4800, 1);
    evaluation(s, 0, 0x6800, 1);
    assert_string_equal(braid(s, 1), "n0 p0.0 E1 n2 ! p0.1 p0.2");
    gap_says(s, "previous frame identical");
    gap_says(s, "have no native frame");
}

static void test_native_stack_ends_at_an_evaluation(void **state)
{
    struct scene *s = *state;
    native(s, 0x1000, 0x1000, 0);
    native(s, 0xe010, 0x2000, 0); // its end is not known: the first struct above its sp is its own
    s->stack.truncated = "no unwind information";
    evaluation(s, 0, 0x2800, 1);
    evaluation(s, 0, 0x4800, 1);
    assert_string_equal(braid(s, 1), "n0 p0.0 E1 ! p0.1");
}

static void test_no_native_stack(void **state)
{
    struct scene *s = *state;
    evaluation(s, 0, 0x2800, 2);
    evaluation(s, 0, 0x6800, 1);
    assert_string_equal(braid(s, 1), "p0.0 p0.1 p0.2");
    assert_true(s->braid.complete);
    evaluation(s, 1, 0x4800, 1);
    assert_string_equal(braid(s, 2), "p0.0 p0.1 p1.0 p0.2");
}

static void test_no_python(void **state)
{
    struct scene *s = *state;
    native(s, 0x1000, 0x1000, 0);
    native(s, 0x1200, 0x3000, 0);
    assert_string_equal(braid(s, 0), "n0 n1");
    assert_true(s->braid.complete);
}

static void test_kernel_frames(void **state)
{
    struct scene *s = *state;
    native(s, 0xffffffff81000000, 0xffff888000000000, PYB_NATIVE_KERNEL);
    alternating(s);
    evaluation(s, 0, 0x2800, 1);
    evaluation(s, 0, 0x4800, 1);
    assert_string_equal(braid(s, 1), "k0 n1 p0.0 E2 n3 p0.1 E4 n5");
    assert_true(s->braid.complete);
}

static void test_python_stack_ends_early(void **state)
{
    struct scene *s = *state;
    alternating(s);
    evaluation(s, 0, 0x2800, 1);
    s->frames[0].complete = false;
    s->frames[0].note = "the frame at 0x1 cannot be read";
    // The outer evaluation has no frame because it could not be read: that is no foreign stack.
    assert_string_equal(braid(s, 1), "n0 p0.0 ! E1 n2 ! E3 n4");
    gap_says(s, "cannot be read");
}

static void test_two_evaluations_in_one_frame(void **state)
{
    struct scene *s = *state;
    alternating(s);
    evaluation(s, 0, 0x2400, 1);
    evaluation(s, 0, 0x2800, 1);
    evaluation(s, 0, 0x4800, 1);
    assert_string_equal(braid(s, 1), "n0 p0.0 ! p0.1 E1 n2 p0.2 E3 n4");
    gap_says(s, "missing");
}

static void test_chain_against_the_stack(void **state)
{
    struct scene *s = *state;
    alternating(s);
    evaluation(s, 0, 0x4800, 1);
    evaluation(s, 0, 0x2800, 1);
    assert_string_equal(braid(s, 1), "n0 E1 n2 p0.0 E3 n4 ! p0.1");
    assert_false(s->braid.complete);
}

static void test_evaluations_that_do_not_cover_the_frames(void **state)
{
    struct scene *s = *state;
    alternating(s);
    evaluation(s, 0, 0x2800, 1);
    s->frames[0].n = 3; // two frames belong to none
    assert_string_equal(braid(s, 1), "n0 p0.0 E1 n2 ! ! p0.1 p0.2");
    s->evaluations[0][0].n = 4000000000u;
    assert_string_equal(braid(s, 1), "n0 E1 n2 E3 n4 ! p0.0 p0.1 p0.2");
}

// Up to 3.10: no structs.

static void test_counted(void **state)
{
    struct scene *s = *state;
    alternating(s);
    evaluation(s, 0, 0, 1);
    evaluation(s, 0, 0, 1);
    assert_string_equal(braid(s, 1), "n0 p0.0 E1 n2 p0.1 E3 n4");
    assert_true(s->braid.complete);
}

static void test_counted_parts_are_one_evaluation(void **state)
{
    struct scene *s = *state;
    native(s, 0x1000, 0x1000, 0);
    native(s, 0xf010, 0x2000, 0);
    native(s, 0xe010, 0x3000, 0);
    native(s, 0xf010, 0x4000, 0);
    native(s, 0xe010, 0x5000, 0);
    native(s, 0x1300, 0x6000, 0);
    evaluation(s, 0, 0, 1);
    evaluation(s, 0, 0, 1);
    assert_string_equal(braid(s, 1), "n0 p0.0 E1 E2 p0.1 E3 E4 n5");
    assert_true(s->braid.complete);
}

// Four evaluation frames at MADE_STACK + 0x1000, 0x2000, 0x3000, 0x4000, a C function inside each.
static void four(struct scene *s, pyb_addr innermost_pc)
{
    for (uint32_t i = 0; i < 4; i++) {
        native(s, i == 0 ? innermost_pc : 0x1000, MADE_STACK + 0x1000 * i + 0x800, 0);
        native(s, 0xe010, MADE_STACK + 0x1000 * (i + 1), 0);
    }
    native(s, 0x1300, MADE_STACK + 0x4800, 0);
}

static void holds(struct scene *s, uint32_t evaluation_frame, uint32_t python)
{
    made_poke(&s->env, MADE_STACK + 0x1000 * (evaluation_frame + 1) + 0x100, 0x9000 + 16 * (pyb_addr)python);
}

static void test_counted_while_one_is_entered(void **state)
{
    struct scene *s = *state;
    four(s, 0x1000);
    for (uint32_t i = 0; i < 3; i++) {
        evaluation(s, 0, 0, 1);
        holds(s, i + 1, i);
    }
    assert_string_equal(braid(s, 1), "n0 E1 n2 p0.0 E3 n4 p0.1 E5 n6 p0.2 E7 n8");
    assert_true(s->braid.complete);
}

static void test_counted_above_a_greenlet(void **state)
{
    struct scene *s = *state;
    four(s, 0x1000);
    // One frame less than evaluations, as above: but the frames' addresses stand one further in.
    for (uint32_t i = 0; i < 3; i++) {
        evaluation(s, 0, 0, 1);
        holds(s, i, i);
    }
    assert_string_equal(braid(s, 1), "n0 p0.0 E1 n2 p0.1 E3 n4 p0.2 E5 n6 !");
    gap_says(s, "greenlet");
}

static void test_counted_with_a_short_native_stack(void **state)
{
    struct scene *s = *state;
    four(s, 0x1000);
    s->stack.truncated = "backtrace limit";
    for (uint32_t i = 0; i < 6; i++) {
        evaluation(s, 0, 0, 1);
        if (i < 4)
            holds(s, i, i);
    }
    assert_string_equal(braid(s, 1), "n0 p0.0 E1 n2 p0.1 E3 n4 p0.2 E5 n6 p0.3 E7 n8 ! p0.4 p0.5");
}

static void test_counted_with_an_unnamed_cold_part(void **state)
{
    struct scene *s = *state;
    four(s, 0x1000);
    s->native[3].pc = 0x7710; // of the loop's cold part: no symbol, but the loop's stack frame
    for (uint32_t i = 0; i < 4; i++) {
        evaluation(s, 0, 0, 1);
        holds(s, i, i);
    }
    assert_string_equal(braid(s, 1), "n0 p0.0 E1 n2 p0.1 E3 n4 p0.2 E5 n6 p0.3 E7 n8");
    assert_true(s->braid.complete);
}

static void test_counts_that_contradict(void **state)
{
    struct scene *s = *state;
    four(s, 0x1000);
    for (uint32_t i = 0; i < 9; i++)
        evaluation(s, 0, 0, 1);
    assert_string_equal(braid(s, 1),
                        "n0 E1 n2 E3 n4 E5 n6 E7 n8 ! p0.0 p0.1 p0.2 p0.3 p0.4 p0.5 p0.6 p0.7 p0.8");
    gap_says(s, "9 Python frames, but 4 native frames");
}

static void test_counted_two_thread_states(void **state)
{
    struct scene *s = *state;
    four(s, 0x1000);
    evaluation(s, 0, 0, 1); // the outer interpreter is listed first
    evaluation(s, 0, 0, 1);
    evaluation(s, 1, 0, 1);
    evaluation(s, 1, 0, 1);
    for (uint32_t i = 0; i < 2; i++) {
        made_poke(&s->env, MADE_STACK + 0x1000 * (i + 1) + 0x100, 0xa000 + 16 * i);
        made_poke(&s->env, MADE_STACK + 0x1000 * (i + 3) + 0x100, 0x9000 + 16 * i);
    }
    assert_string_equal(braid(s, 2), "n0 p1.0 E1 n2 p1.1 E3 n4 p0.0 E5 n6 p0.1 E7 n8");
    assert_true(s->braid.complete);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_by_address), T(test_struct_at_the_very_ends_of_a_frame),
            T(test_unnamed_evaluation_functions_are_learned),
        T(test_what_is_inlined_into_the_loop_stands_inside_python), T(test_evaluation_being_entered),
            T(test_evaluation_without_frames),
        T(test_the_first_evaluation_of_a_thread), T(test_unmatched_evaluation_between_matched_ones),
        T(test_signal_stack_below_the_main_stack), T(test_signal_stack_above_the_main_stack),
        T(test_signal_during_the_evaluation_of_a_handler), T(test_stack_switch_without_a_signal),
        T(test_leap_to_another_mapping_is_a_switch), T(test_a_library_that_seems_to_hold_evaluations),
            T(test_greenlet_below), T(test_two_thread_states),
        T(test_native_stack_ends_early), T(test_native_stack_ends_at_an_evaluation), T(test_no_native_stack),
        T(test_no_python), T(test_kernel_frames), T(test_python_stack_ends_early),
            T(test_two_evaluations_in_one_frame),
        T(test_chain_against_the_stack), T(test_evaluations_that_do_not_cover_the_frames), T(test_counted),
        T(test_counted_parts_are_one_evaluation), T(test_counted_while_one_is_entered),
            T(test_counted_above_a_greenlet),
        T(test_counted_with_a_short_native_stack), T(test_counted_with_an_unnamed_cold_part),
        T(test_counts_that_contradict), T(test_counted_two_thread_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
