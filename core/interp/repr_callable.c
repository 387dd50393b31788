// SPDX-License-Identifier: Apache-2.0
// Functions, methods, descriptors and what runs code. Mirrors Objects/funcobject.c, classobject.c,
// methodobject.c, descrobject.c, genobject.c.
#include "interp/repr.h"

#include "base/error.h"

#include <string.h>

// A str member as plain text, "?" when the member is NULL.
static int add_name_at(struct pyb_repr *r, pyb_addr base, struct pyb_field f)
{
    pyb_addr str;
    int rc = pyb_repr_ptr(r, base, f, &str);
    return rc ? rc : pyb_repr_name(r, str);
}

static struct pyb_field name_field(const struct pyb_repr *r)
{
    return pyb_has(r->l->func_qualname) ? r->l->func_qualname : r->l->func_name;
}

int pyb_repr_function(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    pyb_buf_adds(r->out, "<function ");
    int rc = add_name_at(r, object, name_field(r));
    pyb_buf_printf(r->out, " at 0x%llx>", (unsigned long long)object);
    return rc;
}

// The name of what a bound method calls: a function almost always.
static int add_callable_name(struct pyb_repr *r, pyb_addr func)
{
    if (pyb_repr_is(r, func, "function"))
        return add_name_at(r, func, name_field(r));
    pyb_buf_addc(r->out, '?');
    return 0;
}

static int old_method(struct pyb_repr *r, pyb_addr object, pyb_addr func, pyb_addr self)
{
    pyb_addr class;
    const struct pyb_type *t;
    int rc = pyb_repr_ptr(r, object, r->l->method_class, &class);
    if (rc)
        return rc;
    pyb_buf_adds(r->out, self ? "<bound method " : "<unbound method ");
    if (class && pyb_repr_is(r, class, "classobj"))
        rc = add_name_at(r, class, r->l->oldclass_name);
    else if (class && pyb_type_get(r->py, class, &t, NULL) == 0)
        pyb_buf_adds(r->out, t->short_name);
    else
        pyb_buf_addc(r->out, '?');
    pyb_buf_addc(r->out, '.');
    if (rc == 0)
        rc = add_callable_name(r, func);
    if (rc == 0 && self) {
        pyb_buf_adds(r->out, " of ");
        rc = pyb_repr_value(r, self);
    }
    pyb_buf_addc(r->out, '>');
    return rc;
}

int pyb_repr_method(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    pyb_addr func, self;
    int rc = pyb_repr_ptr(r, object, r->l->method_func, &func);
    if (rc == 0)
        rc = pyb_repr_ptr(r, object, r->l->method_self, &self);
    if (rc)
        return rc;
    if (r->l->major == 2)
        return old_method(r, object, func, self);
    pyb_buf_adds(r->out, "<bound method ");
    rc = add_callable_name(r, func);
    pyb_buf_adds(r->out, " of ");
    if (rc == 0)
        rc = pyb_repr_value(r, self);
    pyb_buf_addc(r->out, '>');
    return rc;
}

int pyb_repr_builtin(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    pyb_addr ml, self, name;
    const struct pyb_type *self_type;
    int rc = pyb_repr_ptr(r, object, r->l->cfunction_ml, &ml);
    if (rc == 0)
        rc = pyb_repr_ptr(r, object, r->l->cfunction_self, &self);
    if (rc == 0)
        rc = pyb_repr_ptr(r, ml, r->l->methoddef_name, &name);
    if (rc)
        return rc;
    const bool plain = self == 0 || pyb_repr_is(r, self, "module");
    pyb_buf_adds(r->out, plain ? "<built-in function " : "<built-in method ");
    rc = pyb_repr_cstr(r, name);
    if (rc == 0 && !plain)
        rc = pyb_type_of(r->py, self, &self_type, r->err);
    if (rc == 0 && !plain)
        pyb_buf_printf(r->out, " of %s object at 0x%llx", self_type->name, (unsigned long long)self);
    pyb_buf_addc(r->out, '>');
    return rc;
}

int pyb_repr_descriptor(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    pyb_addr owner;
    const struct pyb_type *t;
    int rc = pyb_repr_ptr(r, object, r->l->descr_type, &owner);
    if (rc == 0)
        rc = pyb_type_get(r->py, owner, &t, r->err);
    if (rc)
        return rc;
    const char *what = strcmp(type->name, "wrapper_descriptor") == 0 ? "slot wrapper"
                     : strcmp(type->name, "member_descriptor") == 0  ? "member"
                     : strcmp(type->name, "getset_descriptor") == 0  ? "attribute"
                                                                     : "method";
    pyb_buf_printf(r->out, "<%s '", what);
    rc = add_name_at(r, object, r->l->descr_name);
    // 3.15 says only so much of what is object's own.
    const bool bare = r->l->major == 3 && r->l->minor >= 15 && !t->heap && strcmp(t->name, "object") == 0;
    pyb_buf_printf(r->out, bare ? "'>" : "' of '%s' objects>", t->name);
    return rc;
}

int pyb_repr_method_wrapper(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    pyb_addr descriptor, self, base, name;
    const struct pyb_type *t;
    int rc = pyb_repr_ptr(r, object, r->l->methodwrapper_descr, &descriptor);
    if (rc == 0)
        rc = pyb_repr_ptr(r, object, r->l->methodwrapper_self, &self);
    if (rc == 0)
        rc = pyb_repr_ptr(r, descriptor, r->l->wrapperdescr_base, &base);
    if (rc == 0)
        rc = pyb_repr_ptr(r, base, r->l->wrapperbase_name, &name);
    if (rc == 0)
        rc = pyb_type_of(r->py, self, &t, r->err);
    if (rc)
        return rc;
    pyb_buf_adds(r->out, "<method-wrapper '");
    rc = pyb_repr_cstr(r, name);
    pyb_buf_printf(r->out, "' of %s object at 0x%llx>", t->name, (unsigned long long)self);
    return rc;
}

static int partial_keywords(struct pyb_repr *r, pyb_addr keywords)
{
    struct pyb_dict_iter it;
    pyb_addr key, value;
    int rc = pyb_dict_iter_init(r->py, keywords, &it, NULL, r->err);
    while (rc == 0 && (rc = pyb_dict_next(r->py, &it, &key, &value, r->err)) == 1) {
        if (pyb_repr_next_item(r, 1))
            return 0;
        rc = pyb_repr_name(r, key);
        pyb_buf_addc(r->out, '=');
        if (rc == 0)
            rc = pyb_repr_value(r, value);
    }
    return rc < 0 ? rc : 0;
}

int pyb_repr_partial(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    const struct pyb_layout *l = r->l;
    pyb_addr fn, args, keywords;
    int64_t n;
    int rc = pyb_repr_ptr(r, object, l->partial_fn, &fn);
    if (rc == 0)
        rc = pyb_repr_ptr(r, object, l->partial_args, &args);
    if (rc == 0)
        rc = pyb_repr_ptr(r, object, l->partial_kw, &keywords);
    if (rc == 0)
        rc = pyb_repr_int(r, args, pyb_has(l->tuple_ob_size) ? l->tuple_ob_size : l->var_ob_size, &n);
    if (rc)
        return rc;
    pyb_buf_printf(r->out, "%s(", type->name);
    r->containers++;
    rc = pyb_repr_value(r, fn);
    if (rc == 0 && n > 0) {
        pyb_buf_adds(r->out, ", ");
        rc = pyb_repr_array(r, args + (uint64_t)l->tuple_item.offset, n);
    }
    if (rc == 0 && keywords)
        rc = partial_keywords(r, keywords);
    pyb_buf_addc(r->out, ')');
    return rc;
}

int pyb_repr_generator(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    pyb_addr code;
    int rc;
    pyb_buf_printf(r->out, "<%s object ", type->name);
    if (pyb_has(r->l->gen_qualname)) {
        rc = add_name_at(r, object, r->l->gen_qualname);
    } else {
        rc = pyb_repr_ptr(r, object, r->l->gen_code, &code);
        if (rc == 0)
            rc = add_name_at(r, code, r->l->code_name);
    }
    pyb_buf_printf(r->out, " at 0x%llx>", (unsigned long long)object);
    return rc;
}

int pyb_repr_code(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    int64_t line;
    int rc = pyb_repr_int(r, object, r->l->code_firstlineno, &line);
    if (rc)
        return rc;
    pyb_buf_adds(r->out, "<code object ");
    rc = add_name_at(r, object, r->l->code_name);
    pyb_buf_printf(r->out, " at 0x%llx, file \"", (unsigned long long)object);
    if (rc == 0)
        rc = add_name_at(r, object, r->l->code_filename);
    pyb_buf_printf(r->out, "\", line %lld>", (long long)line);
    return rc;
}
