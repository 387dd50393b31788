// SPDX-License-Identifier: Apache-2.0
// What a process waits in, from /proc/PID/syscall: for those that have no Python whose stack would say it.
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "escape.h"
#include "proc.h"
#include "watch_look.h"

#define ELFCLASS_OF_OURS (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)

enum argument { NOTHING, FD, PROCESS };
static const struct call {
    long number;
    const char *name;
    enum argument first;
} calls[] = {
    {SYS_read, "read", FD},
    {SYS_write, "write", FD},
    {SYS_readv, "readv", FD},
    {SYS_writev, "writev", FD},
    {SYS_pread64, "pread64", FD},
    {SYS_openat, "openat", NOTHING},
    {SYS_connect, "connect", FD},
    {SYS_accept, "accept", FD},
    {SYS_accept4, "accept4", FD},
    {SYS_recvfrom, "recvfrom", FD},
    {SYS_recvmsg, "recvmsg", FD},
    {SYS_sendto, "sendto", FD},
    {SYS_sendmsg, "sendmsg", FD},
    {SYS_flock, "flock", FD},
    {SYS_fcntl, "fcntl", FD},
    {SYS_fsync, "fsync", FD},
    {SYS_ioctl, "ioctl", FD},
    {SYS_ppoll, "ppoll", NOTHING},
    {SYS_pselect6, "pselect6", NOTHING},
    {SYS_epoll_pwait, "epoll_pwait", FD},
    {SYS_wait4, "wait4", PROCESS},
    {SYS_waitid, "waitid", NOTHING},
    {SYS_nanosleep, "nanosleep", NOTHING},
    {SYS_clock_nanosleep, "clock_nanosleep", NOTHING},
    {SYS_futex, "futex", NOTHING},
    {SYS_rt_sigsuspend, "rt_sigsuspend", NOTHING},
    {SYS_rt_sigtimedwait, "rt_sigtimedwait", NOTHING},
    {SYS_msgrcv, "msgrcv", NOTHING},
    {SYS_semtimedop, "semtimedop", NOTHING},
#ifdef SYS_semop
    {SYS_semop, "semop", NOTHING},
#endif
#ifdef SYS_poll // not on newer architectures
    {SYS_poll, "poll", NOTHING},
    {SYS_select, "select", NOTHING},
    {SYS_epoll_wait, "epoll_wait", FD},
    {SYS_pause, "pause", NOTHING},
    {SYS_open, "open", NOTHING},
#endif
};

// System calls of a 32-bit process have other numbers.
static bool is_of_our_class(int32_t pid)
{
    char ident[EI_NIDENT + 1];
    return proc_read("", ident, sizeof(ident), "/proc/%d/exe", pid) == EI_NIDENT && ident[EI_CLASS] == ELFCLASS_OF_OURS;
}

static void put_fd(struct cli_out *out, int32_t pid, long fd)
{
    char path[64], link[256];
    (void)snprintf(path, sizeof(path), "/proc/%d/fd/%ld", pid, fd);
    ssize_t n = readlink(path, link, sizeof(link) - 1);
    cli_printf(out, " of fd %ld", fd);
    if (n <= 0)
        return;
    link[n] = '\0';
    cli_printf(out, " (");
    (void)cli_escaped(out, link, 0);
    cli_printf(out, ")");
}

static void put_call(struct cli_out *out, int32_t pid, long number, int first)
{
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (calls[i].number != number)
            continue;
        cli_printf(out, "%s", calls[i].name);
        if (calls[i].first == FD)
            put_fd(out, pid, first);
        else if (calls[i].first == PROCESS && first > 0)
            cli_printf(out, " for process %d", first);
        else if (calls[i].first == PROCESS)
            cli_printf(out, " for a child");
        return;
    }
    cli_printf(out, "system call %ld", number);
}

char *watch_wait_of(int32_t pid)
{
    char text[256], *end, *ret = NULL;
    size_t size;
    if (proc_read("", text, sizeof(text), "/proc/%d/syscall", pid) <= 0 || text[0] < '0' || text[0] > '9' ||
        !is_of_our_class(pid))
        return NULL; // running, or not ours to ask
    long number = strtol(text, &end, 10);
    unsigned long long first = strtoull(end, NULL, 16);
    struct cli_out out = {.file = open_memstream(&ret, &size)};
    if (!out.file)
        return NULL;
    put_call(&out, pid, number, (int)first); // a pid or fd is an int, whatever the register's upper half holds
    return fclose(out.file) == 0 ? ret : NULL;
}
