// SPDX-License-Identifier: Apache-2.0
/**
 * What this layer knows of one interpreter and keeps: the evaluation functions, the built-ins' names, the
 * names of the pcs it was asked about. Hangs on py->native_names, freed with py.
 */
#ifndef PYB_STACK_CACHE_H
#define PYB_STACK_CACHE_H
#include "base/arena.h"
#include "base/map.h"
#include "interp/python.h"
#include "stack/native_name.h"

#define PYB_MAX_EVALUATORS 64

struct pyb_code_range {
    pyb_addr start, end;
    bool part; // gcc's .part: called by the function, not jumped to
};
struct pyb_stack_cache {
    struct pyb_python *py;
    struct pyb_arena arena;
    bool looked_up;                   // the evaluation function's symbol, once
    const char *evaluator;            // its name
    struct pyb_code_range evaluators[PYB_MAX_EVALUATORS];
    uint32_t n_evaluators;
    struct pyb_map evaluates;         // pc -> enum pyb_evaluates, valid for n_evaluators == evaluates_for
    uint32_t evaluates_for;
    struct pyb_map names;             // pc -> struct pyb_native_name *
    struct pyb_map builtins;          // function start -> const char *, or PYB_AMBIGUOUS
    // function start: it carries calls (vectorcall entries, slots of Python classes)
    struct pyb_map carriers;
    struct pyb_map owned;             // function start: const struct pyb_builtin * by its owner, NULL: none
    bool collected;
    uint32_t collected_generation;
    int64_t collected_modules;        // len(sys.modules) then
};
#define PYB_AMBIGUOUS ((uintptr_t)1)

/** NULL: no memory. */
struct pyb_stack_cache *pyb_stack_cache(struct pyb_python *py);

/** What tables say of a function without a symbol. */
struct pyb_builtin {
    const char *name;   // or NULL
    const char *symbol; // or NULL: that of the function it is a part of
    bool carrier;
    bool by_caller;     // true of this activation only
};
/** `caller`: the return address that the function's frame has, 0: not known. */
struct pyb_builtin pyb_builtin_at(struct pyb_stack_cache *c, const struct pyb_function *fn, pyb_addr caller);

/** Fills builtins and carriers unless that was done and nothing was imported since. */
void pyb_builtins_collect(struct pyb_stack_cache *c);
#endif
