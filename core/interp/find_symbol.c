// SPDX-License-Identifier: Apache-2.0
// Symbol _PyRuntime (3.7+), static interp_head (2.7-3.6, unstripped), section .PyRuntime: likely modules first, so that the many
// extension modules of a process need not be opened.
#include "interp/find.h"

#include <string.h>

static const char *basename_of(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path ? path : "";
}

bool pyb_find_is_likely(const struct pyb_target *t, const struct pyb_module *mod)
{
    const char *base = basename_of(mod->path);
    if (strncmp(base, "libpython", 9) == 0 || strncmp(base, "python", 6) == 0 || strncmp(base, "Python", 6) == 0)
        return true;
    return t->executable && mod->path && strcmp(t->executable, mod->path) == 0;
}

static int try_symbol(struct pyb_finder *f, struct pyb_module *mod, struct pyb_elf *elf, const char *name, struct pyb_error *err)
{
    struct pyb_elf_symbol symbol;
    if (pyb_elf_symbol(elf, name, &symbol) != 0)
        return 0;
    pyb_addr at = mod->bias + symbol.value;
    bool runtime = strcmp(name, "_PyRuntime") == 0;
    struct pyb_candidate c = {.runtime = runtime ? at : 0,
                              .head_at = runtime ? 0 : at,
                              .module = mod,
                              .how = runtime ? "symbol _PyRuntime" : "symbol interp_head"};
    return pyb_find_try(f, &c, err);
}

static int try_section(struct pyb_finder *f, struct pyb_module *mod, struct pyb_elf *elf, struct pyb_error *err)
{
    struct pyb_elf_section section;
    if (pyb_elf_section(elf, ".PyRuntime", &section) != 0 || section.addr == 0)
        return 0;
    struct pyb_candidate c = {.runtime = mod->bias + section.addr, .module = mod, .how = "section .PyRuntime"};
    return pyb_find_try(f, &c, err);
}

static int try_module(struct pyb_finder *f, struct pyb_module *mod, struct pyb_error *err)
{
    struct pyb_elf *elf;
    int rc = pyb_module_elf(f->t, mod, &elf, NULL);
    if (rc || !mod->bias_known)
        return pyb_is_final(rc) && rc != PYB_E_PERM ? rc : 0; // one file may be unreadable, memory is not
    rc = try_symbol(f, mod, elf, "_PyRuntime", err);
    if (rc == 0 && (f->others || !f->has_threads))
        rc = try_section(f, mod, elf, err);
    if (rc == 0 && (f->others || !f->has_threads))
        rc = try_symbol(f, mod, elf, "interp_head", err);
    return rc;
}

void pyb_find_neighbours(struct pyb_finder *f)
{
    size_t n = pyb_modules_count(f->t->modules);
    f->others = true;
    for (size_t i = 0; i < n; i++) {
        struct pyb_module *mod = pyb_modules_at(f->t->modules, i);
        if (mod != f->py->module && pyb_find_is_likely(f->t, mod))
            (void)try_module(f, mod, NULL); // a note less
    }
}

// What the front end knows beside the files: it may have separate debug information.
static int try_front_end(struct pyb_finder *f, struct pyb_error *err)
{
    static const char *const names[] = {"_PyRuntime", "interp_head"};
    for (size_t i = 0; i < 2 && f->t->symbol && !f->has_threads; i++) {
        pyb_addr at = f->t->symbol(f->t->symbol_ctx, names[i]);
        if (at == 0)
            continue;
        struct pyb_candidate c = {.runtime = i == 0 ? at : 0,
                                  .head_at = i == 0 ? 0 : at,
                                  .module = pyb_modules_find(f->t->modules, at),
                                  .how = i == 0 ? "the debugger's symbol _PyRuntime" : "the debugger's symbol interp_head"};
        int rc = pyb_find_try(f, &c, err);
        if (rc)
            return rc;
    }
    return 0;
}

int pyb_find_by_symbol(struct pyb_finder *f, bool likely, struct pyb_error *err)
{
    int rc = pyb_find_each(f, likely, try_module, err);
    return rc || !likely || f->has_threads ? rc : try_front_end(f, err);
}
