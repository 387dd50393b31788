// SPDX-License-Identifier: Apache-2.0
/**
 * The interpreter inside a target: which CPython, where, with which layout; caches of what does not change while code runs.
 */
#ifndef PYB_INTERP_PYTHON_H
#define PYB_INTERP_PYTHON_H
#include "base/arena.h"
#include "base/map.h"
#include "interp/layout.h"
#include "symbols/modules.h"

struct pyb_python {
    struct pyb_target *target;
    struct pyb_layout layout;     // own copy: published offsets may override the table's
    bool layout_exact;
    const char *layout_note;
    int major, minor, micro;
    const char *version;          // "3.15.0rc1"
    bool free_threaded, debug_build;
    pyb_addr runtime;             // _PyRuntime (3.7+), else 0
    pyb_addr interp_head_at;      // address of the pointer to the first interpreter state
    pyb_addr other_heads[4];      // 2.7-3.6 without a symbol: other variables that point at interpreters (runtime.c chooses)
    uint32_t n_other_heads;
    bool initialized;             // an interpreter existed when it was found; `note` says what is the matter otherwise
    const char *note;             // NULL, or a remark about the whole interpreter
    const char *remark;           // layout_note and note, or NULL: neither
    struct pyb_module *module;    // that holds the interpreter
    const char *found_by;
    uint32_t n_candidates;
    struct pyb_arena arena;       // strings above and the caches
    struct pyb_arena code_arena;  // of the code objects: emptied with them (pyb_codes_trim)
    struct pyb_map codes;         // code object address -> struct pyb_code * (code.h)
    void *recent_codes[64];       // of these, by some bits of the address (code.c)
    struct pyb_map types;         // type object address -> struct (repr.c)
    void *native_names;           // stack/native_name.c: built lazily
    void (*native_names_free)(struct pyb_python *py);
    void *globals_cache;          // reserved for gil.c
    uint32_t generation;          // pyb_python_invalidate() adds one: what carries another number is revalidated
    uint64_t texts_round;         // not 0: what a code object's pointers lead to is compared once in a round
    pyb_addr code_type;           // PyCode_Type, once seen (code.c); 0 at first
};

/**
 * Finds and validates the interpreter (see docs/ARCHITECTURE.md: symbol, section .PyRuntime, cookie scan, scan of .bss), determines the version
 * from two agreeing sources, picks the layout, applies the published offsets (3.13+).
 *
 * Errors: NOTPYTHON (says what was looked for; PyPy by name), UNSUPPORTED (says what did not fit), memory errors.
 * Never runs the target's binary. Mirrors Python/pystate.c and Include/internal/pycore_runtime.h of each version.
 */
int pyb_python_find(struct pyb_target *t, struct pyb_python **ret, struct pyb_error *err);
void pyb_python_free(struct pyb_python *py);
/** The target ran: code objects must be revalidated, everything else read again. */
void pyb_python_invalidate(struct pyb_python *py);

// Reading one field of a struct in the target. Each fails with PYB_E_UNSUPPORTED when the layout has no such field.
int pyb_field_ptr(struct pyb_python *py, pyb_addr base, struct pyb_field f, pyb_addr *ret, struct pyb_error *err);
int pyb_field_uint(struct pyb_python *py, pyb_addr base, struct pyb_field f, uint64_t *ret, struct pyb_error *err);
int pyb_field_int(struct pyb_python *py, pyb_addr base, struct pyb_field f, int64_t *ret, struct pyb_error *err); // sign-extended by width
static inline bool pyb_has(struct pyb_field f) { return f.offset != PYB_ABSENT; }
#endif
