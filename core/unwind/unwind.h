// SPDX-License-Identifier: Apache-2.0
/**
 * Native stacks: from the registers of one thread to its frames, by call frame information.
 *
 * Reads the target only through t->mem (its page cache), and the CFI of its files through libdw. A rule cache by pc makes the second
 * thread cheap. What the compact rules refuse (DWARF expressions) goes to libunwind on the host's machine, to libdw elsewhere. Frame pointers are
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
    bool needs_registers;            // it ends only because a sleeping thread's registers are not known
    const char *truncated;           // NULL: the outermost frame was reached; else where it ends and why
};
/**
 * Frames of a thread. `pc` of the innermost frame and of one outside a signal trampoline is exact, others are return addresses; `sp` is
 * the stack pointer in that frame, as debuggers show it. Errors: NOMEM, ABORTED, LIMIT (time) only.
 */
int pyb_unwind(struct pyb_unwinder *u, const struct pyb_regs *regs, uint32_t max_frames, struct pyb_arena *arena,
               struct pyb_unwound *ret, struct pyb_error *err);
/** Counters, for tests and benchmarks. */
struct pyb_unwind_stats { uint64_t steps, rule_hits, rules_made, by_library, by_search, by_frame_pointer; };
const struct pyb_unwind_stats *pyb_unwinder_stats(const struct pyb_unwinder *u);
#endif
