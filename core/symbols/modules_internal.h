// SPDX-License-Identifier: Apache-2.0
/** What the module*.c files share. */
#ifndef PYB_SYMBOLS_MODULES_INTERNAL_H
#define PYB_SYMBOLS_MODULES_INTERNAL_H
#include "base/map.h"
#include "symbols/elf_internal.h"
#include "symbols/modules.h"

#define PYB_MAX_MAPPINGS (1u << 20)
#define PYB_MAX_MODULES 65536u
#define PYB_NO_MODULE UINT32_MAX

enum pyb_modules_source {
    PYB_MODULES_PID, PYB_MODULES_CORE, PYB_MODULES_DESCS, PYB_MODULES_LINK_MAP, PYB_MODULES_SAVED,
};

/** What a module needs for opening its file; parallel to the modules. */
struct pyb_module_file {
    const char *open_path;  // as /proc/PID/maps had it: the observer's root, the suffix " (deleted)" kept
    uint64_t inode;
    uint32_t dev_major, dev_minor;
    pyb_addr ehdr;          // where file offset 0 is mapped, 0: nowhere known
    bool verified;          // the file is known to be the one that is mapped
    int error;              // elf_state's code with what and why
    const char *why;
    const uint8_t *saved;   // of a recording: ELF parts
    size_t saved_len;
};

struct pyb_modules {
    struct pyb_ctx *ctx;
    enum pyb_modules_source source;
    struct pyb_arena arena;
    struct pyb_mapping *mappings;
    size_t n_mappings, cap_mappings;
    const char **paths;             // of the mappings, while the list is built
    struct pyb_module *modules;
    struct pyb_module_file *files;
    size_t n_modules, cap_modules;
    size_t executable;              // index, SIZE_MAX: unknown
    const char *exe;                // core: the caller's word for the executable's file
    int proc_fd;                    // PID: /proc/PID, which stays that process'
    bool cut;                       // a limit cut the list
    struct pyb_target opener;       // DESCS: for modules whose extent only their ELF tells
};

struct pyb_modules *pyb_modules_new(struct pyb_ctx *ctx, enum pyb_modules_source source);
int pyb_modules_add_mapping(struct pyb_modules *m, const struct pyb_mapping *mapping, const char *path,
                            struct pyb_error *err);
int pyb_modules_add(struct pyb_modules *m, const char *path, struct pyb_module **ret, struct pyb_error *err);
/**
 * Sorts the mappings and makes modules of those that have a file. `mem` (or NULL) tells two loads of one file
 * apart.
 */
int pyb_modules_assemble(struct pyb_modules *m, struct pyb_memory *mem, struct pyb_error *err);
/** Index of a module of m, SIZE_MAX: not of m. */
size_t pyb_modules_index(const struct pyb_modules *m, const struct pyb_module *mod);
/** pyb_module_elf() for a list that is not (yet) the target's. */
int pyb_module_open(struct pyb_target *t, struct pyb_modules *m, struct pyb_module *mod, struct pyb_elf **ret,
                    struct pyb_error *err);

/**
 * Load bias by comparing PT_LOADs with the module's mappings. PYB_E_UNSUPPORTED: mapped, but not as a
 * program.
 */
int pyb_module_bias(const struct pyb_modules *m, size_t index, const struct pyb_elf *elf, pyb_addr *ret);

/**
 * Opens a regular file and nothing else, for reading, without ever waiting on it. `root`: a directory fd that
 * symlinks may not leave, PYB_OPEN_PLAIN for a name that the user gave, PYB_OPEN_NO_LINKS for one that must
 * have no symlink (the kernel's names of mapped files have none: a target may have put one there since).
 * Returns the fd or a negative code.
 */
enum { PYB_OPEN_PLAIN = -1, PYB_OPEN_NO_LINKS = -2 };
int pyb_open_regular(int root, const char *path, struct pyb_error *err);

/** Does an ELF header lie there? */
bool pyb_is_ehdr(struct pyb_memory *mem, pyb_addr addr);
/** The nearest page at or below addr that begins with one, at most max_pages down; 0: none. */
pyb_addr pyb_ehdr_below(struct pyb_memory *mem, pyb_addr addr, unsigned max_pages);

/** A recording's ELF parts. */
int pyb_elf_save(struct pyb_elf *e, struct pyb_buf *ret);
int pyb_elf_open_saved(struct pyb_ctx *ctx, struct pyb_memory *mem, pyb_addr ehdr, const uint8_t *data,
                       size_t len, struct pyb_elf **ret,
                       struct pyb_error *err);
#endif
