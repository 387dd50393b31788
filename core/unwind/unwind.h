// SPDX-License-Identifier: Apache-2.0
/**
 * Native stacks: from the registers of one thread to its frames, by call frame information.
 *
 * Reads the target only through t->mem (its page cache), and the CFI of its files through libdw (cfi.h). A rule cache by pc makes the second
 * thread cheap. DWARF expressions are evaluated here, with bounds (expression.h). Frame pointers are
 * a last resort, and marked. Never fails because of the target's data: a stack that ends early says where and why.
 */
#ifndef PYB_UNWIND_UNWIND_H
#define PYB_UNWIND_UNWIND_H
#include "base/arena.h"
#include "symbols/modules.h"
#include "unwind/regs.h"

struct pyb_unwinder;
/** One for each target; `t` must outlive it. */
int pyb_unwinder_new(struct pyb_ctx *ctx, struct pyb_target *t, struct pyb_unwinder **ret, struct pyb_error *err);
void pyb_unwinder_free(struct pyb_unwinder *u);
/** The list of modules changed (pyb_modules_refresh): rules of what is gone are forgotten. */
void pyb_unwinder_invalidate(struct pyb_unwinder *u);

struct pyb_unwound {
    struct pyb_native_frame *frames; // innermost first: size, pc, sp, flags, number are filled; in the caller's arena
    size_t n;
    // Registers of a sleeping thread were missed: it ends because of that, or frames are marked APPROX that would be exact with them
    bool needs_registers;
    const char *truncated;           // NULL: the outermost frame was reached; else where it ends and why
};
/**
 * Frames of a thread. `pc` of the innermost frame and of one outside a signal trampoline is exact, others are return addresses; `sp` is
 * the stack pointer in that frame, as debuggers show it. Errors: NOMEM, ABORTED, LIMIT (time) only.
 */
int pyb_unwind(struct pyb_unwinder *u, const struct pyb_regs *regs, uint32_t max_frames, struct pyb_arena *arena,
               struct pyb_unwound *ret, struct pyb_error *err);
/** Counters, for tests and benchmarks. */
struct pyb_unwind_stats {
    uint64_t steps, rule_hits, rules_made; // frames; rules found in the cache, and made
    uint64_t by_expression;                // DWARF expressions evaluated
    uint64_t by_search;                    // frames found by who called (search.c)
    uint64_t by_frame_pointer, by_scan;    // frames marked APPROX (bare.c)
};
const struct pyb_unwind_stats *pyb_unwinder_stats(const struct pyb_unwinder *u);
#endif
