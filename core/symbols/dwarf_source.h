// SPDX-License-Identifier: Apache-2.0
/** Where a pc is in the source, by DWARF: its function, and the functions that the compiler inlined there. */
#ifndef PYB_SYMBOLS_DWARF_SOURCE_H
#define PYB_SYMBOLS_DWARF_SOURCE_H
#include "base/arena.h"
#include "symbols/modules.h"

#define PYB_MAX_INLINED 64u

struct pyb_source_frame {
    const char *name;  // as GDB shows it ("ns::Class::method"), or NULL
    const char *file;  // or NULL
    int32_t line;      // of pc, or of the call of the function inlined there; 0: unknown
    bool inlined;      // the last of the frames is not
};
/**
 * Frames at pc, innermost first; of a return address give the one before it. PYB_E_NOTFOUND: no debug
 * information covers pc. Strings are in the arena.
 */
int pyb_target_source(struct pyb_target *t, pyb_addr pc, struct pyb_arena *arena, struct pyb_source_frame **ret,
                      size_t *ret_n, struct pyb_error *err);
#endif
