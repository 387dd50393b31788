// SPDX-License-Identifier: Apache-2.0
/**
 * Children for tests of live processes: a target that sets itself up, reports, and waits; and a reader with
 * fewer rights, whose failures end the child with a message (cmocka's own asserts must not run in a forked
 * child).
 */
#ifndef PYB_TESTS_CHILD_H
#define PYB_TESTS_CHILD_H
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "unit.h"

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: in the child: %s\n", __FILE__, __LINE__, #condition); \
            _exit(1); \
        } \
    } while (0)

/** Under valgrind /proc shows valgrind's program, and cores are its own. */
static inline bool child_is_emulated(void)
{
    const char *preload = getenv("LD_PRELOAD");
    return preload && strstr(preload, "vgpreload");
}

/** What a target tells its reader. */
struct child_report { uint64_t words[8]; };
struct child { pid_t pid; int from, to; struct child_report report; };

/**
 * Starts a target: `setup` fills the report; then it waits for "next" to call again, and is killed in the
 * end.
 */
static inline struct child child_start(void (*setup)(struct child_report *r, unsigned round, void *arg),
                                       void *arg)
{
    int up[2], down[2];
    assert_int_equal(pipe(up), 0);
    assert_int_equal(pipe(down), 0);
    fflush(stdout);
    struct child c = {.pid = fork()};
    assert_true(c.pid >= 0);
    if (c.pid == 0) {
        close(up[0]);
        close(down[1]);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        char byte;
        for (unsigned round = 0;; round++) {
            struct child_report r = {0};
            setup(&r, round, arg);
            CHECK(write(up[1], &r, sizeof(r)) == (ssize_t)sizeof(r));
            if (read(down[0], &byte, 1) != 1)
                _exit(0);
        }
    }
    close(up[1]);
    close(down[0]);
    c.from = up[0];
    c.to = down[1];
    assert_int_equal(read(c.from, &c.report, sizeof(c.report)), sizeof(c.report));
    return c;
}

static inline void child_next(struct child *c)
{
    assert_int_equal(write(c->to, "n", 1), 1);
    assert_int_equal(read(c->from, &c->report, sizeof(c->report)), sizeof(c->report));
}

static inline void child_end(struct child *c)
{
    int status;
    kill(c->pid, SIGKILL);
    assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
    close(c->from);
    close(c->to);
}

/** Root without what lets it follow /proc/PID/map_files. */
static inline void child_drop_map_files(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    CHECK(syscall(SYS_capget, &head, data) == 0);
    unsigned gone[] = {CAP_SYS_ADMIN, 40 /* CAP_CHECKPOINT_RESTORE */};
    for (size_t i = 0; i < 2; i++) {
        data[gone[i] / 32].effective &= ~(1u << (gone[i] % 32));
        data[gone[i] / 32].permitted &= ~(1u << (gone[i] % 32));
    }
    CHECK(syscall(SYS_capset, &head, data) == 0);
}

/** Runs `body` in a child of its own; it must return within 30 seconds, by _exit(0) or by returning. */
static inline void child_run(void (*body)(void *arg), void *arg)
{
    fflush(stdout);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(30);
        body(arg);
        fflush(stdout);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (status != 0)
        fail_msg("the child ended with status 0x%x", (unsigned)status);
}
#endif
