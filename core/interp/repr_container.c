// SPDX-License-Identifier: Apache-2.0
#include "interp/repr.h"

#include "base/error.h"

#include <string.h>

static const int64_t MAX_ITEMS = INT64_C(1) << 40;

static int read_size(struct pyb_repr *r, pyb_addr object, struct pyb_field f, const char *what, int64_t *ret)
{
    int rc = pyb_repr_int(r, object, pyb_has(f) ? f : r->l->var_ob_size, ret);
    if (rc == 0 && (*ret < 0 || *ret > MAX_ITEMS))
        return pyb_repr_corrupt(r, object, "a %s of %lld items", what, (long long)*ret);
    return rc;
}

int pyb_repr_list(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    int64_t n;
    pyb_addr items = 0;
    int rc = read_size(r, object, r->l->list_ob_size, "list", &n);
    if (rc == 0)
        rc = pyb_repr_ptr(r, object, r->l->list_item, &items);
    if (rc)
        return rc;
    if (n && pyb_repr_too_deep(r, "[...]"))
        return 0;
    r->containers++;
    pyb_buf_addc(r->out, '[');
    rc = pyb_repr_array(r, items, n);
    pyb_buf_addc(r->out, ']');
    return rc;
}

int pyb_repr_tuple(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    int64_t n;
    int rc = read_size(r, object, r->l->tuple_ob_size, "tuple", &n);
    if (rc)
        return rc;
    if (n && pyb_repr_too_deep(r, "(...)"))
        return 0;
    r->containers++;
    pyb_buf_addc(r->out, '(');
    rc = pyb_repr_array(r, object + (uint64_t)r->l->tuple_item.offset, n);
    pyb_buf_adds(r->out, n == 1 ? ",)" : ")");
    return rc;
}

int pyb_repr_dict(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    struct pyb_dict_iter it;
    int64_t n;
    int rc = pyb_dict_iter_init(r->py, object, &it, &n, r->err);
    if (rc)
        return rc;
    if (n && pyb_repr_too_deep(r, "{...}"))
        return 0;
    r->containers++;
    return pyb_repr_dict_items(r, &it);
}

// What stands in for a removed item: an object whose type, never made ready, is called "<dummy key> type"
// (3.4 on), before that the only string "<dummy key>". The type is read as it is: it has no type itself.
static bool is_dummy(struct pyb_repr *r, pyb_addr key, bool has_dummies)
{
    pyb_addr type, name;
    char text[24];
    if (!has_dummies || pyb_field_ptr(r->py, key, r->l->obj_type, &type, NULL) != 0 ||
        pyb_field_ptr(r->py, type, r->l->type_name, &name, NULL) != 0 ||
        pyb_read_cstr(r->mem, name, text, sizeof text - 1, NULL) != 0)
        return false;
    return strcmp(text, "<dummy key> type") == 0 ||
           (text[0] != '<' && pyb_string_equals(r->py, key, "<dummy key>"));
}

static int set_items(struct pyb_repr *r, pyb_addr table, uint64_t slots, bool has_dummies)
{
    enum { CHUNK = 32, MAX_ENTRY = 32 };
    uint8_t raw[CHUNK * MAX_ENTRY];
    struct pyb_bytes b = {0};
    const uint32_t stride = r->l->setentry_size;
    if (stride == 0 || stride > MAX_ENTRY || !pyb_has(r->l->setentry_key))
        return pyb_fail(r->err, PYB_E_UNSUPPORTED, "layout %s does not say what a set looks like",
                        r->l->name);
    uint64_t shown = 0, empty = 0;
    for (uint64_t i = 0; i < slots; i++) {
        if (i % CHUNK == 0) {
            size_t want = slots - i < CHUNK ? (size_t)(slots - i) : CHUNK;
            int rc = pyb_read_bytes(r->mem, table + i * stride, raw, want * stride, r->err);
            if (rc)
                return rc;
            b = pyb_memory_bytes(r->mem, raw, want * stride);
        }
        pyb_addr key = pyb_get_ptr(&b, (size_t)(i % CHUNK) * stride + (size_t)r->l->setentry_key.offset);
        if (key == 0 || is_dummy(r, key, has_dummies)) {
            if (++empty > PYB_REPR_MAX_EMPTY)
                return pyb_repr_corrupt(r, table, "a set with %llu empty slots in a row",
                                        (unsigned long long)empty);
            continue;
        }
        empty = 0;
        if (pyb_repr_next_item(r, shown++))
            break;
        int rc = pyb_repr_value(r, key);
        if (rc)
            return rc;
    }
    return 0;
}

// {1, 2} is for set itself; set(), MySet({1}), frozenset({1}) for all others; 2.7: set([1, 2]).
int pyb_repr_set(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    const struct pyb_layout *l = r->l;
    int64_t used, fill, mask;
    pyb_addr table;
    int rc = pyb_repr_int(r, object, l->set_used, &used);
    if (rc == 0)
        rc = pyb_repr_int(r, object, l->set_fill, &fill);
    if (rc == 0)
        rc = pyb_repr_int(r, object, l->set_mask, &mask);
    if (rc == 0)
        rc = pyb_repr_ptr(r, object, l->set_table, &table);
    if (rc)
        return rc;
    if (used < 0 || mask < 0 || mask > MAX_ITEMS || used > mask + 1 || fill < used)
        return pyb_repr_corrupt(r, object, "a set of %lld items in %lld slots", (long long)used,
                                (long long)((uint64_t)mask + 1));
    bool two = l->major == 2, named = two || strcmp(type->name, "set") != 0;
    if (used == 0) {
        pyb_buf_printf(r->out, two ? "%s([])" : "%s()", type->name);
        return 0;
    }
    if (r->containers >= r->max_depth) {
        pyb_buf_printf(r->out, named ? "%s(...)" : "{...}", type->name);
        return 0;
    }
    r->containers++;
    if (named)
        pyb_buf_printf(r->out, "%s(", type->name);
    pyb_buf_addc(r->out, two ? '[' : '{');
    rc = set_items(r, table, (uint64_t)mask + 1, fill > used);
    pyb_buf_addc(r->out, two ? ']' : '}');
    if (named)
        pyb_buf_addc(r->out, ')');
    return rc;
}
