// SPDX-License-Identifier: Apache-2.0
// What runs here may run in a forked copy of a program with many threads: system calls only.
#ifdef __linux__
#include "live/keeper.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/error.h"
#include "live/task.h"
#include "live/trace.h"

#define LOOK_MS 5          // how often at threads that may stop any moment
#define LAST_WORD_MS 1000  // added to the keeper's patience before the kernel ends it, should it be stuck itself
#define MAX_CLOSED 65536   // files closed one by one, before Linux 5.9

struct entry {
    struct pyb_trace trace;
    bool late; // cannot be let go now
};
// Mapped whole, touched as far as it is used.
struct pyb_keeper_table {
    uint64_t since_ns; // when the first of those held was stopped, or it was last asked to stay
    size_t n, n_held;
    struct entry entries[PYB_MAX_TASKS];
};

int pyb_keeper_init(struct pyb_keeper *k, int32_t pid, int fd, bool own_process, struct pyb_error *err)
{
    *k = (struct pyb_keeper){.pid = pid, .fd = fd, .own_process = own_process};
    void *p = mmap(NULL, sizeof(*k->table), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return pyb_fail_errno(err, errno, "mapping a table of threads");
    k->table = p;
    return 0;
}

void pyb_keeper_deinit(struct pyb_keeper *k)
{
    if (k->table)
        (void)munmap(k->table, sizeof(*k->table));
    k->table = NULL;
}

static struct entry *find(struct pyb_keeper_table *t, int32_t tid)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->entries[i].trace.tid == tid)
            return &t->entries[i];
    }
    return NULL;
}

// Should poll() never return (a seize that waits for another thread's exec), SIGALRM ends the process, and that
// lets all go.
static void set_alarm(const struct pyb_keeper *k, uint32_t ms)
{
    struct itimerval timer = {0};
    timer.it_value.tv_sec = (time_t)(ms / 1000);
    timer.it_value.tv_usec = (suseconds_t)(ms % 1000) * 1000;
    if (k->own_process)
        (void)setitimer(ITIMER_REAL, &timer, NULL);
}

static void add(struct pyb_keeper *k, const struct pyb_trace *trace, bool late)
{
    struct pyb_keeper_table *t = k->table;
    t->entries[t->n++] = (struct entry){.trace = *trace, .late = late};
    if (!late && t->n_held++ == 0)
        t->since_ns = pyb_trace_now_ns();
}

static void forget(struct pyb_keeper *k, struct entry *e)
{
    struct pyb_keeper_table *t = k->table;
    t->n_held -= !e->late;
    *e = t->entries[--t->n];
}

static bool stays(enum pyb_trace_result r)
{
    return r == PYB_TRACE_LATE || r == PYB_TRACE_DEAD;
}

static enum pyb_trace_result release(struct pyb_keeper *k, struct entry *e)
{
    enum pyb_trace_result r = pyb_trace_release(&e->trace);
    if (stays(r)) {
        k->table->n_held -= !e->late;
        e->late = true;
    } else {
        forget(k, e);
    }
    return r;
}

static void release_all(struct pyb_keeper *k)
{
    for (size_t i = k->table->n; i-- > 0;) {
        if (!k->table->entries[i].late)
            (void)release(k, &k->table->entries[i]);
    }
}

static void look_at_late(struct pyb_keeper *k)
{
    for (size_t i = k->table->n; i-- > 0;) {
        struct entry *e = &k->table->entries[i];
        if (e->late && !stays(pyb_trace_release_late(&e->trace)))
            forget(k, e);
    }
}

// Of a process that is a keeper; the program it was copied from never sets it.
static struct pyb_keeper *self;

static void on_sigchld(int number)
{
    int e = errno;
    (void)number;
    for (size_t i = 0; i < self->table->n; i++)
        pyb_trace_reap_if_dead(&self->table->entries[i].trace);
    errno = e;
}

static int code_of(enum pyb_trace_result r)
{
    switch (r) {
    case PYB_TRACE_STOPPED:
        return 0;
    case PYB_TRACE_REFUSED:
        return PYB_E_PERM;
    case PYB_TRACE_ENDED:
    case PYB_TRACE_DEAD:
        return PYB_E_GONE;
    default:
        return PYB_E_LIMIT;
    }
}

static void stop(struct pyb_keeper *k, int32_t tid, struct pyb_keeper_reply *reply)
{
    struct pyb_trace trace = {.pid = k->pid, .tid = tid, .own_process = k->own_process,
                              .reap_others = on_sigchld};
    const struct entry *known = find(k->table, tid);
    if (known || k->table->n == PYB_MAX_TASKS) {
        reply->code = known && known->late ? PYB_E_LIMIT : PYB_E_USAGE;
        return;
    }
    set_alarm(k, PYB_STOP_MAX_MS + LAST_WORD_MS);
    enum pyb_trace_result r = pyb_trace_stop(&trace, &reply->stopped);
    reply->sys_errno = r == PYB_TRACE_REFUSED ? errno : 0;
    reply->code = code_of(r);
    if (r == PYB_TRACE_STOPPED || stays(r))
        add(k, &trace, stays(r));
}

static void resume(struct pyb_keeper *k, int32_t tid, struct pyb_keeper_reply *reply)
{
    struct entry *e = find(k->table, tid);
    if (!e || e->late)
        reply->code = PYB_E_LIMIT; // let go before
    else
        reply->code = release(k, e) == PYB_TRACE_STOPPED ? 0 : PYB_E_GONE;
}

static void stay(struct pyb_keeper *k, struct pyb_keeper_reply *reply)
{
    reply->code = k->table->n_held ? 0 : PYB_E_LIMIT;
    k->table->since_ns = pyb_trace_now_ns();
    if (k->table->n_held)
        set_alarm(k, PYB_STOP_MAX_MS + LAST_WORD_MS);
}

// False: nobody is there any more, or it has to end.
static bool answer(struct pyb_keeper *k)
{
    struct pyb_keeper_request q;
    struct pyb_keeper_reply reply = {0};
    ssize_t n;
    while ((n = recv(k->fd, &q, sizeof(q), 0)) < 0 && errno == EINTR)
        ;
    if (n != (ssize_t)sizeof(q))
        return false;
    reply.serial = q.serial;
    if (q.op == PYB_KEEPER_STOP)
        stop(k, q.tid, &reply);
    else if (q.op == PYB_KEEPER_STAY)
        stay(k, &reply);
    else
        resume(k, q.tid, &reply);
    if (k->table->n_held == 0)
        set_alarm(k, 0);
    reply.ends = k->table->n_held == 0 && k->table->n > 0;
    while ((n = send(k->fd, &reply, sizeof(reply), MSG_NOSIGNAL)) < 0 && errno == EINTR)
        ;
    return n == (ssize_t)sizeof(reply) && !reply.ends;
}

static int patience_ms(const struct pyb_keeper_table *t)
{
    if (t->n_held == 0)
        return -1; // nothing held, nothing late: or it would have ended
    uint64_t held_ms = (pyb_trace_now_ns() - t->since_ns) / 1000000u;
    int left = held_ms >= PYB_STOP_MAX_MS ? 0 : (int)(PYB_STOP_MAX_MS - held_ms);
    return t->n > t->n_held && left > LOOK_MS ? LOOK_MS : left;
}

void pyb_keeper_run(struct pyb_keeper *k)
{
    struct pollfd p = {.fd = k->fd, .events = POLLIN};
    for (;;) {
        int left = patience_ms(k->table);
        int n = poll(&p, 1, left);
        if (n < 0 && errno != EINTR)
            return;
        look_at_late(k);
        if (n > 0 && !answer(k))
            return;
        if (k->table->n_held && patience_ms(k->table) == 0) {
            release_all(k);
            set_alarm(k, 0);
        }
        if (k->table->n_held == 0 && k->table->n > 0)
            return; // the next request finds nobody: a new keeper
    }
}

static void close_others(int fd)
{
#ifdef SYS_close_range
    if ((fd == 0 || syscall(SYS_close_range, 0u, (unsigned)fd - 1, 0u) == 0) &&
        syscall(SYS_close_range, (unsigned)fd + 1, ~0u, 0u) == 0)
        return;
#endif
    struct rlimit limit;
    bool known = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < MAX_CLOSED;
    int end = known ? (int)limit.rlim_cur : MAX_CLOSED;
    for (int i = 0; i < end; i++) {
        if (i != fd)
            (void)close(i);
    }
}

_Noreturn void pyb_keeper_become(struct pyb_keeper *k, int32_t parent)
{
    // Both: the socket stays open in a child that the host forks meanwhile.
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        _exit(1);
    (void)prctl(PR_SET_NAME, "pybraid-keeper");
    // Out of the reach of Ctrl-C and Ctrl-Z. No session of its own: the scheduler would share out time between
    // the two of us and the host's (autogroups), and on a busy machine let the answer wait.
    (void)setpgid(0, 0);
    close_others(k->fd);
    struct sigaction plain = {.sa_handler = SIG_DFL}, reap = {.sa_handler = on_sigchld};
    self = k;
    sigset_t alarm;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    if (sigaction(SIGALRM, &plain, NULL) != 0 || sigaction(SIGCHLD, &reap, NULL) != 0 ||
        sigprocmask(SIG_UNBLOCK, &alarm, NULL) != 0)
        _exit(1);
    pyb_keeper_run(k);
    _exit(0);
}
#endif
