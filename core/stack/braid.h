// SPDX-License-Identifier: Apache-2.0
/**
 * The braid: one stack of Python and native frames of one OS thread, by stack address. One function for every
 * front end.
 *
 * Input: the native frames (innermost first) and the evaluations of all thread states of that OS thread. An
 * evaluation with a struct at `stack_addr` belongs to the native frame with sp <= stack_addr < caller's sp,
 * within its segment (main stack, signal stack, a greenlet's). Up to 3.10 the k-th evaluation frame from the
 * root (a pc in the FDE of interp->eval_frame, or its .cold part) evaluates the k-th Python frame. Functions
 * inlined into the evaluation function were called by the Python code it runs and stand inside it. An
 * evaluation frame that no entry matches ends that stack with a gap; what is left of the Python frames
 * follows a notice. Nothing is guessed, nothing dropped.
 */
#ifndef PYB_STACK_BRAID_H
#define PYB_STACK_BRAID_H
#include "interp/code.h"
#include "interp/frame.h"

struct pyb_braid_input {
    const struct pyb_native_stack *native; // or NULL: Python frames only
    const struct pyb_tstate *const *tstates;
    const struct pyb_frames *frames;       // one for each tstate
    size_t n_tstates;
};
/** One element of the braid, innermost first. */
struct pyb_strand {
    enum pyb_frame_kind kind;
    uint32_t native;      // index into native->frames
    uint32_t tstate, frame; // python: which thread state, which of its frames
    bool plumbing;
    bool evaluation;      // native: evaluates Python frames
    const char *note;     // gap
};
struct pyb_braid {
    struct pyb_strand *items; uint32_t n;
    bool complete;
    const char *note;
};
int pyb_braid(struct pyb_python *py, const struct pyb_braid_input *in, struct pyb_arena *arena,
              struct pyb_braid *ret, struct pyb_error *err);

/**
 * Functions that evaluate Python frames, as address ranges (FDEs, .cold parts included); empty when unknown.
 */
bool pyb_is_evaluation_pc(struct pyb_python *py, pyb_addr pc);
#endif
