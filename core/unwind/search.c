// SPDX-License-Identifier: Apache-2.0
//
// A thread that sleeps in the kernel shows its pc and sp only (/proc/PID/task/TID/syscall). Most frames need no more: their CFA is counted
// from sp. Where it is counted from a register that no inner frame saved, this function's frame is found by who called it: going up the
// stack, a return address whose call instruction leads to this very function. With the return address' place the rule can be solved for the
// register, and the next frame is as certain as by the register itself, if nothing else on the stack fits: dead frames below may have
// left such an address. So each candidate must unwind to the outermost frame (or far), and one that does alone is taken without a mark. What is
// found by an indirect call, or beside others that unwind as well, is marked, and the caller told that registers would help.
#include <inttypes.h>

#include "unwind/walk.h"

#define MAX_WORDS 8192u     // of the stack, upwards
#define MORE_WORDS 1024u    // looked at beyond the first fit, for a second
#define MAX_TRIES 32u       // candidates that are unwound
#define MAX_CHAIN 256u      // frames of one: by then it has met those that are really there
#define MAX_SEEN 256u

struct search {
    struct pyb_walk *w;
    const struct pyb_rule *rule;
    int32_t ra_offset;       // of the return address from the CFA
    uint64_t seen[MAX_SEEN]; // stack pointers of the first fit's frames
    size_t n_seen;
    unsigned tries;
};

static bool find_ra_offset(const struct pyb_rule *rule, int32_t *ret)
{
    for (uint32_t i = 0; i < rule->n_regs; i++) {
        if (rule->regs[i].number == rule->ra && rule->regs[i].how == PYB_RULE_AT_CFA) {
            *ret = rule->regs[i].offset;
            return true;
        }
    }
    return false;
}

// Was the function of the frame that `w` is in called by the call before `pc`? What an indirect call called is not known.
static bool may_have_called(struct pyb_walk *w, pyb_addr pc)
{
    struct pyb_call call;
    return !w->rule || !pyb_call_before(w, pc, &call) || !call.direct || pyb_call_reaches(w, &call, w->rule->function);
}

// Does the stack unwind to its end from `start`? Notes where its frames are. *ret_odd: the candidate's own caller called another function, as
// when a dead frame's return address is taken with a living one's frame pointer.
static bool reaches_end(struct search *s, const struct pyb_regs *start, uint64_t *seen, size_t *n_seen, bool *ret_odd)
{
    struct pyb_walk inner = *s->w;
    struct pyb_regs next;
    inner.search_depth++;
    pyb_walk_move(&inner, start, 0);
    for (unsigned n = 0; n < MAX_CHAIN && inner.rc == 0 && *inner.patience > 0; n++) {
        --*inner.patience;
        if (seen && *n_seen < MAX_SEEN)
            seen[(*n_seen)++] = inner.regs.r[inner.machine->sp];
        enum pyb_step step = pyb_walk_next(&inner, &next);
        if (step != PYB_STEP_OK) {
            s->w->rc = inner.rc;
            return step == PYB_STEP_END;
        }
        if (n == 0)
            *ret_odd = !may_have_called(&inner, next.pc);
        pyb_walk_move(&inner, &next, 0);
    }
    s->w->rc = inner.rc;
    return inner.rc == 0 && *inner.patience > 0;
}

// The frame outside, if the return address is the one in the word at `at`.
static bool solve(struct search *s, uint64_t at, struct pyb_regs *next)
{
    struct pyb_walk trial = *s->w;
    const struct pyb_rule *rule = s->rule;
    uint64_t cfa = at - (uint64_t)(int64_t)s->ra_offset, sp = trial.regs.r[trial.machine->sp];
    // what it saved would lie below its own stack pointer: possible in the middle of an epilogue only, where no call was made
    if (cfa <= sp || (!trial.exact && cfa + (uint64_t)(int64_t)rule->low < sp))
        return false;
    pyb_reg_set(&trial.regs, rule->cfa_reg, cfa - (uint64_t)(int64_t)rule->cfa_offset);
    return pyb_step_by_rule(&trial, rule, next) == PYB_STEP_OK && pyb_is_code(s->w, next->pc);
}

static bool was_seen(const struct search *s, uint64_t sp)
{
    for (size_t i = 0; i < s->n_seen; i++) {
        if (s->seen[i] == sp)
            return true;
    }
    return false;
}

/** One return address on the stack that may be this frame's. */
enum fit { NO_FIT, FITS_OTHER, FITS_INDIRECT, FITS_DIRECT };

// Is the word at `at` a return address from which the stack unwinds to its end? `next`: the frame outside then.
static enum fit try_word(struct search *s, uint64_t at, uint64_t word, bool only_direct, struct pyb_regs *next)
{
    struct pyb_walk *w = s->w;
    struct pyb_call call;
    if (!pyb_call_before(w, word & w->machine->code_mask, &call))
        return NO_FIT;
    bool direct = pyb_call_reaches(w, &call, s->rule->function);
    if ((only_direct && !direct) || !solve(s, at, next) || was_seen(s, next->r[w->machine->sp]) || s->tries == MAX_TRIES)
        return NO_FIT;
    s->tries++;
    bool first = direct && s->n_seen == 0, odd = false;
    size_t n = 0;
    bool whole = reaches_end(s, next, first ? s->seen : NULL, first ? &s->n_seen : &n, &odd);
    if (first && (!whole || odd))
        s->n_seen = 0;
    if (!whole)
        return NO_FIT;
    return direct && odd ? FITS_OTHER : direct ? FITS_DIRECT : call.direct ? FITS_OTHER : FITS_INDIRECT;
}

// The lowest direct fit, else the lowest indirect one. *ret_alone: it is direct, none of any kind lies below it (a caller that jumped here is
// no direct fit), and no other direct one above.
static enum fit find(struct search *s, struct pyb_regs *ret, bool *ret_alone)
{
    struct pyb_walk *w = s->w;
    size_t width = w->machine->ptr_size;
    uint64_t sp = (w->regs.r[w->machine->sp] + width - 1) & ~(uint64_t)(width - 1);
    enum fit best = NO_FIT;
    unsigned end = MAX_WORDS;
    *ret_alone = true;
    for (unsigned i = 0; i < end && w->rc == 0 && s->tries < MAX_TRIES && *w->patience > 0; i++) {
        struct pyb_regs next;
        uint64_t word;
        --*w->patience;
        if (!pyb_walk_word(w, sp + i * width, &word))
            break; // the stack's end
        enum fit fit = try_word(s, sp + i * width, word, best == FITS_DIRECT, &next);
        if (fit == NO_FIT)
            continue;
        *ret_alone = *ret_alone && best == NO_FIT && fit == FITS_DIRECT;
        if (best == FITS_DIRECT)
            break;
        if (fit == FITS_DIRECT || (fit == FITS_INDIRECT && best == NO_FIT)) {
            best = fit;
            *ret = next;
        }
        if (fit == FITS_DIRECT)
            end = i + MORE_WORDS < MAX_WORDS ? i + MORE_WORDS : MAX_WORDS;
    }
    *ret_alone = *ret_alone && best == FITS_DIRECT && s->tries < MAX_TRIES && *w->patience > 0;
    return w->rc ? NO_FIT : best;
}

static enum pyb_step give_up(struct pyb_walk *w)
{
    w->needs_registers = true;
    return w->rc ? PYB_STEP_STUCK
                 : pyb_walk_stuck(w, "the frame of 0x%" PRIx64 " needs a register, and of a sleeping thread only pc and sp "
                                     "are known", w->regs.pc);
}

enum pyb_step pyb_step_search(struct pyb_walk *w, const struct pyb_rule *rule, struct pyb_regs *next, uint32_t *flags)
{
    struct search s = {.w = w, .rule = rule};
    if (rule->cfa_is_expression || w->search_depth >= 2 || !find_ra_offset(rule, &s.ra_offset) ||
        pyb_reg_known(&w->regs, rule->cfa_reg))
        return give_up(w);
    bool exact;
    if (find(&s, next, &exact) == NO_FIT)
        return give_up(w);
    w->u->stats.by_search++;
    if (!exact) {
        w->needs_registers = true;
        *flags = PYB_NATIVE_APPROX;
    }
    return PYB_STEP_OK;
}
