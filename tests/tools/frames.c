// SPDX-License-Identifier: Apache-2.0
// frames [-r N] PID: the Python frames of each thread as JSON, for tests that compare them with the target's
// own account. -r N: reads everything N times more, as a sampler would, and says how long that took and how
// many reads it cost.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "interp/code.h"
#include "interp/frame.h"
#include "memory/cache.h"
#include "memory/readers.h"

static double now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int failed(const char *what, const struct pyb_error *err)
{
    fprintf(stderr, "frames: %s: %s\n", what, err->what);
    return 1;
}

static void put_text(const char *s)
{
    if (!s) {
        printf("null");
        return;
    }
    putchar('"');
    for (const unsigned char *p = (const unsigned char *)s; *p; p++)
        if (*p < 0x20 || *p == '"' || *p == '\\' || *p == 0x7f)
            printf("\\u%04x", *p);
        else
            putchar(*p);
    putchar('"');
}

static void put_frame(struct pyb_python *py, const struct pyb_pyframe *f, const char *separator)
{
    const struct pyb_code *c = NULL;
    struct pyb_error err = {0};
    struct pyb_position p = {-1, -1, -1, -1};
    if (pyb_code_get(py, f->code, &c, &err) || pyb_code_position(py, c, f->lasti, &p, &err)) {
        printf("%s\n  {\"error\": ", separator);
        put_text(err.what);
        printf("}");
        return;
    }
    printf("%s\n  {\"name\": ", separator);
    put_text(c->name);
    printf(", \"qualname\": ");
    put_text(c->qualname);
    printf(", \"file\": ");
    put_text(c->filename);
    printf(", \"line\": %d, \"end_line\": %d, \"column\": %d, \"end_column\": %d, \"lasti\": %d", p.line,
           p.end_line, p.column, p.end_column, f->lasti);
    printf(", \"entry\": %d, \"generator\": %d, \"jit\": %d, \"incomplete\": %d", f->entry,
           f->generator, f->jit, f->incomplete);
    printf(", \"evaluation\": %u, \"note\": ", f->evaluation);
    put_text(c->note);
    printf("}");
}

static int put_thread(struct pyb_python *py, const struct pyb_tstate *t, struct pyb_arena *arena,
                      const char *separator)
{
    struct pyb_frames r;
    struct pyb_error err = {0};
    double start = now_us();
    if (pyb_frames_read(py, t, 1000000, arena, &r, &err))
        return failed("frames", &err);
    printf("%s\n {\"native_tid\": %d, \"ident\": %" PRIu64 ", \"us\": %.1f, \"complete\": %s, \"note\": ",
           separator, t->native_tid, t->thread_id, now_us() - start, r.complete ? "true" : "false");
    put_text(r.note);
    printf(", \"evaluations\": [");
    for (uint32_t i = 0; i < r.n_evaluations; i++)
        printf("%s[%" PRIu64 ", %u]", i ? ", " : "", r.evaluations[i].stack_addr, r.evaluations[i].n);
    printf("], \"frames\": [");
    for (uint32_t i = 0; i < r.n; i++)
        put_frame(py, &r.frames[i], i ? "," : "");
    printf("]}");
    return 0;
}

// One sample: threads, frames and positions of all.
static int sample(struct pyb_python *py)
{
    struct pyb_arena arena;
    struct pyb_threads threads;
    struct pyb_error err = {0};
    pyb_arena_init(&arena, py->target->ctx);
    int code = pyb_threads_read(py, &arena, &threads, &err);
    for (size_t i = 0; !code && i < threads.n; i++) {
        struct pyb_frames r;
        code = pyb_frames_read(py, &threads.items[i], 1000000, &arena, &r, &err);
        for (uint32_t k = 0; !code && k < r.n; k++) {
            const struct pyb_code *c;
            struct pyb_position p;
            code = pyb_code_get(py, r.frames[k].code, &c, &err);
            if (!code)
                code = pyb_code_position(py, c, r.frames[k].lasti, &p, &err);
        }
    }
    pyb_arena_deinit(&arena);
    return code;
}

static int compare_double(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int repeat(struct pyb_python *py, const struct pyb_memory *live, long n)
{
    double *times = calloc((size_t)n, sizeof *times);
    if (!times)
        return 1;
    uint64_t reads = live->n_reads, bytes = live->n_bytes;
    int code = 0;
    struct pyb_range *pages = NULL; // what the sample before needed
    size_t n_pages = 0, cap = 0;
    for (long i = 0; i < n && !code; i++) {
        double start = now_us();
        pyb_python_invalidate(py);
        pyb_memory_prefetch(py->target->mem, pages, n_pages);
        code = sample(py);
        times[i] = now_us() - start;
        if (!code)
            code = pyb_cache_touched(py->target->mem, &pages, &n_pages, &cap);
    }
    pyb_free(py->target->ctx, pages);
    qsort(times, (size_t)n, sizeof *times, compare_double);
    printf(", \"samples\": %ld, \"median_us\": %.2f, \"reads_per_sample\": %.2f, \"bytes_per_sample\": %.0f",
           n, times[n / 2],
           (double)(live->n_reads - reads) / (double)n, (double)(live->n_bytes - bytes) / (double)n);
    free(times);
    return code != 0;
}

static int run(struct pyb_target *t, const struct pyb_memory *live, long repeats)
{
    struct pyb_python *py;
    struct pyb_error err = {0};
    if (pyb_python_find(t, &py, &err))
        return failed("find", &err);
    struct pyb_arena arena;
    struct pyb_threads threads;
    pyb_arena_init(&arena, t->ctx);
    int code = pyb_threads_read(py, &arena, &threads, &err);
    if (code)
        return failed("threads", &err);
    printf("{\"python\": \"%s\", \"layout\": \"%s\", \"threads\": [", py->version, py->layout.name);
    for (size_t i = 0; !code && i < threads.n; i++)
        code = put_thread(py, &threads.items[i], &arena, i ? "," : "");
    printf("]");
    if (!code && repeats)
        code = repeat(py, live, repeats);
    printf("}\n");
    pyb_arena_deinit(&arena);
    pyb_python_free(py);
    return code;
}

int main(int argc, char **argv)
{
    bool repeats = argc == 4 && !strcmp(argv[1], "-r");
    if (argc != 2 && !repeats) {
        fprintf(stderr, "usage: frames [-r N] PID\n");
        return 2;
    }
    struct pyb_ctx ctx;
    struct pyb_error err = {0};
    pyb_ctx_init(&ctx, NULL);
    pyb_ctx_begin(&ctx);
    int32_t pid = (int32_t)strtol(argv[argc - 1], NULL, 10);
    struct pyb_target t = {.ctx = &ctx, .pid = pid, .is_local = true};
    struct pyb_memory *live = NULL;
    if (pyb_live_open(&ctx, pid, &live, &err) || pyb_cache_open(&ctx, live, 0, &t.mem, &err) ||
        pyb_modules_from_pid(&t, &t.modules, &err))
        return failed("open", &err);
    int code = run(&t, live, repeats ? strtol(argv[2], NULL, 10) : 0);
    pyb_modules_free(t.modules);
    pyb_memory_destroy(t.mem);
    return code;
}
