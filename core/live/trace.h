// SPDX-License-Identifier: Apache-2.0
/**
 * ptrace on one thread, by the thread that calls: only system calls here, for they run in a forked copy of a program that may
 * have had many threads. Internal to core/live.
 *
 * Every wait keeps what it saw (WNOWAIT): a signal whose delivery-stop we met then still reaches the thread if we are killed.
 * After an ordinary wait the kernel would have forgotten it.
 */
#ifndef PYB_LIVE_TRACE_H
#define PYB_LIVE_TRACE_H
#include "live/stop.h"

enum pyb_trace_result {
    PYB_TRACE_STOPPED,
    PYB_TRACE_REFUSED,  // errno; it is not traced
    PYB_TRACE_ENDED,    // and reaped as far as a tracer has to
    PYB_TRACE_LATE,     // traced, not stopped: it goes on only when it is let go in a stop, or when the tracer ends
};
struct pyb_trace_stop {
    int32_t tid;
    int signal;         // to be passed on when it is let go, 0: none
};
/** Seizes and interrupts a thread of process `pid`, and waits PYB_STOP_WAIT_MS. `own_signals`: SIGCHLD is blocked and nobody else's. */
enum pyb_trace_result pyb_trace_stop(int32_t pid, int32_t tid, bool own_signals, struct pyb_trace_stop *ret_stop,
                                     struct pyb_stopped *ret);
/** Lets a stopped thread go. ENDED; LATE: it is being killed, and has not come to its end. STOPPED: done. */
enum pyb_trace_result pyb_trace_release(const struct pyb_trace_stop *stop);
/** Looks at a thread that was late: lets it go if it has stopped by now (STOPPED), ENDED, or still LATE. */
enum pyb_trace_result pyb_trace_release_late(int32_t tid);
uint64_t pyb_trace_now_ns(void);
#endif
