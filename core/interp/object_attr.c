// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"
#include "interp/object.h"

#include <string.h>

// Where an instance keeps its attributes: a dict object, or values beside the class's shared keys.
struct home {
    pyb_addr dict, keys, values;
};

static int cached_keys(struct pyb_python *py, const struct pyb_type *t, struct home *ret,
                       struct pyb_error *err)
{
    return pyb_field_ptr(py, t->addr, py->layout.heaptype_cached_keys, &ret->keys, err);
}

// 3.13 on: the values lie behind the object until its dict, if it ever gets one, is taken apart from them.
static int inline_values(struct pyb_python *py, pyb_addr object, const struct pyb_type *t, struct home *ret,
                         struct pyb_error *err)
{
    pyb_addr values = object + (uint64_t)t->basicsize;
    uint8_t valid;
    int rc = pyb_read_u8(py->target->mem, values + (uint64_t)py->layout.dictvalues_valid.offset, &valid, err);
    if (rc || !valid)
        return rc;
    ret->values = values;
    return cached_keys(py, t, ret, err);
}

// 3.11: two words in front of the object. 3.12: one, whose lowest bit says which. 3.13 on: the dict's only.
static int managed_home(struct pyb_python *py, pyb_addr object, const struct pyb_type *t, struct home *ret,
                        struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    struct pyb_memory *mem = py->target->mem;
    pyb_addr dict;
    int rc = pyb_read_ptr(mem, object + (uint64_t)l->managed_dict_at, &dict, err);
    if (rc)
        return rc;
    if (l->managed_values_at == l->managed_dict_at && (dict & 1)) {
        ret->values = dict + 1;
        return cached_keys(py, t, ret, err);
    }
    ret->dict = dict;
    if (dict)
        return 0;
    if (pyb_type_has(t, l->tpflags_inline_values) && pyb_has(l->dictvalues_valid))
        return inline_values(py, object, t, ret, err);
    if (l->managed_values_at == 0 || l->managed_values_at == l->managed_dict_at)
        return 0;
    rc = pyb_read_ptr(mem, object + (uint64_t)l->managed_values_at, &ret->values, err);
    return rc || !ret->values ? rc : cached_keys(py, t, ret, err);
}

// A negative offset counts from the end of the object, whose size depends on its length.
static int dict_offset(struct pyb_python *py, pyb_addr object, const struct pyb_type *t, int64_t *ret,
                       struct pyb_error *err)
{
    *ret = t->dictoffset;
    if (t->dictoffset >= 0)
        return 0;
    int64_t n, size;
    int rc = pyb_field_int(py, object, py->layout.var_ob_size, &n, err);
    if (rc)
        return rc;
    const int64_t word = py->layout.ptr_size, max = INT64_C(1) << 48;
    if (n < -max || n > max || __builtin_mul_overflow(n < 0 ? -n : n, t->itemsize, &size) ||
        __builtin_add_overflow(size, t->basicsize + word - 1, &size))
        return pyb_fail_at(err, PYB_E_CORRUPT, object, 0, "an object of %lld items", (long long)n);
    *ret = size / word * word + t->dictoffset;
    return 0;
}

static int find_home(struct pyb_python *py, pyb_addr object, struct home *ret, struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    const struct pyb_type *t;
    *ret = (struct home){0};
    int rc = pyb_type_of(py, object, &t, err);
    if (rc)
        return rc;
    if (l->major == 2 && strcmp(t->name, "instance") == 0)
        return pyb_field_ptr(py, object, l->oldinstance_dict, &ret->dict, err);
    if (pyb_type_has(t, l->tpflags_managed_dict) && l->managed_dict_at != 0)
        return managed_home(py, object, t, ret, err);
    if (t->dictoffset == 0)
        return 0;
    int64_t offset;
    rc = dict_offset(py, object, t, &offset, err);
    if (rc)
        return rc;
    if (offset < (int64_t)l->ptr_size)
        return pyb_fail_at(err, PYB_E_CORRUPT, t->addr, 0, "class %s keeps its instances' dict at %lld",
                           t->name, (long long)offset);
    return pyb_read_ptr(py->target->mem, object + (uint64_t)offset, &ret->dict, err);
}

int pyb_instance_iter_init(struct pyb_python *py, pyb_addr object, struct pyb_dict_iter *it,
                           struct pyb_error *err)
{
    struct home home;
    int rc = find_home(py, object, &home, err);
    if (rc)
        return rc;
    if (home.dict)
        return pyb_dict_iter_init(py, home.dict, it, NULL, err);
    if (home.values && home.keys)
        return pyb_dict_iter_init_split(py, home.keys, home.values, it, err);
    return pyb_fail(err, PYB_E_NOTFOUND, "the object at 0x%llx has no attributes of its own",
                    (unsigned long long)object);
}

enum { T_OBJECT = 6, T_OBJECT_EX = 16 }; // Include/structmember.h

// __slots__: the class has a member descriptor that says where in the instance the value is.
static int slot_attr(struct pyb_python *py, pyb_addr object, const char *name, pyb_addr *ret,
                     struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    const struct pyb_type *t, *kind;
    pyb_addr descriptor, member;
    int64_t type, offset;
    int rc = pyb_type_of(py, object, &t, err);
    if (rc == 0)
        rc = pyb_type_lookup(py, t, name, &descriptor, NULL, err);
    if (rc == 0)
        rc = pyb_type_of(py, descriptor, &kind, err);
    if (rc)
        return rc;
    if (strcmp(kind->name, "member_descriptor") != 0)
        return pyb_fail(err, PYB_E_NOTFOUND, "%s.%s is no slot", t->name, name);
    rc = pyb_field_ptr(py, descriptor, l->memberdescr_member, &member, err);
    if (rc == 0)
        rc = pyb_field_int(py, member, l->memberdef_type, &type, err);
    if (rc == 0)
        rc = pyb_field_int(py, member, l->memberdef_offset, &offset, err);
    if (rc)
        return rc;
    if ((type != T_OBJECT && type != T_OBJECT_EX) || offset < 0 ||
        offset > t->basicsize - (int64_t)l->ptr_size)
        return pyb_fail(err, PYB_E_NOTFOUND, "%s.%s does not hold an object", t->name, name);
    rc = pyb_read_ptr(py->target->mem, object + (uint64_t)offset, ret, err);
    return rc || *ret ? rc : pyb_fail(err, PYB_E_NOTFOUND, "%s.%s is not set", t->name, name);
}

int pyb_instance_attr(struct pyb_python *py, pyb_addr object, const char *name, pyb_addr *ret,
                      struct pyb_error *err)
{
    struct pyb_dict_iter it;
    int rc = pyb_instance_iter_init(py, object, &it, err);
    for (unsigned i = 0; rc == 0 && i < PYB_DICT_LOOKUP_MAX; i++) {
        pyb_addr key;
        rc = pyb_dict_next(py, &it, &key, ret, err);
        if (rc == 1 && pyb_string_equals(py, key, name))
            return 0;
        rc = rc == 1 ? 0 : rc == 0 ? PYB_E_NOTFOUND : rc;
    }
    return rc == PYB_E_NOTFOUND ? slot_attr(py, object, name, ret, err) : rc;
}
