// SPDX-License-Identifier: Apache-2.0
/**
 * The C functions in a type's slots, by the names that Python gives them. Mirrors slotdefs[] in
 * Objects/typeobject.c.
 */
#ifndef PYB_STACK_SLOTS_H
#define PYB_STACK_SLOTS_H
#include "interp/object.h"

typedef void pyb_slot_fn(void *ctx, const char *owner, const char *slot, pyb_addr function,
                         bool python_class);
/** Each slot that the type does not merely inherit from its base. What cannot be read is left out. */
void pyb_slots_each(struct pyb_python *py, const struct pyb_type *t, bool python_class, pyb_slot_fn *each,
                    void *ctx);
#endif
