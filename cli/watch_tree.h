// SPDX-License-Identifier: Apache-2.0
/**
 * A process and everything that descends from it, as /proc shows it: who they are, the CPU time they used, the bytes they wrote.
 *
 * One pass over /proc/PID/stat, so the picture is of one moment but for the microseconds of the pass. A subreaper keeps daemonised
 * grandchildren in its tree.
 */
#ifndef CLI_WATCH_TREE_H
#define CLI_WATCH_TREE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct watch_proc {
    int32_t pid, ppid, session;
    char state;        // R S D T t Z X I
    char comm[64];     // raw bytes
    uint64_t start;    // clock ticks since boot: with the pid, one process and no other
    uint64_t ticks;    // CPU, user and system
    uint64_t written;  // wchar of /proc/PID/io; 0 where that may not be read
    uint32_t n_threads;
};
struct watch_tree {
    struct watch_proc *procs; // sorted by pid
    size_t n;
};
/** Everything below `root`; with `whole`, root too. False: no memory or no /proc; the tree is empty then. */
bool watch_tree_read(int32_t root, bool whole, struct watch_tree *ret);
/** Everything below `root`, and where it leads a session, also what is in that session or below it: daemons whose parents have gone. */
bool watch_tree_read_session(int32_t root, struct watch_tree *ret);
void watch_tree_free(struct watch_tree *t);
/** The same process in another picture, or NULL. */
const struct watch_proc *watch_tree_find(const struct watch_tree *t, int32_t pid, uint64_t start);
/**
 * Sends a signal to each that has not ended (with `stopped`, only to those stopped by one); one whose pid is another process' by now
 * is left alone. Returns how many got it.
 */
size_t watch_tree_signal(const struct watch_tree *t, int signal_number, bool stopped);
/** Looks at each again and drops those that have ended, zombies too. Returns how many are left. */
size_t watch_tree_refresh(struct watch_tree *t);

/** Notices when nothing happens in a tree. */
struct watch_idle {
    struct watch_tree last;
    int64_t since; // nanoseconds of the caller's clock
    uint64_t ticks, hertz;
};
/**
 * Compares the tree with what it was: a process came, went, or wrote, or more CPU was used than a thousandth of one and 10 ms (a
 * loop that polls is as idle as a sleep). Takes over `now`. Returns the nanoseconds that nothing has happened.
 */
int64_t watch_idle_look(struct watch_idle *idle, struct watch_tree *now, int64_t clock_ns);
void watch_idle_deinit(struct watch_idle *idle);
#endif
