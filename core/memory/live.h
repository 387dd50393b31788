// SPDX-License-Identifier: Apache-2.0
/** One process of this host, held so that a reused pid is noticed, and why it may not be read. Internal to
 * the memory layer. */
#ifndef PYB_MEMORY_LIVE_H
#define PYB_MEMORY_LIVE_H
#include "memory/memory.h"

struct pyb_live_process {
    int32_t pid;
    int dir_fd; // /proc/PID, bound to this very process
};
/**
 * Also finds a thread whose address space can be read: the first thread, or another one when that has ended
 * (pthread_exit in main). PYB_E_NOENT: no such process. PYB_E_GONE: a zombie. PYB_E_NOTPYTHON: a kernel
 * thread. PYB_E_USAGE: a thread id, no process.
 */
int pyb_live_process_init(struct pyb_live_process *p, int32_t pid, int32_t *ret_tid, struct pyb_error *err);
void pyb_live_process_deinit(struct pyb_live_process *p);
/** A thread that has not ended: the first one as long as it lives. 0: the process has ended. */
int32_t pyb_live_thread(const struct pyb_live_process *p);
/** What decides whether this process may read that one. */
struct pyb_live_rights {
    uint32_t own_uid, uid; // effective, and the target's
    bool cap_sys_ptrace;   // this process has it
    bool same_user_ns;
    int ptrace_scope; // of Yama; 0: not built in
};
/** Fills err->remedy with what would help; returns err's code. */
int pyb_live_remedy(const struct pyb_live_rights *r, int32_t pid, struct pyb_error *err);
/** The same for a process, after PYB_E_PERM: which sysctl, capability or user would help. Returns err's code,
 * PYB_E_PERM when err is NULL. */
int pyb_live_explain_permission(const struct pyb_live_process *p, struct pyb_error *err);
#endif
