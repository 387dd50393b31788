// SPDX-License-Identifier: Apache-2.0
/** A target that has loaded a copy of libz, and the check that we see it as it does. */
#ifndef PYB_TESTS_LIBRARY_H
#define PYB_TESTS_LIBRARY_H
#include <dlfcn.h>
#include <fcntl.h>

#include "child.h"
#include "symbols/modules.h"

#define LIBZ "/lib/x86_64-linux-gnu/libz.so.1"
#define LIBM "/lib/x86_64-linux-gnu/libm.so.6"

static char dir[] = "/tmp/pyb-unit-XXXXXX";
static char library[128]; // the copy of libz that the targets load

static inline void copy_file(const char *from, const char *to)
{
    static char chunk[1 << 16];
    (void)unlink(to); // a test that failed may have left a FIFO there
    int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
    ssize_t n;
    CHECK(in >= 0 && out >= 0);
    while ((n = read(in, chunk, sizeof(chunk))) > 0)
        CHECK(write(out, chunk, (size_t)n) == n);
    close(in);
    close(out);
}

// The library's module, opened as `file` says, with zlibVersion() and crc32() where the target has them.
static inline struct pyb_module *check_library(struct pyb_target *t, const struct child_report *r,
                                               const char *path, bool file)
{
    struct pyb_module *mod = pyb_modules_find(t->modules, r->words[0]);
    struct pyb_elf *elf;
    struct pyb_error err = {0};
    CHECK(mod != NULL);
    if (strcmp(mod->path, path) != 0)
        fprintf(stderr, "path is %s\n", mod->path);
    CHECK(strcmp(mod->path, path) == 0);
    int rc = pyb_module_elf(t, mod, &elf, &err);
    if (rc)
        fprintf(stderr, "%s: %d: %s\n", mod->path, rc, err.what);
    CHECK(rc == 0);
    if (pyb_elf_is_file(elf) != file)
        fprintf(stderr, "%s: %s\n", mod->path, mod->elf_note ? mod->elf_note : "no note");
    CHECK(pyb_elf_is_file(elf) == file);
    const char *names[] = {"zlibVersion", "crc32"};
    for (size_t i = 0; i < 2; i++) {
        struct pyb_elf_symbol s;
        struct pyb_function f;
        CHECK(pyb_elf_symbol(elf, names[i], &s) == 0 && mod->bias + s.value == r->words[i]);
        CHECK(pyb_target_function(t, r->words[i] + 1, &f) == 0 && f.symbol &&
              strcmp(f.symbol, names[i]) == 0);
        CHECK(f.fde_start == r->words[i] && f.fde_end > r->words[i] && f.offset == s.value + 1);
    }
    return mod;
}

static inline void load_library(struct child_report *r, const char *path)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        fprintf(stderr, "%s\n", dlerror());
    CHECK(handle != NULL);
    r->words[0] = (uintptr_t)dlsym(handle, "zlibVersion");
    r->words[1] = (uintptr_t)dlsym(handle, "crc32");
    CHECK(r->words[0] && r->words[1]);
}

static inline int prepare(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    chmod(dir, 0755);
    snprintf(library, sizeof(library), "%s/libcopy.so", dir);
    copy_file(LIBZ, library);
    return 0;
}

static inline int clean(void **state)
{
    (void)state;
    unlink(library);
    return rmdir(dir);
}
#endif
