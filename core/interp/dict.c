// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"
#include "interp/object.h"

#include <string.h>

enum { MAX_LOG2 = 36 };

static int absent(struct pyb_python *py, struct pyb_error *err)
{
    return pyb_fail(err, PYB_E_UNSUPPORTED, "layout %s does not say what a dict looks like", py->layout.name);
}

static int use_entries(struct pyb_python *py, struct pyb_dict_iter *it, bool unicode, struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    it->stride = unicode ? l->dictuentry_size : l->dictentry_size;
    struct pyb_field key = unicode ? l->dictuentry_key : l->dictentry_key;
    struct pyb_field value = unicode ? l->dictuentry_value : l->dictentry_value;
    if (it->stride == 0 || it->stride > sizeof it->chunk || !pyb_has(key) || !pyb_has(value))
        return absent(py, err);
    it->key_at = key.offset;
    it->value_at = value.offset;
    return 0;
}

// Bytes of one slot of the index that precedes the entries (3.6 to 3.10).
static uint64_t index_width(uint64_t size)
{
    return size <= 0xff ? 1 : size <= 0xffff ? 2 : size <= 0xffffffff ? 4 : 8;
}

// 3.3 to 3.5: the entries are the table itself.
static int keys_table(struct pyb_python *py, pyb_addr keys, struct pyb_dict_iter *it, struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    int64_t size;
    int rc = pyb_field_int(py, keys, l->dictkeys_dk_size, &size, err);
    if (rc)
        return rc;
    if (size < 0 || (uint64_t)size > PYB_DICT_MAX)
        return pyb_fail_at(err, PYB_E_CORRUPT, keys, 0, "a dict with a table of %lld entries",
                           (long long)size);
    if (!pyb_has(l->dictkeys_entries))
        return absent(py, err);
    it->n = (uint64_t)size;
    it->entries = keys + (uint64_t)l->dictkeys_entries.offset;
    return use_entries(py, it, false, err);
}

static int keys_compact(struct pyb_python *py, pyb_addr keys, struct pyb_dict_iter *it, struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    int64_t size, n;
    int rc = pyb_field_int(py, keys, l->dictkeys_dk_size, &size, err);
    if (rc == 0)
        rc = pyb_field_int(py, keys, l->dictkeys_nentries, &n, err);
    if (rc)
        return rc;
    if (size < 0 || (uint64_t)size > PYB_DICT_MAX || n < 0 || n > size)
        return pyb_fail_at(err, PYB_E_CORRUPT, keys, 0, "a dict with %lld entries in %lld slots",
                           (long long)n, (long long)size);
    if (!pyb_has(l->dictkeys_indices))
        return absent(py, err);
    it->n = (uint64_t)n;
    it->entries = keys + (uint64_t)l->dictkeys_indices.offset + (uint64_t)size * index_width((uint64_t)size);
    return use_entries(py, it, false, err);
}

static int keys_log2(struct pyb_python *py, pyb_addr keys, struct pyb_dict_iter *it, struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    uint64_t log2_size, log2_bytes, kind;
    int64_t n;
    int rc = pyb_field_uint(py, keys, l->dictkeys_log2_size, &log2_size, err);
    if (rc == 0)
        rc = pyb_field_uint(py, keys, l->dictkeys_log2_index_bytes, &log2_bytes, err);
    if (rc == 0)
        rc = pyb_field_uint(py, keys, l->dictkeys_kind, &kind, err);
    if (rc == 0)
        rc = pyb_field_int(py, keys, l->dictkeys_nentries, &n, err);
    if (rc)
        return rc;
    if (log2_size > MAX_LOG2 || log2_bytes > MAX_LOG2 + 3 || n < 0 || n > INT64_C(1) << log2_size)
        return pyb_fail_at(err, PYB_E_CORRUPT, keys, 0, "a dict with %lld entries in 2**%llu slots",
                           (long long)n, (unsigned long long)log2_size);
    if (!pyb_has(l->dictkeys_indices))
        return absent(py, err);
    it->n = (uint64_t)n;
    it->entries = keys + (uint64_t)l->dictkeys_indices.offset + (UINT64_C(1) << log2_bytes);
    return use_entries(py, it, kind != (uint64_t)l->dict_keys_general, err);
}

static int use_keys(struct pyb_python *py, pyb_addr keys, struct pyb_dict_iter *it, struct pyb_error *err)
{
    switch (py->layout.dict_model) {
    case PYB_DICT_SPLIT: return keys_table(py, keys, it, err);
    case PYB_DICT_COMPACT: return keys_compact(py, keys, it, err);
    case PYB_DICT_LOG2: return keys_log2(py, keys, it, err);
    default: return absent(py, err);
    }
}

// Instances that share keys may have set their attributes in different orders: from 3.11 the values carry
// theirs. 3.11 and 3.12: the bytes before values[0] are, going down, the room in front, the count, and the
// slots in order. 3.13 on: named members, the slots follow the values.
static int read_order(struct pyb_python *py, pyb_addr values, struct pyb_dict_iter *it, struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    struct pyb_memory *mem = py->target->mem;
    uint8_t count, capacity;
    int rc;
    if (pyb_has(l->dictvalues_capacity)) {
        rc = pyb_read_u8(mem, values + (uint64_t)l->dictvalues_capacity.offset, &capacity, err);
        if (rc == 0)
            rc = pyb_read_u8(mem, values + (uint64_t)l->dictvalues_count.offset, &count, err);
        if (rc == 0 && count <= capacity)
            rc = pyb_read_bytes(mem, it->values + (uint64_t)capacity * l->ptr_size, it->order, count, err);
    } else {
        rc = pyb_read_u8(mem, values - 2, &count, err);
        capacity = UINT8_MAX;
        for (unsigned i = 0; rc == 0 && i < count; i++)
            rc = pyb_read_u8(mem, values - 3 - i, &it->order[i], err);
    }
    if (rc)
        return rc;
    if (count > capacity || count > it->n)
        return pyb_fail_at(err, PYB_E_CORRUPT, values, 0, "%u values for %llu keys", count,
                           (unsigned long long)it->n);
    for (unsigned i = 0; i < count; i++)
        if (it->order[i] >= it->n)
            return pyb_fail_at(err, PYB_E_CORRUPT, values, 0, "value %u of %llu", it->order[i],
                               (unsigned long long)it->n);
    it->n = count;
    it->ordered = true;
    return 0;
}

int pyb_dict_iter_init_split(struct pyb_python *py, pyb_addr keys, pyb_addr values, struct pyb_dict_iter *it,
                             struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    *it = (struct pyb_dict_iter){0};
    int rc = use_keys(py, keys, it, err);
    it->slots = it->n;
    if (rc || !values)
        return rc;
    it->values = values + (pyb_has(l->dictvalues_values) ? (uint64_t)l->dictvalues_values.offset : 0);
    return l->dict_model == PYB_DICT_LOG2 ? read_order(py, values, it, err) : 0;
}

// 2.7: mask + 1 entries.
static int init_table(struct pyb_python *py, pyb_addr dict, struct pyb_dict_iter *it, struct pyb_error *err)
{
    int64_t mask;
    int rc = pyb_field_int(py, dict, py->layout.dict_mask, &mask, err);
    if (rc == 0)
        rc = pyb_field_ptr(py, dict, py->layout.dict_table, &it->entries, err);
    if (rc)
        return rc;
    if (mask < 0 || (uint64_t)mask >= PYB_DICT_MAX)
        return pyb_fail_at(err, PYB_E_CORRUPT, dict, 0, "a dict with a mask of %lld", (long long)mask);
    it->n = it->slots = (uint64_t)mask + 1;
    return use_entries(py, it, false, err);
}

// dict and its subclasses, and 3.15's frozendict, which begins like a dict.
static int check_dict(struct pyb_python *py, pyb_addr dict, struct pyb_error *err)
{
    const struct pyb_type *t;
    int rc = pyb_type_of(py, dict, &t, err);
    if (rc)
        return rc;
    if (pyb_type_has(t, py->layout.tpflags_dict_subclass) || strcmp(t->name, "frozendict") == 0)
        return 0;
    return pyb_fail_at(err, PYB_E_CORRUPT, dict, 0, "not a dict but a %s", t->name);
}

int pyb_dict_iter_init(struct pyb_python *py, pyb_addr dict, struct pyb_dict_iter *it, int64_t *ret_len,
                       struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    *it = (struct pyb_dict_iter){0};
    int64_t used;
    int rc = check_dict(py, dict, err);
    if (rc == 0)
        rc = pyb_field_int(py, dict, l->dict_used, &used, err);
    if (rc)
        return rc;
    if (l->dict_model == PYB_DICT_TABLE) {
        rc = init_table(py, dict, it, err);
    } else {
        pyb_addr keys, values;
        rc = pyb_field_ptr(py, dict, l->dict_keys, &keys, err);
        if (rc == 0)
            rc = pyb_field_ptr(py, dict, l->dict_values, &values, err);
        if (rc == 0)
            rc = pyb_dict_iter_init_split(py, keys, values, it, err);
    }
    if (rc)
        return rc;
    it->dict = dict;
    if (used < 0 || (uint64_t)used > it->n)
        return pyb_fail_at(err, PYB_E_CORRUPT, dict, 0, "a dict of %lld entries in %llu slots",
                           (long long)used, (unsigned long long)it->n);
    if (ret_len)
        *ret_len = used;
    return 0;
}

// Entry `slot` out of the read-ahead, which is filled from there when it lacks it.
static int entry_at(struct pyb_python *py, struct pyb_dict_iter *it, uint64_t slot, struct pyb_bytes *ret,
                    struct pyb_error *err)
{
    if (slot < it->chunk_first || slot >= it->chunk_first + it->chunk_n) {
        uint64_t want = sizeof it->chunk / it->stride, got_entries;
        if (want > it->slots - slot)
            want = it->slots - slot;
        size_t got;
        it->chunk_n = 0;
        pyb_addr at = it->entries + slot * it->stride;
        int rc = pyb_read_some(py->target->mem, at, it->chunk, (size_t)want * it->stride, &got, err);
        if (rc)
            return rc;
        got_entries = got / it->stride;
        if (got_entries == 0)
            return pyb_fail_at(err, PYB_E_FAULT, at, it->stride, "an entry of a dict cannot be read");
        it->chunk_first = slot;
        it->chunk_n = got_entries;
    }
    size_t offset = (size_t)(slot - it->chunk_first) * it->stride;
    *ret = pyb_memory_bytes(py->target->mem, it->chunk + offset, it->stride);
    return 0;
}

int pyb_dict_next(struct pyb_python *py, struct pyb_dict_iter *it, pyb_addr *ret_key, pyb_addr *ret_value,
                  struct pyb_error *err)
{
    for (unsigned empty = 0; it->i < it->n; empty++) {
        if (empty > PYB_DICT_MAX_EMPTY)
            return pyb_fail_at(err, PYB_E_CORRUPT, it->dict, 0, "a dict with %u empty entries in a row",
                               empty);
        uint64_t slot = it->ordered ? it->order[it->i] : it->i;
        struct pyb_bytes b;
        int rc = entry_at(py, it, slot, &b, err);
        if (rc)
            return rc;
        it->i++;
        *ret_key = pyb_get_ptr(&b, (size_t)it->key_at);
        *ret_value = pyb_get_ptr(&b, (size_t)it->value_at);
        if (it->values) {
            rc = pyb_read_ptr(py->target->mem, it->values + slot * py->layout.ptr_size, ret_value, err);
            if (rc)
                return rc;
        }
        if (*ret_key && *ret_value)
            return 1;
    }
    return 0;
}

// Looks at the key of each entry: hashes of str are random from 3.3 on, and a dict of names is short.
static int find(struct pyb_python *py, struct pyb_dict_iter *it, const char *key, pyb_addr *ret,
                struct pyb_error *err)
{
    for (unsigned i = 0; i < PYB_DICT_LOOKUP_MAX; i++) {
        pyb_addr k;
        int rc = pyb_dict_next(py, it, &k, ret, err);
        if (rc < 0)
            return rc;
        if (rc == 0)
            break;
        if (pyb_string_equals(py, k, key))
            return 0;
    }
    return pyb_fail(err, PYB_E_NOTFOUND, "no key %s", key);
}

int pyb_dict_get(struct pyb_python *py, pyb_addr dict, const char *key, pyb_addr *ret, struct pyb_error *err)
{
    struct pyb_dict_iter it;
    int rc = pyb_dict_iter_init(py, dict, &it, NULL, err);
    return rc ? rc : find(py, &it, key, ret, err);
}

int pyb_instance_attrs(struct pyb_python *py, pyb_addr object,
                       int (*each)(void *ctx, pyb_addr key, pyb_addr value), void *ctx, struct pyb_error *err)
{
    struct pyb_dict_iter it;
    int rc = pyb_instance_iter_init(py, object, &it, err);
    pyb_addr key, value;
    while (rc == 0) {
        rc = pyb_dict_next(py, &it, &key, &value, err);
        if (rc <= 0)
            return rc;
        rc = each(ctx, key, value);
    }
    return rc;
}
