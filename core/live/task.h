// SPDX-License-Identifier: Apache-2.0
/**
 * What the kernel says of the threads of a live process, from /proc/PID/task; nothing is stopped. About 17 us a
 * thread.
 *
 * A thread is `asleep` when it is in state S or D (or T, t) and /proc/PID/task/TID/syscall gives its system
 * call, sp and pc: that file needs the right to trace. What was read of it is exact when pyb_task_same() says
 * afterwards that it has not run meanwhile: same state, same context-switch counts, same syscall line (start
 * time too: a tid can be another thread's by then). A frozen thread (cgroup) is asleep as well.
 */
#ifndef PYB_LIVE_TASK_H
#define PYB_LIVE_TASK_H
#include "base/arena.h"
#include "pybraid.h"

#define PYB_MAX_TASKS 200000u

struct pyb_task {
    int32_t tid;
    char state;              // R S D T t Z X I; '\0': gone
    char comm[64];           // raw bytes, NUL-terminated
    uint64_t start_time;     // clock ticks since boot
    uint64_t cpu_ticks;      // user and system
    uint64_t switches[2];    // voluntary, involuntary; valid when has_switches
    bool has_switches;
    int32_t tracer;          // TracerPid, 0: none
    bool asleep;             // the three below are valid
    bool in_syscall;         // false: asleep, but in no system call (a page fault, a stop)
    int64_t syscall;         // number
    uint64_t args[6];
    pyb_addr sp, pc;
    char wchan[64];          // of state D only; "" when unknown
};
/** Thread ids of a process, sorted; PYB_E_NOENT, PYB_E_GONE, PYB_E_PERM. */
int pyb_tasks_list(struct pyb_ctx *ctx, int32_t pid, struct pyb_arena *arena, int32_t **ret, size_t *ret_n,
                   struct pyb_error *err);
/** PYB_E_GONE: it has ended. Fields that may not be read stay unknown. */
int pyb_task_read(int32_t pid, int32_t tid, struct pyb_task *ret, struct pyb_error *err);
/** True: the thread has slept since `before` was read. */
bool pyb_task_same(int32_t pid, const struct pyb_task *before);
/** Name of a system call of a machine ("futex"), or NULL. `machine`: EM_* of the target. */
const char *pyb_syscall_name(uint16_t machine, uint8_t ptr_size, int64_t number);
/**
 * A stop, however short, makes this system call fail with EINTR (signal(7), "Interruption of system calls ... by
 * stop signals"), those of sockets only with a timeout (SO_RCVTIMEO, SO_SNDTIMEO). Such a socket's read() and
 * write() too: the number alone does not show it.
 */
bool pyb_syscall_minds_stops(uint16_t machine, uint8_t ptr_size, int64_t number);
#endif
