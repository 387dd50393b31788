// SPDX-License-Identifier: Apache-2.0
/** Asks an ELF object everything that can be asked of one; what it answers must keep the contract. */
#ifndef PYB_TESTS_USE_ELF_H
#define PYB_TESTS_USE_ELF_H
#include <stdlib.h>
#include <string.h>

#include "symbols/elf_image.h"

static inline void require(bool condition)
{
    if (!condition)
        abort();
}

static inline void use_address(struct pyb_elf *e, uint64_t vaddr)
{
    uint64_t start, end;
    size_t n = 0;
    char buf[300];
    const char *name = pyb_elf_symbol_covering(e, vaddr, &start);
    require(!name || (start <= vaddr && strlen(name) > 0));
    if (pyb_elf_fde(e, vaddr, &start, &end) == 0)
        require(start <= vaddr && vaddr < end);
    if (pyb_elf_read(e, vaddr, buf, sizeof(buf), &n, NULL) == 0)
        require(n <= sizeof(buf));
    const char *again = pyb_elf_symbol_covering(e, vaddr, &start);
    require(again == name || (again && name && strcmp(again, name) == 0));
}

static inline void use_elf(struct pyb_elf *e)
{
    static const char *const names[] = {"_PyRuntime", "main", "a", "a_rather_long_name_of_a_function", "alpha", "beta", ""};
    struct pyb_elf_symbol s;
    struct pyb_elf_section section;
    size_t n;
    const uint8_t *id = pyb_elf_build_id(e, &n);
    require(id ? n > 0 && n <= 64 : n == 0);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        int rc = pyb_elf_symbol(e, names[i], &s);
        require(rc <= 0);
        if (rc == 0)
            use_address(e, s.value);
    }
    const char *soname = pyb_elf_soname(e);
    require(!soname || strlen(soname) > 0);
    require(pyb_elf_section(e, ".PyRuntime", &section) <= 0 && pyb_elf_section(e, ".text", &section) <= 0);
    const struct pyb_elf_segment *segments = pyb_elf_segments(e, &n);
    for (size_t i = 0; i < n && i < 4; i++) {
        use_address(e, segments[i].vaddr);
        use_address(e, segments[i].vaddr + segments[i].memsz / 2);
        use_address(e, segments[i].vaddr + segments[i].memsz - 1);
    }
}
#endif
