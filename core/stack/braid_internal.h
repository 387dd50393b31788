// SPDX-License-Identifier: Apache-2.0
/**
 * The parts of the braid: groups of native frames, runs of Python frames, and the two ways of matching them.
 *
 * What the braid asks about the target goes through `struct pyb_braid_env`, so that it can be tested without
 * one.
 */
#ifndef PYB_STACK_BRAID_INTERNAL_H
#define PYB_STACK_BRAID_INTERNAL_H
#include "base/arena.h"
#include "stack/braid.h"

/** Is this pc in a function that evaluates Python frames? */
enum pyb_evaluates {
    PYB_EVALUATES_NOT,
    PYB_EVALUATES,      // the evaluation function, or its cold part, which is jumped to
    PYB_EVALUATES_PART, // a part that the function calls (gcc's .part): one evaluation, two native frames
};
struct pyb_braid_env {
    void *ctx;
    enum pyb_evaluates (*evaluates)(void *ctx, pyb_addr pc);
    /** An evaluation's struct lies in the frame of this pc: its function evaluates, whatever it is called. */
    void (*learn)(void *ctx, pyb_addr pc);
    /** This pc lies in a file that is not the interpreter's: no frame of its can hold an evaluation's struct. */
    bool (*foreign)(void *ctx, pyb_addr pc);
    /** End of the mapping that holds a stack address, 0: unknown. */
    pyb_addr (*mapping_end)(void *ctx, pyb_addr addr);
    /** Bytes of [addr, addr + len) that can be read. */
    size_t (*read)(void *ctx, pyb_addr addr, void *buf, size_t len);
    uint8_t ptr_size;
    bool big_endian;
};

/**
 * A native function with what is inlined into it: native frames [first, last], `last` the real one. Its stack
 * frame is [sp, end): nothing else of the thread lies in there.
 */
struct pyb_group {
    uint32_t first, last;
    pyb_addr sp, end;
    bool open;    // the caller's sp is not known: `end` is only a bound
    bool kernel;
    enum pyb_evaluates evaluates;
    bool matched; // holds at least one run
};
struct pyb_groups {
    struct pyb_group *items;
    uint32_t n;
};
int pyb_groups_make(const struct pyb_braid_env *env, const struct pyb_native_stack *native,
                    struct pyb_arena *arena,
                    struct pyb_groups *ret, struct pyb_error *err);

/** Python frames [first, first + n) of a thread state, which one evaluation runs. */
struct pyb_run {
    uint32_t tstate, first, n;
    pyb_addr addr;         // on the C stack, 0: unknown
    pyb_addr key;          // orders runs of several thread states where nothing else does
    uint32_t seq;          // innermost first within a thread state
    uint32_t at;           // printed directly inside this group; groups->n: after all of them
    bool placed;           // `at` is the group that evaluates it, not only where it is printed
    const char *tail_note; // the thread state's frames end after this one, and why
};
struct pyb_runs {
    struct pyb_run *items;
    uint32_t n;
};
/** From 3.11 (3.10 where it says so): the struct that each evaluation leaves in its native frame. */
void pyb_match_by_address(const struct pyb_braid_env *env, const struct pyb_native_stack *native,
                          const struct pyb_groups *groups, struct pyb_runs *runs, struct pyb_arena *arena);
/**
 * Up to 3.10: one evaluation for each Python frame; counted from the root when the counts agree, else aligned
 * by the frame objects' addresses in the native frames. *ret_note: why nothing could be placed, or NULL.
 */
int pyb_match_by_count(const struct pyb_braid_env *env, const struct pyb_braid_input *in,
                       const struct pyb_groups *groups, struct pyb_runs *runs, struct pyb_arena *arena,
                       const char **ret_note, struct pyb_error *err);

int pyb_braid_with(const struct pyb_braid_env *env, const struct pyb_braid_input *in, struct pyb_arena *arena,
                   struct pyb_braid *ret, struct pyb_error *err);

/** The pc to look functions up with: a return address may be the first byte of the next function. */
pyb_addr pyb_lookup_pc(const struct pyb_native_stack *native, uint32_t index);
#endif
