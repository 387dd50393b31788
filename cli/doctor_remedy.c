// SPDX-License-Identifier: Apache-2.0
// What can be pasted, for the place where we are. In a container a right can come from its engine only: by a command on the host for the one
// that runs, by an option for the next one.
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "doctor.h"

void obstacle_remedy(struct obstacle *o, const char *format, ...)
{
    if (o->n_remedies == MAX_REMEDIES)
        return;
    va_list args;
    va_start(args, format);
    if (vsnprintf(o->remedies[o->n_remedies], sizeof(o->remedies[0]), format, args) > 0)
        o->n_remedies++;
    va_end(args);
}

// "pybraid dump 4711", or without a process a word in its place.
static const char *dump(const struct facts *f, char *buf, size_t size)
{
    if (f->pid > 0)
        proc_format(buf, size, "pybraid dump %d", f->pid);
    else
        proc_format(buf, size, "pybraid dump PID");
    return buf;
}

static const char *container(const struct facts *f)
{
    return *f->where.id ? f->where.id : f->where.place == PLACE_KUBERNETES ? "POD" : "CONTAINER";
}

static const char *engine(const struct facts *f)
{
    return f->where.place == PLACE_PODMAN ? "podman" : "docker";
}

static void on_host(const struct facts *f, struct obstacle *o)
{
    char command[64];
    dump(f, command, sizeof(command));
    if (f->own.uid[1] == 0 || f->own.no_new_privs) {
        if (f->where.systemd)
            obstacle_remedy(o, "systemd-run --pipe --wait -q %s", command);
        obstacle_remedy(o, "# or from another shell, as root: %s",
                        f->own.uid[1] == 0 ? "this one was started without CAP_SYS_PTRACE (capsh, setpriv, a service's CapabilityBoundingSet=)"
                                           : "this one may gain no rights (no_new_privs), sudo does not work in it");
        return;
    }
    obstacle_remedy(o, "sudo %s", command);
}

/** Every obstacle of rights falls before CAP_SYS_PTRACE. */
static void need_capability(const struct facts *f, struct obstacle *o)
{
    char command[64];
    dump(f, command, sizeof(command));
    switch (f->where.place) {
    case PLACE_DOCKER:
    case PLACE_PODMAN:
        obstacle_remedy(o, "%s exec --privileged -u root -it %s %s    # on the host", engine(f), container(f), command);
        obstacle_remedy(o, "%s run --cap-add SYS_PTRACE ...    # for the next container; compose: cap_add: [SYS_PTRACE]", engine(f));
        break;
    case PLACE_KUBERNETES:
        obstacle_remedy(o, "kubectl debug -it %s --image=IMAGE --target=CONTAINER --profile=general -- %s    # IMAGE: one with pybraid",
                        container(f), command);
        obstacle_remedy(o, "securityContext: {capabilities: {add: [SYS_PTRACE]}}    # in the container's manifest, for the next pod");
        break;
    case PLACE_CONTAINER:
        if (strcmp(f->where.engine, "systemd-nspawn") == 0)
            obstacle_remedy(o, "systemd-nspawn --capability=CAP_SYS_PTRACE ...    # for the next container");
        obstacle_remedy(o, "# run pybraid on the container's host, as root, with the process id that it has there");
        break;
    default:
        on_host(f, o);
    }
}

static void for_user(const struct facts *f, struct obstacle *o)
{
    char command[64], name[64];
    dump(f, command, sizeof(command));
    need_capability(f, o);
    if (f->where.place == PLACE_DOCKER || f->where.place == PLACE_PODMAN)
        obstacle_remedy(o, "%s exec -u %u:%u -it %s %s    # on the host, as the process' user", engine(f), f->target.uid[1], f->target.gid[1],
                        container(f), command);
    else if (f->where.place == PLACE_HOST && !f->own.no_new_privs && f->own.uid[1] != 0 && f->target.uid[1] != 0 &&
             f->target.uid[1] != f->own.uid[1]) {
        proc_user(f->target.uid[1], name, sizeof(name));
        bool numeric = name[strspn(name, "0123456789")] == '\0';
        obstacle_remedy(o, numeric ? "sudo -u '#%s' %s" : "sudo -u %s %s", name, command);
    }
}

static void for_yama(const struct facts *f, struct obstacle *o)
{
    bool host = f->where.place == PLACE_HOST;
    if (f->ptrace_scope >= 3) {
        obstacle_remedy(o, "echo kernel.yama.ptrace_scope=1 | sudo tee /etc/sysctl.d/99-ptrace.conf; sudo reboot%s", host ? "" : "    # on the host");
        return;
    }
    need_capability(f, o);
    // Only 3 cannot be taken back.
    obstacle_remedy(o, "sudo sysctl kernel.yama.ptrace_scope=0    # %sfor every user and process of the machine, until it starts again",
                    host ? "" : "on the host: ");
}

static void for_seccomp(const struct facts *f, struct obstacle *o)
{
    if (o->stopping_only && f->own_ptrace)
        obstacle_remedy(o, f->pid > 0 ? "pybraid dump --no-stop %d" : "pybraid dump --no-stop PID", f->pid);
    switch (f->where.place) {
    case PLACE_DOCKER:
    case PLACE_PODMAN:
        obstacle_remedy(o, "%s run --cap-add SYS_PTRACE ...    # the engine's own filter then lets both calls through", engine(f));
        obstacle_remedy(o, "%s run --security-opt seccomp=unconfined ...    # a filter of your own", engine(f));
        break;
    case PLACE_KUBERNETES:
        obstacle_remedy(o, "securityContext: {seccompProfile: {type: Unconfined}}    # in the container's manifest, for the next pod");
        break;
    default:
        if (f->where.systemd)
            obstacle_remedy(o, "SystemCallFilter=@debug process_vm_readv    # in the service's unit file, if a service started this");
        obstacle_remedy(o, "# run it from a shell outside of the sandbox that started this one");
    }
}

static void for_apparmor(const struct facts *f, struct obstacle *o)
{
    const char *label = strcmp(f->own_label, "unconfined") != 0 && *f->own_label ? f->own_label : f->target_label;
    switch (f->where.place) {
    case PLACE_DOCKER:
    case PLACE_PODMAN:
        obstacle_remedy(o, "%s run --security-opt apparmor=unconfined ...", engine(f));
        break;
    case PLACE_KUBERNETES:
        obstacle_remedy(o, "securityContext: {appArmorProfile: {type: Unconfined}}    # in the container's manifest, for the next pod");
        break;
    default:
        obstacle_remedy(o, "sudo aa-complain %.*s    # package apparmor-utils; back with aa-enforce", (int)strcspn(label, " ("), label);
    }
    obstacle_remedy(o, "sudo dmesg | grep 'apparmor=\"DENIED\".*ptrace'    # on the host: says what it refused");
}

static void for_selinux(const struct facts *f, struct obstacle *o)
{
    if (f->selinux_deny_ptrace == 1)
        obstacle_remedy(o, "sudo setsebool deny_ptrace 0%s", f->where.place == PLACE_HOST ? "" : "    # on the host");
    else if (f->where.place == PLACE_DOCKER || f->where.place == PLACE_PODMAN)
        obstacle_remedy(o, "%s run --security-opt label=disable ...", engine(f));
    else if (f->where.place == PLACE_KUBERNETES)
        obstacle_remedy(o, "securityContext: {seLinuxOptions: {type: spc_t}}    # in the container's manifest, for the next pod");
    obstacle_remedy(o, "sudo ausearch -m avc -c pybraid --start recent    # on the host: says what it refused");
}

static void for_namespace(const struct facts *f, struct obstacle *o)
{
    char command[64];
    if (f->where.place == PLACE_HOST && f->initial_user_ns)
        need_capability(f, o);
    else
        obstacle_remedy(o, "# run it as root on the host, in the first user namespace%s", f->pid > 0 ? ", with the process id that it has there" : "");
    if (f->pid > 0 && f->where.place == PLACE_HOST)
        obstacle_remedy(o, "sudo nsenter -t %d -U --preserve-credentials %s    # inside its namespace", f->pid, dump(f, command, sizeof(command)));
}

void doctor_remedy(const struct facts *f, struct obstacle *o)
{
    switch (o->kind) {
    case OBSTACLE_HIDDEN:
    case OBSTACLE_CAPABILITY:
    case OBSTACLE_DUMPABLE:
        need_capability(f, o);
        break;
    case OBSTACLE_USER:
        for_user(f, o);
        break;
    case OBSTACLE_USER_NAMESPACE:
        for_namespace(f, o);
        break;
    case OBSTACLE_PTRACE_SCOPE:
        for_yama(f, o);
        break;
    case OBSTACLE_SECCOMP:
        for_seccomp(f, o);
        break;
    case OBSTACLE_APPARMOR:
        for_apparmor(f, o);
        break;
    case OBSTACLE_SELINUX:
        for_selinux(f, o);
        break;
    case OBSTACLE_TRACED:
        obstacle_remedy(o, "pybraid dump --no-stop %d    # or end the tracer first", f->pid);
        break;
    case OBSTACLE_LANDLOCK:
    case OBSTACLE_UNKNOWN:
        obstacle_remedy(o, "# run it from a shell outside of the sandbox that started this one");
        obstacle_remedy(o, "sudo dmesg | grep -iE 'denied|landlock|audit'    # may say what refused");
    }
}
