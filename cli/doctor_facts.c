// SPDX-License-Identifier: Apache-2.0
// Who we are, what the process is, and what the kernel answers when we try. Each try is one that leaves nothing behind: a read of an address
// where nothing is, a file of /proc opened and closed, ptrace of a process id that no process has.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <linux/nsfs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "doctor.h"

#define INITIAL_USER_NS_INODE 0xEFFFFFFDu // PROC_USER_INIT_INO of the kernel's include/linux/proc_ns.h

bool facts_have(const struct facts *f, int capability)
{
    return f->own.cap_effective >> capability & 1;
}

bool facts_may_all(const struct facts *f)
{
    return facts_have(f, CAP_SYS_PTRACE) &&
           (f->initial_user_ns || f->relation == NS_SAME || f->relation == NS_BELOW);
}

bool facts_readable(const struct facts *f)
{
    return f->maps == 0 && (f->vm == 0 || f->mem == 0);
}

// The access check of ptrace is that of process_vm_readv; beside it there are a filter and another tracer.
bool facts_stoppable(const struct facts *f)
{
    return facts_readable(f) && f->own_ptrace == 0 && f->target.tracer == 0;
}

static int try_open(const char *root, int32_t pid, const char *name)
{
    char path[512], byte;
    proc_format(path, sizeof(path), "%s/proc/%d/%s", root, pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    // `maps` is checked when it is opened, and again by some modules when it is read.
    int e = strcmp(name, "maps") == 0 && read(fd, &byte, 1) < 0 ? errno : 0;
    (void)close(fd);
    return e;
}

// Nothing is mapped at that address: EFAULT means that the kernel would have read it.
static int try_vm(int32_t pid)
{
    char byte;
    struct iovec local = {.iov_base = &byte, .iov_len = 1};
    struct iovec remote = {.iov_base = (void *)(uintptr_t)-4096, .iov_len = 1};
    return process_vm_readv(pid, &local, 1, &remote, 1, 0) >= 0 || errno == EFAULT ? 0 : errno;
}

// ESRCH: the kernel looked for the process; anything else came from a filter before it.
static int try_ptrace(void)
{
    long rc = ptrace(PTRACE_INTERRUPT, INT32_MAX, NULL, NULL);
    return rc == 0 || errno == ESRCH ? 0 : errno;
}

static void label_of(const char *root, const char *who, char *buf, size_t size)
{
    // AppArmor has a file of its own since Linux 5.8; the older one is shared by all modules.
    if (proc_read(root, buf, size, "/proc/%s/attr/apparmor/current", who) <= 0 &&
        proc_read(root, buf, size, "/proc/%s/attr/current", who) <= 0)
        buf[0] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
}

void facts_own(const char *root, struct facts *f)
{
    char path[300], host[80] = "";
    struct stat st;
    (void)gethostname(host, sizeof(host) - 1); // "" will do
    *f = (struct facts){.look = -1, .maps = -1, .mem = -1, .vm = -1};
    where_find(root, getenv("KUBERNETES_SERVICE_HOST"), host, &f->where);
    if (!proc_status_read(root, "self", &f->own))
        f->own = (struct proc_status){.uid = {getuid(), geteuid(), geteuid()}, .gid = {getgid(), getegid(), getegid()}, .seccomp = -1};
    proc_format(path, sizeof(path), "%s/proc/self/ns/user", root);
    f->initial_user_ns = stat(path, &st) == 0 ? st.st_ino == INITIAL_USER_NS_INODE : true;
    label_of(root, "self", f->own_label, sizeof(f->own_label));
    f->ptrace_scope = (int)proc_number(root, "/proc/sys/kernel/yama/ptrace_scope", -1);
    f->selinux_enforcing = (int)proc_number(root, "/sys/fs/selinux/enforce", -1);
    char text[32]; // "1 1": the value, and the one to come
    f->selinux_deny_ptrace = proc_read(root, text, sizeof(text), "/sys/fs/selinux/booleans/deny_ptrace") > 0 ? text[0] == '1' : -1;
    proc_line(root, f->lsm, sizeof(f->lsm), "/sys/kernel/security/lsm");
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    f->landlock = abi > 0 ? (int)abi : 0;
    f->own_vm = try_vm(getpid());
    f->own_ptrace = try_ptrace();
}

// Upwards from the process' namespace to ours; the kernel ends the way (EPERM) where it leads out of what we can see.
static enum namespace_relation relation_to(const char *root, int32_t pid)
{
    char path[300];
    struct stat own, other;
    proc_format(path, sizeof(path), "%s/proc/self/ns/user", root);
    if (stat(path, &own) != 0)
        return NS_UNKNOWN;
    proc_format(path, sizeof(path), "%s/proc/%d/ns/user", root, pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NS_UNKNOWN; // it may be said to those only who may look
    enum namespace_relation found = NS_OTHER;
    for (int depth = 0; depth <= 32 && fd >= 0; depth++) { // the kernel nests 32 deep
        if (fstat(fd, &other) == 0 && other.st_ino == own.st_ino && other.st_dev == own.st_dev) {
            found = depth == 0 ? NS_SAME : NS_BELOW;
            break;
        }
        int parent = ioctl(fd, NS_GET_PARENT);
        (void)close(fd);
        fd = parent;
    }
    if (fd >= 0)
        (void)close(fd);
    return found;
}

// Files in /proc/PID belong to root when the process is not dumpable, to its user otherwise.
static enum known dumpable(const char *root, int32_t pid, const struct proc_status *target)
{
    char path[300];
    struct stat st;
    proc_format(path, sizeof(path), "%s/proc/%d/status", root, pid);
    if (stat(path, &st) != 0)
        return UNKNOWN;
    if (st.st_uid != target->uid[1] || st.st_gid != target->gid[1])
        return NO;
    return target->uid[1] != 0 || target->gid[1] != 0 ? YES : UNKNOWN;
}

static bool is_hidden(const char *root, int32_t pid)
{
    return *root == '\0' && kill(pid, 0) != 0 && errno == EPERM; // signal 0 only asks
}

void facts_process(const char *root, int32_t pid, struct facts *f)
{
    char who[16], link[512], target[1];
    proc_format(who, sizeof(who), "%d", pid);
    f->pid = pid;
    f->exists = proc_status_read(root, who, &f->target);
    if (!f->exists) {
        f->exists = f->hidden = is_hidden(root, pid);
        return;
    }
    proc_format(link, sizeof(link), "%s/proc/%d/exe", root, pid);
    f->kernel_thread = f->target.state != 'Z' && readlink(link, target, sizeof(target)) < 0 && errno == ENOENT &&
                       f->target.tgid == pid;
    f->relation = relation_to(root, pid);
    f->dumpable = dumpable(root, pid, &f->target);
    label_of(root, who, f->target_label, sizeof(f->target_label));
    if (f->target.tracer > 0) {
        struct proc_status tracer;
        proc_format(who, sizeof(who), "%d", f->target.tracer);
        if (proc_status_read(root, who, &tracer))
            proc_format(f->tracer_name, sizeof(f->tracer_name), "%s", tracer.comm);
    }
    proc_format(link, sizeof(link), "%s/proc/%d/cwd", root, pid);
    f->look = readlink(link, target, sizeof(target)) < 0 ? errno : 0;
    f->maps = try_open(root, pid, "maps");
    f->mem = try_open(root, pid, "mem");
    f->vm = try_vm(pid);
}

// The one that is looked at: waits until it is killed, or whoever made it has ended.
static pid_t fork_sleeper(void)
{
    pid_t parent = getpid(), pid = fork();
    if (pid != 0)
        return pid;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent) {
        for (;;)
            (void)pause();
    }
    _exit(0);
}

// Yama lets a process trace its descendants: looked at is a sister.
bool facts_trial(struct facts *f)
{
    int results[2] = {-1, -1};
    _Static_assert(sizeof(*f) <= PIPE_BUF, "one write");
    pid_t sleeper = fork_sleeper();
    pid_t looker = sleeper > 0 && pipe2(results, O_CLOEXEC) == 0 ? fork() : -1;
    if (looker == 0) {
        facts_process("", sleeper, f);
        _exit(write(results[1], f, sizeof(*f)) == (ssize_t)sizeof(*f) ? 0 : 1);
    }
    if (results[1] >= 0)
        (void)close(results[1]);
    bool ok = looker > 0 && read(results[0], f, sizeof(*f)) == (ssize_t)sizeof(*f);
    if (results[0] >= 0)
        (void)close(results[0]);
    if (looker > 0)
        (void)waitpid(looker, NULL, 0);
    if (sleeper > 0) {
        (void)kill(sleeper, SIGKILL);
        (void)waitpid(sleeper, NULL, 0);
    }
    f->pid = 0;
    return ok;
}
