// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "memory/readers.h"
#include "symbols/maps.h"
#include "symbols/modules_internal.h"

#define MAX_TEXT ((size_t)256 << 20)

static int read_text(int proc_fd, int32_t pid, struct pyb_buf *ret, struct pyb_error *err)
{
    int fd = openat(proc_fd, "maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return pyb_fail_errno(err, errno, "cannot open /proc/%d/maps", pid);
    char chunk[16384];
    int rc = 0;
    for (;;) {
        ssize_t n = read(fd, chunk, sizeof(chunk));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            rc = pyb_fail_errno(err, errno, "cannot read /proc/%d/maps", pid);
        if (n <= 0 || ret->failed || ret->limited)
            break;
        pyb_buf_add(ret, chunk, (size_t)n);
        rc = pyb_ctx_check(ret->ctx, err);
        if (rc)
            break;
    }
    close(fd);
    if (rc == 0 && ret->failed)
        rc = pyb_fail(err, PYB_E_NOMEM, "out of memory for /proc/%d/maps (%zu bytes so far)", pid, ret->len);
    if (rc == 0 && ret->len == 0)
        rc = pyb_fail(err, PYB_E_GONE, "process %d has no memory: it has ended, or is a kernel thread", pid);
    return rc;
}

static int add_line(struct pyb_modules *m, const struct pyb_maps_line *line, struct pyb_error *err)
{
    struct pyb_mapping mapping = {
        .start = line->start, .end = line->end, .offset = line->offset,
        .r = line->r, .w = line->w, .x = line->x, .is_private = line->is_private,
        .inode = line->inode, .dev_major = line->dev_major, .dev_minor = line->dev_minor,
    };
    const char *path = NULL;
    // The next line often has the same file: one copy of its name will do.
    const char *last = m->n_mappings ? m->paths[m->n_mappings - 1] : NULL;
    if (last && strlen(last) == line->path_len && memcmp(last, line->path, line->path_len) == 0) {
        path = last;
    } else if (line->path_len) {
        path = pyb_arena_strndup(&m->arena, line->path, line->path_len);
        if (!path)
            return pyb_fail(err, PYB_E_NOMEM, "out of memory for the names of mapped files");
    }
    return pyb_modules_add_mapping(m, &mapping, path, err);
}

static int parse_text(struct pyb_modules *m, const struct pyb_buf *text, struct pyb_error *err)
{
    size_t pos = 0;
    struct pyb_maps_line line;
    int got, rc = 0;
    while (rc == 0 && !m->cut && (got = pyb_maps_next(text->data, text->len, &pos, &line)) != 0) {
        if (got < 0)
            m->cut = true; // not a line of the kernel's: a cut text
        else
            rc = add_line(m, &line, err);
    }
    return rc;
}

// What the kernel appends and escapes is not the target's name of the file; nor is the directory that it was
// chroot()ed to.
static int name_modules(struct pyb_modules *m, struct pyb_error *err)
{
    char root[4096];
    ssize_t root_len = readlinkat(m->proc_fd, "root", root, sizeof(root));
    if (root_len <= 1 || (size_t)root_len >= sizeof(root))
        root_len = 0;
    for (size_t i = 0; i < m->n_modules; i++) {
        const char *raw = m->files[i].open_path;
        size_t len = strlen(raw);
        if (root_len && len > (size_t)root_len && memcmp(raw, root, (size_t)root_len) == 0 &&
            raw[root_len] == '/') {
            raw += root_len;
            len -= (size_t)root_len;
        }
        len = pyb_maps_strip_deleted(raw, len, &m->modules[i].deleted);
        char *path = pyb_arena_strndup(&m->arena, raw, len);
        if (!path)
            return pyb_fail(err, PYB_E_NOMEM, "out of memory for the names of mapped files");
        path[pyb_maps_unescape(path, len)] = '\0';
        m->modules[i].path = path;
    }
    return 0;
}

// By what /proc/PID/exe leads to; where file systems give maps another device number, by its name.
static void find_executable(struct pyb_modules *m)
{
    struct stat st;
    char path[4096];
    bool have = fstatat(m->proc_fd, "exe", &st, 0) == 0;
    ssize_t len = readlinkat(m->proc_fd, "exe", path, sizeof(path) - 1);
    path[len > 0 ? len : 0] = '\0';
    for (size_t i = 0; have && i < m->n_modules && m->executable == SIZE_MAX; i++) {
        const struct pyb_module_file *f = &m->files[i];
        if (f->inode == st.st_ino && f->dev_major == major(st.st_dev) && f->dev_minor == minor(st.st_dev))
            m->executable = i;
    }
    for (size_t i = 0; len > 0 && i < m->n_modules && m->executable == SIZE_MAX; i++) {
        if (strcmp(m->files[i].open_path, path) == 0)
            m->executable = i;
    }
}

static int open_proc(struct pyb_modules *m, int32_t pid, struct pyb_error *err)
{
    char proc[32];
    snprintf(proc, sizeof(proc), "/proc/%d", pid);
    if (m->proc_fd >= 0)
        close(m->proc_fd);
    m->proc_fd = open(proc, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return m->proc_fd < 0 ? pyb_fail_errno(err, errno, "no process %d", pid) : 0;
}

static int build(struct pyb_target *t, struct pyb_modules *m, struct pyb_error *err)
{
    struct pyb_buf text;
    int rc = open_proc(m, t->pid, err);
    if (rc)
        return rc;
    pyb_buf_init(&text, t->ctx, MAX_TEXT);
    rc = read_text(m->proc_fd, t->pid, &text, err);
    int32_t other = rc == PYB_E_GONE && text.len == 0 ? pyb_live_other_thread(t->pid) : 0;
    if (other) {
        rc = open_proc(m, other, err);
        rc = rc ? rc : read_text(m->proc_fd, t->pid, &text, err);
    }
    if (rc == PYB_E_PERM)
        rc = pyb_remedy(err,
                        "run as the user of process %d, or: sudo setcap cap_sys_ptrace=ep on this program", t->pid);
    if (rc == 0)
        rc = parse_text(m, &text, err);
    m->cut = m->cut || text.limited;
    pyb_buf_deinit(&text);
    if (rc == 0)
        rc = pyb_modules_assemble(m, t->mem, err);
    if (rc == 0)
        rc = name_modules(m, err);
    if (rc == 0)
        find_executable(m);
    return rc;
}

int pyb_modules_from_pid(struct pyb_target *t, struct pyb_modules **ret, struct pyb_error *err)
{
    *ret = NULL;
    struct pyb_modules *m = pyb_modules_new(t->ctx, PYB_MODULES_PID);
    if (!m)
        return pyb_fail(err, PYB_E_NOMEM, "out of memory for the list of mapped files");
    int rc = build(t, m, err);
    if (rc)
        pyb_modules_free(m);
    else
        *ret = m;
    return rc;
}
