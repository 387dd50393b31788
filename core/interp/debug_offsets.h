// SPDX-License-Identifier: Apache-2.0
/**
 * What a target says of its own structs: `_Py_DebugOffsets`, at the start of _PyRuntime from 3.13 on.
 *
 * The published offsets take precedence over the table's, because patch releases, platforms and build options move
 * members; but they are the target's words and are believed only if they make sense. Mirrors
 * Include/internal/pycore_debug_offsets.h (3.14 on; pycore_runtime.h in 3.13); which of them fills which column is in
 * layout_debug_offsets.def, where each lies in layout_debug_offsets.inc.
 */
#ifndef PYB_INTERP_DEBUG_OFFSETS_H
#define PYB_INTERP_DEBUG_OFFSETS_H

#include "interp/layout.h"
#include "memory/memory.h"

/**
 * *ret is the layout of the interpreter whose _PyRuntime is at `runtime`: the table's row for the version and for the
 * free-threaded flag that the target states (base gives the expected version and the other ABI flags), with every
 * published offset and size in place of the row's. `verified` becomes PYB_LAYOUT_TARGET.
 *
 * Where a published member is not where the row has it, the row describes another build: members of that struct that
 * are not published and lie behind the last one that agrees become absent rather than wrong.
 *
 * Checked: the cookie; the version, major and minor as base's; a free-threaded flag of 0 or 1; sizes within bounds;
 * every member inside its struct and, if wider than a byte, aligned as far as 32-bit machines align.
 *
 * Errors: PYB_E_UNSUPPORTED (before 3.13, or newer than the tables), PYB_E_CORRUPT (says which cell does not fit),
 * PYB_E_FAULT. Then *ret is a plain copy of base: the caller may go on with it.
 */
int pyb_debug_offsets_apply(struct pyb_memory *mem, pyb_addr runtime, const struct pyb_layout *base,
                            struct pyb_layout *ret, struct pyb_error *err);

#endif
