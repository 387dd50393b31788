// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"
#include "interp/variables.h"

static int in_dict(struct pyb_python *py, pyb_addr dict, const char *name, const char *scope, pyb_addr *ret,
                   const char **ret_scope, struct pyb_error *err)
{
    int rc = dict ? pyb_dict_get(py, dict, name, ret, err) : PYB_E_NOTFOUND;
    if (rc == 0)
        *ret_scope = scope;
    return rc;
}

// As the interpreter looks: a function's own name never falls through to the globals, even when it is
// unbound.
static int in_variables(struct pyb_python *py, const struct pyb_pyframe *frame, const struct pyb_code *code,
                        const char *name, pyb_addr *ret, bool *ret_known, struct pyb_error *err)
{
    struct pyb_arena arena;
    struct pyb_variable *v;
    uint32_t n;
    *ret_known = false;
    *ret = 0;
    pyb_arena_init(&arena, py->target->ctx);
    int rc = pyb_variables_read(py, frame, code, &arena, &v, &n, err);
    for (uint32_t i = 0; rc == 0 && i < n && !*ret_known; i++) {
        if ((v[i].hidden && !v[i].value) || !pyb_string_equals(py, v[i].name, name))
            continue;
        *ret_known = true;
        *ret = v[i].value;
        if (v[i].is_int)
            rc = pyb_fail(err, PYB_E_NOTFOUND, "%s is the number %lld, which is no object", name,
                          (long long)v[i].number);
        else if (!v[i].value && pyb_code_is_optimized(code))
            rc = pyb_fail(err, PYB_E_NOTFOUND, "%s is a local variable and unbound", name);
    }
    pyb_arena_deinit(&arena);
    return rc;
}

int pyb_frame_lookup(struct pyb_python *py, const struct pyb_pyframe *frame, const struct pyb_code *code,
                     const char *name, pyb_addr *ret, const char **ret_scope, struct pyb_error *err)
{
    pyb_addr locals, globals, builtins;
    bool known;
    int rc = in_variables(py, frame, code, name, ret, &known, err);
    *ret_scope = "local";
    if (rc || (known && *ret))
        return rc;
    rc = pyb_frame_namespaces(py, frame, &locals, &globals, &builtins, err);
    if (rc)
        return rc;
    if (!pyb_code_is_optimized(code) && locals && locals != globals) {
        rc = in_dict(py, locals, name, "local", ret, ret_scope, err);
        if (rc == 0)
            return 0;
    }
    rc = in_dict(py, globals, name, "global", ret, ret_scope, err);
    if (rc == PYB_E_NOTFOUND)
        rc = in_dict(py, builtins, name, "builtin", ret, ret_scope, err);
    return rc == PYB_E_NOTFOUND ? pyb_fail(err, rc, "name %s is not defined", name) : rc;
}
