// SPDX-License-Identifier: Apache-2.0
//
// Which process it is: a pid may be given to somebody else once the process has been reaped. /proc/PID opened
// as a directory and a pidfd stay bound to the process that had the pid at that moment. process_vm_readv()
// takes a number, so after a read the pidfd is asked whether the process still lives; that costs a system
// call, hence only when the last answer is older than CHECK_NS. A pid comes round again after as many forks
// as there are pids (32768 at least on any usual system): not within that time.
#include "memory/live.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "memory/readers.h"

#define PAGE 4096u
#define CHECK_NS 5000000u
#define MAX_BATCH_BYTES ((size_t)1 << 30) // the kernel moves less than 2 GiB in one call
#ifndef IOV_MAX
#define IOV_MAX 1024
#endif

struct live {
    struct pyb_memory base;
    struct pyb_live_process process;
    int32_t tid; // whose address space: the process, or a thread of it when the first one has ended
    int pidfd;   // -1: not there (before Linux 5.3)
    int mem_fd;  // /proc/PID/mem; -1: process_vm_readv() does
    uint64_t checked_ns;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_MONOTONIC, &t) != 0)
        return UINT64_MAX;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int fail_gone(const struct live *l, struct pyb_error *err)
{
    return pyb_fail(err, PYB_E_GONE, "process %d has ended", l->process.pid);
}

static bool is_alive(struct live *l)
{
    l->checked_ns = now_ns();
    if (l->pidfd >= 0) {
        struct pollfd p = {.fd = l->pidfd, .events = POLLIN};
        int n = poll(&p, 1, 0);
        return n == 0 || (n < 0 && errno == EINTR);
    }
    return pyb_live_thread(&l->process) != 0;
}

static int check_alive(struct live *l, bool failed, struct pyb_error *err)
{
    if (!failed && now_ns() - l->checked_ns < CHECK_NS)
        return 0;
    return is_alive(l) ? 0 : fail_gone(l, err);
}

static int open_mem(struct live *l)
{
    int fd = openat(l->process.dir_fd, "mem", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    if (l->mem_fd >= 0)
        (void)close(l->mem_fd);
    l->mem_fd = fd;
    return 0;
}

// One read of one range from r->done on. Returns an errno, or 0 with *ret bytes (0: nothing readable there).
static int mem_read(struct live *l, struct pyb_range *r, size_t want, size_t *ret)
{
    *ret = 0;
    uint64_t at = r->addr + r->done;
    if (at > INT64_MAX)
        return 0;
    for (int attempt = 0; attempt < 2; attempt++) {
        ssize_t n = pread(l->mem_fd, (char *)r->buf + r->done, want, (off_t)at);
        if (n > 0) {
            *ret = (size_t)n;
            return 0;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EIO || errno == EFAULT || errno == EINVAL ? 0 : errno;
        // 0 bytes: the address space is no more, it ended or ran another program.
        int e = open_mem(l);
        if (e)
            return e;
    }
    return 0;
}

static int vm_read(struct live *l, struct pyb_range *r, size_t want, size_t *ret)
{
    struct iovec local = {.iov_base = (char *)r->buf + r->done, .iov_len = want};
    struct iovec remote = {.iov_base = (void *)(uintptr_t)(r->addr + r->done), .iov_len = want};
    ssize_t n = process_vm_readv(l->tid, &local, 1, &remote, 1, 0);
    *ret = n > 0 ? (size_t)n : 0;
    return n < 0 && errno != EFAULT ? errno : 0;
}

static int read_once(struct live *l, struct pyb_range *r, size_t want, size_t *ret)
{
    if (l->mem_fd >= 0)
        return mem_read(l, r, want, ret);
    return vm_read(l, r, want, ret);
}

// What is left of a range whose read came short: up to the next page's end at a time, until nothing comes.
static int read_pagewise(struct live *l, struct pyb_range *r)
{
    while (r->done < r->len) {
        size_t want = PAGE - (size_t)((r->addr + r->done) % PAGE);
        if (want > r->len - r->done)
            want = r->len - r->done;
        size_t got;
        int e = read_once(l, r, want, &got);
        r->done += got;
        if (e || got < want)
            return e;
    }
    return 0;
}

static int read_range_by_mem(struct live *l, struct pyb_range *r)
{
    while (r->done < r->len) {
        size_t want = r->len - r->done < MAX_BATCH_BYTES ? r->len - r->done : MAX_BATCH_BYTES;
        size_t got;
        int e = mem_read(l, r, want, &got);
        r->done += got;
        if (e)
            return e;
        if (got < want)
            return read_pagewise(l, r);
    }
    return 0;
}

// Neighbours in the target become one remote stretch, whatever the buffers: the kernel's work is for each stretch
// and page, hardly for bytes.
static size_t fill_batch(struct pyb_range *ranges, size_t n, struct iovec *local, struct iovec *remote,
                         size_t *ret_remote)
{
    size_t total = 0, k = 0, m = 0;
    pyb_addr end = 0;
    for (; k < n && k < IOV_MAX && total < MAX_BATCH_BYTES; k++) {
        struct pyb_range *r = &ranges[k];
        size_t want = r->len - r->done;
        if (want > MAX_BATCH_BYTES - total)
            want = MAX_BATCH_BYTES - total;
        local[k] = (struct iovec){.iov_base = (char *)r->buf + r->done, .iov_len = want};
        pyb_addr at = r->addr + r->done;
        if (m > 0 && at == end)
            remote[m - 1].iov_len += want;
        else
            remote[m++] = (struct iovec){.iov_base = (void *)(uintptr_t)at, .iov_len = want};
        end = at + want;
        total += want;
    }
    *ret_remote = m;
    return k;
}

// One process_vm_readv for up to IOV_MAX ranges. *ret: how many ranges are dealt with. Returns an errno.
static int read_batch(struct live *l, struct pyb_range *ranges, size_t n, size_t *ret)
{
    struct iovec local[IOV_MAX], remote[IOV_MAX];
    size_t m;
    size_t k = fill_batch(ranges, n, local, remote, &m);
    ssize_t got = process_vm_readv(l->tid, local, k, remote, m, 0);
    *ret = 0;
    if (got < 0 && errno != EFAULT)
        return errno;
    size_t left = got > 0 ? (size_t)got : 0;
    size_t i = 0;
    for (; i < k && left >= local[i].iov_len; i++) {
        ranges[i].done += local[i].iov_len;
        left -= local[i].iov_len;
    }
    *ret = i;
    if (i == k) {
        if (ranges[k - 1].done < ranges[k - 1].len)
            *ret = k - 1; // cut by MAX_BATCH_BYTES: goes on
        return 0;
    }
    ranges[i].done += left;
    *ret = i + 1;
    return read_pagewise(l, &ranges[i]);
}

static int fail_live(struct live *l, int e, struct pyb_error *err)
{
    if (e == ESRCH || !is_alive(l))
        return fail_gone(l, err);
    if (e == EPERM || e == EACCES) {
        (void)pyb_fail_errno(err, e, "reading the memory of process %d", l->process.pid);
        return pyb_live_explain_permission(&l->process, err);
    }
    return pyb_fail_errno(err, e, "reading the memory of process %d", l->process.pid);
}

static bool falls_back(int e)
{
    // EPERM: also what a seccomp filter answers; then /proc/PID/mem may do.
    return e == ENOSYS || e == EPERM || e == EACCES;
}

// The thread through which the address space is reached has ended: another one may go on. It lives, so this
// ends.
static bool find_other_thread(struct live *l)
{
    int32_t tid = pyb_live_thread(&l->process);
    bool other = tid != 0 && tid != l->tid;
    if (other)
        l->tid = tid;
    return other;
}

static int live_readv(struct pyb_memory *m, struct pyb_range *ranges, size_t n, struct pyb_error *err)
{
    struct live *l = (struct live *)m;
    bool short_read = false;
    for (size_t i = 0; i < n;) {
        size_t dealt = 1;
        int e = l->mem_fd >= 0 ? read_range_by_mem(l, &ranges[i]) : read_batch(l, ranges + i, n - i, &dealt);
        if (e && l->mem_fd < 0 && falls_back(e) && open_mem(l) == 0)
            continue;
        if (e == ESRCH && find_other_thread(l))
            continue;
        if (e)
            return fail_live(l, e, err);
        for (size_t k = i; k < i + dealt; k++)
            short_read |= ranges[k].done < ranges[k].len;
        i += dealt;
    }
    return check_alive(l, short_read, err);
}

static void live_destroy(struct pyb_memory *m)
{
    struct live *l = (struct live *)m;
    if (l->pidfd >= 0)
        (void)close(l->pidfd);
    if (l->mem_fd >= 0)
        (void)close(l->mem_fd);
    pyb_live_process_deinit(&l->process);
    pyb_free(m->ctx, l);
}

static const struct pyb_memory_ops live_ops = {
    .name = "live process",
    .readv = live_readv,
    .destroy = live_destroy,
};

// Word size, byte order and machine as the executable's header has them; this program's own where it cannot
// be read.
static void find_facts(struct live *l)
{
    struct pyb_memory *m = &l->base;
    uint8_t header[20] = {0};
    int fd = openat(l->process.dir_fd, "exe", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : pread(fd, header, sizeof(header), 0);
    if (fd >= 0)
        (void)close(fd);
    if (n != (ssize_t)sizeof(header) || memcmp(header, ELFMAG, SELFMAG) != 0) {
        fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        n = fd < 0 ? -1 : pread(fd, header, sizeof(header), 0);
        if (fd >= 0)
            (void)close(fd);
    }
    m->ptr_size = n == (ssize_t)sizeof(header) && header[EI_CLASS] == ELFCLASS32 ? 4 : 8;
    m->big_endian = n == (ssize_t)sizeof(header) && header[EI_DATA] == ELFDATA2MSB;
    struct pyb_bytes b = pyb_memory_bytes(m, header, sizeof(header));
    m->machine = pyb_get_u16(&b, offsetof(Elf64_Ehdr, e_machine));
}

// One byte where nothing can be mapped: tells whether reading is allowed without knowing an address.
static int probe(struct live *l, struct pyb_error *err)
{
    uint8_t byte;
    struct pyb_range r = {.addr = UINT64_MAX - PAGE, .buf = &byte, .len = 1};
    return live_readv(&l->base, &r, 1, err);
}

int pyb_live_open(struct pyb_ctx *ctx, int32_t pid, struct pyb_memory **ret, struct pyb_error *err)
{
    *ret = NULL;
    struct live *l = pyb_alloc(ctx, sizeof(*l));
    if (!l)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for a reader");
    l->base = (struct pyb_memory){.ops = &live_ops, .ctx = ctx};
    l->mem_fd = l->pidfd = -1;
    int rc = pyb_live_process_init(&l->process, pid, &l->tid, err);
    if (rc == 0) {
        l->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
        // The pidfd came after the directory: both name one process only if that is still there.
        rc = check_alive(l, true, err);
    }
    if (rc == 0)
        rc = probe(l, err);
    if (rc) {
        live_destroy(&l->base);
        return rc;
    }
    find_facts(l);
    *ret = &l->base;
    return 0;
}
