// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "base/error.h"
#include "symbols/modules_internal.h"

// The same file at the same place. What opening found out (the bias) is no difference.
static bool same_load(const struct pyb_modules *a, size_t i, const struct pyb_modules *b, size_t k)
{
    const struct pyb_module *x = &a->modules[i], *y = &b->modules[k];
    // a front end that tells only the bias: the extent is what opening found out
    bool place = (x->start == y->start && x->end == y->end) ||
                 ((x->start >= x->end || y->start >= y->end) && x->bias_known && y->bias_known);
    return place && a->files[i].inode == b->files[k].inode &&
           a->files[i].dev_major == b->files[k].dev_major && a->files[i].dev_minor == b->files[k].dev_minor &&
           (!x->bias_known || !y->bias_known || x->bias == y->bias) && strcmp(x->path, y->path) == 0;
}

static void move_elf(struct pyb_modules *m, size_t i, struct pyb_modules *old, size_t k)
{
    struct pyb_module *to = &m->modules[i], *from = &old->modules[k];
    if (from->elf_state <= 0 || to->elf_state > 0)
        return;
    if (to->start >= to->end) {
        to->start = from->start;
        to->end = from->end;
    }
    to->elf = from->elf;
    to->bias = from->bias;
    to->bias_known = true;
    to->elf_state = 1;
    to->elf_note = from->elf_note ? pyb_arena_strdup(&m->arena, from->elf_note) : NULL;
    m->files[i].verified = old->files[k].verified;
    from->elf = NULL;
    from->elf_state = 0;
}

void pyb_modules_adopt(struct pyb_modules *m, struct pyb_modules *old)
{
    size_t hint = 0; // both lists are in address order, mostly
    for (size_t i = 0; i < m->n_modules; i++) {
        for (size_t step = 0; step < old->n_modules; step++) {
            size_t k = (hint + step) % old->n_modules;
            if (!same_load(m, i, old, k))
                continue;
            move_elf(m, i, old, k);
            hint = k + 1;
            break;
        }
    }
}

int pyb_modules_refresh(struct pyb_target *t, bool *ret_changed, struct pyb_error *err)
{
    struct pyb_modules *old = t->modules, *fresh;
    *ret_changed = false;
    if (!old || old->source != PYB_MODULES_PID)
        return 0;
    int rc = pyb_modules_from_pid(t, &fresh, err);
    if (rc)
        return rc;
    bool same = fresh->n_modules == old->n_modules;
    for (size_t i = 0; same && i < fresh->n_modules; i++)
        same = same_load(fresh, i, old, i);
    if (!same) {
        pyb_modules_adopt(fresh, old);
        pyb_modules_free(old);
        t->modules = fresh;
        *ret_changed = true;
        return 0;
    }
    // The files are the same, anonymous memory may not be: the new mappings, the old modules.
    struct pyb_mapping *mappings = old->mappings;
    old->mappings = fresh->mappings;
    old->n_mappings = fresh->n_mappings;
    for (size_t i = 0; i < old->n_modules; i++) {
        old->modules[i].first_mapping = fresh->modules[i].first_mapping;
        old->modules[i].n_mappings = fresh->modules[i].n_mappings;
    }
    fresh->mappings = mappings;
    pyb_modules_free(fresh);
    return 0;
}
