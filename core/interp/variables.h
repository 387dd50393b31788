// SPDX-License-Identifier: Apache-2.0
/**
 * The variables of one frame as the interpreter stores them: names and objects, nothing is shown yet. Private
 * to locals*.c.
 *
 * Mirrors PyFrame_FastToLocalsWithError in Objects/frameobject.c (2.7 to 3.10) and _PyFrame_GetLocals (3.11
 * on).
 */
#ifndef PYB_INTERP_VARIABLES_H
#define PYB_INTERP_VARIABLES_H
#include "interp/locals.h"
#include "interp/object.h"

#define PYB_MAX_VARIABLES 16384 // fast locals of one frame; more is PYB_E_CORRUPT

struct pyb_variable {
    pyb_addr name;       // a str object
    pyb_addr value;      // the object, cells dereferenced; 0: unbound
    bool arg, cell;
    bool hidden;         // of an inlined comprehension (3.12+): there only while it runs
    bool is_int;         // 3.14+: no object, `number` itself lies in the slot
    int64_t number;
};
/** Arguments, locals, cells, free variables, in this order. */
int pyb_variables_read(struct pyb_python *py, const struct pyb_pyframe *frame, const struct pyb_code *code,
                       struct pyb_arena *arena,
                       struct pyb_variable **ret, uint32_t *ret_n, struct pyb_error *err);
/** Members of the frame, whichever struct it is; 0 when NULL. */
int pyb_frame_namespaces(struct pyb_python *py, const struct pyb_pyframe *frame, pyb_addr *ret_locals,
                         pyb_addr *ret_globals, pyb_addr *ret_builtins, struct pyb_error *err);
/** False for module and class bodies, whose variables live in a dict. */
bool pyb_code_is_optimized(const struct pyb_code *code);
#endif
