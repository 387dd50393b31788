// SPDX-License-Identifier: Apache-2.0
// Which built-in a function without a symbol belongs to: the one that a table says it implements, the one that
// was called and has jumped here, or the only one whose code leads here.
#include <string.h>

#include "stack/stack_cache.h"
#include "symbols/elf_call.h"
#include "symbols/elf_owner.h"

struct asking { struct pyb_stack_cache *c; struct pyb_elf *elf; pyb_addr bias; };

static const char *in_table(struct pyb_stack_cache *c, pyb_addr function)
{
    uintptr_t found;
    return pyb_map_get(&c->builtins, function, &found) && found != PYB_AMBIGUOUS ? (const char *)found : NULL;
}

static const char *symbol_at(struct pyb_elf *e, uint64_t vaddr)
{
    uint64_t start;
    const char *symbol = pyb_elf_symbol_covering(e, vaddr, &start);
    return start == vaddr ? symbol : NULL;
}

static bool is_known(void *ctx, uint64_t fde_start)
{
    const struct asking *a = ctx;
    pyb_addr function = a->bias + fde_start;
    return pyb_map_get(&a->c->carriers, function, NULL) || in_table(a->c, function) || symbol_at(a->elf, fde_start);
}

// re.Pattern.sub and re.Pattern.subn share what they end in: "re.Pattern.sub|subn".
static const char *join(struct pyb_stack_cache *c, const char *one, const char *other)
{
    const char *dot = strrchr(one, '.');
    size_t n = dot ? (size_t)(dot - one) + 1 : 0;
    if (n == 0 || strncmp(one, other, n) != 0 || strchr(other + n, '.'))
        return NULL;
    if (strcmp(one, other) == 0)
        return one;
    bool ordered = strcmp(one, other) < 0;
    return pyb_arena_printf(&c->arena, "%s|%s", ordered ? one : other, (ordered ? other : one) + n);
}

static struct pyb_builtin by_owners(struct pyb_stack_cache *c, struct pyb_elf *elf, pyb_addr bias,
                                     const struct pyb_elf_owners *o)
{
    struct pyb_builtin ret = {0};
    uint32_t carriers = 0;
    for (uint32_t i = 0; i < o->n; i++)
        carriers += pyb_map_get(&c->carriers, bias + o->at[i], NULL);
    if (carriers) {
        ret.carrier = carriers == o->n;
        return ret;
    }
    if (o->n == 1)
        ret.symbol = symbol_at(elf, o->at[0]);
    if (ret.symbol)
        return ret;
    const char *one = in_table(c, bias + o->at[0]), *other = o->n > 1 ? in_table(c, bias + o->at[1]) : one;
    if (one && other)
        ret.name = one == other ? one : join(c, one, other);
    return ret;
}

// An answer may change when modules were imported: c->owned is emptied then.
static struct pyb_builtin owned(struct pyb_stack_cache *c, const struct pyb_function *fn)
{
    struct pyb_builtin ret = {0};
    uintptr_t known;
    if (pyb_map_get(&c->owned, fn->fde_start, &known))
        return known ? *(const struct pyb_builtin *)known : ret;
    pyb_addr bias = fn->module->bias;
    struct asking a = {c, fn->module->elf, bias};
    struct pyb_elf_owners o;
    if (a.elf && pyb_elf_owners(a.elf, fn->fde_start - bias, is_known, &a, &o) == 0)
        ret = by_owners(c, a.elf, bias, &o);
    bool any = ret.name || ret.symbol || ret.carrier;
    struct pyb_builtin *copy = any ? pyb_arena_alloc(&c->arena, sizeof(*copy)) : NULL;
    if (copy)
        *copy = ret;
    (void)pyb_map_put(&c->owned, fn->fde_start, (uintptr_t)copy); // no room: looked for again
    return ret;
}

// The C library implements nothing of Python's: the tables need not be collected for it.
static bool is_c_library(struct pyb_elf *e)
{
    const char *soname = e ? pyb_elf_soname(e) : NULL;
    return soname && (strncmp(soname, "libc.", 5) == 0 || strncmp(soname, "libpthread.", 11) == 0);
}

// What the caller's instruction called: this function itself, or one that jumped here instead of calling. False:
// that does not tell whose it is.
static bool by_call(struct pyb_stack_cache *c, const struct pyb_function *fn, pyb_addr caller,
                    struct pyb_builtin *ret)
{
    pyb_addr bias = fn->module->bias;
    uint64_t called;
    *ret = (struct pyb_builtin){0};
    const struct pyb_module *calling = caller ? pyb_modules_find(c->py->target->modules, caller) : NULL;
    if (!calling || !fn->module->elf)
        return false;
    if (calling != fn->module)
        return is_c_library(calling->elf); // a thread's first function, or one that qsort() calls: no method
    if (!pyb_elf_called(calling->elf, caller - bias, &called))
        return false;
    if (bias + called == fn->fde_start)
        return true; // and no table has it
    ret->carrier = pyb_map_get(&c->carriers, bias + called, NULL);
    ret->name = ret->carrier ? NULL : in_table(c, bias + called);
    ret->by_caller = ret->carrier || ret->name;
    return ret->by_caller;
}

struct pyb_builtin pyb_builtin_at(struct pyb_stack_cache *c, const struct pyb_function *fn, pyb_addr caller)
{
    struct pyb_builtin ret;
    if (fn->fde_start == 0 || !fn->module || is_c_library(fn->module->elf))
        return (struct pyb_builtin){0};
    pyb_builtins_collect(c);
    if (pyb_map_get(&c->carriers, fn->fde_start, NULL))
        return (struct pyb_builtin){.carrier = true};
    if (pyb_map_get(&c->builtins, fn->fde_start, NULL))
        return (struct pyb_builtin){.name = in_table(c, fn->fde_start)};
    return by_call(c, fn, caller, &ret) ? ret : owned(c, fn);
}
