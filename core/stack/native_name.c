// SPDX-License-Identifier: Apache-2.0
#include "stack/native_name.h"

#include <string.h>

#include "stack/evaluation.h"
#include "stack/stack_cache.h"
#include "symbols/demangle.h"

// The unwinder's own name counts where it comes from debug information (inlined functions and frames with a
// source line), or where its symbol table puts that very name into the function that covers pc: GDB's and
// LLDB's nearest symbol of a stripped build is a lie.
static bool name_is_true(struct pyb_target *t, const struct pyb_native_frame *f,
                         const struct pyb_function *fn)
{
    if (!f->name)
        return false;
    if ((f->flags & PYB_NATIVE_INLINED) || f->file)
        return true;
    if (!t->symbol || fn->fde_end <= fn->fde_start)
        return false;
    pyb_addr at = t->symbol(t->symbol_ctx, f->linkage_name ? f->linkage_name : f->name);
    return at >= fn->fde_start && at < fn->fde_end;
}

// Without the suffixes that compilers add (.cold, .part.0, .constprop.1, .lto_priv.0, .llvm.123) and without
// the version (@@GLIBC_2.17), which .symtab has and .dynsym has not.
static const char *plain_symbol(struct pyb_arena *arena, const char *symbol)
{
    size_t n = pyb_is_mangled(symbol) ? strlen(symbol) : strcspn(symbol + (symbol[0] == '.'), ".@");
    n += symbol[0] == '.' && n < strlen(symbol);
    return symbol[n] ? pyb_arena_strndup(arena, symbol, n) : symbol;
}

// The front end may have demangled it by the rules of its language.
static const char *readable(struct pyb_stack_cache *c, const struct pyb_native_frame *f, const char *symbol)
{
    const char *name = NULL;
    if (pyb_is_mangled(symbol))
        name = f->name && !pyb_is_mangled(f->name) ? f->name : c ? pyb_demangle(&c->arena, symbol) : NULL;
    if (!name && c)
        name = plain_symbol(&c->arena, symbol);
    return name ? name : symbol;
}

// False: the name is true of this activation only.
static bool choose(struct pyb_target *t, struct pyb_python *py, const struct pyb_native_frame *f,
                   const struct pyb_function *fn, pyb_addr caller, struct pyb_native_name *ret)
{
    struct pyb_stack_cache *c = py ? pyb_stack_cache(py) : NULL;
    bool inlined = f->flags & PYB_NATIVE_INLINED, lasting = true;
    if (fn->symbol && !inlined) {
        ret->linkage_name = fn->symbol;
        ret->name = readable(c, f, fn->symbol);
    } else if (name_is_true(t, f, fn)) {
        ret->name = f->name;
        ret->linkage_name = f->linkage_name;
    } else if (c && !inlined) {
        struct pyb_builtin b = pyb_builtin_at(c, fn, caller);
        lasting = !b.by_caller;
        ret->name = b.name;
        ret->plumbing = b.carrier;
        ret->builtin = ret->name != NULL;
        if (b.symbol) {
            ret->name = readable(c, &(struct pyb_native_frame){0}, b.symbol);
            ret->linkage_name = b.symbol;
        }
    }
    // An extension's own call_method() is not the interpreter's; trampolines of perf support lie in no
    // module.
    bool interpreters = !py || !py->module || fn->module == py->module || !fn->module;
    if (ret->name && !ret->builtin && interpreters)
        ret->plumbing |= pyb_is_plumbing_symbol(ret->linkage_name) || pyb_is_plumbing_symbol(ret->name);
    return lasting;
}

// Strings that came with the frame are copied: the cache outlives the caller's structs.
static struct pyb_native_name *remember(struct pyb_stack_cache *c, pyb_addr key,
                                        const struct pyb_native_name *name)
{
    struct pyb_native_name *copy = pyb_arena_alloc(&c->arena, sizeof(*copy));
    if (!copy)
        return NULL;
    *copy = *name;
    if (copy->name)
        copy->name = pyb_arena_strdup(&c->arena, copy->name);
    if (copy->linkage_name)
        copy->linkage_name = pyb_arena_strdup(&c->arena, copy->linkage_name);
    bool lost = (name->name && !copy->name) || (name->linkage_name && !copy->linkage_name);
    return lost || pyb_map_put(&c->names, key, (uintptr_t)copy) != 0 ? NULL : copy;
}

int pyb_native_name(struct pyb_target *t, struct pyb_python *py, const struct pyb_native_frame *f,
                    bool is_return_address, pyb_addr caller, struct pyb_native_name *ret)
{
    pyb_addr pc = is_return_address && f->pc > 0 ? f->pc - 1 : f->pc;
    struct pyb_stack_cache *c = py && !(f->flags & PYB_NATIVE_INLINED) ? pyb_stack_cache(py) : NULL;
    struct pyb_function fn = {0};
    uintptr_t known;
    *ret = (struct pyb_native_name){.module = f->module};
    if (c && pyb_map_get(&c->names, pc, &known)) {
        *ret = *(const struct pyb_native_name *)known;
        ret->offset += is_return_address; // the cache is by lookup pc, the offset is the pc's own
        return 0;
    }
    if (pyb_target_function(t, pc, &fn) == 0 && fn.module) {
        ret->module = fn.module->path;
        ret->offset = fn.offset;
    }
    bool lasting = choose(t, py, f, &fn, caller, ret);
    // The tables are looked at again when modules were imported: an unnamed pc is remembered for this stop
    // only.
    if (c && ret->name && lasting)
        (void)remember(c, pc, ret);
    ret->offset += is_return_address && ret->module != NULL;
    return 0;
}
