// SPDX-License-Identifier: Apache-2.0
// pybraid doctor where this machine cannot be the witness: Yama, AppArmor, SELinux, other places. The kernel's files are made up in a folder.
#include "unit.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/stat.h>

#include "doctor.h"

#define ALL_CAPS 0x1ffffffffffull
#define NO_PTRACE_CAPS (ALL_CAPS & ~(1ull << CAP_SYS_PTRACE))

static char root[64];

// Writes a file and the folders above it.
static void put(const char *path, const char *text)
{
    char full[256];
    proc_format(full, sizeof(full), "%s%s", root, path);
    for (char *p = full + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        assert_true(mkdir(full, 0755) == 0 || errno == EEXIST);
        *p = '/';
    }
    FILE *f = fopen(full, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/pybraid-unit-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    char command[128];
    proc_format(command, sizeof(command), "rm -r %s", root);
    return system(command);
}

static const char status[] = "Name:\ta name\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t4711\nNgid:\t0\nPid:\t4711\nPPid:\t17\nTracerPid:\t0\n"
                             "Uid:\t1000\t1001\t1002\t1003\nGid:\t100\t101\t102\t103\nNSpid:\t4711\t12\t1\nThreads:\t7\n"
                             "CapPrm:\t00000000a80425fb\nCapEff:\t0000000000080000\nCapBnd:\t000001ffffffffff\nNoNewPrivs:\t1\n"
                             "Seccomp:\t2\nSeccomp_filters:\t1\n";

static void status_is_read(void **state)
{
    (void)state;
    struct proc_status s;
    put("/proc/4711/status", status);
    assert_true(proc_status_read(root, "4711", &s));
    assert_string_equal(s.comm, "a name");
    assert_int_equal(s.state, 'S');
    assert_int_equal(s.tgid, 4711);
    assert_int_equal(s.ppid, 17);
    assert_int_equal(s.threads, 7);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(s.uid[i], 1000 + i);
        assert_int_equal(s.gid[i], 100 + i);
    }
    assert_true(s.cap_permitted == 0xa80425fb && s.cap_effective == 1u << CAP_SYS_PTRACE && s.cap_bounding == 0x1ffffffffff);
    assert_int_equal(s.seccomp, 2);
    assert_true(s.no_new_privs);
    assert_string_equal(s.ns_pid, "4711 12 1");
    assert_false(proc_status_read(root, "4712", &s));
    put("/proc/4713/status", "");
    assert_false(proc_status_read(root, "4713", &s));
    put("/proc/4714/status", "Name:\tx\nState:\tR\nUid:\t1");
    assert_true(proc_status_read(root, "4714", &s));
    assert_int_equal(s.seccomp, -1);
}

static void machine_is_read(void **state)
{
    (void)state;
    struct facts f;
    put("/proc/self/status", status);
    facts_own(root, &f);
    assert_int_equal(f.ptrace_scope, -1);
    assert_int_equal(f.selinux_enforcing, -1);
    assert_int_equal(f.selinux_deny_ptrace, -1);
    assert_string_equal(f.lsm, "");
    assert_true(facts_have(&f, CAP_SYS_PTRACE));
    for (int scope = 0; scope <= 3; scope++) {
        char text[8];
        proc_format(text, sizeof(text), "%d\n", scope);
        put("/proc/sys/kernel/yama/ptrace_scope", text);
        facts_own(root, &f);
        assert_int_equal(f.ptrace_scope, scope);
    }
    put("/proc/sys/kernel/yama/ptrace_scope", "nonsense\n");
    put("/sys/fs/selinux/enforce", "1");
    put("/sys/fs/selinux/booleans/deny_ptrace", "1 0");
    put("/sys/kernel/security/lsm", "lockdown,capability,landlock,yama,apparmor");
    put("/proc/self/attr/current", "docker-default (enforce)\n");
    facts_own(root, &f);
    assert_int_equal(f.ptrace_scope, -1);
    assert_int_equal(f.selinux_enforcing, 1);
    assert_int_equal(f.selinux_deny_ptrace, 1);
    assert_string_equal(f.lsm, "lockdown,capability,landlock,yama,apparmor");
    assert_string_equal(f.own_label, "docker-default (enforce)");
}

static void where_we_are(void **state)
{
    (void)state;
    static const char id[] = "0::/system.slice/docker-4c5e1f0a9b8d7c6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e.scope\n";
    struct where w;
    where_find(root, NULL, "myhost", &w);
    assert_int_equal(w.place, PLACE_HOST);
    assert_string_equal(w.id, "");
    assert_false(w.systemd);
    put("/proc/1/cgroup", "0::/\n");
    where_find(root, "", "0123456789ab", &w);
    assert_int_equal(w.place, PLACE_HOST);
    assert_string_equal(w.id, "");
    put("/proc/1/cgroup", id);
    where_find(root, NULL, "myhost", &w);
    assert_int_equal(w.place, PLACE_DOCKER);
    assert_string_equal(w.id, "4c5e1f0a9b8d");
    assert_string_equal(w.evidence, "/proc/1/cgroup");
    put("/proc/1/cgroup", "1:name=systemd:/kubepods/besteffort/pod1234\n");
    where_find(root, NULL, "my-pod-5d8f", &w);
    assert_int_equal(w.place, PLACE_KUBERNETES);
    assert_string_equal(w.id, "my-pod-5d8f");
    put("/proc/1/cgroup", "0::/\n");
    put("/run/systemd/container", "systemd-nspawn\n");
    put("/run/systemd/system/x", "");
    where_find(root, NULL, "c", &w);
    assert_int_equal(w.place, PLACE_CONTAINER);
    assert_string_equal(w.engine, "systemd-nspawn");
    assert_true(w.systemd);
    put("/.dockerenv", "");
    where_find(root, NULL, "0123456789ab", &w);
    assert_int_equal(w.place, PLACE_DOCKER);
    assert_string_equal(w.id, "0123456789ab");
    put("/run/.containerenv", "engine=\"podman-4.3.1\"\nname=\"web_1\"\nid=\"77aa\"\n");
    where_find(root, NULL, "h", &w);
    assert_int_equal(w.place, PLACE_PODMAN);
    assert_string_equal(w.id, "web_1");
    put("/run/.containerenv", "name=\"$(reboot)\"\n"); // nobody's name, nothing to paste
    where_find(root, NULL, "h", &w);
    assert_string_equal(w.id, "");
    put("/var/run/secrets/kubernetes.io/serviceaccount/token", "x");
    where_find(root, NULL, "pod-1", &w);
    assert_int_equal(w.place, PLACE_KUBERNETES);
    where_find(root, "10.0.0.1", "pod-1", &w);
    assert_string_equal(w.evidence, "KUBERNETES_SERVICE_HOST");
}

// A user and another process of the same one, which can be read; each case changes something.
static struct facts plain(void)
{
    return (struct facts){
        .pid = 4711, .initial_user_ns = true, .ptrace_scope = -1, .selinux_enforcing = -1, .selinux_deny_ptrace = -1, .exists = true,
        .relation = NS_SAME, .dumpable = YES,
        .own = {.uid = {1000, 1000, 1000}, .gid = {1000, 1000, 1000}, .seccomp = 0},
        .target = {.uid = {1000, 1000, 1000}, .gid = {1000, 1000, 1000}, .state = 'S'},
    };
}

static void deny(struct facts *f, bool look)
{
    f->look = f->maps = look ? EACCES : 0;
    f->mem = EACCES;
    f->vm = EPERM;
}

// The only obstacle, and one of its remedies.
static void expect(const struct facts *f, enum obstacle_kind kind, const char *what, const char *remedy)
{
    struct diagnosis d;
    doctor_judge(f, &d);
    if (d.n != 1 || d.obstacles[0].kind != kind || !strstr(d.obstacles[0].what, what))
        fail_msg("%zu obstacles, first %s: %s; not one, %s: %s", d.n, d.n ? obstacle_name(d.obstacles[0].kind) : "none",
                 d.n ? d.obstacles[0].what : "", obstacle_name(kind), what);
    bool found = false;
    for (size_t i = 0; i < d.obstacles[0].n_remedies; i++)
        found |= strcmp(d.obstacles[0].remedies[i], remedy) == 0;
    if (!found)
        fail_msg("%s: %s: first remedy \"%s\", none is \"%s\"", obstacle_name(kind), what, d.obstacles[0].remedies[0], remedy);
}

static void nothing_in_the_way(void **state)
{
    (void)state;
    struct diagnosis d;
    struct facts f = plain();
    doctor_judge(&f, &d);
    assert_int_equal(d.n, 0);
    assert_true(facts_readable(&f) && facts_stoppable(&f));
    f.ptrace_scope = 1; // an ancestor, or one whom the process named: allowed all the same
    doctor_judge(&f, &d);
    assert_int_equal(d.n, 0);
    f.own.seccomp = 2; // a filter that lets it pass
    doctor_judge(&f, &d);
    assert_int_equal(d.n, 0);
}

static void yama(void **state)
{
    (void)state;
    struct facts f = plain();
    deny(&f, false);
    f.ptrace_scope = 1;
    expect(&f, OBSTACLE_PTRACE_SCOPE, "ptrace_scope is 1", "sudo pybraid dump 4711");
    expect(&f, OBSTACLE_PTRACE_SCOPE, "ancestors only",
           "sudo sysctl kernel.yama.ptrace_scope=0    # for every user and process of the machine, until it starts again");
    f.ptrace_scope = 2;
    expect(&f, OBSTACLE_PTRACE_SCOPE, "ptrace_scope is 2", "sudo pybraid dump 4711");
    f.where.place = PLACE_DOCKER;
    expect(&f, OBSTACLE_PTRACE_SCOPE, "ptrace_scope is 2",
           "docker run --cap-add SYS_PTRACE ...    # for the next container; compose: cap_add: [SYS_PTRACE]");
    f = plain();
    deny(&f, false);
    f.ptrace_scope = 3;
    f.own.cap_permitted = f.own.cap_effective = ALL_CAPS;
    expect(&f, OBSTACLE_PTRACE_SCOPE, "nobody may",
           "echo kernel.yama.ptrace_scope=1 | sudo tee /etc/sysctl.d/99-ptrace.conf; sudo reboot");
    // Another user's process, and Yama: two obstacles, in the kernel's order.
    struct diagnosis d;
    f = plain();
    deny(&f, true);
    f.ptrace_scope = 1;
    f.target.uid[0] = f.target.uid[1] = f.target.uid[2] = 0;
    doctor_judge(&f, &d);
    assert_int_equal(d.n, 2);
    assert_int_equal(d.obstacles[0].kind, OBSTACLE_USER);
    assert_int_equal(d.obstacles[1].kind, OBSTACLE_PTRACE_SCOPE);
}

static void security_modules(void **state)
{
    (void)state;
    struct facts f = plain();
    deny(&f, true);
    strcpy(f.target_label, "snap.app.server (enforce)");
    strcpy(f.own_label, "unconfined");
    expect(&f, OBSTACLE_APPARMOR, "the process is snap.app.server (enforce)", "sudo aa-complain snap.app.server    # package apparmor-utils; back with aa-enforce");
    f.where.place = PLACE_DOCKER;
    strcpy(f.own_label, "docker-default (enforce)");
    expect(&f, OBSTACLE_APPARMOR, "we are docker-default (enforce)", "docker run --security-opt apparmor=unconfined ...");
    f.where.place = PLACE_KUBERNETES;
    expect(&f, OBSTACLE_APPARMOR, "keeps the two apart",
           "securityContext: {appArmorProfile: {type: Unconfined}}    # in the container's manifest, for the next pod");
    f = plain();
    deny(&f, true);
    strcpy(f.own_label, "user_u:user_r:user_t:s0");
    f.selinux_enforcing = 1;
    f.selinux_deny_ptrace = 0;
    expect(&f, OBSTACLE_SELINUX, "user_u:user_r:user_t:s0", "sudo ausearch -m avc -c pybraid --start recent    # on the host: says what it refused");
    f.where.place = PLACE_PODMAN;
    expect(&f, OBSTACLE_SELINUX, "enforces", "podman run --security-opt label=disable ...");
    f.where.place = PLACE_HOST;
    f.selinux_deny_ptrace = 1;
    expect(&f, OBSTACLE_SELINUX, "deny_ptrace", "sudo setsebool deny_ptrace 0");
    f = plain();
    deny(&f, true);
    strcpy(f.lsm, "capability,tomoyo");
    expect(&f, OBSTACLE_UNKNOWN, "capability,tomoyo", "# run it from a shell outside of the sandbox that started this one");
}

static void rights(void **state)
{
    (void)state;
    struct facts f = plain();
    deny(&f, true);
    f.target.uid[1] = 65534;
    expect(&f, OBSTACLE_USER, "(uid 65534)", "sudo pybraid dump 4711");
    f.own.no_new_privs = true; // sudo would not work
    expect(&f, OBSTACLE_USER, "(uid 65534)", "# or from another shell, as root: this one may gain no rights (no_new_privs), sudo does not work in it");
    f = plain();
    deny(&f, true);
    f.own.uid[0] = f.own.uid[1] = f.own.uid[2] = 0;
    f.own.cap_permitted = f.own.cap_effective = NO_PTRACE_CAPS;
    f.where.systemd = true;
    expect(&f, OBSTACLE_CAPABILITY, "root without CAP_SYS_PTRACE", "systemd-run --pipe --wait -q pybraid dump 4711");
    f.where.place = PLACE_PODMAN;
    strcpy(f.where.id, "web_1");
    expect(&f, OBSTACLE_CAPABILITY, "root without CAP_SYS_PTRACE", "podman exec --privileged -u root -it web_1 pybraid dump 4711    # on the host");
    f.where.place = PLACE_KUBERNETES;
    strcpy(f.where.id, "shop-5d8f");
    expect(&f, OBSTACLE_CAPABILITY, "root without CAP_SYS_PTRACE",
           "kubectl debug -it shop-5d8f --image=IMAGE --target=CONTAINER --profile=general -- pybraid dump 4711    # IMAGE: one with pybraid");
    f = plain();
    deny(&f, true);
    f.target.cap_permitted = 1u << CAP_NET_BIND_SERVICE;
    expect(&f, OBSTACLE_CAPABILITY, "lacks: CAP_NET_BIND_SERVICE", "sudo pybraid dump 4711");
    f.dumpable = NO;
    expect(&f, OBSTACLE_DUMPABLE, "not dumpable", "sudo pybraid dump 4711");
    f = plain();
    deny(&f, true);
    f.initial_user_ns = false;
    f.relation = NS_UNKNOWN;
    f.own.cap_permitted = f.own.cap_effective = ALL_CAPS;
    expect(&f, OBSTACLE_USER_NAMESPACE, "this user namespace only", "# run it as root on the host, in the first user namespace, with the process id that it has there");
}

static void filters(void **state)
{
    (void)state;
    struct diagnosis d;
    struct facts f = plain();
    f.own.seccomp = 2;
    f.own_vm = f.vm = EPERM;
    f.own_ptrace = EPERM;
    f.where.place = PLACE_KUBERNETES;
    expect(&f, OBSTACLE_SECCOMP, "process_vm_readv and ptrace", "pybraid dump --no-stop 4711");
    expect(&f, OBSTACLE_SECCOMP, "Operation not permitted",
           "securityContext: {seccompProfile: {type: Unconfined}}    # in the container's manifest, for the next pod");
    assert_true(facts_readable(&f) && !facts_stoppable(&f));
    doctor_judge(&f, &d);
    assert_true(d.obstacles[0].stopping_only);
    // The filter hides what the kernel would have said; /proc/PID/mem tells.
    f.mem = EACCES;
    f.ptrace_scope = 1;
    doctor_judge(&f, &d);
    assert_int_equal(d.n, 2);
    assert_int_equal(d.obstacles[1].kind, OBSTACLE_PTRACE_SCOPE);
    // An old kernel without the call: no filter of ours, and no obstacle.
    f = plain();
    f.own_vm = f.vm = ENOSYS;
    doctor_judge(&f, &d);
    assert_int_equal(d.n, 0);
    assert_true(facts_readable(&f));
}

static void every_obstacle_has_a_remedy_everywhere(void **state)
{
    (void)state;
    for (int place = PLACE_HOST; place <= PLACE_CONTAINER; place++) {
        for (int kind = OBSTACLE_HIDDEN; kind <= OBSTACLE_UNKNOWN; kind++) {
            for (int bits = 0; bits < 16; bits++) {
                struct facts f = plain();
                struct obstacle o = {.kind = (enum obstacle_kind)kind, .stopping_only = bits & 1};
                f.where.place = (enum place)place;
                f.where.systemd = bits & 2;
                f.own.uid[1] = bits & 4 ? 0 : 1000;
                f.pid = bits & 8 ? 0 : 4711;
                doctor_remedy(&f, &o);
                if (o.n_remedies == 0)
                    fail_msg("%s has no remedy in place %d", obstacle_name(o.kind), place);
                for (size_t i = 0; i < o.n_remedies; i++)
                    assert_true(strlen(o.remedies[i]) > 5 && strlen(o.remedies[i]) < sizeof(o.remedies[i]) - 1);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(status_is_read, make_root, remove_root),
        cmocka_unit_test_setup_teardown(machine_is_read, make_root, remove_root),
        cmocka_unit_test_setup_teardown(where_we_are, make_root, remove_root),
        cmocka_unit_test(nothing_in_the_way),
        cmocka_unit_test(yama),
        cmocka_unit_test(security_modules),
        cmocka_unit_test(rights),
        cmocka_unit_test(filters),
        cmocka_unit_test(every_obstacle_has_a_remedy_everywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
