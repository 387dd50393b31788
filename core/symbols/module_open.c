// SPDX-License-Identifier: Apache-2.0
/*
 * From a module to its ELF object: the file that is really mapped, else the image in the target's memory, and
 * a note that says why.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/error.h"
#include "symbols/maps.h"
#include "symbols/modules_internal.h"

#define MAX_BACK 512u // pages below a described start, which may be that of .text, to look for the ELF header

/** One module being opened. */
struct opening {
    struct pyb_target *t;
    struct pyb_modules *m;
    size_t index;
    struct pyb_module *mod;
    struct pyb_module_file *file;
    struct pyb_error why;      // of the last file that was no good
    bool regular;              // a regular file was there, and is not what is mapped
    bool not_elf;              // the mapped file itself is no ELF object: memory holds nothing better
};

enum trust { TRUST_IF_SAME, TRUST_UNLESS_DIFFERENT };

static bool same_inode(const struct opening *o, int fd)
{
    struct stat st;
    return o->file->inode && fstat(fd, &st) == 0 && st.st_ino == o->file->inode &&
           major(st.st_dev) == o->file->dev_major && minor(st.st_dev) == o->file->dev_minor;
}

static int find_bias(const struct opening *o, const struct pyb_elf *elf, pyb_addr *ret)
{
    if (o->mod->bias_known) {
        *ret = o->mod->bias;
        return 0;
    }
    if (o->mod->n_mappings)
        return pyb_module_bias(o->m, o->index, elf, ret);
    for (size_t i = 0; i < elf->n_segments && o->file->ehdr; i++) {
        const struct pyb_elf_segment *s = &elf->segments[i];
        if (s->offset == 0 && s->filesz > 0) {
            *ret = o->file->ehdr - s->vaddr;
            return *ret == 0 || elf->type != ET_EXEC ? 0 : PYB_E_UNSUPPORTED;
        }
    }
    return PYB_E_UNSUPPORTED;
}

// Where the file's first page must be in memory, if it is mapped at all.
static pyb_addr expected_ehdr(const struct opening *o, const struct pyb_elf *elf, pyb_addr bias)
{
    for (size_t i = 0; i < elf->n_segments; i++) {
        if (elf->segments[i].offset == 0 && elf->segments[i].filesz > 0)
            return bias + elf->segments[i].vaddr;
    }
    return o->file->ehdr;
}

static int check_kind(const struct opening *o, const struct pyb_elf *elf, const char *path,
                      struct pyb_error *err)
{
    const struct pyb_memory *mem = o->t->mem;
    if (!mem || (elf->ptr_size == mem->ptr_size && (mem->machine == 0 || elf->machine == mem->machine)))
        return 0;
    return pyb_fail(err, PYB_E_UNSUPPORTED, "%s is for machine %u (%u-bit), the target's is %u (%u-bit)",
                    path, elf->machine,
                    elf->ptr_size * 8u, mem->machine, mem->ptr_size * 8u);
}

static enum pyb_same compare(const struct opening *o, struct pyb_elf *elf, bool mapped, pyb_addr bias)
{
    pyb_addr ehdr = mapped ? expected_ehdr(o, elf, bias) : o->file->ehdr;
    return o->t->mem && ehdr ? pyb_elf_compare(elf, o->t->mem, ehdr) : PYB_SAME_UNKNOWN;
}

// Takes fd. True when the file is the module's: then the module is open.
static bool accept_file(struct opening *o, int fd, const char *path, enum trust trust)
{
    bool inode = same_inode(o, fd);
    struct pyb_elf *elf;
    int rc = pyb_elf_open_fd(o->m->ctx, fd, &elf, &o->why);
    if (rc) {
        o->not_elf = o->not_elf || inode;
        return false;
    }
    o->regular = true;
    pyb_addr bias = 0;
    rc = check_kind(o, elf, path, &o->why);
    int no_bias = rc ? rc : find_bias(o, elf, &bias);
    enum pyb_same same = rc ? PYB_DIFFERENT : inode ? PYB_SAME : compare(o, elf, no_bias == 0, bias);
    if (rc == 0 && (same == PYB_DIFFERENT || (same == PYB_SAME_UNKNOWN && trust == TRUST_IF_SAME)))
        rc = pyb_fail(&o->why, PYB_E_NOTFOUND, "%s is not the file that is mapped", path);
    else if (rc == 0 && no_bias)
        rc = pyb_fail(&o->why, PYB_E_UNSUPPORTED, "%s is mapped, but was not loaded as a program", path);
    if (rc) {
        o->not_elf = o->not_elf || (no_bias && same == PYB_SAME);
        pyb_elf_free(elf);
        return false;
    }
    o->mod->elf = elf;
    o->mod->bias = bias;
    o->mod->bias_known = true;
    o->mod->elf_state = 1;
    o->file->verified = same == PYB_SAME;
    if (same == PYB_SAME_UNKNOWN)
        o->mod->elf_note =
            "file not compared with the one that is mapped: its first page cannot be read from memory";
    return true;
}

static bool try_path(struct opening *o, int root, const char *path, enum trust trust)
{
    struct pyb_error err = {0};
    int fd = pyb_open_regular(root, path, &err);
    if (fd >= 0)
        return accept_file(o, fd, path, trust);
    o->why = err;
    return false;
}

// The kernel's own links to the mapped file: right even when it was deleted or replaced. They need privileges
// that names do not.
static bool try_map_files(struct opening *o)
{
    for (size_t i = o->mod->first_mapping; i < o->m->n_mappings; i++) {
        const struct pyb_mapping *mapping = &o->m->mappings[i];
        if (mapping->module != o->index)
            continue;
        char path[128];
        snprintf(path, sizeof(path), "/proc/self/fd/%d/map_files/%llx-%llx", o->m->proc_fd,
                 (unsigned long long)mapping->start, (unsigned long long)mapping->end);
        return try_path(o, PYB_OPEN_PLAIN, path, TRUST_UNLESS_DIFFERENT);
    }
    return false;
}

static bool try_exe(struct opening *o)
{
    if (o->index != o->m->executable)
        return false;
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d/exe", o->m->proc_fd);
    return try_path(o, PYB_OPEN_PLAIN, path, TRUST_UNLESS_DIFFERENT);
}

// By the name that maps shows, from the observer's root: without " (deleted)", then with it, which may be a
// part of the name.
static bool try_observed(struct opening *o, char *name)
{
    if (o->mod->deleted) {
        bool deleted;
        size_t len = strlen(name), stripped = pyb_maps_strip_deleted(name, len, &deleted);
        name[stripped] = '\0';
        bool done = try_path(o, PYB_OPEN_NO_LINKS, name, TRUST_IF_SAME);
        if (done)
            return true;
        if (stripped < len)
            name[stripped] = ' ';
    }
    return try_path(o, PYB_OPEN_NO_LINKS, name, TRUST_IF_SAME);
}

// By name: in the target's root, then as the observer sees it. maps shows names from the observer's root
// where it can.
static bool try_names(struct opening *o)
{
    const char *raw = o->file->open_path;
    char *name = pyb_arena_strdup(&o->m->arena, raw);
    int root = openat(o->m->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool done = root >= 0 && try_path(o, root, o->mod->path, TRUST_IF_SAME);
    if (root >= 0)
        close(root);
    if (done || !name)
        return done;
    name[pyb_maps_unescape(name, strlen(name))] = '\0';
    if (try_observed(o, name))
        return true;
    // the name itself may have the text that looks like an escape
    return strcmp(name, raw) != 0 && try_path(o, PYB_OPEN_NO_LINKS, raw, TRUST_IF_SAME);
}

static int fail(struct opening *o, int code, const char *why)
{
    o->mod->elf_state = code;
    o->file->error = code;
    o->file->why = pyb_arena_strdup(&o->m->arena, why);
    return code;
}

static bool try_memory(struct opening *o, const char *note)
{
    pyb_addr ehdr = o->file->ehdr;
    if (!ehdr || !o->t->mem)
        return false;
    struct pyb_elf *elf;
    struct pyb_error err = {0};
    if (pyb_elf_open_memory(o->m->ctx, o->t->mem, ehdr, &elf, &err) != 0 ||
        check_kind(o, elf, o->mod->path, &err) != 0) {
        if (o->why.code == 0)
            o->why = err;
        return false;
    }
    o->mod->elf = elf;
    if (!o->mod->bias_known)
        o->mod->bias = elf->bias;
    o->mod->bias_known = true;
    o->mod->elf_state = 1;
    o->mod->elf_note = note ? pyb_arena_strdup(&o->m->arena, note) : NULL;
    uint64_t low, high;
    if (o->mod->start >= o->mod->end && pyb_elf_extent(elf, &low, &high)) {
        o->mod->start = elf->bias + low;
        o->mod->end = elf->bias + high;
    }
    return true;
}

static void open_pid(struct opening *o)
{
    if (o->mod->path[0] != '/') {
        (void)try_memory(o, NULL); // the vDSO has no file
        return;
    }
    if (try_map_files(o) || o->not_elf || try_exe(o) || try_names(o) || o->not_elf)
        return;
    const char *note = o->regular ? "file replaced since it was mapped: image read from memory"
                     : o->mod->deleted ? "file deleted since it was mapped: image read from memory"
                     : o->why.code == PYB_E_PERM ? "file may not be read: image read from memory"
                                                 : "file cannot be opened: image read from memory";
    (void)try_memory(o, note);
}

// The program was given as DIR/usr/bin/python3 and the core calls it /usr/bin/python3: the other files are below DIR too. Length of DIR, 0: none.
static size_t root_of_exe(const struct opening *o)
{
    if (!o->m->exe || o->m->executable >= o->m->n_modules)
        return 0;
    const char *inside = o->m->modules[o->m->executable].path;
    size_t whole = strlen(o->m->exe), part = strlen(inside);
    bool ends = part > 0 && inside[0] == '/' && whole > part && strcmp(o->m->exe + whole - part, inside) == 0;
    return ends ? whole - part : 0;
}

static bool try_root_of_exe(struct opening *o)
{
    size_t len = root_of_exe(o);
    char *dir = len ? pyb_arena_strndup(&o->m->arena, o->m->exe, len) : NULL;
    int root = dir ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
    if (root < 0)
        return false;
    bool done = try_path(o, root, o->mod->path, TRUST_UNLESS_DIFFERENT);
    (void)close(root);
    return done;
}

static void open_core(struct opening *o)
{
    if (o->mod->path[0] == '/') {
        const char *given = o->index == o->m->executable ? o->m->exe : NULL;
        if (given && try_path(o, PYB_OPEN_PLAIN, given, TRUST_UNLESS_DIFFERENT))
            return;
        if (!given && try_root_of_exe(o))
            return;
        if (try_path(o, PYB_OPEN_PLAIN, o->mod->path, TRUST_UNLESS_DIFFERENT)) {
            if (given)
                o->mod->elf_note = pyb_arena_printf(&o->m->arena, "%s is not this core's program, %s is",
                                                    given, o->mod->path);
            return;
        }
    }
    const char *note = o->regular ? "the file on this host is another build: image read from the core"
                                  : "file not on this host: image read from the core";
    (void)try_memory(o, o->mod->path[0] == '/' ? note : NULL); // the vDSO has no file
}

static bool is_local_path(const char *path)
{
    return path && *path && strncmp(path, "target:", 7) != 0;
}

static void open_described(struct opening *o)
{
    if (is_local_path(o->mod->local_path) &&
        try_path(o, PYB_OPEN_PLAIN, o->mod->local_path, TRUST_UNLESS_DIFFERENT))
        return;
    const char *note = o->regular ? "the file on this host is another build: image read from memory" : NULL;
    // The target's name may lead to the same file here. Only if that is certain.
    if (o->mod->path[0] == '/' && try_path(o, PYB_OPEN_PLAIN, o->mod->path, TRUST_IF_SAME))
        return;
    if (!o->file->ehdr && o->mod->start)
        o->file->ehdr = pyb_ehdr_below(o->t->mem, o->mod->start, MAX_BACK);
    (void)try_memory(o, note);
}

static void open_saved(struct opening *o)
{
    int rc = PYB_E_NOTFOUND;
    if (o->file->saved)
        rc = pyb_elf_open_saved(o->m->ctx, o->t->mem, o->file->ehdr, o->file->saved, o->file->saved_len,
                                &o->mod->elf, &o->why);
    else if (o->file->error)
        rc = pyb_fail(&o->why, o->file->error, "%s",
                      o->file->why ? o->file->why : "not readable when recorded");
    else if (try_memory(o, "file not in the recording: image read from the recorded memory"))
        return;
    if (rc == 0 && o->mod->bias_known)
        o->mod->elf_state = 1;
}

int pyb_module_open(struct pyb_target *t, struct pyb_modules *m, struct pyb_module *mod, struct pyb_elf **ret,
                    struct pyb_error *err)
{
    *ret = mod->elf;
    if (mod->elf_state > 0)
        return 0;
    size_t index = pyb_modules_index(m, mod);
    if (index == SIZE_MAX)
        return pyb_fail(err, PYB_E_USAGE, "a module of another list");
    struct pyb_module_file *f = &m->files[index];
    if (mod->elf_state < 0)
        return pyb_fail(err, mod->elf_state, "%s: %s", mod->path, f->why ? f->why : "cannot be opened");
    struct opening o = {.t = t, .m = m, .index = index, .mod = mod, .file = f};
    switch (m->source) {
    case PYB_MODULES_PID: open_pid(&o); break;
    case PYB_MODULES_CORE: open_core(&o); break;
    case PYB_MODULES_SAVED: open_saved(&o); break;
    case PYB_MODULES_DESCS:
    case PYB_MODULES_LINK_MAP: open_described(&o); break;
    }
    *ret = mod->elf;
    if (mod->elf_state > 0)
        return 0;
    int code = o.why.code ? o.why.code : PYB_E_NOTFOUND;
    const char *why = o.why.code ? o.why.what : "neither a file nor an image in memory";
    (void)fail(&o, code, why);
    return pyb_fail(err, code, "%s: %s", mod->path, why);
}

int pyb_module_elf(struct pyb_target *t, struct pyb_module *mod, struct pyb_elf **ret, struct pyb_error *err)
{
    return pyb_module_open(t, t->modules, mod, ret, err);
}
