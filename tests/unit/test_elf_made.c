// SPDX-License-Identifier: Apache-2.0
// ELF objects made by hand: both word sizes, both byte orders, both hash tables, as files and in memory; torn
// ones.
#include "unit.h"

#include "symbols/elf_image.h"

#include "made_elf.h"

#define LOADED 0x7f0000000000u // where the object "is" in memory: bias LOADED - MADE_BASE

static void check_object(struct pyb_elf *e, const struct made_elf *m)
{
    struct pyb_elf_symbol s;
    assert_int_equal(pyb_elf_symbol(e, "alpha", &s), 0);
    assert_int_equal(s.value, MADE_ALPHA);
    assert_int_equal(s.size, 0x40);
    assert_int_equal(s.type, STT_FUNC);
    assert_int_equal(pyb_elf_symbol(e, "beta", &s), 0);
    assert_int_equal(s.value, MADE_BETA);
    assert_int_equal(pyb_elf_symbol(e, "gamma", &s), PYB_E_NOTFOUND); // undefined
    assert_int_equal(pyb_elf_symbol(e, "delta", &s), PYB_E_NOTFOUND);
    assert_int_equal(pyb_elf_symbol(e, "alph", &s), PYB_E_NOTFOUND);
    assert_int_equal(pyb_elf_symbol(e, "alphab", &s), PYB_E_NOTFOUND);
    assert_int_equal(pyb_elf_ptr_size(e), m->width);
    assert_string_equal(pyb_elf_soname(e), "libmade.so.1");
    size_t n;
    const uint8_t *id = pyb_elf_build_id(e, &n);
    assert_int_equal(n, 4);
    assert_memory_equal(id, "\xde\xad\xbe\xef", 4);
    uint64_t start, end;
    assert_string_equal(pyb_elf_symbol_covering(e, MADE_ALPHA + 0x3f, &start), "alpha");
    assert_int_equal(start, MADE_ALPHA);
    assert_null(pyb_elf_symbol_covering(e, MADE_ALPHA + 0x40, &start));
    assert_null(pyb_elf_symbol_covering(e, MADE_BETA, &start)); // no function
    assert_int_equal(pyb_elf_fde(e, MADE_ALPHA, &start, &end), PYB_E_NOTFOUND);
}

static void for_each_kind(void (*check)(const struct made_elf *m))
{
    for (unsigned kind = 0; kind < 8; kind++) {
        struct made_elf m = made_elf(kind & 1 ? 8 : 4, kind & 2, kind & 4);
        check(&m);
    }
}

static void check_file(const struct made_elf *m)
{
    struct pyb_elf *e;
    struct pyb_error err = {0};
    assert_ok(pyb_elf_open_fd(unit_ctx(), unit_file(m->data, MADE_SIZE), &e, &err), &err);
    assert_true(pyb_elf_is_file(e));
    check_object(e, m);
    pyb_elf_free(e);
}

static void check_memory(const struct made_elf *m)
{
    struct pyb_elf *e;
    struct pyb_error err = {0};
    pyb_addr base = m->width == 8 ? LOADED : 0x40000000;
    struct made_memory mem = made_memory(unit_ctx(), m->data, MADE_SIZE, base, m->width, m->big);
    assert_ok(pyb_elf_open_memory(unit_ctx(), &mem.mem, base, &e, &err), &err);
    assert_false(pyb_elf_is_file(e));
    assert_int_equal(pyb_elf_memory_bias(e), base - MADE_BASE);
    check_object(e, m);
    pyb_elf_free(e);
}

// glibc writes run-time addresses into .dynamic.
static void check_relocated(const struct made_elf *m)
{
    struct made_elf copy = *m;
    pyb_addr base = m->width == 8 ? LOADED : 0x40000000;
    for (unsigned i = 0; i < 3; i++) {
        size_t at = 0x200 + (2 * i + 1) * m->width;
        struct pyb_bytes b = pyb_bytes(copy.data, sizeof(copy.data), m->width, m->big);
        made_put(&copy, at, pyb_get_ptr(&b, at) + base - MADE_BASE, m->width);
    }
    check_memory(&copy);
}

static void test_file(void **state)
{
    (void)state;
    for_each_kind(check_file);
}

static void test_memory(void **state)
{
    (void)state;
    for_each_kind(check_memory);
    for_each_kind(check_relocated);
}

// The same object is the same, another build is another, an unreadable one is unknown.
static void test_compare(void **state)
{
    (void)state;
    struct made_elf m = made_elf(8, false, true), other = m, no_id = m;
    other.data[0x600 + 16] ^= 1;
    made_put(&no_id, 64 + 2 * 56, PT_NULL, 4);
    struct pyb_elf *e;
    struct pyb_error err = {0};
    struct made_memory here = made_memory(unit_ctx(), m.data, MADE_SIZE, LOADED, 8, false),
                       there = made_memory(unit_ctx(), other.data, MADE_SIZE, LOADED, 8, false),
                       bare = made_memory(unit_ctx(), no_id.data, MADE_SIZE, LOADED, 8, false);
    assert_ok(pyb_elf_open_fd(unit_ctx(), unit_file(m.data, MADE_SIZE), &e, &err), &err);
    assert_int_equal(pyb_elf_compare(e, &here.mem, LOADED), PYB_SAME);
    assert_int_equal(pyb_elf_compare(e, &there.mem, LOADED), PYB_DIFFERENT);
    assert_int_equal(pyb_elf_compare(e, &bare.mem, LOADED), PYB_DIFFERENT);
    assert_int_equal(pyb_elf_compare(e, &here.mem, LOADED + 0x100000), PYB_SAME_UNKNOWN);
    pyb_elf_free(e);
    assert_ok(pyb_elf_open_fd(unit_ctx(), unit_file(no_id.data, MADE_SIZE), &e, &err), &err);
    assert_int_equal(pyb_elf_compare(e, &bare.mem, LOADED), PYB_SAME); // no build-id: by the headers
    no_id.data[0x300] ^= 1;
    assert_int_equal(pyb_elf_compare(e, &bare.mem, LOADED), PYB_DIFFERENT);
    pyb_elf_free(e);
}

static void use_all(struct pyb_elf *e)
{
    struct pyb_elf_symbol s;
    struct pyb_elf_section section;
    uint64_t start, end;
    size_t n;
    char buf[64];
    (void)pyb_elf_symbol(e, "alpha", &s);
    (void)pyb_elf_symbol(e, "_PyRuntime", &s);
    (void)pyb_elf_symbol_covering(e, MADE_ALPHA, &start);
    (void)pyb_elf_section(e, ".text", &section);
    (void)pyb_elf_fde(e, MADE_ALPHA, &start, &end);
    (void)pyb_elf_build_id(e, &n);
    (void)pyb_elf_soname(e);
    (void)pyb_elf_read(e, MADE_ALPHA, buf, sizeof(buf), &n, NULL);
    assert_true(n <= sizeof(buf));
}

static void test_flipped_bytes(void **state)
{
    (void)state;
    struct made_elf m = made_elf(8, false, true);
    srand(1);
    unsigned opened = 0;
    for (unsigned i = 0; i < 20000; i++) {
        struct made_elf torn = m;
        for (unsigned k = 0; k < 1 + i % 4; k++)
            torn.data[(unsigned)rand() % 0x620] = (uint8_t)rand();
        struct pyb_elf *e;
        if (pyb_elf_open_fd(unit_ctx(), unit_file(torn.data, MADE_SIZE), &e, NULL) == 0) {
            use_all(e);
            pyb_elf_free(e);
            opened++;
        }
        struct made_memory mem = made_memory(unit_ctx(), torn.data, MADE_SIZE, LOADED, 8, false);
        if (pyb_elf_open_memory(unit_ctx(), &mem.mem, LOADED, &e, NULL) == 0) {
            use_all(e);
            pyb_elf_free(e);
        }
    }
    assert_true(opened > 1000);
}

// A cycle in the chain of a SysV hash table, a GNU chain without an end.
static void test_endless_chains(void **state)
{
    (void)state;
    struct pyb_elf *e;
    struct pyb_error err = {0};
    struct pyb_elf_symbol s;
    struct made_elf m = made_elf(8, false, false);
    made_put(&m, 0x300 + 4 * 6, 1, 4); // the chain of 3 leads to 1 again
    assert_ok(pyb_elf_open_fd(unit_ctx(), unit_file(m.data, MADE_SIZE), &e, &err), &err);
    assert_int_equal(pyb_elf_symbol(e, "delta", &s), PYB_E_CORRUPT);
    pyb_elf_free(e);
    m = made_elf(8, false, true);
    for (size_t i = 0x300 + 16 + 8 + 4; i < MADE_SIZE; i += 4)
        m.data[i] &= 0xfe;
    assert_ok(pyb_elf_open_fd(unit_ctx(), unit_file(m.data, MADE_SIZE), &e, &err), &err);
    assert_int_not_equal(pyb_elf_symbol(e, "delta", &s), 0);
    pyb_elf_free(e);
}

static void test_not_elf(void **state)
{
    (void)state;
    struct pyb_elf *e;
    struct pyb_error err = {0};
    assert_int_equal(pyb_elf_open_fd(unit_ctx(), unit_file("", 0), &e, &err), PYB_E_CORRUPT);
    char text[128] = "#!/bin/sh\necho this is long enough for a header, and is none of it ------------------";
    assert_int_equal(pyb_elf_open_fd(unit_ctx(), unit_file(text, sizeof(text)), &e, &err), PYB_E_UNSUPPORTED);
    assert_non_null(strstr(err.what, "not an ELF"));
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(pyb_elf_open_fd(unit_ctx(), pipe_fds[0], &e, &err), PYB_E_UNSUPPORTED);
    close(pipe_fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file), cmocka_unit_test(test_memory), cmocka_unit_test(test_compare),
        cmocka_unit_test(test_flipped_bytes), cmocka_unit_test(test_endless_chains), cmocka_unit_test(test_not_elf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
