// SPDX-License-Identifier: Apache-2.0
// Compares the line table decoders, at every instruction, with what an interpreter says (export_lines.py).
// usage: check_lines FILE: prints "codes=N offsets=N differences=N"; exit 0 only without differences.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "interp/code.h"

#define MAGIC 0x0BADC0DE

struct input {
    FILE *file;
    const char *name;
};

static void die(const struct input *in, const char *what)
{
    fprintf(stderr, "check_lines: %s: %s\n", in->name, what);
    exit(2);
}

static void get(struct input *in, void *buf, size_t n)
{
    if (n && fread(buf, n, 1, in->file) != 1)
        die(in, "ends early");
}

static int32_t get_int(struct input *in)
{
    int32_t v;
    get(in, &v, sizeof v);
    return v;
}

static void decode(int format, const uint8_t *table, size_t len, int32_t first, int32_t lasti,
                   struct pyb_position *ret)
{
    if (format == 4)
        pyb_lines_locations(table, len, first, lasti, ret);
    else if (format == 3)
        pyb_lines_linetable310(table, len, first, lasti, ret);
    else
        pyb_lines_lnotab(table, len, first, lasti, format == 2, ret);
}

// One code object; the number of offsets that differ.
static uint64_t check(struct input *in, int format, int step, int32_t first, uint64_t *offsets)
{
    int32_t len = get_int(in);
    if (len < 0)
        die(in, "negative length");
    size_t padded = ((size_t)len + 3) & ~(size_t)3;
    uint8_t *table = malloc(padded + 1);
    if (!table)
        die(in, strerror(errno));
    get(in, table, padded);
    uint64_t wrong = 0;
    int32_t offset = 0;
    for (int32_t runs = get_int(in); runs > 0; runs--) {
        int32_t run[5];
        get(in, run, sizeof run);
        for (; offset < run[0]; offset += step, ++*offsets) {
            struct pyb_position p;
            decode(format, table, (size_t)len, first, offset, &p);
            int32_t seen[] = {p.line, p.end_line, p.column, p.end_column};
            if (!memcmp(seen, run + 1, sizeof seen))
                continue;
            if (!wrong++)
                fprintf(stderr, "first line %d, offset %d: %d-%d:%d-%d, the interpreter says %d-%d:%d-%d\n",
                        first, offset, seen[0], seen[1], seen[2], seen[3], run[1], run[2], run[3], run[4]);
        }
    }
    free(table);
    return wrong;
}

int main(int argc, char **argv)
{
    struct input in = {.name = argc == 2 ? argv[1] : "usage: check_lines FILE"};
    in.file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    if (!in.file)
        die(&in, argc == 2 ? strerror(errno) : "one argument");
    if (get_int(&in) != MAGIC)
        die(&in, "not a file of export_lines.py");
    int format = get_int(&in), step = get_int(&in);
    if (format < 1 || format > 4 || step < 1)
        die(&in, "unknown format");
    uint64_t codes = 0, offsets = 0, wrong = 0;
    int32_t first;
    while (fread(&first, sizeof first, 1, in.file) == 1) {
        wrong += check(&in, format, step, first, &offsets);
        codes++;
    }
    if (ferror(in.file))
        die(&in, "read error");
    fclose(in.file);
    printf("codes=%llu offsets=%llu differences=%llu\n", (unsigned long long)codes,
           (unsigned long long)offsets, (unsigned long long)wrong);
    return wrong || !codes;
}
