// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "memory/corefile_internal.h"

#define PAGE 4096u

// Index of the first backing that ends above addr.
static size_t find_backing(const struct pyb_core *c, pyb_addr addr)
{
    size_t low = 0, high = c->n_backings;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (c->backings[mid].end <= addr)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

size_t pyb_core_read_backing(const struct pyb_core *c, pyb_addr addr, void *buf, size_t len)
{
    size_t i = find_backing(c, addr);
    if (i == c->n_backings || addr < c->backings[i].start)
        return 0;
    const struct pyb_core_backing *b = &c->backings[i];
    const struct pyb_core_file *f = &c->files[b->file];
    if (len > b->end - addr)
        len = (size_t)(b->end - addr);
    uint64_t offset = b->offset + (addr - b->start);
    size_t got = pyb_core_pread(f->fd, buf, len, offset);
    // A mapping shows zeros between the end of the file and the end of that page.
    uint64_t at = offset + got;
    if (got < len && at >= f->size && at % PAGE != 0 && at - f->size < PAGE && at / PAGE == f->size / PAGE) {
        size_t zeros = PAGE - (size_t)(at % PAGE);
        if (zeros > len - got)
            zeros = len - got;
        memset((char *)buf + got, 0, zeros);
        got += zeros;
    }
    return got;
}

void pyb_core_close_backings(struct pyb_core *c)
{
    for (size_t i = 0; i < c->n_files; i++)
        (void)close(c->files[i].fd);
    pyb_free(c->base.ctx, c->files);
    pyb_free(c->base.ctx, c->backings);
}

// Room for one more element; *array may move.
static bool make_room(struct pyb_ctx *ctx, void **array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return true;
    size_t fresh_cap = *cap ? *cap * 2 : 32;
    void *fresh = pyb_realloc(ctx, *array, *cap * size, fresh_cap * size);
    if (!fresh)
        return false;
    *array = fresh;
    *cap = fresh_cap;
    return true;
}

// One descriptor for each file, however many mappings it has: a debugger has 1024 of them for itself.
static int hold_file(struct pyb_core *c, int fd, size_t *ret, struct pyb_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return pyb_fail_errno(err, errno, "a mapped file");
    if (!S_ISREG(st.st_mode))
        return pyb_fail(err, PYB_E_USAGE, "a mapped file must be a regular file");
    for (*ret = 0; *ret < c->n_files; ++*ret)
        if (c->files[*ret].dev == st.st_dev && c->files[*ret].ino == st.st_ino)
            return 0;
    void *files = c->files;
    bool room = make_room(c->base.ctx, &files, c->n_files, &c->cap_files, sizeof(*c->files));
    c->files = files;
    if (!room)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for a mapped file");
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return pyb_fail_errno(err, errno, "duplicating the descriptor of a mapped file");
    c->files[c->n_files++] =
        (struct pyb_core_file){.fd = copy, .dev = st.st_dev, .ino = st.st_ino, .size = (uint64_t)st.st_size};
    return 0;
}

int pyb_core_back(struct pyb_memory *core, pyb_addr start, pyb_addr end, int fd, uint64_t offset,
                  struct pyb_error *err)
{
    struct pyb_core *c = (struct pyb_core *)core;
    uint64_t file_end;
    if (!pyb_core_facts(core))
        return pyb_fail(err, PYB_E_USAGE, "only a core can be backed by files");
    if (start >= end || __builtin_add_overflow(offset, end - start, &file_end) || file_end > INT64_MAX)
        return pyb_fail_at(err, PYB_E_USAGE, start, end - start, "a mapping of 0x%" PRIx64 " to 0x%" PRIx64,
                           start, end);
    size_t i = find_backing(c, start);
    if (i < c->n_backings && c->backings[i].start < end)
        return pyb_fail_at(err, PYB_E_USAGE, start, end - start,
                           "0x%" PRIx64 " to 0x%" PRIx64 " is backed by a file already", start, end);
    size_t file = 0;
    int rc = hold_file(c, fd, &file, err);
    if (rc)
        return rc;
    void *backings = c->backings;
    bool room = make_room(c->base.ctx, &backings, c->n_backings, &c->cap_backings, sizeof(*c->backings));
    c->backings = backings;
    if (!room)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for a mapping");
    memmove(&c->backings[i + 1], &c->backings[i], (c->n_backings - i) * sizeof(*c->backings));
    c->backings[i] = (struct pyb_core_backing){.start = start, .end = end, .file = file, .offset = offset};
    c->n_backings++;
    return 0;
}
