// SPDX-License-Identifier: Apache-2.0
// stops PID SIGNAL REPORT COUNT [SEED]: stops a one-threaded target (spin.py) at random instructions, reads
// its frames, and has faulthandler's C handler, queued before it goes on, write the stack of that same
// instruction into REPORT. Compares both line by line; exit 0 only without differences. Where faulthandler
// itself is wrong or gives up, that is counted:
//   given_up     3.14+ ends at "<invalid frame>" where globals are not set yet: what precedes must be equal
//   shims        3.12 shows the shim of an evaluation that has no frame (any more) as a frame of "<shim>"
//   trampolines  3.13+ shows the frame by which an inlined __init__ returns, of the file "__init__"
//   unasked      3.13's crashes the target when the shim is the current frame; that of 3.11 and 3.12 when an
//                evaluation is being set up: current_frame is stack garbage then
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "interp/code.h"
#include "interp/frame.h"
#include "memory/readers.h"
#include "random_stop.h"

#define FAULTHANDLER_FRAMES 100
#define SHOWN 10

struct job {
    struct random_stop stop;
    struct pyb_target t;
    struct pyb_python *py;
    bool empty_innermost, set_up; // the innermost evaluation has no frame; because it begins (3.11, 3.12)
    unsigned long stops, frames, incomplete, empty, differences, given_up, shims, trampolines, unasked;
};

// As faulthandler writes text: ASCII, everything else escaped.
static void add_escaped(struct pyb_buf *b, const char *s)
{
    for (const unsigned char *p = (const unsigned char *)s; *p;) {
        unsigned more = *p < 0x80 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;
        unsigned c = more == 0 ? *p : *p & (0x3fu >> more);
        for (p++; more > 0 && *p; more--, p++)
            c = c << 6 | (*p & 0x3f);
        if (c >= ' ' && c <= 126)
            pyb_buf_addc(b, (char)c);
        else
            pyb_buf_printf(b, c <= 0xff ? "\\x%02x" : c <= 0xffff ? "\\u%04x" : "\\U%08x", c);
    }
}

static void add_frame(struct job *j, const struct pyb_pyframe *f, struct pyb_buf *out)
{
    const struct pyb_code *c;
    struct pyb_position p = {-1, -1, -1, -1};
    struct pyb_error err = {0};
    if (pyb_code_get(j->py, f->code, &c, &err) || pyb_code_position(j->py, c, f->lasti, &p, &err)) {
        pyb_buf_printf(out, "  error: %s\n", err.what);
        return;
    }
    pyb_buf_adds(out, "  File \"");
    add_escaped(out, c->filename ? c->filename : "???");
    if (p.line >= 0)
        pyb_buf_printf(out, "\", line %d in ", p.line);
    else
        pyb_buf_adds(out, "\", line ??? in ");
    add_escaped(out, c->name ? c->name : "???");
    pyb_buf_addc(out, '\n');
    j->frames++;
    j->incomplete += f->incomplete;
}

static void read_ours(struct job *j, struct pyb_buf *out)
{
    struct pyb_arena arena;
    struct pyb_threads threads;
    struct pyb_frames r = {0};
    struct pyb_error err = {0};
    pyb_memory_invalidate(j->t.mem);
    pyb_python_invalidate(j->py);
    pyb_arena_init(&arena, j->t.ctx);
    if (pyb_threads_read(j->py, &arena, &threads, &err) || threads.n < 1 ||
        pyb_frames_read(j->py, &threads.items[0], 1000, &arena, &r, &err))
        pyb_buf_printf(out, "  error: %s\n", err.what);
    for (uint32_t i = 0; i < r.n && i < FAULTHANDLER_FRAMES; i++)
        add_frame(j, &r.frames[i], out);
    for (uint32_t i = 0; i < r.n_evaluations; i++)
        j->empty += r.evaluations[i].n == 0;
    j->empty_innermost = r.n_evaluations && r.evaluations[0].n == 0;
    j->set_up = j->empty_innermost && j->py->minor <= 12 && r.evaluations[0].stack_addr == threads.items[0].top;
    if (r.n > FAULTHANDLER_FRAMES)
        pyb_buf_adds(out, "  ...\n");
    if (r.note)
        pyb_buf_printf(out, "  note: %s\n", r.note);
    pyb_arena_deinit(&arena);
}

static void remove_piece(struct pyb_buf *b, size_t at, size_t n)
{
    memmove(b->data + at, b->data + at + n, b->len - at - n + 1);
    b->len -= n;
}

static unsigned long remove_all(struct pyb_buf *b, const char *piece)
{
    unsigned long n = 0;
    for (char *at; b->len && (at = strstr(b->data, piece)); n++)
        remove_piece(b, (size_t)(at - b->data), strlen(piece));
    return n;
}

static void read_theirs(struct job *j, struct pyb_buf *out)
{
    read_report(&j->stop, out);
    remove_all(out, "Stack (most recent call first):\n");
}

static bool same(struct job *j, const struct pyb_buf *ours, struct pyb_buf *theirs)
{
    static const char invalid[] = "  <invalid frame>\n";
    static const char shim[] = "  File \"<shim>\", line ??? in <interpreter trampoline>\n";
    if (j->py->minor == 12 && j->empty_innermost && theirs->len &&
        !strncmp(theirs->data, shim, sizeof shim - 1)) {
        remove_piece(theirs, 0, sizeof shim - 1);
        j->shims++;
    }
    if (j->py->minor >= 13)
        j->trampolines += remove_all(theirs, "  File \"__init__\", line ??? in __init__\n");
    if (j->py->minor >= 13 && ends_with(theirs, invalid)) {
        j->given_up++;
        return ours->len >= theirs->len && !memcmp(ours->data, theirs->data,
                                                   theirs->len - (sizeof invalid - 1));
    }
    return !strcmp(pyb_buf_str(ours), pyb_buf_str(theirs));
}

static void one_stop(struct job *j)
{
    struct pyb_buf ours, theirs;
    pyb_buf_init(&ours, j->t.ctx, 0);
    pyb_buf_init(&theirs, j->t.ctx, 0);
    interrupt(&j->stop);
    read_ours(j, &ours);
    j->stops++;
    bool asks = !j->set_up && !(j->py->minor == 13 && j->empty_innermost);
    if (asks)
        ask(&j->stop);
    go_on(&j->stop, asks);
    if (asks)
        read_theirs(j, &theirs);
    j->unasked += !asks;
    if (asks && !same(j, &ours, &theirs) && j->differences++ < SHOWN)
        fprintf(stderr, "stop %lu, ours:\n%sfaulthandler's:\n%s\n", j->stops, pyb_buf_str(&ours),
                pyb_buf_str(&theirs));
    pyb_buf_deinit(&ours);
    pyb_buf_deinit(&theirs);
}

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 6) {
        fprintf(stderr, "usage: stops PID SIGNAL REPORT COUNT [SEED]\n");
        return 2;
    }
    struct job j = {.stop = {.pid = (int32_t)strtol(argv[1], NULL, 10), .number = (int)strtol(argv[2], NULL, 10)}};
    struct pyb_ctx ctx;
    struct pyb_error err = {0};
    struct pyb_memory *live;
    pyb_ctx_init(&ctx, NULL);
    pyb_ctx_begin(&ctx);
    j.t = (struct pyb_target){.ctx = &ctx, .pid = j.stop.pid, .is_local = true};
    j.stop.report = open(argv[3], O_RDONLY);
    if (j.stop.report < 0)
        die(argv[3]);
    j.stop.reported = lseek(j.stop.report, 0, SEEK_END);
    if (pyb_live_open(&ctx, j.stop.pid, &live, &err) || pyb_cache_open(&ctx, live, 0, &j.t.mem, &err) ||
        pyb_modules_from_pid(&j.t, &j.t.modules, &err) || pyb_python_find(&j.t, &j.py, &err)) {
        fprintf(stderr, "stops: %s\n", err.what);
        return 2;
    }
    if (ptrace(PTRACE_SEIZE, j.stop.pid, 0, 0))
        die("PTRACE_SEIZE");
    unsigned seed = argc == 6 ? (unsigned)strtoul(argv[5], NULL, 10) : 1;
    for (long left = strtol(argv[4], NULL, 10); left > 0; left--) {
        usleep((useconds_t)(rand_r(&seed) % 1500));
        one_stop(&j);
    }
    printf("stops=%lu frames=%lu incomplete=%lu empty_evaluations=%lu given_up=%lu shims=%lu trampolines=%lu "
           "unasked=%lu "
           "differences=%lu\n", j.stops, j.frames, j.incomplete, j.empty, j.given_up, j.shims, j.trampolines,
           j.unasked, j.differences);
    pyb_python_free(j.py);
    pyb_modules_free(j.t.modules);
    pyb_memory_destroy(j.t.mem);
    return j.differences != 0;
}
