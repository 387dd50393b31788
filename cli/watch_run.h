// SPDX-License-Identifier: Apache-2.0
/**
 * A command run as if nobody watched it: our stdin, stdout, stderr and process group are its own, and it gets the signals that we get.
 *
 * Signals of the terminal reach the whole group, so the command has them already; those sent to us alone are passed on. Ctrl-Z stops us with
 * it, and the time that we are stopped does not count. Daemonised descendants become children of ours (child subreaper).
 */
#ifndef CLI_WATCH_RUN_H
#define CLI_WATCH_RUN_H
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "watch_tree.h"

#define WATCH_SECOND 1000000000ll
enum { WATCH_STUCK = 124, WATCH_FAILED, WATCH_CANNOT_RUN, WATCH_NOT_FOUND };

struct watch_run {
    int32_t pid;
    bool ours;          // started by us; else it was there before (--pid)
    bool ended;
    int code;           // its exit code, 128 + N for signal N; valid when it ended and is ours
    int signals;        // signalfd of ours
    int pidfd;          // of one that is not ours
    int64_t start_ns;   // monotonic
    int64_t stopped_ns; // of them, stopped
};
/** Starts a command. 0, or the exit code of watch, and what failed was said. */
int watch_run_start(struct watch_run *r, char **argv);
/** Watches a process that somebody else started. */
int watch_run_attach(struct watch_run *r, int32_t pid);
void watch_run_deinit(struct watch_run *r);
/** Nanoseconds since the start, without those that we were stopped. */
int64_t watch_run_clock(const struct watch_run *r);
/** Passes signals on and collects ended children until that clock shows `until`, or the command has ended: true. */
bool watch_run_wait(struct watch_run *r, int64_t until);
/** Its tree: everything that we started, or the process and its descendants. */
bool watch_run_tree(const struct watch_run *r, struct watch_tree *ret);
/**
 * Ends the tree: SIGTERM, and after `grace` nanoseconds SIGKILL to what is still there. Returns how many processes would not even
 * be killed (uninterruptible); *ret_killed: how many SIGKILL was sent to.
 */
size_t watch_run_end(struct watch_run *r, int64_t grace, size_t *ret_killed);
#endif
