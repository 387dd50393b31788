// SPDX-License-Identifier: Apache-2.0
#include "symbols/modules.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "symbols/modules_internal.h"

struct pyb_modules *pyb_modules_new(struct pyb_ctx *ctx, enum pyb_modules_source source)
{
    struct pyb_modules *m = pyb_alloc(ctx, sizeof(*m));
    if (!m)
        return NULL;
    m->ctx = ctx;
    m->source = source;
    m->proc_fd = -1;
    m->executable = SIZE_MAX;
    pyb_arena_init(&m->arena, ctx);
    return m;
}

void pyb_modules_free(struct pyb_modules *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n_modules; i++)
        pyb_elf_free(m->modules[i].elf);
    if (m->proc_fd >= 0)
        close(m->proc_fd);
    pyb_free(m->ctx, m->mappings);
    pyb_free(m->ctx, m->paths);
    pyb_free(m->ctx, m->modules);
    pyb_free(m->ctx, m->files);
    pyb_arena_deinit(&m->arena);
    pyb_free(m->ctx, m);
}

size_t pyb_modules_count(const struct pyb_modules *m)
{
    return m->n_modules;
}

struct pyb_module *pyb_modules_at(struct pyb_modules *m, size_t index)
{
    return index < m->n_modules ? &m->modules[index] : NULL;
}

size_t pyb_modules_index(const struct pyb_modules *m, const struct pyb_module *mod)
{
    for (size_t i = 0; i < m->n_modules; i++) {
        if (&m->modules[i] == mod)
            return i;
    }
    return SIZE_MAX;
}

struct pyb_module *pyb_modules_executable(struct pyb_modules *m)
{
    return m->executable < m->n_modules ? &m->modules[m->executable] : NULL;
}

bool pyb_modules_cut(const struct pyb_modules *m)
{
    return m->cut;
}

const struct pyb_mapping *pyb_modules_mappings(const struct pyb_modules *m, size_t *ret_n)
{
    *ret_n = m->n_mappings;
    return m->mappings;
}

const struct pyb_mapping *pyb_modules_mapping(const struct pyb_modules *m, pyb_addr addr)
{
    size_t low = 0, high = m->n_mappings;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (addr < m->mappings[mid].start)
            high = mid;
        else if (addr >= m->mappings[mid].end)
            low = mid + 1;
        else
            return &m->mappings[mid];
    }
    return NULL;
}

// .bss beyond the file's last page is an anonymous mapping: the segments of the open ELFs tell whose it is.
static struct pyb_module *find_by_segments(struct pyb_modules *m, pyb_addr addr)
{
    for (size_t i = 0; i < m->n_modules; i++) {
        struct pyb_module *mod = &m->modules[i];
        size_t n = 0;
        const struct pyb_elf_segment *s = mod->elf && mod->bias_known ? pyb_elf_segments(mod->elf, &n) : NULL;
        for (size_t k = 0; k < n; k++) {
            if (addr - mod->bias >= s[k].vaddr && addr - mod->bias - s[k].vaddr < s[k].memsz)
                return mod;
        }
    }
    return NULL;
}

// Where a front end told only the bias, the ELF's own segments say which addresses are the module's. That a
// module cannot be opened is said when it is asked for.
static void find_extents(struct pyb_modules *m)
{
    for (size_t i = 0; i < m->n_modules; i++) {
        struct pyb_module *mod = &m->modules[i];
        struct pyb_elf *elf;
        uint64_t low, high;
        if (mod->start < mod->end || mod->elf_state < 0 ||
            pyb_module_open(&m->opener, m, mod, &elf, NULL) != 0)
            continue;
        if (pyb_elf_extent(elf, &low, &high)) {
            mod->start = mod->bias + low;
            mod->end = mod->bias + high;
        }
    }
}

static struct pyb_module *find_described(struct pyb_modules *m, pyb_addr addr)
{
    for (size_t i = 0; i < m->n_modules; i++) {
        if (addr >= m->modules[i].start && addr < m->modules[i].end)
            return &m->modules[i];
    }
    return NULL;
}

struct pyb_module *pyb_modules_find(struct pyb_modules *m, pyb_addr addr)
{
    const struct pyb_mapping *mapping = pyb_modules_mapping(m, addr);
    if (mapping && mapping->module != PYB_NO_MODULE)
        return pyb_modules_at(m, mapping->module);
    struct pyb_module *mod = mapping || m->n_mappings == 0 ? find_by_segments(m, addr) : NULL;
    if (mod || m->n_mappings)
        return mod;
    mod = find_described(m, addr);
    if (!mod && m->source == PYB_MODULES_DESCS) {
        find_extents(m); // those that were not needed so far
        mod = find_described(m, addr);
    }
    return mod;
}
