// SPDX-License-Identifier: Apache-2.0
// Which files `pybraid ps` takes for an interpreter. Made with cc -shared from a file that defines PyInterpreterState_Head, or asks for it.
#include "unit.h"

#include <fcntl.h>

#include "ps_elf.h"

static bool says(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail_msg("%s cannot be opened", path);
    bool found = elf_is_interpreter(fd);
    assert_int_equal(close(fd), 0);
    return found;
}

static void interpreters(void **state)
{
    (void)state;
    assert_true(says("tests/fuzz/corpus/cli_elf/gnu_hash.so"));
    assert_true(says("tests/fuzz/corpus/cli_elf/sysv_hash.so"));
    assert_true(says("tests/fuzz/corpus/cli_elf/i386.so"));
    assert_true(says("tests/fuzz/corpus/cli_elf/static")); // a section .PyRuntime only
}

static void others(void **state)
{
    (void)state;
    assert_false(says("tests/fuzz/corpus/cli_elf/asks_gnu.so"));
    assert_false(says("tests/fuzz/corpus/cli_elf/asks_sysv.so"));
    assert_false(says("/proc/self/exe"));
    assert_false(says("/bin/sh"));
    assert_false(says("/dev/null"));
    assert_false(says("README.md"));
}

// Cut at every length: no answer but false or true, and true only with all that it needs.
static void cut_files(void **state)
{
    (void)state;
    static uint8_t bytes[16384];
    int fd = open("tests/fuzz/corpus/cli_elf/gnu_hash.so", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, bytes, sizeof(bytes));
    assert_true(n > 500 && n < (ssize_t)sizeof(bytes));
    assert_int_equal(close(fd), 0);
    size_t found = 0;
    for (size_t len = 0; len <= (size_t)n; len++) {
        int part = unit_file(bytes, len);
        bool is = elf_is_interpreter(part);
        assert_true(!is || len > 300);
        found += is;
        assert_int_equal(close(part), 0);
    }
    assert_true(found > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(interpreters), cmocka_unit_test(others), cmocka_unit_test(cut_files)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
