// SPDX-License-Identifier: Apache-2.0
// What collections, types and dict's relatives print. Mirrors Modules/_collectionsmodule.c,
// Objects/odictobject.c, Objects/namespaceobject.c and Lib/collections/__init__.py.
#include "interp/repr.h"

#include "base/error.h"

#include <string.h>

// {...} of a dict object, as a value of its own would be: counts as one container.
static int add_dict(struct pyb_repr *r, pyb_addr dict)
{
    struct pyb_dict_iter it;
    int64_t n;
    int rc = pyb_dict_iter_init(r->py, dict, &it, &n, r->err);
    if (rc || (n && pyb_repr_too_deep(r, "{...}")))
        return rc;
    if (pyb_repr_times_active(r, dict) > 1) {
        pyb_buf_adds(r->out, "{...}");
        return 0;
    }
    r->containers++;
    rc = pyb_repr_dict_items(r, &it);
    r->containers--;
    return rc;
}

int pyb_repr_frozendict(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    int64_t n;
    int rc = pyb_repr_int(r, object, r->l->dict_used, &n);
    if (rc)
        return rc;
    pyb_buf_printf(r->out, "%s(", type->short_name);
    if (n)
        rc = add_dict(r, object);
    pyb_buf_addc(r->out, ')');
    return rc;
}

int pyb_repr_mappingproxy(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    pyb_addr mapping;
    int rc = pyb_repr_ptr(r, object, r->l->mappingproxy_mapping, &mapping);
    if (rc)
        return rc;
    pyb_buf_adds(r->out, r->l->major == 2 ? "dict_proxy(" : "mappingproxy(");
    rc = pyb_repr_value(r, mapping);
    pyb_buf_addc(r->out, ')');
    return rc;
}

// dict_keys([1, 2]). The view's only member, the dict, follows the object head.
int pyb_repr_dict_view(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    pyb_addr dict, key, value;
    struct pyb_dict_iter it;
    int rc = pyb_read_ptr(r->mem, object + r->l->obj_size, &dict, r->err);
    if (rc == 0)
        rc = pyb_dict_iter_init(r->py, dict, &it, NULL, r->err);
    if (rc)
        return rc;
    const bool keys = strstr(type->name, "keys"), items = strstr(type->name, "items");
    pyb_buf_printf(r->out, "%s([", type->name);
    r->containers++;
    for (uint64_t i = 0; (rc = pyb_dict_next(r->py, &it, &key, &value, r->err)) == 1; i++) {
        if (pyb_repr_next_item(r, i))
            break;
        pyb_buf_adds(r->out, items ? "(" : "");
        rc = pyb_repr_value(r, keys || items ? key : value);
        if (rc == 0 && items) {
            pyb_buf_adds(r->out, ", ");
            rc = pyb_repr_value(r, value);
            pyb_buf_addc(r->out, ')');
        }
        if (rc)
            return rc;
    }
    pyb_buf_adds(r->out, "])");
    return rc < 0 ? rc : 0;
}

static bool at_least(const struct pyb_repr *r, int minor)
{
    return r->l->major == 3 && r->l->minor >= minor;
}

int pyb_repr_defaultdict(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    pyb_addr factory;
    int rc = pyb_repr_ptr(r, object, r->l->defaultdict_factory, &factory);
    if (rc)
        return rc;
    pyb_buf_printf(r->out, "%s(", at_least(r, 7) ? type->short_name : "defaultdict");
    if (factory)
        rc = pyb_repr_value(r, factory);
    else
        pyb_buf_adds(r->out, "None");
    pyb_buf_adds(r->out, ", ");
    if (rc == 0)
        rc = add_dict(r, object);
    pyb_buf_addc(r->out, ')');
    return rc;
}

static int deque_items(struct pyb_repr *r, pyb_addr block, int64_t index, int64_t n)
{
    const struct pyb_layout *l = r->l;
    const uint32_t word = l->ptr_size;
    if (l->dequeblock_size < 3 * word || !pyb_has(l->dequeblock_data))
        return pyb_fail(r->err, PYB_E_UNSUPPORTED, "layout %s does not say what a deque looks like", l->name);
    const int64_t block_len = (l->dequeblock_size - 2 * word) / word;
    if (index < 0 || index > block_len)
        return pyb_repr_corrupt(r, block, "a deque that begins at %lld", (long long)index);
    for (int64_t i = 0; i < n; i++, index++) {
        if (pyb_repr_next_item(r, (uint64_t)i))
            break;
        pyb_addr item;
        int rc = 0;
        if (index == block_len) {
            rc = pyb_repr_ptr(r, block, l->dequeblock_rightlink, &block);
            index = 0;
        }
        if (rc == 0)
            rc = pyb_read_ptr(r->mem, block + (uint64_t)l->dequeblock_data.offset + (uint64_t)index * word,
                              &item, r->err);
        if (rc == 0)
            rc = pyb_repr_value(r, item);
        if (rc)
            return rc;
    }
    return 0;
}

int pyb_repr_deque(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    const struct pyb_layout *l = r->l;
    int64_t n, index, maxlen = -1;
    pyb_addr block;
    int rc = pyb_repr_int(r, object, pyb_has(l->deque_ob_size) ? l->deque_ob_size : l->var_ob_size, &n);
    if (rc == 0)
        rc = pyb_repr_int(r, object, l->deque_leftindex, &index);
    if (rc == 0)
        rc = pyb_repr_ptr(r, object, l->deque_leftblock, &block);
    if (rc == 0)
        rc = pyb_repr_int(r, object, l->deque_maxlen, &maxlen);
    if (rc)
        return rc;
    if (n < 0)
        return pyb_repr_corrupt(r, object, "a deque of %lld items", (long long)n);
    pyb_buf_printf(r->out, "%s(", at_least(r, 7) ? type->short_name : "deque");
    if (n == 0 || !pyb_repr_too_deep(r, "[...]")) {
        r->containers++;
        pyb_buf_addc(r->out, '[');
        rc = deque_items(r, block, index, n);
        pyb_buf_addc(r->out, ']');
    }
    if (maxlen >= 0)
        pyb_buf_printf(r->out, ", maxlen=%lld", (long long)maxlen);
    pyb_buf_addc(r->out, ')');
    return rc;
}

// key: value, or ('key', value).
static int odict_pair(struct pyb_repr *r, pyb_addr key, pyb_addr value, bool as_dict)
{
    pyb_buf_adds(r->out, as_dict ? "" : "(");
    int rc = pyb_repr_value(r, key);
    pyb_buf_adds(r->out, as_dict ? ": " : ", ");
    if (rc == 0)
        rc = pyb_repr_value(r, value);
    pyb_buf_adds(r->out, as_dict ? "" : ")");
    return rc;
}

static int values_by_key(struct pyb_repr *r, pyb_addr dict, struct pyb_map *ret)
{
    struct pyb_dict_iter it;
    pyb_addr key, value;
    int rc = pyb_dict_iter_init(r->py, dict, &it, NULL, r->err);
    for (unsigned i = 0; rc == 0 && (rc = pyb_dict_next(r->py, &it, &key, &value, r->err)) == 1; i++) {
        if (i < PYB_REPR_MAX_ITEMS)
            rc = pyb_map_put(ret, key, (uintptr_t)value);
        else
            rc = pyb_repr_corrupt(r, dict, "more items than it says");
    }
    return rc;
}

// The order is that of a list of nodes beside the table.
static int odict_items(struct pyb_repr *r, pyb_addr node, int64_t n, const struct pyb_map *values,
                       bool as_dict)
{
    for (int64_t i = 0; node && i < n; i++) {
        if (pyb_repr_next_item(r, (uint64_t)i))
            break;
        pyb_addr key;
        uintptr_t value;
        int rc = pyb_repr_ptr(r, node, r->l->odictnode_key, &key);
        if (rc == 0 && !pyb_map_get(values, key, &value))
            rc = pyb_repr_corrupt(r, node, "a key that the OrderedDict's table lacks");
        if (rc == 0)
            rc = odict_pair(r, key, value, as_dict);
        if (rc == 0)
            rc = pyb_repr_ptr(r, node, r->l->odictnode_next, &node);
        if (rc)
            return rc;
    }
    return 0;
}

int pyb_repr_odict(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    int64_t n;
    pyb_addr node;
    int rc = pyb_repr_int(r, object, r->l->dict_used, &n);
    if (rc == 0)
        rc = pyb_repr_ptr(r, object, r->l->odict_first, &node);
    if (rc)
        return rc;
    const bool as_dict = at_least(r, 12);
    if (n > PYB_REPR_MAX_ITEMS)
        return pyb_repr_instance(r, object, type);
    pyb_buf_printf(r->out, "%s(", type->short_name);
    if (n > 0 && !pyb_repr_too_deep(r, as_dict ? "{...}" : "[...]")) {
        struct pyb_map values;
        pyb_map_init(&values, r->py->target->ctx);
        rc = values_by_key(r, object, &values);
        pyb_buf_addc(r->out, as_dict ? '{' : '[');
        r->containers++;
        if (rc == 0)
            rc = odict_items(r, node, n, &values, as_dict);
        pyb_buf_addc(r->out, as_dict ? '}' : ']');
        pyb_map_deinit(&values);
    }
    pyb_buf_addc(r->out, ')');
    return rc;
}

static int list_item(struct pyb_repr *r, pyb_addr list, int i, pyb_addr *ret)
{
    pyb_addr items;
    int64_t n;
    int rc = pyb_repr_int(r, list, pyb_has(r->l->list_ob_size) ? r->l->list_ob_size : r->l->var_ob_size, &n);
    if (rc == 0 && n <= i)
        rc = pyb_repr_corrupt(r, list, "a link of %lld items", (long long)n);
    if (rc == 0)
        rc = pyb_repr_ptr(r, list, r->l->list_item, &items);
    return rc ? rc : pyb_read_ptr(r->mem, items + (uint64_t)i * r->l->ptr_size, ret, r->err);
}

// 2.7: written in Python; the order is a circle of lists [previous, next, key].
int pyb_repr_old_odict(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    pyb_addr root = 0, link;
    int64_t n;
    struct pyb_map values;
    pyb_map_init(&values, r->py->target->ctx);
    int rc = pyb_repr_int(r, object, r->l->dict_used, &n);
    if (rc == 0)
        rc = pyb_instance_attr(r->py, object, "_OrderedDict__root", &root, r->err);
    if (rc == 0)
        rc = values_by_key(r, object, &values);
    if (rc == 0)
        rc = list_item(r, root, 1, &link);
    pyb_buf_printf(r->out, n ? "%s([" : "%s(", type->name);
    r->containers++;
    for (int64_t i = 0; rc == 0 && link != root && i < n; i++) {
        pyb_addr key;
        uintptr_t value;
        if (pyb_repr_next_item(r, (uint64_t)i))
            break;
        rc = list_item(r, link, 2, &key);
        if (rc == 0 && !pyb_map_get(&values, key, &value))
            rc = pyb_repr_corrupt(r, link, "a key that the OrderedDict's table lacks");
        if (rc == 0)
            rc = odict_pair(r, key, value, false);
        if (rc == 0)
            rc = list_item(r, link, 1, &link);
    }
    pyb_buf_adds(r->out, n ? "])" : ")");
    pyb_map_deinit(&values);
    return rc;
}

struct count {
    pyb_addr key, value;
    long double number;
};

static int read_counts(struct pyb_repr *r, pyb_addr dict, struct count *counts, int64_t n, int64_t *ret)
{
    struct pyb_dict_iter it;
    int rc = pyb_dict_iter_init(r->py, dict, &it, NULL, r->err);
    *ret = 0;
    while (rc == 0 && *ret < n) {
        struct count *c = &counts[*ret];
        int64_t whole;
        double number;
        rc = pyb_dict_next(r->py, &it, &c->key, &c->value, r->err);
        if (rc != 1)
            return rc;
        if (pyb_repr_is(r, c->value, "float")) {
            rc = pyb_repr_get_double(r, c->value + (uint64_t)r->l->float_fval.offset, &number);
            c->number = rc == 0 ? (long double)number : 0;
        } else {
            rc = pyb_repr_get_int(r, c->value, &whole);
            c->number = rc == 0 ? (long double)whole : 0;
        }
        if (rc == 0)
            ++*ret;
    }
    return rc;
}

// Largest first, equal ones in their order (merge sort into `spare` and back).
static void sort_counts(struct count *a, struct count *spare, size_t n)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t low = 0; low < n; low += 2 * width) {
            size_t middle = low + width < n ? low + width : n;
            size_t high = low + 2 * width < n ? low + 2 * width : n;
            size_t i = low, j = middle;
            for (size_t k = low; k < high; k++)
                spare[k] = i < middle && (j >= high || a[i].number >= a[j].number) ? a[i++] : a[j++];
        }
        memcpy(a, spare, n * sizeof *a);
    }
}

static int counter_items(struct pyb_repr *r, const struct count *counts, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (pyb_repr_next_item(r, (uint64_t)i))
            break;
        int rc = odict_pair(r, counts[i].key, counts[i].value, true);
        if (rc)
            return rc;
    }
    return 0;
}

// Counter prints its most common first. Counts that are not plain numbers we cannot compare: then it is an
// instance like others.
int pyb_repr_counter(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    int64_t n, read = 0;
    int rc = pyb_repr_int(r, object, r->l->dict_used, &n);
    if (rc)
        return rc;
    if (n < 0 || n > PYB_REPR_MAX_ITEMS)
        return pyb_repr_instance(r, object, type);
    struct count *counts = pyb_alloc(r->py->target->ctx, 2 * (size_t)n * sizeof *counts + 1);
    if (!counts)
        return pyb_fail(r->err, PYB_E_NOMEM, "no memory for a Counter");
    rc = read_counts(r, object, counts, n, &read);
    if (rc == 0) {
        sort_counts(counts, counts + n, (size_t)read);
        pyb_buf_printf(r->out, n ? "%s({" : "%s(", type->short_name);
        r->containers++;
        rc = counter_items(r, counts, read);
        pyb_buf_adds(r->out, n ? "})" : ")");
    } else if (!pyb_repr_fatal(rc)) {
        rc = pyb_repr_instance(r, object, type);
    }
    pyb_free(r->py->target->ctx, counts);
    return rc;
}

enum { MAX_NAMESPACE = 4096 };

struct name {
    char text[128];
    pyb_addr value;
};

static int read_name(struct pyb_repr *r, pyb_addr key, struct name *ret)
{
    struct pyb_buf *out = r->out, text;
    pyb_buf_init(&text, r->py->target->ctx, sizeof ret->text - 1);
    r->out = &text;
    int rc = pyb_repr_name(r, key);
    r->out = out;
    size_t n = text.len < sizeof ret->text ? text.len : sizeof ret->text - 1;
    memcpy(ret->text, pyb_buf_str(&text), n);
    ret->text[n] = '\0';
    pyb_buf_deinit(&text);
    return rc;
}

// Up to 3.8 in the order of the names (by code points, which UTF-8 keeps), from 3.9 in the order of the dict.
static void insert_sorted(struct name *names, size_t n)
{
    for (size_t i = n - 1; i > 0 && strcmp(names[i].text, names[i - 1].text) < 0; i--) {
        struct name swap = names[i];
        names[i] = names[i - 1];
        names[i - 1] = swap;
    }
}

static int namespace_names(struct pyb_repr *r, pyb_addr dict, struct name *names, size_t *ret)
{
    struct pyb_dict_iter it;
    pyb_addr key;
    int rc = pyb_dict_iter_init(r->py, dict, &it, NULL, r->err);
    for (*ret = 0; rc == 0 && *ret < MAX_NAMESPACE;) {
        rc = pyb_dict_next(r->py, &it, &key, &names[*ret].value, r->err);
        if (rc != 1)
            return rc;
        rc = read_name(r, key, &names[*ret]);
        if (rc == 0 && ++*ret && !at_least(r, 9))
            insert_sorted(names, *ret);
    }
    return rc;
}

int pyb_repr_namespace(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    pyb_addr dict;
    size_t n;
    int rc = pyb_repr_ptr(r, object, r->l->namespace_dict, &dict);
    if (rc)
        return rc;
    struct name *names = pyb_alloc(r->py->target->ctx, MAX_NAMESPACE * sizeof *names);
    if (!names)
        return pyb_fail(r->err, PYB_E_NOMEM, "no memory for a SimpleNamespace");
    rc = namespace_names(r, dict, names, &n);
    pyb_buf_printf(r->out, "%s(", type->heap && !strchr(type->name, '.') ? type->name : "namespace");
    r->containers++;
    for (size_t i = 0; rc == 0 && i < n && !pyb_repr_next_item(r, i); i++) {
        pyb_buf_printf(r->out, "%s=", names[i].text);
        rc = pyb_repr_value(r, names[i].value);
    }
    pyb_buf_addc(r->out, ')');
    pyb_free(r->py->target->ctx, names);
    return rc;
}
