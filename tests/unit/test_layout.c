// SPDX-License-Identifier: Apache-2.0
// The layout table: which row is chosen, and that no row contradicts itself. That the rows are true: tests/layout/check.py.
#include "interp/layout.h"
#include "unit.h"

static const struct pyb_layout *find(int major, int minor, int patch, unsigned ptr, unsigned flags, bool *exact)
{
    const struct pyb_layout *row = pyb_layout_find(major, minor, patch, ptr, false, flags, exact);
    assert_non_null(row);
    return row;
}

static void test_every_version(void **state)
{
    (void)state;
    static const int minors[] = {3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    bool exact = false;
    const struct pyb_layout *row = find(2, 7, 18, 8, 0, &exact);
    assert_true(exact && row->major == 2 && row->minor == 7);
    for (size_t i = 0; i < sizeof(minors) / sizeof(minors[0]); i++) {
        row = find(3, minors[i], 6, 8, 0, &exact);
        assert_true(exact);
        assert_int_equal(row->minor, minors[i]);
        assert_int_equal(row->ptr_size, 8);
        assert_int_equal(row->verified, minors[i] <= 5 ? PYB_LAYOUT_FACTS : PYB_LAYOUT_HEADERS);
    }
}

static void test_nearest(void **state)
{
    (void)state;
    bool exact = true;
    // Newer than the tables: the newest, of the same ABI and width.
    assert_int_equal(find(3, 16, 0, 8, 0, &exact)->minor, 15);
    assert_false(exact);
    const struct pyb_layout *row = find(3, 17, 3, 4, PYB_LAYOUT_FREETHREADED, &exact);
    assert_int_equal(row->minor, 15);
    assert_int_equal(row->ptr_size, 4);
    assert_int_equal(row->flags, PYB_LAYOUT_FREETHREADED);
    assert_false(exact);
    // Patch releases that moved something: each its own row.
    assert_int_equal(find(3, 13, 0, 8, 0, &exact)->patch_max, 0);
    assert_true(exact);
    assert_true(find(3, 13, 1, 8, 0, &exact) != find(3, 13, 0, 8, 0, NULL));
    assert_int_equal(find(3, 13, 0, 8, 0, NULL)->lock_lock.width, 8);
    assert_int_equal(find(3, 13, 1, 8, 0, NULL)->lock_lock.width, 1);
    // 3.14.0 to 3.14.4: another shape, whose headers were not measured.
    assert_int_equal(find(3, 14, 4, 8, 0, &exact)->patch_min, 5);
    assert_false(exact);
    // Unknown patch release: the newest row, exact only where there is but one.
    row = find(3, 13, -1, 8, 0, &exact);
    assert_int_equal(row->patch_max, 99);
    assert_false(exact);
    find(3, 12, -1, 8, 0, &exact);
    assert_true(exact);
    // An ABI without a row: the same release's plain one.
    row = find(3, 10, 4, 8, PYB_LAYOUT_TRACE_REFS, &exact);
    assert_int_equal(row->minor, 10);
    assert_false(exact);
    // Free-threaded and not are never exchanged; another width neither.
    row = find(3, 12, 0, 8, PYB_LAYOUT_FREETHREADED, &exact);
    assert_true(row->flags & PYB_LAYOUT_FREETHREADED);
    assert_false(exact);
    assert_null(pyb_layout_find(3, 12, 0, 16, false, 0, &exact));
    assert_false(exact);
    // aarch64 has rows of its own only where pthread types lie inside structs (3.7 on).
    row = find(3, 11, 2, 8, PYB_LAYOUT_AARCH64, &exact);
    assert_true(exact && row->flags == PYB_LAYOUT_AARCH64);
    assert_true(row->runtime_tstate_current.offset > find(3, 11, 2, 8, 0, NULL)->runtime_tstate_current.offset);
    row = find(3, 6, 2, 8, PYB_LAYOUT_AARCH64, &exact);
    assert_true(exact && row->flags == 0 && row->minor == 6);
    assert_int_equal(find(3, 11, 2, 8, 0, &exact)->flags, 0);
    assert_true(exact);
    // A byte order that was not measured.
    assert_non_null(pyb_layout_find(3, 9, 2, 8, true, 0, &exact));
    assert_false(exact);
}

// Offsets that can be known without the headers: what the C language and CPython's documentation fix.
static void test_known(void **state)
{
    (void)state;
    const struct pyb_layout *row = find(3, 11, 2, 8, 0, NULL);
    assert_int_equal(row->obj_refcnt.offset, 0);
    assert_int_equal(row->obj_type.offset, 8);
    assert_int_equal(row->var_ob_size.offset, 16);
    assert_int_equal(row->tuple_item.offset, 24);
    assert_int_equal(row->float_fval.offset, 16);
    assert_int_equal(row->cfunction_ml.offset, 16);
    assert_int_equal(row->methoddef_meth.offset, 8);
    assert_int_equal(row->tstate_frame.offset, PYB_ABSENT);
    assert_true(row->tstate_cframe.offset > 0);
    row = find(3, 11, 2, 4, 0, NULL);
    assert_int_equal(row->obj_type.offset, 4);
    assert_int_equal(row->tuple_item.offset, 12);
    row = find(3, 7, 0, 8, PYB_LAYOUT_DEBUG | PYB_LAYOUT_TRACE_REFS, NULL);
    assert_int_equal(row->obj_next.offset, 0);
    assert_int_equal(row->obj_type.offset, 24);
    row = find(3, 14, 2, 8, PYB_LAYOUT_FREETHREADED, NULL);
    assert_int_equal(row->obj_type.offset, 24);
    assert_true(row->iframe_tlbc_index.offset > 0);
    assert_int_equal(find(3, 14, 2, 8, 0, NULL)->iframe_tlbc_index.offset, PYB_ABSENT);
}

static void test_semantics(void **state)
{
    (void)state;
    for (int minor = 3; minor <= 15; minor++) {
        const struct pyb_layout *row = find(3, minor, 0, 8, 0, NULL);
        assert_int_equal(row->walker, minor >= 13   ? PYB_WALKER_IFRAME
                                      : minor >= 11 ? PYB_WALKER_CFRAME
                                                    : PYB_WALKER_FRAMEOBJECT);
        assert_int_equal(pyb_has_field(row->tstate_frame), minor <= 10);
        assert_int_equal(pyb_has_field(row->frame_localsplus), minor <= 10);
        assert_int_equal(pyb_has_field(row->iframe_localsplus), minor >= 11);
        assert_int_equal(pyb_has_field(row->iframe_prev_instr), row->instr_is_previous);
        assert_int_equal(pyb_has_field(row->code_lnotab), row->line_table < PYB_LINETABLE_310);
        assert_int_equal(pyb_has_field(row->code_linetable), row->line_table >= PYB_LINETABLE_310);
        assert_int_equal(pyb_has_field(row->code_code_adaptive), minor >= 11);
        assert_int_equal(pyb_has_field(row->int_lv_tag), row->int_model == PYB_INT_TAG);
        assert_int_equal(pyb_has_field(row->dictkeys_log2_size), row->dict_model == PYB_DICT_LOG2);
        assert_int_equal(pyb_has_field(row->dictkeys_entries), row->dict_model == PYB_DICT_SPLIT);
        assert_int_equal(row->owner_interpreter, minor >= 14 ? 3 : PYB_ABSENT);
        assert_int_equal(row->owner_cstack, minor == 14 ? 4 : minor == 12 || minor == 13 ? 3 : PYB_ABSENT);
        assert_int_equal(row->executable_tag_mask != 0, minor >= 14);
        assert_int_equal(row->localsplus_tag_mask != 0, minor >= 14);
        assert_int_equal(row->int_digit_bits, 30);
    }
}

// A flexible array begins where its struct ends.
static bool inside(struct pyb_field f, uint32_t size)
{
    return f.width > 0 && ((uint32_t)f.offset + f.width <= size || (uint32_t)f.offset == size);
}

// Every cell of every row: inside its struct, a width that can be read.
// A line for each member of the layout: clang's sanitizers take minutes for such a function, so it goes without.
__attribute__((no_sanitize("address", "undefined")))
static void test_bounds(void **state)
{
    (void)state;
    unsigned count = 0;
    const struct pyb_layout *rows = pyb_layout_rows(&count);
    assert_true(count > 60);
    size_t present = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct pyb_layout *r = &rows[i];
        const char *title = r->name;
#define F(group, name, type, path) \
    if (pyb_has_field(r->group##_##name)) { \
        present++; \
        if (r->group##_size && !inside(r->group##_##name, r->group##_size)) \
            fail_msg("%s: %s.%s: %d + %u of %u", title, #group, #name, r->group##_##name.offset, \
                     r->group##_##name.width, r->group##_size); \
    } else { \
        assert_int_equal(r->group##_##name.offset, PYB_ABSENT); \
        assert_int_equal(r->group##_##name.width, 0); \
    }
#define S(group, type)
#define B(group, name, type, path) \
    if (pyb_has_bits(r->group##_##name)) \
        assert_true(r->group##_##name.shift + r->group##_##name.bits <= 8 * r->group##_##name.width);
#define K(name, expression)
#define R(name)
#include "interp/layout_fields.def"
#undef F
#undef S
#undef B
#undef K
#undef R
        assert_true(r->patch_min <= r->patch_max);
    }
    print_message("%u rows, %zu cells present\n", count, present);
}

static void test_bits(void **state)
{
    (void)state;
    struct pyb_bits kind = {16, 4, 2, 3};
    assert_int_equal(pyb_bits_get(kind, 0x10, false), 4);
    assert_int_equal(pyb_bits_get(kind, UINT64_C(4) << (32 - 5), true), 4);
    struct pyb_bits whole = {0, 8, 0, 64};
    assert_true(pyb_bits_get(whole, UINT64_MAX, false) == UINT64_MAX);
    struct pyb_bits absent = {PYB_ABSENT, 0, 0, 0}, wrong = {0, 1, 6, 4};
    assert_int_equal(pyb_bits_get(absent, UINT64_MAX, false), 0);
    assert_int_equal(pyb_bits_get(wrong, UINT64_MAX, false), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_version), cmocka_unit_test(test_nearest), cmocka_unit_test(test_known),
        cmocka_unit_test(test_semantics),     cmocka_unit_test(test_bounds),  cmocka_unit_test(test_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
