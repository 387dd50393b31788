// SPDX-License-Identifier: Apache-2.0
/**
 * The mapped files of a target: which module an address belongs to, its load bias, its ELF file.
 *
 * Sources: /proc/PID/maps (live), NT_FILE (core), a front end's list, or the link map (AT_PHDR, DT_DEBUG,
 * r_debug) where there is nothing else. Files are opened lazily and verified: /proc/PID/map_files/START-END
 * first (deleted and replaced files too), else openat2(RESOLVE_IN_ROOT) under /proc/PID/root, O_NONBLOCK,
 * regular files only, device and inode compared with the mapping. Where no file can be had (remote targets,
 * deleted files in cores), the module's ELF image is read out of target memory: program headers, dynamic
 * symbols, .eh_frame_hdr.
 */
#ifndef PYB_SYMBOLS_MODULES_H
#define PYB_SYMBOLS_MODULES_H
#include "symbols/elf_image.h"
#include "symbols/target.h"

struct pyb_mapping {
    pyb_addr start, end;
    uint64_t offset;      // in the file, bytes
    bool r, w, x, is_private;
    uint32_t module;      // index, UINT32_MAX: anonymous
    uint64_t inode; uint32_t dev_major, dev_minor;
};
struct pyb_module {
    const char *path;       // as the target names it, without " (deleted)"
    const char *local_path; // front end's word for it, or NULL
    bool deleted;
    pyb_addr start, end;    // lowest and highest mapped address
    pyb_addr bias;          // valid when bias_known (after pyb_module_elf)
    bool bias_known;
    int elf_state;          // 0 not tried, 1 open, <0 the error
    struct pyb_elf *elf;
    const char *elf_note;   // "file replaced since it was mapped: image read from memory", ... or NULL
    // in the sorted list; a module's mappings need not be contiguous: scan
    uint32_t first_mapping, n_mappings;
};
struct pyb_modules;

int pyb_modules_from_pid(struct pyb_target *t, struct pyb_modules **ret, struct pyb_error *err);
struct pyb_core_facts;
int pyb_modules_from_core(struct pyb_target *t, const struct pyb_core_facts *facts, const char *exe,
                          struct pyb_modules **ret, struct pyb_error *err);
int pyb_modules_from_descs(struct pyb_target *t, const struct pyb_module_desc *d, size_t n,
                           struct pyb_modules **ret, struct pyb_error *err);
int pyb_modules_from_link_map(struct pyb_target *t, pyb_addr at_phdr, uint32_t at_phnum,
                              struct pyb_modules **ret, struct pyb_error *err);
/**
 * For recordings: modules as one blob, and back. ELF parts that lookups touched are in target memory by then
 * or in "elf:" blobs.
 */
int pyb_modules_save(struct pyb_modules *m, struct pyb_buf *ret);
int pyb_modules_from_saved(struct pyb_target *t, const void *data, size_t len, struct pyb_modules **ret,
                           struct pyb_error *err);
void pyb_modules_free(struct pyb_modules *m);

size_t pyb_modules_count(const struct pyb_modules *m);
struct pyb_module *pyb_modules_at(struct pyb_modules *m, size_t index);
/** The program itself, or NULL when that is unknown. */
struct pyb_module *pyb_modules_executable(struct pyb_modules *m);
/** The list ended early: more mappings or files than the limits allow. */
bool pyb_modules_cut(const struct pyb_modules *m);
/**
 * The target has run. Reads a live process' list again; *ret_changed tells whether files came or went: only
 * then t->modules is another list (open ELFs move to it; pointers to modules do not survive). Other sources:
 * nothing to do.
 */
int pyb_modules_refresh(struct pyb_target *t, bool *ret_changed, struct pyb_error *err);
/**
 * A new list of the same target takes over what `old` has open, so that nothing is opened twice. `old` may be
 * freed then.
 */
void pyb_modules_adopt(struct pyb_modules *m, struct pyb_modules *old);
/** The module that has `addr` mapped, or whose open ELF has its .bss there; or NULL. */
struct pyb_module *pyb_modules_find(struct pyb_modules *m, pyb_addr addr);
/**
 * The mapping that holds addr, or NULL (a front end without maps has none: then all of a module counts as
 * mapped).
 */
const struct pyb_mapping *pyb_modules_mapping(const struct pyb_modules *m, pyb_addr addr);
const struct pyb_mapping *pyb_modules_mappings(const struct pyb_modules *m, size_t *ret_n);
/** Opens the module's ELF on first use. 0 and *ret, or why not. *ret belongs to the module. */
int pyb_module_elf(struct pyb_target *t, struct pyb_module *mod, struct pyb_elf **ret, struct pyb_error *err);
/**
 * After a core's modules are open: backs the core's missing file pages with files whose build-id matched.
 * Returns how many modules lack a usable file.
 */
int pyb_modules_back_core(struct pyb_target *t, struct pyb_error *err);

/**
 * Definitions of a global symbol, at most `max`; returns how many. Modules are opened lazily: first the
 * executable and what is called libpython*, the others only when those have none, the front end's answer only
 * when no file has one. Verified to be defined (not SHN_UNDEF).
 */
// module NULL: the front end's word, in no module
struct pyb_symbol_hit { struct pyb_module *module; pyb_addr addr; uint64_t size; };
size_t pyb_target_symbol(struct pyb_target *t, const char *name, struct pyb_symbol_hit *ret, size_t max);
/**
 * The same one at a time, through all stages: for callers that check each candidate and go on when it does
 * not hold.
 *     struct pyb_symbol_search s = {.name = "_PyRuntime"};
 *     while (pyb_symbol_next(t, &s, &hit)) ...
 */
struct pyb_symbol_search { const char *name; int stage; size_t next; pyb_addr last; };
bool pyb_symbol_next(struct pyb_target *t, struct pyb_symbol_search *s, struct pyb_symbol_hit *ret);

/**
 * Name and extent of the function at pc by the rules of the design: a symbol names pc only if it starts the
 * FDE that covers pc, or its size covers pc.
 */
struct pyb_function {
    struct pyb_module *module;  // or NULL
    uint64_t offset;            // pc - bias
    pyb_addr fde_start, fde_end;// 0, 0: no FDE
    const char *symbol;         // raw, or NULL; lives as long as the module
    pyb_addr symbol_start;
};
int pyb_target_function(struct pyb_target *t, pyb_addr pc, struct pyb_function *ret);
#endif
