// SPDX-License-Identifier: Apache-2.0
// Interpreter and thread lists, GIL and names over made-up memory, and the version texts. Input: mode (1), then
// mode 0-3: 2 KiB of memory at 0x10000, one byte for each word: 0 is 0, 1-239 a pointer to that word, the others odd values;
// mode 4: text for the version scanners.
#include <stdlib.h>
#include <string.h>

#include "interp/runtime.h"
#include "interp/thread.h"
#include "interp/version.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BASE 0x10000u
#define WORDS 240u
#define FIELD(at, size) ((struct pyb_field){.offset = (at), .width = (size)})

struct made_up {
    struct pyb_memory mem; // first
    uint64_t words[WORDS];
};

static void require(bool condition)
{
    if (!condition)
        abort();
}

static int readv_words(struct pyb_memory *mem, struct pyb_range *ranges, size_t n, struct pyb_error *err)
{
    (void)err;
    struct made_up *m = (struct made_up *)mem;
    for (size_t i = 0; i < n; i++) {
        if (ranges[i].addr < BASE || ranges[i].addr - BASE >= sizeof(m->words))
            continue;
        size_t at = (size_t)(ranges[i].addr - BASE), left = sizeof(m->words) - at;
        ranges[i].done = ranges[i].len < left ? ranges[i].len : left;
        memcpy(ranges[i].buf, (const uint8_t *)m->words + at, ranges[i].done);
    }
    return 0;
}

static uint64_t word_of(uint8_t byte)
{
    static const uint64_t odd[] = {1,          2,          0x21,     0xffff, UINT32_MAX, UINT64_MAX, UINT64_MAX - 7, 0x8000000000000000,
                                   0xdeadbeef, 0x101010101, BASE - 8, BASE + 1, 1u << 20, 0x7fffffffffff, 0x64, 3};
    return byte == 0 ? 0 : byte < WORDS ? BASE + 8u * byte : odd[byte - WORDS];
}

// Objects as in a real version; lists and flags where they fit into little memory.
static bool make_layout(uint8_t mode, struct pyb_layout *l)
{
    static const int minors[] = {7, 8, 11, 13};
    const struct pyb_layout *row = pyb_layout_find(mode ? 3 : 2, minors[mode], -1, 8, false, 0, NULL);
    if (!row)
        return false;
    *l = *row;
    l->runtime_interpreters_head = FIELD(0x20, 8);
    l->runtime_interpreters_main = FIELD(0x28, 8);
    l->runtime_main_thread = FIELD(0x30, 8);
    l->runtime_finalizing = FIELD(0x38, 8);
    l->runtime_gil_locked = FIELD(0x40, 4);
    l->runtime_gil_last_holder = FIELD(0x48, 8);
    l->interp_next = FIELD(0, 8);
    l->interp_id = FIELD(8, 8);
    l->interp_tstate_head = FIELD(0x10, 8);
    l->interp_modules = FIELD(0x18, 8);
    l->interp_gc_collecting = FIELD(0x20, 4);
    l->interp_gc_frame = FIELD(0x28, 8);
    l->interp_gil_ptr = mode == 3 ? FIELD(0x30, 8) : FIELD(PYB_ABSENT, 0);
    l->gil_locked = FIELD(0, 4);
    l->gil_last_holder = FIELD(8, 8);
    l->tstate_prev = FIELD(0, 8);
    l->tstate_next = FIELD(8, 8);
    l->tstate_interp = FIELD(0x10, 8);
    l->tstate_thread_id = FIELD(0x20, 8);
    l->tstate_native_thread_id = FIELD(0x28, 8);
    return true;
}

static void check_threads(const struct pyb_threads *t)
{
    require(t->n <= WORDS * 8);
    for (size_t i = 0; i < t->n; i++) {
        require(t->items[i].gc >= -1 && t->items[i].gc <= 1 && t->items[i].gil <= PYB_GIL_RELEASED);
        for (size_t k = 0; k < i; k++)
            require(t->items[k].addr != t->items[i].addr);
    }
}

static void walk(uint8_t mode, const uint8_t *data, size_t size)
{
    static const struct pyb_memory_ops ops = {.name = "made up", .readv = readv_words};
    struct pyb_ctx ctx;
    pyb_ctx_init(&ctx, NULL);
    ctx.max_bytes = 16 << 20;
    pyb_ctx_begin(&ctx);
    struct made_up m = {.mem = {.ops = &ops, .ctx = &ctx, .ptr_size = 8}};
    for (size_t i = 0; i < WORDS && i < size; i++)
        m.words[i] = word_of(data[i]);
    struct pyb_target target = {.ctx = &ctx, .mem = &m.mem};
    struct pyb_python py = {.target = &target, .runtime = mode ? BASE : 0, .interp_head_at = BASE + 0x20, .major = mode ? 3 : 2};
    if (!make_layout(mode, &py.layout))
        return;
    py.other_heads[0] = BASE + 0x28;
    py.n_other_heads = mode ? 0 : 1;
    pyb_arena_init(&py.code_arena, &ctx);
    pyb_map_init(&py.codes, &ctx);
    pyb_map_init(&py.types, &ctx);
    pyb_arena_init(&py.arena, &ctx);
    struct pyb_arena arena;
    pyb_arena_init(&arena, &ctx);
    struct pyb_head_check check;
    (void)pyb_head_check(&target, &py.layout, py.interp_head_at, &check, NULL);
    struct pyb_threads threads;
    if (pyb_threads_read(&py, &arena, &threads, NULL) == 0) {
        pyb_gil_read(&py, &threads);
        pyb_thread_names_read(&py, &arena, &threads);
        check_threads(&threads);
    }
    pyb_arena_deinit(&arena);
    pyb_arena_deinit(&py.arena);
    pyb_map_deinit(&py.codes);
    pyb_arena_deinit(&py.code_arena);
    pyb_map_deinit(&py.types);
}

static void scan(const uint8_t *data, size_t size)
{
    struct pyb_version v;
    struct pyb_version_evidence ev;
    unsigned agreeing;
    const char *note;
    char text[48], *name = malloc(size + 1);
    require(name != NULL);
    memset(&ev, 0, sizeof(ev));
    memcpy(name, data, size);
    name[size] = '\0';
    pyb_version_scan_constants((const char *)data, size, NULL, &ev);
    ev.has[PYB_VERSION_BANNER] = pyb_version_scan_banner((const char *)data, size, &ev.from[PYB_VERSION_BANNER]);
    ev.has[PYB_VERSION_FILE] = pyb_version_from_name(name, &ev.from[PYB_VERSION_FILE]);
    if (pyb_version_decide(&ev, &v, &agreeing, &note) == 0) {
        require(v.major == 2 || v.major == 3);
        require(v.minor >= 0 && v.minor < 100 && v.micro >= -1 && v.micro < 1000 && agreeing >= 1);
        pyb_version_text(&v, text, sizeof(text));
        require(strlen(text) < 24);
    }
    free(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if (data[0] % 5 == 4)
        scan(data + 1, size - 1);
    else
        walk(data[0] % 5, data + 1, size - 1);
    return 0;
}
