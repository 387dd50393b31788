// SPDX-License-Identifier: Apache-2.0
#include <elf.h>
#include <string.h>

#include "symbols/elf_internal.h"

#define COMPARED 2048u // bytes from the start of the file, when none of them may have been written to

static enum pyb_same compare_ids(struct pyb_elf *file, struct pyb_memory *mem, pyb_addr ehdr)
{
    size_t n, m;
    const uint8_t *id = pyb_elf_build_id(file, &n);
    struct pyb_elf *image;
    if (!id || pyb_elf_open_memory(file->ctx, mem, ehdr, &image, NULL) != 0)
        return PYB_SAME_UNKNOWN;
    const uint8_t *other = pyb_elf_build_id(image, &m);
    enum pyb_same same = !other ? PYB_SAME_UNKNOWN : n == m && memcmp(id, other,
                                                                      n) == 0 ? PYB_SAME : PYB_DIFFERENT;
    pyb_elf_free(image);
    return same;
}

// patchelf puts .dynamic, which the dynamic linker writes to, right behind the program headers.
static size_t unwritten_bytes(const struct pyb_elf *file)
{
    for (size_t i = 0; i < file->n_segments; i++) {
        const struct pyb_elf_segment *s = &file->segments[i];
        if (s->offset == 0 && !(s->flags & PF_W) && s->filesz > file->phdr_end)
            return s->filesz < COMPARED ? (size_t)s->filesz : COMPARED;
    }
    return file->phdr_end < COMPARED ? (size_t)file->phdr_end : COMPARED;
}

enum pyb_same pyb_elf_compare(struct pyb_elf *file, struct pyb_memory *mem, pyb_addr ehdr)
{
    enum pyb_same same = compare_ids(file, mem, ehdr);
    if (same != PYB_SAME_UNKNOWN)
        return same;
    uint8_t there[COMPARED], here[COMPARED];
    size_t want = unwritten_bytes(file), got = 0;
    if (pyb_read_some(mem, ehdr, there, want, &got, NULL) != 0 || got < sizeof(Elf32_Ehdr))
        return PYB_SAME_UNKNOWN;
    if (pyb_elf_pread(file, 0, here, got) != got || memcmp(here, there, got) != 0)
        return PYB_DIFFERENT;
    return got == want ? PYB_SAME : PYB_SAME_UNKNOWN;
}
