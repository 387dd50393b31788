// SPDX-License-Identifier: Apache-2.0
/**
 * Built-in types and values made by hand in any row of the real layout tables, for the tests and the fuzzer
 * of repr().
 */
#ifndef PYB_TESTS_MADE_VALUES_H
#define PYB_TESTS_MADE_VALUES_H
#include "interp/locals.h"
#include "interp/object.h"
#include "made_target.h"

struct values {
    struct made f;
    pyb_addr type, object, tuple, list, dict, set, integer, str, bytes; // types
    pyb_addr next_repr; // tp_repr: any number that differs
};

static inline void values_size(struct values *v, pyb_addr object, struct pyb_field f, uint64_t n)
{
    made_set(&v->f, object, pyb_has_field(f) ? f : v->f.py.layout.var_ob_size, n);
}

static inline pyb_addr values_object(struct values *v, pyb_addr type, size_t size)
{
    pyb_addr o = made_alloc(&v->f, size);
    made_set(&v->f, o, v->f.py.layout.obj_type, type);
    return o;
}

static inline pyb_addr values_tuple(struct values *v, const pyb_addr *items, size_t n)
{
    const struct pyb_layout *l = &v->f.py.layout;
    pyb_addr o = values_object(v, v->tuple, (size_t)l->tuple_item.offset + (n + 1) * l->ptr_size);
    values_size(v, o, l->tuple_ob_size, n);
    for (size_t i = 0; i < n; i++)
        made_put(&v->f, o + (size_t)l->tuple_item.offset + i * l->ptr_size, l->ptr_size, items[i]);
    return o;
}

/** A static type under `base` (0: none) with a tp_repr of its own, or a heap type with that of its base. */
static inline pyb_addr values_type(struct values *v, const char *name, pyb_addr base, int64_t flag, bool heap)
{
    const struct pyb_layout *l = &v->f.py.layout;
    uint64_t flags = (flag > 0 ? (uint64_t)flag : 0) | (heap ? (uint64_t)l->tpflags_heaptype : 0), repr = 0;
    pyb_addr t = made_type(&v->f, name, flags);
    made_set(&v->f, t, l->obj_type, v->type ? v->type : t);
    made_set(&v->f, t, l->type_basicsize, 4 * l->ptr_size);
    made_set(&v->f, t, l->type_base, base);
    if (heap)
        (void)pyb_field_ptr(&v->f.py, base, l->type_repr, &repr, NULL);
    made_set(&v->f, t, l->type_repr, heap ? repr : (v->next_repr += 16));
    pyb_addr mro[3] = {t, base, v->object};
    if (v->tuple)
        made_set(&v->f, t, l->type_mro, values_tuple(v, mro, base == 0 ? 1 : base == v->object ? 2 : 3));
    return t;
}

static inline void values_begin(struct values *v, const struct pyb_layout *layout)
{
    memset(v, 0, sizeof *v);
    made_init(&v->f, layout);
    v->next_repr = 0x4000;
    const struct pyb_layout *l = &v->f.py.layout;
    bool two = l->major == 2;
    v->type = values_type(v, "type", 0, l->tpflags_type_subclass, false);
    v->tuple = values_type(v, "tuple", 0, l->tpflags_tuple_subclass, false);
    v->object = values_type(v, "object", 0, 0, false);
    v->list = values_type(v, "list", v->object, l->tpflags_list_subclass, false);
    v->dict = values_type(v, "dict", v->object, l->tpflags_dict_subclass, false);
    v->set = values_type(v, "set", v->object, 0, false);
    v->integer = values_type(v, two ? "long" : "int", v->object, l->tpflags_long_subclass, false);
    v->str = values_type(v, two ? "unicode" : "str", v->object, l->tpflags_unicode_subclass, false);
    v->bytes = values_type(v, two ? "str" : "bytes", v->object, l->tpflags_bytes_subclass, false);
    pyb_addr mro[2] = {v->tuple, v->object};
    made_set(&v->f, v->tuple, l->type_mro, values_tuple(v, mro, 2));
    mro[0] = v->type;
    made_set(&v->f, v->type, l->type_mro, values_tuple(v, mro, 2));
}

static inline pyb_addr values_list(struct values *v, const pyb_addr *items, size_t n)
{
    const struct pyb_layout *l = &v->f.py.layout;
    pyb_addr o = values_object(v, v->list, l->list_size), array = made_alloc(&v->f, (n + 1) * l->ptr_size);
    values_size(v, o, l->list_ob_size, n);
    made_set(&v->f, o, l->list_item, array);
    for (size_t i = 0; i < n; i++)
        made_put(&v->f, array + i * l->ptr_size, l->ptr_size, items[i]);
    return o;
}

/** An int of n digits, least significant first. */
static inline pyb_addr values_int(struct values *v, const uint32_t *digits, size_t n, bool negative)
{
    const struct pyb_layout *l = &v->f.py.layout;
    pyb_addr o = values_object(v, v->integer, (size_t)l->int_digit.offset + (n + 1) * l->int_digit.width);
    if (l->int_model == PYB_INT_TAG)
        made_set(&v->f, o, l->int_lv_tag, (uint64_t)n << 3 | (n == 0 ? 1 : negative ? 2 : 0));
    else
        values_size(v, o, l->int_ob_size, negative ? -(uint64_t)n : n);
    for (size_t i = 0; i < n; i++)
        made_put(&v->f, o + (size_t)l->int_digit.offset + i * l->int_digit.width, l->int_digit.width,
                 digits[i]);
    return o;
}

static inline pyb_addr values_small(struct values *v, uint32_t number)
{
    return values_int(v, &number, number != 0, false);
}
#endif
