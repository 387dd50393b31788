// SPDX-License-Identifier: Apache-2.0
// Modules of core files that the kernel writes, with different coredump_filters, and files that changed
// since.
#include "library.h"

#include <glob.h>
#include <sys/resource.h>

#include "memory/corefile.h"

static char other_program[160];

// The core's folder is `dir`; `filter` as in core(5).
static void target_crash(struct child_report *r, unsigned round, void *filter)
{
    (void)round;
    struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
    CHECK(chdir(dir) == 0 && setrlimit(RLIMIT_CORE, &all) == 0);
    FILE *f = fopen("/proc/self/coredump_filter", "w");
    CHECK(f && fputs(filter, f) > 0 && fclose(f) == 0);
    load_library(r, library);
    r->words[2] = (uintptr_t)&target_crash;
}

static bool cores_are_files(void)
{
    char pattern[256] = "";
    if (child_is_emulated()) {
        printf("SKIP: under valgrind cores are valgrind's own\n");
        return false;
    }
    FILE *f = fopen("/proc/sys/kernel/core_pattern", "r");
    if (f) {
        (void)!fgets(pattern, sizeof(pattern), f);
        fclose(f);
    }
    if (pattern[0] != '|' && !strchr(pattern, '/'))
        return true;
    printf("SKIP: cores go elsewhere: core_pattern is %s", pattern);
    return false;
}

// Path of a core of a target that had the library loaded; its report in *r.
static const char *make_core(const char *filter, struct child_report *r)
{
    static char path[4096];
    struct child c = child_start(target_crash, (void *)(uintptr_t)filter);
    *r = c.report;
    kill(c.pid, SIGABRT);
    int status;
    assert_int_equal(waitpid(c.pid, &status, 0), c.pid);
    assert_true(WIFSIGNALED(status) && WCOREDUMP(status));
    close(c.from);
    close(c.to);
    char pattern[128];
    glob_t g;
    snprintf(pattern, sizeof(pattern), "%s/core*", dir);
    assert_int_equal(glob(pattern, 0, NULL, &g), 0);
    snprintf(path, sizeof(path), "%s", g.gl_pathv[0]);
    globfree(&g);
    return path;
}

static void open_core(struct pyb_target *t, const char *core, const char *exe)
{
    struct pyb_error err = {0};
    *t = (struct pyb_target){.ctx = unit_ctx(), .is_core = true};
    assert_ok(pyb_core_open(t->ctx, core, &t->mem, &err), &err);
    assert_ok(pyb_modules_from_core(t, pyb_core_facts(t->mem), exe, &t->modules, &err), &err);
}

static void close_core(struct pyb_target *t)
{
    pyb_modules_free(t->modules);
    pyb_memory_destroy(t->mem);
}

// Code of the library, which the core does not have, is the file's after backing.
static void check_backed(struct pyb_target *t, const struct child_report *r)
{
    uint8_t core_bytes[64], file_bytes[64];
    struct pyb_error err = {0};
    struct pyb_module *mod = pyb_modules_find(t->modules, r->words[0]);
    struct pyb_elf *elf;
    size_t n;
    assert_int_equal(pyb_module_elf(t, mod, &elf, NULL), 0);
    assert_ok(pyb_elf_read(elf, r->words[0] - mod->bias, file_bytes, sizeof(file_bytes), &n, &err), &err);
    assert_int_equal(n, sizeof(file_bytes));
    assert_int_not_equal(pyb_read_bytes(t->mem, r->words[0], core_bytes, sizeof(core_bytes), &err), 0);
    assert_int_equal(pyb_modules_back_core(t, &err), 0);
    assert_ok(pyb_read_bytes(t->mem, r->words[0], core_bytes, sizeof(core_bytes), &err), &err);
    assert_memory_equal(core_bytes, file_bytes, sizeof(core_bytes));
}

static void test_default_filter(void **state)
{
    (void)state;
    struct child_report r;
    struct pyb_target t;
    if (!cores_are_files())
        skip();
    const char *core = make_core("0x33", &r);
    open_core(&t, core, NULL);
    check_library(&t, &r, library, true);
    assert_ptr_equal(pyb_modules_find(t.modules, r.words[2]), pyb_modules_executable(t.modules));
    check_backed(&t, &r);
    close_core(&t);
    unlink(core);
}

static void test_given_program(void **state)
{
    (void)state;
    struct child_report r;
    struct pyb_target t;
    struct pyb_elf *elf;
    if (!cores_are_files())
        skip();
    const char *core = make_core("0x33", &r);
    char exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    exe[n > 0 ? n : 0] = '\0';
    open_core(&t, core, exe);
    struct pyb_module *mod = pyb_modules_executable(t.modules);
    assert_int_equal(pyb_module_elf(&t, mod, &elf, NULL), 0);
    assert_null(mod->elf_note);
    close_core(&t);
    open_core(&t, core, other_program); // not the one that crashed: said, and not used
    mod = pyb_modules_executable(t.modules);
    assert_int_equal(pyb_module_elf(&t, mod, &elf, NULL), 0);
    assert_non_null(mod->elf_note);
    assert_non_null(strstr(mod->elf_note, "is not this core's program"));
    struct pyb_function f;
    assert_int_equal(pyb_target_function(&t, r.words[2] + 4, &f), 0);
    assert_string_equal(f.symbol, "target_crash");
    close_core(&t);
    unlink(core);
}

static void with_change(void (*change)(void), const char *filter, bool file, const char *note)
{
    struct child_report r;
    struct pyb_target t;
    struct pyb_elf *elf;
    struct pyb_error err = {0};
    if (!cores_are_files())
        skip();
    const char *core = make_core(filter, &r);
    change();
    open_core(&t, core, NULL);
    struct pyb_module *mod = pyb_modules_find(t.modules, r.words[0]);
    assert_string_equal(mod->path, library);
    int rc = pyb_module_elf(&t, mod, &elf, &err);
    if (file)
        check_library(&t, &r, library, true);
    else if (rc == 0)
        assert_false(pyb_elf_is_file(elf));
    if (note) {
        assert_non_null(mod->elf_note);
        assert_non_null(strstr(mod->elf_note, note));
    }
    assert_true(pyb_modules_back_core(&t, &err) >= 1);
    uint8_t byte;
    assert_int_not_equal(pyb_read_bytes(t.mem, r.words[0], &byte, 1, &err), 0); // no page of an unproven file
    close_core(&t);
    unlink(core);
    copy_file(LIBZ, library);
}

static void nothing(void)
{
}

static void replace(void)
{
    CHECK(unlink(library) == 0);
    copy_file(LIBM, library);
}

static void delete(void)
{
    CHECK(unlink(library) == 0);
}

static void test_replaced(void **state)
{
    (void)state;
    with_change(replace, "0x33", false, "the file on this host is another build: image read from the core");
}

static void test_deleted(void **state)
{
    (void)state;
    with_change(delete, "0x33", false, "file not on this host: image read from the core");
}

// Without bit 4 the core lacks the pages that would prove the file: symbols with a note, no pages.
static void test_without_headers(void **state)
{
    (void)state;
    with_change(nothing, "0x23", true, "file not compared");
}

static void test_truncated(void **state)
{
    (void)state;
    struct child_report r;
    if (!cores_are_files())
        skip();
    const char *core = make_core("0x33", &r);
    struct stat st;
    assert_int_equal(stat(core, &st), 0);
    unsigned opened = 0;
    srand(3);
    for (unsigned i = 0; i < 200; i++) {
        off_t size = (off_t)(((uint64_t)rand() << 16 ^ (uint64_t)rand()) % (uint64_t)st.st_size);
        char cut[200];
        snprintf(cut, sizeof(cut), "%s/cut", dir);
        copy_file(core, cut);
        assert_int_equal(truncate(cut, size), 0);
        struct pyb_target t = {.ctx = unit_ctx(), .is_core = true};
        if (pyb_core_open(t.ctx, cut, &t.mem, NULL) == 0) {
            struct pyb_symbol_hit hit;
            if (pyb_modules_from_core(&t, pyb_core_facts(t.mem), NULL, &t.modules, NULL) == 0) {
                (void)pyb_target_symbol(&t, "zlibVersion", &hit, 1);
                assert_true(pyb_modules_back_core(&t, NULL) >= 0);
                opened++;
            }
            close_core(&t);
        }
        unlink(cut);
        if (i % 10 == 9)
            st.st_size = st.st_size * 3 / 4 + 1; // later cuts fall nearer to the start
    }
    printf("  200 cuts of a core, %u of them still have modules\n", opened);
    assert_true(opened > 10);
    unlink(core);
}

static int prepare_core(void **state)
{
    int rc = prepare(state);
    snprintf(other_program, sizeof(other_program), "%s/other", dir);
    copy_file("/bin/true", other_program);
    return rc;
}

static int clean_core(void **state)
{
    unlink(other_program);
    return clean(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_filter), cmocka_unit_test(test_given_program), cmocka_unit_test(test_replaced),
        cmocka_unit_test(test_deleted), cmocka_unit_test(test_without_headers), cmocka_unit_test(test_truncated),
    };
    return cmocka_run_group_tests(tests, prepare_core, clean_core);
}
