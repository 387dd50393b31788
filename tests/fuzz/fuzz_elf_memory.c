// SPDX-License-Identifier: Apache-2.0
// An ELF image in target memory, and the dynamic linker's list that its DT_DEBUG leads to.
#include "symbols/modules.h"
#include "use_elf.h"

#define BASE 0x10000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct image { struct pyb_memory mem; const uint8_t *data; size_t len; };

static int read_image(struct pyb_memory *mem, struct pyb_range *ranges, size_t n, struct pyb_error *err)
{
    (void)err;
    struct image *m = (struct image *)mem;
    for (size_t i = 0; i < n; i++) {
        if (ranges[i].addr < BASE || ranges[i].addr - BASE >= m->len)
            continue;
        size_t skip = (size_t)(ranges[i].addr - BASE), got = m->len - skip < ranges[i].len
            ? m->len - skip : ranges[i].len;
        memcpy(ranges[i].buf, m->data + skip, got);
        ranges[i].done = got;
    }
    return 0;
}

static void use_link_map(struct pyb_ctx *ctx, struct pyb_memory *mem)
{
    struct pyb_target t = {.ctx = ctx, .mem = mem};
    if (pyb_modules_from_link_map(&t, BASE + (mem->ptr_size == 8 ? 64 : 52), 4, &t.modules, NULL) != 0)
        return;
    struct pyb_symbol_hit hits[4];
    require(pyb_target_symbol(&t, "alpha", hits, 4) <= 4);
    struct pyb_function f;
    for (size_t i = 0; i < pyb_modules_count(t.modules) && i < 3; i++)
        require(pyb_target_function(&t, pyb_modules_at(t.modules, i)->start + 0x100, &f) <= 0);
    pyb_modules_free(t.modules);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct pyb_memory_ops ops = {.name = "fuzz", .readv = read_image};
    struct pyb_ctx ctx;
    pyb_ctx_init(&ctx, NULL);
    pyb_ctx_begin(&ctx);
    bool wide = size > 4 && data[4] != 1, big = size > 5 && data[5] == 2;
    struct image m = {.mem = {.ops = &ops, .ctx = &ctx, .ptr_size = wide ? 8 : 4, .big_endian = big},
                      .data = data, .len = size};
    struct pyb_elf *e;
    if (pyb_elf_open_memory(&ctx, &m.mem, BASE, &e, NULL) == 0) {
        use_elf(e);
        pyb_elf_free(e);
    }
    use_link_map(&ctx, &m.mem);
    return 0;
}
