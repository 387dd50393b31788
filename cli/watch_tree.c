// SPDX-License-Identifier: Apache-2.0
#include "watch_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_PROCS (1u << 22) // the kernel's PID_MAX_LIMIT

static bool read_file(int32_t pid, const char *name, char *text, size_t size)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, size - 1);
    (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

// proc(5): pid (comm) state ppid ... utime(14) stime(15) ... num_threads(20) itrealvalue starttime(22). comm may hold anything.
static bool read_proc(int32_t pid, struct watch_proc *ret)
{
    char text[1024];
    *ret = (struct watch_proc){.pid = pid};
    if (!read_file(pid, "stat", text, sizeof(text)))
        return false;
    char *name = strchr(text, '('), *rest = strrchr(text, ')');
    if (!name || !rest || rest <= name || rest[1] != ' ')
        return false;
    size_t len = (size_t)(rest - name) - 1;
    memcpy(ret->comm, name + 1, len < sizeof(ret->comm) ? len : sizeof(ret->comm) - 1);
    unsigned long long user, system, start;
    if (sscanf(rest + 2, "%c %d %*d %d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %u %*d %llu", &ret->state,
               &ret->ppid, &ret->session, &user, &system, &ret->n_threads, &start) != 7)
        return false;
    ret->ticks = user + system;
    ret->start = start;
    return true;
}

static void read_written(struct watch_proc *p)
{
    char text[512];
    const char *line = read_file(p->pid, "io", text, sizeof(text)) ? strstr(text, "wchar: ") : NULL;
    p->written = line ? strtoull(line + strlen("wchar: "), NULL, 10) : 0;
}

static int by_pid(const void *a, const void *b)
{
    int32_t x = ((const struct watch_proc *)a)->pid, y = ((const struct watch_proc *)b)->pid;
    return x < y ? -1 : x > y;
}

// All processes there are, by pid.
static bool read_all(struct watch_tree *ret)
{
    *ret = (struct watch_tree){0};
    DIR *dir = opendir("/proc");
    if (!dir)
        return false;
    size_t cap = 0;
    bool ok = true;
    struct dirent *entry;
    while (ok && (entry = readdir(dir))) {
        int32_t pid = (int32_t)strtol(entry->d_name, NULL, 10);
        if (pid <= 0 || ret->n >= MAX_PROCS)
            continue;
        if (ret->n == cap) {
            cap = cap ? cap * 2 : 512;
            struct watch_proc *more = realloc(ret->procs, cap * sizeof(*more));
            ok = more != NULL;
            if (!ok)
                break;
            ret->procs = more;
        }
        ret->n += read_proc(pid, &ret->procs[ret->n]);
    }
    (void)closedir(dir);
    if (!ok)
        watch_tree_free(ret);
    else if (ret->n > 1)
        qsort(ret->procs, ret->n, sizeof(*ret->procs), by_pid);
    return ok;
}

static const struct watch_proc *find_pid(const struct watch_tree *t, int32_t pid)
{
    const struct watch_proc key = {.pid = pid};
    return t->n ? bsearch(&key, t->procs, t->n, sizeof(key), by_pid) : NULL;
}

enum { UNKNOWN, OUTSIDE, INSIDE };

// Goes up to the first ancestor whose place is known and gives that place to all on the way. `path` has room for all processes.
static void place(const struct watch_tree *all, size_t at, int32_t root, bool session, char *places, size_t *path)
{
    size_t n = 0;
    char found = UNKNOWN;
    while (found == UNKNOWN) {
        path[n++] = at;
        int32_t parent = all->procs[at].ppid;
        const struct watch_proc *up = find_pid(all, parent);
        if (parent == root || (session && all->procs[at].session == root))
            found = INSIDE;
        else if (!up || n >= all->n)
            found = OUTSIDE;
        else if ((found = places[at = (size_t)(up - all->procs)]) == UNKNOWN)
            continue;
    }
    while (n > 0)
        places[path[--n]] = found;
}

static bool read_below(int32_t root, bool whole, bool session, struct watch_tree *ret)
{
    if (!read_all(ret))
        return false;
    char *places = calloc(ret->n + 1, 1);
    size_t *path = calloc(ret->n + 1, sizeof(*path)), n = 0;
    for (size_t i = 0; places && path && i < ret->n; i++) {
        if (places[i] == UNKNOWN)
            place(ret, i, root, session, places, path);
    }
    bool ok = places && path;
    for (size_t i = 0; ok && i < ret->n; i++) {
        bool is_root = ret->procs[i].pid == root;
        if (is_root ? !whole : places[i] != INSIDE)
            continue;
        ret->procs[n] = ret->procs[i];
        read_written(&ret->procs[n++]);
    }
    ret->n = n;
    free(places);
    free(path);
    if (!ok)
        watch_tree_free(ret);
    return ok;
}

bool watch_tree_read(int32_t root, bool whole, struct watch_tree *ret)
{
    return read_below(root, whole, false, ret);
}

bool watch_tree_read_session(int32_t root, struct watch_tree *ret)
{
    return read_below(root, false, true, ret);
}

void watch_tree_free(struct watch_tree *t)
{
    free(t->procs);
    *t = (struct watch_tree){0};
}

const struct watch_proc *watch_tree_find(const struct watch_tree *t, int32_t pid, uint64_t start)
{
    const struct watch_proc *p = find_pid(t, pid);
    return p && p->start == start ? p : NULL;
}

static bool has_ended(const struct watch_proc *p)
{
    return p->state == 'Z' || p->state == 'X';
}

size_t watch_tree_refresh(struct watch_tree *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        struct watch_proc now;
        if (read_proc(t->procs[i].pid, &now) && now.start == t->procs[i].start && !has_ended(&now))
            t->procs[n++] = now;
    }
    return t->n = n;
}

// By a pidfd that is known to be of this very process, so that no other gets the signal.
static bool send_to(const struct watch_proc *p, int signal_number)
{
    struct watch_proc again;
    int fd = (int)syscall(SYS_pidfd_open, p->pid, 0);
    bool same = read_proc(p->pid, &again) && again.start == p->start;
    bool sent = false;
    if (same && fd >= 0)
        sent = syscall(SYS_pidfd_send_signal, fd, signal_number, NULL, 0) == 0;
    else if (same)
        sent = kill(p->pid, signal_number) == 0; // Linux before 5.3
    if (fd >= 0)
        (void)close(fd);
    return sent;
}

size_t watch_tree_signal(const struct watch_tree *t, int signal_number, bool stopped)
{
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        const struct watch_proc *p = &t->procs[i];
        if (!has_ended(p) && (p->state == 'T' || !stopped))
            n += send_to(p, signal_number);
    }
    return n;
}

static uint64_t cpu_of(const struct watch_tree *t)
{
    uint64_t ticks = 0;
    for (size_t i = 0; i < t->n; i++)
        ticks += t->procs[i].ticks;
    return ticks;
}

static bool same_but_for_cpu(const struct watch_tree *a, const struct watch_tree *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        const struct watch_proc *x = &a->procs[i], *y = &b->procs[i];
        if (x->pid != y->pid || x->start != y->start || x->written != y->written || has_ended(x) != has_ended(y))
            return false;
    }
    return true;
}

int64_t watch_idle_look(struct watch_idle *idle, struct watch_tree *now, int64_t clock_ns)
{
    if (idle->hertz == 0) {
        long hertz = sysconf(_SC_CLK_TCK);
        idle->hertz = hertz > 0 ? (uint64_t)hertz : 100;
        idle->since = clock_ns;
    }
    uint64_t ticks = cpu_of(now), seconds = (uint64_t)(clock_ns - idle->since) / 1000000000u;
    uint64_t allowed = 1 + seconds * idle->hertz / 1000;
    if (!same_but_for_cpu(&idle->last, now) || ticks > idle->ticks + allowed || ticks < idle->ticks) {
        idle->since = clock_ns;
        idle->ticks = ticks;
    }
    watch_tree_free(&idle->last);
    idle->last = *now;
    *now = (struct watch_tree){0};
    return clock_ns - idle->since;
}

void watch_idle_deinit(struct watch_idle *idle)
{
    watch_tree_free(&idle->last);
}
