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

/** Options, the interpreter, an empty result; r->work. After 0, pyb_reading_end() must follow. */
int pyb_reading_begin(struct pyb_reading *r, struct pyb_session *s, const struct pyb_read_options *options,
                      struct pyb_error *err);
/** Frees what is not the result; with a `code` other than 0 the result too. Returns `code`. */
int pyb_reading_end(struct pyb_reading *r, int code, struct pyb_process **ret);
/** Thread states, who holds the GIL, names; before pyb_threads_match(). */
int pyb_reading_threads(struct pyb_reading *r, struct pyb_error *err);
/** r->result->process without its threads. */
int pyb_reading_process(struct pyb_reading *r, struct pyb_error *err);

/**
 * Thread states by the native stack that they run on (r->stack_of): [first[i], first[i + 1]) are those of stack i, newest first; the last
 * group, i == r->n_native, has none.
 */
struct pyb_owners {
    const struct pyb_tstate **states;
    size_t *first;
};
int pyb_owners_make(struct pyb_reading *r, struct pyb_owners *ret, struct pyb_error *err);
/** A thread state whose OS thread is not known. */
int pyb_thread_without_stack(struct pyb_reading *r, const struct pyb_tstate *state, struct pyb_thread *ret,
                             struct pyb_error *err);
/** The thread of native stack `index`. */
int pyb_thread_with_stack(struct pyb_reading *r, size_t index, const struct pyb_owners *owners, struct pyb_thread *ret,
                          struct pyb_error *err);

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
