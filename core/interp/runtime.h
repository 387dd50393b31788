// SPDX-License-Identifier: Apache-2.0
/**
 * _PyRuntime (3.7+) and the list of interpreters: reading them, and telling whether memory can be one.
 *
 * Mirrors Include/internal/pycore_runtime.h (3.7+: _PyRuntimeState) and Python/pystate.c (2.7-3.6: static interp_head).
 */
#ifndef PYB_INTERP_RUNTIME_H
#define PYB_INTERP_RUNTIME_H
#include "interp/python.h"

/** What a place claimed to be the head of the list of interpreters looks like under a layout. */
struct pyb_head_check {
    pyb_addr head;              // first interpreter state, 0: none (before Py_Initialize, after Py_Finalize)
    uint32_t n_interps, n_threads; // looked at; bounded, not all of them
    int modules;                // sys.modules of an interpreter is a dict: 1; it is something else: -1; not known: 0
};
/**
 * Looks at the first interpreters and thread states: each thread state must point back at its interpreter, and a list's `prev` at its
 * predecessor. A running target may change in between: tried three times. PYB_E_CORRUPT says what does not fit.
 */
int pyb_head_check(struct pyb_target *t, const struct pyb_layout *layout, pyb_addr head_at, struct pyb_head_check *ret,
                   struct pyb_error *err);

/** The address of the pointer to the first interpreter: where several are possible (2.7-3.6, no symbol) the one with the longest list. */
int pyb_interp_first(struct pyb_python *py, pyb_addr *ret, struct pyb_error *err);
#endif
