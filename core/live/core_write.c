// SPDX-License-Identifier: Apache-2.0
#ifdef __linux__
#include "live/core_write.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "live/task.h"
#include "memory/corefile_internal.h"

#define PIECE (1u << 20)
#define ROUNDS 20             // of looking for threads that were started while others were being stopped
#define PRESENT (3ull << 62)  // pagemap: in memory, or swapped out

struct writer {
    struct pyb_ctx *ctx;
    struct pyb_arena arena;
    int32_t pid;
    uint16_t machine;
    int mem, pagemap, out;
    uint64_t page;
    struct pyb_stopper *stopper;
    struct pyb_core_writer_thread *threads;
    size_t n_threads;
    struct pyb_core_area *areas;
    size_t n_areas;
    struct pyb_buf notes;
    uint8_t *piece;
    uint64_t *present;        // pagemap of a piece
};

static int open_files(struct writer *w, struct pyb_error *err)
{
    char path[48];
    Elf64_Ehdr header = {0};
    (void)snprintf(path, sizeof(path), "/proc/%d/exe", w->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return pyb_fail_errno(err, errno, "%s", path);
    (void)pyb_core_pread(fd, &header, sizeof(header), 0);
    (void)close(fd);
    w->machine = header.e_machine;
    if (sizeof(void *) != 8 || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64)
        return pyb_fail(err, PYB_E_UNSUPPORTED, "cores can be written of 64-bit processes only; process %d is none", w->pid);
    (void)snprintf(path, sizeof(path), "/proc/%d/mem", w->pid);
    w->mem = open(path, O_RDONLY | O_CLOEXEC);
    if (w->mem < 0)
        return pyb_fail_errno(err, errno, "%s", path);
    (void)snprintf(path, sizeof(path), "/proc/%d/pagemap", w->pid);
    w->pagemap = open(path, O_RDONLY | O_CLOEXEC); // without it, all is read
    return 0;
}

static bool knows(const struct writer *w, int32_t tid)
{
    for (size_t i = 0; i < w->n_threads; i++) {
        if (w->threads[i].tid == tid)
            return true;
    }
    return false;
}

// One that ends meanwhile is left out; one that does not stop is there without most of its registers.
static int stop_thread(struct writer *w, int32_t tid, struct pyb_error *err)
{
    struct pyb_core_writer_thread *t = &w->threads[w->n_threads];
    *t = (struct pyb_core_writer_thread){.tid = tid};
    int rc = pyb_stop(w->stopper, tid, &t->regs, err);
    if (rc == PYB_E_GONE)
        return 0;
    if (rc != 0 && rc != PYB_E_LIMIT)
        return rc;
    t->stopped = rc == 0;
    w->n_threads++;
    return t->stopped ? pyb_stop_stay(w->stopper, err) : 0;
}

static int stop_all(struct writer *w, struct pyb_error *err)
{
    for (int round = 0; round < ROUNDS; round++) {
        int32_t *tids;
        size_t n, before = w->n_threads;
        int rc = pyb_tasks_list(w->ctx, w->pid, &w->arena, &tids, &n, err);
        if (rc != 0)
            return rc;
        struct pyb_core_writer_thread *all = pyb_arena_array(&w->arena, before + n + 1, sizeof(*all));
        if (!all)
            return pyb_fail(err, PYB_E_NOMEM, "no memory for %zu threads", n);
        if (before)
            memcpy(all, w->threads, before * sizeof(*all));
        w->threads = all;
        for (size_t i = 0; rc == 0 && i < n; i++) {
            if (!knows(w, tids[i]))
                rc = stop_thread(w, tids[i], err);
        }
        if (rc != 0)
            return rc;
        if (w->n_threads == before)
            return 0;
    }
    return pyb_fail(err, PYB_E_LIMIT, "process %d starts threads faster than they can be stopped", w->pid);
}

static int write_at(int fd, const void *data, size_t len, uint64_t offset, struct pyb_error *err)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = pwrite(fd, p, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return pyb_fail_errno(err, n < 0 ? errno : EIO, "writing the core file");
        p += n;
        len -= (size_t)n;
        offset += (size_t)n;
    }
    return 0;
}

static bool is_zero(const uint8_t *p, size_t len)
{
    return len == 0 || (p[0] == 0 && memcmp(p, p + 1, len - 1) == 0);
}

// Pages that hold something, in runs; the others stay holes.
static int write_pages(const struct writer *w, size_t len, uint64_t offset, struct pyb_error *err)
{
    int rc = 0;
    size_t page = (size_t)w->page, begin = 0;
    for (size_t at = 0; rc == 0 && at <= len; at += page) {
        if (at < len && !is_zero(w->piece + at, len - at < page ? len - at : page))
            continue;
        if (at > begin)
            rc = write_at(w->out, w->piece + begin, at - begin, offset + begin, err);
        begin = at + page;
    }
    return rc;
}

// Whether no page of the piece was ever there: then it is not read, which would map pages of zeros into the process.
static bool is_absent(const struct writer *w, const struct pyb_core_area *a, pyb_addr addr, size_t len)
{
    size_t n = len / (size_t)w->page;
    if (!a->sparse || w->pagemap < 0 ||
        pyb_core_pread(w->pagemap, w->present, n * sizeof(*w->present), addr / w->page * 8) != n * sizeof(*w->present))
        return false;
    for (size_t i = 0; i < n; i++) {
        if (w->present[i] & PRESENT)
            return false;
    }
    return true;
}

// What cannot be read becomes zeros, page by page.
static void read_piece(const struct writer *w, pyb_addr addr, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(w->mem, w->piece + done, len - done, (off_t)(addr + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n > 0) {
            done += (size_t)n;
            continue;
        }
        size_t left = (size_t)(w->page - (addr + done) % w->page);
        left = left < len - done ? left : len - done;
        memset(w->piece + done, 0, left);
        done += left;
    }
}

static int write_area(const struct writer *w, const struct pyb_core_area *a, uint64_t offset, struct pyb_error *err)
{
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && at < a->dumped; at += PIECE) {
        size_t len = a->dumped - at < PIECE ? (size_t)(a->dumped - at) : PIECE;
        if (is_absent(w, a, a->start + at, len))
            continue;
        read_piece(w, a->start + at, len);
        rc = write_pages(w, len, offset + at, err);
        if (rc == 0)
            rc = pyb_stop_stay(w->stopper, err);
        if (rc == 0)
            rc = pyb_ctx_check(w->ctx, err);
    }
    return rc;
}

static uint64_t align(uint64_t value, uint64_t to)
{
    return (value + to - 1) / to * to;
}

// Header, program headers, with 65535 or more of them a section header that has their number, and the notes.
static int write_head(const struct writer *w, uint64_t data, struct pyb_error *err)
{
    size_t n = w->n_areas + 1;
    uint64_t notes = sizeof(Elf64_Ehdr) + n * sizeof(Elf64_Phdr) + sizeof(Elf64_Shdr);
    Elf64_Ehdr header = {.e_type = ET_CORE, .e_machine = w->machine, .e_version = EV_CURRENT, .e_phoff = sizeof(header),
                         .e_ehsize = sizeof(header), .e_phentsize = sizeof(Elf64_Phdr),
                         .e_phnum = n >= PN_XNUM ? PN_XNUM : (Elf64_Half)n};
    Elf64_Shdr extra = {.sh_type = SHT_NULL, .sh_size = 1, .sh_info = (Elf64_Word)n};
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? ELFDATA2MSB : ELFDATA2LSB;
    header.e_ident[EI_VERSION] = EV_CURRENT;
    if (n >= PN_XNUM) {
        header.e_shoff = notes - sizeof(extra);
        header.e_shentsize = sizeof(extra);
        header.e_shnum = 1;
    }
    Elf64_Phdr ph = {.p_type = PT_NOTE, .p_offset = notes, .p_filesz = w->notes.len, .p_align = 4};
    struct pyb_buf head;
    pyb_buf_init(&head, w->ctx, 0);
    pyb_buf_add(&head, &header, sizeof(header));
    pyb_buf_add(&head, &ph, sizeof(ph));
    for (size_t i = 0; i < w->n_areas; i++) {
        const struct pyb_core_area *a = &w->areas[i];
        ph = (Elf64_Phdr){.p_type = PT_LOAD, .p_flags = a->flags, .p_offset = data, .p_vaddr = a->start, .p_filesz = a->dumped,
                          .p_memsz = a->end - a->start, .p_align = w->page};
        pyb_buf_add(&head, &ph, sizeof(ph));
        data += a->dumped;
    }
    pyb_buf_add(&head, &extra, sizeof(extra));
    pyb_buf_add(&head, w->notes.data, w->notes.len);
    int rc = head.failed ? pyb_fail(err, PYB_E_NOMEM, "no memory for %zu program headers", n)
                         : write_at(w->out, head.data, head.len, 0, err);
    pyb_buf_deinit(&head);
    return rc;
}

static int write_all(const struct writer *w, struct pyb_error *err)
{
    uint64_t head = sizeof(Elf64_Ehdr) + (w->n_areas + 1) * sizeof(Elf64_Phdr) + sizeof(Elf64_Shdr) + w->notes.len;
    uint64_t data = align(head, w->page);
    int rc = write_head(w, data, err);
    for (size_t i = 0; rc == 0 && i < w->n_areas; i++) {
        rc = write_area(w, &w->areas[i], data, err);
        data += w->areas[i].dumped;
    }
    if (rc == 0 && ftruncate(w->out, (off_t)data) != 0)
        rc = pyb_fail_errno(err, errno, "writing the core file");
    return rc;
}

static int collect(struct writer *w, struct pyb_error *err)
{
    int rc = open_files(w, err);
    if (rc == 0)
        rc = pyb_stopper_new(w->ctx, w->pid, &w->stopper, err);
    if (rc == 0)
        rc = stop_all(w, err);
    if (rc == 0)
        rc = pyb_core_areas(w->ctx, w->pid, w->mem, w->stopper, &w->arena, &w->areas, &w->n_areas, err);
    if (rc == 0)
        rc = pyb_core_notes(&w->notes, w->pid, w->machine, w->threads, w->n_threads, w->areas, w->n_areas, err);
    w->piece = pyb_arena_alloc(&w->arena, PIECE);
    w->present = pyb_arena_array(&w->arena, PIECE / (size_t)w->page, sizeof(*w->present));
    if (rc == 0 && (!w->piece || !w->present))
        rc = pyb_fail(err, PYB_E_NOMEM, "no memory to write a core file");
    return rc;
}

// Under another name until it is whole, so that a core is never half a core.
static int write_file(struct writer *w, const char *path, struct pyb_error *err)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
        return pyb_fail(err, PYB_E_USAGE, "%s: the name is too long", path);
    w->out = mkostemp(temporary, O_CLOEXEC); // readable for us only: it holds whatever the process knows
    if (w->out < 0)
        return pyb_fail_errno(err, errno, "%s", path);
    int rc = write_all(w, err);
    if (close(w->out) != 0 && rc == 0)
        rc = pyb_fail_errno(err, errno, "writing the core file");
    if (rc == 0 && rename(temporary, path) != 0)
        rc = pyb_fail_errno(err, errno, "%s", path);
    if (rc != 0)
        (void)unlink(temporary);
    return rc;
}

int pyb_core_write(struct pyb_ctx *ctx, int32_t pid, const char *path, struct pyb_error *err)
{
    struct writer w = {.ctx = ctx, .pid = pid, .mem = -1, .pagemap = -1, .out = -1, .page = (uint64_t)sysconf(_SC_PAGESIZE)};
    pyb_arena_init(&w.arena, ctx);
    pyb_buf_init(&w.notes, ctx, 0);
    int rc = collect(&w, err);
    if (rc == 0)
        rc = write_file(&w, path, err);
    pyb_stopper_free(w.stopper);
    if (w.mem >= 0)
        (void)close(w.mem);
    if (w.pagemap >= 0)
        (void)close(w.pagemap);
    pyb_buf_deinit(&w.notes);
    pyb_arena_deinit(&w.arena);
    return rc;
}
#endif
