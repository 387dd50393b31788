// SPDX-License-Identifier: Apache-2.0
/** What the parts of the unwinder share: one stack being walked. Internal. */
#ifndef PYB_UNWIND_WALK_H
#define PYB_UNWIND_WALK_H
#include "base/map.h"
#include "unwind/rule.h"
#include "unwind/unwind.h"

struct pyb_unwinder {
    struct pyb_ctx *ctx;
    struct pyb_target *t;
    struct pyb_arena arena;   // of the rules
    struct pyb_map rules;     // pc -> rule
    struct pyb_unwind_stats stats;
    struct pyb_native_frame *frames; // of the stack being walked
    size_t cap_frames;
};
/** The rule for an address of code, kept; NULL: there is none (w->rc when something is wrong with us, not with the target). */
struct pyb_walk;
const struct pyb_rule *pyb_rule_at(struct pyb_walk *w, pyb_addr pc);

struct pyb_walk {
    struct pyb_unwinder *u;
    const struct pyb_machine *machine;
    struct pyb_regs regs;        // in the current frame
    bool exact;                  // its pc is that of an instruction, not a return address
    uint32_t flags;              // of the current frame
    const struct pyb_rule *rule; // for it, or NULL
    unsigned search_depth;       // searches within searches
    uint32_t *patience;          // words and frames that searches may still look at
    bool needs_registers;
    int rc;                      // NOMEM, ABORTED, LIMIT: the walk ends with it
    char note[200];              // why it ends
};
enum pyb_step {
    PYB_STEP_OK,     // `next` is the frame outside
    PYB_STEP_END,    // there is none: the outermost frame was reached
    PYB_STEP_STUCK,  // w->note says why
    PYB_STEP_NEEDS,  // a register that is not known
};

/** A word of the target; false: not readable (or w->rc). */
bool pyb_walk_word(struct pyb_walk *w, pyb_addr addr, uint64_t *ret);
/** Bytes of the target in `buf` or where they are at hand; NULL: not readable. */
const uint8_t *pyb_walk_bytes(struct pyb_walk *w, pyb_addr addr, void *buf, size_t len);
/** Says why the walk ends; gives PYB_STEP_STUCK. */
enum pyb_step pyb_walk_stuck(struct pyb_walk *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** From w->regs to the next frame; w itself stays where it is, but for the note. */
enum pyb_step pyb_walk_next(struct pyb_walk *w, struct pyb_regs *next);
/** Goes on to `next`: its rule, flags, exactness. */
void pyb_walk_move(struct pyb_walk *w, const struct pyb_regs *next, uint32_t flags);

/** step.c: by the rule of the current frame. */
enum pyb_step pyb_step_by_rule(struct pyb_walk *w, const struct pyb_rule *rule, struct pyb_regs *next);
/** signal_frame.c: a signal trampoline without call frame information, known by its instructions. */
bool pyb_is_sigreturn(struct pyb_walk *w);
enum pyb_step pyb_step_sigreturn(struct pyb_walk *w, struct pyb_regs *next);
/**
 * bare.c: code without call frame information. By what follows at pc, when that can only lead to a return; else by the frame pointer, else
 * by the nearest return address (both marked *flags APPROX).
 */
enum pyb_step pyb_step_bare(struct pyb_walk *w, struct pyb_regs *next, uint32_t *flags);
/** search.c: the rule needs a register of a thread that was read asleep. */
enum pyb_step pyb_step_search(struct pyb_walk *w, const struct pyb_rule *rule, struct pyb_regs *next,
                              uint32_t *flags);

/** code.c: is there code at pc? */
bool pyb_is_code(struct pyb_walk *w, pyb_addr pc);
/** The call instruction that ends at `pc`. */
struct pyb_call { bool direct; pyb_addr target; };
bool pyb_call_before(struct pyb_walk *w, pyb_addr pc, struct pyb_call *ret);
/** Does a direct call lead to `function`, at once or by jumps (a PLT entry's)? */
bool pyb_call_reaches(struct pyb_walk *w, const struct pyb_call *call, pyb_addr function);
/** epilogue.c: registers after the return that the instructions at pc lead to straight. */
bool pyb_run_epilogue(struct pyb_walk *w, struct pyb_regs *next);
#endif
