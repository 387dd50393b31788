// SPDX-License-Identifier: Apache-2.0
/**
 * The Python frames of one thread state, innermost first, and the evaluations they belong to.
 *
 * Three walkers: PyFrameObject (2.7-3.10), cframe + interpreter frame (3.11-3.12), interpreter frame (3.13+).
 * An *evaluation* is one activation of the evaluation function on the C stack: it runs one Python frame (to
 * 3.10) or a run of them (3.11+), and from 3.11 leaves a struct there: 3.11: the _PyCFrame; 3.12+: the entry
 * shim _PyInterpreterFrame (owner C stack / interpreter). Mirrors Include/internal/pycore_frame.h,
 * Include/internal/pycore_interpframe_structs.h, Include/cpython/frameobject.h.
 */
#ifndef PYB_INTERP_FRAME_H
#define PYB_INTERP_FRAME_H
#include "interp/thread.h"

struct pyb_pyframe {
    pyb_addr addr;           // frame object or interpreter frame
    pyb_addr code;
    const struct pyb_code *object; // what was read of it (code.h)
    int32_t lasti;           // bytes into the code, of the instruction that decides the line; -1: not started
    uint32_t evaluation;     // index into evaluations
    bool entry;              // outermost of its evaluation
    bool generator;          // lives in a generator, coroutine or async generator object
    bool jit;                // its instruction pointer is approximate
    bool incomplete;         // being pushed: shown only if its code is valid
};
struct pyb_evaluation {
    pyb_addr stack_addr;     // of the cframe or shim on the C stack; 0: none (2.7-3.10)
    uint32_t first, n;       // frames [first, first + n), innermost first; n may be 0
};
struct pyb_frames {
    struct pyb_pyframe *frames; uint32_t n;
    struct pyb_evaluation *evaluations; uint32_t n_evaluations; // innermost first
    bool complete;
    const char *note;        // why and where it ends, when not complete
};
/**
 * At most max_frames; longer stacks end with a note. A chain that turns into a cycle or unreadable memory is
 * a result with a note, not an error.
 */
int pyb_frames_read(struct pyb_python *py, const struct pyb_tstate *t, uint32_t max_frames,
                    struct pyb_arena *arena, struct pyb_frames *ret, struct pyb_error *err);
#endif
