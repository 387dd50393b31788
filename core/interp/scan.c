// SPDX-License-Identifier: Apache-2.0
#include "interp/scan.h"

#include "base/error.h"
#include "interp/fields.h"

#define PAGE 4096u
#define MAX_HOLES 1024 // unreadable places in one range
#define SEGMENT_W 2u

static void add_span(struct pyb_span *spans, size_t *n, size_t max, pyb_addr start, pyb_addr end)
{
    if (end <= start || *n >= max)
        return;
    if (end - start > PYB_SCAN_MAX)
        end = start + PYB_SCAN_MAX;
    spans[(*n)++] = (struct pyb_span){.start = start, .end = end};
}

static bool segment_span(const struct pyb_module *mod, const struct pyb_elf_segment *s, pyb_addr *ret_start, pyb_addr *ret_end)
{
    *ret_start = mod->bias + s->vaddr; // the bias of a prelinked file wraps
    return !__builtin_add_overflow(*ret_start, s->memsz, ret_end);
}

static size_t writable_mappings(struct pyb_target *t, const struct pyb_module *mod, struct pyb_span *ret, size_t max)
{
    size_t n_maps, n = 0;
    const struct pyb_mapping *maps = pyb_modules_mappings(t->modules, &n_maps);
    pyb_addr last_end = 0; // of this module's mapping just before
    for (size_t i = 0; i < n_maps; i++) {
        bool ours = maps[i].module != UINT32_MAX && pyb_modules_at(t->modules, maps[i].module) == mod;
        bool bss = maps[i].module == UINT32_MAX && maps[i].start == last_end;
        if ((ours || bss) && maps[i].w)
            add_span(ret, &n, max, maps[i].start, maps[i].end);
        last_end = ours ? maps[i].end : 0;
    }
    return n;
}

size_t pyb_scan_writable(struct pyb_target *t, struct pyb_module *mod, struct pyb_span *ret, size_t max)
{
    struct pyb_elf *elf;
    size_t n = 0;
    if (pyb_module_elf(t, mod, &elf, NULL) == 0 && mod->bias_known) {
        size_t n_segments;
        const struct pyb_elf_segment *s = pyb_elf_segments(elf, &n_segments);
        for (size_t i = 0; i < n_segments; i++) {
            pyb_addr start, end;
            if ((s[i].flags & SEGMENT_W) && segment_span(mod, &s[i], &start, &end))
                add_span(ret, &n, max, start, end);
        }
    }
    return n ? n : writable_mappings(t, mod, ret, max);
}

// How the bytes are had: target memory or the module's file.
struct source {
    struct pyb_target *t;
    struct pyb_elf *elf; // NULL: memory
    pyb_addr bias;       // of the file's addresses
};

static int source_read(const struct source *s, pyb_addr addr, void *buf, size_t len, size_t *ret)
{
    if (s->elf)
        return pyb_elf_read(s->elf, addr - s->bias, buf, len, ret, NULL);
    return pyb_read_some(s->t->mem, addr, buf, len, ret, NULL);
}

static int scan_blocks(const struct source *s, struct pyb_span span, size_t overlap, pyb_block_fn each, void *ctx, uint8_t *buf,
                       bool *ret_stopped, struct pyb_error *err)
{
    unsigned holes = 0;
    for (pyb_addr at = span.start; at < span.end;) {
        int rc = pyb_ctx_check(s->t->ctx, err);
        if (rc)
            return rc;
        size_t want = span.end - at < PYB_SCAN_BLOCK ? (size_t)(span.end - at) : PYB_SCAN_BLOCK, got = 0;
        rc = source_read(s, at, buf, want, &got);
        if (pyb_is_final(rc))
            return pyb_fail(err, rc, "memory cannot be read any more, at 0x%llx", (unsigned long long)at);
        if (rc == 0 && got > 0 && each(ctx, at, buf, got)) {
            *ret_stopped = true;
            return 0;
        }
        if (got == want) {
            at += at + got < span.end && got > overlap ? got - overlap : got;
            continue;
        }
        if (++holes > MAX_HOLES)
            return 0;
        pyb_addr next = ((at + got) | (PAGE - 1)) + 1; // what follows the hole
        if (next <= at)
            return 0;
        at = next;
    }
    return 0;
}

static int scan_source(const struct source *s, struct pyb_span span, size_t overlap, pyb_block_fn each, void *ctx, bool *ret_stopped,
                       struct pyb_error *err)
{
    bool stopped = false;
    if (span.end > span.start && span.end - span.start > PYB_SCAN_MAX)
        span.end = span.start + PYB_SCAN_MAX;
    uint8_t *buf = pyb_alloc(s->t->ctx, PYB_SCAN_BLOCK);
    if (!buf)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for a block of %u bytes", PYB_SCAN_BLOCK);
    int rc = scan_blocks(s, span, overlap, each, ctx, buf, &stopped, err);
    pyb_free(s->t->ctx, buf);
    if (ret_stopped)
        *ret_stopped = stopped;
    return rc;
}

int pyb_scan_memory(struct pyb_target *t, struct pyb_span span, size_t overlap, pyb_block_fn each, void *ctx, bool *ret_stopped,
                    struct pyb_error *err)
{
    struct source s = {.t = t};
    return scan_source(&s, span, overlap, each, ctx, ret_stopped, err);
}

int pyb_scan_constants(struct pyb_target *t, struct pyb_module *mod, size_t overlap, pyb_block_fn each, void *ctx, struct pyb_error *err)
{
    struct pyb_elf *elf;
    int rc = pyb_module_elf(t, mod, &elf, err);
    if (rc)
        return rc;
    struct source s = {.t = t, .elf = pyb_elf_is_file(elf) ? elf : NULL, .bias = mod->bias};
    struct pyb_elf_section section;
    if (pyb_elf_section(elf, ".rodata", &section) == 0) {
        struct pyb_span span = {.start = mod->bias + section.addr};
        if (__builtin_add_overflow(span.start, section.size, &span.end))
            return pyb_fail(err, PYB_E_CORRUPT, ".rodata of %s reaches beyond the address space", mod->path);
        return scan_source(&s, span, overlap, each, ctx, NULL, err);
    }
    size_t n;
    const struct pyb_elf_segment *segments = pyb_elf_segments(elf, &n);
    bool stopped = false;
    for (size_t i = 0; i < n && rc == 0 && !stopped; i++) {
        struct pyb_span span;
        if (!(segments[i].flags & SEGMENT_W) && segment_span(mod, &segments[i], &span.start, &span.end))
            rc = scan_source(&s, span, overlap, each, ctx, &stopped, err);
    }
    return rc;
}
