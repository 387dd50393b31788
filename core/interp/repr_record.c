// SPDX-License-Identifier: Apache-2.0
// Records that name their fields: named tuples, struct sequences, dataclasses. Mirrors
// Lib/collections/__init__.py, Objects/structseq.c and Lib/dataclasses.py.
#include "interp/repr.h"

#include "base/error.h"

#include <string.h>

static int tuple_size(struct pyb_repr *r, pyb_addr tuple, int64_t *ret)
{
    int rc = pyb_repr_int(r, tuple, pyb_has(r->l->tuple_ob_size) ? r->l->tuple_ob_size : r->l->var_ob_size,
                          ret);
    if (rc == 0 && (*ret < 0 || *ret > INT32_MAX))
        return pyb_repr_corrupt(r, tuple, "a tuple of %lld items", (long long)*ret);
    return rc;
}

static int tuple_item(struct pyb_repr *r, pyb_addr tuple, int64_t i, pyb_addr *ret)
{
    return pyb_read_ptr(r->mem, tuple + (uint64_t)r->l->tuple_item.offset + (uint64_t)i * r->l->ptr_size, ret,
                        r->err);
}

// Point(x=1, y=2). 2.7 prints the name that namedtuple() was given, 3 that of the instance's class.
int pyb_repr_namedtuple(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    const struct pyb_type *owner;
    pyb_addr fields, name, item;
    int64_t n, n_fields;
    int rc = pyb_type_get(r->py, type->repr_owner, &owner, r->err);
    if (rc == 0)
        rc = pyb_dict_get(r->py, owner->dict, "_fields", &fields, r->err);
    if (rc == 0 && !pyb_repr_is(r, fields, "tuple"))
        rc = pyb_repr_corrupt(r, object, "a named tuple whose _fields is no tuple");
    if (rc == 0)
        rc = tuple_size(r, object, &n);
    if (rc == 0)
        rc = tuple_size(r, fields, &n_fields);
    if (rc)
        return rc;
    if (n != n_fields)
        return pyb_repr_corrupt(r, object, "a named tuple of %lld items and %lld fields", (long long)n,
                                (long long)n_fields);
    pyb_buf_printf(r->out, "%s(", r->l->major == 2 ? owner->name : type->name);
    r->containers++;
    for (int64_t i = 0; rc == 0 && i < n && !pyb_repr_next_item(r, (uint64_t)i); i++) {
        rc = tuple_item(r, fields, i, &name);
        if (rc == 0)
            rc = pyb_repr_name(r, name);
        pyb_buf_addc(r->out, '=');
        if (rc == 0)
            rc = tuple_item(r, object, i, &item);
        if (rc == 0)
            rc = pyb_repr_value(r, item);
    }
    pyb_buf_addc(r->out, ')');
    return rc;
}

int pyb_repr_structseq(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    const struct pyb_layout *l = r->l;
    int64_t n;
    int rc = tuple_size(r, object, &n);
    if (rc)
        return rc;
    pyb_buf_printf(r->out, "%s(", type->name);
    r->containers++;
    for (int64_t i = 0; rc == 0 && i < n && !pyb_repr_next_item(r, (uint64_t)i); i++) {
        pyb_addr name, item;
        rc = pyb_repr_ptr(r, type->members + (uint64_t)i * l->memberdef_size, l->memberdef_name, &name);
        if (rc == 0 && !name)
            rc = pyb_repr_corrupt(r, object, "a %s of %lld items and %lld names", type->name, (long long)n,
                                  (long long)i);
        if (rc == 0)
            rc = pyb_repr_cstr(r, name);
        pyb_buf_addc(r->out, '=');
        if (rc == 0)
            rc = tuple_item(r, object, i, &item);
        if (rc == 0)
            rc = pyb_repr_value(r, item);
    }
    pyb_buf_addc(r->out, ')');
    return rc;
}

// A field of a dataclass that repr() shows: repr=True, and neither ClassVar nor InitVar.
static bool is_shown(struct pyb_repr *r, pyb_addr field)
{
    pyb_addr kind, name, flag;
    int64_t shown = 0;
    if (pyb_instance_attr(r->py, field, "_field_type", &kind, NULL) != 0 ||
        pyb_instance_attr(r->py, kind, "name", &name, NULL) != 0 ||
        !pyb_string_equals(r->py, name, "_FIELD"))
        return false;
    return pyb_instance_attr(r->py, field, "repr", &flag, NULL) == 0 &&
        pyb_repr_get_int(r, flag, &shown) == 0 && shown;
}

// The attribute `name`, as getattr() would find it without running anything: instance, slot, class.
static int field_value(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type, pyb_addr name)
{
    char text[256];
    uint32_t c[sizeof text];
    size_t n;
    int64_t total;
    pyb_addr value;
    int rc = pyb_string_codepoints(r->py, name, c, sizeof text - 1, &n, &total, r->err);
    if (rc)
        return rc;
    for (size_t i = 0; i < n; i++) {
        if (c[i] == 0 || c[i] > 0x7f)
            return pyb_repr_corrupt(r, object, "a field whose name is not ASCII");
        text[i] = (char)c[i];
    }
    text[n] = '\0';
    rc = pyb_instance_attr(r->py, object, text, &value, r->err);
    if (rc == PYB_E_NOTFOUND)
        rc = pyb_type_lookup(r->py, type, text, &value, NULL, r->err);
    if (rc == PYB_E_NOTFOUND) {
        pyb_buf_adds(r->out, "<unset>");
        return 0;
    }
    return rc ? rc : pyb_repr_value(r, value);
}

int pyb_repr_dataclass(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    const struct pyb_type *owner;
    pyb_addr fields, name, field, qualname;
    struct pyb_dict_iter it;
    int rc = pyb_type_get(r->py, type->repr_owner, &owner, r->err);
    if (rc == 0)
        rc = pyb_dict_get(r->py, owner->dict, "__dataclass_fields__", &fields, r->err);
    if (rc == 0)
        rc = pyb_repr_ptr(r, type->addr, r->l->heaptype_qualname, &qualname);
    if (rc == 0)
        rc = pyb_dict_iter_init(r->py, fields, &it, NULL, r->err);
    if (rc)
        return rc;
    rc = pyb_repr_name(r, qualname);
    pyb_buf_addc(r->out, '(');
    if (rc == 0 && pyb_repr_too_deep(r, "...)"))
        return 0;
    r->containers++;
    uint64_t i = 0;
    while (rc == 0 && (rc = pyb_dict_next(r->py, &it, &name, &field, r->err)) == 1) {
        rc = 0;
        if (!is_shown(r, field))
            continue;
        if (pyb_repr_next_item(r, i++))
            break;
        rc = pyb_repr_name(r, name);
        pyb_buf_addc(r->out, '=');
        if (rc == 0)
            rc = field_value(r, object, type, name);
    }
    pyb_buf_addc(r->out, ')');
    return rc < 0 ? rc : 0;
}
