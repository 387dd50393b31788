// SPDX-License-Identifier: Apache-2.0
/* From mappings with file names to modules. */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "symbols/modules_internal.h"

int pyb_modules_add_mapping(struct pyb_modules *m, const struct pyb_mapping *mapping, const char *path,
                            struct pyb_error *err)
{
    if (m->n_mappings >= PYB_MAX_MAPPINGS) {
        m->cut = true;
        return 0;
    }
    if (m->n_mappings == m->cap_mappings) {
        size_t old = m->cap_mappings, cap = old ? old * 2 : 256;
        void *mappings = pyb_realloc(m->ctx, m->mappings, old * sizeof(*m->mappings),
                                     cap * sizeof(*m->mappings));
        if (mappings)
            m->mappings = mappings;
        void *paths = mappings ? pyb_realloc(m->ctx, m->paths, old * sizeof(*m->paths),
                                             cap * sizeof(*m->paths)) : NULL;
        if (!paths)
            return pyb_fail(err, PYB_E_NOMEM, "out of memory for %zu mappings", cap);
        m->paths = paths;
        m->cap_mappings = cap;
    }
    m->mappings[m->n_mappings] = *mapping;
    m->mappings[m->n_mappings].module = PYB_NO_MODULE;
    m->paths[m->n_mappings++] = path;
    return 0;
}

int pyb_modules_add(struct pyb_modules *m, const char *path, struct pyb_module **ret, struct pyb_error *err)
{
    if (m->n_modules >= PYB_MAX_MODULES)
        return pyb_fail(err, PYB_E_LIMIT, "more than %u mapped files", PYB_MAX_MODULES);
    if (m->n_modules == m->cap_modules) {
        size_t old = m->cap_modules, cap = old ? old * 2 : 64;
        void *modules = pyb_realloc(m->ctx, m->modules, old * sizeof(*m->modules), cap * sizeof(*m->modules));
        if (modules)
            m->modules = modules;
        void *files = modules ? pyb_realloc(m->ctx, m->files, old * sizeof(*m->files),
                                            cap * sizeof(*m->files)) : NULL;
        if (!files)
            return pyb_fail(err, PYB_E_NOMEM, "out of memory for %zu modules", cap);
        m->files = files;
        m->cap_modules = cap;
    }
    struct pyb_module *mod = &m->modules[m->n_modules];
    *mod = (struct pyb_module){.path = path};
    m->files[m->n_modules++] = (struct pyb_module_file){.open_path = path};
    *ret = mod;
    return 0;
}

struct entry { struct pyb_mapping mapping; const char *path; };

static int compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    return a->mapping.start < b->mapping.start ? -1 : a->mapping.start > b->mapping.start;
}

// The kernel's list is sorted already; a core's or a recording's may claim anything.
static int sort_mappings(struct pyb_modules *m, struct pyb_error *err)
{
    bool sorted = true;
    for (size_t i = 1; i < m->n_mappings; i++)
        sorted = sorted && m->mappings[i - 1].end <= m->mappings[i].start;
    if (sorted)
        return 0;
    struct entry *all = pyb_alloc(m->ctx, m->n_mappings * sizeof(*all));
    if (!all)
        return pyb_fail(err, PYB_E_NOMEM, "out of memory for %zu mappings", m->n_mappings);
    for (size_t i = 0; i < m->n_mappings; i++)
        all[i] = (struct entry){m->mappings[i], m->paths[i]};
    qsort(all, m->n_mappings, sizeof(*all), compare);
    size_t n = 0;
    for (size_t i = 0; i < m->n_mappings; i++) {
        if (n && all[i].mapping.start < m->mappings[n - 1].end)
            continue; // overlaps what is there: one of them lies, the first is kept
        m->mappings[n] = all[i].mapping;
        m->paths[n++] = all[i].path;
    }
    m->n_mappings = n;
    pyb_free(m->ctx, all);
    return 0;
}

static uint64_t file_key(const char *path, const struct pyb_mapping *mapping)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (const unsigned char *p = (const unsigned char *)path; *p; p++)
        h = (h ^ *p) * UINT64_C(0x100000001b3);
    uint64_t device = (uint64_t)mapping->dev_major << 40 ^ (uint64_t)mapping->dev_minor << 20;
    return h ^ mapping->inode * UINT64_C(0x9e3779b97f4a7c15) ^ device;
}

static bool same_file(const struct pyb_module_file *f, const char *path, const struct pyb_mapping *mapping)
{
    return f->inode == mapping->inode && f->dev_major == mapping->dev_major &&
           f->dev_minor == mapping->dev_minor && strcmp(f->open_path, path) == 0;
}

// A file may be loaded twice (dlmopen, a second libpython) or be mapped as data too. A second mapping of its
// first page begins a new module, unless the segments of the first one reach that far: in a library of one
// page, text and data map the same page.
static bool belongs(const struct pyb_modules *m, struct pyb_memory *mem, size_t index,
                    const struct pyb_mapping *mapping)
{
    const struct pyb_module *mod = &m->modules[index];
    pyb_addr ehdr = m->files[index].ehdr;
    if (mapping->offset != 0 || ehdr == 0)
        return true;
    struct pyb_elf *image;
    uint64_t low, high;
    if (!mem || pyb_elf_open_memory(m->ctx, mem, ehdr, &image, NULL) != 0)
        return mapping->start == mod->end;
    bool inside = pyb_elf_extent(image, &low, &high) && mapping->start - image->bias < high;
    pyb_elf_free(image);
    return inside;
}

static bool is_module_path(const char *path)
{
    return path && (path[0] == '/' || strcmp(path, "[vdso]") == 0);
}

static int assign(struct pyb_modules *m, struct pyb_memory *mem, struct pyb_map *by_file, size_t i,
                  struct pyb_error *err)
{
    struct pyb_mapping *mapping = &m->mappings[i];
    uint64_t key = file_key(m->paths[i], mapping);
    uintptr_t index = 0;
    bool known = pyb_map_get(by_file, key, &index);
    while (known && !same_file(&m->files[index], m->paths[i], mapping)) // two files, one hash
        known = pyb_map_get(by_file, ++key, &index);
    if (!known || !belongs(m, mem, index, mapping)) {
        struct pyb_module *mod;
        int rc = pyb_modules_add(m, m->paths[i], &mod, err);
        if (rc)
            return rc;
        index = m->n_modules - 1;
        m->files[index].inode = mapping->inode;
        m->files[index].dev_major = mapping->dev_major;
        m->files[index].dev_minor = mapping->dev_minor;
        mod->start = mapping->start;
        mod->first_mapping = (uint32_t)i;
        if (pyb_map_put(by_file, key, index) != 0)
            return pyb_fail(err, PYB_E_NOMEM, "out of memory for %zu modules", m->n_modules);
    }
    mapping->module = (uint32_t)index;
    m->modules[index].end = mapping->end;
    m->modules[index].n_mappings++;
    if (mapping->offset == 0 && m->files[index].ehdr == 0)
        m->files[index].ehdr = mapping->start;
    return 0;
}

int pyb_modules_assemble(struct pyb_modules *m, struct pyb_memory *mem, struct pyb_error *err)
{
    int rc = sort_mappings(m, err);
    struct pyb_map by_file;
    pyb_map_init(&by_file, m->ctx);
    for (size_t i = 0; rc == 0 && i < m->n_mappings; i++) {
        if (is_module_path(m->paths[i]))
            rc = assign(m, mem, &by_file, i, err);
    }
    pyb_map_deinit(&by_file);
    pyb_free(m->ctx, m->paths);
    m->paths = NULL;
    if (rc == PYB_E_LIMIT) { // so many files: the first ones, and the others as mappings without a module
        m->cut = true;
        rc = 0;
    }
    return rc;
}
