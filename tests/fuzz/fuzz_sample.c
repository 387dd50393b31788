// SPDX-License-Identifier: Apache-2.0
// Sessions over the pages of a recorded process (tests/fuzz/sample.pyb, PYBRAID_FUZZ_RECORDING), with memory that
// changes between two looks: pyb_read with locals, JSON and text, then sampling, before and after. The interpreter
// is found once, at the start; fuzz_session, which finds it each time, is many times slower.
//
// Input: options (1), number of first changes (1), then changes of 6 bytes: place (2), offset (1), kind (1), what
// the kind takes (2). The first changes are there from the beginning, the others come after a sample. In the end
// all are taken back: then the session has to say the same as one that never saw them.
#include <stdio.h>
#include <stdlib.h>

#include "api/session.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PAGE 4096u
#define MAX_PAGES 1024u
#define MAX_PLACES 65536u
#define MAX_CHANGES 48u
#define MAX_THREADS 4u
#define MAX_ROWS 64u

struct change {
    uint8_t *at;
    uint8_t before[8], n;
};
static struct page {
    pyb_addr addr;
    size_t len;
    uint8_t data[PAGE];
} pages[MAX_PAGES]; // ascending
static size_t n_pages;
static struct pyb_range places[MAX_PLACES]; // what a clean reading looked at
static size_t n_places;
static struct pyb_session *first; // of the recording: it found the interpreter, and has the modules
static struct pyb_sample truth[MAX_THREADS];
static struct pyb_sample_frame true_rows[MAX_THREADS][MAX_ROWS];
static pyb_addr true_states[MAX_THREADS];
static uint32_t n_true;

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "fuzz_sample: %s\n", what);
    abort();
}

// --- memory ---
static struct page *page_at(pyb_addr addr)
{
    size_t low = 0, high = n_pages;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (pages[middle].addr + PAGE <= addr)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n_pages && addr >= pages[low].addr ? &pages[low] : NULL;
}

static int pages_readv(struct pyb_memory *m, struct pyb_range *ranges, size_t n, struct pyb_error *err)
{
    (void)m;
    (void)err;
    for (size_t i = 0; i < n; i++) {
        struct pyb_range *r = &ranges[i];
        struct page *p;
        while (r->done < r->len && (p = page_at(r->addr + r->done)) != NULL) {
            size_t offset = (size_t)(r->addr + r->done - p->addr);
            size_t part = offset < p->len ? p->len - offset : 0;
            part = part < r->len - r->done ? part : r->len - r->done;
            memcpy((uint8_t *)r->buf + r->done, p->data + offset, part);
            r->done += part;
            if (offset + part < PAGE)
                break;
        }
    }
    return 0;
}

static void pages_destroy(struct pyb_memory *m)
{
    free(m);
}

static const struct pyb_memory_ops pages_ops = {.name = "pages", .readv = pages_readv, .destroy = pages_destroy};

// --- the recording, looked at once ---
struct noting {
    struct pyb_memory base; // first
    struct pyb_memory *below;
};

static void add_page(struct pyb_memory *from, pyb_addr addr)
{
    if (n_pages == MAX_PAGES || page_at(addr))
        return;
    size_t i = n_pages++;
    for (; i > 0 && pages[i - 1].addr > addr; i--)
        pages[i] = pages[i - 1];
    pages[i].addr = addr;
    pages[i].len = 0;
    (void)pyb_read_some(from, addr, pages[i].data, PAGE, &pages[i].len, NULL);
}

static int noting_readv(struct pyb_memory *m, struct pyb_range *ranges, size_t n, struct pyb_error *err)
{
    struct pyb_memory *below = ((struct noting *)m)->below;
    int code = pyb_memory_readv(below, ranges, n, err);
    for (size_t i = 0; i < n; i++) {
        if (ranges[i].done == 0)
            continue;
        for (pyb_addr at = ranges[i].addr & ~(pyb_addr)(PAGE - 1); at < ranges[i].addr + ranges[i].done; at += PAGE)
            add_page(below, at);
        if (n_places < MAX_PLACES)
            places[n_places++] = ranges[i];
    }
    return code;
}

static void noting_destroy(struct pyb_memory *m)
{
    pyb_memory_destroy(((struct noting *)m)->below);
    free(m);
}

static struct pyb_memory *noting(struct pyb_memory *below)
{
    static const struct pyb_memory_ops ops = {.name = "noting", .readv = noting_readv, .destroy = noting_destroy};
    struct noting *n = calloc(1, sizeof *n);
    require(n != NULL, "no memory");
    *n = (struct noting){.base = *below, .below = below};
    n->base.ops = &ops;
    return &n->base;
}

// A session that has found the interpreter already; its memory are the pages as they are now.
static struct pyb_session *open_pages(void)
{
    struct pyb_options options = {.size = sizeof options, .max_bytes = UINT64_C(16) << 20};
    struct pyb_session *s = NULL;
    struct pyb_memory *m = calloc(1, sizeof *m);
    require(m && pyb_session_new(&options, &s, NULL) == 0, "no session");
    *m = (struct pyb_memory){.ops = &pages_ops, .ctx = &s->ctx, .ptr_size = first->target.mem->ptr_size,
                             .big_endian = first->target.mem->big_endian, .machine = first->target.mem->machine};
    struct pyb_python *py = pyb_alloc(&s->ctx, sizeof *py);
    require(py != NULL, "no memory");
    const struct pyb_python *found = first->python;
    *py = *found;
    py->target = &s->target;
    pyb_arena_init(&py->arena, &s->ctx);
    pyb_arena_init(&py->code_arena, &s->ctx);
    pyb_map_init(&py->codes, &s->ctx);
    pyb_map_init(&py->types, &s->ctx);
    memset(py->recent_codes, 0, sizeof py->recent_codes);
    py->native_names = py->globals_cache = NULL;
    py->native_names_free = NULL;
    py->code_type = 0;
    s->target.modules = first->target.modules;
    s->target.pid = first->target.pid;
    s->target.executable = first->target.executable;
    s->source.kind = PYB_SOURCE_RECORDING;
    s->below = m;
    s->python = py;
    require(pyb_cache_open(&s->ctx, m, 0, &s->target.mem, NULL) == 0, "no cache");
    return s;
}

static void close_pages(struct pyb_session *s)
{
    s->target.modules = NULL; // of the first session
    pyb_session_free(s);
}

static void take_truth(void)
{
    struct pyb_session *s = open_pages();
    const struct pyb_thread_state *states;
    const struct pyb_sample *sample;
    require(pyb_thread_states(s, &states, &n_true, NULL) == 0 && n_true >= 2 && n_true <= MAX_THREADS,
            "the recording has no threads");
    uint32_t n_frames = 0;
    for (uint32_t i = 0; i < n_true; i++)
        true_states[i] = states[i].state;
    for (uint32_t i = 0; i < n_true; i++) {
        require(pyb_sample(s, true_states[i], NULL, &sample, NULL) == 0, "the recording cannot be sampled");
        require(sample->complete && sample->n_frames <= MAX_ROWS, "a stack of the recording is not whole");
        truth[i] = *sample;
        truth[i].frames = true_rows[i];
        for (uint32_t k = 0; k < sample->n_frames; k++, n_frames++) {
            struct pyb_sample_frame *row = &true_rows[i][k];
            *row = sample->frames[k];
            require(row->name && row->file && row->line > 0, "a frame of the recording has no name");
            row->name = strdup(row->name);
            row->func = strdup(row->func);
            row->file = strdup(row->file);
        }
    }
    require(n_frames >= 12, "too few frames");
    close_pages(s);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    const char *path = getenv("PYBRAID_FUZZ_RECORDING");
    struct pyb_read_options options = {.size = sizeof options, .flags = PYB_READ_LOCALS | PYB_READ_VERBOSE};
    struct pyb_process *p = NULL;
    struct pyb_error err = {0};
    require(pyb_session_new(NULL, &first, NULL) == 0, "no session");
    if (pyb_open_recording(first, path ? path : "tests/fuzz/sample.pyb", &err) != 0)
        require(false, err.what);
    first->target.mem = noting(first->target.mem);
    if (pyb_read(first, NULL, 0, false, &options, &p, &err) != 0)
        require(false, err.what);
    require(p->n_threads >= 2 && n_places > 100, "the recording is not whole");
    pyb_process_free(p);
    take_truth();
    fprintf(stderr, "fuzz_sample: %s, %zu pages, %zu places\n", first->python->version, n_pages, n_places);
    return 0;
}

// --- changes ---
static struct change changes[MAX_CHANGES];
static size_t n_changes;

static void change(pyb_addr addr, uint64_t value, unsigned n)
{
    struct page *p = page_at(addr);
    size_t offset = p ? (size_t)(addr - p->addr) : 0;
    if (!p || offset + n > PAGE || n_changes == MAX_CHANGES)
        return;
    struct change *c = &changes[n_changes++];
    *c = (struct change){.at = p->data + offset, .n = (uint8_t)n};
    memcpy(c->before, c->at, n);
    for (unsigned i = 0; i < n; i++)
        c->at[i] = (uint8_t)(value >> 8 * i);
}

static void change_back(void)
{
    while (n_changes > 0) {
        struct change *c = &changes[--n_changes];
        memcpy(c->at, c->before, c->n);
    }
}

static void apply(const uint8_t *d)
{
    static const uint64_t extremes[] = {0, 1, UINT64_MAX, INT64_MAX, UINT64_C(1) << 63, UINT32_MAX, INT32_MAX,
                                        UINT64_C(1) << 47, 4096, 3, UINT64_C(1) << 32, UINT64_C(0xdeadbeef000)};
    const struct pyb_range *place = &places[(size_t)(d[0] | d[1] << 8) % n_places];
    const struct pyb_range *other = &places[(size_t)(d[4] | d[5] << 8) % n_places];
    pyb_addr addr = place->addr + d[2] % place->done, word = place->addr + (d[2] % place->done & ~7u);
    switch (d[3] % 6) {
    case 0: // one or two bytes
        change(addr, (uint64_t)(d[4] | d[5] << 8), 1 + (d[3] >> 4 & 1));
        break;
    case 1: // a pointer to what something else is
        change(word, other->addr, 8);
        break;
    case 2: // a pointer into it
        change(word, other->addr + d[3], 8);
        break;
    case 3:
        change(word, extremes[d[4] % 12], 8);
        break;
    case 4:
        change(addr, extremes[d[4] % 12], 4);
        break;
    default: // to itself
        change(word, place->addr + (d[4] & ~7u), 8);
    }
}

// --- one input ---
static int check_text(void *ctx, const char *text, size_t len)
{
    *(uint64_t *)ctx += len;
    for (size_t i = 0; i < len; i++)
        require((unsigned char)text[i] >= ' ' || text[i] == '\n', "a control character in the output");
    return 0;
}

static void read_all(struct pyb_session *s, uint32_t flags)
{
    struct pyb_read_options options = {.size = sizeof options, .flags = flags, .max_frames = 1000};
    struct pyb_text_options text = {.size = sizeof text, .current = -1,
                                    .flags = PYB_TEXT_ALL | PYB_TEXT_LOCALS | PYB_TEXT_VERBOSE};
    struct pyb_process *p = NULL;
    struct pyb_error err = {0};
    uint64_t written = 0;
    int code = pyb_read(s, NULL, 0, false, &options, &p, &err);
    require(code == 0 || (code == err.code && err.what[0] && !p), "an error without text");
    for (uint32_t i = 0; code == 0 && i < p->n_threads; i++) {
        require(p->threads[i].complete || p->threads[i].note, "a stack that ends without a reason");
        (void)pyb_text_thread(&p->threads[i], &text, check_text, &written);
    }
    if (code == 0)
        (void)pyb_json(p, check_text, &written);
    pyb_process_free(p);
}

static uint64_t length_of(const char *text)
{
    return text ? strlen(text) : 0;
}

static void sample_all(struct pyb_session *s, uint32_t flags)
{
    struct pyb_read_options options = {.size = sizeof options, .flags = flags & PYB_READ_QUICK, .max_frames = 1000};
    const struct pyb_thread_state *states;
    const struct pyb_sample *sample;
    uint32_t n;
    struct pyb_error err = {0};
    pyb_addr at[3];
    if (pyb_thread_states(s, &states, &n, &err) != 0)
        return;
    n = n < 3 ? n : 3;
    for (uint32_t i = 0; i < n; i++)
        at[i] = states[i].state;
    for (uint32_t thread = 0; thread < n; thread++) {
        int code = pyb_sample(s, at[thread], &options, &sample, &err);
        require(code == 0 || (code == err.code && err.what[0]), "an error without text");
        uint64_t length = 0;
        for (uint32_t i = 0; code == 0 && i < sample->n_frames; i++)
            length += length_of(sample->frames[i].name) + length_of(sample->frames[i].func);
        require(code != 0 || sample->complete || sample->note, "a sample that ends without a reason");
        require(length < UINT64_C(64) << 20, "names without end");
    }
}

// Without a number that tells code objects apart everything kept has to be compared; with one, what a number stands
// for cannot change.
static void must_be_clean(struct pyb_session *s)
{
    const struct pyb_thread_state *states;
    const struct pyb_sample *sample;
    struct pyb_error err = {0};
    uint32_t n;
    if (first->python->layout.code_version.offset >= 0)
        return;
    require(pyb_thread_states(s, &states, &n, &err) == 0 && n == n_true, "other threads than before the changes");
    for (uint32_t i = 0; i < n; i++) {
        require(pyb_sample(s, true_states[i], NULL, &sample, &err) == 0, err.what);
        require(sample->complete && sample->n_frames == truth[i].n_frames, "another stack than before the changes");
        for (uint32_t k = 0; k < sample->n_frames; k++) {
            const struct pyb_sample_frame *a = &sample->frames[k], *b = &truth[i].frames[k];
            require(a->name && strcmp(a->name, b->name) == 0 && a->func && strcmp(a->func, b->func) == 0 && a->file &&
                        strcmp(a->file, b->file) == 0 && a->line == b->line && a->column == b->column && a->lasti == b->lasti &&
                        a->frame == b->frame && a->evaluation == b->evaluation && a->entry == b->entry,
                    "another frame than before the changes");
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    uint32_t flags = data[0] & 7u;
    size_t n_first = data[1] % 16;
    bool reads = data[0] & 8, late = data[0] & 16;
    data += 2;
    size -= 2;
    struct pyb_session *s = open_pages();
    if (late)
        sample_all(s, 0); // sound before anything changes
    for (size_t i = 0; size >= 6 && i < n_first; i++, data += 6, size -= 6)
        apply(data);
    if (reads)
        read_all(s, flags & (PYB_READ_LOCALS | PYB_READ_VERBOSE));
    sample_all(s, flags);
    for (; size >= 6 && n_changes < MAX_CHANGES; data += 6, size -= 6)
        apply(data);
    sample_all(s, flags);
    pyb_session_invalidate(s);
    s->stale_modules = false; // the recording's files are not looked at again
    if (reads)
        read_all(s, flags & (PYB_READ_LOCALS | PYB_READ_VERBOSE));
    change_back();
    must_be_clean(s);
    close_pages(s);
    return 0;
}
