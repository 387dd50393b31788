// SPDX-License-Identifier: Apache-2.0
#include <elf.h>

#include "symbols/modules_internal.h"

// Does every PT_LOAD of the file lie where this bias says, as far as the mappings tell? Parts that are
// unmapped or were replaced by anonymous memory (text moved to huge pages) contradict nothing; another file,
// or this one at another offset, does.
static bool fits(const struct pyb_modules *m, size_t index, const struct pyb_elf *elf, pyb_addr bias)
{
    size_t matches = 0;
    for (size_t i = 0; i < elf->n_segments; i++) {
        const struct pyb_elf_segment *s = &elf->segments[i];
        const struct pyb_mapping *mapping = pyb_modules_mapping(m, bias + s->vaddr);
        if (s->filesz == 0 || !mapping || mapping->module == PYB_NO_MODULE)
            continue;
        if (mapping->module != index || mapping->offset + (bias + s->vaddr - mapping->start) != s->offset)
            return false;
        matches++;
    }
    return matches > 0;
}

int pyb_module_bias(const struct pyb_modules *m, size_t index, const struct pyb_elf *elf, pyb_addr *ret)
{
    const struct pyb_module *mod = &m->modules[index];
    uint32_t seen = 0;
    for (size_t i = mod->first_mapping; i < m->n_mappings && seen < mod->n_mappings; i++) {
        const struct pyb_mapping *mapping = &m->mappings[i];
        if (mapping->module != index)
            continue;
        seen++;
        for (size_t k = 0; k < elf->n_segments; k++) {
            const struct pyb_elf_segment *s = &elf->segments[k];
            if (s->filesz == 0 || s->offset < mapping->offset ||
                s->offset - mapping->offset >= mapping->end - mapping->start)
                continue;
            pyb_addr bias = mapping->start + (s->offset - mapping->offset) - s->vaddr;
            if (bias % PYB_ELF_PAGE == 0 && (bias == 0 || elf->type != ET_EXEC) &&
                fits(m, index, elf, bias)) {
                *ret = bias;
                return 0;
            }
        }
    }
    return PYB_E_UNSUPPORTED;
}
