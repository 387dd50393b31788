// SPDX-License-Identifier: Apache-2.0
#include "symbols/debug_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "symbols/debuginfod.h"
#include "symbols/modules_internal.h"

#define MAX_PATH 4096u
#define MAX_CHECKSUMMED (UINT64_C(1) << 30)
#define MAX_FOLDERS 16u

struct link { char name[256]; uint32_t crc; bool there; };
struct finding {
    struct pyb_target *t;
    struct pyb_elf *elf;
    const uint8_t *id;
    size_t id_len;
    struct link link;
    const char *path;  // the module's, as its root names it
    int root;          // fd, or PYB_OPEN_PLAIN
};

// .gnu_debuglink: a name, zeros up to a multiple of four, a CRC of the whole file.
static struct link read_link(struct pyb_elf *e)
{
    struct link l = {0};
    uint8_t data[sizeof(l.name) + 8];
    const struct pyb_elf_raw_section *s = pyb_elf_find_section(e, ".gnu_debuglink");
    if (!s || s->size < 8 || s->size > sizeof(data) || pyb_elf_pread(e, s->offset, data, (size_t)s->size) != s->size)
        return l;
    size_t n = strnlen((const char *)data, (size_t)s->size), at = (n + 4) & ~(size_t)3;
    if (n == 0 || n >= sizeof(l.name) || at + 4 > s->size || memchr(data, '/', n))
        return l;
    struct pyb_bytes b = pyb_elf_bytes(e, data, (size_t)s->size);
    memcpy(l.name, data, n);
    l.crc = pyb_get_u32(&b, at);
    l.there = true;
    return l;
}

static bool has_checksum(struct pyb_elf *e, uint32_t wanted)
{
    if (e->file_size > MAX_CHECKSUMMED)
        return false;
    size_t block = 1u << 18;
    uint8_t *data = pyb_alloc(e->ctx, block);
    uLong crc = crc32(0, NULL, 0);
    uint64_t at = 0;
    e->quiet++;
    while (data && at < e->file_size && pyb_ctx_check(e->ctx, NULL) == 0) {
        size_t n = pyb_elf_pread(e, at, data, block);
        if (n == 0)
            break;
        crc = crc32(crc, data, (uInt)n);
        at += n;
    }
    e->quiet--;
    pyb_free(e->ctx, data);
    return at == e->file_size && at > 0 && crc == wanted;
}

static bool belongs(const struct finding *f, struct pyb_elf *debug, bool linked)
{
    if (debug->ptr_size != f->elf->ptr_size || debug->machine != f->elf->machine ||
        debug->big_endian != f->elf->big_endian)
        return false;
    size_t len;
    const uint8_t *id = pyb_elf_build_id(debug, &len);
    if (id && f->id)
        return len == f->id_len && memcmp(id, f->id, len) == 0;
    return linked && has_checksum(debug, f->link.crc);
}

static struct pyb_elf *try_file(const struct finding *f, const char *path, bool linked)
{
    struct pyb_elf *debug = NULL;
    int fd = pyb_open_regular(f->root, path, NULL);
    if (fd < 0 || pyb_elf_open_fd(f->t->ctx, fd, &debug, NULL) != 0)
        return NULL;
    if (belongs(f, debug, linked)) {
        debug->debugdata_tried = debug->separate_tried = true; // no nesting
        return debug;
    }
    pyb_elf_free(debug);
    return NULL;
}

static struct pyb_elf *by_build_id(const struct finding *f, const char *folder, int folder_len)
{
    char path[MAX_PATH], hex[2 * 64 + 1];
    if (f->id_len < 2 || f->id_len > 64)
        return NULL;
    for (size_t i = 0; i < f->id_len; i++)
        snprintf(hex + 2 * i, 3, "%02x", f->id[i]);
    int n = snprintf(path, sizeof(path), "%.*s/.build-id/%.2s/%s.debug", folder_len, folder, hex, hex + 2);
    return n < (int)sizeof(path) ? try_file(f, path, false) : NULL;
}

static struct pyb_elf *by_link(const struct finding *f, const char *folder, int folder_len, const char *between)
{
    char path[MAX_PATH];
    const char *slash = strrchr(f->path, '/');
    if (!f->link.there || f->path[0] != '/')
        return NULL;
    int n = snprintf(path, sizeof(path), "%.*s%.*s/%s%s", folder_len, folder, (int)(slash - f->path), f->path,
                     between, f->link.name);
    return n < (int)sizeof(path) && strcmp(path, f->path) != 0 ? try_file(f, path, true) : NULL;
}

static struct pyb_elf *in_root(const struct finding *f)
{
    struct pyb_elf *found = NULL;
    const char *folder = f->t->ctx->debug_folders;
    for (unsigned i = 0; !found && *folder && i < MAX_FOLDERS; i++) {
        int n = (int)strcspn(folder, ":");
        if (n > 0 && *folder == '/')
            found = by_build_id(f, folder, n);
        if (!found && n > 0 && *folder == '/')
            found = by_link(f, folder, n, "");
        folder += n + (folder[n] == ':');
    }
    if (!found)
        found = by_link(f, "", 0, "");
    return found ? found : by_link(f, "", 0, ".debug/");
}

static struct pyb_elf *from_server(const struct finding *f)
{
    struct pyb_elf *debug = NULL;
    int fd = f->id ? pyb_debuginfod_find(f->t->ctx, f->id, f->id_len) : -1;
    if (fd < 0 || pyb_elf_open_fd(f->t->ctx, fd, &debug, NULL) != 0)
        return NULL;
    if (belongs(f, debug, false)) {
        debug->debugdata_tried = debug->separate_tried = true;
        return debug;
    }
    pyb_elf_free(debug);
    return NULL;
}

static struct pyb_elf *find(struct pyb_target *t, struct pyb_module *mod)
{
    struct finding f = {.t = t, .elf = mod->elf, .path = mod->path, .link = read_link(mod->elf)};
    f.id = pyb_elf_build_id(mod->elf, &f.id_len);
    struct pyb_elf *found = NULL;
    if (!f.id && !f.link.there)
        return NULL;
    if (t->modules->source == PYB_MODULES_PID) {
        f.root = openat(t->modules->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (f.root >= 0) {
            found = in_root(&f);
            close(f.root);
        }
    }
    f.root = PYB_OPEN_PLAIN;
    if (mod->local_path && mod->local_path[0] == '/')
        f.path = mod->local_path;
    if (!found)
        found = in_root(&f);
    return found ? found : from_server(&f);
}

struct pyb_elf *pyb_module_debug_file(struct pyb_target *t, struct pyb_module *mod)
{
    struct pyb_elf *e = mod->elf;
    if (!e || e->source != PYB_ELF_FILE || !t->modules || !t->ctx->debug_folders[0])
        return NULL;
    if (!e->separate_tried) {
        e->separate_tried = true;
        e->quiet++;
        e->separate = find(t, mod);
        e->quiet--;
    }
    return e->separate;
}
