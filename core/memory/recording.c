// SPDX-License-Identifier: Apache-2.0
#include "memory/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/arena.h"
#include "base/error.h"
#include "memory/cache.h"
#include "memory/readers.h"

#define MAX_SECTIONS (1u << 20)

struct rec_page {
    pyb_addr addr;
    const uint8_t *data;
    uint32_t len;
};
struct rec_blob {
    struct pyb_blob blob;
    struct rec_blob *next;
};
struct recording {
    struct pyb_memory base;
    struct pyb_arena arena;
    const char *path;
    struct rec_page *pages; // ascending
    size_t n_pages;
    struct rec_blob *blobs;
};

static const struct rec_page *find_page(const struct recording *r, pyb_addr addr)
{
    size_t low = 0, high = r->n_pages;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (r->pages[mid].addr <= addr)
            low = mid + 1;
        else
            high = mid;
    }
    const struct rec_page *p = low ? &r->pages[low - 1] : NULL;
    return p && addr - p->addr < p->len ? p : NULL;
}

static int recording_readv(struct pyb_memory *m, struct pyb_range *ranges, size_t n, struct pyb_error *err)
{
    (void)err;
    for (size_t i = 0; i < n; i++) {
        struct pyb_range *range = &ranges[i];
        while (range->done < range->len) {
            pyb_addr at = range->addr + range->done;
            const struct rec_page *p = find_page((struct recording *)m, at);
            if (!p)
                break;
            size_t offset = (size_t)(at - p->addr), k = p->len - offset;
            if (k > range->len - range->done)
                k = range->len - range->done;
            memcpy((char *)range->buf + range->done, p->data + offset, k);
            range->done += k;
        }
    }
    return 0;
}

static void recording_destroy(struct pyb_memory *m)
{
    struct recording *r = (struct recording *)m;
    pyb_arena_deinit(&r->arena);
    pyb_free(m->ctx, r);
}

static const struct pyb_memory_ops recording_ops = {
    .name = "recording",
    .readv = recording_readv,
    .destroy = recording_destroy,
};

static int fail_corrupt(const struct recording *r, const char *what, struct pyb_error *err)
{
    return pyb_fail(err, PYB_E_CORRUPT, "%s is a damaged recording: %s", r->path, what);
}

static int load_pages(struct recording *r, struct pyb_bytes plain, struct pyb_error *err)
{
    if (r->pages)
        return fail_corrupt(r, "two page tables", err);
    // Entries end where the contents begin: their number follows from the sizes.
    uint64_t contents = 0;
    size_t n = 0;
    while (contents < plain.len - n * PYB_REC_PAGE_ENTRY) {
        if (plain.len - n * PYB_REC_PAGE_ENTRY < PYB_REC_PAGE_ENTRY)
            return fail_corrupt(r, "its page table ends early", err);
        uint32_t len = pyb_get_u32(&plain, n * PYB_REC_PAGE_ENTRY + 8);
        if (len == 0 || len > PYB_PAGE)
            return fail_corrupt(r, "a page of impossible length", err);
        contents += len;
        n++;
    }
    if (contents != plain.len - n * PYB_REC_PAGE_ENTRY)
        return fail_corrupt(r, "its pages do not fill their section", err);
    r->pages = pyb_arena_array(&r->arena, n, sizeof(*r->pages));
    if (!r->pages)
        return pyb_fail(err, PYB_E_NOMEM, "%s: no memory for %zu pages", r->path, n);
    size_t at = n * PYB_REC_PAGE_ENTRY;
    for (size_t i = 0; i < n; i++) {
        struct rec_page p = {.addr = pyb_get_u64(&plain, i * PYB_REC_PAGE_ENTRY),
                             .len = pyb_get_u32(&plain, i * PYB_REC_PAGE_ENTRY + 8),
                             .data = plain.data + at};
        if (p.addr % PYB_PAGE || (i > 0 && p.addr <= r->pages[i - 1].addr))
            return fail_corrupt(r, "its page table is out of order", err);
        at += p.len;
        r->pages[i] = p;
    }
    r->n_pages = n;
    return 0;
}

static int load_blob(struct recording *r, struct pyb_bytes plain, const char *name, size_t name_len,
                     struct pyb_error *err)
{
    struct rec_blob *b = pyb_arena_alloc(&r->arena, sizeof(*b));
    char *copy = pyb_arena_strndup(&r->arena, name, name_len);
    if (!b || !copy)
        return pyb_fail(err, PYB_E_NOMEM, "%s: no memory for its blobs", r->path);
    if (strlen(copy) != name_len)
        return fail_corrupt(r, "a name with a NUL", err);
    *b = (struct rec_blob){.blob = {.name = copy, .data = plain.data, .len = plain.len}, .next = r->blobs};
    r->blobs = b;
    return 0;
}

static int inflate_section(struct recording *r, const uint8_t *stored, uint64_t stored_len,
                           uint64_t plain_len, uint32_t crc, struct pyb_bytes *ret, struct pyb_error *err)
{
    // zlib's best is about 1:1032: more is a lie, found out before the memory is asked for.
    if (plain_len / 1100 > stored_len || plain_len > UINT32_MAX || stored_len > UINT32_MAX)
        return fail_corrupt(r, "a section of impossible size", err);
    uint8_t *plain = pyb_arena_alloc(&r->arena, (size_t)plain_len);
    if (!plain)
        return pyb_fail(err, PYB_E_NOMEM, "%s: no memory for a section of %" PRIu64 " bytes", r->path,
                        plain_len);
    uLongf got = (uLongf)plain_len;
    if (uncompress(plain, &got, stored, (uLong)stored_len) != Z_OK || got != plain_len)
        return fail_corrupt(r, "a section that cannot be unpacked", err);
    if (crc32(crc32(0, NULL, 0), plain, (uInt)plain_len) != crc)
        return fail_corrupt(r, "the checksum of a section is wrong", err);
    *ret = pyb_bytes(plain, (size_t)plain_len, 8, false);
    return 0;
}

static int load_section(struct recording *r, struct pyb_bytes *file, size_t *at, struct pyb_error *err)
{
    if (file->len - *at < PYB_REC_SECTION)
        return fail_corrupt(r, "a section is missing", err);
    uint32_t kind = pyb_get_u32(file, *at), name_len = pyb_get_u32(file, *at + 4),
             crc = pyb_get_u32(file, *at + 24);
    uint64_t plain_len = pyb_get_u64(file, *at + 8), stored_len = pyb_get_u64(file, *at + 16);
    *at += PYB_REC_SECTION;
    if (name_len > file->len - *at || stored_len > file->len - *at - name_len)
        return fail_corrupt(r, "a section reaches beyond the end", err);
    const char *name = (const char *)file->data + *at;
    const uint8_t *stored = file->data + *at + name_len;
    *at += name_len + (size_t)stored_len;
    if (kind != PYB_REC_PAGES && kind != PYB_REC_BLOB)
        return 0; // of a later version
    struct pyb_bytes plain;
    int rc = inflate_section(r, stored, stored_len, plain_len, crc, &plain, err);
    if (rc)
        return rc;
    return kind == PYB_REC_PAGES ? load_pages(r, plain, err) : load_blob(r, plain, name, name_len, err);
}

static int load_header(struct recording *r, struct pyb_bytes *file, uint32_t *ret_sections, size_t *ret_at,
                       struct pyb_error *err)
{
    if (file->len < PYB_REC_MAGIC_LEN || memcmp(file->data, PYB_REC_MAGIC, PYB_REC_MAGIC_LEN) != 0)
        return pyb_fail(err, PYB_E_UNSUPPORTED, "%s is no recording", r->path);
    uint16_t version = pyb_get_u16(file, 8);
    if (!file->bad && version != PYB_REC_VERSION)
        return pyb_fail(err, PYB_E_UNSUPPORTED, "%s is a recording of version %u, this is for version %u",
                        r->path, version, PYB_REC_VERSION);
    uint16_t size = pyb_get_u16(file, 10);
    if (file->len < PYB_REC_HEADER + PYB_REC_TRAILER || size < PYB_REC_HEADER ||
        size > file->len - PYB_REC_TRAILER)
        return fail_corrupt(r, "it is too short", err);
    file->len -= PYB_REC_TRAILER;
    struct pyb_bytes trailer = pyb_bytes(file->data + file->len, PYB_REC_TRAILER, 8, false);
    if (memcmp(trailer.data + 4, "end\n", 4) != 0)
        return fail_corrupt(r, "its end is missing", err);
    if (crc32(crc32(0, NULL, 0), file->data, (uInt)file->len) != pyb_get_u32(&trailer, 0))
        return fail_corrupt(r, "its checksum is wrong", err);
    r->base.ptr_size = pyb_get_u8(file, 12);
    r->base.big_endian = pyb_get_u8(file, 13);
    r->base.machine = pyb_get_u16(file, 14);
    *ret_sections = pyb_get_u32(file, 20);
    *ret_at = size;
    if ((r->base.ptr_size != 4 && r->base.ptr_size != 8) || pyb_get_u32(file, 16) != PYB_PAGE)
        return fail_corrupt(r, "word or page size", err);
    return *ret_sections > MAX_SECTIONS ? fail_corrupt(r, "the number of sections", err) : 0;
}

static int load_file(struct recording *r, struct pyb_bytes file, struct pyb_error *err)
{
    uint32_t sections = 0;
    size_t at = 0;
    int rc = load_header(r, &file, &sections, &at, err);
    for (uint32_t i = 0; i < sections && rc == 0; i++)
        rc = load_section(r, &file, &at, err);
    if (rc == 0 && at != file.len)
        rc = fail_corrupt(r, "bytes after its last section", err);
    if (rc == 0)
        rc = pyb_ctx_check(r->base.ctx, err);
    return rc;
}

static int read_whole(struct recording *r, int fd, uint8_t **ret, size_t *ret_len, struct pyb_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return pyb_fail_errno(err, errno, "%s", r->path);
    if (!S_ISREG(st.st_mode))
        return pyb_fail(err, PYB_E_UNSUPPORTED, "%s is no regular file", r->path);
    if ((uint64_t)st.st_size > r->base.ctx->max_bytes || (uint64_t)st.st_size > UINT32_MAX)
        return pyb_fail(err, PYB_E_LIMIT, "%s has %" PRIu64 " bytes; the limit is %" PRIu64, r->path,
                        (uint64_t)st.st_size, r->base.ctx->max_bytes);
    *ret = pyb_alloc(r->base.ctx, (size_t)st.st_size);
    if (!*ret)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for the %" PRIu64 " bytes of %s", (uint64_t)st.st_size,
                        r->path);
    while (*ret_len < (size_t)st.st_size) {
        ssize_t n = pread(fd, *ret + *ret_len, (size_t)st.st_size - *ret_len, (off_t)*ret_len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return pyb_fail_errno(err, errno, "%s", r->path);
        if (n == 0)
            break;
        *ret_len += (size_t)n;
    }
    return 0;
}

int pyb_recording_open(struct pyb_ctx *ctx, const char *path, struct pyb_memory **ret, struct pyb_error *err)
{
    *ret = NULL;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return pyb_fail_errno(err, errno, "%s", path);
    struct recording *r = pyb_alloc(ctx, sizeof(*r));
    if (!r) {
        (void)close(fd);
        return pyb_fail(err, PYB_E_NOMEM, "no memory for a reader");
    }
    r->base = (struct pyb_memory){.ops = &recording_ops, .ctx = ctx};
    r->path = path; // while opening only
    pyb_arena_init(&r->arena, ctx);
    uint8_t *data = NULL;
    size_t len = 0;
    int rc = read_whole(r, fd, &data, &len, err);
    (void)close(fd);
    if (rc == 0)
        rc = load_file(r, pyb_bytes(data, len, 8, false), err);
    pyb_free(ctx, data);
    r->path = NULL;
    if (rc)
        recording_destroy(&r->base);
    else
        *ret = &r->base;
    return rc;
}

int pyb_recording_blob(struct pyb_memory *recording, const char *name, struct pyb_blob *ret)
{
    *ret = (struct pyb_blob){0};
    if (recording->ops != &recording_ops)
        return PYB_E_USAGE;
    for (const struct rec_blob *b = ((struct recording *)recording)->blobs; b; b = b->next) {
        if (strcmp(b->blob.name, name) == 0) {
            *ret = b->blob;
            return 0;
        }
    }
    return PYB_E_NOTFOUND;
}
