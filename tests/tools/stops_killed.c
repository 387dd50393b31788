// SPDX-License-Identifier: Apache-2.0 stops_killed ROUNDS SEED process|thread: a process stops, reads and
// resumes the threads of a running target, all the time; it, its keeper, or both are killed at a random moment.
// Each time the target must go on: every thread's counter advances, or, if SIGSTOP had stopped the process, it
// is still stopped and goes on after SIGCONT; its parent hears of that stop once. Queued signals, with serial
// numbers, arrive exactly once, with their sender. Prints figures; exit 0 only if all held.
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "stopping.h"

#define SPINNERS 2
#define MAX_SERIALS 16000000
#define MAX_THREADS 64

struct shared {
    atomic_ullong beats[SPINNERS + 2];
    atomic_ulong received, strange;
    int32_t sender;
    atomic_ulong stops, all_stops, signal_stops, refused, late, other; // of the tracer
    atomic_bool slow, in_signal_stop;
    atomic_uchar seen[MAX_SERIALS];
};
static struct shared *g;
static unsigned long sent;
static int target_signal;

// Signals are met while they are being delivered only if they come between a seize and its interrupt, mostly a
// microsecond: this makes it longer, and tells when that is so.
static long slow_ptrace(enum __ptrace_request request, int32_t tid, void *addr, void *data)
{
    siginfo_t si;
    if (request == PTRACE_INTERRUPT && g->slow)
        sleep_us(400);
    if (request == PTRACE_DETACH)
        g->in_signal_stop = false;
    long rc = ptrace(request, tid, addr, data);
    if (request == PTRACE_GETREGSET && g->slow && ptrace(PTRACE_GETSIGINFO, tid, NULL, &si) == 0 &&
        si.si_signo == target_signal) {
        g->signal_stops++;
        g->in_signal_stop = true;
    }
    return rc;
}
#define ptrace(request, tid, addr, data) slow_ptrace((enum __ptrace_request)(request), tid, addr, data)
#include "live/trace.c"
#undef ptrace

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    if (info->si_code != SI_QUEUE || info->si_pid != g->sender || info->si_value.sival_int < 0 ||
        info->si_value.sival_int >= MAX_SERIALS)
        g->strange++;
    else
        g->seen[info->si_value.sival_int]++;
    g->received++;
}

static void *spin(void *arg)
{
    for (;;)
        atomic_fetch_add((atomic_ullong *)arg, 1);
    return NULL;
}

static void *call(void *arg)
{
    for (;;) {
        (void)getppid();
        sleep_us(50);
        atomic_fetch_add((atomic_ullong *)arg, 1);
    }
    return NULL;
}

static void *sleep_on(void *arg)
{
    int ends[2];
    char byte;
    (void)arg;
    if (pipe(ends) != 0)
        _exit(96);
    for (;;)
        (void)!read(ends[0], &byte, 1);
    return NULL;
}

static void run_target(void *arg)
{
    (void)arg;
    struct sigaction a = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    if (sigaction(target_signal, &a, NULL) != 0)
        _exit(95);
    for (int i = 0; i < SPINNERS; i++)
        start_thread(spin, &g->beats[i]);
    start_thread(call, &g->beats[SPINNERS]);
    start_thread(sleep_on, NULL);
    call(&g->beats[SPINNERS + 1]);
}

static void note(int code, const struct pyb_error *err)
{
    if (code != PYB_E_GONE && code != PYB_E_LIMIT)
        fprintf(stderr, "%d: %s\n", code, err->what);
    if (code == PYB_E_PERM)
        g->refused++;
    else if (code == PYB_E_LIMIT)
        g->late++;
    else if (code != PYB_E_GONE)
        g->other++;
}

static void read_stack(int32_t pid, const struct pyb_stopped *st)
{
    char page[4096];
    uint64_t sp;
    memcpy(&sp, st->regs + (st->regs_len == 27 * 8 ? 19 : 31) * 8, sizeof(sp));
    struct iovec to = {page, sizeof(page)}, from = {(void *)(uintptr_t)sp, sizeof(page)};
    (void)process_vm_readv(pid, &to, 1, &from, 1, 0);
}

struct tracer { int32_t target; bool by_thread; unsigned hold_us; };

// One thread at a time, and now and then all of them together.
static void run_tracer(void *arg)
{
    const struct tracer *t = arg;
    struct pyb_ctx ctx;
    int32_t tids[MAX_THREADS];
    struct pyb_stopped st;
    pyb_ctx_init(&ctx, NULL);
    size_t n = list_threads(&ctx, t->target, tids, MAX_THREADS);
    struct pyb_stopper *s = new_stopper(&ctx, t->target, t->by_thread);
    for (unsigned round = 0;; round++) {
        bool together = round % 4 == 3, held[MAX_THREADS] = {false};
        for (size_t i = 0; i < n; i++) {
            struct pyb_error err = {0};
            int code = pyb_stop(s, tids[i], &st, &err);
            held[i] = code == 0;
            if (code)
                note(code, &err);
            else
                read_stack(t->target, &st);
            if (held[i] && t->hold_us)
                sleep_us(t->hold_us);
            if (held[i] && !together)
                (void)pyb_resume(s, tids[i], NULL);
            g->stops += held[i];
        }
        for (size_t i = 0; i < n && together; i++) {
            if (held[i])
                (void)pyb_resume(s, tids[i], NULL);
        }
        g->all_stops += together;
    }
}

// A flood: so many that a stop finds one just being delivered.
static void send_signals(int32_t target, const int32_t *tids, size_t n, unsigned us, bool flood, unsigned *seed)
{
    uint64_t end = now_ns() + us * 1000u;
    while (now_ns() < end && sent < MAX_SERIALS) {
        union sigval v = {.sival_int = (int)sent};
        siginfo_t info = {.si_signo = target_signal, .si_code = SI_QUEUE};
        info.si_pid = getpid();
        info.si_uid = getuid();
        info.si_value = v;
        int32_t tid = tids[(size_t)rand_r(seed) % n];
        bool to_one = flood || rand_r(seed) % 2;
        int rc = to_one ? (int)syscall(SYS_rt_tgsigqueueinfo, target, tid, target_signal, &info)
                        : sigqueue(target, target_signal, v);
        if (rc == 0)
            sent++;
        else if (errno != EAGAIN)
            die("sigqueue: %s", strerror(errno));
        if (!flood)
            sleep_us((unsigned)rand_r(seed) % 100);
    }
}

static bool all_in(int32_t pid, const int32_t *tids, size_t n, const char *states)
{
    for (size_t i = 0; i < n; i++) {
        char state = state_of(pid, tids[i]);
        if (state == '\0' || !strchr(states, state))
            return false;
    }
    return true;
}

static bool untraced(int32_t pid, const int32_t *tids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct pyb_task t;
        if (pyb_task_read(pid, tids[i], &t, NULL) || t.tracer != 0)
            return false;
    }
    return true;
}

static bool beats_all(const unsigned long long *before)
{
    for (int i = 0; i < SPINNERS + 2; i++) {
        if (g->beats[i] == before[i])
            return false;
    }
    return true;
}

static bool goes_on(void)
{
    unsigned long long before[SPINNERS + 2];
    for (int i = 0; i < SPINNERS + 2; i++)
        before[i] = g->beats[i];
    return WAIT_FOR(beats_all(before), 20000);
}

// Its parent, us, hears of the stop once, and of the going on.
static void check_stopped(int32_t pid, const int32_t *tids, size_t n, unsigned long round)
{
    siginfo_t si = {0};
    if (!WAIT_FOR(all_in(pid, tids, n, "T"), 10000))
        die("round %lu: not every thread is stopped, as SIGSTOP left it", round);
    unsigned long long before = g->beats[0];
    sleep_us(2000);
    if (g->beats[0] != before || !all_in(pid, tids, n, "T"))
        die("round %lu: a process that was stopped by SIGSTOP runs", round);
    if (waitid(P_PID, (id_t)pid, &si, WSTOPPED | WNOHANG) != 0 || si.si_pid != pid || si.si_status != SIGSTOP)
        die("round %lu: its parent was not told of the stop", round);
    si.si_pid = 0;
    if (waitid(P_PID, (id_t)pid, &si, WSTOPPED | WNOHANG) != 0 || si.si_pid != 0)
        die("round %lu: its parent was told of one stop twice", round);
    (void)kill(pid, SIGCONT);
}

static void check_signals(unsigned long round)
{
    if (!WAIT_FOR(g->received >= sent, 20000))
        die("round %lu: %lu of %lu signals arrived", round, g->received, sent);
    for (unsigned long i = 0; i < sent; i++) {
        if (g->seen[i] != 1)
            die("round %lu: signal %lu arrived %u times", round, i, g->seen[i]);
    }
    if (g->strange || g->received != sent)
        die("round %lu: %lu signals changed, %lu of %lu arrived", round, g->strange, g->received, sent);
}

static void reap_all(const char *whose, unsigned long round, int32_t target)
{
    // The keeper is ours to reap once its parent has ended: it must end by itself.
    uint64_t end = now_ns() + 10000000000u;
    for (int32_t children[2]; children_of(getpid(), children, 2) != 1;) {
        siginfo_t si = {0};
        if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | __WALL) == 0 && si.si_pid == target)
            die("round %lu: the target ended", round);
        if (now_ns() > end)
            die("round %lu: %s has not ended", round, whose);
        sleep_us(100);
    }
}

enum victim { PARENT, KEEPER, BOTH };
struct counts { unsigned long killed[3], floods, in_signal_stop, while_stopped, stopped_meanwhile, held; };

static void kill_one(int32_t tracer, enum victim victim, unsigned long round, unsigned us)
{
    int32_t keeper = victim == PARENT ? 0 : keeper_of(tracer);
    unsigned long before = g->stops;
    if (victim == BOTH) {
        (void)kill(tracer, SIGSTOP); // neither can do a thing between the two
        (void)kill(keeper ? keeper : tracer, SIGKILL);
    } else if (victim == KEEPER && keeper) {
        (void)kill(keeper, SIGKILL);
        if (!WAIT_FOR(g->stops > before + 3, 20000))
            die("round %lu: no more stops after the keeper was killed", round);
        sleep_us(us);
    }
    (void)kill(tracer, SIGKILL);
}

static void one_round(int32_t target, bool by_thread, unsigned long round, unsigned *seed, struct counts *c)
{
    bool flood = rand_r(seed) % 2;
    struct tracer t = {target, by_thread, flood ? 1000 : 0};
    g->slow = flood;
    g->in_signal_stop = false;
    struct pyb_ctx ctx;
    int32_t tids[MAX_THREADS];
    pyb_ctx_init(&ctx, NULL);
    size_t n = list_threads(&ctx, target, tids, MAX_THREADS);
    unsigned us = (flood ? 10000 : 500) + (unsigned)rand_r(seed) % 8000;
    enum victim victim = by_thread ? PARENT : (enum victim)(rand_r(seed) % 3);
    int kind = rand_r(seed) % 4; // 0: stopped before, 1: stopped while traced, 2 and 3: runs
    if (kind == 0)
        (void)kill(target, SIGSTOP);
    unsigned long before = g->stops;
    int32_t tracer = start_child(run_tracer, &t);
    if (!WAIT_FOR(g->stops > before, 20000))
        die("round %lu: no stop at all, %lu late", round, g->late);
    send_signals(target, tids, n, us / 2, flood, seed);
    if (kind == 1)
        (void)kill(target, SIGSTOP);
    send_signals(target, tids, n, us / 2, flood, seed);
    // The moment that could lose a signal, if it comes.
    for (int i = 0; i < 50 && flood && !g->in_signal_stop; i++)
        send_signals(target, tids, n, 200, true, seed);
    c->in_signal_stop += g->in_signal_stop;
    c->held += !untraced(target, tids, n);
    kill_one(tracer, victim, round, us);
    c->killed[victim]++;
    if (!WAIT_FOR(untraced(target, tids, n), 10000))
        die("round %lu: still traced", round);
    reap_all(victim == PARENT ? "the keeper" : "the tracer", round, target);
    if (kind <= 1)
        check_stopped(target, tids, n, round);
    c->floods += flood;
    c->while_stopped += kind == 0;
    c->stopped_meanwhile += kind == 1;
    if (!goes_on() || !all_in(target, tids, n, "RSD"))
        die("round %lu: not every thread goes on", round);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: stops_killed ROUNDS SEED process|thread\n");
        return 2;
    }
    unsigned long rounds = strtoul(argv[1], NULL, 10);
    unsigned seed = (unsigned)strtoul(argv[2], NULL, 10);
    bool by_thread = strcmp(argv[3], "thread") == 0;
    struct counts c = {0};
    g = shared_memory(sizeof(*g));
    g->sender = getpid();
    target_signal = SIGRTMIN + 3;
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        die("PR_SET_CHILD_SUBREAPER: %s", strerror(errno));
    int32_t target = start_child(run_target, NULL);
    if (!goes_on())
        die("the target does not begin");
    for (unsigned long round = 0; round < rounds; round++)
        one_round(target, by_thread, round, &seed, &c);
    check_signals(rounds);
    end_child(target);
    printf("rounds=%lu killed_parent=%lu killed_keeper=%lu killed_both=%lu floods=%lu killed_in_signal_stop=%lu "
           "traced_when_killed=%lu stopped_before=%lu stopped_while_traced=%lu stops=%lu all_together=%lu signal_stops=%lu "
           "signals=%lu refused=%lu late=%lu other=%lu\n",
           rounds, c.killed[PARENT], c.killed[KEEPER], c.killed[BOTH], c.floods, c.in_signal_stop,
           c.held, c.while_stopped, c.stopped_meanwhile,
           g->stops, g->all_stops, g->signal_stops, sent, g->refused, g->late, g->other);
    return g->refused || g->other;
}
