// SPDX-License-Identifier: Apache-2.0
#include "interp/object.h"

#include "base/error.h"

#include <string.h>

enum { MAX_TYPE_SIZE = 1024, MAX_NAME = 1000, MAX_METATYPES = 8, MAX_MRO = 512 };

static const int64_t MAX_BASICSIZE = INT64_C(1) << 32;

static uint64_t take_uint(struct pyb_bytes *b, struct pyb_field f)
{
    return pyb_has(f) ? pyb_get_uint(b, (size_t)f.offset, f.width) : 0;
}

static int64_t take_int(struct pyb_bytes *b, struct pyb_field f)
{
    return pyb_has(f) ? pyb_get_int(b, (size_t)f.offset, f.width) : 0;
}

// A copy of the name in the arena, unless the one from the last look still fits.
static int read_name(struct pyb_python *py, pyb_addr addr, struct pyb_type *t, struct pyb_error *err)
{
    char raw[MAX_NAME + 1];
    int rc = pyb_read_cstr(py->target->mem, addr, raw, MAX_NAME, err);
    if (rc)
        return rc;
    struct pyb_buf clean;
    pyb_buf_init(&clean, py->target->ctx, 0);
    pyb_buf_add_utf8(&clean, raw, strlen(raw));
    if (!t->name || strcmp(t->name, pyb_buf_str(&clean)) != 0)
        t->name = pyb_arena_strdup(&py->arena, pyb_buf_str(&clean));
    pyb_buf_deinit(&clean);
    if (!t->name)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for the name of a type");
    const char *dot = strrchr(t->name, '.');
    t->short_name = dot ? dot + 1 : t->name;
    return 0;
}

static int read_type(struct pyb_python *py, pyb_addr addr, struct pyb_type *t, struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    uint8_t raw[MAX_TYPE_SIZE];
    if (l->type_size == 0 || l->type_size > sizeof raw || !pyb_has(l->type_name) || !pyb_has(l->obj_type))
        return pyb_fail(err, PYB_E_UNSUPPORTED, "layout %s does not say what a type object looks like",
                        l->name);
    int rc = pyb_read_bytes(py->target->mem, addr, raw, l->type_size, err);
    if (rc)
        return rc;
    struct pyb_bytes b = pyb_memory_bytes(py->target->mem, raw, l->type_size);
    t->addr = addr;
    t->metatype = take_uint(&b, l->obj_type);
    t->flags = take_uint(&b, l->type_flags);
    t->basicsize = take_int(&b, l->type_basicsize);
    t->itemsize = take_int(&b, l->type_itemsize);
    t->dictoffset = take_int(&b, l->type_dictoffset);
    t->base = take_uint(&b, l->type_base);
    t->repr = take_uint(&b, l->type_repr);
    t->dict = take_uint(&b, l->type_dict);
    t->mro = take_uint(&b, l->type_mro);
    t->members = take_uint(&b, l->type_members);
    t->heap = pyb_type_has(t, l->tpflags_heaptype);
    if (b.bad || t->basicsize < l->ptr_size || t->basicsize > MAX_BASICSIZE || t->itemsize < 0 ||
        t->itemsize > MAX_BASICSIZE)
        return pyb_fail_at(err, PYB_E_CORRUPT, addr, l->type_size,
                           "no type object: its instances have a size of %lld bytes",
                           (long long)t->basicsize);
    return read_name(py, take_uint(&b, l->type_name), t, err);
}

static int check_top(struct pyb_python *py, const struct pyb_type *t, pyb_addr at, struct pyb_error *err)
{
    struct pyb_type top = {0};
    int rc = at == t->addr ? 0 : read_type(py, at, &top, err);
    if (rc)
        return rc;
    if (strcmp(at == t->addr ? t->name : top.name, "type") == 0)
        return 0;
    return pyb_fail_at(err, PYB_E_CORRUPT, at, 0, "no type object: its type's type is not `type`");
}

// Whatever claims to be a type must be an instance of a type, and so on up to `type`, which is its own.
static int check_metatypes(struct pyb_python *py, const struct pyb_type *t, struct pyb_error *err)
{
    pyb_addr at = t->metatype, previous = t->addr;
    for (int i = 0; i < MAX_METATYPES; i++) {
        if (at == previous)
            return check_top(py, t, at, err);
        uintptr_t known;
        if (pyb_map_get(&py->types, at, &known))
            return 0;
        previous = at;
        int rc = pyb_field_ptr(py, at, py->layout.obj_type, &at, err);
        if (rc)
            return rc;
    }
    return pyb_fail_at(err, PYB_E_CORRUPT, t->addr, 0, "no type object: its chain of types does not end");
}

int pyb_type_get(struct pyb_python *py, pyb_addr type, const struct pyb_type **ret, struct pyb_error *err)
{
    uintptr_t known = 0;
    struct pyb_type *t = NULL;
    if (pyb_map_get(&py->types, type, &known)) {
        t = (struct pyb_type *)known;
        if (t->generation == py->generation) {
            *ret = t;
            return 0;
        }
    }
    struct pyb_type now = {.name = t ? t->name : NULL, .generation = py->generation};
    int rc = read_type(py, type, &now, err);
    if (rc == 0)
        rc = check_metatypes(py, &now, err);
    if (rc)
        return rc;
    if (!t) {
        t = pyb_arena_alloc(&py->arena, sizeof *t);
        if (!t || pyb_map_put(&py->types, type, (uintptr_t)t) != 0)
            return pyb_fail(err, PYB_E_NOMEM, "no memory for a type");
    }
    *t = now;
    *ret = t;
    return 0;
}

int pyb_type_of(struct pyb_python *py, pyb_addr object, const struct pyb_type **ret, struct pyb_error *err)
{
    pyb_addr type;
    int rc = pyb_field_ptr(py, object, py->layout.obj_type, &type, err);
    return rc ? rc : pyb_type_get(py, type, ret, err);
}

bool pyb_type_has(const struct pyb_type *type, int64_t flag)
{
    return flag != PYB_ABSENT && (type->flags & (uint64_t)flag) != 0;
}

int pyb_type_mro(struct pyb_python *py, const struct pyb_type *type, const struct pyb_type **ret, size_t max,
                 size_t *ret_n, struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    int64_t n;
    *ret_n = 0;
    int rc = pyb_field_int(py, type->mro, l->tuple_ob_size, &n, err);
    if (rc)
        return rc;
    if (n < 0 || n > MAX_MRO)
        return pyb_fail_at(err, PYB_E_CORRUPT, type->mro, 0, "an MRO of %lld classes", (long long)n);
    for (int64_t i = 0; i < n && *ret_n < max; i++) {
        pyb_addr at;
        const pyb_addr item = type->mro + (uint64_t)l->tuple_item.offset + (uint64_t)i * l->ptr_size;
        rc = pyb_read_ptr(py->target->mem, item, &at, err);
        if (rc)
            return rc;
        const struct pyb_type *t;
        rc = pyb_type_get(py, at, &t, err);
        if (rc == 0)
            ret[(*ret_n)++] = t;
        else if (rc != PYB_E_CORRUPT && rc != PYB_E_FAULT)
            return rc;
    }
    return 0;
}

int pyb_type_lookup(struct pyb_python *py, const struct pyb_type *type, const char *name, pyb_addr *ret,
                    const struct pyb_type **ret_owner, struct pyb_error *err)
{
    const struct pyb_type *mro[64];
    size_t n;
    int rc = pyb_type_mro(py, type, mro, sizeof mro / sizeof *mro, &n, err);
    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++) {
        if (!mro[i]->heap || !mro[i]->dict)
            continue;
        rc = pyb_dict_get(py, mro[i]->dict, name, ret, err);
        if (rc == 0 && ret_owner)
            *ret_owner = mro[i];
        if (rc != PYB_E_NOTFOUND)
            return rc;
    }
    return pyb_fail(err, PYB_E_NOTFOUND, "class %s has no attribute %s", type->name, name);
}
