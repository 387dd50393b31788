// SPDX-License-Identifier: Apache-2.0
// From a version to the rows of the layout table that may be meant, refined by what the target publishes.
#include <stdio.h>
#include <elf.h>
#include <string.h>

#include "base/error.h"
#include "interp/debug_offsets.h"
#include "interp/find.h"

static bool already(const struct pyb_layout *const *rows, size_t n, const struct pyb_layout *row)
{
    for (size_t i = 0; i < n; i++) {
        if (rows[i] == row)
            return true;
    }
    return false;
}

// From 3.13 on. What does not make sense is not used, and said.
static void refine(struct pyb_target *t, pyb_addr runtime, const struct pyb_layout *row, struct pyb_layout_choice *ret)
{
    struct pyb_error err = {0};
    if (pyb_debug_offsets_apply(t->mem, runtime, row, &ret->layout, &err) == 0)
        return;
    ret->layout = *row;
    (void)snprintf(ret->note, sizeof(ret->note), "published offsets not used: %.160s", err.what);
}

size_t pyb_find_layouts(struct pyb_target *t, const struct pyb_version *v, pyb_addr runtime, struct pyb_layout_choice *ret, size_t max,
                        struct pyb_error *err)
{
    // Stated by the module's names, symbols or published offsets first; then a debug build that does not say so, and the reverse.
    const unsigned abi = v->abi | (t->mem->machine == EM_AARCH64 ? PYB_LAYOUT_AARCH64 : 0);
    const unsigned flags[] = {abi, abi ^ PYB_LAYOUT_DEBUG, abi | PYB_LAYOUT_DEBUG | PYB_LAYOUT_TRACE_REFS,
                              abi | PYB_LAYOUT_TRACE_REFS, abi ^ PYB_LAYOUT_FREETHREADED};
    const struct pyb_layout *rows[sizeof(flags) / sizeof(*flags)];
    size_t n = 0;
    for (size_t i = 0; i < sizeof(flags) / sizeof(*flags) && n < max; i++) {
        bool exact = false;
        const struct pyb_layout *row =
            pyb_layout_find(v->major, v->minor, v->micro, t->mem->ptr_size, t->mem->big_endian, flags[i], &exact);
        if (!row || already(rows, n, row))
            continue;
        rows[n] = row;
        ret[n] = (struct pyb_layout_choice){.layout = *row, .exact = exact};
        if (runtime && (v->major > 3 || (v->major == 3 && v->minor >= 13)))
            refine(t, runtime, row, &ret[n]);
        n++;
    }
    if (n == 0)
        pyb_fail(err, PYB_E_UNSUPPORTED, "no layout for Python %d.%d on a %d-bit %s-endian machine", v->major, v->minor,
                 t->mem->ptr_size * 8, t->mem->big_endian ? "big" : "little");
    return n;
}
