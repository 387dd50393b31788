// SPDX-License-Identifier: Apache-2.0
// Which OS thread runs which thread states: by pthread_self(), which every version keeps; by the OS thread id
// (3.11+); by an evaluation whose struct lies on that native stack (a thread state made in one thread and run
// in another).
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/read.h"
#include "base/error.h"

#define MAX_TASKS 200000u
#define STACK_END (UINT64_C(1) << 20) // how far beyond its outermost known frame a stack may reach

static bool is_live(const struct pyb_target *t)
{
    return t->is_local && !t->is_core && t->pid > 0;
}

static bool same_pid_namespace(int32_t pid)
{
    struct stat mine, its;
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/ns/pid", pid);
    if (stat("/proc/self/ns/pid", &mine) != 0 || stat(path, &its) != 0)
        return true; // not to be told: nothing better than to believe the numbers
    return mine.st_ino == its.st_ino && mine.st_dev == its.st_dev;
}

// The last number of "NSpid:" is the thread's id in the innermost namespace: what the target itself sees.
static int32_t inner_tid(int32_t pid, int32_t tid)
{
    char path[80], text[4096];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0; // it has ended meanwhile
    ssize_t n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *line = strstr(text, "\nNSpid:");
    if (!line)
        return 0;
    int32_t last = 0;
    for (const char *p = line + 7; *p && *p != '\n';) {
        char *end;
        long value = strtol(p, &end, 10);
        if (end == p)
            break;
        last = (int32_t)value;
        p = end;
    }
    return last;
}

static void map_namespace_tids(struct pyb_reading *r)
{
    char path[64];
    struct pyb_map outer;
    (void)snprintf(path, sizeof(path), "/proc/%d/task", r->s->target.pid);
    DIR *dir = opendir(path);
    if (!dir)
        return; // tids stay unknown
    pyb_map_init(&outer, &r->s->ctx);
    const struct dirent *entry;
    for (uint32_t i = 0; i < MAX_TASKS && (entry = readdir(dir)); i++) {
        int32_t tid = (int32_t)strtol(entry->d_name, NULL, 10);
        int32_t inner = tid > 0 ? inner_tid(r->s->target.pid, tid) : 0;
        if (inner > 0 && pyb_map_put(&outer, (uint64_t)inner, (uintptr_t)tid) != 0)
            break;
    }
    (void)closedir(dir);
    for (size_t i = 0; i < r->threads.n; i++) {
        uintptr_t tid;
        if (pyb_map_get(&outer, (uint64_t)r->threads.items[i].native_tid, &tid))
            r->threads.items[i].tid = (int32_t)tid;
    }
    pyb_map_deinit(&outer);
}

static void find_tids(struct pyb_reading *r)
{
    const struct pyb_target *t = &r->s->target;
    if (is_live(t) && !same_pid_namespace(t->pid)) {
        map_namespace_tids(r);
        return;
    }
    for (size_t i = 0; i < r->threads.n; i++) {
        struct pyb_tstate *state = &r->threads.items[i];
        if (state->tid == 0)
            state->tid = state->native_tid;
        for (size_t k = 0; r->s->facts && state->thread_id && k < r->s->facts->n_threads; k++) {
            if (r->s->facts->threads[k].thread_pointer == state->thread_id)
                state->tid = r->s->facts->threads[k].tid;
        }
    }
}

static void match_by_pointer(struct pyb_reading *r, const struct pyb_map *pointers)
{
    for (size_t i = 0; i < r->threads.n; i++) {
        uintptr_t stack;
        if (r->threads.items[i].thread_id && pyb_map_get(pointers, r->threads.items[i].thread_id, &stack))
            r->stack_of[i] = (size_t)stack;
    }
}

static void match_by_tid(struct pyb_reading *r, const struct pyb_map *tids)
{
    for (size_t i = 0; i < r->threads.n; i++) {
        uintptr_t stack;
        const struct pyb_tstate *t = &r->threads.items[i];
        if (r->stack_of[i] == PYB_NO_STACK && t->tid > 0 && pyb_map_get(tids, (uint64_t)t->tid, &stack))
            r->stack_of[i] = (size_t)stack;
    }
}

static bool on_stack(const struct pyb_native_stack *native, pyb_addr addr)
{
    pyb_addr low = 0, high = 0;
    for (size_t i = 0; i < native->n_frames; i++) {
        pyb_addr sp = native->frames[i].sp;
        if (sp == 0 || (native->frames[i].flags & PYB_NATIVE_KERNEL))
            continue;
        low = low == 0 || sp < low ? sp : low;
        high = sp > high ? sp : high;
    }
    // A signal stack and a thread's stack can be far apart: only a range that one stack can have is believed.
    return low != 0 && high - low < (UINT64_C(1) << 32) && addr >= low && addr - low < high - low + STACK_END;
}

static int match_by_address(struct pyb_reading *r, const bool *used, struct pyb_error *err)
{
    for (size_t i = 0; i < r->threads.n; i++) {
        if (r->stack_of[i] != PYB_NO_STACK || r->threads.items[i].top == 0)
            continue;
        struct pyb_frames frames;
        int code = pyb_frames_read(r->py, &r->threads.items[i], 64, &r->work, &frames, err);
        if (code != 0)
            return code;
        pyb_addr addr = frames.n_evaluations > 0 ? frames.evaluations[0].stack_addr : 0;
        for (size_t k = 0; addr != 0 && k < r->n_native; k++) {
            if (!used[k] && on_stack(&r->native[k], addr))
                r->stack_of[i] = k;
        }
    }
    return 0;
}

static int match_all(struct pyb_reading *r, struct pyb_map *pointers, struct pyb_map *tids,
                     struct pyb_error *err)
{
    for (size_t i = 0; i < r->n_native; i++) {
        const struct pyb_native_stack *stack = &r->native[i];
        if ((stack->thread_pointer && pyb_map_put(pointers, stack->thread_pointer, i) != 0) ||
            (stack->tid > 0 && pyb_map_put(tids, (uint64_t)stack->tid, i) != 0))
            return pyb_fail(err, PYB_E_NOMEM, "no memory to match threads");
    }
    match_by_pointer(r, pointers);
    match_by_tid(r, tids);
    bool *used = pyb_arena_array(&r->work, r->n_native + 1, sizeof(*used));
    if (!used)
        return pyb_fail(err, PYB_E_NOMEM, "no memory to match threads");
    size_t free_stacks = r->n_native;
    for (size_t i = 0; i < r->threads.n; i++) {
        // Up to 3.10 a thread state has pthread_self() only.
        if (r->stack_of[i] != PYB_NO_STACK && r->threads.items[i].tid <= 0)
            r->threads.items[i].tid = r->native[r->stack_of[i]].tid;
        if (r->stack_of[i] != PYB_NO_STACK && !used[r->stack_of[i]]) {
            used[r->stack_of[i]] = true;
            free_stacks--;
        }
    }
    return free_stacks > 0 ? match_by_address(r, used, err) : 0;
}

int pyb_threads_match(struct pyb_reading *r, struct pyb_error *err)
{
    struct pyb_map pointers, tids;
    find_tids(r);
    r->stack_of = pyb_arena_array(&r->work, r->threads.n + 1, sizeof(*r->stack_of));
    if (!r->stack_of)
        return pyb_fail(err, PYB_E_NOMEM, "no memory to match threads");
    for (size_t i = 0; i < r->threads.n; i++)
        r->stack_of[i] = PYB_NO_STACK;
    if (r->n_native == 0)
        return 0;
    pyb_map_init(&pointers, &r->s->ctx);
    pyb_map_init(&tids, &r->s->ctx);
    int code = match_all(r, &pointers, &tids, err);
    pyb_map_deinit(&pointers);
    pyb_map_deinit(&tids);
    return code;
}

const char *pyb_thread_lack(struct pyb_reading *r, const struct pyb_tstate *t)
{
    const struct pyb_target *target = &r->s->target;
    if (t->tid <= 0 && t->thread_id == 0)
        return "no OS thread runs this thread state yet: its thread is just being made";
    if (is_live(target) && t->tid > 0) {
        char path[64];
        (void)snprintf(path, sizeof(path), "/proc/%d/task/%d", target->pid, t->tid);
        if (access(path, F_OK) != 0 && errno == ENOENT)
            return "its OS thread is gone: a fork() left this thread state behind, or it is ending";
    }
    for (size_t i = 0; r->s->facts && t->tid > 0 && i < r->s->facts->n_threads; i++) {
        if (r->s->facts->threads[i].tid == t->tid)
            return r->n_native > 0 ? "no native stack was given for it" : NULL;
    }
    if (r->s->facts && t->tid > 0 && r->s->facts->n_threads > 0)
        return "its OS thread is not in the core: a fork() left this thread state behind, or it was ending";
    return r->n_native > 0 ? "no native stack was given for it" : NULL;
}
