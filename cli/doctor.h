// SPDX-License-Identifier: Apache-2.0
/**
 * `pybraid doctor`: facts first (doctor_facts.c: who we are, where, the process, what the kernel answers to a try), then what they mean
 * (doctor_judge.c: the obstacles, in the order in which the kernel checks them), then what can be done (doctor_remedy.c), apart from how it is
 * shown (doctor.c). doctor_tools.c looks at gdb, lldb, perf and BPF. Nothing is changed, nothing is stopped.
 */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H
#include "cli.h"
#include "proc.h"

/** Where we run: which remedy can be pasted. */
enum place { PLACE_HOST, PLACE_DOCKER, PLACE_PODMAN, PLACE_KUBERNETES, PLACE_CONTAINER };
struct where {
    enum place place;
    char evidence[80];  // the file or variable that told
    char id[80];        // of the container, or of the pod; "" unknown
    char engine[40];    // of another kind of container: "lxc", "systemd-nspawn"
    bool systemd;       // it runs this system
};
void where_find(const char *root, const char *kubernetes_service_host, const char *hostname, struct where *ret);

enum namespace_relation {
    NS_UNKNOWN,
    NS_SAME,
    NS_BELOW,           // made inside ours: our capabilities reach it
    NS_OTHER,           // neither: they do not
};
enum known { UNKNOWN, NO, YES };

/** What the kernel's check of an access goes by (ptrace(2), "Ptrace access mode checking"), and its answers. */
struct facts {
    int32_t pid;                // 0: no process was named
    struct where where;
    // we
    struct proc_status own;
    bool initial_user_ns;
    char own_label[128];        // AppArmor's or SELinux's; "" none
    // the machine
    int ptrace_scope;           // Yama's; -1: not in this kernel
    char lsm[128];              // security modules, or "" unknown
    int selinux_enforcing;      // 1, 0, -1: no SELinux
    int selinux_deny_ptrace;    // its boolean; -1: none
    int landlock;               // version of its interface; 0: not in this kernel, or off
    // the process
    bool exists;
    bool hidden;                // it exists, and /proc does not show it
    bool kernel_thread;
    struct proc_status target;
    enum namespace_relation relation;
    enum known dumpable;
    char target_label[128];
    char tracer_name[64];
    // answers: an errno, 0 for yes, -1 when not tried
    int look;                   // may look (PTRACE_MODE_READ)
    int maps;                   // may see what is mapped: the same, and since Linux 6.15 CAP_PERFMON does, too
    int mem;                    // may read memory by /proc/PID/mem (PTRACE_MODE_ATTACH)
    int vm;                     // may read memory by process_vm_readv (PTRACE_MODE_ATTACH)
    int own_vm;                 // process_vm_readv of ourselves: only a seccomp filter, or an old kernel, denies it
    int own_ptrace;             // ptrace of a process that is not there: 0 when the kernel itself answers
};
/** Of ourselves and the machine. */
void facts_own(const char *root, struct facts *f);
/** Of a process; tries to read it. */
void facts_process(const char *root, int32_t pid, struct facts *f);
/** Of another process of ours that is not our child, made for this: what facts_process() would say of one's own processes. False: no fork. */
bool facts_trial(struct facts *f);
bool facts_have(const struct facts *f, int capability);
/** facts_have() of CAP_SYS_PTRACE, and the process is within its reach. */
bool facts_may_all(const struct facts *f);
/** Memory can be read, one way or the other; threads can be stopped. */
bool facts_readable(const struct facts *f);
bool facts_stoppable(const struct facts *f);

enum obstacle_kind {
    OBSTACLE_HIDDEN, OBSTACLE_SECCOMP, OBSTACLE_USER_NAMESPACE, OBSTACLE_CAPABILITY, OBSTACLE_USER, OBSTACLE_DUMPABLE,
    OBSTACLE_PTRACE_SCOPE, OBSTACLE_APPARMOR, OBSTACLE_SELINUX, OBSTACLE_LANDLOCK, OBSTACLE_TRACED, OBSTACLE_UNKNOWN,
};
#define MAX_OBSTACLES 8
#define MAX_REMEDIES 4
struct obstacle {
    enum obstacle_kind kind;
    bool stopping_only;         // memory can be read all the same
    char what[400];
    char remedies[MAX_REMEDIES][240]; // each a line to paste; after '#', where or what it does
    size_t n_remedies;
};
struct diagnosis {
    struct obstacle obstacles[MAX_OBSTACLES];
    size_t n;
};
const char *obstacle_name(enum obstacle_kind kind);
/** Which obstacles the facts show, in the kernel's order; none when everything is allowed. */
void doctor_judge(const struct facts *f, struct diagnosis *ret);
/** Fills o->remedies for the place that f->where names. */
void doctor_remedy(const struct facts *f, struct obstacle *o);
void obstacle_remedy(struct obstacle *o, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** What one front end can do here. */
#define MAX_NOTES 6
struct tool {
    const char *name;
    enum known usable;          // UNKNOWN: partly
    char path[400];             // "" not found
    char version[80];
    char notes[MAX_NOTES][240];
    size_t n_notes;
    char remedy[240];
};
#define N_TOOLS 4
void tools_look(const struct facts *f, struct tool ret[N_TOOLS]);
#endif
