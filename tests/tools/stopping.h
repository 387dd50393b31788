// SPDX-License-Identifier: Apache-2.0
/** For the tools that stop threads: a target made by fork that shares memory with us, waiting, complaining. */
#ifndef PYB_TESTS_STOPPING_H
#define PYB_TESTS_STOPPING_H
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "live/stop.h"
#include "live/task.h"

static inline uint64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void sleep_us(unsigned us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        ;
}

_Noreturn static inline void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn static inline void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static inline void *shared_memory(size_t n)
{
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        die("mmap: %s", strerror(errno));
    return p;
}

/** True as soon as the condition holds; false after `ms`. */
#define WAIT_FOR(condition, ms) \
    ({ \
        uint64_t end_ = now_ns() + (uint64_t)(ms) * 1000000u; \
        bool met_ = false; \
        while (!(met_ = (condition)) && now_ns() < end_) \
            sleep_us(100); \
        met_ || (condition); \
    })

/** In the child: it ends with us. */
static inline int32_t start_child(void (*run)(void *arg), void *arg)
{
    fflush(stdout);
    fflush(stderr);
    int32_t parent = getpid(), pid = fork();
    if (pid < 0)
        die("fork: %s", strerror(errno));
    if (pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
            _exit(99);
        run(arg);
        _exit(98);
    }
    return pid;
}

static inline void end_child(int32_t pid)
{
    (void)kill(pid, SIGKILL);
    while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
        ;
}

static inline void start_thread(void *(*run)(void *arg), void *arg)
{
    pthread_t t;
    if (pthread_create(&t, NULL, run, arg) != 0)
        _exit(97);
}

static inline char state_of(int32_t pid, int32_t tid)
{
    struct pyb_task t;
    return pyb_task_read(pid, tid, &t, NULL) == 0 ? t.state : '\0';
}

static inline struct pyb_stopper *new_stopper(struct pyb_ctx *ctx, int32_t pid, bool by_thread)
{
    struct pyb_stopper *s;
    struct pyb_error err = {0};
    if (pyb_stopper_new(ctx, pid, &s, &err) || (by_thread && pyb_stopper_use_thread(s, &err)))
        die("no stopper: %s", err.what);
    return s;
}

/** Thread ids into `ret`; 0: it has ended. */
static inline size_t list_threads(struct pyb_ctx *ctx, int32_t pid, int32_t *ret, size_t max)
{
    struct pyb_arena arena;
    int32_t *tids;
    size_t n;
    pyb_arena_init(&arena, ctx);
    if (pyb_tasks_list(ctx, pid, &arena, &tids, &n, NULL))
        n = 0;
    n = n > max ? max : n;
    for (size_t i = 0; i < n; i++)
        ret[i] = tids[i];
    pyb_arena_deinit(&arena);
    return n;
}

/** Children of a process's first thread, the oldest first; those without exit signal too. */
static inline size_t children_of(int32_t pid, int32_t *ret, size_t max)
{
    char path[64];
    size_t n = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    while (n < max && fscanf(f, "%d", &ret[n]) == 1)
        n++;
    (void)fclose(f);
    return n;
}

/** The keeper of a process that has no other child; 0: it has none now. */
static inline int32_t keeper_of(int32_t pid)
{
    int32_t child;
    return children_of(pid, &child, 1) == 1 ? child : 0;
}
#endif
