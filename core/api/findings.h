// SPDX-License-Identifier: Apache-2.0
/**
 * Conclusions about several threads: who waits for which lock, who holds it, who waits for whom in a circle.
 *
 * Called when all threads of the result are filled (frames with their addresses). What a thread waits for comes from the system call that it
 * sleeps in; what a lock, a queue, a thread object says is read from the target, and only of threads that stand where their frames were
 * read. At the end each thread that a text rests on must have slept all the time: what changed meanwhile is not said. Threads that could not
 * be read exactly (PYB_MODE_VALIDATED, PYB_MODE_UNCHECKED) are left out.
 */
#ifndef PYB_API_FINDINGS_H
#define PYB_API_FINDINGS_H
#include "api/dump.h"

/**
 * Fills r->result->process.findings. `dumped`: how the threads of a live process were read, in the order of the result, or NULL. Only NOMEM,
 * ABORTED, LIMIT and GONE are errors: what cannot be read gives no finding.
 */
int pyb_findings_make(struct pyb_reading *r, const struct pyb_dumped *dumped, size_t n_dumped, struct pyb_error *err);
#endif
