// SPDX-License-Identifier: Apache-2.0
#ifdef __linux__
#include "live/task.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"

#define SMALL 1024u            // more than `stat` and `syscall` ever have
#define STATUS 4096u
#define TAIL 256u              // the context-switch counts are the last lines of `status`
#define MAX_STATUS (2u << 20)  // with a line of 65536 groups

static int open_task(int32_t pid, int32_t tid, const char *name)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/%s", pid, tid, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

// Up to size - 1 bytes, NUL-terminated. Less than that: the file's end, or nothing more can be read.
static size_t read_fd(int fd, char *buf, size_t size)
{
    size_t done = 0;
    while (done < size - 1) {
        ssize_t n = read(fd, buf + done, size - 1 - done);
        if (n > 0)
            done += (size_t)n;
        else if (n == 0 || errno != EINTR)
            break;
    }
    buf[done] = '\0';
    return done;
}

// 0: not there, not allowed, or ended.
static size_t read_task(int32_t pid, int32_t tid, const char *name, char *buf, size_t size)
{
    int fd = open_task(pid, tid, name);
    if (fd < 0)
        return 0;
    size_t len = read_fd(fd, buf, size);
    (void)close(fd);
    return len;
}

// The n-th (from 0) of the words at `text`, which blanks part; NULL: there are fewer.
static const char *word_at(const char *text, unsigned n)
{
    for (unsigned i = 0; text && i < n; i++) {
        text = strchr(text, ' ');
        text += text ? 1 : 0;
    }
    return text;
}

// "TID (comm) S ppid ...": the name may hold blanks and parentheses, what follows has only numbers.
static bool parse_stat(char *text, struct pyb_task *t)
{
    char *name = strchr(text, '('), *end = strrchr(text, ')');
    if (!name || !end || end < name || end[1] != ' ')
        return false;
    size_t len = (size_t)(end - name - 1);
    if (len >= sizeof(t->comm))
        len = sizeof(t->comm) - 1;
    memcpy(t->comm, name + 1, len);
    t->comm[len] = '\0';
    t->state = end[2];
    const char *utime = word_at(end + 2, 11), *start = word_at(utime, 8);
    if (!start)
        return false;
    char *next;
    t->cpu_ticks = strtoull(utime, &next, 10);
    t->cpu_ticks += strtoull(next, NULL, 10);
    t->start_time = strtoull(start, NULL, 10);
    return true;
}

// The number on the line "\nNAME:\t". The kernel escapes line ends in the process's name.
static bool find_number(const char *text, const char *label, uint64_t *ret)
{
    const char *at = strstr(text, label);
    if (at)
        *ret = strtoull(at + strlen(label), NULL, 10);
    return at != NULL;
}

static void parse_switches(const char *text, struct pyb_task *t)
{
    t->has_switches = find_number(text, "\nvoluntary_ctxt_switches:", &t->switches[0]) &&
                      find_number(text, "\nnonvoluntary_ctxt_switches:", &t->switches[1]);
}

// Mostly one read; a long list of groups in the middle is passed over.
static void read_status(int32_t pid, int32_t tid, struct pyb_task *t)
{
    char text[TAIL + STATUS];
    int fd = open_task(pid, tid, "status");
    if (fd < 0)
        return;
    size_t len = read_fd(fd, text, STATUS);
    uint64_t tracer = 0;
    if (find_number(text, "\nTracerPid:", &tracer) && tracer <= INT32_MAX)
        t->tracer = (int32_t)tracer;
    size_t total = len, full = STATUS - 1;
    while (len == full && total < MAX_STATUS) {
        memmove(text, text + len - TAIL, TAIL);
        len = TAIL + read_fd(fd, text + TAIL, sizeof(text) - TAIL);
        full = sizeof(text) - 1;
        total += len - TAIL;
    }
    parse_switches(text, t);
    (void)close(fd);
}

// "running", "-1 SP PC" (asleep, in no system call) or "NUMBER ARG0 ... ARG5 SP PC".
static bool parse_syscall(const char *text, struct pyb_task *t)
{
    char *at;
    t->syscall = strtoll(text, &at, 10);
    if (at == text)
        return false;
    uint64_t words[8];
    unsigned n = 0;
    for (; n < 8 && *at == ' '; n++) {
        char *begin = at;
        words[n] = strtoull(begin, &at, 16);
        if (at == begin)
            return false;
    }
    if (n != 2 && n != 8)
        return false;
    t->in_syscall = n == 8;
    if (t->in_syscall)
        memcpy(t->args, words, sizeof(t->args));
    t->sp = words[n - 2];
    t->pc = words[n - 1];
    return true;
}

static bool sleeps(char state)
{
    return state != '\0' && strchr("SDTtI", state) != NULL;
}

static void read_wchan(int32_t pid, int32_t tid, struct pyb_task *t)
{
    char text[sizeof(t->wchan)];
    if (read_task(pid, tid, "wchan", text, sizeof(text)) > 0 && strcmp(text, "0") != 0)
        memcpy(t->wchan, text, sizeof(text));
}

// In this order: if it runs in between, the counts are older than the system call, and pyb_task_same() is false.
static bool read_all(int32_t pid, int32_t tid, struct pyb_task *t)
{
    char text[SMALL];
    memset(t, 0, sizeof(*t));
    t->tid = tid;
    if (read_task(pid, tid, "stat", text, sizeof(text)) == 0 || !parse_stat(text, t))
        return false;
    read_status(pid, tid, t);
    if (sleeps(t->state) && read_task(pid, tid, "syscall", text, sizeof(text)) > 0)
        t->asleep = parse_syscall(text, t);
    return true;
}

int pyb_task_read(int32_t pid, int32_t tid, struct pyb_task *ret, struct pyb_error *err)
{
    if (!read_all(pid, tid, ret)) {
        memset(ret, 0, sizeof(*ret));
        ret->tid = tid;
        return pyb_fail(err, PYB_E_GONE, "thread %d of process %d has ended", tid, pid);
    }
    if (ret->state == 'D')
        read_wchan(pid, tid, ret);
    return 0;
}

bool pyb_task_same(int32_t pid, const struct pyb_task *before)
{
    struct pyb_task now;
    if (!before->asleep || !before->has_switches || !read_all(pid, before->tid, &now))
        return false;
    return now.asleep && now.has_switches && now.state == before->state && now.start_time == before->start_time &&
           now.switches[0] == before->switches[0] && now.switches[1] == before->switches[1] &&
           now.in_syscall == before->in_syscall && now.syscall == before->syscall && now.sp == before->sp &&
           now.pc == before->pc && memcmp(now.args, before->args, sizeof(now.args)) == 0;
}

static int compare_tids(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

struct list {
    struct pyb_ctx *ctx;
    int32_t *tids;
    size_t n, cap;
};

static int add_tid(struct list *l, int32_t tid, struct pyb_error *err)
{
    if (l->n == PYB_MAX_TASKS)
        return pyb_fail(err, PYB_E_LIMIT, "more than %u threads", PYB_MAX_TASKS);
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        int32_t *grown = pyb_realloc(l->ctx, l->tids, l->cap * sizeof(*grown), cap * sizeof(*grown));
        if (!grown)
            return pyb_fail(err, PYB_E_NOMEM, "no memory for %zu thread ids", cap);
        l->tids = grown;
        l->cap = cap;
    }
    l->tids[l->n++] = tid;
    return 0;
}

static int read_list(struct list *l, int32_t pid, DIR *dir, struct pyb_error *err)
{
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        long tid = strtol(entry->d_name, NULL, 10);
        if (tid <= 0 || tid > INT32_MAX)
            continue; // "." and ".."
        int rc = pyb_ctx_check(l->ctx, err);
        if (rc == 0)
            rc = add_tid(l, (int32_t)tid, err);
        if (rc)
            return rc;
    }
    return l->n ? 0 : pyb_fail(err, PYB_E_GONE, "process %d has ended", pid);
}

int pyb_tasks_list(struct pyb_ctx *ctx, int32_t pid, struct pyb_arena *arena, int32_t **ret, size_t *ret_n,
                   struct pyb_error *err)
{
    *ret = NULL;
    *ret_n = 0;
    char path[32];
    (void)snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT ? pyb_fail(err, PYB_E_NOENT, "there is no process %d", pid)
                               : pyb_fail_errno(err, errno, "%s", path);
    struct list l = {.ctx = ctx};
    int rc = read_list(&l, pid, dir, err);
    (void)closedir(dir);
    if (rc == 0) {
        qsort(l.tids, l.n, sizeof(*l.tids), compare_tids);
        *ret = pyb_arena_array(arena, l.n, sizeof(**ret));
        if (!*ret)
            rc = pyb_fail(err, PYB_E_NOMEM, "no memory for %zu thread ids", l.n);
    }
    if (rc == 0) {
        memcpy(*ret, l.tids, l.n * sizeof(**ret));
        *ret_n = l.n;
    }
    pyb_free(ctx, l.tids);
    return rc;
}
#endif
