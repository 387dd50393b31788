// SPDX-License-Identifier: Apache-2.0
/**
 * Stopping threads by ptrace and letting them go, whatever happens to us.
 *
 * A helper process (the keeper) seizes and interrupts; when it ends, or we do, or its socket to us closes, the
 * kernel detaches and the threads run on. It lets all go by itself when they were held for PYB_STOP_MAX_MS (we
 * are suspended, or stuck). Signals that are being delivered are passed on, none is lost, even if both of us are
 * killed; a process that SIGSTOP stopped is still stopped afterwards. The caller sees no child: no SIGCHLD,
 * nothing for wait(); Ctrl-C and Ctrl-Z do not reach the keeper.
 *
 * Where only ancestors may trace (Yama 1) and the keeper is refused, a thread of our own process does the same,
 * and its end detaches as well. Then SIGCHLD does reach the host for each stop, no other thread of it may wait()
 * for any child meanwhile, and its patience does not help when our whole process is suspended (SIGSTOP, a
 * debugger). A thread that does not stop in time is safe: its interrupt ends with the tracer.
 *
 * A stopper is used and freed by the thread that made it; that thread's end lets everything go.
 */
#ifndef PYB_LIVE_STOP_H
#define PYB_LIVE_STOP_H
#include "base/context.h"
#include "pybraid.h"

#define PYB_STOP_WAIT_MS 50   // a thread that does not stop within this is given up
#define PYB_STOP_MAX_MS 2000  // the keeper's patience from the first stop on, for --consistent of many threads too

struct pyb_stopper;
struct pyb_stopped {
    uint16_t machine;         // of this thread: a 64-bit kernel gives a 32-bit thread's registers as EM_386
    uint8_t ptr_size;
    uint8_t regs[1024];       // PTRACE_GETREGSET, NT_PRSTATUS
    size_t regs_len;
    pyb_addr thread_pointer;  // 0: unknown
    bool was_group_stopped;   // SIGSTOP and the like: it stays so
    bool in_syscall;          // stopped on its way out of a system call, interrupted or done
};
int pyb_stopper_new(struct pyb_ctx *ctx, int32_t pid, struct pyb_stopper **ret, struct pyb_error *err);
/** Lets everything go first. */
void pyb_stopper_free(struct pyb_stopper *s);
/**
 * Stops one thread. PYB_E_PERM: with the remedy (ptrace_scope, capability), or "already traced by PID NAME" when a
 * debugger holds it; PYB_E_LIMIT: did not stop in time (uninterruptible), it is let go; PYB_E_GONE.
 */
int pyb_stop(struct pyb_stopper *s, int32_t tid, struct pyb_stopped *ret, struct pyb_error *err);
/**
 * More patience for those that are stopped: PYB_STOP_MAX_MS from now. PYB_E_LIMIT: it had ended, they ran
 * meanwhile.
 */
int pyb_stop_stay(struct pyb_stopper *s, struct pyb_error *err);
/**
 * Lets it run on (detaches). PYB_E_GONE: it ended. PYB_E_LIMIT: it was let go before, it ran meanwhile: what was
 * read is not exact.
 */
int pyb_resume(struct pyb_stopper *s, int32_t tid, struct pyb_error *err);
/**
 * Trace from a thread of this process from now on, as a refusal makes it by itself; nothing may be stopped. For
 * tests.
 */
int pyb_stopper_use_thread(struct pyb_stopper *s, struct pyb_error *err);
#endif
