// SPDX-License-Identifier: Apache-2.0
// For LD_PRELOAD: an exec that takes a minute. The parent of a vfork() waits for it, uninterruptibly.
#define _GNU_SOURCE
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void wait_a_minute(void)
{
    struct timespec minute = {.tv_sec = 60};
    (void)syscall(SYS_nanosleep, &minute, NULL);
}

int execve(const char *path, char *const argv[], char *const envp[])
{
    wait_a_minute();
    return (int)syscall(SYS_execve, path, argv, envp);
}

int execv(const char *path, char *const argv[])
{
    wait_a_minute();
    return (int)syscall(SYS_execve, path, argv, environ);
}
