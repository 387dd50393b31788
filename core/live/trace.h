// SPDX-License-Identifier: Apache-2.0
/**
 * ptrace on one thread, by the thread that calls: only system calls here, for they run in a forked copy of a
 * program that may have had many threads. Internal to core/live.
 *
 * Every wait keeps what it saw (WNOWAIT): a signal whose delivery-stop we met then still reaches the thread if
 * we are killed. After an ordinary wait the kernel would have forgotten it.
 */
#ifndef PYB_LIVE_TRACE_H
#define PYB_LIVE_TRACE_H
#include "live/stop.h"

enum pyb_trace_result {
    PYB_TRACE_STOPPED,
    PYB_TRACE_REFUSED,  // errno; it is not traced
    PYB_TRACE_ENDED,    // and reaped as far as a tracer has to
    PYB_TRACE_DEAD,     // ended, but only the end of the tracer surely takes it out of its hands
    PYB_TRACE_LATE,     // traced, not stopped: free when it is let go in a stop, or when the tracer ends
};
/** A thread of which process, and who traces. */
struct pyb_trace {
    int32_t pid, tid;
    bool own_process;   // a keeper: SIGCHLD is blocked and nobody else's, and `pid` is not its child
    // Own process: its handler of SIGCHLD, reaps those traced that have ended. Called during a seize, and if a
    // stop is long in coming.
    void (*reap_others)(int number);
    int signal;         // to be passed on when it is let go, 0: none
};
/** Seizes and interrupts, waits PYB_STOP_WAIT_MS, reads the registers. Not STOPPED: as it says. */
enum pyb_trace_result pyb_trace_stop(struct pyb_trace *t, struct pyb_stopped *ret);
/** Lets a stopped thread go. ENDED, DEAD; LATE: it is being killed, and has not come to its end. STOPPED: done. */
enum pyb_trace_result pyb_trace_release(const struct pyb_trace *t);
/** Looks at a thread that was late: lets it go if it has stopped by now (STOPPED); else as above. */
enum pyb_trace_result pyb_trace_release_late(struct pyb_trace *t);
/** Reaps it if it has ended; a stop stays as it is. */
void pyb_trace_reap_if_dead(const struct pyb_trace *t);
uint64_t pyb_trace_now_ns(void);
#endif
