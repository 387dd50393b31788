// SPDX-License-Identifier: Apache-2.0
// Symbols, covering functions and FDE extents of every CPython that this machine has, against readelf.
#include "elf_truth.h"

#include <fcntl.h>
#include <glob.h>
#include <time.h>
#include <zlib.h>

#include "symbols/elf_image.h"

#define MAX_FILES 64
static struct { char name[4096]; char path[4096]; } files[MAX_FILES];
static size_t n_files;

static void add_file(const char *name, const char *path)
{
    char magic[4] = "";
    FILE *f = n_files < MAX_FILES ? fopen(path, "rb") : NULL;
    bool elf = f && fread(magic, 1, 4, f) == 4 && memcmp(magic, "\177ELF", 4) == 0;
    if (f)
        fclose(f);
    if (!elf)
        return; // python3.11-config is a script
    snprintf(files[n_files].name, sizeof(files[0].name), "%s", name);
    snprintf(files[n_files++].path, sizeof(files[0].path), "%s", path);
}

static size_t add_glob(const char *base, const char *pattern)
{
    char full[4096];
    glob_t g;
    size_t found = 0;
    snprintf(full, sizeof(full), "%s%s", base, pattern);
    if (glob(full, 0, NULL, &g) == 0) {
        for (size_t i = 0; i < g.gl_pathc; i++, found++)
            add_file(g.gl_pathv[i], g.gl_pathv[i]);
        globfree(&g);
    }
    return found;
}

// python-build-standalone as the Go module carries it: unpacked into a memfd, which stays open.
static size_t add_packed(const char *home)
{
    char full[4096], path[64];
    glob_t g;
    snprintf(full, sizeof(full),
             "%s/go/pkg/mod/github.com/kluctl/go-embed-python@*/python/internal/data/linux-amd64/bin/python3.[0-9]*.gz", home);
    if (glob(full, 0, NULL, &g) != 0)
        return 0;
    size_t n = g.gl_pathc;
    for (size_t i = 0; i < n; i++) {
        gzFile in = gzopen(g.gl_pathv[i], "rb");
        int fd = memfd_create("python", 0), got;
        static char chunk[1 << 16];
        while (in && (got = gzread(in, chunk, sizeof(chunk))) > 0)
            assert_int_equal(write(fd, chunk, (size_t)got), got);
        assert_non_null(in);
        gzclose(in);
        snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
        add_file(strstr(g.gl_pathv[i], "go-embed"), path);
    }
    globfree(&g);
    return n;
}

static void find_files(void)
{
    const char *home = getenv("HOME") ? getenv("HOME") : "/root", *set = getenv("PYBRAID_CACHE");
    char cache[4096];
    snprintf(cache, sizeof(cache), "%s%s", set ? set : home, set ? "" : "/.cache/pybraid");
    add_file("libc", "/lib/x86_64-linux-gnu/libc.so.6");
    add_glob("", "/usr/bin/python3.[0-9]*");
    if (!add_glob(home, "/.pyenv/versions/*/lib/libpython*.so.1.0"))
        printf("SKIP pyenv's libpythons: none in %s/.pyenv\n", home);
    bool sid = add_glob(cache, "/sid/usr/bin/python3.*[0-9d]") > 0;
    if (!add_glob(cache, "/sid/usr/lib/x86_64-linux-gnu/libpython3.*.so.1.0") || !sid)
        printf("SKIP Debian's rolling interpreters: no %s/sid (`make pythons` fetches it)\n", cache);
    if (!add_packed(home) && !add_glob(cache, "/pbs-*/bin/python3.*[0-9]"))
        printf("SKIP python-build-standalone: neither its Go module nor %s/pbs-*\n", cache);
    add_glob(cache, "/pbs-*/lib/libpython3.*.so.1.0");
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static struct pyb_elf *open_file(const char *path)
{
    struct pyb_elf *e;
    struct pyb_error err = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_ok(pyb_elf_open_fd(unit_ctx(), fd, &e, &err), &err);
    return e;
}

// Some value that readelf has for a definition of the name; *ret_defined tells whether there is any.
static bool has_value(const struct truth *t, const char *name, uint64_t value, bool *ret_defined)
{
    *ret_defined = false;
    bool same = false;
    for (size_t i = 0; i < t->n_symbols; i++) {
        if (!t->symbols[i].defined || strcmp(t->symbols[i].name, name) != 0)
            continue;
        *ret_defined = true;
        same = same || t->symbols[i].value == value;
    }
    return same;
}

static size_t check_names(struct pyb_elf *e, const struct truth *t)
{
    size_t checked = 0, step = t->n_symbols / 400 + 1;
    for (size_t i = 0; i < t->n_symbols; i += step) {
        const char *name = t->symbols[i].name;
        struct pyb_elf_symbol s;
        bool defined;
        int rc = pyb_elf_symbol(e, name, &s);
        bool same = has_value(t, name, s.value, &defined);
        if (defined ? rc != 0 || !same : rc != PYB_E_NOTFOUND)
            fail_msg("%s: code %d, value %llx; readelf: %s", name, rc, (unsigned long long)s.value,
                     defined ? "another value" : "not defined");
        checked++;
    }
    struct pyb_elf_symbol s;
    assert_int_equal(pyb_elf_symbol(e, "no_such_symbol_anywhere", &s), PYB_E_NOTFOUND);
    assert_int_equal(pyb_elf_symbol(e, "", &s), PYB_E_NOTFOUND);
    return checked;
}

static void check_covering(struct pyb_elf *e, const struct truth *t, uint64_t addr)
{
    uint64_t start, want = 0;
    bool any = false, named = false;
    const char *name = pyb_elf_symbol_covering(e, addr, &start);
    for (size_t i = 0; i < t->n_symbols; i++) {
        const struct truth_symbol *s = &t->symbols[i];
        if (!s->function || s->dynamic == t->has_symtab || addr < s->value ||
            addr - s->value >= (s->size ? s->size : 1))
            continue;
        if (!any || s->value > want) {
            named = false;
            want = s->value;
        }
        any = true;
        named = named || (s->value == want && name && strncmp(s->name, name, 255) == 0);
    }
    if (any != (name != NULL) || (any && (start != want || !named)))
        fail_msg("%llx: %s at %llx; readelf: %s at %llx", (unsigned long long)addr, name ? name : "none",
                 (unsigned long long)start, any ? "another" : "none", (unsigned long long)want);
}

static size_t check_functions(struct pyb_elf *e, const struct truth *t)
{
    size_t checked = 0, step = t->n_symbols / 200 + 1;
    for (size_t i = 0; i < t->n_symbols; i += step) {
        const struct truth_symbol *s = &t->symbols[i];
        if (!s->defined)
            continue;
        uint64_t at[] = {s->value, s->value + s->size / 2, s->value + s->size};
        for (size_t k = 0; k < 3; k++, checked++)
            check_covering(e, t, at[k]);
    }
    return checked;
}

// As every unwinder does, the last FDE that starts at or below addr decides. BOLT leaves a function's old FDE
// beside one of 5 bytes for its patched entry: .eh_frame_hdr lists one of the two, and the rest of the old
// code never runs.
static void check_extent(struct pyb_elf *e, const struct truth *t, uint64_t addr)
{
    uint64_t start, end, last = 0;
    int rc = pyb_elf_fde(e, addr, &start, &end);
    bool any = false, same = false, several = false;
    for (size_t i = 0; i < t->n_extents && t->extents[i].start <= addr; i++) {
        several = t->extents[i].start == last;
        if (!several)
            any = same = false;
        last = t->extents[i].start;
        if (addr >= t->extents[i].end)
            continue;
        any = true;
        same = same || (rc == 0 && t->extents[i].start == start && t->extents[i].end == end);
    }
    if (any ? !same && !(several && rc == PYB_E_NOTFOUND) : rc != PYB_E_NOTFOUND)
        fail_msg("%llx: code %d, FDE %llx..%llx; readelf has %s", (unsigned long long)addr, rc,
                 (unsigned long long)start,
                 (unsigned long long)end, any ? "another" : "none");
}

static size_t check_extents(struct pyb_elf *e, const struct truth *t)
{
    size_t checked = 0, step = t->n_extents / 1000 + 1;
    for (size_t i = 0; i < t->n_extents; i += step) {
        const struct truth_extent *x = &t->extents[i];
        uint64_t at[] = {x->start, x->start + (x->end - x->start) / 2, x->end - 1, x->end, x->start - 1};
        for (size_t k = 0; k < 5; k++, checked++)
            check_extent(e, t, at[k]);
    }
    return checked;
}

static void print_times(const char *path, const struct truth *t)
{
    struct pyb_elf_symbol s;
    double begin = now_us();
    struct pyb_elf *e = open_file(path);
    int rc = pyb_elf_symbol(e, "_PyRuntime", &s);
    double found = now_us();
    uint64_t start, end;
    size_t n = 0, step = t->n_extents / 100 + 1;
    for (size_t i = 0; i < t->n_extents; i += step, n++)
        (void)pyb_elf_fde(e, t->extents[i].start, &start, &end); // the time is asked for, not the answer
    double looked = now_us();
    printf("    open and _PyRuntime (%s): %.0f us; FDE: %.1f us each of %zu\n",
           rc == 0 ? "found" : "not there", found - begin,
           n ? (looked - found) / (double)n : 0, t->n_extents);
    pyb_elf_free(e);
}

static void test_all_files(void **state)
{
    (void)state;
    assert_true(n_files >= 1);
    for (size_t i = 0; i < n_files; i++) {
        struct truth t = truth_of(files[i].path);
        struct pyb_elf *e = open_file(files[i].path);
        size_t names = check_names(e, &t), functions = check_functions(e, &t), extents = check_extents(e, &t);
        printf("  %s: %zu names, %zu addresses, %zu FDE look-ups, no difference\n", files[i].name, names,
               functions, extents);
        print_times(files[i].path, &t);
        assert_true(names > 0 && extents > 0);
        pyb_elf_free(e);
        truth_free(&t);
    }
}

static void check_ids(const char *path)
{
    struct pyb_elf *e = open_file(path);
    FILE *f = truth_run("readelf -W -n -d -S", path);
    char line[4096], want_id[160] = "", want_name[1024] = "", id[160] = "";
    unsigned long long runtime = 0;
    while (fgets(line, sizeof(line), f)) {
        const char *id_text = strstr(line, "Build ID: ");
        if (id_text)
            (void)sscanf(id_text, "Build ID: %159s", want_id);
        const char *soname = strstr(line, "Library soname: [");
        if (soname)
            (void)sscanf(soname, "Library soname: [%1023[^]]", want_name);
        const char *section = strstr(line, " .PyRuntime ");
        if (section)
            (void)sscanf(section, " .PyRuntime %*s %llx", &runtime);
    }
    assert_int_equal(pclose(f), 0);
    size_t n;
    const uint8_t *bytes = pyb_elf_build_id(e, &n);
    for (size_t i = 0; i < n; i++)
        snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    assert_string_equal(id, want_id);
    const char *soname = pyb_elf_soname(e);
    assert_string_equal(soname ? soname : "", want_name);
    struct pyb_elf_section s = {0};
    assert_int_equal(pyb_elf_section(e, ".PyRuntime", &s), runtime ? 0 : PYB_E_NOTFOUND);
    assert_int_equal(s.addr, runtime);
    pyb_elf_free(e);
}

static void test_ids(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_files; i++)
        check_ids(files[i].path);
}

// A file without section headers (sstrip), and one without .eh_frame_hdr's segment: less to go by, the same
// answers.
static void test_without_sections(void **state)
{
    (void)state;
    struct truth t = truth_of(files[0].path);
    int in = open(files[0].path, O_RDONLY | O_CLOEXEC), out = memfd_create("cut", MFD_CLOEXEC);
    static char chunk[1 << 16];
    ssize_t n;
    while ((n = read(in, chunk, sizeof(chunk))) > 0)
        assert_int_equal(write(out, chunk, (size_t)n), n);
    close(in);
    uint64_t zero = 0;
    assert_int_equal(pwrite(out, &zero, 8, 40), 8); // e_shoff
    struct pyb_elf *e;
    struct pyb_error err = {0};
    assert_ok(pyb_elf_open_fd(unit_ctx(), out, &e, &err), &err);
    struct pyb_elf_section s;
    assert_int_equal(pyb_elf_section(e, ".text", &s), PYB_E_NOTFOUND);
    size_t names = 0;
    for (size_t i = 0; i < t.n_symbols; i += 7) {
        struct pyb_elf_symbol symbol;
        bool defined;
        if (!t.symbols[i].dynamic || !t.symbols[i].defined)
            continue;
        assert_int_equal(pyb_elf_symbol(e, t.symbols[i].name, &symbol), 0);
        assert_true(has_value(&t, t.symbols[i].name, symbol.value, &defined));
        names++;
    }
    assert_true(names > 10 && check_extents(e, &t) > 10);
    pyb_elf_free(e);
    truth_free(&t);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    find_files();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_files),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_without_sections),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
