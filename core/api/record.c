// SPDX-License-Identifier: Apache-2.0
// Recordings: the target is opened once more behind a tee and read in full; what the tee saw is the
// recording. Blobs beside the pages: "modules" (symbols/modules_saved.c), "facts" (below), "native"
// (recorded_native.c).
#include "api/recorded.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static void fact(struct pyb_buf *out, const char *key, const char *value)
{
    if (!value)
        return;
    pyb_buf_adds(out, key);
    pyb_buf_addc(out, '=');
    pyb_buf_add(out, value, strlen(value) + 1); // ends with NUL
}

int pyb_facts_save(struct pyb_session *s, struct pyb_buf *ret)
{
    char number[16];
    (void)snprintf(number, sizeof(number), "%d", s->target.pid);
    fact(ret, "tool", "pybraid " PYB_VERSION);
    fact(ret, "pid", number);
    fact(ret, "executable", s->target.executable);
    fact(ret, "core", s->core_path);
    for (uint32_t i = 0; i < s->n_command; i++)
        fact(ret, "arg", s->command[i]);
    return ret->failed ? PYB_E_NOMEM : 0;
}

static void load_fact(struct pyb_session *s, const char *key, const char *value, const char **argv)
{
    size_t n = strlen(value);
    if (strcmp(key, "pid") == 0) {
        s->target.pid = (int32_t)strtol(value, NULL, 10);
    } else if (strcmp(key, "executable") == 0) {
        s->target.executable = pyb_clean_text(&s->arena, value, n);
    } else if (strcmp(key, "core") == 0) {
        s->core_path = pyb_clean_text(&s->arena, value, n);
    } else if (strcmp(key, "arg") == 0 && argv && s->n_command < PYB_RECORDED_ARGUMENTS) {
        argv[s->n_command] = pyb_clean_text(&s->arena, value, n);
        s->n_command += argv[s->n_command] != NULL;
    }
}

// Keys that a newer version wrote are passed over.
void pyb_facts_load(struct pyb_session *s, const char *data, size_t len)
{
    const char **argv = pyb_arena_array(&s->arena, PYB_RECORDED_ARGUMENTS, sizeof(*argv));
    for (size_t i = 0; i < len;) {
        const char *end = memchr(data + i, '\0', len - i);
        if (!end)
            break;
        const char *equals = memchr(data + i, '=', (size_t)(end - data) - i);
        size_t n = equals ? (size_t)(equals - data) - i : 0;
        char key[32];
        if (n > 0 && n < sizeof(key)) {
            memcpy(key, data + i, n);
            key[n] = '\0';
            load_fact(s, key, equals + 1, argv);
        }
        i = (size_t)(end - data) + 1;
    }
    s->command = s->n_command > 0 ? argv : NULL;
}

static int write_recording(struct pyb_session *rec, const struct pyb_native_stack *native, size_t n,
                           const char *path,
                           struct pyb_error *err)
{
    struct pyb_buf facts, modules, stacks;
    pyb_buf_init(&facts, &rec->ctx, 0);
    pyb_buf_init(&modules, &rec->ctx, 0);
    pyb_buf_init(&stacks, &rec->ctx, 0);
    int code = pyb_facts_save(rec, &facts);
    if (code == 0)
        code = pyb_modules_save(rec->target.modules, &modules);
    if (code == 0)
        code = pyb_native_save(native, n, &stacks);
    if (code != 0) {
        code = pyb_fail(err, code, "no memory for the recording");
    } else {
        struct pyb_blob blobs[] = {
            {"facts", pyb_buf_str(&facts), facts.len},
            {"modules", pyb_buf_str(&modules), modules.len},
            {"native", pyb_buf_str(&stacks), stacks.len},
        };
        code = pyb_tee_write(rec->target.mem, path, blobs, sizeof(blobs) / sizeof(*blobs), err);
    }
    pyb_buf_deinit(&facts);
    pyb_buf_deinit(&modules);
    pyb_buf_deinit(&stacks);
    return code;
}

// All that any later reading of the recording may want: with and without locals.
static int read_everything(struct pyb_session *rec, const struct pyb_native_stack *native, size_t n,
                           struct pyb_error *err)
{
    static const uint32_t flags[] = {0, PYB_READ_LOCALS, PYB_READ_LOCALS | PYB_READ_VERBOSE};
    for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
        struct pyb_read_options options = {.size = sizeof(options), .flags = flags[i]};
        struct pyb_process *process;
        int code = pyb_read(rec, native, n, false, &options, &process, err);
        if (code != 0)
            return code;
        pyb_process_free(process);
    }
    return 0;
}

int pyb_record(struct pyb_session *s, const struct pyb_native_stack *native, size_t n, const char *path,
               struct pyb_error *err)
{
    struct pyb_session *rec;
    struct pyb_options options = {.size = sizeof(options), .alloc = s->ctx.alloc, .free = s->ctx.free,
                                  .alloc_ctx = s->ctx.alloc_ctx, .max_bytes = s->ctx.max_bytes,
                                      .max_ms = s->ctx.max_ms,
                                  .abort = s->ctx.abort, .abort_ctx = s->ctx.abort_ctx};
    struct pyb_error why = {0};
    if (!path || s->source.kind == PYB_SOURCE_NONE)
        return pyb_fail(err, PYB_E_USAGE, path ? "the session has no target: open one first"
                        : "no path for the recording");
    int code = pyb_session_new(&options, &rec, err);
    if (code != 0)
        return code;
    rec->source = s->source; // its strings belong to `s`, which outlives `rec`
    rec->tee = true;
    pyb_ctx_begin(&rec->ctx);
    code = pyb_session_open(rec, err);
    if (code == 0) {
        int read = read_everything(rec, native, n, &why);
        if (read == PYB_E_USAGE || read == PYB_E_ABORTED) {
            pyb_session_free(rec);
            return pyb_fail(err, read, "%s", why.what);
        }
        code = write_recording(rec, native, n, path, err);
        // What cannot be read is what a bug report is about: the recording is there, and the failure is told.
        if (code == 0 && read != 0) {
            code = pyb_fail(err, read, "%s is written, but reading failed: %.300s", path, why.what);
            if (why.remedy[0])
                pyb_remedy(err, "%s", why.remedy);
        }
    }
    pyb_session_free(rec);
    return code;
}
