// SPDX-License-Identifier: Apache-2.0
/**
 * The chain of frames as it lies in memory, before it is believed: what the walkers collect (frame_object.c
 * for 2.7 to 3.10, frame_cframe.c for 3.11 and 3.12, frame_iframe.c for 3.13 on) and frame.c turns into
 * frames and evaluations.
 */
#ifndef PYB_INTERP_FRAME_CHAIN_H
#define PYB_INTERP_FRAME_CHAIN_H
#include "interp/frame.h"

#define PYB_CFRAME_MAX 64 // bytes of a _PyCFrame
#define PYB_CHAIN_FIRST 256

/** One link, innermost first: a frame, or (code 0) the end of an evaluation. */
struct pyb_link {
    pyb_addr addr;       // of the frame; of what the evaluation left on the C stack, 0: nothing
    pyb_addr code;       // tag bits cleared; 0: an evaluation ends here
    int64_t instr;       // the pointer to the instruction as an address; up to 3.10 lasti in bytes
    int32_t tlbc_index;  // free-threaded 3.14+: which copy of the bytecode
    bool generator;
};

/** One stretch of the data stack (3.11+), of which the frames are read in one piece. */
struct pyb_frame_chunk {
    pyb_addr addr, previous;
    uint64_t length;
};

struct pyb_chain {
    struct pyb_python *py;
    const struct pyb_tstate *t;
    struct pyb_arena *arena;
    struct pyb_link *links;    // `first`, or in the context's memory
    size_t n, cap;
    uint32_t n_frames, max_frames;
    // A chain that turns back on itself (Brent): every power of two the tortoise jumps to where we are.
    pyb_addr tortoise;
    uint64_t power, steps;
    struct pyb_frame_chunk chunk;
    size_t extent;             // bytes of a frame up to the last member that is read
    bool plain;                // its members are as wide as this program's own, in its byte order
    struct pyb_window frames, stack; // where frames, and what evaluations left on the C stack, were read last
    const char *note;          // why it ended early
    struct pyb_link first[PYB_CHAIN_FIRST];
};

void pyb_chain_init(struct pyb_chain *c, struct pyb_python *py, const struct pyb_tstate *t,
                    uint32_t max_frames, struct pyb_arena *arena);
void pyb_chain_deinit(struct pyb_chain *c);
/** Forgets all links. */
void pyb_chain_reset(struct pyb_chain *c);
/** Where the next link goes: a frame is decoded there, for nothing if it is not appended. NULL: no memory. */
struct pyb_link *pyb_chain_next(struct pyb_chain *c, struct pyb_error *err);
/**
 * Appends the frame that stands where pyb_chain_next() said. 1: go on, 0: the chain ends here (a note says why: a
 * cycle, the limit).
 */
int pyb_chain_frame(struct pyb_chain *c);
/** As above for a shim: closes the current evaluation. */
int pyb_chain_shim(struct pyb_chain *c, pyb_addr addr, struct pyb_error *err);
/** Closes the current evaluation. 0 or negative. */
int pyb_chain_end(struct pyb_chain *c, pyb_addr stack_addr, struct pyb_error *err);
/** Says why the chain ends early. */
void pyb_chain_note(struct pyb_chain *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/**
 * 0: the chain ends with the reason as a note; negative: err is no property of the chain and the call must
 * fail.
 */
int pyb_chain_broken(struct pyb_chain *c, const struct pyb_error *why, const char *what, pyb_addr addr);

/** An interpreter frame (3.11+), decoded. */
struct pyb_iframe {
    struct pyb_link *link; // at pyb_chain_next()
    pyb_addr previous;
    int64_t owner;
    bool is_entry;  // 3.11
    bool shim;      // stands for an evaluation, runs nothing (3.12+)
};
int pyb_iframe_read(struct pyb_chain *c, pyb_addr addr, struct pyb_iframe *ret, struct pyb_error *err);

/**
 * 3.11 and 3.12: address of the calling evaluation's _PyCFrame when that at `top` is not filled in yet;
 * `said` is what its `previous` holds. 0: not found.
 */
pyb_addr pyb_find_calling_cframe(struct pyb_chain *c, pyb_addr top, pyb_addr said);

/** The walkers. 0: the chain was followed to its end or c->note says why not; negative as above. */
int pyb_walk_frame_objects(struct pyb_chain *c, struct pyb_error *err);
int pyb_walk_cframes(struct pyb_chain *c, struct pyb_error *err);
int pyb_walk_iframes(struct pyb_chain *c, struct pyb_error *err);
#endif
