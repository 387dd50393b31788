// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/error.h"
#include "symbols/modules_internal.h"
#include "symbols/saved.h"

#define MAGIC UINT64_C(0x31736c75646f6d70) // "pmoduls1"
#define NO_INDEX UINT32_MAX

static void save_mapping(const struct pyb_mapping *mapping, struct pyb_buf *ret)
{
    pyb_put_uint(ret, mapping->start, 8);
    pyb_put_uint(ret, mapping->end, 8);
    pyb_put_uint(ret, mapping->offset, 8);
    pyb_put_uint(ret, mapping->inode, 8);
    pyb_put_uint(ret, mapping->dev_major, 4);
    pyb_put_uint(ret, mapping->dev_minor, 4);
    pyb_put_uint(ret, mapping->module, 4);
    pyb_put_uint(ret, (uint64_t)(mapping->r | mapping->w << 1 | mapping->x << 2 | mapping->is_private << 3),
                 1);
}

static int save_module(struct pyb_modules *m, size_t i, struct pyb_buf *ret)
{
    const struct pyb_module *mod = &m->modules[i];
    pyb_put_str(ret, mod->path);
    pyb_put_str(ret, mod->elf_note);
    pyb_put_uint(ret, (uint64_t)(mod->deleted | mod->bias_known << 1), 1);
    pyb_put_uint(ret, mod->start, 8);
    pyb_put_uint(ret, mod->end, 8);
    pyb_put_uint(ret, mod->bias, 8);
    pyb_put_uint(ret, mod->first_mapping, 4);
    pyb_put_uint(ret, mod->n_mappings, 4);
    pyb_put_uint(ret, m->files[i].ehdr, 8);
    pyb_put_uint(ret, (uint32_t)(mod->elf_state < 0 ? mod->elf_state : 0), 4);
    pyb_put_str(ret, mod->elf_state < 0 ? m->files[i].why : NULL);
    struct pyb_buf elf;
    pyb_buf_init(&elf, m->ctx, 0);
    int rc = mod->elf ? pyb_elf_save(mod->elf, &elf) : 0;
    if (rc == 0)
        pyb_put_bytes(ret, elf.data ? elf.data : "", elf.len < UINT32_MAX ? elf.len : 0);
    pyb_buf_deinit(&elf);
    return rc;
}

int pyb_modules_save(struct pyb_modules *m, struct pyb_buf *ret)
{
    pyb_put_uint(ret, MAGIC, 8);
    pyb_put_uint(ret, m->n_mappings, 4);
    for (size_t i = 0; i < m->n_mappings; i++)
        save_mapping(&m->mappings[i], ret);
    pyb_put_uint(ret, m->n_modules, 4);
    pyb_put_uint(ret, m->executable < m->n_modules ? m->executable : NO_INDEX, 4);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < m->n_modules; i++)
        rc = save_module(m, i, ret);
    if (rc == 0 && (ret->failed || ret->limited))
        rc = PYB_E_NOMEM;
    return rc;
}

static int take_mappings(struct pyb_modules *m, struct pyb_saved *s, struct pyb_error *err)
{
    uint64_t n = pyb_take_uint(s, 4);
    if (s->b.bad || n > PYB_MAX_MAPPINGS)
        return pyb_fail(err, PYB_E_CORRUPT, "%llu mappings in a recording: out of bounds",
                        (unsigned long long)n);
    for (uint64_t i = 0; i < n; i++) {
        struct pyb_mapping mapping = {.start = pyb_take_uint(s, 8)};
        mapping.end = pyb_take_uint(s, 8);
        mapping.offset = pyb_take_uint(s, 8);
        mapping.inode = pyb_take_uint(s, 8);
        mapping.dev_major = (uint32_t)pyb_take_uint(s, 4);
        mapping.dev_minor = (uint32_t)pyb_take_uint(s, 4);
        uint32_t module = (uint32_t)pyb_take_uint(s, 4);
        uint64_t flags = pyb_take_uint(s, 1);
        mapping.r = flags & 1;
        mapping.w = flags & 2;
        mapping.x = flags & 4;
        mapping.is_private = flags & 8;
        bool order = m->n_mappings == 0 || m->mappings[m->n_mappings - 1].end <= mapping.start;
        if (s->b.bad || mapping.start >= mapping.end || !order)
            return pyb_fail(err, PYB_E_CORRUPT, "mapping %llu of a recording makes no sense",
                            (unsigned long long)i);
        int rc = pyb_modules_add_mapping(m, &mapping, NULL, err);
        if (rc)
            return rc;
        m->mappings[m->n_mappings - 1].module = module;
    }
    return 0;
}

static int take_module(struct pyb_modules *m, struct pyb_saved *s, struct pyb_error *err)
{
    const char *path = pyb_take_str(s, &m->arena);
    struct pyb_module *mod;
    int rc = path ? pyb_modules_add(m, path, &mod, err) : pyb_fail(err, PYB_E_CORRUPT,
                                                                   "a recorded module without a name");
    if (rc)
        return rc;
    struct pyb_module_file *f = &m->files[m->n_modules - 1];
    mod->elf_note = pyb_take_str(s, &m->arena);
    uint64_t flags = pyb_take_uint(s, 1);
    mod->deleted = flags & 1;
    mod->bias_known = flags & 2;
    mod->start = pyb_take_uint(s, 8);
    mod->end = pyb_take_uint(s, 8);
    mod->bias = pyb_take_uint(s, 8);
    mod->first_mapping = (uint32_t)pyb_take_uint(s, 4);
    mod->n_mappings = (uint32_t)pyb_take_uint(s, 4);
    f->ehdr = pyb_take_uint(s, 8);
    f->error = (int32_t)pyb_take_uint(s, 4);
    f->why = pyb_take_str(s, &m->arena);
    size_t len;
    const uint8_t *elf = pyb_take_bytes(s, &len);
    if (s->b.bad || f->error > 0)
        return pyb_fail(err, PYB_E_CORRUPT, "recorded module %zu makes no sense", m->n_modules);
    if (len == 0)
        return 0;
    uint8_t *copy = pyb_arena_alloc(&m->arena, len); // the blob need not live as long as the list
    if (!copy)
        return pyb_fail(err, PYB_E_NOMEM, "out of memory for recorded modules");
    memcpy(copy, elf, len);
    f->saved = copy;
    f->saved_len = len;
    return 0;
}

static int take_all(struct pyb_modules *m, struct pyb_saved *s, struct pyb_error *err)
{
    if (pyb_take_uint(s, 8) != MAGIC)
        return pyb_fail(err, PYB_E_CORRUPT, "not the modules of a recording");
    int rc = take_mappings(m, s, err);
    uint64_t n = rc == 0 ? pyb_take_uint(s, 4) : 0;
    uint64_t executable = rc == 0 ? pyb_take_uint(s, 4) : NO_INDEX;
    for (uint64_t i = 0; rc == 0 && i < n; i++)
        rc = take_module(m, s, err);
    for (size_t i = 0; rc == 0 && i < m->n_mappings; i++) {
        if (m->mappings[i].module != PYB_NO_MODULE && m->mappings[i].module >= m->n_modules)
            rc = pyb_fail(err, PYB_E_CORRUPT, "mapping %zu of a recording is of module %u of %zu", i,
                          m->mappings[i].module,
                          m->n_modules);
    }
    if (executable < m->n_modules)
        m->executable = (size_t)executable;
    return rc;
}

int pyb_modules_from_saved(struct pyb_target *t, const void *data, size_t len, struct pyb_modules **ret,
                           struct pyb_error *err)
{
    *ret = NULL;
    struct pyb_modules *m = pyb_modules_new(t->ctx, PYB_MODULES_SAVED);
    if (!m)
        return pyb_fail(err, PYB_E_NOMEM, "out of memory for the list of mapped files");
    struct pyb_saved s = pyb_saved(data, len);
    int rc = take_all(m, &s, err);
    if (rc)
        pyb_modules_free(m);
    else
        *ret = m;
    return rc;
}
