// SPDX-License-Identifier: Apache-2.0
#include "watch_look.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "escape.h"
#include "proc.h"

#define LOOK_MAX_MS 20000u    // for one process
#define LOOK_ALL_NS 60000000000ll // for all of them: then those that are left are not looked at
#define EARLIER_FRAMES 50u    // of a thread's stack in an earlier look, kept in case it moves

static int64_t monotonic_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    for (int i = 0; i < 8; i++, value >>= 8)
        hash = (hash ^ (value & 0xff)) * 0x100000001b3u; // FNV-1a
    return hash;
}

// A code object's address alone could be another function's by the next look.
static uint64_t mix_text(uint64_t hash, const char *text)
{
    for (; text && *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return mix(hash, 0);
}

static struct watch_frame number_frame(const struct pyb_frame *f)
{
    struct watch_frame ret = {.which = mix(0xcbf29ce484222325u, f->kind)};
    if (f->kind == PYB_FRAME_PYTHON) {
        ret.which = mix_text(mix_text(mix(mix(ret.which, f->frame), f->code), f->name), f->file);
        ret.place = mix(mix(ret.which, (uint64_t)f->lasti), (uint64_t)f->line);
    } else {
        ret.place = ret.which = mix(mix(ret.which, f->pc), f->sp);
    }
    return ret;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void put_place(struct cli_out *out, const struct pyb_frame *f)
{
    const char *file = f->short_file ? f->short_file : f->file;
    (void)cli_escaped(out, f->name ? f->name : "?", 0);
    if (f->kind != PYB_FRAME_PYTHON) {
        cli_printf(out, " ()%s", f->module ? " from " : "");
        (void)cli_escaped(out, f->module ? last_part(f->module) : "", 0);
        return;
    }
    cli_printf(out, " (");
    (void)cli_escaped(out, file ? file : "?", 0);
    if (f->line >= 0)
        cli_printf(out, ":%d", f->line);
    cli_printf(out, ")");
}

// The innermost Python frame, else the innermost native one with a name, or NULL.
static const struct pyb_frame *telling_frame(const struct pyb_thread *t)
{
    const struct pyb_frame *best = NULL;
    for (uint32_t i = 0; i < t->n_frames; i++) {
        const struct pyb_frame *f = &t->frames[i];
        if (f->kind == PYB_FRAME_PYTHON)
            return f;
        if (f->kind == PYB_FRAME_NATIVE && f->name && !best)
            best = f;
    }
    return best;
}

static bool is_library(const struct pyb_frame *f)
{
    static const char *const marks[] = {"/lib/python", "/lib64/python", "-packages/", "<frozen "};
    for (size_t i = 0; f->file && i < sizeof(marks) / sizeof(marks[0]); i++) {
        if (strstr(f->file, marks[i]))
            return true;
    }
    return !f->file;
}

// The innermost frame of the user's own code; NULL: none.
static const struct pyb_frame *own_frame(const struct pyb_thread *t)
{
    for (uint32_t i = 0; i < t->n_frames; i++) {
        if (t->frames[i].kind == PYB_FRAME_PYTHON && !is_library(&t->frames[i]))
            return &t->frames[i];
    }
    return NULL;
}

// "SocketIO.readinto (socket.py:706) in recvfrom, called from fetch (client.py:31)"
static char *where_is(const struct pyb_thread *t)
{
    char *ret = NULL;
    size_t size;
    const struct pyb_frame *frame = telling_frame(t), *own = own_frame(t);
    struct cli_out out = {.file = open_memstream(&ret, &size)};
    if (!out.file)
        return NULL;
    if (frame)
        put_place(&out, frame);
    else
        cli_printf(&out, "no frame with a name");
    if (t->syscall)
        cli_printf(&out, " in %s", t->syscall);
    if (own && own != frame) {
        cli_printf(&out, ", called from ");
        put_place(&out, own);
    }
    return fclose(out.file) == 0 ? ret : NULL;
}

static void number_frames(struct watch_thread *ret, const struct pyb_thread *t)
{
    size_t size;
    ret->frames = calloc(t->n_frames ? t->n_frames : 1, sizeof(*ret->frames));
    struct cli_out labels = {.file = open_memstream(&ret->labels, &size)};
    if (!ret->frames || !labels.file) {
        if (labels.file)
            (void)fclose(labels.file);
        return;
    }
    (void)cli_write(&labels, "", 1); // no label begins at 0
    for (uint32_t i = 0; i < t->n_frames; i++) {
        ret->frames[i] = number_frame(&t->frames[i]);
        if (t->frames[i].kind != PYB_FRAME_PYTHON)
            continue;
        ret->frames[i].label = (size_t)ftell(labels.file);
        put_place(&labels, &t->frames[i]);
        (void)cli_write(&labels, "", 1);
    }
    if (fclose(labels.file) == 0 && labels.sys_errno == 0)
        ret->n_frames = t->n_frames;
}

// Start, CPU and sleeps of a thread; they stay 0 when it has ended.
static void read_times(int32_t pid, struct watch_thread *ret)
{
    char text[4096];
    (void)proc_read("", text, sizeof(text), "/proc/%d/task/%d/stat", pid, ret->tid);
    const char *rest = strrchr(text, ')');
    unsigned long long user, system, start;
    if (rest && sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %*d %*d %llu", &user,
                       &system, &start) == 3) {
        ret->ticks = user + system;
        ret->start = start;
    }
    (void)proc_read("", text, sizeof(text), "/proc/%d/task/%d/status", pid, ret->tid);
    const char *switches = proc_field(text, "voluntary_ctxt_switches");
    ret->switches = switches ? strtoull(switches, NULL, 10) : 0;
}

static char *shown_name(const struct pyb_thread *t)
{
    char *ret = NULL;
    size_t size;
    const char *name = t->name ? t->name : t->os_name;
    struct cli_out out = {.file = name ? open_memstream(&ret, &size) : NULL};
    if (!out.file)
        return NULL;
    cli_printf(&out, "%s", t->name ? "\"" : "["); // as `dump` shows them
    (void)cli_escaped(&out, name, 0);
    cli_printf(&out, "%s", t->name ? "\"" : "]");
    return fclose(out.file) == 0 ? ret : NULL;
}

// Text of a result through one of the functions that write it; NULL: no memory.
struct rendering {
    const struct pyb_process *process;
    const struct pyb_thread *thread; // or NULL
    const struct show *show;
    bool color, json;
};

static char *render(const struct rendering *r)
{
    char *ret = NULL;
    size_t size;
    struct cli_out out = {.file = open_memstream(&ret, &size), .path = "memory", .color = r->color};
    if (!out.file)
        return NULL;
    if (r->json)
        (void)pyb_json(r->process, cli_write, &out); // a failure is in out.sys_errno
    else if (!r->thread)
        (void)show_process(&out, r->process, r->show);
    else
        (void)pyb_text_thread(r->thread,
                              &(struct pyb_text_options){.size = sizeof(struct pyb_text_options),
                                                         .flags = PYB_TEXT_PYTHON | PYB_TEXT_NO_HEADER |
                                                                  (r->color ? PYB_TEXT_COLOR : 0u),
                                                         .limit = EARLIER_FRAMES,
                                                         .current = -1},
                              cli_write, &out);
    bool failed = out.sys_errno != 0;
    if (fclose(out.file) == 0 && !failed)
        return ret;
    free(ret);
    return NULL;
}

static char *findings_of(const struct pyb_process *p)
{
    char *ret = NULL;
    size_t size;
    struct cli_out out = {.file = p->n_findings ? open_memstream(&ret, &size) : NULL};
    if (!out.file)
        return NULL;
    for (uint32_t i = 0; i < p->n_findings; i++) {
        cli_printf(&out, "    ");
        (void)cli_escaped(&out, p->findings[i].text, 0);
        cli_printf(&out, "\n");
    }
    return fclose(out.file) == 0 ? ret : NULL;
}

static void keep_process(struct watch_seen *seen, const struct pyb_process *p, const struct show *show, bool color)
{
    struct rendering r = {.process = p, .show = show, .color = color};
    seen->text = render(&r);
    seen->findings = findings_of(p);
    r.json = true;
    seen->json = render(&r);
    r.json = false;
    seen->threads = calloc(p->n_threads ? p->n_threads : 1, sizeof(*seen->threads));
    for (uint32_t i = 0; seen->threads && i < p->n_threads; i++) {
        struct watch_thread *t = &seen->threads[seen->n_threads++];
        r.thread = &p->threads[i];
        *t = (struct watch_thread){.tid = p->threads[i].tid, .at_ns = monotonic_ns(), .cpu = -1};
        read_times(seen->proc.pid, t);
        number_frames(t, &p->threads[i]);
        t->where = where_is(&p->threads[i]);
        t->name = shown_name(&p->threads[i]);
        t->text = render(&r);
    }
}

static void set_failure(struct watch_seen *seen, const struct pyb_error *err)
{
    size_t size;
    struct cli_out out = {.file = open_memstream(&seen->failure, &size)};
    if (!out.file)
        return;
    (void)cli_escaped(&out, err->what[0] ? err->what : "it cannot be read", 0);
    cli_printf(&out, "%s", err->remedy[0] ? "; " : "");
    (void)cli_escaped(&out, err->remedy, 0);
    if (fclose(out.file) != 0)
        seen->failure = NULL;
}

static int read_process(struct watch_seen *seen, const struct show *show, bool color, struct pyb_error *err)
{
    struct pyb_options options = {.size = sizeof(options), .max_ms = LOOK_MAX_MS};
    struct pyb_dump_options dump = {.size = sizeof(dump), .flags = show->dump};
    struct pyb_read_options reading = {.size = sizeof(reading), .flags = show->read};
    struct pyb_session *session;
    struct pyb_process *process = NULL;
    int rc = pyb_session_new(&options, &session, err);
    if (rc != 0)
        return rc;
    rc = pyb_open_pid(session, seen->proc.pid, err);
    if (rc == 0)
        rc = pyb_dump(session, &dump, &reading, &process, err);
    if (rc == 0)
        keep_process(seen, process, show, color);
    pyb_process_free(process);
    pyb_session_free(session);
    return rc;
}

static void see(struct watch_seen *seen, const struct watch_proc *p, const struct show *show, bool color, bool late)
{
    struct pyb_error err = {.what = "not looked at, since the others took a minute"};
    *seen = (struct watch_seen){.proc = *p, .python = true};
    proc_command("", p->pid, p->comm, seen->command, sizeof(seen->command));
    if (p->state == 'Z' || p->state == 'X') {
        seen->python = false;
        return;
    }
    int rc = late ? PYB_E_LIMIT : read_process(seen, show, color, &err);
    if (rc == PYB_E_NOTPYTHON)
        seen->python = false;
    else if (rc != 0)
        set_failure(seen, &err);
    if (rc != 0)
        seen->waits_in = watch_wait_of(p->pid);
}

struct watch_look *watch_look_take(const struct watch_tree *tree, const struct show *show, bool color, int64_t at_ns)
{
    struct watch_look *look = calloc(1, sizeof(*look));
    if (!look)
        return NULL;
    look->at_ns = at_ns;
    look->seen = calloc(tree->n ? tree->n : 1, sizeof(*look->seen));
    if (!look->seen) {
        free(look);
        return NULL;
    }
    int64_t begin = monotonic_ns();
    for (size_t i = 0; i < tree->n; i++)
        see(&look->seen[look->n++], &tree->procs[i], show, color, monotonic_ns() - begin > LOOK_ALL_NS);
    return look;
}

void watch_look_free(struct watch_look *look)
{
    for (size_t i = 0; look && i < look->n; i++) {
        struct watch_seen *s = &look->seen[i];
        for (uint32_t k = 0; k < s->n_threads; k++) {
            struct watch_thread *t = &s->threads[k];
            free(t->frames);
            free(t->labels);
            free(t->text);
            free(t->where);
            free(t->name);
        }
        free(s->threads);
        free(s->failure);
        free(s->waits_in);
        free(s->text);
        free(s->findings);
        free(s->json);
    }
    if (look)
        free(look->seen);
    free(look);
}
