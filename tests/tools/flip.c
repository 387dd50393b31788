// SPDX-License-Identifier: Apache-2.0
// flip RECORDING COUNT [SEED]: reads the recording COUNT times, each time with other bytes of what a reading
// touches changed. Fails when a reading takes over a second or more memory than allowed; a crash speaks for
// itself.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/session.h"

#define MAX_TOUCHED 200000u
#define MAX_FLIPS 64u
#define LIMIT_BYTES (UINT64_C(64) << 20)

struct flip {
    pyb_addr addr;
    uint8_t value;
};
struct flipping {
    struct pyb_memory base; // first
    struct pyb_memory *below;
    const struct flip *flips;
    size_t n_flips;
};

// What the first, clean reading touches: flips elsewhere would change nothing.
static struct pyb_range touched[MAX_TOUCHED];
static size_t n_touched;
static bool noting;

static int flipping_readv(struct pyb_memory *m, struct pyb_range *ranges, size_t n, struct pyb_error *err)
{
    struct flipping *f = (struct flipping *)m;
    int code = pyb_memory_readv(f->below, ranges, n, err);
    for (size_t i = 0; i < n; i++) {
        if (noting && n_touched < MAX_TOUCHED && ranges[i].done > 0)
            touched[n_touched++] = ranges[i];
        for (size_t k = 0; k < f->n_flips; k++) {
            if (f->flips[k].addr - ranges[i].addr < ranges[i].done)
                ((uint8_t *)ranges[i].buf)[f->flips[k].addr - ranges[i].addr] = f->flips[k].value;
        }
    }
    return code;
}

static void flipping_destroy(struct pyb_memory *m)
{
    struct flipping *f = (struct flipping *)m;
    pyb_memory_destroy(f->below);
    free(f);
}

static int discard(void *ctx, const char *text, size_t len)
{
    (void)text;
    *(uint64_t *)ctx += len;
    return 0;
}

static int read_once(const char *path, const struct flip *flips, size_t n, uint32_t flags, int *ret_threads)
{
    static const struct pyb_memory_ops ops = {.name = "flipping", .readv = flipping_readv,
                                              .destroy = flipping_destroy};
    struct pyb_options options = {.size = sizeof options, .max_bytes = LIMIT_BYTES};
    struct pyb_read_options reading = {.size = sizeof reading, .flags = flags};
    struct pyb_text_options text = {.size = sizeof text,
                                    .flags = PYB_TEXT_ALL | PYB_TEXT_LOCALS | PYB_TEXT_VERBOSE,
                                    .current = -1};
    struct pyb_session *s;
    struct pyb_error err = {0};
    struct pyb_process *p = NULL;
    uint64_t written = 0;
    if (pyb_session_new(&options, &s, &err) != 0 || pyb_open_recording(s, path, &err) != 0) {
        fprintf(stderr, "%s\n", err.what);
        exit(2);
    }
    struct flipping *f = calloc(1, sizeof *f);
    if (!f)
        exit(2);
    *f = (struct flipping){.base = *s->target.mem, .below = s->target.mem, .flips = flips, .n_flips = n};
    f->base.ops = &ops;
    s->target.mem = &f->base;
    int code = pyb_read(s, NULL, 0, false, &reading, &p, &err);
    if (code == 0) {
        *ret_threads = (int)p->n_threads;
        for (uint32_t i = 0; i < p->n_threads; i++)
            (void)pyb_text_thread(&p->threads[i], &text, discard, &written);
        (void)pyb_json(p, discard, &written);
    }
    pyb_process_free(p);
    pyb_session_free(s);
    return code;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); // other work on the machine does not count
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static const struct pyb_range *any_place(void)
{
    return &touched[(size_t)random() % n_touched];
}

static size_t choose_bytes(struct flip *flips)
{
    size_t n = 1 + (size_t)random() % (random() % 4 ? 4 : MAX_FLIPS);
    for (size_t i = 0; i < n; i++) {
        const struct pyb_range *r = any_place();
        size_t at = (size_t)random() % (r->done < 4096 ? r->done : 4096);
        flips[i] = (struct flip){r->addr + at, (uint8_t)random()};
        if (random() % 3 == 0) // ends of ranges: sizes, counts, pointers
            flips[i].value = (uint8_t[]){0, 0xff, 0x7f, 0x80, 1}[random() % 5];
    }
    return n;
}

// Up to four whole words: recordings of little-endian targets only.
static size_t choose_words(struct flip *flips)
{
    static const uint64_t extremes[] = {0, 1, UINT64_MAX, INT64_MAX, UINT64_C(1) << 63, UINT32_MAX, INT32_MAX, 4096,
                                        UINT64_C(1) << 32, UINT64_C(1) << 47, UINT64_C(0xdeadbeef000)};
    size_t n = 1 + (size_t)random() % 4;
    for (size_t i = 0; i < n; i++) {
        const struct pyb_range *r = any_place();
        size_t words = r->done < 4096 ? r->done / 8 : 512;
        pyb_addr at = r->addr + (words ? (size_t)random() % words * 8 : 0);
        uint64_t value = extremes[(size_t)random() % (sizeof extremes / sizeof *extremes)];
        if (random() % 3 == 0)
            value = r->addr;
        else if (random() % 2)
            value = any_place()->addr;
        for (size_t k = 0; k < 8; k++)
            flips[8 * i + k] = (struct flip){at + k, (uint8_t)(value >> 8 * k)};
    }
    return 8 * n;
}

static size_t choose(struct flip *flips)
{
    return random() % 2 ? choose_bytes(flips) : choose_words(flips);
}

int main(int argc, char **argv)
{
    struct flip flips[MAX_FLIPS];
    int threads = 0, codes[32] = {0};
    double slowest = 0;
    if (argc < 3)
        return fprintf(stderr, "flip RECORDING COUNT [SEED]\n"), 2;
    long count = strtol(argv[2], NULL, 10);
    unsigned seed = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1;
    noting = true;
    if (read_once(argv[1], NULL, 0, PYB_READ_LOCALS | PYB_READ_VERBOSE, &threads) != 0 || threads == 0 ||
        n_touched == 0)
        return fprintf(stderr, "the recording cannot be read as it is\n"), 2;
    noting = false;
    for (long i = 0; i < count; i++) {
        srandom(seed + (unsigned)i);
        size_t n = choose(flips);
        alarm(30);
        double start = now();
        int code = read_once(argv[1], flips, n, i % 2 ? PYB_READ_LOCALS : PYB_READ_LOCALS | PYB_READ_VERBOSE,
                             &threads);
        double took = now() - start;
        slowest = took > slowest ? took : slowest;
        codes[-code & 31]++;
        if (took > 1.0) {
            fprintf(stderr, "seed %u: %.1f s\n", seed + (unsigned)i, took);
            return 1;
        }
    }
    printf("%ld readings, slowest %.3f s; read %d, not Python %d, unsupported %d, fault %d, corrupt %d, limit %d, memory %d, other %ld\n",
           count, slowest, codes[0], codes[-PYB_E_NOTPYTHON], codes[-PYB_E_UNSUPPORTED], codes[-PYB_E_FAULT],
               codes[-PYB_E_CORRUPT],
           codes[-PYB_E_LIMIT], codes[-PYB_E_NOMEM],
           count - codes[0] - codes[-PYB_E_NOTPYTHON] - codes[-PYB_E_UNSUPPORTED] - codes[-PYB_E_FAULT] - codes[-PYB_E_CORRUPT] -
               codes[-PYB_E_LIMIT] - codes[-PYB_E_NOMEM]);
    return 0;
}
