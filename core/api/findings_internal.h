// SPDX-License-Identifier: Apache-2.0
/** What the files findings*.c share. */
#ifndef PYB_API_FINDINGS_INTERNAL_H
#define PYB_API_FINDINGS_INTERNAL_H
#include "api/findings.h"
#include "base/buf.h"
#include "interp/lock.h"
#include "live/task.h"

#define PYB_NOBODY UINT32_MAX

/** The system call that a thread sleeps in: as /proc says, or the registers of a core. */
struct pyb_sleep {
    bool known;          // asleep in the call below
    int64_t number;
    uint64_t args[6];
    struct pyb_task task; // of a live one
    enum { PYB_SLEEP_OTHER, PYB_SLEEP_FUTEX, PYB_SLEEP_CHILD } kind;
    bool timed;          // ends by itself
    int32_t child;       // which child, -1: any
};
void pyb_sleep_read(const struct pyb_session *s, int32_t tid, struct pyb_sleep *ret);
/** The same from what was read before. */
void pyb_sleep_of(const struct pyb_session *s, const struct pyb_task *task, struct pyb_sleep *ret);
/** The thread has slept in that call ever since. A core does not change. */
bool pyb_sleep_same(const struct pyb_session *s, const struct pyb_sleep *before);

enum pyb_wait_kind {
    PYB_WAIT_NONE,
    PYB_WAIT_LOCK,       // object: the lock, or whatever C object has one inside
    PYB_WAIT_IMPORT,     // object: the module lock of importlib
    PYB_WAIT_JOIN,       // object: the Thread
    PYB_WAIT_SHUTDOWN,   // for all threads that are not daemons
    PYB_WAIT_GET, PYB_WAIT_PUT, PYB_WAIT_TASKS, // object: the queue
    PYB_WAIT_EVENT, PYB_WAIT_CONDITION, PYB_WAIT_SEMAPHORE, PYB_WAIT_BARRIER, PYB_WAIT_FUTURE,
    PYB_WAIT_CHILD,      // child: its pid, -1: any
};

/** One thread of the result. */
struct pyb_waiter {
    const struct pyb_thread *thread;
    struct pyb_sleep sleep;
    bool usable;                   // it was read exactly
    enum pyb_wait_kind kind;
    bool timed;
    pyb_addr object;
    const char *type;              // of the object
    const char *detail;            // of the object ("empty"), or NULL
    bool is_lock;                  // object is a lock that `lock` describes
    struct pyb_lock lock;
    int32_t child;
    const struct pyb_frame *where; // innermost Python frame outside of the modules that wait for others
    uint32_t on;                   // index of the thread that must go on first, or PYB_NOBODY
    pyb_addr on_ident;             // its threading.get_ident(), where that thread may not be here any more
    const struct pyb_frame *taken; // frame of `on` inside `with` of that lock, or NULL
    int32_t taken_line;            // of the with statement, -1: not known
    bool told;                     // a finding has said it
};

struct pyb_findings {
    struct pyb_reading *r;
    struct pyb_waiter *w;
    uint32_t n;
    struct pyb_arena *work;
    struct pyb_buf text;
    struct pyb_finding *items;
    uint32_t n_items, cap;
    int32_t fork_parent;           // a fork without exec: its parent; 0: not so, or not known
    struct pyb_map outside;        // instruction of a code object: no block is around it (holders only)
    struct pyb_error *err;
};

/**
 * The thread's innermost Python frames, `depth` of them, are now those of the result, at the same instructions (findings_frames.c). True for
 * what does not run.
 */
bool pyb_frames_same(struct pyb_findings *f, const struct pyb_thread *t, uint32_t depth);
/** That frame is among the thread's now, at the same instruction. */
bool pyb_frame_is_there(struct pyb_findings *f, const struct pyb_thread *t, const struct pyb_frame *frame);
/** Fills kind and object of one thread. */
void pyb_wait_find(struct pyb_findings *f, struct pyb_waiter *w);
/** Fills `on` and `taken` of all. */
int pyb_holders_find(struct pyb_findings *f);
/** A finding with the text of f->text, about the threads tids[0..n). */
int pyb_finding_add(struct pyb_findings *f, const char *kind, const int32_t *tids, uint32_t n);
/** Texts: appended to f->text. */
void pyb_say_thread(struct pyb_findings *f, const struct pyb_thread *t);
void pyb_say_place(struct pyb_findings *f, const struct pyb_frame *frame, int32_t line);
/** " waits at FILE:LINE for ...", without whose it is. */
void pyb_say_wait(struct pyb_findings *f, const struct pyb_waiter *w);
void pyb_say_object(struct pyb_findings *f, const struct pyb_waiter *w);

/**
 * Who holds the lock in the process that this one is a fork of: " (in the parent, process N, thread ... is inside `with` on it ...)", or nothing.
 */
int pyb_say_parent(struct pyb_findings *f, const struct pyb_waiter *w);

/** The findings themselves. */
int pyb_find_cycles(struct pyb_findings *f);
int pyb_find_starved(struct pyb_findings *f);
int pyb_find_locks(struct pyb_findings *f);
int pyb_find_others(struct pyb_findings *f);
int pyb_find_gil(struct pyb_findings *f);
#endif
