// SPDX-License-Identifier: Apache-2.0
#include "watch_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LONGEST_POLL WATCH_SECOND     // so that a stop that nobody told us of is noticed
#define ROUNDS 5                      // of SIGKILL, a second each for what would not go
#define SETTLE_NS (20 * 1000000ll)    // a stopped command may be about to be continued with us

static int64_t monotonic_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * WATCH_SECOND + t.tv_nsec;
}

int64_t watch_run_clock(const struct watch_run *r)
{
    return monotonic_ns() - r->start_ns - r->stopped_ns;
}

// All that can be asked for by signalfd. Faults are ours; TTIN and TTOU stop us with the command, as they should.
static void passed_signals(sigset_t *ret)
{
    static const int left[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT, SIGTTIN, SIGTTOU, SIGXCPU};
    (void)sigfillset(ret);
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
        (void)sigdelset(ret, left[i]);
}

// In the child: never returns.
static void execute(char **argv, const sigset_t *mask, const struct sigaction *chld, int report)
{
    if (sigaction(SIGCHLD, chld, NULL) == 0 && sigprocmask(SIG_SETMASK, mask, NULL) == 0)
        (void)execvp(argv[0], argv);
    int e = errno;
    ssize_t n = write(report, &e, sizeof(e));
    _exit(n == sizeof(e) ? WATCH_NOT_FOUND : WATCH_FAILED);
}

static int cannot_run(const char *name, int e)
{
    fprintf(stderr, "pybraid watch: cannot run %s: %s\n", name, strerror(e));
    return e == ENOENT ? WATCH_NOT_FOUND : WATCH_CANNOT_RUN; // as env(1)
}

// 0 once the command runs; else the errno of its exec, which was collected.
static int wait_for_exec(int fd, int32_t pid)
{
    int e = 0;
    ssize_t n;
    do
        n = read(fd, &e, sizeof(e));
    while (n < 0 && errno == EINTR);
    if (n != sizeof(e))
        return 0;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    return e;
}

static int fail(const char *what)
{
    fprintf(stderr, "pybraid watch: %s: %s\n", what, strerror(errno));
    return WATCH_FAILED;
}

int watch_run_start(struct watch_run *r, char **argv)
{
    *r = (struct watch_run){.ours = true, .signals = -1, .pidfd = -1};
    sigset_t passed, before;
    struct sigaction chld, plain = {.sa_handler = SIG_DFL}; // whoever started us may ignore it: then there is nothing to wait for
    int report[2];
    passed_signals(&passed);
    if (sigprocmask(SIG_BLOCK, &passed, &before) != 0 || sigaction(SIGCHLD, &plain, &chld) != 0)
        return fail("signals");
    r->signals = signalfd(-1, &passed, SFD_CLOEXEC | SFD_NONBLOCK);
    if (r->signals < 0 || pipe2(report, O_CLOEXEC) != 0)
        return fail("signals");
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        (void)fail("daemonised processes will not be found (PR_SET_CHILD_SUBREAPER)");
    r->start_ns = monotonic_ns();
    r->pid = fork();
    if (r->pid == 0)
        execute(argv, &before, &chld, report[1]);
    int fork_errno = errno;
    (void)close(report[1]);
    int e = r->pid > 0 ? wait_for_exec(report[0], r->pid) : 0;
    (void)close(report[0]);
    errno = fork_errno;
    if (r->pid < 0)
        return fail("fork");
    return e ? cannot_run(argv[0], e) : 0;
}

int watch_run_attach(struct watch_run *r, int32_t pid)
{
    *r = (struct watch_run){.pid = pid, .signals = -1, .start_ns = monotonic_ns()};
    r->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (r->pidfd >= 0)
        return 0;
    fprintf(stderr, "pybraid watch: process %d: %s\n", pid, errno == EINVAL ? "this is a thread, not a process" : strerror(errno));
    return WATCH_FAILED;
}

void watch_run_deinit(struct watch_run *r)
{
    if (r->signals >= 0)
        (void)close(r->signals);
    if (r->pidfd >= 0)
        (void)close(r->pidfd);
}

bool watch_run_tree(const struct watch_run *r, struct watch_tree *ret)
{
    return watch_tree_read(r->ours ? (int32_t)getpid() : r->pid, !r->ours, ret);
}

// Until somebody continues us. In an orphaned process group, or where the signal is ignored, nothing happens: as for the command.
static void stop_with_it(struct watch_run *r)
{
    sigset_t stop;
    int64_t begin = monotonic_ns();
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTSTP);
    (void)raise(SIGTSTP);
    (void)sigprocmask(SIG_UNBLOCK, &stop, NULL);
    (void)sigprocmask(SIG_BLOCK, &stop, NULL);
    r->stopped_ns += monotonic_ns() - begin;
}

// A member of the tree sent it, to its whole group likely: then the others have it already.
static bool sent_from_within(const struct watch_run *r, const struct signalfd_siginfo *s)
{
    struct watch_tree tree;
    if (!watch_run_tree(r, &tree))
        return false;
    bool found = false;
    for (size_t i = 0; i < tree.n; i++)
        found |= tree.procs[i].pid == (int32_t)s->ssi_pid;
    watch_tree_free(&tree);
    return found;
}

static void pass_on(const struct watch_run *r, const struct signalfd_siginfo *s)
{
    if (s->ssi_code > 0 || sent_from_within(r, s)) // the terminal's: the whole group has it
        return;
    if (s->ssi_code == SI_QUEUE)
        (void)sigqueue(r->pid, (int)s->ssi_signo, (union sigval){.sival_ptr = (void *)(uintptr_t)s->ssi_ptr});
    else
        (void)kill(r->pid, (int)s->ssi_signo);
}

static bool in_foreground(void)
{
    int fd = open("/dev/tty", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    bool ret = fd >= 0 && tcgetpgrp(fd) == getpgrp();
    if (fd >= 0)
        (void)close(fd);
    return ret;
}

static bool is_stopped(const struct watch_run *r)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)r->pid, &info, WSTOPPED | WNOHANG | WNOWAIT) == 0 && info.si_pid == r->pid;
}

// A command that stopped by itself: at a terminal the shell wants to know, and we stop too. Elsewhere it is only stuck.
static void follow_stop(struct watch_run *r)
{
    if (!is_stopped(r) || !in_foreground())
        return;
    struct timespec settle = {.tv_nsec = SETTLE_NS};
    (void)nanosleep(&settle, NULL);
    if (is_stopped(r))
        stop_with_it(r);
}

static void collect(struct watch_run *r)
{
    siginfo_t info;
    for (;;) {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) != 0 || info.si_pid == 0)
            break;
        if (info.si_pid != r->pid)
            continue; // a daemonised process: its code is nobody's
        r->ended = true;
        r->code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    }
}

static void handle(struct watch_run *r, const struct signalfd_siginfo *s)
{
    switch (s->ssi_signo) {
    case SIGCHLD:
        collect(r);
        if (!r->ended)
            follow_stop(r);
        break;
    case SIGCONT:
        if (!r->ended && is_stopped(r))
            (void)kill(r->pid, SIGCONT);
        break;
    case SIGTSTP:
        pass_on(r, s);
        stop_with_it(r);
        break;
    case SIGPIPE:
    case SIGXFSZ:
        break; // our own writes
    default:
        if (!r->ended)
            pass_on(r, s);
    }
}

// Nobody told us when we were stopped (SIGSTOP, TTOU); that we are continued we hear.
static void handle_all(struct watch_run *r, int64_t before_poll)
{
    struct signalfd_siginfo s;
    int64_t known = r->stopped_ns, gap = monotonic_ns() - before_poll;
    bool continued = false;
    while (read(r->signals, &s, sizeof(s)) == sizeof(s)) {
        continued |= s.ssi_signo == SIGCONT;
        handle(r, &s);
    }
    if (continued && known == r->stopped_ns && gap > LONGEST_POLL)
        r->stopped_ns += gap;
}

bool watch_run_wait(struct watch_run *r, int64_t until)
{
    if (r->ours)
        collect(r);
    for (;;) {
        int64_t left = until - watch_run_clock(r), before = monotonic_ns();
        if (r->ended || left <= 0)
            return r->ended;
        struct pollfd p = {.fd = r->ours ? r->signals : r->pidfd, .events = POLLIN};
        int64_t ns = left < LONGEST_POLL ? left : LONGEST_POLL;
        struct timespec t = {.tv_sec = ns / WATCH_SECOND, .tv_nsec = ns % WATCH_SECOND};
        int n = ppoll(&p, 1, &t, NULL);
        if (r->ours)
            handle_all(r, before);
        else if (n > 0)
            r->ended = true;
    }
}

static size_t wait_for_end(struct watch_run *r, struct watch_tree *tree, int64_t ns)
{
    int64_t until = watch_run_clock(r) + ns;
    size_t left = watch_tree_refresh(tree);
    while (left > 0 && watch_run_clock(r) < until) {
        struct timespec pause = {.tv_nsec = SETTLE_NS};
        if (!r->ended)
            (void)watch_run_wait(r, watch_run_clock(r) + SETTLE_NS);
        else
            (void)nanosleep(&pause, NULL);
        if (r->ours)
            collect(r);
        left = watch_tree_refresh(tree);
    }
    return left;
}

// Of what is there now, what is not in `known`.
static bool newcomers(const struct watch_run *r, const struct watch_tree *known, struct watch_tree *ret)
{
    if (!watch_run_tree(r, ret))
        return false;
    size_t n = 0;
    for (size_t i = 0; i < ret->n; i++) {
        if (!watch_tree_find(known, ret->procs[i].pid, ret->procs[i].start))
            ret->procs[n++] = ret->procs[i];
    }
    ret->n = n;
    return true;
}

size_t watch_run_end(struct watch_run *r, int64_t grace, size_t *ret_killed)
{
    struct watch_tree tree, more;
    *ret_killed = 0;
    if (!watch_run_tree(r, &tree))
        return 1;
    (void)watch_tree_signal(&tree, SIGTERM, false);
    (void)watch_tree_signal(&tree, SIGCONT, true); // a stopped one takes no SIGTERM
    size_t left = wait_for_end(r, &tree, grace);
    // Whoever is killed may have started something a moment before: until nothing new comes.
    for (int round = 0; round < ROUNDS && newcomers(r, &tree, &more); round++) {
        *ret_killed += watch_tree_signal(&tree, SIGKILL, false) + watch_tree_signal(&more, SIGKILL, false);
        bool quiet = left == 0 && more.n == 0;
        left = wait_for_end(r, &tree, WATCH_SECOND) + wait_for_end(r, &more, WATCH_SECOND);
        watch_tree_free(&more);
        if (quiet)
            break;
    }
    watch_tree_free(&tree);
    return left;
}
