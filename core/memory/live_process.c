// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "memory/live.h"
#include "memory/readers.h"

// The start of a small /proc file, NUL-terminated. False: not readable (errno).
static bool read_text(int dir_fd, const char *name, char *buf, size_t size)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t done = 0;
    ssize_t n = 0;
    while (done < size - 1 && (n = read(fd, buf + done, size - 1 - done)) > 0)
        done += (size_t)n;
    int e = errno;
    (void)close(fd);
    errno = e;
    buf[done] = '\0';
    return n >= 0 && done > 0;
}

// The text after "\nNAME:" and blanks in a status file, or NULL. The kernel escapes line ends in the
// process's name.
static const char *status_field(const char *status, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = status; line; line = strchr(line, '\n')) {
        if (*line == '\n')
            line++;
        if (strncmp(line, name, len) == 0 && line[len] == ':') {
            line += len + 1;
            return line + strspn(line, " \t");
        }
    }
    return NULL;
}

// False for zombies, and where there is no such thread any more.
static bool has_not_ended(int dir_fd, const char *status_path)
{
    char text[1024];
    const char *state =
        read_text(dir_fd, status_path, text, sizeof(text)) ? status_field(text, "State") : NULL;
    return state && *state != 'Z' && *state != 'X';
}

// A thread that still runs in a process whose first thread has ended, or 0.
static int32_t find_living_thread(const struct pyb_live_process *p)
{
    int fd = openat(p->dir_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        if (fd >= 0)
            (void)close(fd);
        return 0;
    }
    int32_t tid = 0;
    struct dirent *entry;
    while (tid == 0 && (entry = readdir(dir))) {
        char path[64];
        int32_t candidate = (int32_t)strtol(entry->d_name, NULL, 10);
        (void)snprintf(path, sizeof(path), "task/%d/status", candidate);
        if (candidate > 0 && has_not_ended(p->dir_fd, path))
            tid = candidate;
    }
    (void)closedir(dir);
    return tid;
}

int32_t pyb_live_thread(const struct pyb_live_process *p)
{
    return has_not_ended(p->dir_fd, "status") ? p->pid : find_living_thread(p);
}

static int fail_open(int32_t pid, int e, struct pyb_error *err)
{
    if (e != ENOENT)
        return pyb_fail_errno(err, e, "/proc/%d", pid);
    if (access("/proc/self/stat", F_OK) != 0) {
        (void)pyb_fail(err, PYB_E_FAILED, "/proc is not mounted here");
        (void)pyb_remedy(err, "mount -t proc proc /proc");
        return PYB_E_FAILED;
    }
    // Mounted with hidepid, /proc shows nobody else's processes; signal 0 only asks.
    if (kill(pid, 0) == 0 || errno != EPERM)
        return pyb_fail(err, PYB_E_NOENT, "there is no process %d", pid);
    (void)pyb_fail(err, PYB_E_PERM, "process %d belongs to another user, and /proc hides it (hidepid)", pid);
    (void)pyb_remedy(err, "run this with sudo");
    return PYB_E_PERM;
}

static int check_kind(const struct pyb_live_process *p, int32_t *ret_tid, struct pyb_error *err)
{
    char status[1024], link[1];
    const char *state = NULL, *tgid = NULL;
    if (read_text(p->dir_fd, "status", status, sizeof(status))) {
        state = status_field(status, "State");
        tgid = status_field(status, "Tgid");
    }
    if (!state || !tgid)
        return pyb_fail(err, PYB_E_GONE, "process %d has ended", p->pid);
    int32_t leader = (int32_t)strtol(tgid, NULL, 10);
    if (leader != p->pid) {
        (void)pyb_fail(err, PYB_E_USAGE, "%d is a thread of process %d", p->pid, leader);
        (void)pyb_remedy(err, "use %d", leader);
        return PYB_E_USAGE;
    }
    *ret_tid = pyb_live_thread(p);
    if (*ret_tid == 0)
        return pyb_fail(err, PYB_E_GONE,
                        "process %d is a zombie: it has ended, and its parent has not yet asked for its "
                        "exit status",
                        p->pid);
    if (*ret_tid == p->pid && readlinkat(p->dir_fd, "exe", link, sizeof(link)) < 0 && errno == ENOENT)
        return pyb_fail(err, PYB_E_NOTPYTHON, "%d is a kernel thread", p->pid);
    return 0;
}

int pyb_live_process_init(struct pyb_live_process *p, int32_t pid, int32_t *ret_tid, struct pyb_error *err)
{
    *p = (struct pyb_live_process){.pid = pid, .dir_fd = -1};
    if (pid <= 0)
        return pyb_fail(err, PYB_E_USAGE, "%d is no process id", pid);
    char path[32];
    (void)snprintf(path, sizeof(path), "/proc/%d", pid);
    p->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (p->dir_fd < 0)
        return fail_open(pid, errno, err);
    return check_kind(p, ret_tid, err);
}

int32_t pyb_live_other_thread(int32_t pid)
{
    struct pyb_live_process p;
    int32_t tid = 0;
    int code = pyb_live_process_init(&p, pid, &tid, NULL);
    pyb_live_process_deinit(&p);
    return code == 0 && tid != pid ? tid : 0;
}

void pyb_live_process_deinit(struct pyb_live_process *p)
{
    if (p->dir_fd >= 0)
        (void)close(p->dir_fd);
    p->dir_fd = -1;
}

static bool have_sys_ptrace(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};
    return syscall(SYS_capget, &header, data) == 0 && (data[0].effective >> CAP_SYS_PTRACE & 1);
}

// 0 when Yama is not built in.
static int ptrace_scope(void)
{
    char text[16];
    return read_text(AT_FDCWD, "/proc/sys/kernel/yama/ptrace_scope", text, sizeof(text)) ? atoi(text) : 0;
}

static bool same_user_namespace(const struct pyb_live_process *p)
{
    struct stat own, other;
    return stat("/proc/self/ns/user", &own) != 0 || fstatat(p->dir_fd, "ns/user", &other, 0) != 0 ||
           (own.st_dev == other.st_dev && own.st_ino == other.st_ino);
}

static int explain_other_user(const struct pyb_live_rights *r, struct pyb_error *err)
{
    if (r->own_uid == 0)
        return pyb_remedy(
            err, "this is root without CAP_SYS_PTRACE: start the container with --cap-add SYS_PTRACE "
                 "(Kubernetes: securityContext.capabilities.add: [SYS_PTRACE])");
    char text[1024];
    struct passwd entry, *found = NULL;
    if (getpwuid_r(r->uid, &entry, text, sizeof(text), &found) == 0 && found)
        return pyb_remedy(err, "run this as user %s (sudo -u %s ...), or with sudo", found->pw_name,
                          found->pw_name);
    return pyb_remedy(err, "run this as user %u (sudo -u '#%u' ...), or with sudo", r->uid, r->uid);
}

int pyb_live_remedy(const struct pyb_live_rights *r, int32_t pid, struct pyb_error *err)
{
    if (r->ptrace_scope >= 3)
        return pyb_remedy(
            err, "kernel.yama.ptrace_scope is 3: nothing may be traced until this machine boots with a "
                 "lower value (sysctl.d: kernel.yama.ptrace_scope = 1)");
    if (r->cap_sys_ptrace && !r->same_user_ns)
        return pyb_remedy(
            err,
            "the process lives in another user namespace: run this in the initial one, or inside its "
            "container (nsenter -U -t %d)",
            pid);
    if (r->cap_sys_ptrace)
        return pyb_remedy(
            err, "CAP_SYS_PTRACE is there, so a security module or seccomp filter denies it: see "
                 "`dmesg | grep -i denied` (AppArmor, SELinux), or --security-opt seccomp=unconfined");
    if (r->uid != r->own_uid)
        return explain_other_user(r, err);
    if (r->ptrace_scope == 2)
        return pyb_remedy(
            err, "run this with sudo (kernel.yama.ptrace_scope is 2: only CAP_SYS_PTRACE may), or in a "
                 "container with --cap-add SYS_PTRACE");
    if (r->ptrace_scope == 1)
        return pyb_remedy(
            err, "sudo sysctl kernel.yama.ptrace_scope=0, or run this with sudo, or in a container with "
                 "--cap-add SYS_PTRACE");
    return pyb_remedy(
        err, "run this with sudo: the process has set itself not dumpable (it changed its user or has "
             "capabilities)");
}

int pyb_live_explain_permission(const struct pyb_live_process *p, struct pyb_error *err)
{
    if (!err)
        return PYB_E_PERM;
    char status[1024];
    const char *field =
        read_text(p->dir_fd, "status", status, sizeof(status)) ? status_field(status, "Uid") : NULL;
    struct pyb_live_rights r = {
        .own_uid = geteuid(),
        .uid = field ? (uint32_t)strtoul(field, NULL, 10) : geteuid(),
        .cap_sys_ptrace = have_sys_ptrace(),
        .same_user_ns = same_user_namespace(p),
        .ptrace_scope = ptrace_scope(),
    };
    return pyb_live_remedy(&r, p->pid, err);
}
