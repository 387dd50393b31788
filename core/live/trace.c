// SPDX-License-Identifier: Apache-2.0
#ifdef __linux__
#include "live/trace.h"

#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef PTRACE_EVENT_STOP
#define PTRACE_EVENT_STOP 128
#endif
#define PTRACE_GET_THREAD_AREA_NR 25 // of x86; <sys/ptrace.h> has it for 32-bit programs only
#define NT_ARM_TLS_NR 0x401
#define NT_ARM_SYSTEM_CALL_NR 0x404

#define SPIN_NS 40000u    // most threads stop within this; going to sleep and waking up costs as much
#define STUCK_NS 1000000u
#define NAP_NS 30000u

uint64_t pyb_trace_now_ns(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_MONOTONIC, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static struct timespec timespec_of(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u)};
}

// Takes a dead thread off the list of those traced: the target's exec() and its parent's wait() wait for that.
// Only after a look: without WNOWAIT, a stop would be taken for seen, whatever is asked for, and with it the
// signal that is being delivered.
static void reap(int32_t tid)
{
    siginfo_t si;
    while (waitid(P_PID, (id_t)tid, &si, WEXITED | __WALL | WNOHANG) != 0 && errno == EINTR)
        ;
}

// STOPPED with what the kernel reports (signal | event << 8), ENDED, DEAD, or LATE: neither up to now.
static enum pyb_trace_result look(const struct pyb_trace *t, int *ret_status)
{
    siginfo_t si = {0};
    while (waitid(P_PID, (id_t)t->tid, &si, WSTOPPED | WEXITED | __WALL | WNOWAIT | WNOHANG) != 0) {
        // ECHILD. It may live, and be ours, by another id: exec() gives the thread that calls it that of the
        // process.
        if (errno != EINTR)
            return PYB_TRACE_DEAD;
    }
    if (si.si_pid == 0)
        return PYB_TRACE_LATE;
    if (si.si_code != CLD_EXITED && si.si_code != CLD_KILLED && si.si_code != CLD_DUMPED) {
        *ret_status = si.si_status;
        return PYB_TRACE_STOPPED;
    }
    // A thread of the program that called us may be the target's parent, whose wait() has to find that end.
    if (!t->own_process && t->tid == t->pid)
        return PYB_TRACE_DEAD;
    reap(t->tid);
    return PYB_TRACE_ENDED;
}

// The kernel sends SIGCHLD for each change of a traced thread.
static void nap(bool own_process, uint64_t ns)
{
    if (own_process) {
        sigset_t set;
        struct timespec t = timespec_of(ns);
        sigemptyset(&set);
        sigaddset(&set, SIGCHLD);
        (void)sigtimedwait(&set, NULL, &t);
    } else {
        struct timespec t = timespec_of(ns < NAP_NS ? ns : NAP_NS);
        (void)nanosleep(&t, NULL);
    }
}

static enum pyb_trace_result await_stop(const struct pyb_trace *t, int *ret_status)
{
    uint64_t begin = pyb_trace_now_ns(), patience = (uint64_t)PYB_STOP_WAIT_MS * 1000000u;
    for (;;) {
        enum pyb_trace_result r = look(t, ret_status);
        uint64_t waited = pyb_trace_now_ns() - begin;
        if (r != PYB_TRACE_LATE || waited >= patience)
            return r;
        // In exec() it waits, deaf to us, until those that we hold, now killed, are reaped.
        if (t->own_process && waited > STUCK_NS)
            t->reap_others(SIGCHLD);
        if (waited > SPIN_NS)
            nap(t->own_process, patience - waited);
    }
}

// The last of the system calls' number as the registers have it: not negative on the way out of one.
static bool stopped_in_syscall(int32_t tid, const struct pyb_stopped *s)
{
    if (s->machine == EM_X86_64) {
        int64_t orig_rax;
        memcpy(&orig_rax, s->regs + 15 * sizeof(orig_rax), sizeof(orig_rax));
        return orig_rax >= 0;
    }
    if (s->machine == EM_386) {
        int32_t orig_eax;
        memcpy(&orig_eax, s->regs + 11 * sizeof(orig_eax), sizeof(orig_eax));
        return orig_eax >= 0;
    }
    int32_t number = -1;
    struct iovec io = {.iov_base = &number, .iov_len = sizeof(number)};
    return s->machine == EM_AARCH64 &&
           ptrace(PTRACE_GETREGSET, tid, (void *)NT_ARM_SYSTEM_CALL_NR, &io) == 0 && number >= 0;
}

// The base of the segment that i386's %gs selects.
static pyb_addr segment_base(int32_t tid, const struct pyb_stopped *s)
{
    uint32_t gs, desc[4] = {0};
    memcpy(&gs, s->regs + 10 * sizeof(gs), sizeof(gs));
    if (ptrace(PTRACE_GET_THREAD_AREA_NR, tid, (void *)(uintptr_t)((gs & 0xffff) >> 3), desc) != 0)
        return 0;
    return desc[1];
}

static pyb_addr thread_pointer(int32_t tid, const struct pyb_stopped *s)
{
    pyb_addr tp = 0;
    if (s->machine == EM_X86_64)
        memcpy(&tp, s->regs + 21 * sizeof(tp), sizeof(tp)); // fs_base
    if (s->machine == EM_386)
        return segment_base(tid, s);
    if (s->machine == EM_AARCH64) {
        struct iovec io = {.iov_base = &tp, .iov_len = sizeof(tp)};
        if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_ARM_TLS_NR, &io) != 0)
            return 0;
    }
    return tp;
}

// The kernel gives the registers as the thread's own kind of program has them: their size tells which.
static void set_machine(struct pyb_stopped *s)
{
#if defined(__x86_64__) || defined(__i386__)
    s->machine = s->regs_len == 27 * 8 ? EM_X86_64 : s->regs_len == 17 * 4 ? EM_386 : EM_NONE;
#elif defined(__aarch64__) || defined(__arm__)
    s->machine = s->regs_len == 34 * 8 ? EM_AARCH64 : s->regs_len == 18 * 4 ? EM_ARM : EM_NONE;
#else
    s->machine = EM_NONE;
#endif
    bool small = s->machine == EM_386 || s->machine == EM_ARM;
    s->ptr_size = small ? 4 : s->machine == EM_NONE ? sizeof(void *) : 8;
}

static int read_registers(int32_t tid, struct pyb_stopped *s)
{
    struct iovec io = {.iov_base = s->regs, .iov_len = sizeof(s->regs)};
    if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &io) != 0)
        return -1;
    s->regs_len = io.iov_len;
    set_machine(s);
    s->thread_pointer = thread_pointer(tid, s);
    s->in_syscall = stopped_in_syscall(tid, s);
    return 0;
}

// An id may be another process's by now; tgkill() tells without a signal.
static bool is_of_process(const struct pyb_trace *t)
{
    return syscall(SYS_tgkill, t->pid, t->tid, 0) == 0 || errno != ESRCH;
}

// A seize waits while a thread of the target is in exec(), and that waits until those that we hold, now killed,
// are reaped: so the keeper lets its handler of SIGCHLD do that. An errno, or 0.
static int seize(const struct pyb_trace *t)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    if (t->own_process)
        (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
    int e = ptrace(PTRACE_SEIZE, t->tid, NULL, NULL) == 0 ? 0 : errno;
    if (t->own_process)
        (void)sigprocmask(SIG_BLOCK, &set, NULL);
    return e;
}

enum pyb_trace_result pyb_trace_stop(struct pyb_trace *t, struct pyb_stopped *ret)
{
    int status = 0;
    memset(ret, 0, sizeof(*ret));
    t->signal = 0;
    if (!is_of_process(t))
        return PYB_TRACE_ENDED;
    int e = seize(t);
    errno = e;
    if (e)
        return e == ESRCH ? PYB_TRACE_ENDED : PYB_TRACE_REFUSED;
    // Fails only if it has ended: then that is what the wait finds.
    (void)ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL);
    enum pyb_trace_result r = await_stop(t, &status);
    if (r != PYB_TRACE_STOPPED)
        return r;
    int event = status >> 8, number = status & 0xff;
    // A stop of our own (SIGTRAP) or one of the whole process (SIGSTOP, SIGTSTP, ...); else a signal is being
    // delivered.
    ret->was_group_stopped = event == PTRACE_EVENT_STOP && number != SIGTRAP;
    if (event == 0)
        t->signal = number;
    if (is_of_process(t) && read_registers(t->tid, ret) == 0)
        return PYB_TRACE_STOPPED;
    r = pyb_trace_release(t);
    return r == PYB_TRACE_STOPPED ? PYB_TRACE_ENDED : r;
}

enum pyb_trace_result pyb_trace_release(const struct pyb_trace *t)
{
    // The signal keeps its siginfo; a stop of the whole process goes on by itself.
    if (ptrace(PTRACE_DETACH, t->tid, NULL, (void *)(uintptr_t)t->signal) == 0)
        return PYB_TRACE_STOPPED;
    int status;
    enum pyb_trace_result r = look(t, &status);
    return r == PYB_TRACE_STOPPED ? PYB_TRACE_LATE : r;
}

void pyb_trace_reap_if_dead(const struct pyb_trace *t)
{
    int status;
    (void)look(t, &status);
}

enum pyb_trace_result pyb_trace_release_late(struct pyb_trace *t)
{
    int status = 0;
    enum pyb_trace_result r = look(t, &status);
    if (r != PYB_TRACE_STOPPED)
        return r;
    t->signal = status >> 8 == 0 ? status & 0xff : 0;
    return pyb_trace_release(t);
}
#endif
