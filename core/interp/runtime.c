// SPDX-License-Identifier: Apache-2.0
#include "interp/runtime.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "interp/fields.h"

#define CHECK_INTERPS 16
#define CHECK_THREADS 8 // of each
#define CHECK_TRIES 3

// 1: the object's type is called "dict", or says it is one where its name cannot be read; -1: it is not; 0: cannot be told.
static int is_dict(struct pyb_target *t, const struct pyb_layout *l, pyb_addr object)
{
    struct pyb_want type = {.base = object, .field = l->obj_type};
    if (object == 0 || pyb_wants_read(t->mem, &type, 1, NULL))
        return 0;
    if (!type.ok)
        return pyb_has_field(l->obj_type) ? -1 : 0;
    struct pyb_want w[] = {{.base = type.value, .field = l->type_name}, {.base = type.value, .field = l->type_flags}};
    char text[8];
    if (pyb_wants_read(t->mem, w, 2, NULL) || !pyb_has_field(l->type_name))
        return 0;
    if (!w[0].ok)
        return -1;
    if (pyb_read_cstr(t->mem, w[0].value, text, sizeof(text) - 1, NULL)) // a core without its executable has no .rodata
        return w[1].ok && l->tpflags_dict_subclass > 0 && (w[1].value & (uint64_t)l->tpflags_dict_subclass) ? 1 : -1;
    return strcmp(text, "dict") == 0 ? 1 : -1;
}

static int check_threads(struct pyb_target *t, const struct pyb_layout *l, pyb_addr interp, pyb_addr first, uint32_t *ret_n,
                         struct pyb_error *err)
{
    pyb_addr previous = 0, at = first;
    for (uint32_t i = 0; i < CHECK_THREADS && at != 0; i++) {
        struct pyb_want w[] = {{.base = at, .field = l->tstate_interp},
                               {.base = at, .field = l->tstate_next},
                               {.base = at, .field = l->tstate_prev}};
        int rc = pyb_wants_read(t->mem, w, 3, err);
        if (rc)
            return rc;
        if (!w[0].ok || !w[1].ok)
            return pyb_fail_at(err, PYB_E_CORRUPT, at, 0, "thread state 0x%" PRIx64 " cannot be read", at);
        if (w[0].value != interp)
            return pyb_fail_at(err, PYB_E_CORRUPT, at, 0, "thread state 0x%" PRIx64 " of interpreter 0x%" PRIx64
                               " says it belongs to 0x%" PRIx64, at, interp, w[0].value);
        if (w[2].ok && w[2].value != previous)
            return pyb_fail_at(err, PYB_E_CORRUPT, at, 0, "thread state 0x%" PRIx64 " follows 0x%" PRIx64
                               " but points back at 0x%" PRIx64, at, previous, w[2].value);
        ++*ret_n;
        previous = at;
        at = w[1].value;
    }
    return 0;
}

static int check_once(struct pyb_target *t, const struct pyb_layout *l, pyb_addr head_at, struct pyb_head_check *ret,
                      struct pyb_error *err)
{
    memset(ret, 0, sizeof(*ret));
    int rc = pyb_read_ptr(t->mem, head_at, &ret->head, err);
    pyb_addr interp = rc ? 0 : ret->head, seen = 0;
    for (uint32_t i = 0; rc == 0 && i < CHECK_INTERPS && interp != 0; i++) {
        struct pyb_want w[] = {{.base = interp, .field = l->interp_next},
                               {.base = interp, .field = l->interp_tstate_head},
                               {.base = interp, .field = l->interp_modules}};
        rc = pyb_wants_read(t->mem, w, 3, err);
        if (rc)
            return rc;
        if (interp % t->mem->ptr_size || !w[0].ok || !w[1].ok)
            return pyb_fail_at(err, PYB_E_CORRUPT, interp, 0, "no interpreter state at 0x%" PRIx64, interp);
        if (interp == seen)
            return pyb_fail_at(err, PYB_E_CORRUPT, interp, 0, "the list of interpreters runs in a circle at 0x%" PRIx64, interp);
        if ((i & (i - 1)) == 0)
            seen = interp;
        rc = check_threads(t, l, interp, w[1].value, &ret->n_threads, err);
        if (ret->modules != 1 && w[2].ok && w[2].value)
            ret->modules = is_dict(t, l, w[2].value);
        ret->n_interps++;
        interp = w[0].value;
    }
    return rc;
}

int pyb_head_check(struct pyb_target *t, const struct pyb_layout *layout, pyb_addr head_at, struct pyb_head_check *ret,
                   struct pyb_error *err)
{
    if (!pyb_has_field(layout->interp_next) || !pyb_has_field(layout->interp_tstate_head) || !pyb_has_field(layout->tstate_interp) ||
        !pyb_has_field(layout->tstate_next))
        return pyb_fail(err, PYB_E_UNSUPPORTED, "layout %s lacks members of the thread list", layout->name);
    int rc = 0;
    for (int i = 0; i < CHECK_TRIES; i++) {
        rc = check_once(t, layout, head_at, ret, err);
        if (rc != PYB_E_CORRUPT && rc != PYB_E_FAULT)
            break;
        pyb_memory_invalidate(t->mem);
    }
    return rc;
}

// Length of a list of interpreters, bounded.
static uint32_t list_length(struct pyb_python *py, pyb_addr interp)
{
    uint32_t n = 0;
    for (; interp && n < CHECK_INTERPS; n++) {
        struct pyb_want next = {.base = interp, .field = py->layout.interp_next};
        if (pyb_wants_read(py->target->mem, &next, 1, NULL) || !next.ok)
            break;
        interp = next.value;
    }
    return n;
}

int pyb_interp_first(struct pyb_python *py, pyb_addr *ret, struct pyb_error *err)
{
    int rc = pyb_read_ptr(py->target->mem, py->interp_head_at, ret, err);
    if (rc || py->n_other_heads == 0)
        return rc;
    uint32_t longest = list_length(py, *ret);
    for (uint32_t i = 0; i < py->n_other_heads; i++) {
        pyb_addr other;
        if (pyb_read_ptr(py->target->mem, py->other_heads[i], &other, NULL))
            continue;
        uint32_t n = list_length(py, other);
        if (n > longest) {
            longest = n;
            *ret = other;
        }
    }
    return 0;
}
