// SPDX-License-Identifier: Apache-2.0
// An ELF file: headers, sections, symbol tables, hash tables, .gnu_debugdata, call frame information.
#include <sys/mman.h>
#include <unistd.h>

#include "use_elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int file = -1;
    if (file < 0)
        file = memfd_create("fuzz", MFD_CLOEXEC);
    require(file >= 0 && ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size);
    struct pyb_ctx ctx;
    pyb_ctx_init(&ctx, NULL);
    pyb_ctx_begin(&ctx);
    struct pyb_elf *e;
    if (pyb_elf_open_fd(&ctx, dup(file), &e, NULL) == 0) {
        use_elf(e);
        pyb_elf_free(e);
    }
    return 0;
}
