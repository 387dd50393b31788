// SPDX-License-Identifier: Apache-2.0
/**
 * Conclusions about several threads: who waits for which lock, who holds it, who waits for whom in a circle.
 *
 * Called when all threads of the result are filled (frames with their addresses) and before the memory that they were read from may say
 * something else: threads held, or asleep. What a thread waits for comes from the system call it sleeps in; what a lock, a queue, a thread
 * object says is read from the target, and everything that a text rests on is looked at again in the target itself, past the cache, at the
 * end: what changed meanwhile is not said. Threads that could not be read exactly (PYB_MODE_VALIDATED, PYB_MODE_UNCHECKED) are left out.
 */
#ifndef PYB_API_FINDINGS_H
#define PYB_API_FINDINGS_H
#include "api/read.h"

/** Fills r->result->process.findings. Only NOMEM, ABORTED, LIMIT and GONE are errors: what cannot be read gives no finding. */
int pyb_findings_make(struct pyb_reading *r, struct pyb_error *err);
#endif
