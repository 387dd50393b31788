// SPDX-License-Identifier: Apache-2.0
// Enum members and classes. Mirrors Lib/enum.py.
#include "interp/repr.h"

#include "base/error.h"

#include <ctype.h>
#include <string.h>

static bool at_least(const struct pyb_repr *r, int minor)
{
    return r->l->major == 3 && r->l->minor >= minor;
}

// Name (0: None) and value of a member.
static int read_member(struct pyb_repr *r, pyb_addr member, pyb_addr *ret_name, pyb_addr *ret_value)
{
    int rc = pyb_instance_attr(r->py, member, "_name_", ret_name, r->err);
    if (rc == 0 && pyb_repr_is(r, *ret_name, "NoneType"))
        *ret_name = 0;
    if (rc == 0)
        rc = pyb_instance_attr(r->py, member, "_value_", ret_value, r->err);
    return rc == PYB_E_NOTFOUND ? pyb_repr_corrupt(r, member, "an Enum member without name or value") : rc;
}

int pyb_repr_enum(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    pyb_addr name, value;
    int rc = read_member(r, object, &name, &value);
    if (rc)
        return rc;
    pyb_buf_printf(r->out, "<%s", type->name);
    if (name) {
        pyb_buf_addc(r->out, '.');
        rc = pyb_repr_name(r, name);
    }
    pyb_buf_adds(r->out, ": ");
    if (rc == 0)
        rc = pyb_repr_value(r, value);
    pyb_buf_addc(r->out, '>');
    return rc;
}

enum { MAX_FLAGS = 256 };

struct flags {
    int64_t value[MAX_FLAGS];
    pyb_addr name[MAX_FLAGS];
    size_t n;
};

static void add_flag(struct flags *f, int64_t value, pyb_addr name)
{
    if (f->n == MAX_FLAGS)
        return;
    size_t i = f->n++;
    for (; i > 0 && f->value[i - 1] < value; i--) {
        f->value[i] = f->value[i - 1];
        f->name[i] = f->name[i - 1];
    }
    f->value[i] = value;
    f->name[i] = name;
}

static bool power_of_two(int64_t v)
{
    return v > 0 && (v & (v - 1)) == 0;
}

// Up to 3.10 a combination has no name: its named parts are found in the class, largest first.
static int decompose(struct pyb_repr *r, const struct pyb_type *type, int64_t value, struct flags *ret)
{
    pyb_addr members, key, member, name, member_value;
    struct pyb_dict_iter it;
    int64_t v;
    ret->n = 0;
    int rc = pyb_type_lookup(r->py, type, "_value2member_map_", &members, NULL, r->err);
    if (rc == 0)
        rc = pyb_dict_iter_init(r->py, members, &it, NULL, r->err);
    while (rc == 0 && (rc = pyb_dict_next(r->py, &it, &key, &member, r->err)) == 1) {
        rc = read_member(r, member, &name, &member_value);
        if (rc || pyb_repr_get_int(r, member_value, &v) != 0)
            continue;
        if (v && (v & value) == v && (name || (value >= 0 && power_of_two(v))))
            add_flag(ret, v, name);
    }
    if (rc < 0)
        return rc;
    if (ret->n > 1 && ret->value[0] == value) {
        ret->n--;
        memmove(ret->value, ret->value + 1, ret->n * sizeof *ret->value);
        memmove(ret->name, ret->name + 1, ret->n * sizeof *ret->name);
    }
    return 0;
}

int pyb_repr_flag(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    pyb_addr name, value;
    int64_t bits;
    struct flags flags;
    int rc = read_member(r, object, &name, &value);
    if (rc)
        return rc;
    if (name || at_least(r, 11) || pyb_repr_get_int(r, value, &bits) != 0)
        return pyb_repr_enum(r, object, type);
    rc = decompose(r, type, bits, &flags);
    if (rc)
        return rc;
    if (flags.n == 0)
        add_flag(&flags, bits, 0);
    pyb_buf_printf(r->out, "<%s.", type->name);
    for (size_t i = 0; rc == 0 && i < flags.n; i++) {
        pyb_buf_adds(r->out, i ? "|" : "");
        if (flags.name[i])
            rc = pyb_repr_name(r, flags.name[i]);
        else
            pyb_buf_printf(r->out, "%lld", (long long)flags.value[i]);
    }
    pyb_buf_printf(r->out, ": %lld>", (long long)bits);
    return rc;
}

// Text of a str, for the names that are taken apart here.
static int read_text(struct pyb_repr *r, pyb_addr str, char *ret, size_t size)
{
    struct pyb_buf *out = r->out, text;
    pyb_buf_init(&text, r->py->target->ctx, size - 1);
    r->out = &text;
    int rc = pyb_repr_name(r, str);
    r->out = out;
    size_t n = text.len < size ? text.len : size - 1;
    memcpy(ret, pyb_buf_str(&text), n);
    ret[n] = '\0';
    pyb_buf_deinit(&text);
    return rc;
}

// re.IGNORECASE|re.MULTILINE: members that @global_enum made names of their module (3.11 on).
int pyb_repr_global_enum(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    pyb_addr name, value, module;
    char module_text[128], names[512];
    int rc = read_member(r, object, &name, &value);
    if (rc == 0)
        rc = pyb_type_lookup(r->py, type, "__module__", &module, NULL, r->err);
    if (rc == 0)
        rc = read_text(r, module, module_text, sizeof module_text);
    if (rc == 0 && name)
        rc = read_text(r, name, names, sizeof names);
    if (rc)
        return rc;
    const char *dot = strrchr(module_text, '.'), *prefix = dot ? dot + 1 : module_text;
    if (!name) {
        pyb_buf_printf(r->out, "%s.%s(", prefix, type->name);
        rc = pyb_repr_value(r, value);
        pyb_buf_addc(r->out, ')');
        return rc;
    }
    char *rest = names;
    for (char *part; (part = strsep(&rest, "|"));) {
        pyb_buf_adds(r->out, part == names ? "" : "|");
        if (!isdigit((unsigned char)part[0]))
            pyb_buf_printf(r->out, "%s.", prefix);
        pyb_buf_adds(r->out, part);
    }
    return 0;
}

// <enum 'Color'>, <flag 'Perm'> (3.11 on).
int pyb_repr_enum_class(struct pyb_repr *r, pyb_addr object, const struct pyb_type *metatype)
{
    (void)metatype;
    const struct pyb_type *t, *mro[64];
    size_t n;
    int rc = pyb_type_get(r->py, object, &t, r->err);
    if (rc == 0)
        rc = pyb_type_mro(r->py, t, mro, sizeof mro / sizeof *mro, &n, r->err);
    if (rc)
        return rc;
    bool flag = false;
    for (size_t i = 0; i < n; i++)
        flag |= at_least(r, 11) && mro[i]->heap && strcmp(mro[i]->name, "Flag") == 0;
    pyb_buf_printf(r->out, "<%s '%s'>", flag ? "flag" : "enum", t->name);
    return 0;
}
