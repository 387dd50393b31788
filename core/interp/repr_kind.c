// SPDX-License-Identifier: Apache-2.0
// Which way the instances of a class are shown: as the built-in class whose tp_repr they use, or as the
// Python function that is their __repr__ when it is one that the standard library writes. Nothing of the
// target is ever called: any other __repr__ is <Name at 0x...>.
#include "interp/repr.h"

#include "base/error.h"

#include <string.h>

static int show_none(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)object;
    const bool not_implemented = strstr(type->name, "NotImplemented");
    pyb_buf_adds(r->out, type->name[0] == 'e' ? "Ellipsis" : not_implemented ? "NotImplemented" : "None");
    return 0;
}

static const struct pyb_repr_kind INSTANCE = {"object", pyb_repr_instance, NULL};

// By tp_name. The kinds of 2.7 and 3 do not collide: where a name means two things, the function looks at the
// version.
static const struct pyb_repr_kind KINDS[] = {
    {"object", pyb_repr_instance, NULL},
    {"NoneType", show_none, NULL},
    {"NotImplementedType", show_none, NULL},
    {"ellipsis", show_none, NULL},
    {"bool", pyb_repr_bool, NULL},
    {"int", pyb_repr_int_object, NULL},
    {"long", pyb_repr_int_object, NULL},
    {"float", pyb_repr_float, NULL},
    {"complex", pyb_repr_complex_object, NULL},
    {"str", pyb_repr_str, NULL},
    {"unicode", pyb_repr_str, NULL},
    {"bytes", pyb_repr_bytes_object, NULL},
    {"bytearray", pyb_repr_bytearray, NULL},
    {"tuple", pyb_repr_tuple, "(...)"},
    {"list", pyb_repr_list, "[...]"},
    {"dict", pyb_repr_dict, "{...}"},
    {"frozendict", pyb_repr_frozendict, "frozendict({...})"},
    {"set", pyb_repr_set, "set(...)"},
    {"frozenset", pyb_repr_set, "frozenset(...)"},
    {"range", pyb_repr_range, NULL},
    {"xrange", pyb_repr_range, NULL},
    {"slice", pyb_repr_slice, "..."},
    {"type", pyb_repr_type, NULL},
    {"classobj", pyb_repr_old_class, NULL},
    {"instance", pyb_repr_old_instance, NULL},
    {"function", pyb_repr_function, NULL},
    {"method", pyb_repr_method, "..."},
    {"instancemethod", pyb_repr_method, "..."},
    {"builtin_function_or_method", pyb_repr_builtin, NULL},
    {"builtin_method", pyb_repr_builtin, NULL},
    {"method_descriptor", pyb_repr_descriptor, NULL},
    {"classmethod_descriptor", pyb_repr_descriptor, NULL},
    {"wrapper_descriptor", pyb_repr_descriptor, NULL},
    {"member_descriptor", pyb_repr_descriptor, NULL},
    {"getset_descriptor", pyb_repr_descriptor, NULL},
    {"method-wrapper", pyb_repr_method_wrapper, NULL},
    {"generator", pyb_repr_generator, NULL},
    {"coroutine", pyb_repr_generator, NULL},
    {"async_generator", pyb_repr_generator, NULL},
    {"code", pyb_repr_code, NULL},
    {"cell", pyb_repr_cell, NULL},
    {"weakref", pyb_repr_weakref, NULL},
    {"weakref.ReferenceType", pyb_repr_weakref, NULL},
    {"module", pyb_repr_module, NULL},
    {"mappingproxy", pyb_repr_mappingproxy, "..."},
    {"dictproxy", pyb_repr_mappingproxy, "..."},
    {"dict_keys", pyb_repr_dict_view, "..."},
    {"dict_values", pyb_repr_dict_view, "..."},
    {"dict_items", pyb_repr_dict_view, "..."},
    {"BaseException", pyb_repr_exception, "..."},
    {"exceptions.BaseException", pyb_repr_exception, "..."},
    {"BaseExceptionGroup", pyb_repr_exception, "..."},
    {"types.SimpleNamespace", pyb_repr_namespace, "namespace(...)"},
    {"collections.OrderedDict", pyb_repr_odict, "..."},
    {"collections.defaultdict", pyb_repr_defaultdict, PYB_REPR_TWICE},
    {"collections.deque", pyb_repr_deque, "[...]"},
    {"functools.partial", pyb_repr_partial, "..."},
    {"datetime.date", pyb_repr_date, NULL},
    {"datetime.datetime", pyb_repr_datetime, NULL},
    {"datetime.time", pyb_repr_time, NULL},
    {"datetime.timedelta", pyb_repr_timedelta, NULL},
    {"datetime.timezone", pyb_repr_timezone, NULL},
};
static const struct pyb_repr_kind OLD_STR = {"str", pyb_repr_bytes_object, NULL};
static const struct pyb_repr_kind STRUCTSEQ = {"structseq", pyb_repr_structseq, "(...)"};
static const struct pyb_repr_kind NAMEDTUPLE = {"namedtuple", pyb_repr_namedtuple, "(...)"};
static const struct pyb_repr_kind DATACLASS = {"dataclass", pyb_repr_dataclass, "..."};

// Functions of the standard library that serve as __repr__, by the __name__ of their globals and their
// qualified name (2.7: name).
static const struct python_kind {
    const char *module, *function;
    struct pyb_repr_kind kind;
} PYTHON_KINDS[] = {
    {"enum", "Enum.__repr__", {"enum", pyb_repr_enum, NULL}},
    {"enum", "Flag.__repr__", {"flag", pyb_repr_flag, NULL}},
    {"enum", "global_enum_repr", {"global enum", pyb_repr_global_enum, NULL}},
    {"enum", "global_flag_repr", {"global flag", pyb_repr_global_enum, NULL}},
    {"enum", "EnumMeta.__repr__", {"enum class", pyb_repr_enum_class, NULL}},
    {"enum", "EnumType.__repr__", {"enum class", pyb_repr_enum_class, NULL}},
    {"collections", "Counter.__repr__", {"Counter", pyb_repr_counter, "..."}},
};

const struct pyb_repr_kind *pyb_repr_kind_named(const char *name)
{
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
        if (strcmp(KINDS[i].name, name) == 0)
            return &KINDS[i];
    return NULL;
}

static const struct pyb_repr_kind *builtin_kind(const struct pyb_repr *r, const char *name)
{
    if (r->l->major == 2 && strcmp(name, "str") == 0)
        return &OLD_STR;
    return pyb_repr_kind_named(name);
}

static bool dict_text_is(struct pyb_repr *r, pyb_addr dict, const char *key, const char *text)
{
    pyb_addr value;
    return dict && pyb_dict_get(r->py, dict, key, &value, NULL) == 0 && pyb_string_equals(r->py, value, text);
}

static bool field_text_is(struct pyb_repr *r, pyb_addr base, struct pyb_field f, const char *text)
{
    pyb_addr str;
    return pyb_has(f) && pyb_field_ptr(r->py, base, f, &str, NULL) == 0 && str &&
        pyb_string_equals(r->py, str, text);
}

static bool class_has(struct pyb_repr *r, const struct pyb_type *c, const char *name)
{
    pyb_addr value;
    return c->dict && pyb_dict_get(r->py, c->dict, name, &value, NULL) == 0;
}

static bool compiled_from_string(struct pyb_repr *r, pyb_addr function)
{
    pyb_addr code;
    return pyb_field_ptr(r->py, function, r->l->func_code, &code, NULL) == 0 &&
        field_text_is(r, code, r->l->code_filename, "<string>");
}

// dataclasses wraps the function that it generates (file "<string>") so that it minds cycles; a class's own
// __repr__ it leaves alone.
static bool is_dataclass_repr(struct pyb_repr *r, const struct pyb_type *c, pyb_addr function,
                              pyb_addr globals)
{
    if (!dict_text_is(r, globals, "__name__", "dataclasses") &&
        !dict_text_is(r, globals, "__name__", "reprlib"))
        return false;
    pyb_addr attrs, wrapped;
    if (!class_has(r, c, "__dataclass_fields__") ||
        pyb_field_ptr(r->py, function, r->l->func_dict, &attrs, NULL) != 0 || !attrs)
        return false;
    return pyb_dict_get(r->py, attrs, "__wrapped__", &wrapped, NULL) == 0 &&
        pyb_repr_is(r, wrapped, "function") &&
           compiled_from_string(r, wrapped);
}

// namedtuple() compiled its classes from text up to 3.6 (globals "namedtuple_Point"); from 3.7 on __repr__ is
// a closure of collections.
static bool is_namedtuple_repr(struct pyb_repr *r, const struct pyb_type *c, pyb_addr function,
                               pyb_addr globals)
{
    if (!class_has(r, c, "_fields"))
        return false;
    return dict_text_is(r, globals, "__name__", "collections") || compiled_from_string(r, function);
}

static const struct pyb_repr_kind *python_kind(struct pyb_repr *r, const struct pyb_type *c,
                                               pyb_addr function)
{
    pyb_addr globals;
    if (pyb_field_ptr(r->py, function, r->l->func_globals, &globals, NULL) != 0)
        return NULL;
    struct pyb_field name = pyb_has(r->l->func_qualname) ? r->l->func_qualname : r->l->func_name;
    for (size_t i = 0; i < sizeof PYTHON_KINDS / sizeof *PYTHON_KINDS; i++) {
        const struct python_kind *k = &PYTHON_KINDS[i];
        if (field_text_is(r, function, name, k->function) && dict_text_is(r, globals, "__name__", k->module))
            return &k->kind;
    }
    static const struct pyb_repr_kind COUNTER = {"Counter", pyb_repr_counter, "..."};
    static const struct pyb_repr_kind OLD_ODICT = {"OrderedDict", pyb_repr_old_odict, "..."};
    if (r->l->major == 2 && field_text_is(r, function, name, "__repr__") &&
        dict_text_is(r, globals, "__name__", "collections")) {
        if (strcmp(c->name, "Counter") == 0)
            return &COUNTER;
        if (strcmp(c->name, "OrderedDict") == 0)
            return &OLD_ODICT;
    }
    if (is_namedtuple_repr(r, c, function, globals))
        return &NAMEDTUPLE;
    return is_dataclass_repr(r, c, function, globals) ? &DATACLASS : NULL;
}

// __repr__ = int.__repr__ in a class, or a class written in C whose slot has such a wrapper: the type that
// the wrapper belongs to.
static const struct pyb_repr_kind *wrapper_kind(struct pyb_repr *r, pyb_addr wrapper, pyb_addr *owner)
{
    const struct pyb_type *t;
    if (pyb_field_ptr(r->py, wrapper, r->l->descr_type, owner, NULL) != 0 ||
        pyb_type_get(r->py, *owner, &t, NULL) != 0)
        return NULL;
    return builtin_kind(r, t->name);
}

// Struct sequences (time.struct_time, os.stat_result): tuples with a tp_repr of their own and members that
// name the items. Those of 2.7 are no tuples, but have the same struct.
static bool is_structseq(struct pyb_repr *r, const struct pyb_type *t, const struct pyb_type *base)
{
    if (r->l->major == 2)
        return t == base && !t->heap && t->members && class_has(r, t, "n_sequence_fields");
    return t != base && strcmp(base->name, "tuple") == 0 && !base->heap && base->repr != t->repr &&
        t->members != 0;
}

static const struct pyb_repr_kind *resolve(struct pyb_repr *r, const struct pyb_type *t,
                                           const struct pyb_type **mro, size_t n, pyb_addr *owner)
{
    const struct pyb_type *root = n ? mro[n - 1] : NULL;
    if (root && strcmp(root->name, "object") == 0 && t->repr == root->repr)
        return &INSTANCE;
    for (size_t i = 0; i < n; i++) {
        const struct pyb_type *c = mro[i];
        pyb_addr method;
        *owner = c->addr;
        const struct pyb_repr_kind *numpy = pyb_repr_numpy_kind(c);
        if (numpy && c->repr == t->repr)
            return numpy;
        if (is_structseq(r, t, c))
            return &STRUCTSEQ;
        if (!c->heap) {
            if (c->repr != t->repr)
                return &INSTANCE;
            const struct pyb_repr_kind *k = builtin_kind(r, c->name);
            if (k)
                return k;
        } else if (c->dict && pyb_dict_get(r->py, c->dict, "__repr__", &method, NULL) == 0) {
            const struct pyb_repr_kind *k = NULL;
            if (pyb_repr_is(r, method, "function"))
                return (k = python_kind(r, c, method)) ? k : &INSTANCE;
            if (pyb_repr_is(r, method, "wrapper_descriptor"))
                k = wrapper_kind(r, method, owner);
            if (k)
                return k;
            if (i + 1 >= n || !is_structseq(r, t, mro[i + 1]))
                return &INSTANCE;
        }
    }
    return &INSTANCE;
}

int pyb_repr_kind_of(struct pyb_repr *r, const struct pyb_type *type, const struct pyb_repr_kind **ret,
                     pyb_addr *ret_owner)
{
    if (!type->repr_kind) {
        const struct pyb_type *mro[64];
        size_t n = 0;
        int rc = type->mro ? pyb_type_mro(r->py, type, mro, sizeof mro / sizeof *mro, &n, r->err) : 0;
        if (rc)
            return rc;
        if (n == 0) // a static type that was never made ready: 2.7's method_descriptor
            mro[n++] = type;
        // The cache is ours: object.c hands out const views of it.
        struct pyb_type *own = (struct pyb_type *)(uintptr_t)type;
        own->repr_kind = resolve(r, type, mro, n, &own->repr_owner);
    }
    *ret = type->repr_kind;
    *ret_owner = type->repr_owner;
    return 0;
}
