// SPDX-License-Identifier: Apache-2.0
// Names of threads: sys.modules["threading"]._active, a dict from ident to Thread, whose attribute _name (2.7: _Thread__name) is the
// name (Lib/threading.py). Each interpreter has its own. Whatever is missing or odd leaves the name unknown.
#include <string.h>

#include "interp/fields.h"
#include "interp/object.h"
#include "interp/thread.h"

#define MAX_NAME 1000 // characters

bool pyb_small_int(struct pyb_python *py, pyb_addr object, uint64_t *ret)
{
    const struct pyb_layout *l = &py->layout;
    struct pyb_memory *m = py->target->mem;
    struct pyb_error *none = NULL;
    int64_t n_digits;
    const struct pyb_type *type;
    if (pyb_type_of(py, object, &type, none))
        return false;
    if (py->major == 2 && strcmp(type->name, "int") == 0) {
        pyb_addr at = pyb_field_at(object, l->oldint_ival);
        return at && pyb_read_ptr(m, at, ret, none) == 0;
    }
    if (!pyb_type_has(type, l->tpflags_long_subclass))
        return false;
    if (l->int_model == PYB_INT_TAG) {
        uint64_t tag;
        if (pyb_field_uint(py, object, l->int_lv_tag, &tag, none) || (tag & 3) == 2)
            return false;
        n_digits = (int64_t)(tag >> 3);
    } else if (pyb_field_int(py, object, l->int_ob_size, &n_digits, none)) {
        return false;
    }
    size_t width = l->int_digit.width;
    if (n_digits < 0 || n_digits > 5 || l->int_digit_bits < 15 || l->int_digit_bits > 30 || (width != 2 && width != 4))
        return false;
    *ret = 0;
    for (int64_t i = 0; i < n_digits; i++) {
        uint64_t digit;
        pyb_addr at = pyb_field_at(object, l->int_digit);
        uint64_t shift = (uint64_t)i * (uint64_t)l->int_digit_bits;
        if (!at || pyb_read_uint(m, at + (uint64_t)i * width, width, &digit, none))
            return false;
        if (shift >= 64 || (digit << shift) >> shift != digit)
            return digit == 0;
        *ret |= digit << shift;
    }
    return true;
}

static pyb_addr active_dict(struct pyb_python *py, pyb_addr interp)
{
    pyb_addr modules, threading, dict, active;
    if (pyb_field_ptr(py, interp, py->layout.interp_modules, &modules, NULL) || modules == 0 ||
        pyb_dict_get(py, modules, "threading", &threading, NULL) ||
        pyb_field_ptr(py, threading, py->layout.module_dict, &dict, NULL) || dict == 0 ||
        pyb_dict_get(py, dict, "_active", &active, NULL))
        return 0;
    return active;
}

static const char *name_of(struct pyb_python *py, struct pyb_arena *arena, pyb_addr thread)
{
    const char *name;
    pyb_addr object;
    if (pyb_instance_attr(py, thread, py->major == 2 ? "_Thread__name" : "_name", &object, NULL) ||
        pyb_string_read(py, object, MAX_NAME, arena, &name, NULL, NULL))
        return NULL;
    return name;
}

static void name_by_dict(struct pyb_python *py, struct pyb_arena *arena, struct pyb_tstate *items, const struct pyb_map *by_ident)
{
    struct pyb_dict_iter it;
    int64_t len;
    pyb_addr active = active_dict(py, items[0].interp), key, value;
    memset(&it, 0, sizeof(it));
    if (active == 0 || pyb_dict_iter_init(py, active, &it, &len, NULL))
        return;
    for (size_t i = 0; i < PYB_MAX_THREADS && pyb_dict_next(py, &it, &key, &value, NULL) == 1; i++) {
        uint64_t ident;
        uintptr_t index;
        if (pyb_small_int(py, key, &ident) && pyb_map_get(by_ident, ident, &index) && !items[index].name)
            items[index].name = name_of(py, arena, value);
    }
}

// Two thread states of one OS thread share its name.
static void name_interp(struct pyb_python *py, struct pyb_arena *arena, struct pyb_tstate *items, size_t n)
{
    struct pyb_map by_ident;
    uintptr_t index;
    bool whole = true;
    pyb_map_init(&by_ident, py->target->ctx);
    for (size_t i = 0; i < n && whole; i++)
        whole = pyb_map_get(&by_ident, items[i].thread_id, NULL) || pyb_map_put(&by_ident, items[i].thread_id, i) == 0;
    if (whole)
        name_by_dict(py, arena, items, &by_ident);
    for (size_t i = 0; i < n && whole; i++) {
        if (pyb_map_get(&by_ident, items[i].thread_id, &index))
            items[i].name = items[index].name;
    }
    pyb_map_deinit(&by_ident);
}

void pyb_thread_names_read(struct pyb_python *py, struct pyb_arena *arena, struct pyb_threads *threads)
{
    for (size_t i = 0, end; i < threads->n; i = end) {
        for (end = i; end < threads->n && threads->items[end].interp == threads->items[i].interp;)
            end++;
        name_interp(py, arena, threads->items + i, end - i);
    }
}
