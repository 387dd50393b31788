// SPDX-License-Identifier: Apache-2.0
// Real files that are cut, shrink while they are read, or carry their symbols in .gnu_debugdata.
#include "elf_truth.h"

#include <fcntl.h>
#ifdef PYB_HAVE_LZMA
#include <lzma.h>
#endif

#include "symbols/elf_image.h"

#define LIBC "/lib/x86_64-linux-gnu/libc.so.6"

static size_t read_file(const char *path, uint8_t **ret)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    size_t len = (size_t)ftell(f);
    rewind(f);
    *ret = malloc(len);
    assert_non_null(*ret);
    assert_int_equal(fread(*ret, 1, len, f), len);
    fclose(f);
    return len;
}

static void use_all(struct pyb_elf *e, const struct truth *t)
{
    struct pyb_elf_section section;
    size_t n;
    for (size_t i = 0; i < t->n_symbols; i += t->n_symbols / 20 + 1) {
        struct pyb_elf_symbol s;
        if (pyb_elf_symbol(e, t->symbols[i].name, &s) == 0)
            assert_true(t->symbols[i].defined || s.value != 0);
    }
    for (size_t i = 0; i < t->n_extents; i += t->n_extents / 20 + 1) {
        uint64_t start, end;
        if (pyb_elf_fde(e, t->extents[i].start, &start, &end) == 0) {
            assert_int_equal(start, t->extents[i].start); // right or none, never another
            assert_int_equal(end, t->extents[i].end);
        }
        const char *name = pyb_elf_symbol_covering(e, t->extents[i].start, &start);
        assert_true(!name || start <= t->extents[i].start);
    }
    (void)pyb_elf_section(e, ".text", &section);
    (void)pyb_elf_soname(e);
    (void)pyb_elf_build_id(e, &n);
}

static void test_truncated(void **state)
{
    (void)state;
    uint8_t *data;
    size_t len = read_file(LIBC, &data);
    struct truth t = truth_of(LIBC);
    unsigned opened = 0;
    srand(7);
    for (unsigned i = 0; i < 200; i++) {
        // half of them within the first 64 KiB, where the headers and .dynsym are
        size_t cut = ((size_t)rand() << 16 ^ (size_t)rand()) % (i % 2 ? len : 65536);
        struct pyb_elf *e;
        if (pyb_elf_open_fd(unit_ctx(), unit_file(data, cut), &e, NULL) != 0)
            continue;
        opened++;
        use_all(e, &t);
        pyb_elf_free(e);
    }
    printf("  200 cuts of %s, %u still have program headers\n", LIBC, opened);
    assert_true(opened > 150);
    truth_free(&t);
    free(data);
}

static void test_shrinks_while_read(void **state)
{
    (void)state;
    uint8_t *data;
    size_t len = read_file(LIBC, &data);
    struct truth t = truth_of(LIBC);
    struct pyb_elf *e;
    struct pyb_error err = {0};
    int fd = unit_file(data, len), other = dup(fd);
    assert_ok(pyb_elf_open_fd(unit_ctx(), fd, &e, &err), &err);
    struct pyb_elf_symbol s;
    assert_int_equal(pyb_elf_symbol(e, "malloc", &s), 0);
    for (size_t size = len; size > 0; size /= 4) {
        assert_int_equal(ftruncate(other, (off_t)size), 0);
        use_all(e, &t);
    }
    assert_int_equal(ftruncate(other, 0), 0);
    use_all(e, &t);
    assert_int_equal(pyb_elf_symbol(e, "malloc", &s), 0); // known already
    assert_int_not_equal(pyb_elf_symbol(e, "free", &s), 0);
    pyb_elf_free(e);
    close(other);
    truth_free(&t);
    free(data);
}

#ifdef PYB_HAVE_LZMA
static int run(const char *format, const char *dir)
{
    char command[8192];
    snprintf(command, sizeof(command), format, dir, dir, dir, dir);
    return system(command);
}

static void pack(const char *from, const char *to)
{
    uint8_t *data, *packed;
    size_t len = read_file(from, &data), bound = lzma_stream_buffer_bound(len), out = 0;
    packed = malloc(bound);
    assert_non_null(packed);
    assert_int_equal(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, data, len, packed, &out, bound),
                     LZMA_OK);
    FILE *f = fopen(to, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(packed, 1, out, f), out);
    assert_int_equal(fclose(f), 0);
    free(packed);
    free(data);
}

// As Fedora builds: a stripped program whose .gnu_debugdata has the local symbols.
static void test_debugdata(void **state)
{
    (void)state;
    char dir[] = "/tmp/pyb-unit-XXXXXX", full[64], packed[64], stripped[64];
    assert_non_null(mkdtemp(dir));
    snprintf(full, sizeof(full), "%s/full", dir);
    snprintf(packed, sizeof(packed), "%s/full.xz", dir);
    snprintf(stripped, sizeof(stripped), "%s/stripped", dir);
    assert_int_equal(run("printf 'static int __attribute__((noinline)) hidden_one(int x) { return x + 1; }\\nint seen(int x);\\n"
                         "int seen(int x) { return hidden_one(x); }\\n' | cc -x c -shared -fPIC -O1 -o %s/full -", dir), 0);
    pack(full, packed);
    assert_int_equal(run("strip -o %s/stripped %s/full && objcopy --add-section .gnu_debugdata=%s/full.xz %s/stripped", dir), 0);
    struct truth t = truth_of(full);
    struct pyb_elf *e;
    struct pyb_error err = {0};
    assert_ok(pyb_elf_open_fd(unit_ctx(), open(stripped, O_RDONLY | O_CLOEXEC), &e, &err), &err);
    unsigned checked = 0;
    for (size_t i = 0; i < t.n_symbols; i++) {
        struct pyb_elf_symbol s;
        uint64_t start;
        if (strcmp(t.symbols[i].name, "hidden_one") != 0 && strcmp(t.symbols[i].name, "seen") != 0)
            continue;
        assert_int_equal(pyb_elf_symbol(e, t.symbols[i].name, &s), 0);
        assert_int_equal(s.value, t.symbols[i].value);
        assert_string_equal(pyb_elf_symbol_covering(e, s.value + 1, &start), t.symbols[i].name);
        checked++;
    }
    assert_true(checked >= 2);
    pyb_elf_free(e);
    truth_free(&t);
    assert_int_equal(run("rm -r %s", dir), 0);
}
#else
static void test_debugdata(void **state)
{
    (void)state;
    printf("SKIP .gnu_debugdata: built without liblzma\n");
    skip();
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncated), cmocka_unit_test(test_shrinks_while_read), cmocka_unit_test(test_debugdata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
