// SPDX-License-Identifier: Apache-2.0
// Code objects made by hand: what is read, what is kept, and when it is read again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "made_objects.h"
#include "interp/code.h"

static const struct pyb_code *get(struct world *w, pyb_addr addr)
{
    const struct pyb_code *c = NULL;
    struct pyb_error err = {0};
    int code = pyb_code_get(&w->f.py, addr, &c, &err);
    if (code)
        fail_msg("%s", err.what);
    return c;
}

static void members(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct world w;
        world_begin(&w, PYB_WALKER_IFRAME, i & 1 ? 4 : 8, i & 2);
        const struct pyb_code *c = get(&w, world_code(&w, "f", "C.f", "x.py", 20));
        assert_string_equal(c->name, "f");
        assert_string_equal(c->qualname, "C.f");
        assert_string_equal(c->filename, "x.py");
        assert_int_equal(c->firstlineno, 7);
        assert_int_equal(c->code_size, 40);
        assert_int_equal(c->bytecode, c->addr + (uint32_t)w.f.py.layout.code_code_adaptive.offset);
        assert_null(c->note);
        made_deinit(&w.f);
        world_begin(&w, PYB_WALKER_FRAMEOBJECT, i & 1 ? 4 : 8, i & 2);
        c = get(&w, world_code(&w, "f", NULL, "x.py", 20));
        assert_null(c->qualname);
        assert_int_equal(c->code_size, 40);
        made_deinit(&w.f);
    }
}

static void position(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, PYB_WALKER_IFRAME, 8, false);
    const struct pyb_code *c = get(&w, world_code(&w, "f", "f", "x.py", 20));
    struct pyb_position p;
    // world_code's table: two units on the first line without columns, then one unit without a line
    for (int twice = 0; twice < 2; twice++) {
        assert_int_equal(pyb_code_position(&w.f.py, c, 2, &p, NULL), 0);
        assert_int_equal(p.line, 7);
        assert_int_equal(p.column, -1);
    }
    assert_int_equal(pyb_code_position(&w.f.py, c, 4, &p, NULL), 0);
    assert_int_equal(p.line, -1);
    assert_int_equal(pyb_code_position(&w.f.py, c, -1, &p, NULL), 0);
    assert_int_equal(p.line, 7);
    made_deinit(&w.f);
}

static void large_table(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, PYB_WALKER_IFRAME, 8, false);
    pyb_addr addr = world_code(&w, "f", "f", "x.py", 200000);
    static uint8_t table[160000]; // above 64 KiB: 80 000 entries of one unit, each a line further
    for (size_t i = 0; i < sizeof table; i += 2) {
        table[i] = 0x80 | 13 << 3;
        table[i + 1] = 2;
    }
    made_set(&w.f, addr, w.f.py.layout.code_linetable, made_bytes(&w.f, w.bytes, table, sizeof table));
    struct pyb_position p;
    assert_int_equal(pyb_code_position(&w.f.py, get(&w, addr), 159998, &p, NULL), 0);
    assert_int_equal(p.line, 7 + 80000);
    made_deinit(&w.f);
}

static void bad_table(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, PYB_WALKER_IFRAME, 8, false);
    pyb_addr addr = world_code(&w, "f", "f", "x.py", 20);
    struct pyb_position p;
    struct pyb_error err = {0};
    made_set(&w.f, addr, w.f.py.layout.code_linetable, made_ascii(&w.f, w.str, "no bytes"));
    assert_int_equal(pyb_code_position(&w.f.py, get(&w, addr), 2, &p, &err), PYB_E_CORRUPT);
    assert_int_equal(p.line, -1);
    assert_int_equal(pyb_code_position(&w.f.py, get(&w, addr), 2, &p, &err), PYB_E_CORRUPT);
    // 65 MiB say they are
    pyb_addr huge = made_bytes(&w.f, w.bytes, "x", 1);
    made_set(&w.f, huge, w.f.py.layout.bytes_ob_size, 65u << 20);
    addr = world_code(&w, "g", "g", "x.py", 20);
    made_set(&w.f, addr, w.f.py.layout.code_linetable, huge);
    assert_int_equal(pyb_code_position(&w.f.py, get(&w, addr), 2, &p, &err), PYB_E_CORRUPT);
    made_deinit(&w.f);
}

static void unreadable_name(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, PYB_WALKER_IFRAME, 8, false);
    pyb_addr addr = world_code(&w, "f", "f", "x.py", 20);
    made_set(&w.f, addr, w.f.py.layout.code_filename, 0xdead0000);
    const struct pyb_code *c = get(&w, addr);
    assert_string_equal(c->name, "f");
    assert_null(c->filename);
    assert_non_null(strstr(c->note, "file name"));
    made_deinit(&w.f);
}

static void not_code(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, PYB_WALKER_IFRAME, 8, false);
    pyb_addr addr = world_code(&w, "f", "f", "x.py", 20);
    assert_true(pyb_code_check(&w.f.py, addr));
    assert_false(pyb_code_check(&w.f.py, made_ascii(&w.f, w.str, "x")));
    assert_false(pyb_code_check(&w.f.py, 0));
    const struct pyb_code *c = NULL;
    pyb_addr text = made_ascii(&w.f, w.str, "no code object, but there is memory enough for one");
    made_alloc(&w.f, 256);
    assert_int_equal(pyb_code_get(&w.f.py, text, &c, NULL), PYB_E_CORRUPT);
    // A class that the program itself called `code`.
    pyb_addr impostor = made_type(&w.f, "code", 1u << 9);
    made_set(&w.f, addr, w.f.py.layout.obj_type, impostor);
    assert_false(pyb_code_check(&w.f.py, addr));
    made_deinit(&w.f);
}

static void kept(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, PYB_WALKER_IFRAME, 8, false);
    pyb_addr addr = world_code(&w, "f", "f", "x.py", 20);
    const struct pyb_code *c = get(&w, addr);
    uint64_t reads = w.f.mem.n_reads;
    assert_ptr_equal(get(&w, addr), c);
    assert_int_equal(w.f.mem.n_reads, reads); // while the target stands still: nothing is read
    w.f.py.generation++;
    assert_ptr_equal(get(&w, addr), c);
    assert_int_equal(w.f.mem.n_reads, reads + 1);
    // another one at the same place, with the same pointers
    made_set(&w.f, addr, w.f.py.layout.code_version, 99);
    w.f.py.generation++;
    assert_ptr_not_equal(get(&w, addr), c);
    made_deinit(&w.f);
}

// Without a number of its own: another code object at the same address, its name at the same address too.
static void kept_by_content(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, PYB_WALKER_FRAMEOBJECT, 8, false);
    pyb_addr addr = world_code(&w, "first", NULL, "x.py", 20);
    const struct pyb_code *c = get(&w, addr);
    struct pyb_position p;
    assert_int_equal(pyb_code_position(&w.f.py, c, 2, &p, NULL), 0);
    w.f.py.generation++;
    assert_ptr_equal(get(&w, addr), c);
    size_t name = (size_t)(c->id_name + w.f.py.layout.ascii_size - MADE_BASE);
    memcpy(w.f.data + name, "other", 5);
    w.f.py.generation++;
    const struct pyb_code *other = get(&w, addr);
    assert_ptr_not_equal(other, c);
    assert_string_equal(other->name, "other");
    assert_string_equal(c->name, "first"); // results that hold it stay valid
    assert_int_equal(pyb_code_position(&w.f.py, other, 2, &p, NULL), 0);
    size_t table = (size_t)(c->id_linetable + (uint32_t)w.f.py.layout.bytes_data.offset - MADE_BASE);
    w.f.data[table + 1]++;
    w.f.py.generation++;
    assert_ptr_not_equal(get(&w, addr), other);
    made_deinit(&w.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members),         cmocka_unit_test(position), cmocka_unit_test(large_table),
        cmocka_unit_test(bad_table),       cmocka_unit_test(not_code), cmocka_unit_test(unreadable_name),
        cmocka_unit_test(kept),            cmocka_unit_test(kept_by_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
