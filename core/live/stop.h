// SPDX-License-Identifier: Apache-2.0
/**
 * Stopping threads by ptrace and letting them go, whatever happens to us.
 *
 * A helper process (the keeper) seizes and interrupts; when it ends, or its pipe to us closes, the kernel detaches and the threads run on. It
 * also lets a thread go by itself when we have not said so for PYB_STOP_MAX_MS (we are suspended, or stuck). PTRACE_SEIZE and PTRACE_INTERRUPT only; waits with WNOWAIT first, so that a
 * signal whose delivery-stop we meet is passed on and none is lost; group-stops stay group-stops (a SIGSTOPped process is still stopped
 * afterwards: PTRACE_LISTEN). The caller sees no child: __WCLONE-less clone without exit signal, reaped by us.
 * Where the kernel lets only ancestors trace (Yama 1) and the keeper is refused, the calling thread traces itself.
 */
#ifndef PYB_LIVE_STOP_H
#define PYB_LIVE_STOP_H
#include "base/context.h"
#include "pybraid.h"

#define PYB_STOP_WAIT_MS 50   // a thread that does not stop within this is given up
#define PYB_STOP_MAX_MS 2000  // the keeper's own patience, for --consistent of many threads too

struct pyb_stopper;
struct pyb_stopped {
    uint16_t machine;         // of this thread: a 64-bit kernel gives a 32-bit thread's registers as EM_386
    uint8_t ptr_size;
    uint8_t regs[1024];       // PTRACE_GETREGSET, NT_PRSTATUS
    size_t regs_len;
    pyb_addr thread_pointer;  // 0: unknown
    bool was_group_stopped;   // SIGSTOP and the like: it stays so
    bool in_syscall;          // stopped on its way out of an interrupted system call
};
int pyb_stopper_new(struct pyb_ctx *ctx, int32_t pid, struct pyb_stopper **ret, struct pyb_error *err);
/** Lets everything go first. */
void pyb_stopper_free(struct pyb_stopper *s);
/**
 * Stops one thread. PYB_E_PERM: with the remedy (ptrace_scope, capability), or "already traced by PID NAME" when a
 * debugger holds it; PYB_E_LIMIT: did not stop in time (uninterruptible), it is let go; PYB_E_GONE.
 */
int pyb_stop(struct pyb_stopper *s, int32_t tid, struct pyb_stopped *ret, struct pyb_error *err);
/** Lets it run on (detaches). PYB_E_GONE: it ended. PYB_E_LIMIT: the keeper's patience had ended, it ran meanwhile: what was read is not exact. */
int pyb_resume(struct pyb_stopper *s, int32_t tid, struct pyb_error *err);
#endif
