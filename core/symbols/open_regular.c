// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "symbols/modules_internal.h"

#ifndef SYS_openat2
#define SYS_openat2 437 // the same number on every architecture; Linux 5.6
#endif
// linux/openat2.h, which older systems lack
struct open_how_v0 { uint64_t flags, mode, resolve; };
#define RESOLVE_NO_MAGICLINKS_ 0x02
#define RESOLVE_NO_SYMLINKS_ 0x04
#define RESOLVE_IN_ROOT_ 0x10

// Without openat2: one component at a time, and no symlink at all. The kernel's names of mapped files have
// none.
static int open_by_component(int root, const char *path)
{
    int dir = openat(root >= 0 ? root : AT_FDCWD, root >= 0 ? "." : "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    char name[256];
    while (dir >= 0) {
        path += strspn(path, "/");
        size_t n = strcspn(path, "/");
        if (n == 0 || n >= sizeof(name) || (n == 2 && memcmp(path, "..", 2) == 0)) {
            close(dir);
            errno = n ? ENAMETOOLONG : EISDIR;
            return -1;
        }
        memcpy(name, path, n);
        name[n] = '\0';
        path += n;
        bool last = path[strspn(path, "/")] == '\0';
        int next = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC | (last ? 0 : O_DIRECTORY));
        int saved = errno;
        close(dir);
        errno = saved;
        if (last)
            return next;
        dir = next;
    }
    return -1;
}

static int open_path(int root, const char *path)
{
    if (root == PYB_OPEN_PLAIN)
        return open(path, O_PATH | O_CLOEXEC);
    bool inside = root >= 0;
    struct open_how_v0 how = {.flags = O_PATH | O_CLOEXEC};
    how.resolve = inside ? RESOLVE_IN_ROOT_ | RESOLVE_NO_MAGICLINKS_ : RESOLVE_NO_SYMLINKS_;
    long fd = syscall(SYS_openat2, inside ? root : AT_FDCWD, path, &how, sizeof(how));
    // EPERM: seccomp filters of container runtimes that do not know the call
    if (fd < 0 && (errno == ENOSYS || errno == EPERM))
        return open_by_component(root, path);
    return (int)fd;
}

// O_PATH neither waits on a FIFO nor wakes a device; only what turned out to be a regular file is opened for
// reading.
int pyb_open_regular(int root, const char *path, struct pyb_error *err)
{
    int where = open_path(root, path);
    if (where < 0)
        return pyb_fail_errno(err, errno, "cannot open %s", path);
    struct stat st;
    int fd = -1, rc = 0;
    char again[64];
    snprintf(again, sizeof(again), "/proc/self/fd/%d", where);
    if (fstat(where, &st) != 0)
        rc = pyb_fail_errno(err, errno, "cannot stat %s", path);
    else if (!S_ISREG(st.st_mode))
        rc = pyb_fail(err, PYB_E_UNSUPPORTED, "%s is not a regular file", path);
    else if ((fd = open(again, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) < 0)
        rc = pyb_fail_errno(err, errno, "cannot read %s", path);
    close(where);
    return rc ? rc : fd;
}
