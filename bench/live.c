// SPDX-License-Identifier: Apache-2.0
// What one sample of a live process costs: `live PID [SAMPLES [quick]]` takes that many of the deepest thread,
// after one that warms up, and prints one line of numbers: frames, median and 90th percentile in microseconds,
// reads for each sample. Then it reads the same thread by pyb_read() and says whether all frames agree.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pybraid.h"

static double now_us(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_MONOTONIC, &t) != 0)
        exit(2);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void check(int code, const char *what, const struct pyb_error *err)
{
    if (code == 0)
        return;
    fprintf(stderr, "live: %s: %s\n", what, err->what);
    exit(1);
}

static pyb_addr deepest(struct pyb_session *s, int32_t *ret_tid)
{
    const struct pyb_thread_state *states;
    const struct pyb_sample *sample;
    struct pyb_error err = {0};
    uint32_t n, most = 0;
    pyb_addr found = 0;
    check(pyb_thread_states(s, &states, &n, &err), "thread states", &err);
    for (uint32_t i = 0; i < n; i++) {
        check(pyb_sample(s, states[i].state, NULL, &sample, &err), "sample", &err);
        if (sample->n_frames > most) {
            most = sample->n_frames;
            found = states[i].state;
            *ret_tid = states[i].tid;
        }
    }
    if (!found) {
        fprintf(stderr, "live: no thread with a Python frame\n");
        exit(1);
    }
    return found;
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

// Whether pyb_read() has these very frames in one of its threads.
static bool agrees(struct pyb_session *s, const struct pyb_sample *sample)
{
    struct pyb_process *process;
    struct pyb_error err = {0};
    bool found = false;
    pyb_session_invalidate(s);
    check(pyb_read(s, NULL, 0, false, NULL, &process, &err), "read", &err);
    for (uint32_t t = 0; t < process->n_threads && !found; t++) {
        const struct pyb_thread *thread = &process->threads[t];
        found = thread->n_frames == sample->n_frames;
        for (uint32_t i = 0; i < sample->n_frames && found; i++) {
            const struct pyb_frame *f = &thread->frames[i];
            const struct pyb_sample_frame *g = &sample->frames[i];
            found = f->frame == g->frame && same(f->name, g->name) && same(f->file, g->file) &&
                    f->line == g->line && f->column == g->column && f->lasti == g->lasti &&
                    f->entry == g->entry;
        }
    }
    pyb_process_free(process);
    return found;
}

int main(int argc, char **argv)
{
    struct pyb_session *s;
    struct pyb_error err = {0};
    const struct pyb_sample *sample = NULL;
    int32_t tid = 0;
    struct pyb_read_options options = {.size = sizeof(options), .flags = argc > 3 ? PYB_READ_QUICK : 0};
    size_t samples = argc > 2 ? strtoul(argv[2], NULL, 10) : 2000;
    if (argc < 2 || samples == 0) {
        fprintf(stderr, "usage: live PID [SAMPLES [quick]]\n");
        return 2;
    }
    double *times = calloc(samples, sizeof(*times));
    if (!times)
        return 2;
    check(pyb_session_new(NULL, &s, &err), "session", &err);
    double began = now_us();
    check(pyb_open_pid(s, (int32_t)strtol(argv[1], NULL, 10), &err), "open", &err);
    struct pyb_info info = {.size = sizeof(info)};
    check(pyb_session_info(s, &info, &err), "find", &err);
    double found = now_us() - began;
    pyb_addr state = deepest(s, &tid);
    uint64_t reads = 0;
    for (size_t i = 0; i < samples; i++) {
        double start = now_us();
        check(pyb_sample(s, state, &options, &sample, &err), "sample", &err);
        times[i] = now_us() - start;
        reads += sample->reads;
    }
    qsort(times, samples, sizeof(*times), by_value);
    printf("version=%s found_us=%.0f found_by=\"%s\" ", info.version, found, info.found_by);
    printf("frames=%u complete=%d median_us=%.2f p90_us=%.2f reads=%.2f agrees=", sample->n_frames,
           sample->complete, times[samples / 2], times[samples * 9 / 10],
           (double)reads / (double)samples);
    printf("%d\n", agrees(s, sample));
    pyb_session_free(s);
    free(times);
    return 0;
}
