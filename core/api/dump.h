// SPDX-License-Identifier: Apache-2.0
/**
 * pyb_dump(): every thread of a live process or core, native frames by our own unwinder.
 *
 * A live thread is captured while it cannot run (asleep, or stopped): its stack and everything that its Python frames lead to come into the
 * session's page cache. It goes on at once; unwinding, braiding and naming read the same again out of the cache.
 */
#ifndef PYB_API_DUMP_H
#define PYB_API_DUMP_H
#include "api/read.h"
#include "api/sample.h"
#include "live/stop.h"
#include "live/task.h"
#include "unwind/unwind.h"

struct pyb_dumped { // one OS thread
    struct pyb_task task;
    struct pyb_regs regs;
    bool has_regs;
    bool held;               // stopped by us now
    enum pyb_reading_mode mode;
    const char *note;        // about how it was read, or NULL
    bool done;               // it is in the result
    bool guessed;            // its native frames needed registers that are not known
};
#define PYB_DUMP_BATCH 8u // sixteen take 0.3 MB more, and no less time
struct pyb_dumping {
    struct pyb_reading r;
    uint32_t flags;               // enum pyb_dump_flags
    struct pyb_dumped *threads;   // live: one for each native stack
    struct pyb_native_stack *stacks;
    size_t n;
    struct pyb_owners owners;
    struct pyb_stopper *stopper;  // made when the first thread has to be stopped
    bool together;                // all threads are held at once
    const char *no_stop;          // why nothing is stopped any more, or NULL
    uint16_t machine;
    uint8_t ptr_size;
    struct pyb_page_list pages;   // what the last capture needed
};

/** Whether the caller wants this thread. */
bool pyb_dump_wants(const struct pyb_dump_options *o, int32_t tid);
int pyb_dump_live(struct pyb_dumping *d, const struct pyb_dump_options *o, struct pyb_error *err);
/** Frames of one stack into d->stacks[i], by regs. */
int pyb_dump_unwind(struct pyb_dumping *d, size_t i, const struct pyb_regs *regs, bool *ret_needs_registers,
                    struct pyb_error *err);
/** PYB_DUMP_SOURCE: puts files, lines and inlined functions into the frames of one stack. */
int pyb_dump_source(struct pyb_dumping *d, size_t i, struct pyb_error *err);
/**
 * Reads into the cache what the thread's stack and Python frames consist of; the thread must not run meanwhile. `again`: nothing read
 * before counts any more.
 */
int pyb_dump_capture(struct pyb_dumping *d, size_t i, bool again, struct pyb_error *err);
/** The same of the sleeping ones among [begin, end), PYB_DUMP_BATCH at most, with few calls: whether each slept on is for the caller to check. */
int pyb_dump_capture_sleepers(struct pyb_dumping *d, size_t begin, size_t end, struct pyb_error *err);
/** What the kernel says of a thread, and its registers as far as that goes. */
void pyb_dump_set_task(struct pyb_dumping *d, size_t i, const struct pyb_task *task);
/**
 * Threads [begin, end) into ret[0..]; ret[k].frames stays NULL and its `done` false for one that ended meanwhile. Asleep ones are read
 * together, the others one by one, stopped.
 */
int pyb_dump_read_batch(struct pyb_dumping *d, size_t begin, size_t end, struct pyb_thread *ret, struct pyb_error *err);
/** Stops the thread and takes its registers. 0, or why not: then d->threads[i].note says it. */
int pyb_dump_hold(struct pyb_dumping *d, size_t i, struct pyb_error *err);
void pyb_dump_release(struct pyb_dumping *d, size_t i);
/** --consistent and locals: stops what has to be stopped, before the thread states are listed; d->owners is not known yet. */
void pyb_dump_hold_all(struct pyb_dumping *d);
/** Captures all threads, none of which runs, and tells how each was read. */
int pyb_dump_capture_all(struct pyb_dumping *d, struct pyb_error *err);
/** pthread_self() of sleeping threads, which nobody asked: by their robust list, else by their stack. */
void pyb_dump_find_pointers(struct pyb_dumping *d);
#endif
