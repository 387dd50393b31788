// SPDX-License-Identifier: Apache-2.0
// Where a stripped interpreter says what its functions are called: method tables and type slots.
//
// sys.modules leads to modules; the definition of one that is written in C has a table of its functions.
// Module dicts lead to types, those of modules written in Python too (types.GeneratorType, re.Pattern have no
// other home). A function under two names (PyObject_SelfIter in many types, folded identical code) is called
// neither. Mirrors Include/methodobject.h, Include/cpython/object.h, Include/internal/pycore_moduleobject.h.
#include <string.h>

#include "base/buf.h"
#include "interp/fields.h"
#include "interp/object.h"
#include "stack/slots.h"
#include "stack/stack_cache.h"

#define MAX_MODULES 50000u
#define MAX_VALUES 400000u // of all module dicts together
#define MAX_TABLE 4096u
#define MAX_BASES 16u
#define NAME_MAX_LEN 200u

struct collector {
    struct pyb_stack_cache *c;
    struct pyb_python *py;
    struct pyb_map seen;     // types
    struct pyb_map kinds;    // type object -> enum kind of its instances
    uint32_t values;
    bool stop;               // context says so, or no memory
};
enum kind { KIND_OTHER = 1, KIND_FUNCTION, KIND_TYPE, KIND_MODULE };

static void put(struct collector *k, pyb_addr function, const char *name)
{
    uintptr_t known;
    if (function == 0)
        return;
    if (pyb_map_get(&k->c->builtins, function, &known)) {
        if (known != PYB_AMBIGUOUS && strcmp((const char *)known, name) != 0)
            (void)pyb_map_put(&k->c->builtins, function, PYB_AMBIGUOUS); // replaces: needs no memory
        return;
    }
    struct pyb_buf clean;
    pyb_buf_init(&clean, k->py->target->ctx, NAME_MAX_LEN * 4);
    pyb_buf_add_utf8(&clean, name, strlen(name));
    char *copy = clean.failed ? NULL : pyb_arena_strdup(&k->c->arena, pyb_buf_str(&clean));
    pyb_buf_deinit(&clean);
    if (!copy || pyb_map_put(&k->c->builtins, function, (uintptr_t)copy) != 0)
        k->stop = true;
}

static void carrier(struct collector *k, pyb_addr function)
{
    if (function != 0 && pyb_map_put(&k->c->carriers, function, 1) != 0)
        k->stop = true;
}

static bool go_on(struct collector *k)
{
    if (!k->stop && pyb_ctx_check(k->py->target->ctx, NULL) != 0)
        k->stop = true;
    return !k->stop;
}

// "builtins.sorted" is `sorted`, "list.sort" `list.sort`.
static void join(char *out, size_t size, const char *owner, const char *name)
{
    size_t n = 0;
    if (strcmp(owner, "builtins") != 0 && strcmp(owner, "__builtin__") != 0) {
        n = strnlen(owner, NAME_MAX_LEN);
        memcpy(out, owner, n);
        out[n++] = '.';
    }
    size_t len = strnlen(name, NAME_MAX_LEN);
    if (len > size - n - 1)
        len = size - n - 1;
    memcpy(out + n, name, len);
    out[n + len] = '\0';
}

static bool read_name(struct collector *k, pyb_addr at, char out[NAME_MAX_LEN + 1])
{
    return at != 0 && pyb_read_cstr(k->py->target->mem, at, out, NAME_MAX_LEN, NULL) == 0 && out[0];
}

static void method_def(struct collector *k, const char *owner, pyb_addr def)
{
    const struct pyb_layout *l = &k->py->layout;
    pyb_addr name_at, function;
    char name[NAME_MAX_LEN + 1], full[2 * NAME_MAX_LEN + 4];
    if (pyb_field_ptr(k->py, def, l->methoddef_name, &name_at, NULL) != 0 ||
        pyb_field_ptr(k->py, def, l->methoddef_meth, &function, NULL) != 0 || !read_name(k, name_at, name))
        return;
    join(full, sizeof(full), owner, name);
    put(k, function, full);
}

// An array of PyMethodDef or PyGetSetDef; both begin with the name and end with NULL.
static void table(struct collector *k, const char *owner, pyb_addr at, bool getset)
{
    const struct pyb_layout *l = &k->py->layout;
    uint32_t size = getset ? l->getsetdef_size : l->methoddef_size;
    if (size == 0 || at == 0)
        return;
    for (uint32_t i = 0; i < MAX_TABLE && go_on(k); i++, at += size) {
        pyb_addr name_at, function;
        if (pyb_field_ptr(k->py, at, getset ? l->getsetdef_name : l->methoddef_name, &name_at, NULL) != 0 ||
            name_at == 0)
            return;
        if (!getset) {
            method_def(k, owner, at);
            continue;
        }
        char name[NAME_MAX_LEN + 1], full[2 * NAME_MAX_LEN + 4];
        if (!read_name(k, name_at, name))
            continue;
        join(full, sizeof(full), owner, name);
        if (pyb_field_ptr(k->py, at, l->getsetdef_get, &function, NULL) == 0)
            put(k, function, full);
        if (pyb_field_ptr(k->py, at, l->getsetdef_set, &function, NULL) == 0)
            put(k, function, full);
    }
}

static void slot_found(void *ctx, const char *owner, const char *slot, pyb_addr function, bool python_class)
{
    struct collector *k = ctx;
    char full[2 * NAME_MAX_LEN + 4];
    if (python_class) {
        carrier(k, function);
        return;
    }
    join(full, sizeof(full), owner, slot);
    put(k, function, full);
}

static void one_type(struct collector *k, const struct pyb_type *t)
{
    const struct pyb_layout *l = &k->py->layout;
    pyb_addr methods = 0, getset = 0;
    (void)pyb_field_ptr(k->py, t->addr, l->type_methods, &methods, NULL); // 0: none
    (void)pyb_field_ptr(k->py, t->addr, l->type_getset, &getset, NULL);
    // A class statement makes a heap type without a method table; its slots lead back into Python.
    bool python_class = t->heap && methods == 0;
    if (!python_class) {
        table(k, t->name, methods, false);
        table(k, t->name, getset, true);
    }
    pyb_slots_each(k->py, t, python_class, slot_found, k);
    // Calling a built-in function or method goes through its type.
    static const char *const callables[] = {
        "builtin_function_or_method", "method_descriptor", "classmethod_descriptor", "wrapper_descriptor",
        "method-wrapper", "method", "function", "type",
    };
    for (size_t i = 0; i < sizeof(callables) / sizeof(*callables); i++) {
        pyb_addr call;
        if (strcmp(t->name, callables[i]) == 0 &&
            pyb_field_ptr(k->py, t->addr, l->type_call, &call, NULL) == 0)
            carrier(k, call);
    }
}

static void a_type(struct collector *k, pyb_addr addr)
{
    for (uint32_t i = 0; i < MAX_BASES && addr != 0 && go_on(k); i++) {
        const struct pyb_type *t;
        if (pyb_map_get(&k->seen, addr, NULL))
            return;
        if (pyb_map_put(&k->seen, addr, 1) != 0)
            k->stop = true;
        if (pyb_type_get(k->py, addr, &t, NULL) != 0)
            return;
        one_type(k, t);
        addr = t->base;
    }
}

static enum kind kind_of(struct collector *k, pyb_addr type)
{
    uintptr_t known;
    const struct pyb_type *t;
    if (pyb_map_get(&k->kinds, type, &known))
        return (enum kind)known;
    enum kind kind = KIND_OTHER;
    if (pyb_type_get(k->py, type, &t, NULL) == 0) {
        if (strcmp(t->name, "builtin_function_or_method") == 0)
            kind = KIND_FUNCTION;
        else if (pyb_type_has(t, k->py->layout.tpflags_type_subclass))
            kind = KIND_TYPE;
        else if (strcmp(t->name, "module") == 0 || strcmp(t->short_name, "ModuleType") == 0)
            kind = KIND_MODULE;
        a_type(k, type);
    }
    if (pyb_map_put(&k->kinds, type, (uintptr_t)kind) != 0)
        k->stop = true;
    return kind;
}

// A function that no table of its module names: one made by hand, and all of 2.7, where modules have no
// definition.
static void a_function(struct collector *k, pyb_addr object)
{
    const struct pyb_layout *l = &k->py->layout;
    pyb_addr def, function, entry, self = 0, module, type;
    if (pyb_field_ptr(k->py, object, l->cfunction_vectorcall, &entry, NULL) == 0)
        carrier(k, entry);
    if (pyb_field_ptr(k->py, object, l->cfunction_ml, &def, NULL) != 0 ||
        pyb_field_ptr(k->py, def, l->methoddef_meth, &function, NULL) != 0 ||
        pyb_map_get(&k->c->builtins, function, NULL))
        return;
    // A bound method of some object (random.random) is no module's own function.
    (void)pyb_field_ptr(k->py, object, l->cfunction_self, &self, NULL);
    if (self != 0 && (pyb_field_ptr(k->py, self, l->obj_type, &type, NULL) != 0 ||
                      kind_of(k, type) != KIND_MODULE))
        return;
    struct pyb_arena scratch;
    pyb_arena_init(&scratch, k->py->target->ctx);
    const char *owner = NULL;
    if (pyb_field_ptr(k->py, object, l->cfunction_module, &module, NULL) == 0 && module != 0 &&
        pyb_string_read(k->py, module, NAME_MAX_LEN, &scratch, &owner, NULL, NULL) == 0 && owner)
        method_def(k, owner, def);
    pyb_arena_deinit(&scratch);
}

static void a_value(struct collector *k, pyb_addr value)
{
    pyb_addr type;
    if (value == 0 || pyb_field_ptr(k->py, value, k->py->layout.obj_type, &type, NULL) != 0)
        return;
    enum kind kind = kind_of(k, type);
    if (kind == KIND_TYPE)
        a_type(k, value);
    else if (kind == KIND_FUNCTION)
        a_function(k, value);
}

static void module_values(struct collector *k, pyb_addr key, pyb_addr module)
{
    struct pyb_dict_iter it = {0};
    int64_t len;
    pyb_addr dict, value;
    if (pyb_field_ptr(k->py, module, k->py->layout.module_dict, &dict, NULL) != 0 ||
        pyb_dict_iter_init(k->py, dict, &it, &len, NULL) != 0)
        return;
    while (k->values < MAX_VALUES && go_on(k) && pyb_dict_next(k->py, &it, &key, &value, NULL) == 1) {
        k->values++;
        a_value(k, value);
    }
}

// What a module's definition (a mere token from 3.15 on) points to is believed if it has the module's name.
static bool def_is_named(struct collector *k, pyb_addr def, const char *module)
{
    pyb_addr at;
    char name[NAME_MAX_LEN + 1];
    const char *last = strrchr(module, '.');
    return pyb_field_ptr(k->py, def, k->py->layout.moduledef_name, &at, NULL) == 0 &&
        read_name(k, at, name) &&
           (strcmp(name, module) == 0 || (last && strcmp(name, last + 1) == 0));
}

static void module_table(struct collector *k, pyb_addr key, pyb_addr module)
{
    const struct pyb_layout *l = &k->py->layout;
    pyb_addr def, methods;
    const char *name = NULL;
    if (pyb_field_ptr(k->py, module, l->module_def, &def, NULL) != 0 || def == 0)
        return; // written in Python
    struct pyb_arena scratch;
    pyb_arena_init(&scratch, k->py->target->ctx);
    if (pyb_string_read(k->py, key, NAME_MAX_LEN, &scratch, &name, NULL, NULL) == 0 && name &&
        def_is_named(k, def, name) && pyb_field_ptr(k->py, def, l->moduledef_methods, &methods, NULL) == 0)
        table(k, name, methods, false);
    pyb_arena_deinit(&scratch);
}

typedef void module_fn(struct collector *k, pyb_addr key, pyb_addr module);

static void each_module(struct collector *k, pyb_addr modules, module_fn *each)
{
    struct pyb_dict_iter it = {0};
    int64_t len;
    pyb_addr key, module, type;
    if (pyb_dict_iter_init(k->py, modules, &it, &len, NULL) != 0)
        return;
    for (uint32_t i = 0; i < MAX_MODULES && go_on(k); i++) {
        if (pyb_dict_next(k->py, &it, &key, &module, NULL) != 1)
            return;
        if (pyb_field_ptr(k->py, module, k->py->layout.obj_type, &type, NULL) == 0 &&
            kind_of(k, type) == KIND_MODULE)
            each(k, key, module);
    }
}

static int modules_dict(struct pyb_python *py, pyb_addr *ret, int64_t *ret_len)
{
    pyb_addr interp;
    struct pyb_dict_iter it = {0};
    int code = pyb_read_ptr(py->target->mem, py->interp_head_at, &interp, NULL);
    if (code == 0)
        code = pyb_field_ptr(py, interp, py->layout.interp_modules, ret, NULL);
    return code == 0 ? pyb_dict_iter_init(py, *ret, &it, ret_len, NULL) : code;
}

void pyb_builtins_collect(struct pyb_stack_cache *c)
{
    pyb_addr modules;
    int64_t len;
    if (c->collected && c->collected_generation == c->py->generation)
        return;
    if (modules_dict(c->py, &modules, &len) != 0)
        return; // not even begun: asked again next time
    c->collected_generation = c->py->generation;
    if (c->collected && len == c->collected_modules)
        return;
    c->collected = true;
    pyb_map_clear(&c->owned);
    c->collected_modules = len;
    struct collector k = {.c = c, .py = c->py};
    pyb_map_init(&k.seen, c->py->target->ctx);
    pyb_map_init(&k.kinds, c->py->target->ctx);
    each_module(&k, modules, module_table); // tables first: they know the module's own name
    each_module(&k, modules, module_values);
    pyb_map_deinit(&k.seen);
    pyb_map_deinit(&k.kinds);
}
