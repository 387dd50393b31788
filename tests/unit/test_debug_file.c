// SPDX-License-Identifier: Apache-2.0
// Separate debug files, made by gcc and objcopy: this very process is the target, a library that it loaded the module.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "memory/readers.h"
#include "symbols/debug_file.h"
#include "unit.h"

static char folder[64];

static void run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *format, ...)
{
    char command[2048];
    int n = snprintf(command, sizeof(command), "cd %s && ", folder);
    va_list args;
    va_start(args, format);
    vsnprintf(command + n, sizeof(command) - (size_t)n, format, args);
    va_end(args);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
}

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/pyb-debug-XXXXXX");
    assert_non_null(mkdtemp(folder));
    run("printf 'static __attribute__((noinline)) int hidden(int x) { return x * 3 + 1; }\\n"
        "int (*pyb_hidden(void))(int) { return hidden; }\\n' > t.c");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

typedef int hidden_fn(int);
typedef hidden_fn *get_fn(void);

// The name of `hidden` in a library that is at `path` by now; folders: where debug files are looked for.
static char *name_in(const char *path, const char *folders)
{
    static char name[256];
    struct pyb_options options = {.size = sizeof(options), .debug_folders = folders};
    struct pyb_ctx ctx;
    pyb_ctx_init(&ctx, &options);
    pyb_ctx_begin(&ctx);
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        fail_msg("%s", dlerror());
    hidden_fn *hidden = ((get_fn *)dlsym(library, "pyb_hidden"))();
    struct pyb_target t = {.ctx = &ctx, .pid = getpid(), .is_local = true};
    struct pyb_function fn;
    assert_int_equal(pyb_live_open(&ctx, getpid(), &t.mem, NULL), 0);
    assert_int_equal(pyb_modules_from_pid(&t, &t.modules, NULL), 0);
    assert_int_equal(pyb_target_function(&t, (pyb_addr)(uintptr_t)hidden + 2, &fn), 0);
    snprintf(name, sizeof(name), "%s", fn.symbol ? fn.symbol : "-");
    if (fn.symbol)
        assert_int_equal(fn.symbol_start, (uintptr_t)hidden);
    pyb_modules_free(t.modules);
    pyb_memory_destroy(t.mem);
    dlclose(library);
    return name;
}

static char *path_of(const char *file)
{
    static char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, file);
    return path;
}

static void by_build_id(void **state)
{
    (void)state;
    run("gcc -g -O1 -shared -fPIC -Wl,--build-id=0xabcdef0123 t.c -o id.so && mkdir -p d/.build-id/ab"
        " && objcopy --only-keep-debug id.so d/.build-id/ab/cdef0123.debug && strip id.so");
    char folders[256];
    snprintf(folders, sizeof(folders), "/nonexistent:%s/d", folder);
    assert_string_equal(name_in(path_of("id.so"), folders), "hidden");
    assert_string_equal(name_in(path_of("id.so"), ""), "-");
    // Another build's file under that name.
    run("gcc -g -O1 -shared -fPIC -Wl,--build-id=0xabcdef0124 t.c -o other.so"
        " && objcopy --only-keep-debug other.so d/.build-id/ab/cdef0123.debug");
    assert_string_equal(name_in(path_of("id.so"), folders), "-");
    run("rm d/.build-id/ab/cdef0123.debug && mkfifo d/.build-id/ab/cdef0123.debug");
    assert_string_equal(name_in(path_of("id.so"), folders), "-");
}

static void by_link(void **state)
{
    (void)state;
    run("gcc -g -O1 -shared -fPIC -Wl,--build-id=none t.c -o link.so && objcopy --only-keep-debug link.so link.debug"
        " && strip link.so && objcopy --add-gnu-debuglink=link.debug link.so");
    assert_string_equal(name_in(path_of("link.so"), "/nonexistent"), "hidden");
    run("mkdir -p .debug && mv link.debug .debug/");
    assert_string_equal(name_in(path_of("link.so"), "/nonexistent"), "hidden");
    run("mkdir -p e$PWD && mv .debug/link.debug e$PWD/");
    char folders[128];
    snprintf(folders, sizeof(folders), "%s/e", folder);
    assert_string_equal(name_in(path_of("link.so"), folders), "hidden");
    assert_string_equal(name_in(path_of("link.so"), "/nonexistent"), "-");
    // One bit of the file is another: its checksum is wrong.
    run("printf X | dd of=e$PWD/link.debug bs=1 seek=1000 conv=notrunc status=none");
    assert_string_equal(name_in(path_of("link.so"), folders), "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(by_build_id), cmocka_unit_test(by_link)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
