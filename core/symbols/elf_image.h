// SPDX-License-Identifier: Apache-2.0
/**
 * One ELF object, from a file (pread of the parts that are needed) or from its image in target
 * memory (program headers and what PT_DYNAMIC points to). Addresses are the ELF's own virtual addresses; the
 * caller adds the load bias.
 */
#ifndef PYB_SYMBOLS_ELF_IMAGE_H
#define PYB_SYMBOLS_ELF_IMAGE_H
#include "base/arena.h"
#include "base/buf.h"
#include "memory/memory.h"

struct pyb_elf;
struct pyb_elf_segment { uint64_t vaddr, memsz, filesz, offset; uint32_t flags; }; // PT_LOAD
struct pyb_elf_symbol { uint64_t value, size; uint8_t type, bind; };

/** Takes the fd. Regular files only. */
int pyb_elf_open_fd(struct pyb_ctx *ctx, int fd, struct pyb_elf **ret, struct pyb_error *err);
int pyb_elf_open_memory(struct pyb_ctx *ctx, struct pyb_memory *mem, pyb_addr ehdr, struct pyb_elf **ret,
                        struct pyb_error *err);
/**
 * As pyb_elf_open_memory() where only the program headers are known (AT_PHDR) and no ELF header is mapped.
 */
int pyb_elf_open_phdrs(struct pyb_ctx *ctx, struct pyb_memory *mem, pyb_addr phdrs, uint16_t n, pyb_addr bias,
                       struct pyb_elf **ret,
                       struct pyb_error *err);
void pyb_elf_free(struct pyb_elf *e);

bool pyb_elf_is_file(const struct pyb_elf *e);
/** The file's descriptor (it stays the ELF's), or -1. */
int pyb_elf_fd(const struct pyb_elf *e);
/** Load bias of an image in memory; 0 for files. */
pyb_addr pyb_elf_memory_bias(const struct pyb_elf *e);
uint8_t pyb_elf_ptr_size(const struct pyb_elf *e);
uint16_t pyb_elf_machine(const struct pyb_elf *e);
/** ET_EXEC, ET_DYN, ... */
uint16_t pyb_elf_type(const struct pyb_elf *e);
const struct pyb_elf_segment *pyb_elf_segments(const struct pyb_elf *e, size_t *ret_n);
/** Build id bytes; NULL and 0 when none. */
const uint8_t *pyb_elf_build_id(struct pyb_elf *e, size_t *ret_len);
const char *pyb_elf_soname(struct pyb_elf *e);
/** Value of DT_DEBUG: in memory the address of the dynamic linker's r_debug, else 0. */
pyb_addr pyb_elf_dt_debug(struct pyb_elf *e);
/**
 * Is a file the object whose ELF header lies at `ehdr` of the target's memory? By build-id where both have
 * one, else by the headers' bytes (and the rest of their page when nothing may have written to it).
 */
enum pyb_same { PYB_SAME, PYB_DIFFERENT, PYB_SAME_UNKNOWN };
enum pyb_same pyb_elf_compare(struct pyb_elf *file, struct pyb_memory *mem, pyb_addr ehdr);
/**
 * .dynsym by its hash table (GNU, SysV), then .symtab, then .gnu_debugdata's .symtab (one pass each, cached).
 * Defined symbols only.
 */
int pyb_elf_symbol(struct pyb_elf *e, const char *name, struct pyb_elf_symbol *ret);
/**
 * Symbol that starts exactly at, or whose size covers, vaddr: the innermost of them; *ret_start its value.
 * NULL when none. Functions only.
 */
const char *pyb_elf_symbol_covering(struct pyb_elf *e, uint64_t vaddr, uint64_t *ret_start);
/** Has it a .symtab of its own? Stripped files have none. */
bool pyb_elf_has_symtab(struct pyb_elf *e);
/** PYB_E_NOTFOUND when there is no such section (or no section headers). */
struct pyb_elf_section { uint64_t addr, offset, size; uint32_t type; uint64_t flags; };
int pyb_elf_section(struct pyb_elf *e, const char *name, struct pyb_elf_section *ret);
/** Bytes of the file (not memory) at an ELF virtual address, e.g. .rodata; short reads as pyb_read_some. */
int pyb_elf_read(struct pyb_elf *e, uint64_t vaddr, void *buf, size_t len, size_t *ret,
                 struct pyb_error *err);
/**
 * Extent of the FDE that covers vaddr: binary search of .eh_frame_hdr, else .debug_frame/.eh_frame collected
 * once. PYB_E_NOTFOUND when none.
 */
int pyb_elf_fde(struct pyb_elf *e, uint64_t vaddr, uint64_t *ret_start, uint64_t *ret_end);
/** The call frame information that covers an address: one FDE and its CIE, as bytes. */
struct pyb_elf_cfi {
    uint64_t start, end;          // what the FDE covers
    bool eh;                      // of .eh_frame, else of .debug_frame
    uint64_t fde_vaddr;           // eh: what its pc-relative pointers are relative to
    const uint8_t *fde, *cie;
    size_t fde_len, cie_len;
};
#define PYB_ELF_MAX_CFI 65536u    // bytes of an FDE or CIE
/** As pyb_elf_fde(); the bytes are in the arena. PYB_E_CORRUPT: makes no sense, or is longer than the bound. */
int pyb_elf_cfi(struct pyb_elf *e, uint64_t vaddr, struct pyb_arena *arena, struct pyb_elf_cfi *ret);
#endif
