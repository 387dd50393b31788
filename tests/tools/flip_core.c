// SPDX-License-Identifier: Apache-2.0
// flip_core CORE EXE COUNT [SEED]: draws the conclusions about the threads of a core COUNT times, each time with words changed of what they
// rest on. Fails when one takes over a second, or when the unchanged core has none. Ends with "N of COUNT with findings".
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/session.h"

#define MAX_TOUCHED 100000u
#define MAX_FLIPS 4u
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

static struct pyb_range touched[MAX_TOUCHED];
static size_t n_touched, n_calls, skipped_calls;
static bool noting;

static int flipping_readv(struct pyb_memory *m, struct pyb_range *ranges, size_t n, struct pyb_error *err)
{
    struct flipping *f = (struct flipping *)m;
    int code = pyb_memory_readv(f->below, ranges, n, err);
    const bool note = noting && ++n_calls > skipped_calls;
    for (size_t i = 0; i < n; i++) {
        if (note && n_touched < MAX_TOUCHED && ranges[i].done > 0)
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

// Number of findings, negative: the reading failed.
static int read_once(char **argv, const struct flip *flips, size_t n, uint32_t flags)
{
    static const struct pyb_memory_ops ops = {.name = "flipping", .readv = flipping_readv, .destroy = flipping_destroy};
    struct pyb_options options = {.size = sizeof options, .max_bytes = LIMIT_BYTES};
    struct pyb_dump_options dump = {.size = sizeof dump, .flags = PYB_DUMP_PYTHON | flags};
    struct pyb_session *s;
    struct pyb_error err = {0};
    struct pyb_process *p = NULL;
    if (pyb_session_new(&options, &s, &err) != 0 || pyb_open_core(s, argv[1], argv[2][0] ? argv[2] : NULL, &err) != 0) {
        fprintf(stderr, "flip_core: %s\n", err.what);
        exit(2);
    }
    struct flipping *f = calloc(1, sizeof *f);
    if (!f)
        exit(2);
    *f = (struct flipping){.base = *s->target.mem, .below = s->target.mem, .flips = flips, .n_flips = n};
    f->base.ops = &ops;
    s->target.mem = &f->base;
    int code = pyb_dump(s, &dump, NULL, &p, &err);
    int found = code == 0 ? (int)p->n_findings : code;
    for (uint32_t i = 0; code == 0 && i < p->n_findings; i++) {
        if (strchr(p->findings[i].text, '\n') && n == 0)
            found = -1;
    }
    pyb_process_free(p);
    pyb_session_free(s);
    return found;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); // other work on the machine does not count
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

// A byte of what was read, or a whole word of it that becomes another word of it: pointers to other objects, to themselves.
static size_t choose(struct flip *flips)
{
    size_t n = 0;
    for (size_t i = 0, times = 1 + (size_t)random() % MAX_FLIPS; i < times; i++) {
        const struct pyb_range *r = &touched[(size_t)random() % n_touched], *other = &touched[(size_t)random() % n_touched];
        const pyb_addr at = r->addr + (size_t)random() % r->done;
        if (random() % 2) {
            flips[n++] = (struct flip){at, random() % 2 ? (uint8_t)random() : (uint8_t[]){0, 0xff, 0x7f, 0x80, 1}[random() % 5]};
            continue;
        }
        for (unsigned k = 0; k < 8; k++)
            flips[n++] = (struct flip){(at & ~UINT64_C(7)) + k, (uint8_t)((other->addr & ~UINT64_C(7)) >> (8 * k))};
    }
    return n;
}

int main(int argc, char **argv)
{
    struct flip flips[MAX_FLIPS * 8];
    if (argc < 4) {
        fprintf(stderr, "usage: flip_core CORE EXE COUNT [SEED]\n");
        return 2;
    }
    noting = true;
    skipped_calls = SIZE_MAX;
    (void)read_once(argv, NULL, 0, 0);
    skipped_calls = n_calls; // what a dump without conclusions reads
    n_calls = 0;
    const int clean = read_once(argv, NULL, 0, PYB_DUMP_FINDINGS);
    noting = false;
    if (clean <= 0 || n_touched == 0) {
        fprintf(stderr, "flip_core: nothing found in the unchanged core (%d)\n", clean);
        return 1;
    }
    srandom(argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 1);
    long count = strtol(argv[3], NULL, 10), with = 0;
    double slowest = 0;
    for (long i = 0; i < count; i++) {
        const double begin = now();
        with += read_once(argv, flips, choose(flips), PYB_DUMP_FINDINGS) > 0;
        const double took = now() - begin;
        slowest = took > slowest ? took : slowest;
    }
    printf("%zu places; %ld of %ld with findings; slowest %.3f s\n", n_touched, with, count, slowest);
    return slowest > 1 ? 1 : 0;
}
