// SPDX-License-Identifier: Apache-2.0
#include "api/read.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "interp/code.h"

static int no_memory(struct pyb_error *err)
{
    return pyb_fail(err, PYB_E_NOMEM, "no memory for the result");
}

void pyb_process_free(struct pyb_process *p)
{
    if (!p)
        return;
    struct pyb_result *result = (struct pyb_result *)p;
    struct pyb_ctx ctx = result->ctx;
    pyb_arena_deinit(&result->arena);
    pyb_free(&ctx, result);
}

static struct pyb_result *result_new(const struct pyb_ctx *ctx)
{
    struct pyb_ctx own = *ctx;
    struct pyb_result *result = pyb_alloc(&own, sizeof(*result));
    if (!result)
        return NULL;
    result->ctx = own;
    pyb_arena_init(&result->arena, &result->ctx);
    return result;
}

static int fill_command(struct pyb_reading *r, struct pyb_error *err)
{
    const struct pyb_session *s = r->s;
    if (!s->command)
        return 0;
    const char **argv = pyb_arena_array(&r->result->arena, s->n_command, sizeof(*argv));
    if (!argv)
        return no_memory(err);
    for (uint32_t i = 0; i < s->n_command; i++) {
        int code = pyb_text_copy(r, s->command[i], &argv[i], err);
        if (code != 0)
            return code;
    }
    r->result->process.command = argv;
    r->result->process.n_command = s->n_command;
    return 0;
}

int pyb_reading_process(struct pyb_reading *r, struct pyb_error *err)
{
    struct pyb_process *p = &r->result->process;
    const char *note = r->threads.note ? r->threads.note : r->py->note;
    p->pid = r->s->target.pid;
    p->free_threaded = r->py->free_threaded;
    p->debug_build = r->py->debug_build;
    int code = pyb_text_copy(r, r->s->core_path, &p->core, err);
    if (code == 0)
        code = pyb_text_copy(r, r->s->target.executable, &p->executable, err);
    if (code == 0)
        code = pyb_text_copy(r, r->py->version, &p->python, err);
    if (code == 0)
        code = pyb_text_copy(r, note, &p->note, err);
    if (code == 0 && !p->note && r->py->layout_note)
        code = pyb_text_copy(r, r->py->layout_note, &p->note, err);
    if (code == 0 && !p->note && r->threads.finalizing)
        p->note = "the interpreter is finalizing";
    return code == 0 ? fill_command(r, err) : code;
}

// 1 running or runnable, 0 asleep, -1 unknown or stopped by a debugger.
static int32_t activity(const struct pyb_reading *r, int32_t tid)
{
    char path[80], text[512];
    const struct pyb_target *t = &r->s->target;
    if (!t->is_local || t->is_core || t->pid <= 0 || tid <= 0)
        return -1;
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", t->pid, tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *state = strrchr(text, ')'); // the name before it may hold anything
    if (!state || strlen(state) < 3)
        return -1;
    return state[2] == 'R' ? 1 : state[2] == 'S' || state[2] == 'D' || state[2] == 'I' ? 0 : -1;
}

int pyb_thread_with_stack(struct pyb_reading *r, size_t index, const struct pyb_owners *owners, struct pyb_thread *ret,
                          struct pyb_error *err)
{
    const struct pyb_native_stack *native = &r->native[index];
    size_t first = owners->first[index], n = owners->first[index + 1] - first;
    int code = pyb_thread_build(r, native, owners->states + first, n, ret, err);
    if (code == 0)
        code = pyb_text_copy(r, native->os_name, &ret->os_name, err);
    ret->tid = native->tid;
    ret->active = native->active >= 0 ? native->active != 0 : activity(r, native->tid);
    return code;
}

int pyb_thread_without_stack(struct pyb_reading *r, const struct pyb_tstate *state, struct pyb_thread *ret,
                             struct pyb_error *err)
{
    int code = pyb_thread_build(r, NULL, &state, 1, ret, err);
    if (code != 0)
        return code;
    ret->tid = state->tid;
    if (ret->tid == 0 && state->main && r->s->target.is_local && !r->s->target.is_core)
        ret->tid = r->s->target.pid;
    ret->active = activity(r, ret->tid);
    return ret->note ? 0 : pyb_text_copy(r, pyb_thread_lack(r, state), &ret->note, err);
}

// Thread states sorted by the native stack they run on; the list is newest first, and so is what is left.
struct owned {
    size_t stack, index;
};

static int by_stack(const void *a, const void *b)
{
    const struct owned *x = a, *y = b;
    if (x->stack != y->stack)
        return x->stack < y->stack ? -1 : 1;
    return x->index > y->index ? -1 : x->index < y->index;
}

int pyb_owners_make(struct pyb_reading *r, struct pyb_owners *ret, struct pyb_error *err)
{
    size_t n = r->threads.n, next = 0;
    struct owned *owned = pyb_arena_array(&r->work, n + 1, sizeof(*owned));
    ret->states = pyb_arena_array(&r->work, n + 1, sizeof(const struct pyb_tstate *));
    ret->first = pyb_arena_array(&r->work, r->n_native + 2, sizeof(*ret->first));
    if (!owned || !ret->states || !ret->first)
        return no_memory(err);
    for (size_t i = 0; i < n; i++)
        owned[i] = (struct owned){r->stack_of[i], i};
    qsort(owned, n, sizeof(*owned), by_stack);
    for (size_t i = 0; i < n; i++)
        ret->states[i] = &r->threads.items[owned[i].index];
    for (size_t i = 0; i < r->n_native; i++) {
        ret->first[i] = next;
        while (next < n && owned[next].stack == i)
            next++;
    }
    ret->first[r->n_native] = next;
    ret->first[r->n_native + 1] = n;
    return 0;
}

static int fill_threads(struct pyb_reading *r, bool only_given, struct pyb_error *err)
{
    struct pyb_process *p = &r->result->process;
    struct pyb_owners owners;
    int code = pyb_owners_make(r, &owners, err);
    if (code != 0)
        return code;
    size_t total = r->n_native + (only_given ? 0 : r->threads.n);
    struct pyb_thread *threads = pyb_arena_array(&r->result->arena, total + 1, sizeof(*threads));
    if (!threads)
        return no_memory(err);
    p->threads = threads;
    for (size_t i = 0; code == 0 && i < r->n_native; i++)
        code = pyb_thread_with_stack(r, i, &owners, &threads[p->n_threads++], err);
    for (size_t i = owners.first[r->n_native]; code == 0 && !only_given && i < r->threads.n; i++)
        code = pyb_thread_without_stack(r, owners.states[i], &threads[p->n_threads++], err);
    return code;
}

int pyb_reading_threads(struct pyb_reading *r, struct pyb_error *err)
{
    int code = pyb_threads_read(r->py, &r->work, &r->threads, err);
    if (code != 0)
        return code;
    pyb_gil_read(r->py, &r->threads);
    pyb_thread_names_read(r->py, &r->work, &r->threads);
    return 0;
}

static int read_all(struct pyb_reading *r, const struct pyb_native_stack *native, size_t n, bool only_given,
                    struct pyb_error *err)
{
    bool recorded = n == 0 && !only_given;
    int code = recorded ? pyb_native_copy(r, r->s->recorded, r->s->n_recorded, err)
        : pyb_native_copy(r, native, n, err);
    if (code == 0)
        code = pyb_reading_threads(r, err);
    if (code == 0)
        code = pyb_threads_match(r, err);
    if (code == 0)
        pyb_gil_waits_read(r->py, &r->threads);
    if (code == 0)
        code = pyb_reading_process(r, err);
    return code == 0 ? fill_threads(r, only_given, err) : code;
}

int pyb_reading_begin(struct pyb_reading *r, struct pyb_session *s, const struct pyb_read_options *options,
                      struct pyb_error *err)
{
    *r = (struct pyb_reading){.s = s};
    pyb_ctx_begin(&s->ctx);
    int code = pyb_repr_limits(options, &r->options, &r->limits, err);
    if (code == 0)
        code = pyb_session_python(s, &r->py, err);
    if (code != 0)
        return code;
    pyb_codes_trim(r->py);
    r->result = result_new(&s->ctx);
    if (!r->result)
        return no_memory(err);
    pyb_arena_init(&r->work, &s->ctx);
    pyb_map_init(&r->texts, &s->ctx);
    return 0;
}

int pyb_reading_end(struct pyb_reading *r, int code, struct pyb_process **ret)
{
    pyb_map_deinit(&r->texts);
    pyb_arena_deinit(&r->work);
    if (code != 0)
        pyb_process_free(&r->result->process);
    else
        *ret = &r->result->process;
    return code;
}

int pyb_read(struct pyb_session *s, const struct pyb_native_stack *native, size_t n, bool only_given,
             const struct pyb_read_options *options, struct pyb_process **ret, struct pyb_error *err)
{
    struct pyb_reading r;
    *ret = NULL;
    int code = pyb_reading_begin(&r, s, options, err);
    if (code != 0)
        return code;
    return pyb_reading_end(&r, read_all(&r, native, n, only_given, err), ret);
}
