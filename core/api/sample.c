// SPDX-License-Identifier: Apache-2.0
#include "api/sample.h"

#include <string.h>
#include <time.h>

#include "api/read.h"
#include "base/error.h"
#include "interp/code.h"
#include "interp/fields.h"
#include "memory/cache.h"

#define ROUND_NS 10000000 // PYB_READ_QUICK

static void free_threads(struct pyb_session *s)
{
    struct pyb_sampler *p = s->sampler;
    for (uint32_t i = 0; i < p->n; i++) {
        pyb_free(&s->ctx, p->threads[i].all.pages);
        pyb_free(&s->ctx, p->threads[i].quick.pages);
    }
    pyb_free(&s->ctx, p->threads);
}

void pyb_sampler_free(struct pyb_session *s)
{
    struct pyb_sampler *p = s->sampler;
    if (!p)
        return;
    free_threads(s);
    pyb_map_deinit(&p->by_address);
    pyb_arena_deinit(&p->list);
    pyb_arena_deinit(&p->result);
    pyb_free(&s->ctx, p->rows);
    if (p->mem)
        pyb_memory_destroy(p->mem);
    pyb_free(&s->ctx, p);
    s->sampler = NULL;
}

static int need_sampler(struct pyb_session *s, struct pyb_error *err)
{
    if (s->sampler)
        return 0;
    s->sampler = pyb_alloc(&s->ctx, sizeof(*s->sampler));
    if (!s->sampler)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for samples");
    pyb_map_init(&s->sampler->by_address, &s->ctx);
    pyb_arena_init(&s->sampler->list, &s->ctx);
    pyb_arena_init(&s->sampler->result, &s->ctx);
    return pyb_cache_borrow(&s->ctx, s->below, &s->sampler->mem, err);
}

// While it samples, the session reads through the sampler's cache: what a debugger's user sees stays.
static int begin(struct pyb_session *s, struct pyb_python **ret_py, struct pyb_memory **ret_usual,
                 struct pyb_error *err)
{
    pyb_ctx_begin(&s->ctx);
    int code = pyb_session_python(s, ret_py, err);
    if (code == 0)
        code = need_sampler(s, err);
    if (code != 0)
        return code;
    pyb_codes_trim(*ret_py);
    *ret_usual = s->target.mem;
    s->target.mem = s->sampler->mem;
    return 0;
}

static int no_memory(struct pyb_error *err)
{
    return pyb_fail(err, PYB_E_NOMEM, "no memory for a list of thread states");
}

// Thread states that were there before keep their pages.
static int replace_threads(struct pyb_session *s, const struct pyb_threads *now, struct pyb_error *err)
{
    struct pyb_sampler *p = s->sampler;
    struct pyb_sampled *threads = pyb_alloc(&s->ctx, (now->n + 1) * sizeof(*threads));
    if (!threads)
        return no_memory(err);
    for (size_t i = 0; i < now->n; i++) {
        uintptr_t known;
        if (pyb_map_get(&p->by_address, now->items[i].addr, &known)) {
            threads[i] = p->threads[known];
            p->threads[known].all.pages = p->threads[known].quick.pages = NULL; // they moved
        }
        threads[i].state = now->items[i];
    }
    free_threads(s);
    p->threads = threads;
    p->n = (uint32_t)now->n;
    pyb_map_clear(&p->by_address);
    for (uint32_t i = 0; i < p->n; i++)
        if (pyb_map_put(&p->by_address, threads[i].state.addr, i))
            return no_memory(err);
    return 0;
}

static int list(struct pyb_session *s, struct pyb_python *py, const struct pyb_thread_state **ret,
                uint32_t *ret_n, struct pyb_error *err)
{
    struct pyb_sampler *p = s->sampler;
    struct pyb_reading r = {.s = s, .py = py};
    pyb_arena_init(&r.work, &s->ctx);
    pyb_python_invalidate(py);
    int code = pyb_threads_read(py, &r.work, &r.threads, err);
    if (code == 0)
        code = pyb_threads_match(&r, err);
    if (code == 0)
        code = replace_threads(s, &r.threads, err);
    pyb_arena_deinit(&r.work);
    if (code != 0)
        return code;
    pyb_arena_deinit(&p->list);
    struct pyb_thread_state *rows = pyb_arena_array(&p->list, p->n + 1u, sizeof(*rows));
    if (!rows)
        return no_memory(err);
    for (uint32_t i = 0; i < p->n; i++) {
        const struct pyb_tstate *t = &p->threads[i].state;
        rows[i] = (struct pyb_thread_state){
            .state = t->addr,
            .tid = t->tid,
            .ident = t->thread_id,
            .interpreter = t->interp_id,
            .main = t->main,
        };
    }
    *ret = rows;
    *ret_n = p->n;
    return 0;
}

int pyb_thread_states(struct pyb_session *s, const struct pyb_thread_state **ret, uint32_t *ret_n,
                      struct pyb_error *err)
{
    struct pyb_python *py;
    struct pyb_memory *usual;
    *ret = NULL;
    *ret_n = 0;
    int code = begin(s, &py, &usual, err);
    if (code != 0)
        return code;
    code = list(s, py, ret, ret_n, err);
    s->target.mem = usual;
    return code;
}

static bool need_rows(struct pyb_session *s, size_t n)
{
    struct pyb_sampler *p = s->sampler;
    if (n <= p->cap_rows)
        return true;
    size_t cap = n < 64 ? 64 : n + n / 2, bytes;
    if (__builtin_mul_overflow(cap, sizeof(*p->rows), &bytes) || bytes > s->ctx.max_bytes)
        return false;
    pyb_free(&s->ctx, p->rows);
    p->rows = pyb_alloc(&s->ctx, bytes);
    p->cap_rows = p->rows ? cap : 0;
    return p->rows != NULL;
}

// A code object whose names or lines cannot be read leaves its frame without; false: the error is about everything.
static bool fill_frame(struct pyb_python *py, const struct pyb_pyframe *f, struct pyb_sample_frame *ret,
                       struct pyb_error *err)
{
    const struct pyb_code *code = f->object;
    struct pyb_position at;
    int rc = pyb_code_position(py, code, f->lasti, &at, err);
    *ret = (struct pyb_sample_frame){
        .name = code->qualname ? code->qualname : code->name,
        .func = code->name,
        .file = code->filename,
        .line = at.line,
        .end_line = at.end_line,
        .column = at.column,
        .end_column = at.end_column,
    };
    return !pyb_is_final(rc);
}

static void place(const struct pyb_pyframe *f, struct pyb_sample_frame *ret)
{
    ret->lasti = f->lasti;
    ret->code = f->code;
    ret->frame = f->addr;
    ret->entry = f->entry;
    ret->approximate = f->jit;
}

static int fill(struct pyb_session *s, struct pyb_python *py, const struct pyb_frames *frames,
                struct pyb_error *err)
{
    struct pyb_sampler *p = s->sampler;
    if (!need_rows(s, frames->n + 1u))
        return pyb_fail(err, PYB_E_NOMEM, "no memory for a sample of %u frames", frames->n);
    struct pyb_sample_frame *rows = p->rows;
    uint32_t n = 0, same = 0; // same: the first row of the run at one place
    struct pyb_error why;
    for (uint32_t i = 0; i < frames->n; i++) {
        const struct pyb_pyframe *f = &frames->frames[i];
        if (n > same && rows[same].code == f->code && rows[same].lasti == f->lasti && rows[same].name) {
            rows[n] = rows[same]; // recursion: the same place once more
        } else if (fill_frame(py, f, &rows[n], &why)) {
            same = n;
        } else {
            if (err)
                *err = why;
            return why.code;
        }
        place(f, &rows[n]);
        bool known = f->evaluation < frames->n_evaluations;
        rows[n].evaluation = known ? frames->evaluations[f->evaluation].stack_addr : 0;
        n += rows[n].name || !f->incomplete; // else being pushed, and not there yet
    }
    p->sample = (struct pyb_sample){
        .frames = rows,
        .n_frames = n,
        .complete = frames->complete,
        .note = frames->note,
    };
    return 0;
}

static uint64_t this_round(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_MONOTONIC, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * (1000000000 / ROUND_NS) + (uint64_t)t.tv_nsec / ROUND_NS + 1;
}

static int sample(struct pyb_session *s, struct pyb_python *py, struct pyb_sampled *t,
                  const struct pyb_read_options *o, struct pyb_error *err)
{
    struct pyb_sampler *p = s->sampler;
    struct pyb_frames frames;
    py->texts_round = o->flags & PYB_READ_QUICK ? this_round() : 0;
    struct pyb_page_list *list = py->texts_round && py->texts_round == t->round ? &t->quick : &t->all;
    t->round = py->texts_round;
    py->generation++; // as pyb_python_invalidate() does, but the pages stay where they are
    pyb_cache_renew(p->mem, list->pages, list->n);
    int code = pyb_tstate_refresh(py, &t->state, err);
    if (code != 0)
        return code;
    pyb_arena_reset(&p->result);
    code = pyb_frames_read(py, &t->state, o->max_frames, &p->result, &frames, err);
    if (code == 0)
        code = fill(s, py, &frames, err);
    if (code == 0 && pyb_cache_touched(p->mem, &list->pages, &list->n, &list->cap))
        code = pyb_fail(err, PYB_E_NOMEM, "no memory for a list of pages");
    return code;
}

int pyb_sample(struct pyb_session *s, pyb_addr state, const struct pyb_read_options *options,
               const struct pyb_sample **ret, struct pyb_error *err)
{
    struct pyb_python *py;
    struct pyb_memory *usual;
    struct pyb_read_options full;
    struct pyb_repr_limits limits;
    uintptr_t index;
    *ret = NULL;
    int code = pyb_repr_limits(options, &full, &limits, err);
    if (code == 0)
        code = begin(s, &py, &usual, err);
    if (code != 0)
        return code;
    uint64_t before = s->below->n_reads;
    if (pyb_map_get(&s->sampler->by_address, state, &index))
        code = sample(s, py, &s->sampler->threads[index], &full, err);
    else
        code = pyb_fail_at(err, PYB_E_NOTFOUND, state, 0, "0x%llx is no thread state that was listed",
                           (unsigned long long)state);
    s->target.mem = usual;
    py->texts_round = 0;
    if (code != 0)
        return code;
    s->sampler->sample.reads = s->below->n_reads - before;
    *ret = &s->sampler->sample;
    return 0;
}
