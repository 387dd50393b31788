// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <zlib.h>
#ifdef PYB_HAVE_ZSTD
#include <zstd.h>
#endif

#include "base/error.h"
#include "memory/corefile_internal.h"

#define MAX_UNPACKED (UINT64_C(64) << 30)
#define CHUNK (256u << 10)
#define BLOCK 4096u // of zeros: becomes a hole

struct unpack {
    struct pyb_ctx *ctx;
    const char *path;
    int in, out;
    uint64_t in_at, out_at, written, max_written;
    uint8_t *in_buf, *out_buf; // CHUNK bytes each
};

static int fail_corrupt(const struct unpack *u, const char *why, struct pyb_error *err)
{
    return pyb_fail(err, PYB_E_CORRUPT, "%s is a damaged archive: %s after %" PRIu64 " bytes of it", u->path,
                    why ? why : "bad data", u->in_at);
}

// The next bytes of the archive; 0 at its end.
static size_t read_chunk(struct unpack *u)
{
    size_t n = pyb_core_pread(u->in, u->in_buf, CHUNK, u->in_at);
    u->in_at += n;
    return n;
}

static bool is_zero(const uint8_t *data, size_t n)
{
    return data[0] == 0 && memcmp(data, data + 1, n - 1) == 0;
}

static int write_block(struct unpack *u, const uint8_t *data, size_t n, struct pyb_error *err)
{
    if (is_zero(data, n)) {
        u->out_at += n;
        return 0;
    }
    if (n > u->max_written - u->written)
        return pyb_fail(err, PYB_E_LIMIT,
                        "%s does not fit into the temporary folder: %" PRIu64 " bytes are free", u->path,
                        u->max_written);
    for (size_t done = 0; done < n;) {
        ssize_t k = pwrite(u->out, data + done, n - done, (off_t)(u->out_at + done));
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return pyb_fail_errno(err, k < 0 ? errno : EIO, "unpacking %s", u->path);
        done += (size_t)k;
    }
    u->out_at += n;
    u->written += n;
    return 0;
}

static int write_out(struct unpack *u, size_t n, struct pyb_error *err)
{
    int rc = pyb_ctx_check(u->ctx, err);
    if (n > MAX_UNPACKED - u->out_at)
        return pyb_fail(err, PYB_E_LIMIT, "%s unpacks to more than %" PRIu64 " bytes", u->path,
                        (uint64_t)MAX_UNPACKED);
    for (size_t at = 0; at < n && rc == 0;) {
        size_t k = n - at < BLOCK ? n - at : BLOCK;
        rc = write_block(u, u->out_buf + at, k, err);
        at += k;
    }
    return rc;
}

// gzip: one member after another, as gzip(1) reads them.
static int unpack_gzip(struct unpack *u, struct pyb_error *err)
{
    z_stream z = {0};
    if (inflateInit2(&z, 15 + 16) != Z_OK)
        return pyb_fail(err, PYB_E_NOMEM, "no memory to unpack %s", u->path);
    int rc = 0, status = Z_OK;
    while (rc == 0) {
        if (z.avail_in == 0) {
            z.next_in = u->in_buf;
            z.avail_in = (uInt)read_chunk(u);
            if (z.avail_in == 0) {
                if (status != Z_STREAM_END)
                    rc = fail_corrupt(u, "it ends early", err);
                break;
            }
        }
        if (status == Z_STREAM_END && inflateReset(&z) != Z_OK) {
            rc = fail_corrupt(u, z.msg, err);
            break;
        }
        z.next_out = u->out_buf;
        z.avail_out = CHUNK;
        status = inflate(&z, Z_NO_FLUSH);
        if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
            rc = fail_corrupt(u, z.msg, err);
        else
            rc = write_out(u, CHUNK - z.avail_out, err);
    }
    (void)inflateEnd(&z);
    return rc;
}

#ifdef PYB_HAVE_ZSTD
static int unpack_zstd(struct unpack *u, struct pyb_error *err)
{
    ZSTD_DStream *z = ZSTD_createDStream();
    if (!z)
        return pyb_fail(err, PYB_E_NOMEM, "no memory to unpack %s", u->path);
    int rc = 0;
    size_t status = 1; // 0: at the end of a frame
    ZSTD_inBuffer in = {.src = u->in_buf};
    while (rc == 0) {
        if (in.pos == in.size) {
            in.size = read_chunk(u);
            in.pos = 0;
        }
        ZSTD_outBuffer out = {.dst = u->out_buf, .size = CHUNK};
        if (in.size == 0 && status == 0)
            break;
        size_t before = in.size;
        status = ZSTD_decompressStream(z, &out, &in);
        if (ZSTD_isError(status))
            rc = fail_corrupt(u, ZSTD_getErrorName(status), err);
        else
            rc = write_out(u, out.pos, err);
        if (rc == 0 && before == 0 && out.pos == 0 && status != 0)
            rc = fail_corrupt(u, "it ends early", err);
    }
    (void)ZSTD_freeDStream(z);
    return rc;
}
#endif

static int open_temporary(void)
{
    const char *candidates[] = {secure_getenv("TMPDIR"), "/var/tmp", "/tmp"};
    for (size_t i = 0; i < sizeof(candidates) / sizeof(candidates[0]); i++) {
        if (!candidates[i] || !candidates[i][0])
            continue;
        int fd = open(candidates[i], O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
        if (fd >= 0)
            return fd;
    }
    char name[] = "/tmp/pybraid-core-XXXXXX"; // a file system without O_TMPFILE
    int fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        (void)unlink(name);
    return fd;
}

static uint64_t free_bytes(int fd)
{
    struct statvfs st;
    if (fstatvfs(fd, &st) != 0)
        return MAX_UNPACKED;
    uint64_t bytes = (uint64_t)st.f_bavail * st.f_frsize;
    return bytes - bytes / 20; // leave others some
}

static int unpack_with(int (*unpack)(struct unpack *, struct pyb_error *), struct unpack *u, int *fd,
                       struct pyb_error *err)
{
    u->out = open_temporary();
    if (u->out < 0) {
        (void)pyb_fail_errno(err, errno, "a temporary file to unpack %s", u->path);
        return pyb_remedy(err, "set TMPDIR to a folder with free space");
    }
    u->max_written = free_bytes(u->out);
    u->in_buf = pyb_alloc(u->ctx, CHUNK);
    u->out_buf = pyb_alloc(u->ctx, CHUNK);
    int rc = u->in_buf && u->out_buf ? unpack(u, err)
                                     : pyb_fail(err, PYB_E_NOMEM, "no memory to unpack %s", u->path);
    pyb_free(u->ctx, u->in_buf);
    pyb_free(u->ctx, u->out_buf);
    if (rc == 0 && ftruncate(u->out, (off_t)u->out_at) != 0) // holes at the end
        rc = pyb_fail_errno(err, errno, "unpacking %s", u->path);
    (void)close(rc ? u->out : *fd);
    if (rc == 0)
        *fd = u->out;
    else if (rc == PYB_E_LIMIT)
        (void)pyb_remedy(err, "set TMPDIR to a folder with more free space, or unpack it by hand");
    return rc;
}

struct format {
    const char *magic;
    size_t len;
    const char *name, *suffix, *command;
    int (*unpack)(struct unpack *u, struct pyb_error *err);
};

static const struct format formats[] = {
    {"\x1f\x8b", 2, "gzip", ".gz", "gzip -dc", unpack_gzip},
#ifdef PYB_HAVE_ZSTD
    {"\x28\xb5\x2f\xfd", 4, "zstd", ".zst", "zstd -dc", unpack_zstd},
#else
    {"\x28\xb5\x2f\xfd", 4, "zstd", ".zst", "zstd -dc", NULL},
#endif
    {"\x04\x22\x4d\x18", 4, "lz4", ".lz4", "lz4 -dc", NULL},
    {"\xfd\x37zXZ", 5, "xz", ".xz", "xz -dc", NULL},
    {"BZh", 3, "bzip2", ".bz2", "bzip2 -dc", NULL},
};

static int fail_unsupported(const struct format *f, const char *path, struct pyb_error *err)
{
    (void)pyb_fail(err, PYB_E_UNSUPPORTED, "%s is compressed with %s, which this build cannot unpack", path,
                   f->name);
    size_t len = strlen(path), suffix = strlen(f->suffix);
    bool named = len > suffix && strcmp(path + len - suffix, f->suffix) == 0;
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    int base_len = (int)(strlen(base) - (named ? suffix : 0));
    if (strchr(path, '\'')) // cannot be quoted simply
        return pyb_remedy(err, "unpack it with `%s`", f->command);
    return pyb_remedy(err, "%s '%s' > '%.*s%s'", f->command, path, base_len > 255 ? 255 : base_len, base,
                      named ? "" : ".unpacked");
}

int pyb_core_unpack(struct pyb_ctx *ctx, int *fd, const char *path, struct pyb_error *err)
{
    uint8_t magic[8] = {0};
    size_t got = pyb_core_pread(*fd, magic, sizeof(magic), 0);
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        const struct format *f = &formats[i];
        if (got < f->len || memcmp(magic, f->magic, f->len) != 0)
            continue;
        struct unpack u = {.ctx = ctx, .path = path, .in = *fd};
        return f->unpack ? unpack_with(f->unpack, &u, fd, err) : fail_unsupported(f, path, err);
    }
    return 0;
}
