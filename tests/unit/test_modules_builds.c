// SPDX-License-Identifier: Apache-2.0
// Programs linked in every way that moves segments about: the target prints where its function and its
// variables are.
#include "child.h"

#include <fcntl.h>

#include "memory/readers.h"
#include "symbols/modules.h"

static char dir[] = "/tmp/pyb-unit-XXXXXX";

static const char source[] =
    "#include <stdio.h>\n#include <unistd.h>\n#include <sys/auxv.h>\n"
    "int marker_data = 5; int marker_bss[5000]; static int marker_local = 7;\n"
    "__attribute__((noinline, noclone)) int marker_function(int x) { return x * marker_data + marker_local + marker_bss[x]; }\n"
    "int main(int c, char **v) { (void)v;\n"
    "  printf(\"%p %p %p %p %lx %lx\\n\", (void *)marker_function, (void *)&marker_data, (void *)marker_bss, (void *)&marker_local,\n"
    "         getauxval(3), getauxval(5));\n"
    "  fflush(stdout); marker_local += marker_function(c); pause(); return marker_local; }\n";

struct build { const char *name, *flags; bool stripped; };
static const struct build builds[] = {
    {"pie", "-pie -fPIE", false},
    {"no-pie", "-no-pie", false},
    {"static", "-static", false},
    {"static-pie", "-static-pie -fPIE", false},
    {"noseparate-code", "-pie -fPIE -Wl,-z,noseparate-code", false},
    {"separate-code", "-pie -fPIE -Wl,-z,separate-code", false},
    {"big pages", "-pie -fPIE -Wl,-z,max-page-size=0x200000", false},
    {"64k pages", "-no-pie -Wl,-z,max-page-size=0x10000 -Wl,-z,noseparate-code", false},
    {"pie with a base (prelinked)", "-pie -fPIE -Wl,-Ttext-segment=0x40000000", false},
    {"exec elsewhere", "-no-pie -Wl,-Ttext-segment=0x50000000", false},
    {"sysv hash, stripped", "-pie -fPIE -rdynamic -Wl,--hash-style=sysv -s", true},
    {"gnu hash, stripped", "-pie -fPIE -rdynamic -Wl,--hash-style=gnu -s", true},
    {"one-page program", "-pie -fPIE -Wl,-z,noseparate-code -Wl,-z,norelro -s -rdynamic", true},
};

struct started { pid_t pid; uint64_t function, data, bss, local, phdr, phnum; };

static bool compile(const struct build *b)
{
    char command[1024];
    snprintf(command, sizeof(command), "cc -x c -O1 %s -o %s/program %s/source.c 2>%s/log", b->flags, dir,
             dir, dir);
    return system(command) == 0;
}

static struct started start(void)
{
    char path[64], line[256];
    int fds[2];
    snprintf(path, sizeof(path), "%s/program", dir);
    assert_int_equal(pipe(fds), 0);
    struct started s = {.pid = fork()};
    assert_true(s.pid >= 0);
    if (s.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(fds[1], 1);
        execl(path, path, (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    FILE *f = fdopen(fds[0], "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof(line), f));
    fclose(f);
    unsigned long long v[6];
    assert_int_equal(sscanf(line, "%llx %llx %llx %llx %llx %llx", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5]),
                     6);
    s.function = v[0], s.data = v[1], s.bss = v[2], s.local = v[3], s.phdr = v[4], s.phnum = v[5];
    return s;
}

static void check_symbol(struct pyb_target *t, const char *name, uint64_t addr, bool there)
{
    struct pyb_symbol_hit hit = {0};
    assert_int_equal(pyb_target_symbol(t, name, &hit, 1), there ? 1 : 0);
    if (there)
        assert_int_equal(hit.addr, addr);
}

static void check_target(struct pyb_target *t, const struct started *s, const struct build *b)
{
    check_symbol(t, "marker_function", s->function, true);
    check_symbol(t, "marker_data", s->data, true);
    check_symbol(t, "marker_bss", s->bss, true);
    check_symbol(t, "marker_local", s->local, !b->stripped);
    struct pyb_function f;
    assert_int_equal(pyb_target_function(t, s->function + 2, &f), 0);
    assert_string_equal(f.symbol, "marker_function");
    assert_int_equal(f.fde_start, s->function);
    assert_ptr_equal(f.module, pyb_modules_executable(t->modules));
    // an anonymous page, and the program's
    assert_ptr_equal(pyb_modules_find(t->modules, s->bss + 16000), f.module);
}

// From the image in memory alone: .dynsym has the exported names only.
static void check_image(struct pyb_target *t, const struct started *s, const struct build *b)
{
    struct pyb_module *mod = pyb_modules_executable(t->modules);
    struct pyb_module_desc d = {.size = sizeof(d), .start = mod->start, .end = mod->end, .path = "/not/here"};
    struct pyb_target image = *t;
    struct pyb_error err = {0};
    assert_ok(pyb_modules_from_descs(&image, &d, 1, &image.modules, &err), &err);
    struct pyb_module *same = pyb_modules_at(image.modules, 0);
    struct pyb_elf *elf;
    assert_ok(pyb_module_elf(&image, same, &elf, &err), &err);
    assert_false(pyb_elf_is_file(elf));
    assert_int_equal(same->bias, mod->bias);
    if (b->stripped) // linked with -rdynamic
        check_symbol(&image, "marker_bss", s->bss, true);
    struct pyb_function f, file;
    assert_int_equal(pyb_target_function(&image, s->function + 2, &f), 0);
    assert_int_equal(pyb_target_function(t, s->function + 2, &file), 0);
    // static programs are linked without .eh_frame_hdr: then only the file's sections lead to .eh_frame
    struct pyb_elf_section section;
    bool hdr = pyb_elf_section(mod->elf, ".eh_frame_hdr", &section) == 0;
    assert_true(f.fde_start == (hdr ? file.fde_start : 0) && f.fde_end == (hdr ? file.fde_end : 0));
    pyb_modules_free(image.modules);
}

static void check_build(const struct build *b)
{
    struct started s = start();
    struct pyb_target t = {.ctx = unit_ctx(), .pid = s.pid, .is_local = true};
    struct pyb_error err = {0};
    assert_ok(pyb_live_open(t.ctx, s.pid, &t.mem, &err), &err);
    assert_ok(pyb_modules_from_pid(&t, &t.modules, &err), &err);
    check_target(&t, &s, b);
    check_image(&t, &s, b);
    struct pyb_target linked = t;
    assert_ok(pyb_modules_from_link_map(&linked, s.phdr, (uint32_t)s.phnum, &linked.modules, &err), &err);
    assert_int_equal(pyb_modules_executable(linked.modules)->bias, pyb_modules_executable(t.modules)->bias);
    pyb_modules_free(linked.modules);
    pyb_modules_free(t.modules);
    pyb_memory_destroy(t.mem);
    kill(s.pid, SIGKILL);
    int status;
    assert_int_equal(waitpid(s.pid, &status, 0), s.pid);
}

static void test_builds(void **state)
{
    (void)state;
    unsigned done = 0;
    for (size_t i = 0; i < sizeof(builds) / sizeof(builds[0]); i++) {
        if (!compile(&builds[i])) {
            printf("  SKIP %s: the compiler cannot link it (%s)\n", builds[i].name, builds[i].flags);
            continue;
        }
        check_build(&builds[i]);
        printf("  %s: ok\n", builds[i].name);
        done++;
    }
    assert_true(done >= 8);
}

static int prepare(void **state)
{
    (void)state;
    char path[64];
    if (!mkdtemp(dir))
        return -1;
    snprintf(path, sizeof(path), "%s/source.c", dir);
    FILE *f = fopen(path, "w");
    return f && fputs(source, f) >= 0 && fclose(f) == 0 ? 0 : -1;
}

static int clean(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof(command), "rm -r %s", dir);
    return system(command);
}

int main(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_builds)};
    return cmocka_run_group_tests(tests, prepare, clean);
}
