// SPDX-License-Identifier: Apache-2.0
// inspect [-n] PID|CORE [EXE]: what the library finds in a target, by its internals: interpreter, threads, frames, and how long it took.
// -n: no frames. Exit 0; 1 when something failed.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "interp/code.h"
#include "interp/frame.h"
#include "interp/thread.h"
#include "memory/corefile.h"
#include "memory/readers.h"

static double now_ms(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int failed(const char *what, const struct pyb_error *err)
{
    printf("error: %s: %d %s%s%s\n", what, err->code, err->what, err->remedy[0] ? "; " : "", err->remedy);
    return 1;
}

static int open_pid(struct pyb_target *t, int32_t pid, struct pyb_error *err)
{
    static char exe[4096];
    char link[64];
    (void)snprintf(link, sizeof(link), "/proc/%d/exe", pid);
    ssize_t n = readlink(link, exe, sizeof(exe) - 1);
    exe[n > 0 ? n : 0] = '\0';
    t->pid = pid;
    t->is_local = true;
    t->executable = n > 0 ? exe : NULL;
    int rc = pyb_live_open(t->ctx, pid, &t->mem, err);
    return rc ? rc : pyb_modules_from_pid(t, &t->modules, err);
}

static int open_core(struct pyb_target *t, const char *core, const char *exe, struct pyb_error *err)
{
    t->is_core = true;
    t->executable = exe;
    int rc = pyb_core_open(t->ctx, core, &t->mem, err);
    if (rc)
        return rc;
    const struct pyb_core_facts *facts = pyb_core_facts(t->mem);
    t->pid = facts->pid;
    rc = pyb_modules_from_core(t, facts, exe, &t->modules, err);
    int lacking = rc ? 0 : pyb_modules_back_core(t, err);
    if (lacking)
        printf("core: %d modules without their file\n", lacking);
    return rc;
}

static const char *gil_name(enum pyb_gil gil)
{
    static const char *const names[] = {"unknown", "holds", "waits", "released"};
    return names[gil];
}

static void print_frames(struct pyb_python *py, const struct pyb_tstate *t, struct pyb_arena *arena)
{
    struct pyb_frames frames;
    struct pyb_error err = {0};
    int rc = pyb_frames_read(py, t, 1000000, arena, &frames, &err);
    if (rc) {
        printf("    error: %d %s\n", rc, err.what);
        return;
    }
    for (uint32_t i = 0; i < frames.n; i++) {
        const struct pyb_pyframe *f = &frames.frames[i];
        const struct pyb_code *code;
        struct pyb_position at = {-1, -1, -1, -1};
        if (pyb_code_get(py, f->code, &code, &err)) {
            printf("    frame 0x%" PRIx64 " error: %s\n", f->addr, err.what);
            continue;
        }
        if (pyb_code_position(py, code, f->lasti, &at, &err))
            printf("    (no line: %s)\n", err.what);
        printf("    %s (%s:%d) [evaluation %u at 0x%" PRIx64 "%s%s]\n", code->qualname ? code->qualname : code->name ? code->name : "?",
               code->filename ? code->filename : "?", at.line, f->evaluation,
               f->evaluation < frames.n_evaluations ? frames.evaluations[f->evaluation].stack_addr : 0, f->entry ? " entry" : "",
               f->generator ? " generator" : "");
    }
    if (!frames.complete)
        printf("    incomplete: %s\n", frames.note ? frames.note : "?");
}

static void print_python(const struct pyb_python *py, double ms, double cpu_ms, const struct pyb_memory *mem)
{
    printf("python %s runtime=0x%" PRIx64 " head_at=0x%" PRIx64 " layout=\"%s\"%s%s%s debug=%d free_threaded=%d candidates=%u\n", py->version,
           py->runtime, py->interp_head_at, py->layout.name, py->layout_exact ? "" : " (nearest)", py->layout_note ? " note=" : "",
           py->layout_note ? py->layout_note : "", py->debug_build, py->free_threaded, py->n_candidates);
    printf("found by %s%s%s\n", py->found_by, py->note ? "; " : "", py->note ? py->note : "");
    printf("found in %.3f ms (%.3f on the CPU), %" PRIu64 " reads, %" PRIu64 " bytes\n", ms, cpu_ms, mem->n_reads, mem->n_bytes);
}

static int inspect(struct pyb_target *t, bool with_frames)
{
    struct pyb_python *py;
    struct pyb_error err = {0};
    double start = now_ms(CLOCK_MONOTONIC), cpu = now_ms(CLOCK_PROCESS_CPUTIME_ID);
    if (pyb_python_find(t, &py, &err))
        return failed("find", &err);
    print_python(py, now_ms(CLOCK_MONOTONIC) - start, now_ms(CLOCK_PROCESS_CPUTIME_ID) - cpu, t->mem);
    struct pyb_arena arena;
    struct pyb_threads threads;
    pyb_arena_init(&arena, t->ctx);
    start = now_ms(CLOCK_MONOTONIC);
    int rc = pyb_threads_read(py, &arena, &threads, &err);
    if (rc == 0) {
        pyb_gil_read(py, &threads);
        for (size_t i = 0; i < threads.n; i++)
            threads.items[i].tid = threads.items[i].native_tid;
        pyb_gil_waits_read(py, &threads);
        pyb_thread_names_read(py, &arena, &threads);
        printf("%zu threads in %.3f ms%s%s%s\n", threads.n, now_ms(CLOCK_MONOTONIC) - start, threads.finalizing ? "; finalizing" : "",
               threads.note ? "; " : "", threads.note ? threads.note : "");
    }
    for (size_t i = 0; rc == 0 && i < threads.n; i++) {
        const struct pyb_tstate *s = &threads.items[i];
        printf("thread 0x%" PRIx64 " interpreter=%" PRId64 " ident=%" PRIu64 " native=%d gil=%s gc=%d%s%s name=%s\n", s->addr, s->interp_id,
               s->thread_id, s->native_tid, gil_name(s->gil), s->gc, s->main ? " main" : "", s->finalizing ? " finalizing" : "",
               s->name ? s->name : "-");
        if (with_frames)
            print_frames(py, s, &arena);
    }
    pyb_arena_deinit(&arena);
    pyb_python_free(py);
    return rc ? failed("threads", &err) : 0;
}

int main(int argc, char **argv)
{
    bool with_frames = true;
    int i = 1;
    if (i < argc && strcmp(argv[i], "-n") == 0) {
        with_frames = false;
        i++;
    }
    if (i >= argc) {
        fprintf(stderr, "usage: inspect [-n] PID|CORE [EXE]\n");
        return 2;
    }
    struct pyb_ctx ctx;
    pyb_ctx_init(&ctx, NULL);
    pyb_ctx_begin(&ctx);
    struct pyb_target t = {.ctx = &ctx};
    struct pyb_error err = {0};
    char *end;
    long pid = strtol(argv[i], &end, 10);
    bool is_pid = *end == '\0' && pid > 0 && pid <= INT32_MAX;
    int rc = is_pid ? open_pid(&t, (int32_t)pid, &err) : open_core(&t, argv[i], i + 1 < argc ? argv[i + 1] : NULL, &err);
    rc = rc ? failed("open", &err) : inspect(&t, with_frames);
    if (t.modules)
        pyb_modules_free(t.modules);
    if (t.mem)
        pyb_memory_destroy(t.mem);
    return rc;
}
