// SPDX-License-Identifier: Apache-2.0
// Naming what is a Python, but not CPython.
#include <stdio.h>
#include <string.h>

#include "interp/find.h"
#include "interp/scan.h"

#define PYPY "PyPy "

static bool pypy_block(void *ctx, pyb_addr addr, const uint8_t *data, size_t len)
{
    (void)addr;
    struct pyb_version *v = ctx;
    const char *p = (const char *)data, *end = p + len;
    while ((p = memmem(p, (size_t)(end - p), PYPY, strlen(PYPY))) != NULL) {
        p += strlen(PYPY);
        int major, minor, micro = 0, used = 0;
        char text[24] = "";
        memcpy(text, p, (size_t)(end - p) < sizeof(text) - 1 ? (size_t)(end - p) : sizeof(text) - 1);
        if (sscanf(text, "%3d.%3d.%3d%n", &major, &minor, &micro, &used) == 3 && used > 0) {
            *v = (struct pyb_version){.major = major, .minor = minor, .micro = micro};
            return true;
        }
    }
    return false;
}

static bool is_pypy(struct pyb_target *t, struct pyb_module *mod)
{
    const char *slash = mod->path ? strrchr(mod->path, '/') : NULL;
    const char *base = slash ? slash + 1 : mod->path ? mod->path : "";
    if (strncmp(base, "libpypy", 7) == 0)
        return true;
    struct pyb_elf *elf;
    struct pyb_elf_symbol symbol;
    return t->executable && mod->path && strcmp(mod->path, t->executable) == 0 && pyb_module_elf(t, mod, &elf, NULL) == 0 &&
           pyb_elf_symbol(elf, "PyPy_GetVersion", &symbol) == 0;
}

void pyb_find_other(struct pyb_finder *f)
{
    size_t n = pyb_modules_count(f->t->modules);
    for (size_t i = 0; i < n && !f->other; i++) {
        struct pyb_module *mod = pyb_modules_at(f->t->modules, i);
        if (!is_pypy(f->t, mod))
            continue;
        struct pyb_version v = {.major = 0};
        // Its sys.version, "3.9.16 (...)\n[PyPy 7.3.11 with GCC ...]", is a constant.
        int rc = pyb_scan_constants(f->t, mod, 64, pypy_block, &v, NULL);
        struct pyb_span spans[16];
        size_t n_spans = rc == 0 && v.major == 0 ? pyb_scan_writable(f->t, mod, spans, 16) : 0;
        for (size_t k = 0; k < n_spans && rc == 0 && v.major == 0; k++)
            rc = pyb_scan_memory(f->t, spans[k], 64, pypy_block, &v, NULL, NULL);
        f->other = v.major ? pyb_arena_printf(&f->py->arena, "PyPy %d.%d.%d", v.major, v.minor, v.micro) : "PyPy";
    }
}
