// SPDX-License-Identifier: Apache-2.0
// Classes, modules, exceptions, and the small objects that stand for others. Mirrors Objects/typeobject.c,
// moduleobject.c, exceptions.c, cellobject.c, weakrefobject.c, classobject.c (2.7) and
// Lib/importlib/_bootstrap.py.
#include "interp/repr.h"

#include "base/error.h"

#include <string.h>

static bool at_least(const struct pyb_repr *r, int minor)
{
    return r->l->major == 3 && r->l->minor >= minor;
}

static bool is_str(struct pyb_repr *r, pyb_addr object)
{
    const struct pyb_type *t;
    if (pyb_type_of(r->py, object, &t, NULL) != 0)
        return false;
    return pyb_type_has(t, r->l->major == 2 ? r->l->tpflags_bytes_subclass : r->l->tpflags_unicode_subclass);
}

// <class 'module.qualname'>; for static types the name says both.
int pyb_repr_type(struct pyb_repr *r, pyb_addr object, const struct pyb_type *metatype)
{
    (void)metatype;
    const struct pyb_type *t;
    pyb_addr module = 0, qualname;
    int rc = pyb_type_get(r->py, object, &t, r->err);
    if (rc)
        return rc;
    const bool two = r->l->major == 2;
    const char *builtins = two ? "__builtin__" : "builtins";
    pyb_buf_adds(r->out, two && !t->heap ? "<type '" : "<class '");
    if (t->heap && t->dict && pyb_dict_get(r->py, t->dict, "__module__", &module, NULL) != 0)
        module = 0;
    if (module && is_str(r, module) && !pyb_string_equals(r->py, module, builtins)) {
        rc = pyb_repr_name(r, module);
        pyb_buf_addc(r->out, '.');
        struct pyb_field f = pyb_has(r->l->heaptype_qualname) ? r->l->heaptype_qualname : r->l->heaptype_name;
        if (rc == 0)
            rc = pyb_repr_ptr(r, object, f, &qualname);
        if (rc == 0)
            rc = pyb_repr_name(r, qualname);
    } else {
        pyb_buf_adds(r->out, t->name);
    }
    pyb_buf_adds(r->out, "'>");
    return rc;
}

// 2.7: module.name of a classic class.
static int add_old_class_name(struct pyb_repr *r, pyb_addr class)
{
    pyb_addr dict, module, name;
    int rc = pyb_repr_ptr(r, class, r->l->oldclass_dict, &dict);
    if (rc == 0)
        rc = pyb_repr_ptr(r, class, r->l->oldclass_name, &name);
    if (rc)
        return rc;
    if (pyb_dict_get(r->py, dict, "__module__", &module, NULL) == 0 && is_str(r, module))
        rc = pyb_repr_name(r, module);
    else
        pyb_buf_addc(r->out, '?');
    pyb_buf_addc(r->out, '.');
    return rc ? rc : pyb_repr_name(r, name);
}

int pyb_repr_old_class(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    pyb_buf_adds(r->out, "<class ");
    int rc = add_old_class_name(r, object);
    pyb_buf_printf(r->out, " at 0x%llx>", (unsigned long long)object);
    return rc;
}

// As any instance: <Name at 0x...>, with the name of its class and not "instance".
int pyb_repr_old_instance(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    pyb_addr class, name;
    char text[128];
    struct pyb_buf *out = r->out, class_name;
    int rc = pyb_repr_ptr(r, object, r->l->oldinstance_class, &class);
    if (rc == 0)
        rc = pyb_repr_ptr(r, class, r->l->oldclass_name, &name);
    if (rc)
        return rc;
    pyb_buf_init(&class_name, r->py->target->ctx, sizeof text - 1);
    r->out = &class_name;
    rc = pyb_repr_name(r, name);
    r->out = out;
    strncpy(text, pyb_buf_str(&class_name), sizeof text - 1);
    text[sizeof text - 1] = '\0';
    pyb_buf_deinit(&class_name);
    struct pyb_type shown = *type;
    shown.name = text;
    return rc ? rc : pyb_repr_instance(r, object, &shown);
}

static int get(struct pyb_repr *r, pyb_addr dict, const char *key, pyb_addr *ret)
{
    int rc = pyb_dict_get(r->py, dict, key, ret, NULL);
    if (rc == 0 && pyb_repr_is(r, *ret, "NoneType"))
        *ret = 0;
    if (rc == PYB_E_NOTFOUND)
        *ret = 0;
    return rc == PYB_E_NOTFOUND ? 0 : rc;
}

// The attribute of a spec, 0 for None and for what is not there.
static pyb_addr spec_attr(struct pyb_repr *r, pyb_addr spec, const char *name)
{
    pyb_addr value;
    if (pyb_instance_attr(r->py, spec, name, &value, NULL) != 0 || pyb_repr_is(r, value, "NoneType"))
        return 0;
    return value;
}

static int module_from_spec(struct pyb_repr *r, pyb_addr spec)
{
    const pyb_addr name = spec_attr(r, spec, "name"), origin = spec_attr(r, spec, "origin"),
        loader = spec_attr(r, spec, "loader"),
                   has_location = spec_attr(r, spec, "_set_fileattr");
    const struct pyb_type *t;
    int64_t located = 0;
    pyb_buf_adds(r->out, "<module ");
    int rc = 0;
    if (name)
        rc = pyb_repr_value(r, name);
    else
        pyb_buf_adds(r->out, "'?'");
    if (rc == 0 && origin && has_location && pyb_repr_get_int(r, has_location, &located) == 0 && located) {
        pyb_buf_adds(r->out, " from ");
        rc = pyb_repr_value(r, origin);
    } else if (rc == 0 && origin) {
        pyb_buf_adds(r->out, " (");
        rc = pyb_repr_name(r, origin);
        pyb_buf_addc(r->out, ')');
    } else if (rc == 0 && loader) {
        // Namespace packages printed (namespace) while their loader had a module_repr() of its own, up to
        // 3.11.
        bool namespace = pyb_type_of(r->py, loader, &t, NULL) == 0 &&
            (strcmp(t->name, "_NamespaceLoader") == 0 || strcmp(t->name, "NamespaceLoader") == 0);
        pyb_buf_adds(r->out, " (");
        if (namespace && !at_least(r, 12))
            pyb_buf_adds(r->out, "namespace");
        else
            rc = pyb_repr_value(r, loader);
        pyb_buf_addc(r->out, ')');
    }
    pyb_buf_addc(r->out, '>');
    return rc;
}

// Up to 3.9 a loader's own module_repr() comes first: those of importlib say where the module is from and
// call it by its __name__.
static const char *loader_says(struct pyb_repr *r, pyb_addr loader)
{
    const struct pyb_type *t;
    if (!loader || at_least(r, 10) || pyb_type_of(r->py, loader, &t, NULL) != 0)
        return NULL;
    if (strcmp(t->name, "_NamespaceLoader") == 0)
        return "namespace";
    if (!pyb_type_has(t, r->l->tpflags_type_subclass) || pyb_type_get(r->py, loader, &t, NULL) != 0)
        return NULL;
    if (strcmp(t->name, "BuiltinImporter") == 0)
        return "built-in";
    return strcmp(t->name, "FrozenImporter") == 0 ? "frozen" : NULL;
}

static int old_module(struct pyb_repr *r, pyb_addr name, pyb_addr file)
{
    pyb_buf_adds(r->out, "<module '");
    int rc = pyb_repr_name(r, name);
    pyb_buf_adds(r->out, file ? "' from '" : "' (built-in)>");
    if (rc || !file)
        return rc;
    rc = pyb_repr_name(r, file);
    pyb_buf_adds(r->out, "'>");
    return rc;
}

int pyb_repr_module(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    pyb_addr dict, spec, name, file, loader;
    int rc = pyb_repr_ptr(r, object, r->l->module_dict, &dict);
    if (rc == 0)
        rc = get(r, dict, "__spec__", &spec);
    if (rc == 0)
        rc = get(r, dict, "__name__", &name);
    if (rc == 0)
        rc = get(r, dict, "__file__", &file);
    if (rc == 0)
        rc = get(r, dict, "__loader__", &loader);
    if (rc)
        return rc;
    if (r->l->major == 2)
        return old_module(r, name, file);
    const char *origin = loader_says(r, loader);
    if (spec && !(origin && name))
        return module_from_spec(r, spec);
    pyb_buf_adds(r->out, "<module ");
    if (name)
        rc = pyb_repr_value(r, name);
    else
        pyb_buf_adds(r->out, "'?'");
    if (rc == 0 && origin) {
        pyb_buf_printf(r->out, " (%s)", origin);
    } else if (rc == 0 && (file || loader)) {
        pyb_buf_adds(r->out, file ? " from " : " (");
        rc = pyb_repr_value(r, file ? file : loader);
        pyb_buf_adds(r->out, file ? "" : ")");
    }
    pyb_buf_addc(r->out, '>');
    return rc;
}

// ValueError('x'); up to 3.6 the tuple of arguments as it is: ValueError('x',).
int pyb_repr_exception(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    pyb_addr args;
    int64_t n;
    int rc = pyb_repr_ptr(r, object, r->l->exception_args, &args);
    if (rc == 0 && args)
        rc = pyb_repr_int(r, args, pyb_has(r->l->tuple_ob_size) ? r->l->tuple_ob_size : r->l->var_ob_size,
                          &n);
    if (rc)
        return rc;
    pyb_buf_adds(r->out, type->short_name);
    if (!args) {
        pyb_buf_adds(r->out, "()");
        return 0;
    }
    if (n != 1 || !at_least(r, 7))
        return pyb_repr_value(r, args);
    pyb_buf_addc(r->out, '(');
    r->containers++;
    rc = pyb_repr_array(r, args + (uint64_t)r->l->tuple_item.offset, 1);
    pyb_buf_addc(r->out, ')');
    return rc;
}

int pyb_repr_cell(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    pyb_addr ref;
    const struct pyb_type *t;
    int rc = pyb_repr_ptr(r, object, r->l->cell_ref, &ref);
    if (rc)
        return rc;
    pyb_buf_printf(r->out, "<cell at 0x%llx: ", (unsigned long long)object);
    if (ref)
        rc = pyb_type_of(r->py, ref, &t, r->err);
    if (rc == 0 && ref)
        pyb_buf_printf(r->out, "%s object at 0x%llx>", t->name, (unsigned long long)ref);
    else
        pyb_buf_adds(r->out, "empty>");
    return rc;
}

// The object's __name__, as weakref shows it: of functions, classes and modules.
static int add_target_name(struct pyb_repr *r, pyb_addr object, const struct pyb_type *t)
{
    pyb_addr name = 0, dict;
    const struct pyb_type *class;
    if (strcmp(t->name, "function") == 0) {
        if (pyb_repr_ptr(r, object, r->l->func_name, &name) != 0)
            name = 0;
    } else if (strcmp(t->name, "module") == 0) {
        if (pyb_repr_ptr(r, object, r->l->module_dict, &dict) != 0 ||
            pyb_dict_get(r->py, dict, "__name__", &name, NULL) != 0)
            name = 0;
    } else if (pyb_type_has(t, r->l->tpflags_type_subclass) &&
               pyb_type_get(r->py, object, &class, NULL) == 0) {
        pyb_buf_printf(r->out, " (%s)", class->short_name);
    }
    if (!name)
        return 0;
    pyb_buf_adds(r->out, " (");
    int rc = pyb_repr_name(r, name);
    pyb_buf_addc(r->out, ')');
    return rc;
}

int pyb_repr_weakref(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    pyb_addr target;
    const struct pyb_type *t;
    int rc = pyb_repr_ptr(r, object, r->l->weakref_object, &target);
    if (rc)
        return rc;
    pyb_buf_printf(r->out, "<weakref at 0x%llx; ", (unsigned long long)object);
    if (target == 0 || pyb_repr_is(r, target, "NoneType")) {
        pyb_buf_adds(r->out, "dead>");
        return 0;
    }
    rc = pyb_type_of(r->py, target, &t, r->err);
    if (rc)
        return rc;
    pyb_buf_printf(r->out, "to '%s' at 0x%llx", t->name, (unsigned long long)target);
    rc = add_target_name(r, target, t);
    pyb_buf_addc(r->out, '>');
    return rc;
}
