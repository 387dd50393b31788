// SPDX-License-Identifier: Apache-2.0
// Modules of live processes: what the child says of itself (dlsym, addresses of its own code) is the truth.
#include "elf_truth.h"
#include "library.h"

#include <elf.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/mount.h>

#include "memory/readers.h"

static void open_target(struct pyb_target *t, int32_t pid)
{
    struct pyb_error err = {0};
    *t = (struct pyb_target){.ctx = unit_ctx(), .pid = pid, .is_local = true};
    int rc = pyb_live_open(t->ctx, pid, &t->mem, &err);
    if (rc == 0)
        rc = pyb_modules_from_pid(t, &t->modules, &err);
    if (rc)
        fprintf(stderr, "process %d: %d: %s\n", pid, rc, err.what);
    CHECK(rc == 0);
}

static void close_target(struct pyb_target *t)
{
    pyb_modules_free(t->modules);
    pyb_memory_destroy(t->mem);
}

static void target_plain(struct child_report *r, unsigned round, void *arg)
{
    (void)arg;
    if (round == 0) {
        load_library(r, library);
        r->words[2] = (uintptr_t)&target_plain;
        r->words[3] = (uintptr_t)getauxval(AT_SYSINFO_EHDR);
        r->words[4] = (uintptr_t)getauxval(AT_PHDR);
        r->words[5] = (uintptr_t)getauxval(AT_PHNUM);
    } else {
        char path[256];
        snprintf(path, sizeof(path), "%s/later.so", dir);
        copy_file(LIBM, path);
        void *handle = dlopen(path, RTLD_NOW);
        CHECK(handle != NULL && unlink(path) == 0);
        r->words[0] = (uintptr_t)dlsym(handle, "nextafter");
    }
}

static void test_plain(void **state)
{
    (void)state;
    struct child c = child_start(target_plain, NULL);
    struct pyb_target t;
    open_target(&t, c.pid);
    check_library(&t, &c.report, library, true);
    struct pyb_module *self = pyb_modules_find(t.modules, c.report.words[2]);
    char exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    exe[n > 0 ? n : 0] = '\0';
    assert_true(self && pyb_modules_executable(t.modules));
    if (!child_is_emulated()) {
        assert_string_equal(pyb_modules_executable(t.modules)->path, exe);
        assert_ptr_equal(self, pyb_modules_executable(t.modules));
    }
    struct pyb_function f;
    assert_int_equal(pyb_target_function(&t, c.report.words[2] + 4, &f), 0);
    assert_string_equal(f.symbol, "target_plain");
    assert_null(pyb_modules_find(t.modules, 0x1000));
    assert_null(pyb_modules_find(t.modules, UINT64_MAX));
    assert_false(pyb_modules_cut(t.modules));
    // a name in no module, and one that everybody has
    struct pyb_symbol_hit hits[4];
    assert_int_equal(pyb_target_symbol(&t, "no_such_symbol_anywhere", hits, 4), 0);
    bool found = false; // the test program may be linked with libz, too: then there are two
    for (size_t i = 0, k = pyb_target_symbol(&t, "zlibVersion", hits, 4); i < k; i++)
        found = found || hits[i].addr == c.report.words[0];
    assert_true(found);
    close_target(&t);
    child_end(&c);
}

static void test_vdso(void **state)
{
    (void)state;
    if (child_is_emulated()) {
        printf("SKIP: valgrind hides the vDSO\n");
        skip();
    }
    struct child c = child_start(target_plain, NULL);
    struct pyb_target t;
    open_target(&t, c.pid);
    struct pyb_function f;
    // the vDSO has no file, and all that it has is its image
    struct pyb_module *vdso = pyb_modules_find(t.modules, c.report.words[3]);
    struct pyb_elf *elf;
    assert_true(vdso && strcmp(vdso->path, "[vdso]") == 0);
    assert_int_equal(pyb_module_elf(&t, vdso, &elf, NULL), 0);
    assert_false(pyb_elf_is_file(elf));
    struct pyb_elf_symbol s;
    assert_int_equal(pyb_elf_symbol(elf, "__vdso_clock_gettime", &s), 0);
    assert_true(vdso->bias + s.value >= vdso->start && vdso->bias + s.value < vdso->end);
    assert_int_equal(pyb_target_function(&t, vdso->bias + s.value, &f), 0);
    assert_non_null(f.symbol);
    close_target(&t);
    child_end(&c);
}

// What maps say and what the dynamic linker says is the same list.
static void test_link_map(void **state)
{
    (void)state;
    struct child c = child_start(target_plain, NULL);
    struct pyb_target t, linked;
    struct pyb_error err = {0};
    open_target(&t, c.pid);
    linked = t;
    assert_ok(pyb_modules_from_link_map(&linked, c.report.words[4], (uint32_t)c.report.words[5],
                                        &linked.modules, &err), &err);
    size_t n = pyb_modules_count(linked.modules), compared = 0;
    assert_true(n >= 4);
    for (size_t i = 0; i < n; i++) {
        struct pyb_module *mod = pyb_modules_at(linked.modules, i), *other = pyb_modules_find(t.modules,
                                                                                              mod->start);
        struct pyb_elf *elf;
        assert_non_null(other);
        if (pyb_module_elf(&t, other, &elf, NULL) == 0) {
            assert_int_equal(other->bias, mod->bias);
            compared++;
        }
    }
    assert_int_equal(compared, n);
    check_library(&linked, &c.report, library, true);
    pyb_modules_free(linked.modules);
    close_target(&t);
    child_end(&c);
}

static void test_refresh(void **state)
{
    (void)state;
    struct child c = child_start(target_plain, NULL);
    struct pyb_target t;
    bool changed = true;
    struct pyb_error err = {0};
    open_target(&t, c.pid);
    struct pyb_elf *elf = check_library(&t, &c.report, library, true)->elf;
    struct pyb_modules *list = t.modules;
    assert_ok(pyb_modules_refresh(&t, &changed, &err), &err);
    assert_false(changed);
    assert_ptr_equal(t.modules, list);
    struct child_report before = c.report;
    child_next(&c); // loads libm
    assert_ok(pyb_modules_refresh(&t, &changed, &err), &err);
    assert_true(changed);
    assert_ptr_equal(check_library(&t, &before, library, true)->elf, elf); // not opened again
    struct pyb_function f;
    assert_int_equal(pyb_target_function(&t, c.report.words[0], &f), 0);
    assert_non_null(strstr(f.module->path, "/later.so"));
    assert_true(f.module->deleted);
    close_target(&t);
    child_end(&c);
}

// The same answers from a recording, without any file or memory.
static void test_recorded(void **state)
{
    (void)state;
    struct child c = child_start(target_plain, NULL);
    struct pyb_target t, replayed;
    struct pyb_buf blob;
    struct pyb_error err = {0};
    open_target(&t, c.pid);
    check_library(&t, &c.report, library, true);
    struct pyb_elf *elf;
    struct pyb_module *mod = pyb_modules_find(t.modules, c.report.words[0]);
    assert_int_equal(pyb_module_elf(&t, mod, &elf, NULL), 0);
    struct pyb_elf_section text, again;
    assert_int_equal(pyb_elf_section(elf, ".text", &text), 0);
    pyb_buf_init(&blob, t.ctx, 0);
    assert_int_equal(pyb_modules_save(t.modules, &blob), 0);
    size_t n = pyb_modules_count(t.modules);
    close_target(&t);
    child_end(&c);
    replayed = (struct pyb_target){.ctx = unit_ctx()};
    assert_ok(pyb_modules_from_saved(&replayed, blob.data, blob.len, &replayed.modules, &err), &err);
    assert_int_equal(pyb_modules_count(replayed.modules), n);
    mod = check_library(&replayed, &c.report, library, true);
    assert_int_equal(pyb_module_elf(&replayed, mod, &elf, NULL), 0);
    assert_int_equal(pyb_elf_section(elf, ".text", &again), 0);
    assert_true(again.addr == text.addr && again.size == text.size);
    // recording the replay gives the same again
    struct pyb_buf second;
    pyb_buf_init(&second, replayed.ctx, 0);
    assert_int_equal(pyb_modules_save(replayed.modules, &second), 0);
    struct pyb_target third = {.ctx = unit_ctx()};
    assert_ok(pyb_modules_from_saved(&third, second.data, second.len, &third.modules, &err), &err);
    check_library(&third, &c.report, library, true);
    // cut short anywhere: an error, or less, no crash
    for (size_t cut = 0; cut < blob.len; cut += blob.len / 200 + 1) {
        struct pyb_modules *part;
        if (pyb_modules_from_saved(&third, blob.data, cut, &part, NULL) == 0)
            pyb_modules_free(part);
    }
    pyb_modules_free(third.modules);
    pyb_modules_free(replayed.modules);
    pyb_buf_deinit(&second);
    pyb_buf_deinit(&blob);
}

static void target_named(struct child_report *r, unsigned round, void *path)
{
    (void)round;
    load_library(r, path);
}

static void test_odd_names(void **state)
{
    (void)state;
    const char *names[] = {"with space.so", "new\nline.so", "back\\012slash.so", "looks (deleted)",
                           "ümlaut%s.so"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char path[256];
        snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
        copy_file(LIBZ, path);
        struct child c = child_start(target_named, path);
        struct pyb_target t;
        open_target(&t, c.pid);
        struct pyb_module *mod = pyb_modules_find(t.modules, c.report.words[0]);
        bool ambiguous = i == 2 || i == 3; // these texts are what the kernel writes for other names
        assert_non_null(mod);
        check_library(&t, &c.report, ambiguous ? mod->path : path, true);
        close_target(&t);
        child_end(&c);
        unlink(path);
    }
}

/** A reader without the right to follow map_files, and how the file it looks for was changed. */
struct less { struct child *target; const char *path; bool expect_file; const char *note; };

static void read_with_less(void *arg)
{
    struct less *l = arg;
    struct pyb_target t;
    child_drop_map_files();
    open_target(&t, l->target->pid);
    struct pyb_module *mod = check_library(&t, &l->target->report, l->path, l->expect_file);
    if (l->note && (!mod->elf_note || !strstr(mod->elf_note, l->note)))
        fprintf(stderr, "note: %s\n", mod->elf_note ? mod->elf_note : "none");
    CHECK(!l->note || (mod->elf_note && strstr(mod->elf_note, l->note)));
    close_target(&t);
}

static void with_changed_file(void (*change)(const char *path), bool expect_file, const char *note)
{
    if (geteuid() != 0) {
        printf("SKIP: dropping capabilities needs root\n");
        skip();
    }
    char path[256];
    snprintf(path, sizeof(path), "%s/changing.so", dir);
    copy_file(LIBZ, path);
    struct child c = child_start(target_named, path);
    change(path);
    // with all rights: the mapped file itself, by map_files
    struct pyb_target t;
    open_target(&t, c.pid);
    check_library(&t, &c.report, path, true);
    close_target(&t);
    struct less l = {&c, path, expect_file, note};
    child_run(read_with_less, &l);
    child_end(&c);
    unlink(path);
}

static void keep(const char *path)
{
    CHECK(access(path, R_OK) == 0);
}

static void delete(const char *path)
{
    CHECK(unlink(path) == 0);
}

static void replace(const char *path)
{
    char other[300];
    snprintf(other, sizeof(other), "%s.new", path);
    copy_file(LIBM, other);
    CHECK(rename(other, path) == 0);
}

static void make_fifo(const char *path)
{
    CHECK(unlink(path) == 0 && mkfifo(path, 0666) == 0);
}

static void make_link(const char *path)
{
    CHECK(unlink(path) == 0 && symlink(LIBM, path) == 0);
}

// The same build at the same name, another inode (a package reinstalled): its build-id says that it will do.
static void replace_by_same(const char *path)
{
    char other[300];
    snprintf(other, sizeof(other), "%s.new", path);
    copy_file(LIBZ, other);
    CHECK(rename(other, path) == 0);
}

static void test_unchanged(void **state)
{
    (void)state;
    with_changed_file(keep, true, NULL);
}

static void test_deleted(void **state)
{
    (void)state;
    with_changed_file(delete, false, "file deleted since it was mapped: image read from memory");
}

static void test_replaced(void **state)
{
    (void)state;
    with_changed_file(replace, false, "file replaced since it was mapped: image read from memory");
}

static void test_replaced_by_same(void **state)
{
    (void)state;
    with_changed_file(replace_by_same, true, NULL);
}

static void test_fifo(void **state)
{
    (void)state;
    with_changed_file(make_fifo, false, "image read from memory");
}

static void test_symlink(void **state)
{
    (void)state;
    // replaced, or deleted where links are not followed at all
    with_changed_file(make_link, false, "image read from memory");
}

static void target_chroot(struct child_report *r, unsigned round, void *root)
{
    (void)round;
    CHECK(chroot(root) == 0 && chdir("/") == 0);
    load_library(r, "/lib.so");
}

static void test_chroot(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        printf("SKIP: chroot needs root\n");
        skip();
    }
    char root[200], path[256];
    snprintf(root, sizeof(root), "%s/root", dir);
    snprintf(path, sizeof(path), "%s/lib.so", root);
    assert_int_equal(mkdir(root, 0755), 0);
    copy_file(LIBZ, path);
    struct child c = child_start(target_chroot, root);
    struct pyb_target t;
    open_target(&t, c.pid);
    check_library(&t, &c.report, "/lib.so", true);
    close_target(&t);
    struct less l = {&c, "/lib.so", true, NULL};
    child_run(read_with_less, &l);
    // an absolute symlink in the target's root may not lead out of it
    char outside[256];
    snprintf(outside, sizeof(outside), "%s/outside.so", dir);
    copy_file(LIBZ, outside);
    CHECK(unlink(path) == 0 && symlink(outside, path) == 0);
    struct less linked = {&c, "/lib.so", false, "image read from memory"};
    child_run(read_with_less, &linked);
    child_end(&c);
    unlink(path);
    unlink(outside);
    rmdir(root);
}

// A mount namespace of its own: the name leads to nothing, or to another file, outside.
static void target_namespace(struct child_report *r, unsigned round, void *mount_point)
{
    (void)round;
    char path[256];
    snprintf(path, sizeof(path), "%s/lib.so", (const char *)mount_point);
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", mount_point, "tmpfs", 0, NULL) != 0) {
        r->words[7] = (uint64_t)errno;
        return;
    }
    copy_file(LIBZ, path);
    load_library(r, path);
}

static void test_namespace(void **state)
{
    (void)state;
    char mount_point[200], path[256];
    snprintf(mount_point, sizeof(mount_point), "%s/ns", dir);
    snprintf(path, sizeof(path), "%s/lib.so", mount_point);
    assert_int_equal(mkdir(mount_point, 0755), 0);
    copy_file(LIBM, path); // what the observer sees there
    struct child c = child_start(target_namespace, mount_point);
    if (c.report.words[7]) {
        printf("SKIP: no mount namespace: %s\n", strerror((int)c.report.words[7]));
        child_end(&c);
        unlink(path);
        rmdir(mount_point);
        skip();
    }
    struct less l = {&c, path, true, NULL};
    child_run(read_with_less, &l);
    child_end(&c);
    unlink(path);
    rmdir(mount_point);
}

// libc's image in the memory of another process gives what its file gives.
static void test_image_equals_file(void **state)
{
    (void)state;
    struct child c = child_start(target_plain, NULL);
    struct pyb_target t;
    struct pyb_error err = {0};
    open_target(&t, c.pid);
    // forked: at the same address there
    struct pyb_module *mod = pyb_modules_find(t.modules, (uintptr_t)&getauxval);
    struct pyb_elf *file, *image;
    assert_ok(pyb_module_elf(&t, mod, &file, &err), &err);
    assert_true(pyb_elf_is_file(file));
    assert_ok(pyb_elf_open_memory(t.ctx, t.mem, mod->start, &image, &err), &err);
    assert_int_equal(pyb_elf_memory_bias(image), mod->bias);
    struct truth truth = truth_of(mod->path);
    size_t names = 0, extents = 0;
    for (size_t i = 0; i < truth.n_symbols; i += 5) {
        struct pyb_elf_symbol a, b;
        if (!truth.symbols[i].dynamic)
            continue;
        int rc = pyb_elf_symbol(file, truth.symbols[i].name, &a);
        assert_int_equal(pyb_elf_symbol(image, truth.symbols[i].name, &b), rc);
        assert_true(rc != 0 || (a.value == b.value && a.size == b.size && a.type == b.type));
        names++;
    }
    for (size_t i = 0; i < truth.n_extents; i += 3, extents++) {
        uint64_t a[2], b[2], pc = truth.extents[i].start + 1;
        int rc = pyb_elf_fde(file, pc, &a[0], &a[1]);
        assert_int_equal(pyb_elf_fde(image, pc, &b[0], &b[1]), rc);
        assert_true(a[0] == b[0] && a[1] == b[1]);
    }
    size_t n, m;
    const uint8_t *id = pyb_elf_build_id(file, &n), *other = pyb_elf_build_id(image, &m);
    assert_true(n == m && n > 0 && memcmp(id, other, n) == 0);
    assert_string_equal(pyb_elf_soname(file), pyb_elf_soname(image));
    printf("  %s: %zu names and %zu FDEs alike\n", mod->path, names, extents);
    assert_true(names > 100 && extents > 100);
    truth_free(&truth);
    pyb_elf_free(image);
    close_target(&t);
    child_end(&c);
}

// A front end's list: local files are compared, target: paths are none, without a file the image serves.
static void test_described(void **state)
{
    (void)state;
    struct child c = child_start(target_plain, NULL);
    struct pyb_target t;
    open_target(&t, c.pid);
    struct pyb_module *mod = check_library(&t, &c.report, library, true);
    pyb_addr start = mod->start, end = mod->end, bias = mod->bias;
    struct { const char *path, *local; pyb_addr start, end; bool bias_known, file; } cases[] = {
        {library, library, start, end, true, true},
        {library, library, start, end, false, true},
        {library, library, 0, 0, true, true},
        // the wrong file; the target's own name is the right one
        {library, LIBM, start, end, true, true},
        {"/not/here.so", LIBM, start, end, true, false},     // the wrong file, and no other
        {"/not/here.so", "target:/lib/x.so", start, end, true, false},
        {"/not/here.so", NULL, start, end, true, false},
        {"/not/here.so", NULL, start, end, false, false},
        {"/not/here.so", NULL, 0, 0, true, false},
        // .text only, as some front ends tell
        {"/not/here.so", NULL, c.report.words[0] & ~UINT64_C(15), end, false, false},
        {"/not/here.so", library, 0, 0, true, true},
        {library, NULL, start, end, true, true},             // not local, but the same build is here
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pyb_module_desc d = {.size = sizeof(d), .start = cases[i].start, .end = cases[i].end,
                                    .bias = bias,
                                    .bias_known = cases[i].bias_known, .path = cases[i].path, .local_path = cases[i].local};
        if (!d.bias_known)
            d.bias = 0;
        struct pyb_target described = t;
        struct pyb_error err = {0};
        assert_ok(pyb_modules_from_descs(&described, &d, 1, &described.modules, &err), &err);
        assert_int_equal(pyb_modules_count(described.modules), 1);
        struct pyb_elf *elf = check_library(&described, &c.report, cases[i].path, cases[i].file)->elf;
        // the front end tells the same again at its next stop: nothing is opened twice
        struct pyb_modules *old = described.modules;
        assert_ok(pyb_modules_from_descs(&described, &d, 1, &described.modules, &err), &err);
        pyb_modules_adopt(described.modules, old);
        pyb_modules_free(old);
        assert_ptr_equal(check_library(&described, &c.report, cases[i].path, cases[i].file)->elf, elf);
        pyb_modules_free(described.modules);
    }
    close_target(&t);
    child_end(&c);
}

static pyb_addr answer(void *ctx, const char *name)
{
    return strcmp(name, "only_the_debugger_knows") == 0 ? *(pyb_addr *)ctx : strcmp(name,
                                                                                    "undefined") == 0
                                                                                        ? UINT64_MAX : 0;
}

static void test_front_end_symbol(void **state)
{
    (void)state;
    struct child c = child_start(target_plain, NULL);
    struct pyb_target t;
    open_target(&t, c.pid);
    t.symbol = answer;
    t.symbol_ctx = &c.report.words[1];
    struct pyb_symbol_hit hit;
    assert_int_equal(pyb_target_symbol(&t, "only_the_debugger_knows", &hit, 1), 1);
    assert_int_equal(hit.addr, c.report.words[1]);
    assert_string_equal(hit.module->path, library);
    assert_int_equal(pyb_target_symbol(&t, "undefined", &hit, 1), 0);
    bool found = false;
    struct pyb_symbol_search s = {.name = "zlibVersion"};
    while (pyb_symbol_next(&t, &s, &hit))
        found = found || hit.addr == c.report.words[0];
    assert_true(found);
    close_target(&t);
    child_end(&c);
}

// No such process, one that has ended, and a kernel thread.
static void test_no_process(void **state)
{
    (void)state;
    struct pyb_target t = {.ctx = unit_ctx(), .pid = 0x3fffffff};
    struct pyb_error err = {0};
    assert_int_equal(pyb_modules_from_pid(&t, &t.modules, &err), PYB_E_NOENT);
    assert_non_null(strstr(err.what, "1073741823"));
    struct child c = child_start(target_plain, NULL);
    kill(c.pid, SIGKILL);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)c.pid, &info, WEXITED | WNOWAIT), 0);
    t.pid = c.pid; // a zombie: there, without memory
    assert_int_equal(pyb_modules_from_pid(&t, &t.modules, &err), PYB_E_GONE);
    child_end(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain), cmocka_unit_test(test_vdso), cmocka_unit_test(test_link_map), cmocka_unit_test(test_refresh),
        cmocka_unit_test(test_recorded), cmocka_unit_test(test_odd_names), cmocka_unit_test(test_unchanged),
        cmocka_unit_test(test_deleted), cmocka_unit_test(test_replaced), cmocka_unit_test(test_replaced_by_same),
        cmocka_unit_test(test_fifo), cmocka_unit_test(test_symlink), cmocka_unit_test(test_chroot),
        cmocka_unit_test(test_namespace), cmocka_unit_test(test_image_equals_file), cmocka_unit_test(test_described), cmocka_unit_test(test_front_end_symbol),
        cmocka_unit_test(test_no_process),
    };
    return cmocka_run_group_tests(tests, prepare, clean);
}
