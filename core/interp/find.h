// SPDX-License-Identifier: Apache-2.0
/**
 * Finding the interpreter, step by step (docs/finding.md). Internal to find*.c: each step proposes places, pyb_find_try() judges them.
 */
#ifndef PYB_INTERP_FIND_H
#define PYB_INTERP_FIND_H
#include "interp/fields.h"
#include "interp/python.h"
#include "interp/runtime.h"
#include "interp/version.h"

struct pyb_finder {
    struct pyb_target *t;
    struct pyb_python *py;    // filled when a candidate fits
    bool fits;                // py is filled: the best candidate so far
    bool has_threads;         // ... and it has thread states: the search is over
    uint32_t n_candidates;
    bool others;              // py is final: what else fits is only mentioned in its note
    uint32_t n_waits;         // for a target that was changing its threads
    pyb_addr tried[64];       // runtimes and heads judged before
    uint32_t n_tried;
    struct pyb_error misfit;  // why the last candidate did not fit; code 0: there was none
    const char *other;        // another implementation: "PyPy 7.3.11", or NULL
};

struct pyb_candidate {
    pyb_addr runtime;         // _PyRuntime, or 0
    pyb_addr head_at;         // of the pointer to the first interpreter when there is no runtime
    struct pyb_module *module; // or NULL (the front end's symbol)
    const char *how;          // "symbol _PyRuntime"
};

/** Judges a candidate; keeps it in f->py when it is better than what was there. 0, or a final error. */
int pyb_find_try(struct pyb_finder *f, const struct pyb_candidate *c, struct pyb_error *err);

/** Layouts that may fit a version, most likely first, refined by what a runtime publishes. Rows at most `max`; the number. */
struct pyb_layout_choice {
    struct pyb_layout layout;
    bool exact;
    char note[200]; // why the published offsets are not used, or ""
};
size_t pyb_find_layouts(struct pyb_target *t, const struct pyb_version *v, pyb_addr runtime, struct pyb_layout_choice *ret, size_t max,
                        struct pyb_error *err);

/** Modules that look like the interpreter's by name, or are the executable. */
bool pyb_find_is_likely(const struct pyb_target *t, const struct pyb_module *mod);
/** Calls `each` for the likely (or the other) modules until one fails for good or the search is over. */
int pyb_find_each(struct pyb_finder *f, bool likely, int (*each)(struct pyb_finder *, struct pyb_module *, struct pyb_error *),
                  struct pyb_error *err);
// The ways to propose places in those modules. Each returns 0 or a final error and stops early when f->has_threads.
int pyb_find_by_symbol(struct pyb_finder *f, bool likely, struct pyb_error *err);
int pyb_find_by_cookie(struct pyb_finder *f, bool likely, struct pyb_error *err);
int pyb_find_by_head(struct pyb_finder *f, bool likely, struct pyb_error *err);
/** Mentions in f->py's note what other interpreters run in likely modules: by their symbols, nothing is scanned. */
void pyb_find_neighbours(struct pyb_finder *f);
/** Sets f->other when the target is another implementation of Python. */
void pyb_find_other(struct pyb_finder *f);
#endif
