// SPDX-License-Identifier: Apache-2.0
/**
 * Folded stacks and how often each was seen: `comm;outermost;...;innermost COUNT`, in the order of first sight.
 *
 * Memory is bounded: when `limit` bytes of stacks are held, they are written and counting begins anew. Consumers add up equal stacks.
 */
#ifndef PERF_FOLD_H
#define PERF_FOLD_H
#include "base/buf.h"

struct ann_fold {
    size_t *slots; // 1 + index of the entry, 0: free
    size_t n_slots; // a power of two
    struct ann_fold_entry *entries;
    size_t n, cap;
    char *text;
    size_t used, text_cap, limit;
};

bool ann_fold_init(struct ann_fold *f, size_t limit); // false: no memory
void ann_fold_deinit(struct ann_fold *f);
/** Counts one; what has to give way is appended to `out`. False: no memory. */
bool ann_fold_add(struct ann_fold *f, const char *stack, size_t n, struct pyb_buf *out);
/** Appends all to `out` and forgets it. */
void ann_fold_take(struct ann_fold *f, struct pyb_buf *out);
#endif
