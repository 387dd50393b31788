// SPDX-License-Identifier: Apache-2.0
/**
 * The keeper: what traces on our behalf, and whose end lets everything go. Internal to core/live.
 *
 * It answers requests that come over a socket of packets, one at a time, and ends when that is closed. It lets
 * all threads go PYB_STOP_MAX_MS after the first of them was stopped, or after it was last asked to stay. A
 * thread that cannot be let go now (pending interrupt in an uninterruptible sleep, being killed) keeps an
 * interrupt that would stop it later; only the end of its tracer takes that away. So the keeper ends once it
 * holds no other thread, and until then looks at such threads every few milliseconds. A new one is started for
 * what comes.
 */
#ifndef PYB_LIVE_KEEPER_H
#define PYB_LIVE_KEEPER_H
#include "live/stop.h"

enum pyb_keeper_op { PYB_KEEPER_STOP, PYB_KEEPER_RESUME, PYB_KEEPER_STAY };
struct pyb_keeper_request {
    uint32_t serial;
    int32_t op, tid;
};
struct pyb_keeper_reply {
    uint32_t serial;
    int32_t code;        // 0, PYB_E_PERM (refused: sys_errno), PYB_E_GONE, PYB_E_LIMIT
    int32_t sys_errno;
    bool ends;           // this was its last answer
    struct pyb_stopped stopped;
};

struct pyb_keeper {
    int32_t pid;         // whose threads
    int fd;
    bool own_process;    // signals and files are its own
    int32_t tid;         // of the thread that runs it, when that is one of ours
    struct pyb_keeper_table *table;
};
/** The table of threads is mapped before the keeper runs: it allocates nothing. PYB_E_NOMEM. */
int pyb_keeper_init(struct pyb_keeper *k, int32_t pid, int fd, bool own_process, struct pyb_error *err);
void pyb_keeper_deinit(struct pyb_keeper *k);
/** Until the socket is closed, or it has to end. */
void pyb_keeper_run(struct pyb_keeper *k);
/** A copy of this program made by fork without its signal, with all signals blocked: becomes the keeper. */
_Noreturn void pyb_keeper_become(struct pyb_keeper *k, int32_t parent);
#endif
