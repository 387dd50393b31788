// SPDX-License-Identifier: Apache-2.0
/**
 * An ELF core as memory, plus what it says of itself. Kernel cores of any coredump_filter and gcore's; ELF32 and ELF64, either byte order; truncated ones as far as they go.
 *
 * Pages that the core left out are read from the mapped files when the caller backs a mapping with a file (whose build-id it has compared).
 * pread only, never mmap: a file that shrinks must not be a SIGBUS. .zst/.lz4/.gz: unpacked to an unlinked temporary file where zlib/zstd is built in,
 * else PYB_E_UNSUPPORTED with the exact command that unpacks it.
 */
#ifndef PYB_MEMORY_COREFILE_H
#define PYB_MEMORY_COREFILE_H
#include "base/arena.h"
#include "memory/memory.h"

struct pyb_core_mapping { // NT_FILE
    pyb_addr start, end;
    uint64_t file_offset; // bytes
    const char *path;
};
struct pyb_core_thread { // NT_PRSTATUS, in file order: the first is the one that crashed
    int32_t tid;
    int32_t signal;
    pyb_addr pc, sp, thread_pointer; // thread_pointer 0: unknown
    const uint8_t *regs;             // raw elf_gregset_t
    size_t regs_len;
};
struct pyb_core_facts {
    int32_t pid;
    const char *command;             // pr_psargs, or NULL
    const char *name;                // pr_fname
    const uint8_t *auxv; size_t auxv_len;
    pyb_addr at_phdr, at_entry, at_sysinfo_ehdr; uint32_t at_phnum;
    const struct pyb_core_mapping *mappings; size_t n_mappings;
    const struct pyb_core_thread *threads; size_t n_threads;
    const struct pyb_core_segment { pyb_addr start, end; uint64_t file_size; uint32_t flags; } *segments; size_t n_segments; // PT_LOAD
    const char *note;                // truncated, or NULL
};
int pyb_core_open(struct pyb_ctx *ctx, const char *path, struct pyb_memory **ret, struct pyb_error *err);
/** The same from an open file, which the reader then owns (also when opening fails); `path` is for messages. */
int pyb_core_open_fd(struct pyb_ctx *ctx, int fd, const char *path, struct pyb_memory **ret, struct pyb_error *err);
/** Valid as long as the memory. */
const struct pyb_core_facts *pyb_core_facts(struct pyb_memory *core);
/** From now on, bytes of [start, end) that the core lacks come from fd at `offset`. The fd is duplicated. */
int pyb_core_back(struct pyb_memory *core, pyb_addr start, pyb_addr end, int fd, uint64_t offset, struct pyb_error *err);
#endif
