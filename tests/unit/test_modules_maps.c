// SPDX-License-Identifier: Apache-2.0
// The text of /proc/PID/maps.
#include "unit.h"

#include "symbols/maps.h"

static int next(const char *text, size_t *pos, struct pyb_maps_line *ret)
{
    return pyb_maps_next(text, strlen(text), pos, ret);
}

static void test_lines(void **state)
{
    (void)state;
    const char *text =
        "00400000-00425000 r--p 00000000 fd:01 4711                              /usr/bin/python3.11\n"
        "7f8a5c000000-7f8a5c021000 rw-s 0001f000 103:05 18446744073709551615 \n"
        "7ffd1b7de000-7ffd1b7e0000 r-xp 00000000 00:00 0                          [vdso]\n"
        "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n"
        "7f0000000000-7f0000001000 ---p 00000000 00:31 12 /tmp/with space\\012and newline (deleted)\n";
    struct pyb_maps_line l;
    size_t pos = 0;
    assert_int_equal(next(text, &pos, &l), 1);
    assert_true(l.start == 0x400000 && l.end == 0x425000 && l.r && !l.w && !l.x && l.is_private &&
                l.offset == 0);
    assert_true(l.dev_major == 0xfd && l.dev_minor == 1 && l.inode == 4711);
    assert_int_equal(l.path_len, strlen("/usr/bin/python3.11"));
    assert_memory_equal(l.path, "/usr/bin/python3.11", l.path_len);
    assert_int_equal(next(text, &pos, &l), 1);
    assert_true(l.w && !l.is_private && l.offset == 0x1f000 && l.dev_major == 0x103 &&
                l.inode == UINT64_MAX && l.path_len == 0);
    assert_int_equal(next(text, &pos, &l), 1);
    assert_true(l.x && l.path_len == 6);
    assert_int_equal(next(text, &pos, &l), 1);
    assert_true(l.start == 0xffffffffff600000u && !l.r && l.x);
    assert_int_equal(next(text, &pos, &l), 1);
    char name[128];
    bool deleted;
    memcpy(name, l.path, l.path_len);
    size_t len = pyb_maps_strip_deleted(name, l.path_len, &deleted);
    assert_true(deleted);
    name[pyb_maps_unescape(name, len)] = '\0';
    assert_string_equal(name, "/tmp/with space\nand newline");
    assert_int_equal(next(text, &pos, &l), 0);
}

static void test_broken(void **state)
{
    (void)state;
    const char *broken[] = {
        "\n", "x\n", "00400000\n", "00400000-00425000\n", "00425000-00400000 r--p 00000000 fd:01 1 /a\n",
        "00400000-00425000 r-xp 00000000 fd:01 1 /cut", "00400000-00425000 rrrp 00000000 fd:01 1 /a\n",
        "00400000-00425000 r--p 00000000 fd-01 1 /a\n", "00400000-11111111111111111 r--p 00000000 fd:01 1 /a\n",
        "00400000-00425000 r--p 00000000 fd:01 99999999999999999999 /a\n", "00400000-00400000 r--p 00000000 fd:01 1 /a\n",
        "00400000-00425000 r--p 00000000 100000000:01 1 /a\n", "00400000-00425000 r--p 00000000 fd:01 1/a\n",
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct pyb_maps_line l;
        size_t pos = 0;
        assert_int_equal(next(broken[i], &pos, &l), -1);
        assert_int_equal(pos, strlen(broken[i]));
        assert_int_equal(next(broken[i], &pos, &l), 0);
    }
    char with_nul[] = "00400000-00425000 r--p 00000000 fd:01 1 /a?b\n";
    *strchr(with_nul, '?') = '\0';
    struct pyb_maps_line l;
    size_t pos = 0;
    assert_int_equal(pyb_maps_next(with_nul, sizeof(with_nul) - 1, &pos, &l), -1);
}

static void test_names(void **state)
{
    (void)state;
    bool deleted;
    assert_int_equal(pyb_maps_strip_deleted("/a", 2, &deleted), 2);
    assert_false(deleted);
    assert_int_equal(pyb_maps_strip_deleted(" (deleted)", 10, &deleted), 10); // nothing would be left
    assert_false(deleted);
    assert_int_equal(pyb_maps_strip_deleted("/ (deleted)", 11, &deleted), 1);
    assert_true(deleted);
    char text[] = "\\012\\01\\0123\\012";
    text[pyb_maps_unescape(text, strlen(text))] = '\0';
    assert_string_equal(text, "\n\\01\n3\n");
}

// This process' own maps: every line parses, and the kernel's order holds.
static void test_own(void **state)
{
    (void)state;
    static char text[1 << 20];
    FILE *f = fopen("/proc/self/maps", "r");
    assert_non_null(f);
    size_t len = fread(text, 1, sizeof(text), f), pos = 0, lines = 0;
    fclose(f);
    struct pyb_maps_line l;
    pyb_addr last = 0;
    bool found = false;
    while (pos < len) {
        assert_int_equal(pyb_maps_next(text, len, &pos, &l), 1);
        assert_true(l.start >= last);
        last = l.end;
        lines++;
        found = found || ((uintptr_t)&test_own >= l.start && (uintptr_t)&test_own < l.end && l.x);
    }
    assert_true(found && lines > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines), cmocka_unit_test(test_broken), cmocka_unit_test(test_names), cmocka_unit_test(test_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
