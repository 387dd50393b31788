// SPDX-License-Identifier: Apache-2.0
/** What binutils say of an ELF file: symbols and FDE extents, read from readelf's text. */
#ifndef PYB_TESTS_ELF_TRUTH_H
#define PYB_TESTS_ELF_TRUTH_H
#include "unit.h"

struct truth_symbol { uint64_t value, size; char name[256]; bool dynamic, defined, function; };
struct truth_extent { uint64_t start, end; };
struct truth {
    struct truth_symbol *symbols;
    size_t n_symbols, cap_symbols;
    struct truth_extent *extents; // sorted by start
    size_t n_extents, cap_extents;
    bool has_symtab;
};

static inline void *truth_grow(void *p, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return p;
    *cap = *cap ? *cap * 2 : 1024;
    p = realloc(p, *cap * size);
    assert_non_null(p);
    return p;
}

static inline FILE *truth_run(const char *command, const char *path)
{
    char line[4600];
    snprintf(line, sizeof(line), "%s '%s' 2>/dev/null", command, path);
    FILE *f = popen(line, "r");
    assert_non_null(f);
    return f;
}

static inline void truth_symbols(struct truth *t, const char *path)
{
    FILE *f = truth_run("readelf -W -s -wN", path);
    char line[4096];
    bool dynamic = false;
    while (fgets(line, sizeof(line), f)) {
        if (strncmp(line, "Symbol table", 12) == 0) {
            dynamic = strstr(line, ".dynsym") != NULL;
            t->has_symtab = t->has_symtab || strstr(line, ".symtab");
        }
        char size[32], type[16], bind[16], vis[16], ndx[16];
        struct truth_symbol s = {.dynamic = dynamic};
        unsigned long long value;
        if (sscanf(line, " %*d: %llx %31s %15s %15s %15s %15s %255s", &value, size, type, bind, vis, ndx,
                   s.name) != 7)
            continue;
        char *at = strchr(s.name, '@');
        if (at && at > s.name)
            *at = '\0';
        if (!strcmp(type, "FILE") || !strcmp(type, "SECTION"))
            continue;
        s.value = value;
        s.size = strtoull(size, NULL, 0);
        s.defined = ndx[0] >= '0' && ndx[0] <= '9';
        s.function = s.defined && (!strcmp(type, "FUNC") || !strcmp(type, "IFUNC"));
        t->symbols = truth_grow(t->symbols, t->n_symbols, &t->cap_symbols, sizeof(s));
        t->symbols[t->n_symbols++] = s;
    }
    assert_int_equal(pclose(f), 0);
}

static inline int truth_compare(const void *left, const void *right)
{
    const struct truth_extent *a = left, *b = right;
    return a->start < b->start ? -1 : a->start > b->start;
}

static inline void truth_extents(struct truth *t, const char *path)
{
    FILE *f = truth_run("readelf -W -wF -wN", path);
    char line[4096];
    while (fgets(line, sizeof(line), f)) {
        const char *pc = strstr(line, " FDE ") ? strstr(line, "pc=") : NULL;
        unsigned long long start, end;
        if (!pc || sscanf(pc, "pc=%llx..%llx", &start, &end) != 2 || start >= end)
            continue;
        t->extents = truth_grow(t->extents, t->n_extents, &t->cap_extents, sizeof(*t->extents));
        t->extents[t->n_extents++] = (struct truth_extent){start, end};
    }
    assert_int_equal(pclose(f), 0);
    if (t->n_extents)
        qsort(t->extents, t->n_extents, sizeof(*t->extents), truth_compare);
}

static inline struct truth truth_of(const char *path)
{
    struct truth t = {0};
    truth_symbols(&t, path);
    truth_extents(&t, path);
    return t;
}

static inline void truth_free(struct truth *t)
{
    free(t->symbols);
    free(t->extents);
}
#endif
