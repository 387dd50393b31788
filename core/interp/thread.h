// SPDX-License-Identifier: Apache-2.0
/**
 * Interpreter states and their thread states, as the target links them.
 *
 * Bounded (PYB_MAX_INTERPRETERS, PYB_MAX_THREADS) and checked for cycles: a torn or hostile list ends with what was read so far, and `note` says why.
 * Mirrors PyInterpreterState and PyThreadState in Include/cpython/pystate.h, Include/internal/pycore_interp*.h.
 */
#ifndef PYB_INTERP_THREAD_H
#define PYB_INTERP_THREAD_H
#include "interp/python.h"

#define PYB_MAX_INTERPRETERS 4096
#define PYB_MAX_THREADS 131072

struct pyb_tstate {
    pyb_addr addr;
    pyb_addr interp;
    int64_t interp_id;
    pyb_addr thread_id;      // pthread_self() of its thread: threading.get_ident()
    int32_t native_tid;      // as the target sees it (its PID namespace); 0 before 3.11 or not yet set
    int32_t tid;             // as the observer sees it, filled by the caller or by pyb_threads_match; 0: unknown
    pyb_addr top;            // 2.7-3.10: frame; 3.11-3.12: cframe; 3.13+: current_frame
    pyb_addr base;           // where the chain ends: root_cframe's / base_frame's address, or 0
    enum pyb_gil gil;
    int32_t gc;              // 1, 0, -1
    const char *name;        // threading's name or NULL (thread_name.h)
    bool main;               // _MainThread / the interpreter's main thread
    bool finalizing;         // being cleared, or the runtime is finalizing
};
struct pyb_threads {
    struct pyb_tstate *items;
    size_t n;
    const char *note;        // NULL, or why the list is incomplete
    bool finalizing;         // Py_FinalizeEx under way
};
/** Items and strings live in `arena`. An interpreter with no thread state is no error. */
int pyb_threads_read(struct pyb_python *py, struct pyb_arena *arena, struct pyb_threads *ret, struct pyb_error *err);
/**
 * Reads again where the thread state stands (`top`), after verifying that it still is the one that was listed: same interpreter, same
 * OS thread. PYB_E_NOTFOUND: it is gone, its memory may be somebody else's.
 */
int pyb_tstate_refresh(struct pyb_python *py, struct pyb_tstate *t, struct pyb_error *err);
/** GIL state of each thread: holder from ceval/gil (per interpreter from 3.12), waiters where the target says it. */
void pyb_gil_read(struct pyb_python *py, struct pyb_threads *threads);
/**
 * Refines "released" to "waits" by what the kernel says: a thread that sleeps in futex(2) inside its interpreter's GIL. Needs `tid`, so it
 * comes after the threads are matched; live local targets only, others are left as they are. Two thread states of one OS thread: both wait.
 */
void pyb_gil_waits_read(struct pyb_python *py, struct pyb_threads *threads);
/** Names from the threading module's dict of active threads, by ident; missing or odd ones stay NULL. */
void pyb_thread_names_read(struct pyb_python *py, struct pyb_arena *arena, struct pyb_threads *threads);
#endif
