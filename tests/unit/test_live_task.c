// SPDX-License-Identifier: Apache-2.0
// What /proc says of threads: children in known states; names of system calls.
#include "unit.h"

#include <elf.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "child.h"
#include "live/task.h"

#define THREADS 20
#if defined(__x86_64__)
#define EM_HERE EM_X86_64
#else
#define EM_HERE EM_AARCH64
#endif

static struct pyb_ctx ctx;

static void *wait_for_ever(void *arg)
{
    (void)pause();
    return arg;
}

static void set_name(struct child_report *r, unsigned round, void *arg)
{
    (void)r;
    if (round == 0)
        CHECK(prctl(PR_SET_NAME, arg ? arg : "plain") == 0);
}

static void with_threads(struct child_report *r, unsigned round, void *arg)
{
    (void)arg;
    pthread_t t;
    for (int i = 0; round == 0 && i < THREADS; i++)
        CHECK(pthread_create(&t, NULL, wait_for_ever, NULL) == 0);
    r->words[0] = (uint64_t)syscall(SYS_gettid);
}

// The child reports, and a moment later reads from its pipe.
static void read_asleep(int32_t pid, struct pyb_task *ret)
{
    for (int tries = 0; tries < 5000; tries++) {
        struct pyb_error err = {0};
        assert_int_equal(pyb_task_read(pid, pid, ret, &err), 0);
        if (ret->asleep && ret->in_syscall && ret->syscall == SYS_read)
            return;
        usleep(1000);
    }
    fail_msg("not asleep in read: state %c", ret->state);
}

static void names_that_look_like_fields(void **state)
{
    (void)state;
    static const char *const names[] = {"plain", ") R 1 2 3 4", "a b (c) S", "x\n1) Z 7", "((((", "))))"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct child c = child_start(set_name, (void *)(uintptr_t)names[i]);
        struct pyb_task t;
        read_asleep(c.pid, &t);
        assert_int_equal(t.tid, c.pid);
        assert_string_equal(t.comm, names[i]);
        assert_int_equal(t.state, 'S');
        assert_true(t.has_switches && t.start_time > 0 && t.tracer == 0);
        assert_true(t.args[2] == 1 && t.sp != 0 && t.pc != 0); // read(fd, &byte, 1)
        child_end(&c);
    }
}

static void a_thread_that_ran_is_not_the_same(void **state)
{
    (void)state;
    struct child c = child_start(set_name, NULL);
    struct pyb_task t, again;
    read_asleep(c.pid, &t);
    for (int i = 0; i < 100; i++)
        assert_true(pyb_task_same(c.pid, &t));
    child_next(&c);
    read_asleep(c.pid, &again);
    // The very same sleep to look at, but for the count of its sleeps.
    assert_true(again.sp == t.sp && again.pc == t.pc && again.syscall == t.syscall);
    assert_true(again.switches[0] > t.switches[0]);
    assert_false(pyb_task_same(c.pid, &t));
    assert_true(pyb_task_same(c.pid, &again));
    again.start_time++; // another thread by that id
    assert_false(pyb_task_same(c.pid, &again));
    read_asleep(c.pid, &again);
    child_end(&c);
    assert_false(pyb_task_same(c.pid, &again));
}

static void all_threads_are_listed(void **state)
{
    (void)state;
    struct child c = child_start(with_threads, NULL);
    struct pyb_arena arena;
    struct pyb_error err = {0};
    int32_t *tids;
    size_t n;
    pyb_arena_init(&arena, &ctx);
    assert_int_equal(pyb_tasks_list(&ctx, c.pid, &arena, &tids, &n, &err), 0);
    assert_int_equal(n, THREADS + 1);
    assert_int_equal(tids[0], c.pid);
    for (size_t i = 1; i < n; i++)
        assert_true(tids[i] > tids[i - 1]);
    pyb_arena_deinit(&arena);
    child_end(&c);
}

static void what_has_ended(void **state)
{
    (void)state;
    struct pyb_arena arena;
    struct pyb_task t;
    struct pyb_error err = {0};
    int32_t *tids;
    size_t n;
    siginfo_t si;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(0);
    pyb_arena_init(&arena, &ctx);
    assert_int_equal(waitid(P_PID, (id_t)pid, &si, WEXITED | WNOWAIT), 0);
    assert_int_equal(pyb_task_read(pid, pid, &t, &err), 0);
    assert_int_equal(t.state, 'Z');
    assert_false(t.asleep);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(pyb_task_read(pid, pid, &t, &err), PYB_E_GONE);
    assert_int_equal(t.state, '\0');
    assert_int_equal(pyb_tasks_list(&ctx, pid, &arena, &tids, &n, &err), PYB_E_NOENT);
    assert_true(tids == NULL && n == 0);
    pyb_arena_deinit(&arena);
}

static void a_running_one_is_not_asleep(void **state)
{
    (void)state;
    struct pyb_task t;
    assert_int_equal(pyb_task_read(getpid(), (int32_t)syscall(SYS_gettid), &t, NULL), 0);
    assert_int_equal(t.state, 'R');
    assert_false(t.asleep);
    assert_false(pyb_task_same(getpid(), &t));
}

// The counts come after a line of groups that is longer than any buffer.
static void many_groups(void **state)
{
    (void)state;
    if (geteuid() != 0) {
        print_message("skipped: only root may set groups\n");
        skip();
    }
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        static gid_t groups[40000];
        for (gid_t i = 0; i < 40000; i++)
            groups[i] = 100000 + i;
        struct pyb_task t;
        CHECK(setgroups(40000, groups) == 0);
        CHECK(pyb_task_read(getpid(), getpid(), &t, NULL) == 0);
        CHECK(t.has_switches);
        uint64_t before = t.switches[0];
        usleep(1000);
        CHECK(pyb_task_read(getpid(), getpid(), &t, NULL) == 0 && t.switches[0] > before);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void check_name(uint16_t machine, uint8_t size, int64_t number, const char *name)
{
    const char *got = pyb_syscall_name(machine, size, number);
    if (!got || strcmp(got, name) != 0)
        fail_msg("machine %u, %lld: %s, not %s", machine, (long long)number, got ? got : "nothing", name);
}

static void names_of_system_calls(void **state)
{
    (void)state;
#define HERE(name) check_name(EM_HERE, sizeof(void *), SYS_##name, #name)
    HERE(read);
    HERE(futex);
    HERE(ppoll);
    HERE(pselect6);
    HERE(clock_nanosleep);
    HERE(wait4);
    HERE(epoll_pwait);
    HERE(rt_sigtimedwait);
    HERE(recvmmsg);
    HERE(statx);
    HERE(clone3);
    HERE(process_vm_readv);
    // From the kernel's tables.
    check_name(EM_X86_64, 8, 232, "epoll_wait");
    check_name(EM_X86_64, 8, 449, "futex_waitv");
    check_name(EM_X86_64, 4, 0x40000007, "poll"); // x32
    check_name(EM_386, 4, 240, "futex");
    check_name(EM_386, 4, 422, "futex_time64");
    check_name(EM_386, 4, 256, "epoll_wait");
    check_name(EM_386, 4, 102, "socketcall");
    check_name(EM_AARCH64, 8, 98, "futex");
    check_name(EM_AARCH64, 8, 22, "epoll_pwait");
    check_name(EM_AARCH64, 8, 79, "newfstatat");
    check_name(EM_AARCH64, 8, 222, "mmap");
    check_name(EM_AARCH64, 8, 435, "clone3");
    static const int64_t none[] = {-1, INT64_MIN, INT64_MAX, 400, 100000, (int64_t)1 << 32};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        assert_null(pyb_syscall_name(EM_X86_64, 8, none[i]));
        assert_false(pyb_syscall_minds_stops(EM_X86_64, 8, none[i]));
    }
    assert_null(pyb_syscall_name(EM_PPC64, 8, 3));
    assert_null(pyb_syscall_name(EM_PPC64, 8, 435));
    assert_true(pyb_syscall_minds_stops(EM_AARCH64, 8, 137)); // rt_sigtimedwait
    assert_false(pyb_syscall_minds_stops(EM_AARCH64, 8, 98));
    assert_true(pyb_syscall_minds_stops(EM_386, 4, 421)); // rt_sigtimedwait_time64
}

int main(void)
{
    pyb_ctx_init(&ctx, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_look_like_fields),
        cmocka_unit_test(a_thread_that_ran_is_not_the_same),
        cmocka_unit_test(all_threads_are_listed),
        cmocka_unit_test(what_has_ended),
        cmocka_unit_test(a_running_one_is_not_asleep),
        cmocka_unit_test(many_groups),
        cmocka_unit_test(names_of_system_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
