// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/error.h"
#include "memory/cache.h"
#include "memory/readers.h"
#include "memory/recording.h"

static const struct pyb_memory_ops tee_ops = {
    .name = "tee",
    .readv = pyb_cache_readv,
    .prefetch = pyb_cache_prefetch,
    .invalidate = pyb_cache_invalidate, // forgets nothing: a recording is of one moment
    .destroy = pyb_cache_destroy,
};

int pyb_tee_open(struct pyb_ctx *ctx, struct pyb_memory *below, struct pyb_memory **ret,
                 struct pyb_error *err)
{
    struct pyb_cache *c;
    uint64_t max_pages = ctx->max_bytes / PYB_PAGE;
    int rc = pyb_cache_new(ctx, below, &tee_ops, max_pages ? max_pages : 1, true, &c, err);
    *ret = c ? &c->base : NULL;
    return rc;
}

static void add_int(struct pyb_buf *b, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        pyb_buf_addc(b, (char)(uint8_t)(value >> 8 * i));
}

static void set_int(struct pyb_buf *b, size_t at, uint64_t value, size_t width)
{
    if (b->failed)
        return;
    for (size_t i = 0; i < width; i++)
        b->data[at + i] = (char)(uint8_t)(value >> 8 * i);
}

// A section that is being compressed into the file's image.
struct section {
    struct pyb_buf *out;
    size_t header_at, data_at;
    z_stream z;
    uint64_t plain;
    uint32_t crc;
    bool failed;
};

static void section_begin(struct section *s, struct pyb_buf *out, enum pyb_rec_kind kind, const char *name)
{
    size_t name_len = strlen(name);
    memset(s, 0, sizeof(*s));
    s->out = out;
    s->header_at = out->len;
    add_int(out, kind, 4);
    add_int(out, name_len, 4);
    add_int(out, 0, 8); // plain size, stored size, checksum, 0: known at the end
    add_int(out, 0, 8);
    add_int(out, 0, 4);
    add_int(out, 0, 4);
    pyb_buf_add(out, name, name_len);
    s->data_at = out->len;
    s->crc = (uint32_t)crc32(0, NULL, 0);
    s->failed = deflateInit(&s->z, Z_DEFAULT_COMPRESSION) != Z_OK;
}

static void section_deflate(struct section *s, const void *data, size_t len, int flush)
{
    uint8_t chunk[4096];
    s->z.next_in = (Bytef *)(uintptr_t)data;
    s->z.avail_in = (uInt)len;
    int status = Z_OK;
    do {
        s->z.next_out = chunk;
        s->z.avail_out = sizeof(chunk);
        status = deflate(&s->z, flush);
        pyb_buf_add(s->out, chunk, sizeof(chunk) - s->z.avail_out);
    } while (s->z.avail_out == 0 && status != Z_STREAM_ERROR);
    s->failed |= status == Z_STREAM_ERROR;
}

static void section_add(struct section *s, const void *data, size_t len)
{
    const uint8_t *p = data;
    while (len > 0 && !s->failed) {
        size_t n = len < (1u << 20) ? len : 1u << 20;
        s->crc = (uint32_t)crc32(s->crc, p, (uInt)n);
        section_deflate(s, p, n, Z_NO_FLUSH);
        s->plain += n;
        p += n;
        len -= n;
    }
}

static bool section_end(struct section *s)
{
    if (!s->failed)
        section_deflate(s, NULL, 0, Z_FINISH);
    s->failed |= deflateEnd(&s->z) == Z_STREAM_ERROR;
    set_int(s->out, s->header_at + 8, s->plain, 8);
    set_int(s->out, s->header_at + 16, s->out->len - s->data_at, 8);
    set_int(s->out, s->header_at + 24, s->crc, 4);
    return !s->failed && !s->out->failed;
}

static int by_addr(const void *a, const void *b)
{
    const struct pyb_page *x = *(const struct pyb_page *const *)a, *y = *(const struct pyb_page *const *)b;
    return x->addr < y->addr ? -1 : x->addr > y->addr;
}

// Entries (address, length, 0) in ascending order, then the contents in the same order. Pages of which
// nothing could be read are left out.
static bool add_pages(struct pyb_cache *c, struct pyb_buf *out)
{
    const struct pyb_page **list = pyb_alloc(c->base.ctx, (c->n_used + 1) * sizeof(struct pyb_page *));
    if (!list)
        return false;
    size_t n = 0;
    for (uint32_t i = 0; i < c->n_used; i++)
        if (c->pages[i].len)
            list[n++] = &c->pages[i];
    qsort(list, n, sizeof(*list), by_addr);
    struct section s;
    section_begin(&s, out, PYB_REC_PAGES, "");
    struct pyb_buf entry;
    pyb_buf_init(&entry, c->base.ctx, 0);
    for (size_t i = 0; i < n; i++) {
        pyb_buf_clear(&entry);
        add_int(&entry, list[i]->addr, 8);
        add_int(&entry, list[i]->len, 4);
        add_int(&entry, 0, 4);
        section_add(&s, pyb_buf_str(&entry), entry.len);
        s.failed |= entry.failed;
    }
    for (size_t i = 0; i < n; i++)
        section_add(&s, list[i]->data, list[i]->len);
    pyb_buf_deinit(&entry);
    pyb_free(c->base.ctx, list);
    return section_end(&s);
}

static bool build_image(struct pyb_cache *c, const struct pyb_blob *blobs, size_t n, struct pyb_buf *out)
{
    pyb_buf_add(out, PYB_REC_MAGIC, PYB_REC_MAGIC_LEN);
    add_int(out, PYB_REC_VERSION, 2);
    add_int(out, PYB_REC_HEADER, 2);
    add_int(out, c->base.ptr_size, 1);
    add_int(out, c->base.big_endian, 1);
    add_int(out, c->base.machine, 2);
    add_int(out, PYB_PAGE, 4);
    add_int(out, 1 + n, 4);
    add_int(out, 0, 8);
    bool ok = add_pages(c, out);
    for (size_t i = 0; i < n && ok; i++) {
        struct section s;
        section_begin(&s, out, PYB_REC_BLOB, blobs[i].name);
        section_add(&s, blobs[i].data, blobs[i].len);
        ok = section_end(&s);
    }
    uint32_t crc = (uint32_t)crc32(0, NULL, 0);
    for (size_t at = 0; at < out->len;) {
        uInt k = out->len - at < (1u << 30) ? (uInt)(out->len - at) : 1u << 30;
        crc = (uint32_t)crc32(crc, (const Bytef *)out->data + at, k);
        at += k;
    }
    add_int(out, crc, 4);
    pyb_buf_add(out, "end\n", 4);
    return ok && !out->failed;
}

static int write_file(const char *path, const char *data, size_t len, struct pyb_error *err)
{
    // Memory of a process may hold secrets: nobody else may read it.
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_CLOEXEC, 0600);
    if (fd < 0)
        return pyb_fail_errno(err, errno, "%s", path);
    int rc = 0;
    for (size_t done = 0; done < len && rc == 0;) {
        ssize_t n = write(fd, data + done, len - done);
        if (n < 0 && errno != EINTR)
            rc = pyb_fail_errno(err, errno, "writing %s", path);
        else if (n > 0)
            done += (size_t)n;
    }
    if (close(fd) != 0 && rc == 0)
        rc = pyb_fail_errno(err, errno, "writing %s", path);
    return rc;
}

int pyb_tee_write(struct pyb_memory *tee, const char *path, const struct pyb_blob *blobs, size_t n,
                  struct pyb_error *err)
{
    if (tee->ops != &tee_ops)
        return pyb_fail(err, PYB_E_USAGE, "only a tee can write a recording");
    struct pyb_buf image;
    pyb_buf_init(&image, tee->ctx, 0);
    bool ok = build_image((struct pyb_cache *)tee, blobs, n, &image);
    int rc = ok ? write_file(path, image.data, image.len, err)
                : pyb_fail(err, PYB_E_NOMEM, "no memory for a recording of %zu bytes", image.len);
    pyb_buf_deinit(&image);
    return rc;
}
