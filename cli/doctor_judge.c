// SPDX-License-Identifier: Apache-2.0
//
// The kernel asks, in this order (kernel/ptrace.c, security/commoncap.c, security/yama, and the other modules): is the caller the process' user
// with all its ids, or has it CAP_SYS_PTRACE where the process lives; is the process dumpable, or again the capability; has it capabilities that
// the caller lacks; then what security modules say, Yama only when memory is to be read (`attach`), not when one only looks (`read`). So an
// allowed look means that whatever is in the way comes after the first three.
#include <errno.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "doctor.h"

static const char *const names[] = {
    [OBSTACLE_HIDDEN] = "hidepid",           [OBSTACLE_SECCOMP] = "seccomp",           [OBSTACLE_USER_NAMESPACE] = "user_namespace",
    [OBSTACLE_CAPABILITY] = "capabilities",  [OBSTACLE_USER] = "user",                 [OBSTACLE_DUMPABLE] = "dumpable",
    [OBSTACLE_PTRACE_SCOPE] = "ptrace_scope", [OBSTACLE_APPARMOR] = "apparmor",        [OBSTACLE_SELINUX] = "selinux",
    [OBSTACLE_LANDLOCK] = "landlock",        [OBSTACLE_TRACED] = "traced",             [OBSTACLE_UNKNOWN] = "unknown",
};

const char *obstacle_name(enum obstacle_kind kind)
{
    return names[kind];
}

__attribute__((format(printf, 4, 5)))
static void add(struct diagnosis *d, const struct facts *f, enum obstacle_kind kind, const char *format, ...)
{
    if (d->n == MAX_OBSTACLES)
        return;
    struct obstacle *o = &d->obstacles[d->n++];
    va_list args;
    o->kind = kind;
    o->stopping_only = facts_readable(f);
    va_start(args, format);
    if (vsnprintf(o->what, sizeof(o->what), format, args) < 0)
        o->what[0] = '\0';
    va_end(args);
    doctor_remedy(f, o);
}

static bool denied(int e)
{
    return e == EPERM || e == EACCES;
}

static bool is_its_user(const struct facts *f)
{
    for (int i = 0; i < 3; i++) {
        if (f->target.uid[i] != f->own.uid[0] || f->target.gid[i] != f->own.gid[0])
            return false;
    }
    return true;
}

// Names of some bits; the rest is a number.
static void capability_names(uint64_t bits, char *buf, size_t size)
{
    static const struct {
        int bit;
        const char *name;
    } known[] = {{CAP_DAC_OVERRIDE, "DAC_OVERRIDE"}, {CAP_KILL, "KILL"}, {CAP_SETUID, "SETUID"}, {CAP_NET_BIND_SERVICE, "NET_BIND_SERVICE"},
                 {CAP_NET_ADMIN, "NET_ADMIN"}, {CAP_NET_RAW, "NET_RAW"}, {CAP_IPC_LOCK, "IPC_LOCK"}, {CAP_SYS_PTRACE, "SYS_PTRACE"},
                 {CAP_SYS_ADMIN, "SYS_ADMIN"}, {CAP_SYS_NICE, "SYS_NICE"}, {CAP_SYS_RESOURCE, "SYS_RESOURCE"}};
    size_t used = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
        uint64_t bit = (uint64_t)1 << known[i].bit;
        if (bits & bit && used < size) {
            proc_format(buf + used, size - used, "%sCAP_%s", used ? ", " : "", known[i].name);
            used += strlen(buf + used);
        }
        bits &= ~bit;
    }
    if (bits && used < size)
        proc_format(buf + used, size - used, "%s0x%llx", used ? ", " : "", (unsigned long long)bits);
}

static void judge_filter(const struct facts *f, struct diagnosis *d)
{
    if (f->own.seccomp <= 0 || (f->own_vm == 0 && f->own_ptrace == 0))
        return;
    char errno_text[80];
    int e = f->own_vm ? f->own_vm : f->own_ptrace;
    add(d, f, OBSTACLE_SECCOMP, "a seccomp filter of ours answers %s%s%s with \"%s\"%s", f->own_vm ? "process_vm_readv" : "",
        f->own_vm && f->own_ptrace ? " and " : "", f->own_ptrace ? "ptrace" : "", strerror_r(e, errno_text, sizeof(errno_text)),
        facts_readable(f) && f->own_vm ? "; memory is read through /proc instead" : "");
}

static void judge_user(const struct facts *f, struct diagnosis *d)
{
    char ours[64], theirs[64];
    proc_user(f->own.uid[0], ours, sizeof(ours));
    proc_user(f->target.uid[1], theirs, sizeof(theirs));
    if (f->own.uid[1] == 0)
        add(d, f, OBSTACLE_CAPABILITY, "this is root without CAP_SYS_PTRACE, and the process runs as %s (uid %u, gid %u)", theirs,
            f->target.uid[1], f->target.gid[1]);
    else if (f->target.uid[0] == f->own.uid[0] && f->target.uid[1] == f->own.uid[0])
        add(d, f, OBSTACLE_USER, "the process' groups are not ours: its gids are %u, %u, %u, ours is %u", f->target.gid[0],
            f->target.gid[1], f->target.gid[2], f->own.gid[0]);
    else
        add(d, f, OBSTACLE_USER, "the process runs as %s (uid %u), this as %s (uid %u)", theirs, f->target.uid[1], ours, f->own.uid[0]);
}

// What comes before the security modules.
static void judge_rights(const struct facts *f, struct diagnosis *d)
{
    uint64_t missing = f->target.cap_permitted & ~f->own.cap_permitted;
    char list[200];
    capability_names(missing, list, sizeof(list));
    if (facts_have(f, CAP_SYS_PTRACE))
        add(d, f, OBSTACLE_USER_NAMESPACE, "CAP_SYS_PTRACE is ours in this user namespace only, and the process does not live in it");
    else if (!is_its_user(f))
        judge_user(f, d);
    else if (f->dumpable == NO)
        add(d, f, OBSTACLE_DUMPABLE, "the process is not dumpable: it changed its user, its program has capabilities or may not be read, or it "
            "asked for it (prctl PR_SET_DUMPABLE)");
    else if (f->relation == NS_OTHER || f->relation == NS_BELOW)
        add(d, f, OBSTACLE_USER_NAMESPACE, "the process lives in another user namespace");
    else if (missing)
        add(d, f, OBSTACLE_CAPABILITY, "the process has capabilities that this lacks: %s", list);
}

static void judge_yama(const struct facts *f, struct diagnosis *d)
{
    if (f->ptrace_scope >= 3)
        add(d, f, OBSTACLE_PTRACE_SCOPE, "kernel.yama.ptrace_scope is %d: nobody may read another process, until the machine starts again",
            f->ptrace_scope);
    else if (f->ptrace_scope == 2 && !facts_may_all(f))
        add(d, f, OBSTACLE_PTRACE_SCOPE, "kernel.yama.ptrace_scope is 2: only CAP_SYS_PTRACE may read another process");
    else if (f->ptrace_scope == 1 && !facts_may_all(f))
        add(d, f, OBSTACLE_PTRACE_SCOPE, "kernel.yama.ptrace_scope is 1: without CAP_SYS_PTRACE a process may be read by its ancestors only");
}

static bool is_confined(const char *label)
{
    return *label && strcmp(label, "unconfined") != 0 && strstr(label, "(complain)") == NULL && !strchr(label, ':');
}

// Nothing else explains it: a module that asks for more than ids and capabilities.
static void judge_modules(const struct facts *f, struct diagnosis *d)
{
    if (f->selinux_deny_ptrace == 1)
        add(d, f, OBSTACLE_SELINUX, "SELinux' boolean deny_ptrace is on");
    else if (f->selinux_enforcing == 1)
        add(d, f, OBSTACLE_SELINUX, "SELinux enforces: we are %s, the process is %s", *f->own_label ? f->own_label : "?",
            *f->target_label ? f->target_label : "?");
    else if (is_confined(f->own_label) || is_confined(f->target_label))
        add(d, f, OBSTACLE_APPARMOR, "AppArmor: we are %s, the process is %s, and a profile keeps the two apart",
            *f->own_label ? f->own_label : "unconfined", *f->target_label ? f->target_label : "unconfined");
    else if (f->dumpable == UNKNOWN && !facts_may_all(f))
        add(d, f, OBSTACLE_DUMPABLE, "ids, capabilities and security modules allow it: the process must have set itself not dumpable "
            "(prctl PR_SET_DUMPABLE; it does not show for a process of root)");
    else if (f->landlock > 0)
        add(d, f, OBSTACLE_LANDLOCK, "ids and capabilities allow it%s%s%s: most likely this runs in a Landlock sandbox, which does not show",
            *f->lsm ? ", of the security modules here (" : "", f->lsm, *f->lsm ? ") none gives a reason" : "");
    else
        add(d, f, OBSTACLE_UNKNOWN, "ids and capabilities allow it%s%s; the kernel does not say why it refuses",
            *f->lsm ? "; security modules here: " : "", f->lsm);
}

void doctor_judge(const struct facts *f, struct diagnosis *ret)
{
    ret->n = 0;
    memset(ret->obstacles, 0, sizeof(ret->obstacles));
    if (f->hidden) {
        add(ret, f, OBSTACLE_HIDDEN, "/proc shows us no process of another user (mounted with hidepid)");
        return;
    }
    judge_filter(f, ret);
    bool filtered = ret->n > 0 && f->own_vm != 0;
    bool no_look = denied(f->look), no_read = denied(f->mem) || (denied(f->vm) && !filtered);
    size_t before = ret->n;
    if (no_look && !facts_may_all(f))
        judge_rights(f, ret);
    if (no_look || no_read)
        judge_yama(f, ret);
    if ((no_look || no_read) && ret->n == before)
        judge_modules(f, ret);
    if (f->target.tracer > 0 && facts_readable(f))
        add(ret, f, OBSTACLE_TRACED, "process %d (%s) traces it already: its threads cannot be stopped by us", f->target.tracer, f->tracer_name);
}
