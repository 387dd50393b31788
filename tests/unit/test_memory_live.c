// SPDX-License-Identifier: Apache-2.0
// Live processes: this one and forked children.
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/error.h"
#include "memory/live.h"
#include "memory/readers.h"

#define PAGE 4096u

static uint8_t *shared_pages(size_t n)
{
    uint8_t *p = mmap(NULL, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    for (size_t i = 0; i < n * PAGE; i++)
        p[i] = (uint8_t)(i * 13 + i / PAGE);
    return p;
}

static struct pyb_memory *open_live(int32_t pid)
{
    struct pyb_memory *m;
    struct pyb_error err;
    assert_ok(pyb_live_open(unit_ctx(), pid, &m, &err), &err);
    return m;
}

// A child that waits until it is killed.
static pid_t fork_sleeper(void (*first)(void))
{
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (first)
            first();
        (void)!write(ready[1], "x", 1);
        for (;;)
            pause();
    }
    char byte;
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

// One range over pages of which the third is not mapped, and ranges on both sides, as one call.
static void check_holes(struct pyb_memory *m, uint8_t *p, const uint8_t *want)
{
    struct pyb_error err;
    uint8_t buf[6 * PAGE], small[2][16];
    struct pyb_range r[] = {
        {.addr = (uintptr_t)p + 100, .buf = buf, .len = 6 * PAGE - 100},
        {.addr = (uintptr_t)p + 3 * PAGE, .buf = small[0], .len = 16},
        {.addr = 0x10, .buf = small[0], .len = 16},
        {.addr = (uintptr_t)p + 2 * PAGE, .buf = small[0] + 1, .len = 1},
        {.addr = (uintptr_t)p + 5 * PAGE, .buf = small[1], .len = 16},
        {.addr = UINT64_MAX - 0x2000, .buf = small[1], .len = 16},
    };
    assert_ok(pyb_memory_readv(m, r, 6, &err), &err);
    assert_int_equal(r[0].done, 2 * PAGE - 100);
    assert_memory_equal(buf, want + 100, r[0].done);
    assert_int_equal(r[1].done, 16);
    assert_memory_equal(small[0], want + 3 * PAGE, 16);
    assert_int_equal(r[2].done, 0);
    assert_int_equal(r[3].done, 0);
    assert_int_equal(r[4].done, 16);
    assert_memory_equal(small[1], want + 5 * PAGE, 16);
    assert_int_equal(r[5].done, 0);
}

static void own_process_is_read(void **state)
{
    (void)state;
    struct pyb_memory *m = open_live(getpid());
    struct pyb_error err;
    assert_int_equal(m->ptr_size, sizeof(void *));
#if defined(__x86_64__)
    assert_int_equal(m->machine, 62);
    assert_false(m->big_endian);
#endif
    uint8_t *p = shared_pages(6);
    uint8_t *want = malloc(6 * PAGE);
    memcpy(want, p, 6 * PAGE);
    munmap(p + 2 * PAGE, PAGE);
    check_holes(m, p, want);
    // Words at the stack, the program and the heap.
    volatile uint64_t on_stack = 0x1122334455667788u;
    uint64_t value;
    assert_ok(pyb_read_u64(m, (uintptr_t)&on_stack, &value, &err), &err);
    assert_true(value == on_stack);
    char text[64];
    assert_ok(pyb_read_cstr(m, (uintptr_t) "some text of the program", text, 63, &err), &err);
    assert_string_equal(text, "some text of the program");
    free(want);
    munmap(p, 2 * PAGE);
    munmap(p + 3 * PAGE, 3 * PAGE);
    pyb_memory_destroy(m);
}

static void thousands_of_ranges_in_one_call(void **state)
{
    (void)state;
    enum { N = 5000 };
    uint8_t *p = shared_pages(N);
    pid_t pid = fork_sleeper(NULL);
    struct pyb_memory *m = open_live(pid);
    struct pyb_error err;
    struct pyb_range *r = calloc(N, sizeof(*r));
    uint8_t *buf = calloc(N, 32);
    for (size_t i = 0; i < N; i++) // every hundredth is nowhere
        r[i] = (struct pyb_range){.addr = i % 100 == 50 ? 0x7000 : (uintptr_t)p + i * PAGE + i % 4000,
                                  .buf = buf + i * 32,
                                  .len = i % 33};
    assert_ok(pyb_memory_readv(m, r, N, &err), &err);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(r[i].done, i % 100 == 50 ? 0 : i % 33);
        assert_memory_equal(r[i].buf, p + i * PAGE + i % 4000, r[i].done);
    }
    free(r);
    free(buf);
    pyb_memory_destroy(m);
    end(pid);
    munmap(p, N * PAGE);
}

// What a container's seccomp filter does to process_vm_readv.
static void deny_process_vm_readv(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {.len = 4, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) != 0)
        _exit(77);
}

// Runs `body` in a child of its own: it may drop rights. The child ends with 0 when it passed.
static void in_child(void (*body)(pid_t target), void (*target_first)(void))
{
    pid_t target = fork_sleeper(target_first);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        body(target);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    end(target);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("skipped: no seccomp here\n");
        skip();
    }
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                  \
            _exit(1);                                                                                        \
        }                                                                                                    \
    } while (0)

static uint8_t *fallback_pages;

static void read_by_mem(pid_t target)
{
    deny_process_vm_readv();
    char byte;
    struct iovec v = {&byte, 1}, w = {fallback_pages, 1};
    CHECK(process_vm_readv(target, &v, 1, &w, 1, 0) == -1 && errno == EPERM);
    struct pyb_memory *m;
    struct pyb_error err;
    CHECK(pyb_live_open(unit_ctx(), target, &m, &err) == 0);
    uint8_t buf[6 * PAGE];
    struct pyb_range r[] = {{.addr = (uintptr_t)fallback_pages + 100, .buf = buf, .len = sizeof(buf) - 100},
                            {.addr = UINT64_MAX - 0x2000, .buf = buf + 5 * PAGE, .len = 8},
                            {.addr = (uintptr_t)fallback_pages + 3 * PAGE, .buf = buf + 4 * PAGE, .len = 16}};
    CHECK(pyb_memory_readv(m, r, 3, &err) == 0);
    CHECK(r[0].done == 2 * PAGE - 100 && r[1].done == 0 && r[2].done == 16);
    for (size_t i = 0; i < r[0].done; i++)
        CHECK(buf[i] == (uint8_t)((i + 100) * 13 + (i + 100) / PAGE));
    kill(target, SIGKILL);
    while (kill(target, 0) == 0 && pyb_memory_readv(m, r, 1, &err) == 0)
        usleep(1000); // a zombie of our parent's: reads end when its memory has gone
    CHECK(err.code == PYB_E_GONE);
    pyb_memory_destroy(m);
}

static void falls_back_to_proc_mem(void **state)
{
    (void)state;
    fallback_pages = shared_pages(6);
    munmap(fallback_pages + 2 * PAGE, PAGE);
    in_child(read_by_mem, NULL);
    munmap(fallback_pages, 2 * PAGE);
    munmap(fallback_pages + 3 * PAGE, 3 * PAGE);
}

static void ended_process_is_gone(void **state)
{
    (void)state;
    uint8_t *p = shared_pages(1);
    pid_t pid = fork_sleeper(NULL);
    struct pyb_memory *m = open_live(pid);
    struct pyb_error err;
    uint8_t buf[16];
    assert_ok(pyb_read_bytes(m, (uintptr_t)p, buf, 16, &err), &err);
    assert_memory_equal(buf, p, 16);
    kill(pid, SIGKILL);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(pyb_read_bytes(m, (uintptr_t)p, buf, 16, &err), PYB_E_GONE); // a zombie now
    struct pyb_memory *other;
    assert_int_equal(pyb_live_open(unit_ctx(), pid, &other, &err), PYB_E_GONE);
    assert_non_null(strstr(err.what, "zombie"));
    assert_null(other);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(pyb_read_bytes(m, (uintptr_t)p, buf, 16, &err), PYB_E_GONE); // reaped
    assert_int_equal(pyb_live_open(unit_ctx(), pid, &other, &err), PYB_E_NOENT);
    pyb_memory_destroy(m);
    munmap(p, PAGE);
}

// The number of an ended process is given to another one (ns_last_pid): its memory must not be taken for the
// first one's.
static void reused_pid_is_gone(void **state)
{
    (void)state;
    uint8_t *p = shared_pages(1);
    pid_t pid = fork_sleeper(NULL);
    struct pyb_memory *m = open_live(pid);
    struct pyb_error err;
    end(pid);
    pid_t again = 0;
    for (int i = 0; i < 50 && again != pid; i++) {
        int fd = open("/proc/sys/kernel/ns_last_pid", O_WRONLY);
        char text[16];
        int n = snprintf(text, sizeof(text), "%d", pid - 1);
        bool set = fd >= 0 && write(fd, text, (size_t)n) == n;
        if (fd >= 0)
            close(fd);
        if (!set)
            break;
        again = fork_sleeper(NULL);
        if (again != pid)
            end(again);
    }
    if (again != pid) {
        pyb_memory_destroy(m);
        munmap(p, PAGE);
        print_message("skipped: ns_last_pid cannot be set here\n");
        skip();
    }
    usleep(20000);
    uint8_t buf[16];
    assert_int_equal(pyb_read_bytes(m, (uintptr_t)p, buf, 16, &err), PYB_E_GONE);
    pyb_memory_destroy(m);
    end(again);
    munmap(p, PAGE);
}

static void read_as_nobody(pid_t target)
{
    struct passwd *nobody = getpwnam("nobody");
    CHECK(nobody && setgid(nobody->pw_gid) == 0 && setuid(nobody->pw_uid) == 0);
    struct pyb_memory *m;
    struct pyb_error err;
    CHECK(pyb_live_open(unit_ctx(), target, &m, &err) == PYB_E_PERM);
    fprintf(stderr, "%s\n  remedy: %s\n", err.what, err.remedy);
    CHECK(m == NULL && strstr(err.what, "Operation not permitted"));
    CHECK(strstr(err.remedy, "user root (sudo -u root") && strstr(err.remedy, "sudo"));
}

static void become_nobody(void)
{
    struct passwd *nobody = getpwnam("nobody");
    if (!nobody || setgid(nobody->pw_gid) != 0 || setuid(nobody->pw_uid) != 0)
        _exit(1);
}

// Same user, but the target changed its user and so became undumpable.
static void read_undumpable(pid_t target)
{
    become_nobody();
    struct pyb_memory *m;
    struct pyb_error err;
    CHECK(pyb_live_open(unit_ctx(), target, &m, &err) == PYB_E_PERM);
    fprintf(stderr, "%s\n  remedy: %s\n", err.what, err.remedy);
    CHECK(strstr(err.remedy, "sudo"));
}

// What a container's root is.
static void read_as_root_without_ptrace(pid_t target)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
    CHECK(syscall(SYS_capget, &header, data) == 0);
    data[0].effective &= ~(1u << CAP_SYS_PTRACE);
    CHECK(syscall(SYS_capset, &header, data) == 0);
    struct pyb_memory *m;
    struct pyb_error err;
    CHECK(pyb_live_open(unit_ctx(), target, &m, &err) == PYB_E_PERM);
    fprintf(stderr, "%s\n  remedy: %s\n", err.what, err.remedy);
    CHECK(strstr(err.remedy, "--cap-add SYS_PTRACE"));
}

static void no_permission_names_the_remedy(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("skipped: needs root to become somebody else\n");
        skip();
    }
    in_child(read_as_nobody, NULL);
    in_child(read_undumpable, become_nobody);
    in_child(read_as_root_without_ptrace, become_nobody);
}

static void remedy_fits_the_rights(void **state)
{
    (void)state;
    const struct {
        struct pyb_live_rights rights;
        const char *remedy;
    } cases[] = {
        {{1000, 1000, false, true, 1}, "sudo sysctl kernel.yama.ptrace_scope=0"},
        {{1000, 1000, false, true, 2}, "run this with sudo"},
        {{1000, 1000, false, true, 3}, "until this machine boots"},
        {{0, 1000, true, true, 3}, "until this machine boots"},
        {{1000, 1000, false, true, 0}, "not dumpable"},
        {{1000, 0, false, true, 0}, "run this as user root (sudo -u root"},
        {{1000, 4000000, false, true, 1}, "sudo -u '#4000000'"},
        {{0, 1000, false, true, 0}, "--cap-add SYS_PTRACE"},
        {{0, 1000, true, false, 0}, "nsenter -U -t 77"},
        {{0, 1000, true, true, 0}, "security module"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct pyb_error err;
        pyb_fail_errno(&err, EPERM, "x");
        assert_int_equal(pyb_live_remedy(&cases[i].rights, 77, &err), PYB_E_PERM);
        if (!strstr(err.remedy, cases[i].remedy))
            fail_msg("\"%s\" does not say \"%s\"", err.remedy, cases[i].remedy);
    }
}

static void *sleep_forever(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return NULL;
}

// The first thread ends by itself, another goes on: /proc says zombie, the memory is there.
static void process_without_its_first_thread(void **state)
{
    (void)state;
    uint8_t *p = shared_pages(1);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pthread_t t;
        pthread_create(&t, NULL, sleep_forever, NULL);
        pthread_exit(NULL);
    }
    char path[64], status = 0;
    for (int i = 0; i < 200 && status != 'Z'; i++) {
        usleep(5000);
        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        FILE *f = fopen(path, "r");
        assert_non_null(f);
        if (fscanf(f, "%*d (%*[^)]) %c", &status) != 1)
            status = 0;
        fclose(f);
    }
    assert_int_equal(status, 'Z');
    struct pyb_memory *m = open_live(pid);
    struct pyb_error err;
    uint8_t buf[16];
    usleep(10000);
    assert_ok(pyb_read_bytes(m, (uintptr_t)p, buf, 16, &err), &err);
    assert_memory_equal(buf, p, 16);
    pyb_memory_destroy(m);
    end(pid);
    munmap(p, PAGE);
}

static void not_a_process(void **state)
{
    (void)state;
    struct pyb_memory *m;
    struct pyb_error err;
    assert_int_equal(pyb_live_open(unit_ctx(), 0, &m, &err), PYB_E_USAGE);
    assert_int_equal(pyb_live_open(unit_ctx(), -5, &m, &err), PYB_E_USAGE);
    assert_int_equal(pyb_live_open(unit_ctx(), INT32_MAX, &m, &err), PYB_E_NOENT);
    assert_non_null(strstr(err.what, "2147483647"));
    // 2 is kthreadd wherever /proc shows the whole machine.
    if (access("/proc/2/status", F_OK) == 0 && readlink("/proc/2/exe", (char[4]){0}, 4) < 0 &&
        errno == ENOENT) {
        assert_int_equal(pyb_live_open(unit_ctx(), 2, &m, &err), PYB_E_NOTPYTHON);
        assert_non_null(strstr(err.what, "kernel thread"));
    } else {
        print_message("no kernel threads to be seen here\n");
    }
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, sleep_forever, NULL), 0);
    int32_t tid = getpid() + 1;
    char path[64];
    while (snprintf(path, sizeof(path), "/proc/self/task/%d", tid), access(path, F_OK) != 0)
        tid++;
    assert_int_equal(pyb_live_open(unit_ctx(), tid, &m, &err), PYB_E_USAGE);
    assert_non_null(strstr(err.what, "is a thread of process"));
    pthread_cancel(t);
    pthread_join(t, NULL);
}

static void abort_ends_reads(void **state)
{
    (void)state;
    struct pyb_memory *m = open_live(getpid());
    struct pyb_error err;
    m->ctx->max_ms = 1;
    pyb_ctx_begin(m->ctx);
    usleep(2000);
    uint8_t byte;
    assert_int_equal(pyb_read_u8(m, (uintptr_t)&byte, &byte, &err), PYB_E_LIMIT);
    pyb_memory_destroy(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_process_is_read),    cmocka_unit_test(thousands_of_ranges_in_one_call),
        cmocka_unit_test(falls_back_to_proc_mem), cmocka_unit_test(ended_process_is_gone),
        cmocka_unit_test(reused_pid_is_gone),     cmocka_unit_test(no_permission_names_the_remedy),
        cmocka_unit_test(remedy_fits_the_rights), cmocka_unit_test(process_without_its_first_thread),
        cmocka_unit_test(not_a_process),          cmocka_unit_test(abort_ends_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
