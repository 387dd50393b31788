// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ps.h"
#include "ps_elf.h"

#define MAX_WORDS 65536
#define TRIES 5 // until two samples of a running thread agree

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

static void row_free(struct ps_row *r)
{
    free(r->command);
    free(r->words);
    free(r->python);
    free(r->executable);
    free(r->name);
    free(r->func);
    free(r->file);
    free(r->note);
    free(r->remedy);
}

void ps_rows_free(struct ps_rows *r)
{
    for (size_t i = 0; i < r->n; i++)
        row_free(&r->rows[i]);
    free(r->rows);
    *r = (struct ps_rows){0};
}

static void read_words(struct ps_row *row)
{
    char line[4096];
    row->words = malloc(MAX_WORDS);
    ssize_t n = row->words ? proc_read("", row->words, MAX_WORDS, "/proc/%d/cmdline", row->pid) : 0;
    row->words_len = n > 0 ? (size_t)n : 0;
    proc_command("", row->pid, row->status.comm, line, sizeof(line));
    row->command = copy(line);
}

// Of the main thread; of the first one where none is marked as that.
static const struct pyb_thread_state *main_state(const struct pyb_thread_state *states, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (states[i].main)
            return &states[i];
    }
    return n ? states : NULL;
}

static bool keep_frame(struct ps_row *row, const struct pyb_sample *sample)
{
    const struct pyb_sample_frame *f = sample->n_frames ? &sample->frames[0] : NULL;
    const char *name = f ? f->name : NULL, *file = f ? f->file : NULL;
    bool same = f && row->has_frame && row->line == f->line && name && row->name && strcmp(name, row->name) == 0 && file && row->file &&
                strcmp(file, row->file) == 0;
    if (same)
        return true;
    free(row->name);
    free(row->func);
    free(row->file);
    row->has_frame = f != NULL;
    row->name = copy(name);
    row->func = f ? copy(f->func) : NULL;
    row->file = copy(file);
    row->line = f ? f->line : -1;
    return false;
}

// Nothing is stopped: of a thread that runs, one sample may show parts of two moments.
static int read_frame(struct pyb_session *s, struct ps_row *row, struct pyb_error *err)
{
    const struct pyb_read_options options = {.size = sizeof(options), .max_frames = 1};
    const struct pyb_thread_state *states, *state;
    const struct pyb_sample *sample;
    int status = pyb_thread_states(s, &states, &row->n_states, err);
    if (status != 0)
        return status;
    state = main_state(states, row->n_states);
    if (!state) {
        row->note = copy("no Python threads: it is starting or ending");
        return 0;
    }
    pyb_addr at = state->state;
    for (int i = 0; i < TRIES && status == 0; i++) {
        status = pyb_sample(s, at, &options, &sample, err);
        if (status == 0 && (keep_frame(row, sample) || sample->n_frames == 0))
            break;
    }
    if (status == 0 && !row->has_frame)
        row->note = copy("no Python frame in its main thread");
    return status;
}

static int read_python(struct ps_row *row, struct pyb_error *err)
{
    const struct pyb_options limits = {.size = sizeof(limits), .max_ms = 3000, .abort = cli_interrupted};
    struct pyb_info info = {.size = sizeof(info)};
    struct pyb_session *s;
    int status = pyb_session_new(&limits, &s, err);
    if (status != 0)
        return status;
    status = pyb_open_pid(s, row->pid, err);
    if (status == 0)
        status = pyb_session_info(s, &info, err);
    if (status == 0) {
        row->python = copy(info.version);
        row->executable = copy(info.executable);
        row->free_threaded = info.free_threaded;
        row->debug_build = info.debug_build;
        status = read_frame(s, row, err);
    }
    pyb_session_free(s);
    return status;
}

static void explain(struct ps_row *row, const struct facts *own, const struct pyb_error *err)
{
    struct facts f = *own;
    struct diagnosis d;
    facts_process("", row->pid, &f);
    doctor_judge(&f, &d);
    row->note = copy(d.n ? d.obstacles[0].what : err && err->what[0] ? err->what : "permission denied");
    row->remedy = copy(d.n && d.obstacles[0].n_remedies ? d.obstacles[0].remedies[0] : NULL);
}

// False: it is none after all, or has ended meanwhile.
static bool fill(struct ps_row *row, enum ps_kind kind, const struct facts *own)
{
    struct pyb_error err = {0};
    row->is_python = kind != PS_UNREADABLE;
    if (kind != PS_PYTHON) {
        explain(row, own, NULL);
        return true;
    }
    int status = read_python(row, &err);
    if (status == PYB_E_NOTPYTHON || status == PYB_E_NOENT || status == PYB_E_GONE)
        return false;
    row->readable = status == 0;
    if (status == PYB_E_PERM) {
        explain(row, own, &err);
    } else if (status != 0) {
        row->note = copy(err.what);
        row->remedy = copy(err.remedy[0] ? err.remedy : NULL);
    }
    return true;
}

static int add(struct ps_rows *r, int32_t pid, enum ps_kind kind, const struct facts *own)
{
    char who[16];
    struct ps_row row = {.pid = pid, .line = -1};
    proc_format(who, sizeof(who), "%d", pid);
    if (!proc_status_read("", who, &row.status))
        return EXIT_OK; // ended meanwhile
    if (r->n == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 64;
        struct ps_row *more = realloc(r->rows, cap * sizeof(*more));
        if (!more) {
            fputs("pybraid: no memory\n", stderr);
            return EXIT_FAILED;
        }
        r->rows = more;
        r->cap = cap;
    }
    if (!fill(&row, kind, own)) {
        row_free(&row);
        return EXIT_OK;
    }
    read_words(&row);
    r->rows[r->n++] = row;
    return EXIT_OK;
}

static int by_pid(const void *a, const void *b)
{
    int32_t x = ((const struct ps_row *)a)->pid, y = ((const struct ps_row *)b)->pid;
    return x < y ? -1 : x > y;
}

int ps_collect(bool unreadable, struct ps_rows *ret)
{
    struct facts own;
    struct ps_files files = {0};
    struct dirent *entry;
    int code = EXIT_OK;
    *ret = (struct ps_rows){0};
    DIR *proc = opendir("/proc");
    if (!proc) {
        fprintf(stderr, "pybraid: /proc: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    facts_own("", &own);
    while (code == EXIT_OK && !cli_interrupted(NULL) && (entry = readdir(proc))) {
        int32_t pid;
        if (!isdigit((unsigned char)entry->d_name[0]) || !cli_is_pid(entry->d_name, &pid))
            continue;
        ret->n_processes++;
        enum ps_kind kind = ps_kind_of(&files, pid);
        ret->n_unseen += kind == PS_UNREADABLE && !unreadable;
        if (kind != PS_OTHER && (kind != PS_UNREADABLE || unreadable))
            code = add(ret, pid, kind, &own);
    }
    (void)closedir(proc);
    ps_files_free(&files);
    if (ret->n)
        qsort(ret->rows, ret->n, sizeof(*ret->rows), by_pid);
    return cli_interrupted(NULL) ? EXIT_FAILED : code;
}
