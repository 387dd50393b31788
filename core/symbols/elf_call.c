// SPDX-License-Identifier: Apache-2.0
#include "symbols/elf_call.h"

#include <elf.h>

#include "symbols/elf_internal.h"

// `call *disp32(base, index, 8)` is the only other call with such a byte in that place: ff 94 e8.
bool pyb_elf_called(struct pyb_elf *e, uint64_t return_address, uint64_t *ret)
{
    uint8_t code[7];
    if (e->machine != EM_X86_64 || e->ptr_size != 8 || return_address < sizeof(code) ||
        !pyb_elf_read_all(e, return_address - sizeof(code), code, sizeof(code)) || code[2] != 0xe8 ||
        (code[0] == 0xff && code[1] == 0x94))
        return false;
    struct pyb_bytes b = pyb_elf_bytes(e, code, sizeof(code));
    *ret = return_address + (uint64_t)pyb_get_int(&b, 3, 4);
    return true;
}
