// SPDX-License-Identifier: Apache-2.0
/**
 * Pages of a target, kept. The cache (evicts, can be emptied) and the tee (keeps the first content of every
 * page) are the same store. Internal to the memory layer.
 */
#ifndef PYB_MEMORY_CACHE_H
#define PYB_MEMORY_CACHE_H
#include "memory/memory.h"

#define PYB_PAGE 4096u // whatever the host's page size is
#define PYB_CACHE_BATCH 1024

struct pyb_page {
    pyb_addr addr;
    uint8_t *data;  // PYB_PAGE bytes
    uint32_t len;   // readable bytes from its start
    uint32_t chain; // next of the same bucket
    uint32_t newer, older;
    bool touched;   // asked for, not only loaded with others
};
struct pyb_cache {
    struct pyb_memory base;
    struct pyb_memory *below;
    bool keep; // tee: nothing is evicted or forgotten; full is PYB_E_LIMIT
    bool borrows; // `below` belongs to somebody else
    uint32_t max_pages;
    struct pyb_page *pages;
    uint32_t n_used, cap; // pages[0..n_used) are in use
    uint32_t n_data;      // pages[0..n_data) own memory
    uint32_t *buckets;
    uint32_t n_buckets; // power of two
    uint32_t newest, oldest;
    uint64_t hits, misses;
    struct pyb_range batch[PYB_CACHE_BATCH];
    uint32_t batch_pages[PYB_CACHE_BATCH];
};
int pyb_cache_new(struct pyb_ctx *ctx, struct pyb_memory *below, const struct pyb_memory_ops *ops,
                  size_t max_pages, bool keep, struct pyb_cache **ret, struct pyb_error *err);
int pyb_cache_readv(struct pyb_memory *m, struct pyb_range *ranges, size_t n, struct pyb_error *err);
void pyb_cache_prefetch(struct pyb_memory *m, const struct pyb_range *ranges, size_t n);
void pyb_cache_invalidate(struct pyb_memory *m);
void pyb_cache_destroy(struct pyb_memory *m);
/**
 * Forgets everything and fetches these pages (as pyb_cache_touched() lists them), by one vectored read as long as
 * they are at most PYB_CACHE_BATCH. The same list as the last time is cheapest: pages stay where they are.
 */
void pyb_cache_renew(struct pyb_memory *m, const struct pyb_range *pages, size_t n);
/**
 * The pages that were asked for since the last invalidation, as ranges without buffers, by address: prefetched in
 * the next round they are one vectored read. `ranges` holds them of the last round (*n of them, room for *cap; in
 * the context's memory) and is brought up to date. PYB_E_NOMEM leaves it as it was.
 */
int pyb_cache_touched(struct pyb_memory *m, struct pyb_range **ranges, size_t *n, size_t *cap);
#endif
