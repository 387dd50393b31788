// SPDX-License-Identifier: Apache-2.0
/**
 * Layouts that no CPython has: every member a test needs, one after another. What reads through a layout must
 * get along with any; that the real rows are right is for tests/layout to show.
 */
#ifndef PYB_TESTS_MADE_LAYOUT_H
#define PYB_TESTS_MADE_LAYOUT_H
#include "interp/layout.h"

// Kept apart and unsanitized: with a thousand assignments inlined everywhere clang takes minutes and gigabytes.
__attribute__((noinline, unused, no_sanitize("address", "undefined")))
static struct pyb_layout made_layout_nothing(unsigned ptr_size, bool big_endian)
{
    struct pyb_layout l = {.ptr_size = ptr_size, .big_endian = big_endian, .name = "made"};
#define F(group, name, type, path) l.group##_##name = (struct pyb_field){PYB_ABSENT, 0};
#define S(group, type)
#define B(group, name, type, path) l.group##_##name = (struct pyb_bits){PYB_ABSENT, 0, 0, 0};
#define K(name, expression) l.name = PYB_ABSENT;
#define R(name) l.name = 0;
#include "interp/layout_fields.def"
#undef F
#undef S
#undef B
#undef K
#undef R
    return l;
}

// The next member of a struct of which `at` bytes are laid out.
static inline struct pyb_field made_next(uint32_t *at, uint32_t width)
{
    *at = (*at + width - 1) & ~(width - 1);
    struct pyb_field f = {(int32_t)*at, width};
    *at += width;
    return f;
}

static inline void made_layout_objects(struct pyb_layout *l)
{
    uint32_t p = l->ptr_size, at = 0;
    made_next(&at, p);
    l->obj_type = made_next(&at, p);
    l->obj_size = at;
    uint32_t var = at;
    l->var_ob_size = made_next(&var, p);
    l->bytes_ob_size = l->var_ob_size;
    l->bytes_data = made_next(&var, 1);
    l->bytes_size = var + 7;
    at = l->obj_size;
    l->type_name = made_next(&at, p);
    l->type_flags = made_next(&at, p);
    l->type_size = at;
}

static inline void made_layout_strings(struct pyb_layout *l, enum pyb_unicode_model model, unsigned unit)
{
    uint32_t p = l->ptr_size, at = l->obj_size;
    l->unicode_model = model;
    l->unicode_unit = unit;
    if (model == PYB_UNICODE_27) {
        l->unicode_length = made_next(&at, p);
        l->unicode_str = made_next(&at, p);
        l->unicode_size = at;
        return;
    }
    l->ascii_length = made_next(&at, p);
    struct pyb_field state = made_next(&at, 4);
    l->ascii_kind = (struct pyb_bits){state.offset, 4, 2, 3};
    l->ascii_compact = (struct pyb_bits){state.offset, 4, 5, 1};
    l->ascii_ascii = (struct pyb_bits){state.offset, 4, 6, 1};
    if (model == PYB_UNICODE_33) {
        l->ascii_ready = (struct pyb_bits){state.offset, 4, 7, 1};
        l->ascii_wstr = made_next(&at, p);
    }
    l->ascii_size = at = (at + p - 1) & ~(p - 1);
    if (model == PYB_UNICODE_33)
        l->compact_wstr_length = made_next(&at, p);
    l->compact_utf8 = made_next(&at, p);
    l->compact_size = at;
    l->unicode_data = made_next(&at, p);
    l->unicode_size = at;
}

static inline void made_layout_codes(struct pyb_layout *l, enum pyb_line_table table)
{
    uint32_t p = l->ptr_size, at = l->obj_size;
    l->line_table = table;
    l->code_unit_size = table == PYB_LNOTAB_27 ? 1 : 2;
    bool inline_code = table == PYB_LOCATIONS_311;
    if (inline_code)
        l->code_ob_size = made_next(&at, p);
    l->code_flags = made_next(&at, 4);
    l->code_firstlineno = made_next(&at, 4);
    l->code_name = made_next(&at, p);
    l->code_filename = made_next(&at, p);
    *(table >= PYB_LINETABLE_310 ? &l->code_linetable : &l->code_lnotab) = made_next(&at, p);
    if (inline_code) {
        l->code_qualname = made_next(&at, p);
        l->code_version = made_next(&at, 4);
        l->code_firsttraceable = made_next(&at, 4);
        l->code_tlbc = made_next(&at, p);
        l->code_code_adaptive = made_next(&at, 1);
    } else {
        l->code_code = made_next(&at, p);
    }
    l->code_size = (at + 7) & ~7u;
    at = 0;
    l->codearray_count = made_next(&at, p);
    l->codearray_entries = made_next(&at, p);
}

static inline void made_layout_frames(struct pyb_layout *l, enum pyb_walker walker)
{
    uint32_t p = l->ptr_size, at = l->obj_size;
    l->walker = walker;
    if (walker == PYB_WALKER_FRAMEOBJECT) {
        l->frame_back = made_next(&at, p);
        l->frame_code = made_next(&at, p);
        l->frame_gen = made_next(&at, p);
        l->frame_lasti = made_next(&at, 4);
        l->frame_size = at;
        l->lasti_scale = 1;
        return;
    }
    bool previous = walker == PYB_WALKER_CFRAME;
    at = 0;
    l->iframe_executable = made_next(&at, p);
    l->iframe_previous = made_next(&at, p);
    *(previous ? &l->iframe_prev_instr : &l->iframe_instr_ptr) = made_next(&at, p);
    l->iframe_tlbc_index = made_next(&at, 4);
    l->iframe_owner = made_next(&at, 1);
    l->instr_is_previous = previous;
    l->owner_thread = 0;
    l->owner_generator = 1;
    l->owner_frame_object = 2;
    at = 0;
    l->cframe_current_frame = made_next(&at, p);
    l->cframe_previous = made_next(&at, p);
    l->cframe_size = at;
    at = 0;
    l->chunk_previous = made_next(&at, p);
    l->chunk_length = made_next(&at, p);
    at = 0;
    l->tstate_datastack_chunk = made_next(&at, p);
    l->tstate_datastack_top = made_next(&at, p);
    l->tstate_current_executor = made_next(&at, p);
    l->tstateimpl_base_frame = made_next(&at, p);
    l->tstate_size = at;
    l->tstateimpl_size = at + 64;
}
#endif
