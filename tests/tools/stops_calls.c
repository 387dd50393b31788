// SPDX-License-Identifier: Apache-2.0 stops_calls [process|thread]: a child sleeps in one system call after the
// other. Reading /proc (pyb_task_read) must leave it there, and a stop must make exactly those calls fail with
// EINTR that pyb_syscall_minds_stops() names. A line for each. Exit 0 only if the name is the kernel's, the
// reading disturbs nothing and EINTR comes as predicted; a socket without timeout may go on all the same.
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>

#include <elf.h>

#include "stopping.h"

#define READS 200
#define SLEEP_MS 60000

#define CANNOT 77
#if defined(__x86_64__)
#define EM_HERE EM_X86_64
#elif defined(__aarch64__)
#define EM_HERE EM_AARCH64
#else
#error "which machine?"
#endif

struct shared { atomic_int returned, error, cannot, queue, semaphores; };
static struct shared *g;
static const struct timespec minute = {.tv_sec = 60};
static const struct timeval minute_tv = {.tv_sec = 60};

// Each makes a system call that does not come back, but for the stop. Where that cannot be set up, the child ends.
static void need(bool ok)
{
    if (!ok) {
        g->cannot = errno;
        _exit(CANNOT);
    }
}

static int pair(int type)
{
    int s[2];
    need(socketpair(AF_UNIX, type, 0, s) == 0);
    return s[0];
}

static int pair_with_timeout(int option)
{
    int fd = pair(SOCK_STREAM);
    need(setsockopt(fd, SOL_SOCKET, option, &minute_tv, sizeof(minute_tv)) == 0);
    return fd;
}

static int full_pair(int option)
{
    static char page[4096];
    int fd = option ? pair_with_timeout(option) : pair(SOCK_STREAM);
    while (send(fd, page, sizeof(page), MSG_DONTWAIT) > 0)
        ;
    return fd;
}

static int listener(bool full, bool timeout)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    // An address of the kernel's choice.
    need(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a.sun_family)) == 0 && listen(fd, 0) == 0);
    if (timeout)
        need(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &minute_tv, sizeof(minute_tv)) == 0);
    if (!full)
        return fd;
    socklen_t len = sizeof(a);
    need(getsockname(fd, (struct sockaddr *)&a, &len) == 0);
    int client = socket(AF_UNIX, SOCK_STREAM, 0), other = socket(AF_UNIX, SOCK_STREAM, 0);
    need(client >= 0 && other >= 0 && connect(other, (struct sockaddr *)&a, len) == 0);
    need(setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &minute_tv, sizeof(minute_tv)) == 0);
    return connect(client, (struct sockaddr *)&a, len);
}

// Queues and semaphores outlive the child: the parent removes them.
static int queue_message(void)
{
    struct { long type; char text[16]; } m;
    g->queue = msgget(IPC_PRIVATE, 0600) + 1;
    need(g->queue > 0);
    return (int)msgrcv(g->queue - 1, &m, sizeof(m.text), 0, 0);
}

static int semaphore(bool timed)
{
    struct sembuf op = {.sem_op = -1};
    g->semaphores = semget(IPC_PRIVATE, 1, 0600) + 1;
    need(g->semaphores > 0);
    return timed ? (int)syscall(SYS_semtimedop, g->semaphores - 1, &op, 1, &minute)
                 : (int)syscall(SYS_semop, g->semaphores - 1, &op, 1);
}

static int epoll(int kind)
{
    struct epoll_event ev;
    int fd = epoll_create1(0);
    need(fd >= 0);
    if (kind == 0)
        return epoll_wait(fd, &ev, 1, SLEEP_MS);
    if (kind == 1)
        return epoll_pwait(fd, &ev, 1, SLEEP_MS, NULL);
    return (int)syscall(SYS_epoll_pwait2, fd, &ev, 1, &minute, NULL, 0);
}

static int read_fd(int fd)
{
    char buf[256];
    need(fd >= 0);
    return (int)read(fd, buf, sizeof(buf));
}

static int inotify(void)
{
    int fd = inotify_init1(0);
    need(fd >= 0 && inotify_add_watch(fd, "/proc", IN_DELETE_SELF) >= 0);
    return read_fd(fd);
}

static int lock_file(bool posix)
{
    int fd = memfd_create("lock", 0), other;
    char path[64];
    need(fd >= 0);
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    other = open(path, O_RDWR);
    need(other >= 0);
    if (!posix) {
        need(flock(other, LOCK_EX) == 0);
        return flock(fd, LOCK_EX);
    }
    struct flock l = {.l_type = F_WRLCK};
    need(fcntl(other, F_OFD_SETLK, &l) == 0);
    return fcntl(fd, F_OFD_SETLKW, &l);
}

static int wait_child(bool by_id)
{
    pid_t pid = fork();
    need(pid >= 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)pause();
        _exit(0);
    }
    siginfo_t si;
    return by_id ? waitid(P_PID, (id_t)pid, &si, WEXITED) : waitpid(pid, NULL, 0);
}

static int io_events(void)
{
    unsigned long ctx = 0;
    char events[64];
    need(syscall(SYS_io_setup, 1, &ctx) == 0);
    return (int)syscall(SYS_io_getevents, ctx, 1L, 1L, events, &minute);
}

static int uring(void)
{
    struct io_uring_params p = {0};
    long fd = syscall(SYS_io_uring_setup, 1, &p);
    need(fd >= 0);
    return (int)syscall(SYS_io_uring_enter, fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0);
}

static int futex(bool timed)
{
    static int word;
    return (int)syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, timed ? &minute : NULL, NULL, 0);
}

static int messages(bool receive)
{
    char byte = 0;
    struct iovec v = {&byte, 1};
    struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};
    return receive ? recvmmsg(pair_with_timeout(SO_RCVTIMEO), &m, 1, 0, NULL)
                   : sendmmsg(full_pair(SO_SNDTIMEO), &m, 1, 0);
}

static int message(bool receive)
{
    char byte = 0;
    struct iovec v = {&byte, 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
    return (int)(receive ? recvmsg(pair_with_timeout(SO_RCVTIMEO), &m, 0) : sendmsg(full_pair(SO_SNDTIMEO), &m, 0));
}

static int signals(bool timed)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    need(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    return timed ? sigtimedwait(&set, NULL, &minute) : sigwaitinfo(&set, NULL);
}

static int suspend(void)
{
    sigset_t set;
    sigemptyset(&set);
    return sigsuspend(&set);
}

static int signal_file(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    need(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
    return read_fd(signalfd(-1, &set, 0));
}

static int timer_file(void)
{
    struct itimerspec t = {.it_value = minute};
    int fd = timerfd_create(CLOCK_MONOTONIC, 0);
    need(fd >= 0 && timerfd_settime(fd, 0, &t, NULL) == 0);
    return read_fd(fd);
}

static int pipe_end(void)
{
    int p[2];
    need(pipe(p) == 0);
    return p[0];
}

static int selected(int kind)
{
    int fd = pipe_end();
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct timeval tv = minute_tv;
    if (kind == 0)
        return poll(&p, 1, SLEEP_MS);
    if (kind == 1)
        return ppoll(&p, 1, &minute, NULL);
    if (kind == 2)
        return (int)syscall(SYS_select, fd + 1, &set, NULL, NULL, &tv);
    return pselect(fd + 1, &set, NULL, NULL, &minute, NULL);
}

static int receive(bool timeout)
{
    char byte;
    return (int)recv(timeout ? pair_with_timeout(SO_RCVTIMEO) : pair(SOCK_STREAM), &byte, 1, 0);
}

static int accept_one(bool four, bool timeout)
{
    int fd = listener(false, timeout);
    return four ? accept4(fd, NULL, NULL, 0) : accept(fd, NULL, NULL);
}

static int sleep_until(void)
{
    struct timespec t;
    need(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
    t.tv_sec += 60;
    errno = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
    return errno ? -1 : 0;
}

// The kernel's name, what is special about it, the call.
#define CALLS(X) \
    X("epoll_wait", "", epoll(0)) \
    X("epoll_pwait", "", epoll(1)) \
    X("epoll_pwait2", "", epoll(2)) \
    X("semop", "", semaphore(false)) \
    X("semtimedop", "", semaphore(true)) \
    X("rt_sigtimedwait", "no timeout", signals(false)) \
    X("rt_sigtimedwait", "", signals(true)) \
    X("recvfrom", "timeout", receive(true)) \
    X("recvfrom", "no timeout", receive(false)) \
    X("recvmsg", "timeout", message(true)) \
    X("recvmmsg", "timeout", messages(true)) \
    X("accept", "timeout", accept_one(false, true)) \
    X("accept", "no timeout", accept_one(false, false)) \
    X("accept4", "timeout", accept_one(true, true)) \
    X("connect", "timeout", listener(true, false)) \
    X("sendto", "timeout", (int)send(full_pair(SO_SNDTIMEO), "x", 1, 0)) \
    X("sendto", "no timeout", (int)send(full_pair(0), "x", 1, 0)) \
    X("sendmsg", "timeout", message(false)) \
    X("sendmmsg", "timeout", messages(false)) \
    X("io_getevents", "", io_events()) \
    X("io_uring_enter", "", uring()) \
    X("poll", "", selected(0)) \
    X("ppoll", "", selected(1)) \
    X("select", "", selected(2)) \
    X("pselect6", "", selected(3)) \
    X("read", "pipe", read_fd(pipe_end())) \
    X("read", "eventfd", read_fd(eventfd(0, 0))) \
    X("read", "timerfd", timer_file()) \
    X("read", "signalfd", signal_file()) \
    X("read", "inotify", inotify()) \
    X("read", "socket without timeout", read_fd(pair(SOCK_STREAM))) \
    X("futex", "", futex(false)) \
    X("futex", "timeout", futex(true)) \
    X("clock_nanosleep", "", clock_nanosleep(CLOCK_MONOTONIC, 0, &minute, NULL)) \
    X("clock_nanosleep", "until", sleep_until()) \
    X("pause", "", pause()) \
    X("rt_sigsuspend", "", suspend()) \
    X("wait4", "", wait_child(false)) \
    X("waitid", "", wait_child(true)) \
    X("msgrcv", "", queue_message()) \
    X("flock", "", lock_file(false)) \
    X("fcntl", "OFD lock", lock_file(true))

struct row { const char *name, *what; };
#define ROW(name, what, call) {name, what},
static const struct row rows[] = {CALLS(ROW)};
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static int make_call(size_t row)
{
    size_t i = 0;
#define DO(name, what, call) \
    if (i++ == row) \
        return call;
    CALLS(DO)
    return 0;
}

static void run_child(void *arg)
{
    int rc = make_call(*(const size_t *)arg);
    g->error = rc < 0 ? errno : rc > 0 ? -rc : 0;
    g->returned = 1;
    (void)pause();
}

static bool is_in(int32_t pid, const char *name, struct pyb_task *ret)
{
    const char *now = NULL;
    if (pyb_task_read(pid, pid, ret, NULL) == 0 && ret->asleep && ret->in_syscall)
        now = pyb_syscall_name(EM_HERE, sizeof(void *), ret->syscall);
    return now && strcmp(now, name) == 0 && !g->returned;
}

// The same sleep after all that reading?
static bool is_undisturbed(int32_t pid, const char *name, const struct pyb_task *asleep)
{
    struct pyb_task t;
    for (int i = 0; i < READS; i++) {
        if (!is_in(pid, name, &t))
            return false;
    }
    return pyb_task_same(pid, asleep);
}

// True: the stop made it fail with EINTR.
static bool is_interrupted(int32_t pid, const char *name, bool by_thread)
{
    struct pyb_ctx ctx;
    struct pyb_stopped st;
    struct pyb_error err = {0};
    struct pyb_task t;
    pyb_ctx_init(&ctx, NULL);
    struct pyb_stopper *s = new_stopper(&ctx, pid, by_thread);
    if (pyb_stop(s, pid, &st, &err) || !st.in_syscall || pyb_resume(s, pid, &err))
        die("%s: not stopped in a system call: %s", name, err.what);
    pyb_stopper_free(s);
    if (!WAIT_FOR(g->returned || is_in(pid, name, &t) || is_in(pid, "restart_syscall", &t), 10000))
        die("%s: neither returned nor asleep after a stop", name);
    sleep_us(2000);
    if (g->returned && g->error != EINTR)
        die("%s: returned %d after a stop", name, g->error);
    return g->returned;
}

static bool check(size_t row, bool by_thread)
{
    const char *name = rows[row].name, *what = rows[row].what;
    struct pyb_task t;
    int status;
    memset(g, 0, sizeof(*g));
    int32_t pid = start_child(run_child, &row);
    if (!WAIT_FOR(g->cannot || is_in(pid, name, &t), 10000))
        die("%s %s: the child is not in it but in %s", name, what,
            t.in_syscall ? pyb_syscall_name(EM_HERE, sizeof(void *), t.syscall) : "no call");
    if (g->cannot) {
        printf("%s: not here: %s\n", name, strerror(g->cannot));
        return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == CANNOT;
    }
    bool undisturbed = is_undisturbed(pid, name, &t);
    bool predicted = pyb_syscall_minds_stops(EM_HERE, sizeof(void *), t.syscall);
    bool interrupted = is_interrupted(pid, name, by_thread);
    end_child(pid);
    if (g->queue)
        (void)msgctl(g->queue - 1, IPC_RMID, NULL);
    if (g->semaphores)
        (void)semctl(g->semaphores - 1, 0, IPC_RMID);
    printf("%s%s%s: reading %s, stop %s, predicted %s\n", name, *what ? " " : "", what, undisturbed ? "undisturbed" : "DISTURBED",
           interrupted ? "EINTR" : "goes on", predicted ? "EINTR" : "goes on");
    // Whether a socket has a timeout the number does not tell.
    return undisturbed && (interrupted == predicted || (predicted && strcmp(what, "no timeout") == 0));
}

int main(int argc, char **argv)
{
    bool good = true;
    g = shared_memory(sizeof(*g));
    for (size_t row = 0; row < N_ROWS; row++)
        good &= check(row, argc > 1 && strcmp(argv[1], "thread") == 0);
    return !good;
}
