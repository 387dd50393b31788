// SPDX-License-Identifier: Apache-2.0
/** What the parts of the core reader share. Internal. */
#ifndef PYB_MEMORY_COREFILE_INTERNAL_H
#define PYB_MEMORY_COREFILE_INTERNAL_H
#include "memory/corefile.h"

struct pyb_core_load {
    pyb_addr start, end, file_end; // [start, file_end) is in the core file, [file_end, end) was left out
    uint64_t offset;               // of start, in the core file
};
struct pyb_core_file { // a mapped file that backs pages; each is held once
    int fd;
    uint64_t dev, ino, size;
};
struct pyb_core_backing {
    pyb_addr start, end;
    size_t file; // index into files
    uint64_t offset;
};
struct pyb_core {
    struct pyb_memory base;
    struct pyb_arena arena;
    int fd;
    uint64_t file_size;
    struct pyb_core_load *loads;       // sorted by start
    struct pyb_core_segment *segments; // the same, as the facts show them
    size_t n_loads;
    struct pyb_core_backing *backings; // sorted by start, disjoint
    size_t n_backings, cap_backings;
    struct pyb_core_file *files;
    size_t n_files, cap_files;
    struct pyb_core_facts facts;
};

/** A program header with its fields widened. */
struct pyb_core_phdr {
    uint32_t type, flags;
    uint64_t offset, vaddr, filesz, memsz;
};
/** Parses one PT_NOTE segment into the facts; called for each, in order. Bad notes end it with a remark in
 * facts.note. */
int pyb_core_read_notes(struct pyb_core *c, const struct pyb_core_phdr *ph, struct pyb_error *err);
/** Adds a remark to facts.note. */
void pyb_core_remark(struct pyb_core *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** pread until `len` bytes or the end; bytes read. */
size_t pyb_core_pread(int fd, void *buf, size_t len, uint64_t offset);
/** Bytes of a mapped file at `addr`, up to len and the backing's end; 0: none. */
size_t pyb_core_read_backing(const struct pyb_core *c, pyb_addr addr, void *buf, size_t len);
void pyb_core_close_backings(struct pyb_core *c);

/** Where an architecture keeps pc, sp and the thread pointer in elf_gregset_t. Register indexes; -1: not
 * there. */
struct pyb_core_regs {
    uint16_t machine;
    uint8_t elf_class, word; // word: bytes of a register
    int16_t n, pc, sp, tp;
};
const struct pyb_core_regs *pyb_core_regs(uint16_t machine, uint8_t ptr_size);

/**
 * When the file is compressed (.gz, .zst; .lz4, .xz, .bz2 are told apart): unpacks it into an unlinked
 * temporary file and puts that in *fd (the old one is closed). Other files are left as they are.
 * PYB_E_UNSUPPORTED with the command that unpacks, PYB_E_CORRUPT, PYB_E_LIMIT.
 */
int pyb_core_unpack(struct pyb_ctx *ctx, int *fd, const char *path, struct pyb_error *err);
#endif
