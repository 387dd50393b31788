// SPDX-License-Identifier: Apache-2.0
/** Constructors of the readers. Each returns a struct pyb_memory that pyb_memory_destroy() frees. */
#ifndef PYB_MEMORY_READERS_H
#define PYB_MEMORY_READERS_H
#include "memory/memory.h"

/**
 * A live process of this host: process_vm_readv, then /proc/PID/mem when the former is not allowed or not there. Holds a pidfd, so that a reused pid
 * is PYB_E_GONE and never another process. PYB_E_PERM comes with the remedy (ptrace_scope, capability, user).
 */
int pyb_live_open(struct pyb_ctx *ctx, int32_t pid, struct pyb_memory **ret, struct pyb_error *err);

/**
 * Where the first thread of a process has ended (pthread_exit in main) and others live, /proc/PID shows no memory and no files any more:
 * the id of one whose /proc/TID does. 0: none, or no such process.
 */
int32_t pyb_live_other_thread(int32_t pid);

/** A front end's callback; facts as in desc. */
int pyb_callback_open(struct pyb_ctx *ctx, const struct pyb_target_desc *desc, struct pyb_memory **ret, struct pyb_error *err);

/**
 * Page cache in front of `below` (owned afterwards). 4 KiB pages, at most max_pages (0: 16384), least recently used go first. A page whose
 * bytes end early is cached with its length. pyb_memory_invalidate() empties it. Prefetch fills many pages by one vectored read.
 */
int pyb_cache_open(struct pyb_ctx *ctx, struct pyb_memory *below, size_t max_pages, struct pyb_memory **ret, struct pyb_error *err);
/** The same in front of a reader that stays its owner's. */
int pyb_cache_borrow(struct pyb_ctx *ctx, struct pyb_memory *below, struct pyb_memory **ret, struct pyb_error *err);
uint64_t pyb_cache_hits(const struct pyb_memory *m);
/** The reader behind a cache or tee (its n_reads are the real ones), or m itself when it is neither. */
struct pyb_memory *pyb_cache_below(struct pyb_memory *m);

/**
 * Recording (docs/recording.md): pages, modules, threads and facts of one target at one moment. The tee notes every page that is read
 * through it, so that replaying the same call needs nothing else.
 */
int pyb_recording_open(struct pyb_ctx *ctx, const char *path, struct pyb_memory **ret, struct pyb_error *err);
int pyb_tee_open(struct pyb_ctx *ctx, struct pyb_memory *below, struct pyb_memory **ret, struct pyb_error *err);
/** Extra named blobs carried by a recording ("modules", "native", "elf:PATH", ...). */
struct pyb_blob { const char *name; const void *data; size_t len; };
int pyb_tee_write(struct pyb_memory *tee, const char *path, const struct pyb_blob *blobs, size_t n, struct pyb_error *err);
int pyb_recording_blob(struct pyb_memory *recording, const char *name, struct pyb_blob *ret);
#endif
