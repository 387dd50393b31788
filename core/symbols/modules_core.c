// SPDX-License-Identifier: Apache-2.0
#include <elf.h>
#include <string.h>

#include "base/error.h"
#include "memory/corefile.h"
#include "symbols/maps.h"
#include "symbols/modules_internal.h"

// The segment that holds addr, for its permissions; NULL when the core left the mapping out altogether.
static const struct pyb_core_segment *segment_at(const struct pyb_core_facts *facts, pyb_addr addr)
{
    size_t low = 0, high = facts->n_segments; // in address order, as every writer of cores has them
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (addr < facts->segments[mid].start)
            high = mid;
        else if (addr >= facts->segments[mid].end)
            low = mid + 1;
        else
            return &facts->segments[mid];
    }
    return NULL;
}

static int add_files(struct pyb_modules *m, const struct pyb_core_facts *facts, struct pyb_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < facts->n_mappings; i++) {
        const struct pyb_core_mapping *f = &facts->mappings[i];
        const struct pyb_core_segment *s = segment_at(facts, f->start);
        if (f->start >= f->end)
            continue;
        struct pyb_mapping mapping = {.start = f->start, .end = f->end, .offset = f->file_offset, .r = true,
                                      .is_private = true};
        if (s) {
            mapping.r = s->flags & PF_R;
            mapping.w = s->flags & PF_W;
            mapping.x = s->flags & PF_X;
        }
        char *path = f->path ? pyb_arena_strdup(&m->arena, f->path) : NULL;
        if (f->path && !path)
            return pyb_fail(err, PYB_E_NOMEM, "out of memory for the names of mapped files");
        rc = pyb_modules_add_mapping(m, &mapping, path, err);
        if (rc == 0)
            rc = pyb_ctx_check(m->ctx, err);
    }
    return rc;
}

static bool has_file(const struct pyb_core_facts *facts, const struct pyb_core_segment *s)
{
    size_t low = 0, high = facts->n_mappings; // the kernel writes both lists in address order
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (facts->mappings[mid].end <= s->start)
            low = mid + 1;
        else
            high = mid;
    }
    return low < facts->n_mappings && facts->mappings[low].start < s->end;
}

static int add_anonymous(struct pyb_modules *m, const struct pyb_core_facts *facts, struct pyb_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < facts->n_segments; i++) {
        const struct pyb_core_segment *s = &facts->segments[i];
        if (s->start >= s->end || has_file(facts, s))
            continue;
        struct pyb_mapping mapping = {.start = s->start, .end = s->end, .r = s->flags & PF_R,
                                      .w = s->flags & PF_W,
                                      .x = s->flags & PF_X, .is_private = true};
        bool vdso = facts->at_sysinfo_ehdr && s->start == facts->at_sysinfo_ehdr;
        rc = pyb_modules_add_mapping(m, &mapping, vdso ? "[vdso]" : NULL, err);
        if (rc == 0)
            rc = pyb_ctx_check(m->ctx, err);
    }
    return rc;
}

static void find_executable(struct pyb_modules *m, const struct pyb_core_facts *facts)
{
    pyb_addr known[] = {facts->at_phdr, facts->at_entry};
    for (size_t i = 0; i < 2 && m->executable == SIZE_MAX; i++) {
        const struct pyb_mapping *mapping = known[i] ? pyb_modules_mapping(m, known[i]) : NULL;
        if (mapping && mapping->module != PYB_NO_MODULE)
            m->executable = mapping->module;
    }
    if (m->executable == SIZE_MAX && m->n_modules)
        m->executable = 0; // no auxiliary vector: programs lie lowest
}

static int strip_deleted(struct pyb_modules *m, struct pyb_error *err)
{
    for (size_t i = 0; i < m->n_modules; i++) {
        struct pyb_module *mod = &m->modules[i];
        size_t len = pyb_maps_strip_deleted(mod->path, strlen(mod->path), &mod->deleted);
        char *path = mod->deleted ? pyb_arena_strndup(&m->arena, mod->path, len) : NULL;
        if (mod->deleted && !path)
            return pyb_fail(err, PYB_E_NOMEM, "out of memory for the names of mapped files");
        if (path)
            mod->path = path;
    }
    return 0;
}

static int build(struct pyb_target *t, const struct pyb_core_facts *facts, const char *exe,
                 struct pyb_modules *m,
                 struct pyb_error *err)
{
    m->exe = exe ? pyb_arena_strdup(&m->arena, exe) : NULL;
    int rc = add_files(m, facts, err);
    if (rc == 0)
        rc = add_anonymous(m, facts, err);
    if (rc == 0)
        rc = pyb_modules_assemble(m, t->mem, err);
    if (rc == 0)
        rc = strip_deleted(m, err);
    if (rc == 0)
        find_executable(m, facts);
    return rc;
}

// A core without NT_FILE (user-mode emulators write such): the dynamic linker's list, and the segments as
// mappings without a file.
static int build_from_link_map(struct pyb_target *t, const struct pyb_core_facts *facts, const char *exe,
                               struct pyb_modules **ret, struct pyb_error *err)
{
    int rc = pyb_modules_from_link_map(t, facts->at_phdr, facts->at_phnum, ret, err);
    if (rc)
        return rc;
    struct pyb_module *program = pyb_modules_executable(*ret);
    if (exe && program)
        program->local_path = pyb_arena_strdup(&(*ret)->arena, exe);
    return 0;
}

int pyb_modules_from_core(struct pyb_target *t, const struct pyb_core_facts *facts, const char *exe,
                          struct pyb_modules **ret,
                          struct pyb_error *err)
{
    *ret = NULL;
    if (facts->n_mappings == 0 && facts->at_phdr && build_from_link_map(t, facts, exe, ret, NULL) == 0)
        return 0;
    struct pyb_modules *m = pyb_modules_new(t->ctx, PYB_MODULES_CORE);
    if (!m)
        return pyb_fail(err, PYB_E_NOMEM, "out of memory for the list of mapped files");
    int rc = build(t, facts, exe, m, err);
    if (rc)
        pyb_modules_free(m);
    else
        *ret = m;
    return rc;
}

// Does the core lack bytes of this mapping?
static bool lacks_bytes(const struct pyb_core_facts *facts, const struct pyb_mapping *mapping)
{
    const struct pyb_core_segment *s = segment_at(facts, mapping->start);
    return !s || s->file_size < s->end - s->start;
}

// Only private mappings that the program never wrote to are left out of a core, so the file's bytes are the
// memory's.
static int back_module(struct pyb_target *t, const struct pyb_core_facts *facts, struct pyb_modules *m,
                       uint32_t index,
                       bool *ret_missing, struct pyb_error *err)
{
    struct pyb_module *mod = &m->modules[index];
    struct pyb_elf *elf;
    bool opened = pyb_module_open(t, m, mod, &elf, NULL) == 0;
    bool usable = opened && elf->source == PYB_ELF_FILE && m->files[index].verified;
    uint32_t seen = 0;
    bool program = opened;
    for (size_t i = mod->first_mapping; i < m->n_mappings && seen < mod->n_mappings; i++) {
        const struct pyb_mapping *mapping = &m->mappings[i];
        if (mapping->module != index)
            continue;
        seen++;
        program = program || mapping->x;
        if (!lacks_bytes(facts, mapping))
            continue;
        if (!usable) {
            *ret_missing = program;
            continue;
        }
        int rc = pyb_core_back(t->mem, mapping->start, mapping->end, elf->fd, mapping->offset, err);
        if (rc)
            return rc;
    }
    return 0;
}

int pyb_modules_back_core(struct pyb_target *t, struct pyb_error *err)
{
    struct pyb_modules *m = t->modules;
    const struct pyb_core_facts *facts = pyb_core_facts(t->mem);
    if (!facts || !m || m->source != PYB_MODULES_CORE)
        return 0;
    // All are compared before the first is backed: afterwards the core's first pages would be the files' own.
    for (size_t i = 0; i < m->n_modules; i++) {
        struct pyb_elf *elf;
        (void)pyb_module_open(t, m, &m->modules[i], &elf, NULL); // why not stays in the module
    }
    int missing = 0;
    for (size_t i = 0; i < m->n_modules; i++) {
        bool lacks = false;
        int rc = back_module(t, facts, m, (uint32_t)i, &lacks, err);
        if (rc)
            return rc;
        missing += lacks;
    }
    return missing;
}
