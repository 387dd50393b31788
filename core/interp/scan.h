// SPDX-License-Identifier: Apache-2.0
/** Looking through a module's own memory in large blocks: for a version text, the cookie, an interpreter head. Every range is bounded. */
#ifndef PYB_INTERP_SCAN_H
#define PYB_INTERP_SCAN_H
#include "symbols/modules.h"

#define PYB_SCAN_BLOCK (256u << 10)
#define PYB_SCAN_MAX (64u << 20) // bytes of one range

struct pyb_span { pyb_addr start, end; };

/**
 * Writable memory of a module (.data, .bss), from its program headers, else from its mappings and the anonymous one that follows. The number
 * of spans, at most max.
 */
size_t pyb_scan_writable(struct pyb_target *t, struct pyb_module *mod, struct pyb_span *ret, size_t max);

/** A block: return true to stop. Blocks overlap, so that nothing of up to `overlap` bytes is missed; a match can be seen twice. */
typedef bool (*pyb_block_fn)(void *ctx, pyb_addr addr, const uint8_t *data, size_t len);

/** Blocks of target memory; holes are passed over. 0 (also when a part was unreadable) or why nothing can be read any more. *ret_stopped may be NULL. */
int pyb_scan_memory(struct pyb_target *t, struct pyb_span span, size_t overlap, pyb_block_fn each, void *ctx, bool *ret_stopped,
                    struct pyb_error *err);

/** Constants of the module: .rodata, else all segments that are not writable; from the file where there is one. */
int pyb_scan_constants(struct pyb_target *t, struct pyb_module *mod, size_t overlap, pyb_block_fn each, void *ctx, struct pyb_error *err);
#endif
