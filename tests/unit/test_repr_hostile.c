// SPDX-License-Identifier: Apache-2.0
// Values made by hand in every row of the layout tables: sound ones, cycles, absurd sizes, pointers into
// nothing; and the limits.
#include "made_values.h"
#include "unit.h"

static const struct pyb_repr_limits LARGE = {.length = 100000, .depth = 1000, .items = 100000};

static const char *repr_of(struct values *v, pyb_addr object, const struct pyb_repr_limits *limits)
{
    static char text[200000];
    struct pyb_buf out;
    struct pyb_error err = {0};
    pyb_buf_init(&out, &v->f.ctx, 0);
    assert_ok(pyb_repr_object(&v->f.py, object, limits, &out, &err), &err);
    snprintf(text, sizeof text, "%s", pyb_buf_str(&out));
    pyb_buf_deinit(&out);
    return text;
}

static void begin(struct values *v, int minor)
{
    values_begin(v, pyb_layout_find(3, minor, 0, 8, false, 0, NULL));
}

static void assert_said(struct values *v, pyb_addr object, const char *what)
{
    char wanted[128];
    snprintf(wanted, sizeof wanted, "<%s at 0x%llx>", what, (unsigned long long)object);
    assert_string_equal(repr_of(v, object, &LARGE), wanted);
}

static void test_every_row(void **state)
{
    (void)state;
    unsigned n;
    const struct pyb_layout *rows = pyb_layout_rows(&n);
    assert_true(n >= 15);
    for (unsigned i = 0; i < n; i++) {
        struct values v;
        values_begin(&v, &rows[i]);
        const uint32_t digits[] = {5, 1};
        pyb_addr number = values_int(&v, digits, 2, true), one = values_small(&v, 1);
        pyb_addr items[] = {number, values_tuple(&v, &one, 1), values_list(&v, NULL, 0)};
        char wanted[64];
        const char *suffix = rows[i].major == 2 ? "L" : "";
        snprintf(wanted, sizeof wanted, "[-%lld%s, (1%s,), []]", (1LL << rows[i].int_digit_bits) + 5, suffix,
                 suffix);
        assert_string_equal(repr_of(&v, values_list(&v, items, 3), &LARGE), wanted);
        made_deinit(&v.f);
    }
}

static void test_cycles(void **state)
{
    (void)state;
    struct values v;
    begin(&v, 12);
    pyb_addr items[2] = {0, values_small(&v, 7)}, list = values_list(&v, items, 2),
        tuple = values_tuple(&v, &list, 1), array;
    assert_int_equal(pyb_field_ptr(&v.f.py, list, v.f.py.layout.list_item, &array, NULL), 0);
    made_put(&v.f, array, 8, list);
    assert_string_equal(repr_of(&v, list, &LARGE), "[[...], 7]");
    made_put(&v.f, array, 8, tuple);
    assert_string_equal(repr_of(&v, tuple, &LARGE), "([(...), 7],)");
    made_deinit(&v.f);
}

static void test_deep(void **state)
{
    (void)state;
    struct values v;
    begin(&v, 11);
    pyb_addr list = values_list(&v, NULL, 0);
    for (int i = 0; i < 3000; i++)
        list = values_list(&v, &list, 1);
    assert_true(strlen(repr_of(&v, list, &LARGE)) < 1000);
    const struct pyb_repr_limits two = {.length = 100, .depth = 2, .items = 9};
    assert_string_equal(repr_of(&v, list, &two), "[[[...]]]");
    made_deinit(&v.f);
}

static void test_limits(void **state)
{
    (void)state;
    struct values v;
    begin(&v, 13);
    pyb_addr items[100];
    for (uint32_t i = 0; i < 100; i++)
        items[i] = values_small(&v, i);
    pyb_addr list = values_list(&v, items, 100);
    const struct pyb_repr_limits three = {.length = 1000, .depth = 4, .items = 3},
        ten = {.length = 10, .depth = 4, .items = 99};
    assert_string_equal(repr_of(&v, list, &three), "[0, 1, 2, ...]");
    assert_string_equal(repr_of(&v, list, &ten), "[0, 1, 2, ...");
    const struct pyb_repr_limits none = {0};
    assert_string_equal(repr_of(&v, list, &none),
                        "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, ...]");
    made_deinit(&v.f);
}

static void test_absurd_sizes(void **state)
{
    (void)state;
    struct values v;
    begin(&v, 12);
    const struct pyb_layout *l = &v.f.py.layout;
    pyb_addr one = values_small(&v, 1), list = values_list(&v, &one, 1);
    values_size(&v, list, l->list_ob_size, (uint64_t)-1);
    assert_said(&v, list, "corrupt list");
    values_size(&v, list, l->list_ob_size, (uint64_t)1 << 62);
    assert_said(&v, list, "corrupt list");
    values_size(&v, list, l->list_ob_size, 1u << 30);
    made_set(&v.f, list, l->list_item, 0x10);
    assert_said(&v, list, "unreadable list");
    pyb_addr tuple = values_tuple(&v, &one, 1);
    values_size(&v, tuple, l->tuple_ob_size, (uint64_t)INT64_MIN);
    assert_said(&v, tuple, "corrupt tuple");
    pyb_addr number = values_small(&v, 1);
    made_set(&v.f, number, l->int_lv_tag, UINT64_MAX);
    assert_said(&v, number, "corrupt int");
    made_set(&v.f, number, l->int_lv_tag, UINT64_MAX - 1);
    assert_said(&v, number, "corrupt int");
    made_put(&v.f, number + (uint32_t)l->int_digit.offset, 4, UINT32_MAX);
    made_set(&v.f, number, l->int_lv_tag, 1u << 3);
    assert_said(&v, number, "corrupt int");
    made_deinit(&v.f);
}

static void test_absurd_tables(void **state)
{
    (void)state;
    struct values v;
    begin(&v, 12);
    const struct pyb_layout *l = &v.f.py.layout;
    pyb_addr dict = values_object(&v, v.dict, l->dict_size), keys = made_alloc(&v.f, 4096);
    made_set(&v.f, dict, l->dict_keys, keys);
    assert_string_equal(repr_of(&v, dict, &LARGE), "{}");
    made_set(&v.f, dict, l->dict_used, 5);
    assert_said(&v, dict, "corrupt dict");
    made_set(&v.f, keys, l->dictkeys_nentries, 100);
    assert_said(&v, dict, "corrupt dict");
    made_set(&v.f, keys, l->dictkeys_log2_size, 255);
    assert_said(&v, dict, "corrupt dict");
    made_set(&v.f, dict, l->dict_keys, 3);
    assert_said(&v, dict, "unreadable dict");
    pyb_addr set = values_object(&v, v.set, l->set_size);
    assert_string_equal(repr_of(&v, set, &LARGE), "set()");
    made_set(&v.f, set, l->set_used, 1);
    assert_said(&v, set, "corrupt set");
    made_set(&v.f, set, l->set_fill, 1);
    made_set(&v.f, set, l->set_mask, (uint64_t)1 << 39);
    assert_said(&v, set, "unreadable set");
    made_deinit(&v.f);
}

static void test_no_object(void **state)
{
    (void)state;
    struct values v;
    begin(&v, 14);
    pyb_addr bad_type = values_object(&v, 0x20008, 64), own = values_object(&v, 0, 256);
    made_set(&v.f, own, v.f.py.layout.obj_type, own);
    pyb_addr items[] = {0, 0x10, values_small(&v, 3), UINT64_MAX - 8};
    assert_string_equal(repr_of(&v, values_list(&v, items, 4), &LARGE),
                        "[<NULL>, <unreadable object at 0x10>, 3, "
                        "<unreadable object at 0xfffffffffffffff7>]");
    assert_said(&v, bad_type, "corrupt object");
    assert_said(&v, own, "corrupt object");
    made_deinit(&v.f);
}

// An int of 400 000 digits is told by its size; of 5000 digits shown when there is room for it.
static void test_huge_int(void **state)
{
    (void)state;
    struct values v;
    begin(&v, 12);
    enum { N = 45000 };
    uint32_t *digits = calloc(N, sizeof *digits);
    assert_non_null(digits);
    digits[N - 1] = 1;
    assert_string_equal(repr_of(&v, values_int(&v, digits, N, false), &LARGE), "<int with 1349971 bits>");
    digits[599] = 1;
    pyb_addr middle = values_int(&v, digits, 600, false);
    const struct pyb_repr_limits few = {.length = 100, .depth = 4, .items = 4};
    assert_string_equal(repr_of(&v, middle, &few), "<int with 17971 bits>");
    assert_int_equal(strlen(repr_of(&v, middle, &LARGE)), 5410);
    free(digits);
    made_deinit(&v.f);
}

// A subclass is shown like its base only while it has its base's tp_repr.
static void test_subclasses(void **state)
{
    (void)state;
    struct values v;
    begin(&v, 11);
    pyb_addr mine = values_type(&v, "MyList", v.list, v.f.py.layout.tpflags_list_subclass, true),
        list = values_list(&v, NULL, 0);
    made_set(&v.f, list, v.f.py.layout.obj_type, mine);
    assert_string_equal(repr_of(&v, list, &LARGE), "[]");
    pyb_addr other = values_type(&v, "Other", v.list, v.f.py.layout.tpflags_list_subclass, true);
    made_set(&v.f, other, v.f.py.layout.type_repr, 0x7777);
    made_set(&v.f, list, v.f.py.layout.obj_type, other);
    assert_said(&v, list, "Other");
    made_deinit(&v.f);
}

// Lists that each fail after many good items: what is taken back must not cost for ever.
static void test_costly_failures(void **state)
{
    (void)state;
    struct values v;
    begin(&v, 12);
    pyb_addr items[64], list = values_small(&v, 1);
    for (int depth = 0; depth < 20; depth++) {
        for (int i = 0; i < 64; i++)
            items[i] = list;
        list = values_list(&v, items, 64);
        values_size(&v, list, v.f.py.layout.list_ob_size, 1u << 30);
    }
    assert_true(strlen(repr_of(&v, list, &LARGE)) <= 100003);
    made_deinit(&v.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row),
        cmocka_unit_test(test_cycles),
        cmocka_unit_test(test_deep),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_absurd_sizes),
        cmocka_unit_test(test_absurd_tables),
        cmocka_unit_test(test_no_object),
        cmocka_unit_test(test_huge_int),
        cmocka_unit_test(test_subclasses),
        cmocka_unit_test(test_costly_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
