// SPDX-License-Identifier: Apache-2.0
#include "memory/memory.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"

#define LOWEST_ADDRESS 4096 // no system maps page 0: a NULL pointer plus an offset
#define CSTR_CHUNK 256      // never across a page

static bool is_sane(const struct pyb_range *r)
{
    pyb_addr end;
    return r->addr >= LOWEST_ADDRESS && !__builtin_add_overflow(r->addr, (uint64_t)r->len, &end);
}

int pyb_memory_readv(struct pyb_memory *m, struct pyb_range *ranges, size_t n, struct pyb_error *err)
{
    int rc = pyb_ctx_check(m->ctx, err);
    for (size_t i = 0; i < n; i++)
        ranges[i].done = 0;
    // Runs of sane ranges: what is refused stays at 0 bytes done and never reaches a reader.
    for (size_t i = 0; i < n && rc == 0;) {
        size_t run = i;
        while (run < n && is_sane(&ranges[run]))
            m->n_bytes += ranges[run++].len;
        if (run > i) {
            m->n_reads++;
            rc = m->ops->readv(m, ranges + i, run - i, err);
        }
        i = run + 1;
    }
    return rc < 0 ? rc : 0;
}

static int fail_fault(struct pyb_memory *m, const struct pyb_range *r, struct pyb_error *err)
{
    if (!err)
        return PYB_E_FAULT;
    uint64_t missing = r->len - r->done;
    pyb_addr end;
    if (r->addr < LOWEST_ADDRESS)
        return pyb_fail_at(err, PYB_E_FAULT, r->addr, r->len, "0x%" PRIx64 " is no address (first page)",
                           r->addr);
    if (__builtin_add_overflow(r->addr, (uint64_t)r->len, &end))
        return pyb_fail_at(err, PYB_E_FAULT, r->addr, r->len,
                           "%" PRIu64 " bytes at 0x%" PRIx64 " reach beyond the address space",
                           (uint64_t)r->len, r->addr);
    return pyb_fail_at(err, PYB_E_FAULT, r->addr + r->done, missing,
                       "%" PRIu64 " of %" PRIu64 " bytes are unreadable at 0x%" PRIx64 " (%s)", missing,
                       (uint64_t)r->len, r->addr + r->done, m->ops->name);
}

int pyb_read_some(struct pyb_memory *m, pyb_addr addr, void *buf, size_t len, size_t *ret,
                  struct pyb_error *err)
{
    struct pyb_range r = {.addr = addr, .buf = buf, .len = len};
    *ret = 0;
    int rc = pyb_memory_readv(m, &r, 1, err);
    if (rc)
        return rc;
    *ret = r.done;
    return r.done || len == 0 ? 0 : fail_fault(m, &r, err);
}

int pyb_read_bytes(struct pyb_memory *m, pyb_addr addr, void *buf, size_t len, struct pyb_error *err)
{
    if (len == 0)
        return 0;
    struct pyb_window w = {0};
    // Mostly a few bytes of a page that is there: two thirds of a read's instructions are saved.
    if (m->ops->window && m->ctx->check_countdown > 0) {
        m->ops->window(m, addr, &w);
        uint64_t offset = addr - w.start;
        if (offset < w.len && len <= w.len - offset) {
            m->ctx->check_countdown--;
            memcpy(buf, w.data + offset, len);
            return 0;
        }
    }
    struct pyb_range r = {.addr = addr, .buf = buf, .len = len};
    int rc = pyb_memory_readv(m, &r, 1, err);
    if (rc)
        return rc;
    return r.done == len ? 0 : fail_fault(m, &r, err);
}

int pyb_view_bytes(struct pyb_memory *m, pyb_addr addr, void *buf, size_t len, const void **ret,
                   struct pyb_error *err)
{
    struct pyb_window w = {0};
    return pyb_window_move(m, &w, addr, buf, len, ret, err);
}

int pyb_window_move(struct pyb_memory *m, struct pyb_window *w, pyb_addr addr, void *buf, size_t len,
                    const void **ret, struct pyb_error *err)
{
    w->len = 0;
    if (m->ops->window && pyb_ctx_check(m->ctx, NULL) == 0)
        m->ops->window(m, addr, w);
    uint64_t offset = addr - w->start;
    if (offset < w->len && len <= w->len - offset) {
        *ret = w->data + offset;
        return 0;
    }
    *ret = buf;
    return pyb_read_bytes(m, addr, buf, len, err);
}

struct pyb_bytes pyb_memory_bytes(const struct pyb_memory *m, const void *data, size_t len)
{
    return pyb_bytes(data, len, m->ptr_size, m->big_endian);
}

int pyb_read_uint(struct pyb_memory *m, pyb_addr addr, size_t width, uint64_t *ret, struct pyb_error *err)
{
    uint8_t raw[8];
    *ret = 0;
    if (width != 1 && width != 2 && width != 4 && width != 8)
        return pyb_fail(err, PYB_E_USAGE, "an integer of %zu bytes", width);
    int rc = pyb_read_bytes(m, addr, raw, width, err);
    if (rc)
        return rc;
    struct pyb_bytes b = pyb_memory_bytes(m, raw, width);
    *ret = pyb_get_uint(&b, 0, width);
    return 0;
}

int pyb_read_u8(struct pyb_memory *m, pyb_addr addr, uint8_t *ret, struct pyb_error *err)
{
    uint64_t value;
    int rc = pyb_read_uint(m, addr, sizeof(*ret), &value, err);
    *ret = (uint8_t)value;
    return rc;
}

int pyb_read_u16(struct pyb_memory *m, pyb_addr addr, uint16_t *ret, struct pyb_error *err)
{
    uint64_t value;
    int rc = pyb_read_uint(m, addr, sizeof(*ret), &value, err);
    *ret = (uint16_t)value;
    return rc;
}

int pyb_read_u32(struct pyb_memory *m, pyb_addr addr, uint32_t *ret, struct pyb_error *err)
{
    uint64_t value;
    int rc = pyb_read_uint(m, addr, sizeof(*ret), &value, err);
    *ret = (uint32_t)value;
    return rc;
}

int pyb_read_i32(struct pyb_memory *m, pyb_addr addr, int32_t *ret, struct pyb_error *err)
{
    uint64_t value;
    int rc = pyb_read_uint(m, addr, sizeof(*ret), &value, err);
    *ret = (int32_t)(uint32_t)value;
    return rc;
}

int pyb_read_u64(struct pyb_memory *m, pyb_addr addr, uint64_t *ret, struct pyb_error *err)
{
    return pyb_read_uint(m, addr, sizeof(*ret), ret, err);
}

int pyb_read_ptr(struct pyb_memory *m, pyb_addr addr, pyb_addr *ret, struct pyb_error *err)
{
    return pyb_read_uint(m, addr, m->ptr_size == 4 ? 4 : 8, ret, err);
}

int pyb_read_ssize(struct pyb_memory *m, pyb_addr addr, int64_t *ret, struct pyb_error *err)
{
    uint64_t value;
    int rc = pyb_read_ptr(m, addr, &value, err);
    *ret = m->ptr_size == 4 ? (int64_t)(int32_t)(uint32_t)value : (int64_t)value;
    return rc;
}

int pyb_read_cstr(struct pyb_memory *m, pyb_addr addr, char *buf, size_t max, struct pyb_error *err)
{
    size_t done = 0;
    buf[0] = '\0';
    while (done < max) {
        pyb_addr at = addr + done;
        if (at < addr)
            return pyb_fail_at(err, PYB_E_FAULT, addr, max,
                               "the text at 0x%" PRIx64 " reaches beyond the address space", addr);
        size_t want = CSTR_CHUNK - (size_t)(at % CSTR_CHUNK);
        if (want > max - done)
            want = max - done;
        size_t got;
        int rc = pyb_read_some(m, at, buf + done, want, &got, err);
        const char *end = rc ? NULL : memchr(buf + done, '\0', got);
        done += got;
        buf[done] = '\0';
        if (rc || end)
            return rc;
    }
    return 0;
}

void pyb_memory_prefetch(struct pyb_memory *m, const struct pyb_range *ranges, size_t n)
{
    if (m->ops->prefetch && pyb_ctx_check(m->ctx, NULL) == 0)
        m->ops->prefetch(m, ranges, n);
}

void pyb_memory_invalidate(struct pyb_memory *m)
{
    if (m->ops->invalidate)
        m->ops->invalidate(m);
}

void pyb_memory_destroy(struct pyb_memory *m)
{
    if (m)
        m->ops->destroy(m);
}
