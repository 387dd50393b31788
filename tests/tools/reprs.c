// SPDX-License-Identifier: Apache-2.0
// reprs PID FILE: compares pyb_repr() of each value with what the target's own repr() printed. FILE: lines
// "address hex-of-text origin". reprs PID ADDRESS [verbose]: prints one, with the default limits. Exit 0; 1
// when a value differs; 2 when nothing could be compared.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pybraid.h"

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static char *unhex(const char *hex)
{
    size_t n = strcmp(hex, "-") == 0 ? 0 : strlen(hex) / 2;
    char *text = calloc(1, n + 1);
    for (size_t i = 0; text && i < n; i++)
        text[i] = (char)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    return text;
}

// Around the first difference.
static void print_difference(const char *origin, unsigned long long addr, const char *wanted, const char *got)
{
    size_t i = 0;
    while (wanted[i] && wanted[i] == got[i])
        i++;
    size_t from = i > 40 ? i - 40 : 0;
    printf("differs: %s at 0x%llx, byte %zu\n  target  %.120s\n  pybraid %.120s\n", origin, addr, i,
           wanted + from, got + from);
}

static int print_one(struct pyb_session *s, const char *addr, bool verbose)
{
    struct pyb_read_options options = {.size = sizeof options, .flags = verbose ? PYB_READ_VERBOSE : 0};
    struct pyb_error err = {0};
    const char *text;
    if (pyb_repr(s, strtoull(addr, NULL, 16), &options, &text, &err) != 0) {
        fprintf(stderr, "%s\n", err.what);
        return 2;
    }
    puts(text);
    return 0;
}

static int compare(struct pyb_session *s, FILE *file)
{
    struct pyb_read_options options = {
        .size = sizeof options, .repr_length = UINT32_MAX, .repr_depth = UINT32_MAX,
            .repr_items = UINT32_MAX};
    size_t compared = 0, different = 0, cap = 0;
    char *line = NULL;
    for (ssize_t n; (n = getline(&line, &cap, file)) > 0;) {
        line[strcspn(line, "\n")] = '\0';
        char *rest = line, *addr = strsep(&rest, " "), *hex = strsep(&rest, " ");
        if (!hex || !rest)
            break;
        char *wanted = unhex(hex);
        if (!wanted)
            break;
        const char *got = NULL;
        struct pyb_error err = {0};
        unsigned long long at = strtoull(addr, NULL, 16);
        if (pyb_repr(s, at, &options, &got, &err) != 0)
            got = err.what;
        compared++;
        if (strcmp(wanted, got) != 0 && ++different <= 40)
            print_difference(rest, at, wanted, got);
        free(wanted);
    }
    free(line);
    printf("compared=%zu different=%zu\n", compared, different);
    return compared == 0 ? 2 : different != 0;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: %s PID FILE|ADDRESS [verbose]\n", argv[0]);
        return 2;
    }
    struct pyb_session *s;
    struct pyb_error err = {0};
    if (pyb_session_new(NULL, &s, &err) != 0 || pyb_open_pid(s, atoi(argv[1]), &err) != 0) {
        fprintf(stderr, "%s\n", err.what);
        return 2;
    }
    FILE *file = fopen(argv[2], "r");
    int code = file ? compare(s, file) : print_one(s, argv[2], argc > 3);
    if (file)
        fclose(file);
    pyb_session_free(s);
    return code;
}
