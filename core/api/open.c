// SPDX-License-Identifier: Apache-2.0
// Opening a target: memory behind a cache, the list of its files, facts about it. Nothing is stopped.
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/recorded.h"
#include "api/session.h"
#include "base/error.h"

static int copy_string(struct pyb_session *s, const char *from, const char **ret, struct pyb_error *err)
{
    *ret = NULL;
    if (!from)
        return 0;
    *ret = pyb_arena_strdup(&s->arena, from);
    return *ret ? 0 : pyb_fail(err, PYB_E_NOMEM, "no memory for a path");
}

// Takes `below`: from here on the session's memory owns it.
static int put_cache(struct pyb_session *s, struct pyb_memory *below, struct pyb_error *err)
{
    int code = s->tee ? pyb_tee_open(&s->ctx, below, &s->target.mem, err)
                      : pyb_cache_open(&s->ctx, below, 0, &s->target.mem, err);
    if (code != 0) {
        s->target.mem = NULL;
        pyb_memory_destroy(below);
        return code;
    }
    s->below = below;
    return 0;
}

static ssize_t read_exe(int32_t pid, char *path, size_t size)
{
    char link[64];
    (void)snprintf(link, sizeof(link), "/proc/%d/exe", pid);
    return readlink(link, path, size);
}

static void find_executable(struct pyb_session *s, int32_t pid)
{
    char path[PATH_MAX];
    ssize_t n = read_exe(pid, path, sizeof(path));
    int32_t other = n < 0 && errno == ENOENT ? pyb_live_other_thread(pid) : 0;
    if (other)
        n = read_exe(other, path, sizeof(path));
    if (n > 0) // not readable for another user's process: the executable stays unknown
        s->target.executable = pyb_clean_text(&s->arena, path, (size_t)n);
}

static int open_pid(struct pyb_session *s, struct pyb_error *err)
{
    struct pyb_memory *live;
    s->target.pid = s->source.pid;
    s->target.is_local = true;
    int code = pyb_live_open(&s->ctx, s->source.pid, &live, err);
    if (code == 0)
        code = put_cache(s, live, err);
    if (code == 0)
        code = pyb_modules_from_pid(&s->target, &s->target.modules, err);
    if (code == 0)
        find_executable(s, s->source.pid);
    return code;
}

static void use_facts(struct pyb_session *s, const struct pyb_core_facts *facts)
{
    s->facts = facts;
    if (!s->target.pid)
        s->target.pid = facts->pid;
    s->target.is_core = true;
}

static int open_core(struct pyb_session *s, struct pyb_error *err)
{
    struct pyb_memory *core;
    s->core_path = s->source.path;
    int code = pyb_core_open(&s->ctx, s->source.path, &core, err);
    if (code != 0)
        return code;
    use_facts(s, pyb_core_facts(core));
    code = put_cache(s, core, err);
    if (code == 0)
        code = pyb_modules_from_core(&s->target, s->facts, s->source.exe, &s->target.modules, err);
    if (code != 0)
        return code;
    // Backing fills the core itself, below the cache, whose pages were read before that.
    struct pyb_memory *cache = s->target.mem;
    s->target.mem = core;
    int lacking = pyb_modules_back_core(&s->target, err);
    s->target.mem = cache;
    pyb_memory_invalidate(cache);
    if (lacking < 0)
        return lacking;
    struct pyb_module *exe = pyb_modules_executable(s->target.modules);
    s->target.executable = s->source.exe ? s->source.exe : exe ? pyb_arena_strdup(&s->arena, exe->path)
        : NULL;
    return 0;
}

static int open_recording(struct pyb_session *s, struct pyb_error *err)
{
    struct pyb_memory *recording;
    struct pyb_blob blob;
    int code = pyb_recording_open(&s->ctx, s->source.path, &recording, err);
    if (code == 0)
        code = put_cache(s, recording, err);
    if (code != 0)
        return code;
    code = pyb_recording_blob(recording, "modules", &blob);
    if (code != 0)
        return pyb_fail(err, PYB_E_CORRUPT, "%s has no list of modules: not a recording of a process",
                        s->source.path);
    code = pyb_modules_from_saved(&s->target, blob.data, blob.len, &s->target.modules, err);
    if (code == 0 && pyb_recording_blob(recording, "facts", &blob) == 0)
        pyb_facts_load(s, blob.data, blob.len);
    if (code == 0 && pyb_recording_blob(recording, "native", &blob) == 0)
        code = pyb_native_load(blob.data, blob.len, &s->arena, &s->recorded, &s->n_recorded, err);
    return code;
}

// Where the front end gives no modules: what this host knows of the process, the core's own list, the link
// map.
static int find_modules(struct pyb_session *s, struct pyb_error *err)
{
    const struct pyb_target_desc *d = &s->source.desc;
    if (d->modules && d->n_modules > 0)
        return pyb_modules_from_descs(&s->target, d->modules, d->n_modules, &s->target.modules, err);
    if (d->is_local && !d->is_core && d->pid > 0)
        return pyb_modules_from_pid(&s->target, &s->target.modules, err);
    if (d->core_path) {
        int code = pyb_core_open(&s->ctx, d->core_path, &s->core, err);
        if (code == 0) {
            use_facts(s, pyb_core_facts(s->core));
            return pyb_modules_from_core(&s->target, s->facts, d->executable, &s->target.modules, err);
        }
        s->core = NULL; // the debugger reads it all the same (compressed, say): ask the link map
    }
    return pyb_modules_from_link_map(&s->target, d->at_phdr, d->at_phnum, &s->target.modules, err);
}

static int open_desc(struct pyb_session *s, struct pyb_error *err)
{
    const struct pyb_target_desc *d = &s->source.desc;
    struct pyb_memory *callback;
    if (!d->read)
        return pyb_fail(err, PYB_E_USAGE, "a target without a read function");
    if (d->ptr_size != 4 && d->ptr_size != 8)
        return pyb_fail(err, PYB_E_USAGE, "a target with pointers of %u bytes", d->ptr_size);
    s->target.pid = d->pid;
    s->target.is_local = d->is_local;
    s->target.is_core = d->is_core;
    s->target.symbol = d->symbol;
    s->target.symbol_ctx = d->ctx;
    s->core_path = d->core_path;
    s->target.executable = d->executable;
    int code = pyb_callback_open(&s->ctx, d, &callback, err);
    if (code == 0)
        code = put_cache(s, callback, err);
    return code == 0 ? find_modules(s, err) : code;
}

int pyb_session_open(struct pyb_session *s, struct pyb_error *err)
{
    int code;
    switch (s->source.kind) {
    case PYB_SOURCE_PID:
        code = open_pid(s, err);
        break;
    case PYB_SOURCE_CORE:
        code = open_core(s, err);
        break;
    case PYB_SOURCE_RECORDING:
        code = open_recording(s, err);
        break;
    case PYB_SOURCE_DESC:
        code = open_desc(s, err);
        break;
    default:
        code = pyb_fail(err, PYB_E_USAGE, "nothing to open");
    }
    if (code == 0)
        pyb_session_find_command(s);
    return code;
}

static int begin(struct pyb_session *s, enum pyb_source_kind kind, struct pyb_error *err)
{
    if (s->source.kind != PYB_SOURCE_NONE)
        return pyb_fail(err, PYB_E_USAGE, "the session has a target already");
    pyb_ctx_begin(&s->ctx);
    s->source.kind = kind;
    return 0;
}

int pyb_open_pid(struct pyb_session *s, int32_t pid, struct pyb_error *err)
{
    if (pid <= 0)
        return pyb_fail(err, PYB_E_USAGE, "%d is no process id", pid);
    int code = begin(s, PYB_SOURCE_PID, err);
    if (code != 0)
        return code;
    s->source.pid = pid;
    return pyb_session_open(s, err);
}

int pyb_open_core(struct pyb_session *s, const char *core, const char *exe, struct pyb_error *err)
{
    if (!core)
        return pyb_fail(err, PYB_E_USAGE, "no path of a core file");
    int code = begin(s, PYB_SOURCE_CORE, err);
    if (code == 0)
        code = copy_string(s, core, &s->source.path, err);
    if (code == 0)
        code = copy_string(s, exe, &s->source.exe, err);
    return code == 0 ? pyb_session_open(s, err) : code;
}

int pyb_open_recording(struct pyb_session *s, const char *path, struct pyb_error *err)
{
    if (!path)
        return pyb_fail(err, PYB_E_USAGE, "no path of a recording");
    int code = begin(s, PYB_SOURCE_RECORDING, err);
    if (code == 0)
        code = copy_string(s, path, &s->source.path, err);
    return code == 0 ? pyb_session_open(s, err) : code;
}

static int copy_modules(struct pyb_session *s, struct pyb_target_desc *d, struct pyb_error *err)
{
    if (!d->modules || d->n_modules == 0)
        return 0;
    size_t stride = d->modules->size;
    if (stride < offsetof(struct pyb_module_desc, local_path))
        return pyb_fail(err, PYB_E_USAGE, "struct pyb_module_desc without its size");
    struct pyb_module_desc *copy = pyb_arena_array(&s->arena, d->n_modules, sizeof(*copy));
    if (!copy)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for %zu modules", d->n_modules);
    const char *from = (const char *)d->modules;
    for (size_t i = 0; i < d->n_modules; i++, from += stride) {
        memcpy(&copy[i], from, stride < sizeof(*copy) ? stride : sizeof(*copy));
        copy[i].size = sizeof(*copy);
        int code = copy_string(s, copy[i].path, &copy[i].path, err);
        if (code == 0)
            code = copy_string(s, copy[i].local_path, &copy[i].local_path, err);
        if (code != 0)
            return code;
    }
    d->modules = copy;
    return 0;
}

int pyb_open_target(struct pyb_session *s, const struct pyb_target_desc *desc, struct pyb_error *err)
{
    if (!desc || desc->size < offsetof(struct pyb_target_desc, at_phdr))
        return pyb_fail(err, PYB_E_USAGE, "struct pyb_target_desc without its size");
    int code = begin(s, PYB_SOURCE_DESC, err);
    if (code != 0)
        return code;
    struct pyb_target_desc *d = &s->source.desc;
    memcpy(d, desc, desc->size < sizeof(*d) ? desc->size : sizeof(*d));
    d->size = sizeof(*d);
    code = copy_string(s, d->executable, &d->executable, err);
    if (code == 0)
        code = copy_string(s, d->core_path, &d->core_path, err);
    if (code == 0)
        code = copy_modules(s, d, err);
    return code == 0 ? pyb_session_open(s, err) : code;
}
