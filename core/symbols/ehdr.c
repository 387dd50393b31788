// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "symbols/modules_internal.h"

bool pyb_is_ehdr(struct pyb_memory *mem, pyb_addr addr)
{
    char magic[4];
    return mem && addr && pyb_read_bytes(mem, addr, magic, sizeof(magic), NULL) == 0 &&
           memcmp(magic, "\177ELF", 4) == 0;
}

pyb_addr pyb_ehdr_below(struct pyb_memory *mem, pyb_addr addr, unsigned max_pages)
{
    pyb_addr page = addr & ~(pyb_addr)(PYB_ELF_PAGE - 1);
    for (unsigned i = 0; mem && i < max_pages && page >= PYB_ELF_PAGE; i++, page -= PYB_ELF_PAGE) {
        if (pyb_is_ehdr(mem, page))
            return page;
        if (pyb_ctx_check(mem->ctx, NULL) != 0)
            break;
    }
    return 0;
}
