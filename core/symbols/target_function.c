// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"
#include "symbols/debug_file.h"

// The nearest symbol below pc is a lie in stripped builds. A name holds when its symbol's size covers pc, or
// when it is the start of the FDE that does.
int pyb_target_function(struct pyb_target *t, pyb_addr pc, struct pyb_function *ret)
{
    *ret = (struct pyb_function){0};
    ret->module = t->modules ? pyb_modules_find(t->modules, pc) : NULL;
    struct pyb_elf *elf;
    if (!ret->module)
        return PYB_E_NOTFOUND;
    int rc = pyb_module_elf(t, ret->module, &elf, NULL);
    if (rc) {
        ret->offset = pc - ret->module->start;
        return rc;
    }
    pyb_addr bias = ret->module->bias;
    uint64_t start, end;
    ret->offset = pc - bias;
    if (pyb_elf_fde(elf, ret->offset, &start, &end) == 0) {
        ret->fde_start = bias + start;
        ret->fde_end = bias + end;
    }
    uint64_t symbol_start = 0;
    if (!pyb_elf_has_symtab(elf))
        (void)pyb_module_debug_file(t, ret->module); // the look-ups below use it
    ret->symbol = pyb_elf_symbol_covering(elf, ret->offset, &symbol_start);
    if (!ret->symbol && ret->fde_end && start != ret->offset) {
        ret->symbol = pyb_elf_symbol_covering(elf, start, &symbol_start);
        if (ret->symbol && symbol_start != start)
            ret->symbol = NULL;
    }
    ret->symbol_start = ret->symbol ? bias + symbol_start : 0;
    return 0;
}
