// SPDX-License-Identifier: Apache-2.0
/** The parts of pyb_read(): the caller's native stacks, whose thread states are whose, frames of a result. */
#ifndef PYB_API_READ_H
#define PYB_API_READ_H
#include "api/session.h"
#include "base/map.h"
#include "interp/thread.h"
#include "stack/braid.h"

/** What a struct pyb_process is part of: freed at once, on its own, even after the session. */
struct pyb_result {
    struct pyb_process process; // first: pyb_process_free() gets its address
    struct pyb_ctx ctx;
    struct pyb_arena arena;
};

#define PYB_NO_STACK SIZE_MAX

struct pyb_reading {
    struct pyb_session *s;
    struct pyb_python *py;
    struct pyb_read_options options;
    struct pyb_repr_limits limits;
    struct pyb_arena work;                 // freed when the result is done
    struct pyb_result *result;
    struct pyb_map texts;                  // address of a string elsewhere -> its copy in the result
    const struct pyb_native_stack *native; // normalised: every struct has this library's size
    size_t n_native;
    struct pyb_threads threads;
    size_t *stack_of;                      // for each thread state: index into native, or PYB_NO_STACK
};

/** Copies the caller's structs, whatever their sizes, into r->work. */
int pyb_native_copy(struct pyb_reading *r, const struct pyb_native_stack *native, size_t n,
                    struct pyb_error *err);

/** Fills tids as the observer sees them, and r->stack_of. */
int pyb_threads_match(struct pyb_reading *r, struct pyb_error *err);
/** Says of a thread state without native stack what became of its OS thread, or NULL. */
const char *pyb_thread_lack(struct pyb_reading *r, const struct pyb_tstate *t);

/** The braid of one native stack (or NULL) and the thread states on it, as frames of the result. */
int pyb_thread_build(struct pyb_reading *r, const struct pyb_native_stack *native,
                     const struct pyb_tstate *const *tstates,
                     size_t n, struct pyb_thread *ret, struct pyb_error *err);
/**
 * A copy in the result; equal pointers give one copy. NULL for NULL, and when there is no memory (r->failed).
 */
int pyb_text_copy(struct pyb_reading *r, const char *text, const char **ret, struct pyb_error *err);
#endif
