// SPDX-License-Identifier: Apache-2.0
// Lengths of instructions against what binutils' disassembler says of whole programs.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbols/x86_length.h"
#include "unit.h"

static size_t hex_bytes(const char *text, uint8_t *ret, size_t max)
{
    size_t n = 0;
    unsigned byte;
    int len;
    while (n < max && sscanf(text, " %2x%n", &byte, &len) == 1) {
        ret[n++] = (uint8_t)byte;
        text += len;
    }
    return n;
}

struct count { unsigned long seen, wrong, unknown; };

// "  4011d6:\t48 89 e5 \tmov %rsp,%rbp"; --insn-width=15 keeps an instruction on one line.
static void check_line(const char *line, struct count *c)
{
    const char *bytes = strstr(line, ":\t"), *text = bytes ? strchr(bytes + 2, '\t') : NULL;
    uint8_t code[24] = {0};
    if (!text || strstr(text, "(bad)"))
        return;
    char hex[80] = "";
    snprintf(hex, sizeof(hex), "%.*s", (int)(text - bytes - 2), bytes + 2);
    size_t n = hex_bytes(hex, code, 15);
    if (n == 0 || strstr(text + 1, "rex") == text + 1 || strstr(text + 1, "fwait"))
        return; // a prefix on its own, and the one instruction that binutils takes for a part of the next
    memset(code + n, 0x90, sizeof(code) - n);
    size_t mine = pyb_x86_64_length(code, sizeof(code));
    c->seen++;
    c->unknown += mine == 0;
    if (mine != 0 && mine != n && c->wrong++ < 10)
        printf("%zu, not %zu: %s", mine, n, line);
    if (mine == 0 && c->unknown <= 10)
        printf("unknown: %s", line);
}

static struct count check_program(const char *path)
{
    char command[512], line[1024];
    struct count c = {0};
    snprintf(command, sizeof(command), "objdump -d --insn-width=15 %s", path);
    FILE *out = popen(command, "r");
    assert_non_null(out);
    while (fgets(line, sizeof(line), out))
        check_line(line, &c);
    assert_int_equal(pclose(out), 0);
    printf("%s: %lu instructions, %lu wrong, %lu unknown\n", path, c.seen, c.wrong, c.unknown);
    return c;
}

static void whole_programs(void **state)
{
    (void)state;
#if defined(__x86_64__)
    // libc has AVX, AVX512 and hand-written code.
    const char *const paths[] = {"/usr/bin/python3", "/lib/x86_64-linux-gnu/libc.so.6"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++) {
        if (access(paths[i], R_OK) != 0) {
            printf("no %s on this machine\n", paths[i]);
            continue;
        }
        struct count c = check_program(paths[i]);
        assert_true(c.seen > 10000);
        assert_int_equal(c.wrong, 0);
        assert_true(c.unknown * 1000 <= c.seen);
    }
#else
    printf("not x86_64: no programs to compare with\n");
#endif
}

static void cut_and_nonsense(void **state)
{
    (void)state;
    const uint8_t call[] = {0xe8, 1, 2, 3, 4}, prefixes[16] = {[0 ... 15] = 0x66}, none[] = {0x06};
    assert_int_equal(pyb_x86_64_length(call, 5), 5);
    for (size_t n = 0; n < 5; n++)
        assert_int_equal(pyb_x86_64_length(call, n), 0);
    assert_int_equal(pyb_x86_64_length(prefixes, 16), 0);
    assert_int_equal(pyb_x86_64_length(none, 1), 0);
    // Whatever the bytes, an instruction lies within them.
    uint8_t any[15];
    uint32_t seed = 1;
    for (int i = 0; i < 200000; i++) {
        for (size_t k = 0; k < sizeof(any); k++)
            any[k] = (uint8_t)((seed = seed * 1103515245u + 12345u) >> 16);
        size_t n = (seed >> 8) % 16;
        assert_true(pyb_x86_64_length(any, n) <= n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole_programs), cmocka_unit_test(cut_and_nonsense)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
