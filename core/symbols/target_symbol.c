// SPDX-License-Identifier: Apache-2.0
#include <elf.h>
#include <string.h>

#include "symbols/elf_internal.h"
#include "symbols/modules_internal.h"

enum { STAGE_LIKELY, STAGE_REST, STAGE_FRONT_END, STAGE_END };

// Where CPython lives: in the program, or in a libpython of whatever version and spelling (Python.so of a
// framework build included).
static bool is_likely(struct pyb_modules *m, const struct pyb_module *mod)
{
    if (mod == pyb_modules_executable(m))
        return true;
    const char *slash = strrchr(mod->path, '/');
    const char *base = slash ? slash + 1 : mod->path;
    return strncmp(base, "libpython", 9) == 0;
}

static bool look_in(struct pyb_target *t, struct pyb_module *mod, const char *name,
                    struct pyb_symbol_hit *ret)
{
    struct pyb_elf *elf;
    struct pyb_elf_symbol s;
    // A module that cannot be opened keeps its reason (pyb_module_elf tells it again).
    if (pyb_module_elf(t, mod, &elf, NULL) != 0 || pyb_elf_symbol(elf, name, &s) != 0 || s.type == STT_TLS)
        return false;
    *ret = (struct pyb_symbol_hit){mod, mod->bias + s.value, s.size};
    return true;
}

// Hundreds of extension modules were opened for one name that is not theirs: their descriptors are given
// back.
static void close_again(struct pyb_target *t, struct pyb_module *mod)
{
    struct pyb_modules *m = t->modules;
    if (m->source != PYB_MODULES_PID || mod->elf_state <= 0 || mod->elf->source != PYB_ELF_FILE)
        return;
    pyb_elf_free(mod->elf);
    mod->elf = NULL;
    mod->elf_state = 0;
    mod->bias_known = false;
}

static bool next_in_modules(struct pyb_target *t, struct pyb_symbol_search *s, struct pyb_symbol_hit *ret)
{
    while (s->next < t->modules->n_modules) {
        struct pyb_module *mod = &t->modules->modules[s->next++];
        if (is_likely(t->modules, mod) != (s->stage == STAGE_LIKELY))
            continue;
        bool was_open = mod->elf_state > 0;
        if (look_in(t, mod, s->name, ret)) {
            s->last = ret->addr;
            return true;
        }
        if (!was_open && s->stage == STAGE_REST)
            close_again(t, mod);
        if (pyb_ctx_check(t->ctx, NULL) != 0)
            return false;
    }
    return false;
}

bool pyb_symbol_next(struct pyb_target *t, struct pyb_symbol_search *s, struct pyb_symbol_hit *ret)
{
    for (; s->stage < STAGE_FRONT_END; s->stage++, s->next = 0) {
        if (t->modules && next_in_modules(t, s, ret))
            return true;
        if (pyb_ctx_check(t->ctx, NULL) != 0)
            return false;
    }
    if (s->stage != STAGE_FRONT_END)
        return false;
    s->stage = STAGE_END;
    pyb_addr addr = t->symbol ? t->symbol(t->symbol_ctx, s->name) : 0;
    // LLDB gives undefined symbols the address ~0
    if (addr == 0 || addr >= UINT64_MAX - PYB_ELF_PAGE || addr == s->last)
        return false;
    *ret = (struct pyb_symbol_hit){t->modules ? pyb_modules_find(t->modules, addr) : NULL, addr, 0};
    return true;
}

size_t pyb_target_symbol(struct pyb_target *t, const char *name, struct pyb_symbol_hit *ret, size_t max)
{
    struct pyb_symbol_search s = {.name = name};
    size_t n = 0;
    int stage = STAGE_END;
    struct pyb_symbol_hit hit;
    while (n < max && pyb_symbol_next(t, &s, &hit)) {
        if (n > 0 && s.stage != stage)
            break; // found by an earlier stage
        stage = s.stage;
        ret[n++] = hit;
    }
    return n;
}
