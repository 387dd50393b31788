// SPDX-License-Identifier: Apache-2.0
// The files that `pybraid ps` looks at: executables and libraries of anybody's processes.
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ps_elf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    bool found = elf_is_interpreter(fd);
    // The same file gives the same answer.
    if (elf_is_interpreter(fd) != found || (found && size < 64))
        abort();
    (void)close(fd);
    return 0;
}
