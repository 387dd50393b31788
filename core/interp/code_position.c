// SPDX-License-Identifier: Apache-2.0
// Line and column of an instruction: the code object's table, read when first asked for.
#include "base/error.h"
#include "interp/code.h"
#include "interp/code_entry.h"

#define TABLE_MAX ((uint64_t)64 << 20)

static int read_lines(struct pyb_python *py, struct code_entry *e, struct pyb_error *err)
{
    int code = pyb_raw_keep(py, e->code.id_linetable, true, TABLE_MAX, &e->raw_lines, err);
    if (code)
        return code;
    e->code.linetable = e->raw_lines.data;
    e->code.linetable_len = (size_t)e->raw_lines.length;
    return 0;
}

// Once for each stop, whether it works or not.
static int need_lines(struct pyb_python *py, struct code_entry *e, struct pyb_error *err)
{
    if (e->code.linetable)
        return 0;
    if (e->lines_failed && e->lines_generation == py->generation)
        return pyb_fail(err, e->lines_failed, "the line table at 0x%llx cannot be read",
                        (unsigned long long)e->code.id_linetable);
    e->lines_failed = read_lines(py, e, err);
    e->lines_generation = py->generation;
    return e->lines_failed;
}

static int decode(const struct pyb_layout *l, const struct pyb_code *c, int32_t lasti,
                  struct pyb_position *ret, struct pyb_error *err)
{
    switch (l->line_table) {
    case PYB_LNOTAB_27:
    case PYB_LNOTAB_36:
        pyb_lines_lnotab(c->linetable, c->linetable_len, c->firstlineno, lasti,
                         l->line_table == PYB_LNOTAB_36, ret);
        return 0;
    case PYB_LINETABLE_310:
        pyb_lines_linetable310(c->linetable, c->linetable_len, c->firstlineno, lasti, ret);
        return 0;
    case PYB_LOCATIONS_311:
        pyb_lines_locations(c->linetable, c->linetable_len, c->firstlineno, lasti, ret);
        return 0;
    default:
        return pyb_fail(err, PYB_E_UNSUPPORTED, "the layout %s has no known line table", l->name);
    }
}

int pyb_code_position(struct pyb_python *py, const struct pyb_code *code, int32_t lasti,
                      struct pyb_position *ret, struct pyb_error *err)
{
    struct code_entry *e = (struct code_entry *)code; // py's own: it gave the pointer out as const
    *ret = (struct pyb_position){-1, -1, -1, -1};
    if (lasti < 0) {
        ret->line = code->firstlineno;
        return 0;
    }
    for (unsigned i = 0; i < e->n_known; i++)
        if (e->known[i].lasti == lasti) {
            *ret = e->known[i].at;
            return 0;
        }
    int failed = need_lines(py, e, err);
    if (!failed)
        failed = decode(&py->layout, code, lasti, ret, err);
    if (failed)
        return failed;
    e->known[e->next_known] = (struct known_position){.lasti = lasti, .at = *ret};
    e->next_known = (uint8_t)((e->next_known + 1) % KNOWN_POSITIONS);
    if (e->n_known < KNOWN_POSITIONS)
        e->n_known++;
    return 0;
}
