// SPDX-License-Identifier: Apache-2.0
/**
 * One look at a tree of processes: the stacks of its Python processes, kept as text and JSON, and as much of each thread as it takes to tell,
 * from two or three looks, what moved from what is stuck.
 */
#ifndef CLI_WATCH_LOOK_H
#define CLI_WATCH_LOOK_H
#include "show.h"
#include "watch_tree.h"

struct watch_thread {
    int32_t tid;
    uint64_t start, ticks;     // when it began, CPU it used, in clock ticks
    uint64_t switches;         // how often it went to sleep by itself
    int64_t at_ns;             // when it was read
    struct watch_frame {
        uint64_t which, place; // numbers for the activation, and for the place in it that it stands at
        size_t label;          // where its name begins in `labels`; 0: none (no Python frame)
    } *frames;                 // innermost first
    uint32_t n_frames;
    char *labels;
    char *text;                // its Python frames, as a report shows them
    // What comparing with the looks before gave (watch_look_compare).
    enum watch_motion {
        WATCH_UNKNOWN,         // no look before has this thread
        WATCH_SAME,            // every frame at the same place in all looks
        WATCH_LATELY,          // ... in this one and the one before, not in the first
        WATCH_MOVING,
        WATCH_NEW,             // same place in all looks that have it, but it started after the first
    } motion;
    uint32_t n_common;         // Python frames, from the outer end on, that all looks share
    bool same_lines;           // every Python frame is at the same place in all looks
    double cpu;                // share of one CPU since the look before; -1: unknown
    uint64_t woke;             // times it went to sleep by itself since the look before
    char *where;               // innermost Python frame (native without one), "name (file:line) in futex", and the own code that called it
    const char *inside;        // innermost Python frame that all looks share, or NULL
    char *name;                // or NULL
};
struct watch_seen {            // one process of the tree
    struct watch_proc proc;
    char command[256];         // its arguments as one line; not escaped
    bool python;
    char *failure;             // why it could not be read, or NULL
    char *waits_in;            // of a process without Python: what it waits in, or NULL
    char *text;                // header, findings and threads as `dump` shows them
    char *findings;            // conclusions, a line each, or NULL
    char *json;                // one document, without its newline
    struct watch_thread *threads;
    uint32_t n_threads;
};
struct watch_look {
    int64_t at_ns;             // since the start of the watch
    struct watch_seen *seen;
    size_t n;
};
/** Reads every process of the tree. Whatever fails is part of the look. NULL: no memory. */
struct watch_look *watch_look_take(const struct watch_tree *tree, const struct show *show, bool color, int64_t at_ns);
void watch_look_free(struct watch_look *look);
/** Fills the motion of each thread of `now` from the looks before, oldest first (NULL ones are passed over). */
void watch_look_compare(struct watch_look *now, struct watch_look *const *before, size_t n);
/** The same process, or thread (it was at index `at`, and may be there again), in another look; NULL: not there. */
const struct watch_seen *watch_look_find(const struct watch_look *look, const struct watch_seen *like);
const struct watch_thread *watch_seen_find(const struct watch_seen *seen, const struct watch_thread *like, uint32_t at);

/** What a process without Python waits in: "wait4 for process 4712", "read of fd 0, pipe:[123]". NULL: unknown. malloc'ed. */
char *watch_wait_of(int32_t pid);
#endif
