// SPDX-License-Identifier: Apache-2.0
// unwind [--asleep] [--times N] [--exe EXE] [--stats] PID|CORE: native frames of every thread by our own unwinder, "pc sp flags" in a line each.
// A process is stopped by PTRACE_SEIZE and PTRACE_INTERRUPT meanwhile; each thread begins with "thread TID" and ends with "end" or "truncated WHY".
//   --asleep    forget all registers but pc and sp, as /proc/PID/task/TID/syscall has them
//   --times N   unwind each thread N times and say what CPU time that costs, cold and warm
// unwind --serve PID: a debugger holds the process. Commands on stdin: "regs TID HEX" (as the kernel's register set), "asleep TID HEX" (of it,
// pc and sp only), "moved" (memory and files may have changed).
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "memory/corefile.h"
#include "memory/readers.h"
#include "unwind/unwind.h"

#define MAX_THREADS 4096
#define MAX_FRAMES 1000000

struct thread { int32_t tid; uint8_t regs[1024]; size_t len; };
struct job {
    struct pyb_ctx ctx;
    struct pyb_target t;
    struct pyb_unwinder *u;
    struct thread threads[MAX_THREADS];
    size_t n;
    const char *exe;
    bool asleep, stats;
    unsigned long times;
};

static void fail(const struct pyb_error *err)
{
    fprintf(stderr, "unwind: %s\n", err->what);
    exit(2);
}

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static void hold(struct job *j, int32_t tid)
{
    struct thread *t = &j->threads[j->n];
    if (j->n == MAX_THREADS || ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0)
        return; // it ended meanwhile
    if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) != 0 || waitpid(tid, NULL, __WALL) != tid)
        return;
    struct iovec regs = {t->regs, sizeof(t->regs)};
    if (ptrace(PTRACE_GETREGSET, tid, (void *)(uintptr_t)NT_PRSTATUS, &regs) != 0)
        die("PTRACE_GETREGSET");
    t->tid = tid;
    t->len = regs.iov_len;
    j->n++;
}

static void hold_all(struct job *j)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/task", j->t.pid);
    DIR *tasks = opendir(path);
    if (!tasks)
        die(path);
    for (struct dirent *e; (e = readdir(tasks)) != NULL;) {
        if (e->d_name[0] != '.')
            hold(j, (int32_t)atoi(e->d_name));
    }
    closedir(tasks);
}

static void open_live(struct job *j)
{
    struct pyb_error err = {0};
    struct pyb_memory *live;
    if (pyb_live_open(&j->ctx, j->t.pid, &live, &err) || pyb_cache_open(&j->ctx, live, 0, &j->t.mem, &err) ||
        pyb_modules_from_pid(&j->t, &j->t.modules, &err))
        fail(&err);
    j->t.is_local = true;
}

static void open_core(struct job *j, const char *path)
{
    struct pyb_error err = {0};
    if (pyb_core_open(&j->ctx, path, &j->t.mem, &err))
        fail(&err);
    const struct pyb_core_facts *facts = pyb_core_facts(j->t.mem);
    j->t.is_core = true;
    if (pyb_modules_from_core(&j->t, facts, j->exe, &j->t.modules, &err) || pyb_modules_back_core(&j->t, &err) < 0)
        fail(&err);
    for (size_t i = 0; i < facts->n_threads && j->n < MAX_THREADS; i++) {
        const struct pyb_core_thread *from = &facts->threads[i];
        struct thread *t = &j->threads[j->n++];
        t->tid = from->tid;
        t->len = from->regs_len < sizeof(t->regs) ? from->regs_len : sizeof(t->regs);
        memcpy(t->regs, from->regs, t->len);
    }
    struct pyb_memory *core = j->t.mem;
    if (pyb_cache_open(&j->ctx, core, 0, &j->t.mem, &err))
        fail(&err);
}

static uint64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); // what others do on the machine is not our cost
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void show(int32_t tid, const struct pyb_unwound *got)
{
    printf("thread %d\n", tid);
    for (size_t i = 0; i < got->n; i++)
        printf("0x%" PRIx64 " 0x%" PRIx64 " %s%s\n", got->frames[i].pc, got->frames[i].sp,
               got->frames[i].flags & PYB_NATIVE_SIGNAL ? "signal" : "-",
               got->frames[i].flags & PYB_NATIVE_APPROX ? " approx" : "");
    if (got->truncated)
        printf("truncated %s\n", got->truncated);
    else
        printf("end\n");
}

static void unwind(struct job *j, const struct thread *t, bool asleep)
{
    struct pyb_error err = {0};
    struct pyb_regs regs, few;
    struct pyb_arena arena;
    struct pyb_unwound got = {0};
    const struct pyb_memory *m = j->t.mem;
    if (pyb_regs_from_kernel(m->machine, m->ptr_size, m->big_endian, t->regs, t->len, &regs, &err))
        fail(&err);
    uint8_t sp = pyb_machine(regs.machine, regs.ptr_size)->sp;
    if (pyb_regs_from_pc_sp(m->machine, m->ptr_size, m->big_endian, regs.pc, regs.r[sp], &few, &err))
        fail(&err);
    pyb_arena_init(&arena, &j->ctx);
    uint64_t first = 0, rest = 0;
    for (unsigned long i = 0; i < j->times; i++) {
        pyb_arena_reset(&arena);
        uint64_t begin = now();
        if (pyb_unwind(j->u, asleep ? &few : &regs, MAX_FRAMES, &arena, &got, &err))
            fail(&err);
        *(i ? &rest : &first) += now() - begin;
    }
    show(t->tid, &got);
    if (j->times > 1)
        printf("%zu frames: first %.1f us, then %.2f us, %.1f ns a frame\n", got.n, (double)first / 1e3,
               (double)rest / 1e3 / (double)(j->times - 1),
               (double)rest / (double)(j->times - 1) / (double)got.n);
    pyb_arena_deinit(&arena);
}

static bool parse(const char *line, struct thread *t, bool *ret_asleep)
{
    static char hex[2049];
    char kind[8];
    if (sscanf(line, "%7s %" SCNd32 " %2048s", kind, &t->tid, hex) != 3)
        return false;
    *ret_asleep = strcmp(kind, "asleep") == 0;
    t->len = strlen(hex) / 2;
    for (size_t i = 0; i < t->len; i++) {
        unsigned byte;
        if (sscanf(hex + 2 * i, "%2x", &byte) != 1)
            return false;
        t->regs[i] = (uint8_t)byte;
    }
    return true;
}

static void serve(struct job *j)
{
    static char line[4096];
    while (fgets(line, sizeof(line), stdin)) {
        struct pyb_error err = {0};
        bool asleep, changed;
        struct thread t;
        if (strcmp(line, "moved\n") == 0) {
            pyb_memory_invalidate(j->t.mem);
            if (pyb_modules_refresh(&j->t, &changed, &err))
                fail(&err);
            if (changed)
                pyb_unwinder_invalidate(j->u);
        } else if (parse(line, &t, &asleep)) {
            unwind(j, &t, asleep);
            fflush(stdout);
        } else {
            fprintf(stderr, "unwind: what is %s", line);
            exit(2);
        }
    }
}

static void show_stats(const struct job *j)
{
    const struct pyb_unwind_stats *s = pyb_unwinder_stats(j->u);
    printf("steps %" PRIu64 " hits %" PRIu64 " made %" PRIu64 " expression %" PRIu64 " search %" PRIu64
           " frame-pointer %" PRIu64 " scan %" PRIu64 "\n", s->steps, s->rule_hits, s->rules_made, s->by_expression,
           s->by_search, s->by_frame_pointer, s->by_scan);
}

int main(int argc, char **argv)
{
    static struct job j;
    struct pyb_error err = {0};
    bool serving = false;
    j.times = 1;
    int i = 1;
    for (; i < argc - 1; i++) {
        if (strcmp(argv[i], "--asleep") == 0)
            j.asleep = true;
        else if (strcmp(argv[i], "--stats") == 0)
            j.stats = true;
        else if (strcmp(argv[i], "--serve") == 0)
            serving = true;
        else if (strcmp(argv[i], "--times") == 0)
            j.times = strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--exe") == 0)
            j.exe = argv[++i];
        else
            break;
    }
    if (i != argc - 1 || j.times == 0) {
        fprintf(stderr, "usage: unwind [--asleep] [--times N] [--exe EXE] [--stats] [--serve] PID|CORE\n");
        return 2;
    }
    pyb_ctx_init(&j.ctx, NULL);
    pyb_ctx_begin(&j.ctx);
    j.t.ctx = &j.ctx;
    j.t.pid = (int32_t)strtol(argv[i], NULL, 10);
    bool live = argv[i][strspn(argv[i], "0123456789")] == '\0';
    if (live && !serving)
        hold_all(&j);
    if (live)
        open_live(&j);
    else
        open_core(&j, argv[i]);
    if (pyb_unwinder_new(&j.ctx, &j.t, &j.u, &err))
        fail(&err);
    if (serving)
        serve(&j);
    for (size_t k = 0; k < j.n; k++)
        unwind(&j, &j.threads[k], j.asleep);
    if (j.stats)
        show_stats(&j);
    pyb_unwinder_free(j.u);
    pyb_modules_free(j.t.modules);
    pyb_memory_destroy(j.t.mem);
    return 0;
}
