// SPDX-License-Identifier: Apache-2.0
#ifdef __linux__
#include "live/stop.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "live/keeper.h"
#include "live/task.h"
#include "live/trace.h"
#include "memory/live.h"

#define ANSWER_MS (PYB_STOP_WAIT_MS + 1000) // a keeper that says nothing for so long is suspended or stuck itself
#define WAKE_MS 10

struct pyb_stopper {
    struct pyb_ctx *ctx;
    int32_t pid;
    int fd;                   // -1: there is no keeper now
    bool in_thread;           // the keeper is a thread of ours
    bool refused;             // a thread of ours was refused as well
    int32_t keeper;           // its process
    pthread_t thread;
    struct pyb_keeper k;      // of the thread
    uint32_t serial;
    int32_t *held;            // what we stopped and did not resume
    size_t n_held, cap_held;
};

static void *run_thread(void *arg)
{
    struct pyb_keeper *k = arg;
    k->tid = (int32_t)syscall(SYS_gettid);
    pyb_keeper_run(k);
    (void)close(k->fd);
    return NULL;
}

// No signal may run the host's handlers in the copy, or in the thread.
static void block_signals(sigset_t *ret_old)
{
    sigset_t all;
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, ret_old);
}

static int start_process(struct pyb_stopper *s, struct pyb_keeper *k, struct pyb_error *err)
{
    sigset_t old;
    int32_t self = getpid();
    block_signals(&old);
    // fork() without the signal at its end: the host's SIGCHLD handler and wait() know nothing of it.
    s->keeper = (int32_t)syscall(SYS_clone, 0, NULL, NULL, NULL, NULL);
    int e = errno;
    if (s->keeper == 0)
        pyb_keeper_become(k, self);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    (void)close(k->fd);
    pyb_keeper_deinit(k);
    return s->keeper > 0 ? 0 : pyb_fail_errno(err, e, "starting a process that traces");
}

static int start_thread(struct pyb_stopper *s, struct pyb_error *err)
{
    sigset_t old;
    block_signals(&old);
    int e = pthread_create(&s->thread, NULL, run_thread, &s->k);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (e == 0)
        return 0;
    (void)close(s->k.fd);
    pyb_keeper_deinit(&s->k);
    return pyb_fail_errno(err, e, "starting a thread that traces");
}

static int start(struct pyb_stopper *s, struct pyb_error *err)
{
    int pair[2];
    struct pyb_keeper k = {0}, *own = s->in_thread ? &s->k : &k;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return pyb_fail_errno(err, errno, "a socket for the process that traces");
    int rc = pyb_keeper_init(own, s->pid, pair[1], !s->in_thread, err);
    if (rc)
        (void)close(pair[1]);
    else
        rc = s->in_thread ? start_thread(s, err) : start_process(s, own, err);
    if (rc)
        (void)close(pair[0]);
    else
        s->fd = pair[0];
    return rc;
}

// A thread can be joined before the kernel has taken its tracees from it; when its id is gone, it has.
static void join(struct pyb_stopper *s)
{
    struct timespec pause = {.tv_nsec = 20000};
    uint64_t begin = pyb_trace_now_ns(), patience = (uint64_t)ANSWER_MS * 1000000u;
    (void)pthread_join(s->thread, NULL);
    while (syscall(SYS_tgkill, getpid(), s->k.tid, 0) == 0 && pyb_trace_now_ns() - begin < patience)
        (void)nanosleep(&pause, NULL);
    pyb_keeper_deinit(&s->k);
}

// Its end lets everything go, so this waits for it. It is killed because it may be suspended; the kernel then
// does what it would do.
static void end(struct pyb_stopper *s)
{
    if (s->fd < 0)
        return;
    (void)close(s->fd);
    s->fd = -1;
    if (s->in_thread) {
        join(s);
        return;
    }
    (void)kill(s->keeper, SIGKILL);
    while (waitpid(s->keeper, NULL, __WALL) < 0 && errno == EINTR)
        ;
}

int pyb_stopper_new(struct pyb_ctx *ctx, int32_t pid, struct pyb_stopper **ret, struct pyb_error *err)
{
    *ret = NULL;
    if (pid <= 0 || pid == getpid())
        return pyb_fail(err, PYB_E_USAGE, "cannot stop threads of process %d from here", pid);
    struct pyb_stopper *s = pyb_alloc(ctx, sizeof(*s));
    if (!s)
        return pyb_fail(err, PYB_E_NOMEM, "no memory to stop threads");
    s->ctx = ctx;
    s->pid = pid;
    s->fd = -1;
    int rc = start(s, err);
    if (rc)
        pyb_free(ctx, s);
    else
        *ret = s;
    return rc;
}

void pyb_stopper_free(struct pyb_stopper *s)
{
    if (!s)
        return;
    end(s);
    pyb_free(s->ctx, s->held);
    pyb_free(s->ctx, s);
}

int pyb_stopper_use_thread(struct pyb_stopper *s, struct pyb_error *err)
{
    end(s);
    s->in_thread = true;
    return start(s, err);
}

// A thread's exec() waits until its traced siblings are reaped, and a seize waits for that exec(): a keeper in
// our own process could then answer no more. Whoever is of its process may reap for it; a first thread's end is
// for the target's parent.
static void reap_held(const struct pyb_stopper *s)
{
    for (size_t i = 0; i < s->n_held; i++) {
        struct pyb_trace t = {.pid = s->pid, .tid = s->held[i]};
        pyb_trace_reap_if_dead(&t);
    }
}

// A keeper that waits in a seize and took its SIGCHLD for something else would not look who died: it gets
// another one.
static void wake_keeper(const struct pyb_stopper *s)
{
    if (s->in_thread)
        reap_held(s);
    else
        (void)kill(s->keeper, SIGCHLD);
}

// False: no answer comes, whatever is waited.
static bool await_answer(struct pyb_stopper *s)
{
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    uint64_t begin = pyb_trace_now_ns(), patience = (uint64_t)ANSWER_MS * 1000000u;
    for (;;) {
        int n = poll(&p, 1, WAKE_MS);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
        wake_keeper(s);
        if (!s->in_thread && pyb_trace_now_ns() - begin >= patience)
            return false;
    }
}

// False: the keeper has ended, or had to be ended; everything is let go.
static bool ask(struct pyb_stopper *s, int32_t op, int32_t tid, struct pyb_keeper_reply *ret)
{
    struct pyb_keeper_request q = {.serial = ++s->serial, .op = op, .tid = tid};
    ssize_t n = -1;
    if (s->fd >= 0)
        while ((n = send(s->fd, &q, sizeof(q), MSG_NOSIGNAL)) < 0 && errno == EINTR)
            ;
    while (n == (ssize_t)sizeof(q) && await_answer(s)) {
        ssize_t got = recv(s->fd, ret, sizeof(*ret), 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got != (ssize_t)sizeof(*ret))
            break;
        if (ret->serial != q.serial)
            continue;
        if (ret->ends)
            end(s);
        return true;
    }
    end(s);
    return false;
}

static void name_of(int32_t pid, char *buf, size_t size)
{
    struct pyb_task t;
    bool known = pyb_task_read(pid, pid, &t, NULL) == 0;
    (void)snprintf(buf, size, "%s", known ? t.comm : "?");
}

// Why a seize was refused: it has ended, another tracer has it, or we may not.
static int explain_refusal(const struct pyb_stopper *s, int32_t tid, int e, struct pyb_error *err)
{
    struct pyb_task t;
    struct pyb_live_process p;
    int32_t any;
    if (pyb_task_read(s->pid, tid, &t, err) != 0)
        return PYB_E_GONE;
    if (t.state == 'Z' || t.state == 'X')
        return pyb_fail(err, PYB_E_GONE, "thread %d of process %d has ended", tid, s->pid);
    if (t.tracer != 0) {
        char name[64];
        name_of(t.tracer, name, sizeof(name));
        (void)pyb_fail(err, PYB_E_PERM, "thread %d is already traced by %d %s", tid, t.tracer, name);
        (void)pyb_remedy(err, "end that debugger, or have it detach; or read without stopping (--no-stop)");
        return PYB_E_PERM;
    }
    (void)pyb_fail_errno(err, e, "tracing thread %d of process %d", tid, s->pid);
    if (pyb_live_process_init(&p, s->pid, &any, NULL) == 0)
        (void)pyb_live_explain_permission(&p, err);
    pyb_live_process_deinit(&p);
    return PYB_E_PERM;
}

static int hold(struct pyb_stopper *s, int32_t tid)
{
    if (s->n_held == s->cap_held) {
        size_t cap = s->cap_held ? s->cap_held * 2 : 16;
        int32_t *grown = pyb_realloc(s->ctx, s->held, s->cap_held * sizeof(*grown), cap * sizeof(*grown));
        if (!grown)
            return PYB_E_NOMEM;
        s->held = grown;
        s->cap_held = cap;
    }
    s->held[s->n_held++] = tid;
    return 0;
}

static bool unhold(struct pyb_stopper *s, int32_t tid)
{
    for (size_t i = 0; i < s->n_held; i++) {
        if (s->held[i] == tid) {
            s->held[i] = s->held[--s->n_held];
            return true;
        }
    }
    return false;
}

// A keeper that somebody ended is replaced once.
static int stop_once(struct pyb_stopper *s, int32_t tid, struct pyb_keeper_reply *reply, struct pyb_error *err)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        int rc = s->fd >= 0 ? 0 : start(s, err);
        if (rc)
            return rc;
        if (ask(s, PYB_KEEPER_STOP, tid, reply))
            return 0;
    }
    return pyb_fail(err, PYB_E_FAILED, "the process that traces for us ends by itself: somebody kills it");
}

// Yama lets ancestors trace: perhaps we are one, and the keeper, our child, is not.
static int stop_after_refusal(struct pyb_stopper *s, int32_t tid, struct pyb_keeper_reply *reply,
                              struct pyb_error *err)
{
    struct pyb_task t;
    if (pyb_task_read(s->pid, tid, &t, NULL) != 0 || t.tracer != 0 || t.state == 'Z' || t.state == 'X')
        return 0;
    // A first thread that had ended is refused as well, and may be another by now, which has called exec().
    int rc = stop_once(s, tid, reply, err);
    if (rc || reply->code != PYB_E_PERM || s->in_thread || s->refused || s->n_held)
        return rc;
    rc = pyb_stopper_use_thread(s, err);
    if (rc == 0)
        rc = stop_once(s, tid, reply, err);
    if (rc || reply->code == PYB_E_PERM) {
        end(s);
        s->in_thread = false;
        s->refused = true;
    }
    return rc;
}

static int explain(const struct pyb_stopper *s, int32_t tid, const struct pyb_keeper_reply *reply,
                   struct pyb_error *err)
{
    switch (reply->code) {
    case 0:
        return 0;
    case PYB_E_PERM:
        return explain_refusal(s, tid, reply->sys_errno, err);
    case PYB_E_GONE:
        return pyb_fail(err, PYB_E_GONE, "thread %d of process %d has ended", tid, s->pid);
    case PYB_E_LIMIT:
        return pyb_fail(err, PYB_E_LIMIT, "thread %d did not stop within %d ms: uninterruptible", tid,
                        PYB_STOP_WAIT_MS);
    default:
        return pyb_fail(err, PYB_E_USAGE, "thread %d is stopped already, or too many are", tid);
    }
}

int pyb_stop(struct pyb_stopper *s, int32_t tid, struct pyb_stopped *ret, struct pyb_error *err)
{
    struct pyb_keeper_reply reply;
    int rc = stop_once(s, tid, &reply, err);
    if (rc == 0 && reply.code == PYB_E_PERM)
        rc = stop_after_refusal(s, tid, &reply, err);
    if (rc == 0)
        rc = explain(s, tid, &reply, err);
    if (rc)
        return rc;
    if (hold(s, tid)) {
        (void)ask(s, PYB_KEEPER_RESUME, tid, &reply);
        return pyb_fail(err, PYB_E_NOMEM, "no memory to hold a thread");
    }
    *ret = reply.stopped;
    return 0;
}

int pyb_stop_stay(struct pyb_stopper *s, struct pyb_error *err)
{
    struct pyb_keeper_reply reply;
    if (s->fd >= 0 && ask(s, PYB_KEEPER_STAY, 0, &reply) && reply.code == 0)
        return 0;
    return pyb_fail(err, PYB_E_LIMIT, "the threads of process %d were held for too long: they were let go", s->pid);
}

int pyb_resume(struct pyb_stopper *s, int32_t tid, struct pyb_error *err)
{
    struct pyb_keeper_reply reply = {.code = PYB_E_LIMIT};
    if (!unhold(s, tid))
        return pyb_fail(err, PYB_E_USAGE, "thread %d was not stopped", tid);
    if (s->fd >= 0 && !ask(s, PYB_KEEPER_RESUME, tid, &reply))
        reply.code = PYB_E_LIMIT;
    if (reply.code == PYB_E_GONE)
        return pyb_fail(err, PYB_E_GONE, "thread %d of process %d has ended", tid, s->pid);
    if (reply.code != 0)
        return pyb_fail(err, PYB_E_LIMIT, "thread %d was held for too long: it was let go, and ran meanwhile",
                        tid);
    return 0;
}
#endif
