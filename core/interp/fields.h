// SPDX-License-Identifier: Apache-2.0
/** Several struct members of the target by one vectored read: a list walk costs one system call for each item, not one for each member. */
#ifndef PYB_INTERP_FIELDS_H
#define PYB_INTERP_FIELDS_H
#include "interp/layout.h"
#include "memory/memory.h"

#define PYB_WANT_MAX 32

struct pyb_want {
    pyb_addr base;
    struct pyb_field field;
    uint64_t value; // out, zero-extended
    bool ok;        // out: false when the layout has no such member, or it cannot be read
};
/** At most PYB_WANT_MAX. Missing members are no error: `ok` says so. Negative only when nothing can be read any more. */
int pyb_wants_read(struct pyb_memory *m, struct pyb_want *wants, size_t n, struct pyb_error *err);
/** Codes after which no further read can succeed; any other failure is about one place only. */
static inline bool pyb_is_final(int rc)
{
    return rc == PYB_E_ABORTED || rc == PYB_E_LIMIT || rc == PYB_E_GONE || rc == PYB_E_PERM || rc == PYB_E_NOMEM;
}
/** base + offset, or 0 when the member is absent or the sum leaves the address space. */
pyb_addr pyb_field_at(pyb_addr base, struct pyb_field f);
#endif
