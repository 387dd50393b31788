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

// As 3.11 is: a qualified name, no number.
static void world_without_version(struct world *w)
{
    world_begin(w, PYB_WALKER_IFRAME, 8, false);
    w->f.py.layout.code_version = (struct pyb_field){.offset = PYB_ABSENT};
}

static void change(struct world *w, pyb_addr at, const char *text)
{
    memcpy(w->f.data + (size_t)(at - MADE_BASE), text, strlen(text));
    w->f.py.generation++;
}

static void kept_while_the_head_changes(void **state)
{
    (void)state;
    struct world w;
    world_without_version(&w);
    uint32_t hash = w.f.py.layout.ascii_size;
    w.f.py.layout.ascii_size += 8;
    pyb_addr addr = world_code(&w, "f", "C.f", "x.py", 20);
    const struct pyb_code *c = get(&w, addr);
    w.f.py.generation++;
    uint64_t before = w.f.mem.n_reads;
    assert_ptr_equal(get(&w, addr), c);
    uint64_t usual = w.f.mem.n_reads - before;
    assert_int_equal(usual, 4); // the code object, its three texts: no type, no header apart
    // What stands between a text's type and its characters may change: a hash, when it is needed.
    made_put(&w.f, c->id_name + hash, 8, 0x1234567);
    w.f.py.generation++;
    assert_ptr_equal(get(&w, addr), c);
    before = w.f.mem.n_reads;
    w.f.py.generation++;
    assert_ptr_equal(get(&w, addr), c);
    assert_int_equal(w.f.mem.n_reads - before, usual);
    made_deinit(&w.f);
}

static void another_qualified_name(void **state)
{
    (void)state;
    struct world w;
    world_without_version(&w);
    pyb_addr addr = world_code(&w, "f", "First.f", "x.py", 20);
    const struct pyb_code *c = get(&w, addr);
    pyb_addr qualname = 0;
    assert_int_equal(pyb_field_ptr(&w.f.py, addr, w.f.py.layout.code_qualname, &qualname, NULL), 0);
    change(&w, qualname + w.f.py.layout.ascii_size, "Other");
    const struct pyb_code *other = get(&w, addr);
    assert_ptr_not_equal(other, c);
    assert_string_equal(other->qualname, "Other.f");
    made_deinit(&w.f);
}

static void rounds(void **state)
{
    (void)state;
    struct world w;
    world_without_version(&w);
    pyb_addr addr = world_code(&w, "first", "first", "x.py", 20);
    const struct pyb_code *c = get(&w, addr);
    pyb_addr name = c->id_name + w.f.py.layout.ascii_size;
    w.f.py.texts_round = 5;
    w.f.py.generation++;
    assert_ptr_equal(get(&w, addr), c);
    change(&w, name, "other"); // not looked at before the next round
    assert_ptr_equal(get(&w, addr), c);
    w.f.py.texts_round = 6;
    w.f.py.generation++;
    const struct pyb_code *other = get(&w, addr);
    assert_string_equal(other->name, "other");
    made_deinit(&w.f);
}

static void forgotten_when_they_are_many(void **state)
{
    (void)state;
    struct world w;
    world_begin(&w, PYB_WALKER_IFRAME, 8, false);
    w.f.ctx.max_bytes = 256 << 10;
    pyb_addr codes[50];
    for (size_t i = 0; i < 50; i++)
        codes[i] = world_code(&w, "f", "f", "x.py", 20);
    for (unsigned round = 0; round < 2000; round++) { // 100 000 code objects, each new
        for (size_t i = 0; i < 50; i++) {
            made_set(&w.f, codes[i], w.f.py.layout.code_version, 1000 + round);
            assert_string_equal(get(&w, codes[i])->name, "f");
        }
        uint64_t held = w.f.py.code_arena.total;
        pyb_codes_trim(&w.f.py);
        assert_true(held <= (64 << 10) ? w.f.py.code_arena.total == held : w.f.py.code_arena.total == 0);
        w.f.py.generation++;
    }
    made_deinit(&w.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members),         cmocka_unit_test(position), cmocka_unit_test(large_table),
        cmocka_unit_test(bad_table),       cmocka_unit_test(not_code), cmocka_unit_test(unreadable_name),
        cmocka_unit_test(kept),            cmocka_unit_test(kept_by_content),
        cmocka_unit_test(kept_while_the_head_changes),
        cmocka_unit_test(another_qualified_name),
        cmocka_unit_test(rounds),
        cmocka_unit_test(forgotten_when_they_are_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
