// SPDX-License-Identifier: Apache-2.0
/**
 * Reading a target's memory: one small interface, several readers behind it.
 *
 * Live process (live.h), ELF core (corefile.h), a front end's callback (callback.h), a recording (recording.h), and in front of slow ones a page
 * cache (cache.h). All reads go through the functions here: they check the context (abort, deadline), refuse wrapping ranges
 * and addresses below 4096, and count.
 */
#ifndef PYB_MEMORY_MEMORY_H
#define PYB_MEMORY_MEMORY_H
#include "base/bytes.h"
#include "base/context.h"

struct pyb_range {
    pyb_addr addr;
    void *buf;
    size_t len;
    size_t done; // out: bytes read from the start of the range; the rest of buf is untouched
};

/** Bytes of the target that a cache has at hand. Good as long as the memory's stamp stays the same. */
struct pyb_window {
    pyb_addr start;
    const uint8_t *data;
    size_t len;
    uint64_t stamp;
};

struct pyb_memory;
struct pyb_memory_ops {
    const char *name; // "live", "core", "callback", "recording", "cache"
    /** Reads each range as far as it goes. Returns 0 even for short ranges; negative only when nothing can be read any more (GONE, PERM). */
    int (*readv)(struct pyb_memory *m, struct pyb_range *ranges, size_t n, struct pyb_error *err);
    /** Loads ranges (their `buf` may be NULL) into the cache that this is or has below; NULL: there is none. */
    void (*prefetch)(struct pyb_memory *m, const struct pyb_range *ranges, size_t n);
    /** Opens a window on what is at hand around addr; one without length: nothing is. May be NULL. */
    void (*window)(struct pyb_memory *m, pyb_addr addr, struct pyb_window *ret);
    /** Forgets cached content; may be NULL. */
    void (*invalidate)(struct pyb_memory *m);
    void (*destroy)(struct pyb_memory *m);
};

/** Embedded first in each reader's own struct. */
struct pyb_memory {
    const struct pyb_memory_ops *ops;
    struct pyb_ctx *ctx;
    uint8_t ptr_size;   // facts of the target, not of the host
    bool big_endian;
    uint16_t machine;   // EM_*
    uint64_t n_reads, n_bytes; // calls of readv, bytes asked
    uint64_t stamp;     // another number: windows opened before are closed
};

int pyb_memory_readv(struct pyb_memory *m, struct pyb_range *ranges, size_t n, struct pyb_error *err);
/** All `len` bytes or PYB_E_FAULT, which names the first missing byte. */
int pyb_read_bytes(struct pyb_memory *m, pyb_addr addr, void *buf, size_t len, struct pyb_error *err);
/**
 * As above, without a copy where the bytes are at hand: *ret is `buf` or lives until the next call on this memory.
 */
int pyb_view_bytes(struct pyb_memory *m, pyb_addr addr, void *buf, size_t len, const void **ret,
                   struct pyb_error *err);
/** What pyb_window_bytes() does where the window does not reach: moves it, or reads into `buf`. */
int pyb_window_move(struct pyb_memory *m, struct pyb_window *w, pyb_addr addr, void *buf, size_t len,
                    const void **ret, struct pyb_error *err);
/**
 * As pyb_view_bytes(), for a walk that stays near where it was: through a window of the walk's own (all zero at
 * first), which moves along. Inline: called for each frame.
 */
static inline int pyb_window_bytes(struct pyb_memory *m, struct pyb_window *w, pyb_addr addr, void *buf,
                                   size_t len, const void **ret, struct pyb_error *err)
{
    uint64_t offset = addr - w->start;
    if (w->stamp == m->stamp && offset < w->len && len <= w->len - offset) {
        *ret = w->data + offset;
        return 0;
    }
    return pyb_window_move(m, w, addr, buf, len, ret, err);
}
/** As many as there are; 0 bytes is PYB_E_FAULT. */
int pyb_read_some(struct pyb_memory *m, pyb_addr addr, void *buf, size_t len, size_t *ret, struct pyb_error *err);
int pyb_read_u8(struct pyb_memory *m, pyb_addr addr, uint8_t *ret, struct pyb_error *err);
int pyb_read_u16(struct pyb_memory *m, pyb_addr addr, uint16_t *ret, struct pyb_error *err);
int pyb_read_u32(struct pyb_memory *m, pyb_addr addr, uint32_t *ret, struct pyb_error *err);
int pyb_read_i32(struct pyb_memory *m, pyb_addr addr, int32_t *ret, struct pyb_error *err);
int pyb_read_u64(struct pyb_memory *m, pyb_addr addr, uint64_t *ret, struct pyb_error *err);
/** A pointer / Py_ssize_t of the target's width. */
int pyb_read_ptr(struct pyb_memory *m, pyb_addr addr, pyb_addr *ret, struct pyb_error *err);
int pyb_read_ssize(struct pyb_memory *m, pyb_addr addr, int64_t *ret, struct pyb_error *err);
/** 1, 2, 4 or 8 bytes, unsigned. */
int pyb_read_uint(struct pyb_memory *m, pyb_addr addr, size_t width, uint64_t *ret, struct pyb_error *err);
/** A C string of at most max bytes without the NUL; cut there. buf has max + 1 bytes. */
int pyb_read_cstr(struct pyb_memory *m, pyb_addr addr, char *buf, size_t max, struct pyb_error *err);
/** Loads ranges into a cache in front, one vectored read; no-op for readers without one. Failures are ignored on purpose: the later read reports them. */
void pyb_memory_prefetch(struct pyb_memory *m, const struct pyb_range *ranges, size_t n);
void pyb_memory_invalidate(struct pyb_memory *m);
void pyb_memory_destroy(struct pyb_memory *m);
/** A decoder over a host buffer with the target's word size and byte order. */
struct pyb_bytes pyb_memory_bytes(const struct pyb_memory *m, const void *data, size_t len);
#endif
