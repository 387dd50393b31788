// SPDX-License-Identifier: Apache-2.0
// What of each mapping a core has: vma_dump_size() of the kernel's fs/coredump.c with the default filter 0x33, as far as
// /proc/PID/smaps tells.
#ifdef __linux__
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "live/core_write.h"
#include "symbols/maps.h"

#define MAX_TEXT (512u << 20) // a process has at most vm.max_map_count mappings, 65530 unless raised
#define PIECE (64u << 10)

static int read_all(struct pyb_ctx *ctx, int fd, struct pyb_stopper *stopper, struct pyb_buf *ret, struct pyb_error *err)
{
    char *piece = pyb_alloc(ctx, PIECE);
    if (!piece)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for the list of mappings");
    int rc = 0;
    ssize_t n;
    while (rc == 0 && (n = read(fd, piece, PIECE)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = pyb_fail_errno(err, errno, "the list of mappings");
            break;
        }
        pyb_buf_add(ret, piece, (size_t)n);
        rc = pyb_stop_stay(stopper, err);
    }
    pyb_free(ctx, piece);
    if (rc == 0 && (ret->failed || ret->limited))
        rc = pyb_fail(err, PYB_E_NOMEM, "no memory for the list of mappings");
    return rc;
}

// A mapping and the lines below it.
struct facts {
    struct pyb_maps_line line;
    uint64_t own_kb;              // pages that are not the file's any more, in memory or swapped out
    bool not_dumped, huge;        // VmFlags
};

static bool is_header(const char *line)
{
    size_t hex = strspn(line, "0123456789abcdef");
    return hex > 0 && line[hex] == '-'; // "VmFlags", "Rss", ... have a colon
}

static bool has_flag(const char *line, size_t len, const char *flag)
{
    for (size_t i = strlen("VmFlags:"); i + 3 <= len; i += 3) {
        if (line[i] == ' ' && memcmp(line + i + 1, flag, 2) == 0)
            return true;
    }
    return false;
}

static void add_fact(struct facts *f, const char *line, size_t len)
{
    if (strncmp(line, "Anonymous:", 10) == 0)
        f->own_kb += strtoull(line + 10, NULL, 10);
    else if (strncmp(line, "Swap:", 5) == 0)
        f->own_kb += strtoull(line + 5, NULL, 10);
    else if (strncmp(line, "VmFlags:", 8) == 0) {
        f->not_dumped = has_flag(line, len, "dd") || has_flag(line, len, "io");
        f->huge = has_flag(line, len, "ht");
    }
}

static bool is_named(const struct pyb_maps_line *l, const char *name)
{
    return l->path_len == strlen(name) && memcmp(l->path, name, l->path_len) == 0;
}

static bool is_elf(int mem, pyb_addr addr)
{
    char magic[SELFMAG];
    return pread(mem, magic, sizeof(magic), (off_t)addr) == sizeof(magic) && memcmp(magic, ELFMAG, SELFMAG) == 0;
}

static uint64_t dumped_of(const struct facts *f, int mem, uint64_t page)
{
    const struct pyb_maps_line *l = &f->line;
    uint64_t whole = l->end - l->start;
    bool deleted;
    if (is_named(l, "[vdso]"))
        return whole;
    if (f->not_dumped || is_named(l, "[vsyscall]") || is_named(l, "[vvar]") || is_named(l, "[vvar_vclock]"))
        return 0;
    (void)pyb_maps_strip_deleted(l->path, l->path_len, &deleted);
    if (!l->is_private)
        return deleted && !f->huge ? whole : 0; // of a file that has no name: anonymous shared memory
    if (f->own_kb > 0)
        return whole;
    return l->inode != 0 && l->offset == 0 && l->r && is_elf(mem, l->start) ? page : 0;
}

static int add_area(const struct facts *f, int mem, uint64_t page, struct pyb_arena *arena, struct pyb_core_area *ret,
                    struct pyb_error *err)
{
    const struct pyb_maps_line *l = &f->line;
    *ret = (struct pyb_core_area){
        .start = l->start,
        .end = l->end,
        .dumped = dumped_of(f, mem, page),
        .file_offset = l->offset,
        .flags = (l->r ? PF_R : 0u) | (l->w ? PF_W : 0u) | (l->x ? PF_X : 0u),
        .sparse = l->is_private && l->inode == 0 && !f->huge,
    };
    if (l->inode == 0)
        return 0;
    char *path = pyb_arena_strndup(arena, l->path, l->path_len);
    if (!path)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for the names of mappings");
    path[pyb_maps_unescape(path, l->path_len)] = '\0';
    ret->path = path;
    return 0;
}

// Calls for each mapping once all its lines are read. `ret` NULL: only counts.
static int parse(const char *text, size_t len, int mem, struct pyb_arena *arena, struct pyb_core_area *ret, size_t *ret_n,
                 struct pyb_error *err)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    struct facts f = {0};
    bool open = false;
    int rc = 0;
    *ret_n = 0;
    for (size_t at = 0; rc == 0 && at <= len;) {
        const char *line = text + at, *end = at < len ? memchr(line, '\n', len - at) : NULL;
        size_t line_len = end ? (size_t)(end - line) : len - at;
        if (open && (at == len || is_header(line))) {
            if (ret)
                rc = add_area(&f, mem, page, arena, &ret[*ret_n], err);
            ++*ret_n;
            open = false;
        }
        if (at == len)
            break;
        size_t pos = 0;
        if (is_header(line)) {
            f = (struct facts){0};
            open = pyb_maps_next(line, line_len + (end ? 1 : 0), &pos, &f.line) == 1;
        } else if (open) {
            add_fact(&f, line, line_len);
        }
        at += line_len + (end ? 1 : 0);
    }
    return rc;
}

int pyb_core_areas(struct pyb_ctx *ctx, int32_t pid, int mem, struct pyb_stopper *stopper, struct pyb_arena *arena,
                   struct pyb_core_area **ret, size_t *ret_n, struct pyb_error *err)
{
    char path[48];
    (void)snprintf(path, sizeof(path), "/proc/%d/smaps", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return pyb_fail_errno(err, errno, "%s", path);
    struct pyb_buf text;
    pyb_buf_init(&text, ctx, MAX_TEXT);
    int rc = read_all(ctx, fd, stopper, &text, err);
    (void)close(fd);
    if (rc == 0)
        rc = parse(pyb_buf_str(&text), text.len, mem, arena, NULL, ret_n, err);
    if (rc == 0 && *ret_n == 0)
        rc = pyb_fail(err, PYB_E_GONE, "process %d has no memory: it has ended", pid);
    if (rc == 0) {
        *ret = pyb_arena_array(arena, *ret_n, sizeof(**ret));
        rc = *ret ? parse(pyb_buf_str(&text), text.len, mem, arena, *ret, ret_n, err)
                  : pyb_fail(err, PYB_E_NOMEM, "no memory for %zu mappings", *ret_n);
    }
    pyb_buf_deinit(&text);
    return rc;
}
#endif
