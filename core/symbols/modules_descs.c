// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/error.h"
#include "symbols/modules_internal.h"

// Descriptions come from a caller that may be built against an older, shorter struct.
#define HAS_FIELD(d, field) ((d)->size >= offsetof(struct pyb_module_desc, field) + sizeof((d)->field))

static int add_desc(struct pyb_target *t, struct pyb_modules *m, const struct pyb_module_desc *d,
                    struct pyb_error *err)
{
    if (!HAS_FIELD(d, path))
        return pyb_fail(err, PYB_E_USAGE, "module description of %zu bytes: too small", d->size);
    char *path = pyb_arena_strdup(&m->arena, d->path ? d->path : "");
    struct pyb_module *mod;
    int rc = path ? pyb_modules_add(m, path, &mod, err)
                  : pyb_fail(err, PYB_E_NOMEM, "out of memory for module names");
    if (rc)
        return rc;
    if (HAS_FIELD(d, local_path) && d->local_path) {
        mod->local_path = pyb_arena_strdup(&m->arena, d->local_path);
        if (!mod->local_path)
            return pyb_fail(err, PYB_E_NOMEM, "out of memory for module names");
    }
    if (d->start < d->end) {
        mod->start = d->start;
        mod->end = d->end;
    }
    mod->bias = d->bias;
    mod->bias_known = d->bias_known;
    // `start` may be that of a section only: what lies there tells.
    if (pyb_is_ehdr(t->mem, d->start))
        m->files[m->n_modules - 1].ehdr = d->start;
    else if (d->bias_known && pyb_is_ehdr(t->mem, d->bias))
        m->files[m->n_modules - 1].ehdr = d->bias;
    if (t->executable && m->executable == SIZE_MAX && strcmp(t->executable, path) == 0)
        m->executable = m->n_modules - 1;
    return 0;
}

int pyb_modules_from_descs(struct pyb_target *t, const struct pyb_module_desc *d, size_t n,
                           struct pyb_modules **ret,
                           struct pyb_error *err)
{
    *ret = NULL;
    struct pyb_modules *m = pyb_modules_new(t->ctx, PYB_MODULES_DESCS);
    if (!m)
        return pyb_fail(err, PYB_E_NOMEM, "out of memory for the list of modules");
    int rc = 0;
    const char *at = (const char *)d;
    size_t step = n ? d->size : 0; // the caller's array has the caller's struct
    if (n && step < sizeof(size_t))
        rc = pyb_fail(err, PYB_E_USAGE, "module description of %zu bytes: too small", step);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        struct pyb_module_desc one = {0};
        memcpy(&one, at + i * step, step < sizeof(one) ? step : sizeof(one));
        one.size = step;
        rc = add_desc(t, m, &one, err);
    }
    if (rc) {
        pyb_modules_free(m);
        return rc;
    }
    m->opener = *t;
    *ret = m;
    return 0;
}
