// SPDX-License-Identifier: Apache-2.0
#include "api/session.h"
#include "api/sample.h"

#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "unwind/unwind.h"

const char *pyb_version(void)
{
    return PYB_VERSION;
}

int pyb_session_new(const struct pyb_options *options, struct pyb_session **ret, struct pyb_error *err)
{
    struct pyb_ctx ctx;
    *ret = NULL;
    if (options && options->size < sizeof(options->size))
        return pyb_fail(err, PYB_E_USAGE, "struct pyb_options without its size");
    pyb_ctx_init(&ctx, options);
    struct pyb_session *s = pyb_alloc(&ctx, sizeof(*s));
    if (!s)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for a session");
    s->ctx = ctx;
    s->target.ctx = &s->ctx;
    pyb_arena_init(&s->arena, &s->ctx);
    pyb_arena_init(&s->scratch, &s->ctx);
    pyb_buf_init(&s->text, &s->ctx, 0);
    *ret = s;
    return 0;
}

void pyb_session_free(struct pyb_session *s)
{
    if (!s)
        return;
    pyb_sampler_free(s);
    pyb_unwinder_free(s->unwinder);
    pyb_python_free(s->python);
    if (s->target.modules)
        pyb_modules_free(s->target.modules);
    if (s->target.mem)
        pyb_memory_destroy(s->target.mem);
    if (s->core)
        pyb_memory_destroy(s->core);
    pyb_buf_deinit(&s->text);
    pyb_arena_deinit(&s->scratch);
    pyb_arena_deinit(&s->arena);
    struct pyb_ctx ctx = s->ctx;
    pyb_free(&ctx, s);
}

void pyb_session_invalidate(struct pyb_session *s)
{
    if (!s || !s->target.mem)
        return;
    if (s->python)
        pyb_python_invalidate(s->python);
    else
        pyb_memory_invalidate(s->target.mem);
    s->stale_modules = true;
}

static int bring_modules_up_to_date(struct pyb_session *s, struct pyb_error *err)
{
    bool changed = false;
    if (!s->stale_modules)
        return 0;
    // The interpreter's module may be another object now: what hangs on it goes first.
    struct pyb_modules *before = s->target.modules;
    int code = pyb_modules_refresh(&s->target, &changed, err);
    if (code != 0)
        return code;
    s->stale_modules = false;
    if (changed && s->unwinder)
        pyb_unwinder_invalidate(s->unwinder);
    if ((changed || s->target.modules != before) && s->python) {
        pyb_python_free(s->python);
        s->python = NULL;
    }
    return 0;
}

int pyb_session_python(struct pyb_session *s, struct pyb_python **ret, struct pyb_error *err)
{
    if (!s->target.mem)
        return pyb_fail(err, PYB_E_USAGE, "the session has no target: open one first");
    int code = bring_modules_up_to_date(s, err);
    if (code == 0 && !s->python)
        code = pyb_python_find(&s->target, &s->python, err);
    *ret = s->python;
    return code;
}

int pyb_set_modules(struct pyb_session *s, const struct pyb_module_desc *m, size_t n, struct pyb_error *err)
{
    struct pyb_modules *fresh;
    if (s->source.kind != PYB_SOURCE_DESC)
        return pyb_fail(err, PYB_E_USAGE, "only a front end's target has modules that can be replaced");
    pyb_ctx_begin(&s->ctx);
    int code = pyb_modules_from_descs(&s->target, m, n, &fresh, err);
    if (code != 0)
        return code;
    pyb_python_free(s->python);
    s->python = NULL;
    if (s->target.modules) {
        pyb_modules_adopt(fresh, s->target.modules);
        pyb_modules_free(s->target.modules);
    }
    s->target.modules = fresh;
    s->stale_modules = false;
    if (s->unwinder)
        pyb_unwinder_invalidate(s->unwinder);
    return 0;
}

int pyb_session_info(struct pyb_session *s, struct pyb_info *ret, struct pyb_error *err)
{
    struct pyb_python *py;
    if (!ret || ret->size < sizeof(ret->size))
        return pyb_fail(err, PYB_E_USAGE, "struct pyb_info without its size");
    pyb_ctx_begin(&s->ctx);
    int code = pyb_session_python(s, &py, err);
    if (code != 0)
        return code;
    struct pyb_info full = {
        .size = ret->size,
        .version_major = py->major,
        .version_minor = py->minor,
        .version_micro = py->micro,
        .version = py->version,
        .free_threaded = py->free_threaded,
        .debug_build = py->debug_build,
        .runtime = py->runtime ? py->runtime : py->interp_head_at,
        .found_by = py->found_by,
        .layout = py->layout.name,
        .layout_note = py->remark,
        .module = py->module ? py->module->path : NULL,
        .executable = s->target.executable,
        .n_candidates = py->n_candidates,
        .reads = s->below->n_reads,
        .bytes_read = s->below->n_bytes,
        .cache_hits = s->below == s->target.mem || s->tee ? 0 : pyb_cache_hits(s->target.mem),
    };
    size_t size = ret->size < sizeof(full) ? ret->size : sizeof(full);
    memcpy(ret, &full, size);
    return 0;
}

char *pyb_clean_text(struct pyb_arena *arena, const char *text, size_t n)
{
    struct pyb_buf clean;
    pyb_buf_init(&clean, arena->ctx, 0);
    pyb_buf_add_utf8(&clean, text, n);
    char *copy = clean.failed ? NULL : pyb_arena_strdup(arena, pyb_buf_str(&clean));
    pyb_buf_deinit(&clean);
    return copy;
}
