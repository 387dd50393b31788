// SPDX-License-Identifier: Apache-2.0 stops_odd CASE [process|thread] [ARGUMENT...]: one odd target or one odd
// moment; prints what was seen, exit 0 if it was right.
//   vfork        a vfork parent is given up in time and runs on, while another thread is held all the time
//   stopped      SIGSTOP: stopped before and after
//   frozen DIR   in a cgroup made for it (freezer.state or cgroup.freeze); exit 77 where that cannot be written
//   patience     held for too long: let go by itself, and said so
//   suspended    the same when the whole of us is suspended (process only)
//   keeper       the keeper is suspended: the next call ends it and goes on with another (process only)
//   host         the program that calls: no SIGCHLD, no child, no file of it in the keeper (process only)
//   one PID TID  stops and resumes one thread of somebody else's; prints what comes of it
//   time COUNT   how long the target itself sees that it was stopped, in us
#include <dirent.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "stopping.h"

#define CANNOT 77

struct shared { atomic_ullong beats[2]; atomic_ullong gap_ns; atomic_int child_of_vfork, done; };
static struct shared *g;
static bool by_thread;
static struct pyb_ctx ctx;

static void *beat(void *arg)
{
    for (;;) {
        atomic_fetch_add((atomic_ullong *)arg, 1);
        sleep_us(100);
    }
    return NULL;
}

static bool beats(int i)
{
    unsigned long long before = g->beats[i];
    return WAIT_FOR(g->beats[i] > before + 3, 5000);
}

static double ms_since(uint64_t begin)
{
    return (double)(now_ns() - begin) / 1e6;
}

static void check(bool good, const char *what)
{
    if (!good)
        die("not so: %s", what);
    printf("%s\n", what);
}

static int stop(struct pyb_stopper *s, int32_t tid, struct pyb_stopped *ret)
{
    struct pyb_error err = {0};
    int code = pyb_stop(s, tid, ret, &err);
    if (code)
        printf("stop: %d %s%s%s\n", code, err.what, *err.remedy ? "; " : "", err.remedy);
    return code;
}

static void run_beating(void *arg)
{
    (void)arg;
    start_thread(beat, &g->beats[0]);
    beat(&g->beats[1]);
}

static int32_t start_beating(void)
{
    int32_t pid = start_child(run_beating, NULL);
    if (!WAIT_FOR(g->beats[0] && g->beats[1], 5000))
        die("the target does not begin");
    return pid;
}

static int32_t other_thread(int32_t pid)
{
    int32_t tids[8];
    size_t n = list_threads(&ctx, pid, tids, 8);
    return n == 2 ? tids[0] == pid ? tids[1] : tids[0] : 0;
}

// The first thread is a vfork parent for 300 ms, again and again; the second one beats.
static void run_vfork(void *arg)
{
    (void)arg;
    start_thread(beat, &g->beats[0]);
    for (;;) {
        g->child_of_vfork = 1;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
        pid_t pid = vfork();
#pragma GCC diagnostic pop
        if (pid == 0) {
            struct timespec t = {.tv_nsec = 300000000};
            (void)syscall(SYS_nanosleep, &t, NULL);
            _exit(0);
        }
        g->child_of_vfork = 0;
        (void)waitpid(pid, NULL, 0);
        for (int i = 0; i < 1000; i++) {
            g->beats[1]++;
            sleep_us(100);
        }
    }
}

static void vfork_parent(void)
{
    struct pyb_stopped st;
    struct pyb_error err;
    int32_t pid = start_child(run_vfork, NULL);
    struct pyb_stopper *s = new_stopper(&ctx, pid, by_thread);
    if (!WAIT_FOR(g->child_of_vfork && state_of(pid, pid) == 'D', 5000))
        die("no vfork parent");
    check(stop(s, other_thread(pid), &st) == 0, "another thread is held");
    uint64_t begin = now_ns();
    check(stop(s, pid, &st) == PYB_E_LIMIT, "a vfork parent is given up");
    double ms = ms_since(begin);
    printf("given up after %.1f ms\n", ms);
    check(ms > PYB_STOP_WAIT_MS - 1 && ms < PYB_STOP_WAIT_MS * 4, "in time");
    check(beats(1), "it runs on while the other is still held");
    unsigned long long held = g->beats[0];
    sleep_us(5000);
    check(g->beats[0] == held && pyb_resume(s, other_thread(pid), &err) == 0, "that one was held all the time");
    check(beats(0), "and runs on");
    check(WAIT_FOR(g->child_of_vfork && state_of(pid, pid) == 'D', 5000), "a vfork parent again");
    check(stop(s, pid, &st) == PYB_E_LIMIT && beats(1) && beats(1), "given up with nothing held, it runs on");
    check(stop(s, other_thread(pid), &st) == 0 && pyb_resume(s, other_thread(pid), &err) == 0, "stops go on");
    pyb_stopper_free(s);
    check(beats(0) && beats(1), "all run");
    end_child(pid);
}

static void stopped(void)
{
    struct pyb_stopped st;
    struct pyb_error err;
    int32_t pid = start_beating(), other = other_thread(pid);
    struct pyb_stopper *s = new_stopper(&ctx, pid, by_thread);
    check(stop(s, pid, &st) == 0 && !st.was_group_stopped && pyb_resume(s, pid, &err) == 0, "running: no stop of its own");
    (void)kill(pid, SIGSTOP);
    check(WAIT_FOR(state_of(pid, pid) == 'T' && state_of(pid, other) == 'T', 5000), "stopped by SIGSTOP");
    for (int i = 0; i < 100; i++) {
        int32_t tid = i % 2 ? pid : other;
        if (stop(s, tid, &st) || !st.was_group_stopped || pyb_resume(s, tid, &err))
            die("stop %d of a stopped thread", i);
    }
    pyb_stopper_free(s);
    check(WAIT_FOR(state_of(pid, pid) == 'T' && state_of(pid, other) == 'T', 5000), "still stopped after 100 stops");
    (void)kill(pid, SIGCONT);
    check(beats(0) && beats(1), "runs after SIGCONT");
    end_child(pid);
}

static bool write_file(const char *dir, const char *name, const char *text)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    int fd = open(path, O_WRONLY);
    bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        (void)close(fd);
    return good;
}

static bool freeze(const char *dir, bool v1, bool on)
{
    return v1 ? write_file(dir, "freezer.state", on ? "FROZEN" : "THAWED") : write_file(dir, "cgroup.freeze", on ? "1" : "0");
}

static bool stands_still(void)
{
    unsigned long long a = g->beats[0], b = g->beats[1];
    sleep_us(3000);
    return g->beats[0] == a && g->beats[1] == b;
}

static void frozen(const char *dir)
{
    char path[300], number[16];
    struct pyb_stopped st;
    struct pyb_task t;
    (void)snprintf(path, sizeof(path), "%s/freezer.state", dir);
    bool v1 = access(path, W_OK) == 0;
    int32_t pid = start_beating();
    (void)snprintf(number, sizeof(number), "%d", pid);
    if (!write_file(dir, "cgroup.procs", number) || !freeze(dir, v1, true)) {
        printf("cannot freeze by %s: %s\n", dir, strerror(errno));
        end_child(pid);
        exit(CANNOT);
    }
    bool good = WAIT_FOR(stands_still(), 5000) && pyb_task_read(pid, pid, &t, NULL) == 0;
    struct pyb_stopper *s = new_stopper(&ctx, pid, by_thread);
    bool same = pyb_task_same(pid, &t);
    uint64_t begin = now_ns();
    int code = stop(s, pid, &st);
    double ms = ms_since(begin);
    bool still = stands_still();
    if (code == 0)
        code = pyb_resume(s, pid, NULL);
    still = still && stands_still();
    pyb_stopper_free(s);
    // Thawed whatever comes: nobody could end it.
    bool thawed = freeze(dir, v1, false), runs = beats(0) && beats(1);
    end_child(pid);
    printf("version %d: state %c, asleep %d, stop: %d after %.1f ms\n", v1 ? 1 : 2, t.state, t.asleep, code, ms);
    check(good && t.asleep && same, "frozen, and asleep");
    check(code == 0 || (code == PYB_E_LIMIT && ms < PYB_STOP_WAIT_MS * 4), "stopped, or given up in time");
    check(still, "frozen all the time");
    check(thawed && runs, "runs when thawed");
}

static void patience(void)
{
    struct pyb_stopped st;
    struct pyb_error err = {0};
    int32_t pid = start_beating();
    struct pyb_stopper *s = new_stopper(&ctx, pid, by_thread);
    uint64_t begin = now_ns();
    check(stop(s, pid, &st) == 0, "stopped");
    unsigned long long before = g->beats[1];
    check(WAIT_FOR(g->beats[1] != before, PYB_STOP_MAX_MS * 3), "let go by itself");
    double ms = ms_since(begin);
    printf("after %.0f ms\n", ms);
    check(ms > PYB_STOP_MAX_MS - 100, "not before its time");
    check(pyb_resume(s, pid, &err) == PYB_E_LIMIT, err.what);
    check(stop(s, pid, &st) == 0 && pyb_resume(s, pid, &err) == 0, "stops go on");
    pyb_stopper_free(s);
    end_child(pid);
}

static void hold(void *arg)
{
    int32_t pid = *(int32_t *)arg;
    struct pyb_stopped st;
    struct pyb_stopper *s = new_stopper(&ctx, pid, by_thread);
    if (stop(s, pid, &st))
        _exit(92);
    g->done = 1;
    for (;;)
        (void)pause();
}

static void suspended(void)
{
    int32_t pid = start_beating(), tracer = start_child(hold, &pid);
    check(WAIT_FOR(g->done && state_of(pid, pid) == 't', 5000), "stopped by another process of ours");
    (void)kill(tracer, SIGSTOP);
    unsigned long long before = g->beats[1];
    check(WAIT_FOR(g->beats[1] != before, PYB_STOP_MAX_MS * 3), "which is suspended, and yet it is let go");
    check(state_of(tracer, tracer) == 'T' && beats(1), "runs");
    end_child(tracer);
    end_child(pid);
}

// The target is a child of ours as well, and older.
static int32_t find_keeper(void)
{
    int32_t children[2] = {0, 0};
    return children_of(getpid(), children, 2) == 2 ? children[1] : 0;
}

static void suspended_keeper(void)
{
    struct pyb_stopped st;
    struct pyb_error err = {0};
    int32_t pid = start_beating();
    struct pyb_stopper *s = new_stopper(&ctx, pid, false);
    int32_t keeper = find_keeper();
    check(stop(s, pid, &st) == 0 && keeper, "stopped");
    (void)kill(keeper, SIGSTOP);
    check(WAIT_FOR(state_of(keeper, keeper) == 'T', 5000), "the keeper is suspended");
    uint64_t begin = now_ns();
    check(pyb_resume(s, pid, &err) == PYB_E_LIMIT, err.what);
    printf("after %.0f ms\n", ms_since(begin));
    check(beats(1) && kill(keeper, 0) != 0, "it runs, that keeper is no more");
    check(stop(s, pid, &st) == 0 && pyb_resume(s, pid, &err) == 0 && find_keeper() != keeper, "another keeper");
    keeper = find_keeper();
    (void)kill(keeper, SIGSTOP);
    begin = now_ns();
    pyb_stopper_free(s);
    check(ms_since(begin) < 500 && kill(keeper, 0) != 0, "freed at once, although the keeper was suspended");
    end_child(pid);
}

static atomic_int sigchld;

static void on_sigchld(int number)
{
    (void)number;
    sigchld++;
}

static size_t count_files(int32_t pid)
{
    char path[64];
    size_t n = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    DIR *dir = opendir(path);
    while (dir && readdir(dir))
        n++;
    if (dir)
        (void)closedir(dir);
    return n > 2 ? n - 2 : 0;
}

static void host(void)
{
    struct pyb_stopped st;
    struct pyb_error err;
    siginfo_t si = {0};
    int32_t pid = start_beating();
    struct sigaction a = {.sa_handler = on_sigchld};
    check(sigaction(SIGCHLD, &a, NULL) == 0, "a handler of SIGCHLD");
    struct pyb_stopper *s = new_stopper(&ctx, pid, false);
    int32_t keeper = find_keeper();
    for (int i = 0; i < 50; i++) {
        if (stop(s, pid, &st) || pyb_resume(s, pid, &err))
            die("stop %d", i);
    }
    check(keeper && getpgid(keeper) == keeper, "the keeper has a process group of its own");
    check(count_files(keeper) == 1, "and one file, the socket");
    size_t files = count_files(getpid());
    pyb_stopper_free(s);
    check(count_files(getpid()) == files - 1, "we have no file left over");
    check(waitid(P_ALL, 0, &si, WEXITED | WNOHANG) == 0 && si.si_pid == 0 && find_keeper() == 0, "nothing to wait for");
    check(sigchld == 0, "no SIGCHLD");
    struct pyb_stopper *own;
    check(pyb_stopper_new(&ctx, getpid(), &own, &err) == PYB_E_USAGE, err.what);
    end_child(pid);
}

static void one(int32_t pid, int32_t tid)
{
    struct pyb_stopped st;
    struct pyb_error err = {0};
    struct pyb_stopper *s = new_stopper(&ctx, pid, by_thread);
    int code = stop(s, tid, &st);
    if (code == 0)
        code = pyb_resume(s, tid, &err);
    printf("code %d\n", code);
    pyb_stopper_free(s);
}

// The longest time between two looks at the clock.
static void run_clock(void *arg)
{
    (void)arg;
    for (uint64_t last = now_ns(), now;; last = now) {
        now = now_ns();
        if (now - last > g->gap_ns)
            g->gap_ns = now - last;
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void measure(size_t count)
{
    static char stack[65536];
    struct pyb_stopped st;
    struct pyb_error err;
    double *seen = calloc(count, sizeof(*seen)), *call = calloc(count, sizeof(*call));
    int32_t pid = start_child(run_clock, NULL);
    struct pyb_stopper *s = new_stopper(&ctx, pid, by_thread);
    if (count == 0 || !seen || !call)
        die("count");
    for (size_t i = 0; i < count; i++) {
        struct iovec to = {stack, sizeof(stack)}, from = {NULL, sizeof(stack)};
        sleep_us(300);
        g->gap_ns = 0;
        uint64_t begin = now_ns();
        if (stop(s, pid, &st))
            die("stop");
        memcpy(&from.iov_base, st.regs + (st.regs_len == 27 * 8 ? 19 : 31) * 8, sizeof(void *));
        from.iov_base = (char *)((uintptr_t)from.iov_base & ~(uintptr_t)4095);
        (void)process_vm_readv(pid, &to, 1, &from, 1, 0);
        if (pyb_resume(s, pid, &err))
            die("resume: %s", err.what);
        call[i] = (double)(now_ns() - begin) / 1e3;
        sleep_us(300);
        seen[i] = (double)g->gap_ns / 1e3;
    }
    pyb_stopper_free(s);
    end_child(pid);
    qsort(seen, count, sizeof(*seen), compare);
    qsort(call, count, sizeof(*call), compare);
    printf("seen_by_target_us median=%.1f p90=%.1f p99=%.1f; call_us median=%.1f p90=%.1f p99=%.1f\n", seen[count / 2],
           seen[count * 9 / 10], seen[count * 99 / 100], call[count / 2], call[count * 9 / 10], call[count * 99 / 100]);
    free(seen);
    free(call);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    by_thread = argc > 2 && strcmp(argv[2], "thread") == 0;
    g = shared_memory(sizeof(*g));
    pyb_ctx_init(&ctx, NULL);
    if (strcmp(name, "vfork") == 0)
        vfork_parent();
    else if (strcmp(name, "stopped") == 0)
        stopped();
    else if (strcmp(name, "frozen") == 0 && argc == 4)
        frozen(argv[3]);
    else if (strcmp(name, "patience") == 0)
        patience();
    else if (strcmp(name, "suspended") == 0)
        suspended();
    else if (strcmp(name, "keeper") == 0)
        suspended_keeper();
    else if (strcmp(name, "host") == 0)
        host();
    else if (strcmp(name, "one") == 0 && argc == 5)
        one((int32_t)strtol(argv[3], NULL, 10), (int32_t)strtol(argv[4], NULL, 10));
    else if (strcmp(name, "time") == 0 && argc == 4)
        measure(strtoul(argv[3], NULL, 10));
    else
        die("usage: stops_odd CASE process|thread [ARGUMENT...]");
    return 0;
}
