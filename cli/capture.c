// SPDX-License-Identifier: Apache-2.0
#include "capture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

bool program_find(const char *name, char *buf, size_t size)
{
    const char *path = getenv("PATH");
    for (const char *p = path ? path : "/usr/local/bin:/usr/bin:/bin"; *p;) {
        size_t len = strcspn(p, ":");
        struct stat st;
        int n = snprintf(buf, size, "%.*s/%s", len < PATH_MAX ? (int)len : PATH_MAX, p, name);
        // Only absolute folders: what lies in the current one is not meant.
        if (*p == '/' && n > 0 && (size_t)n < size && access(buf, X_OK) == 0 && stat(buf, &st) == 0 && S_ISREG(st.st_mode))
            return true;
        p += len + (p[len] == ':');
    }
    buf[0] = '\0';
    return false;
}

static int64_t now_ms(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static pid_t start(const char *const argv[], int out)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t pid = -1;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return -1;
    if (posix_spawnattr_init(&attributes) != 0) {
        (void)posix_spawn_file_actions_destroy(&actions);
        return -1;
    }
    // A group of its own: what it started goes with it.
    int e = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    e = e ? e : posix_spawn_file_actions_adddup2(&actions, out, 1);
    e = e ? e : posix_spawn_file_actions_adddup2(&actions, out, 2);
    e = e ? e : posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    if (e || posix_spawn(&pid, argv[0], &actions, &attributes, (char *const *)(uintptr_t)argv, environ) != 0)
        pid = -1;
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&actions);
    return pid;
}

// Until its end of the pipe is closed; false: the time was over.
static bool drain(int fd, char *buf, size_t size, int seconds)
{
    int64_t end = now_ms() + (int64_t)seconds * 1000;
    size_t used = 0;
    for (;;) {
        int64_t left = end - now_ms();
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int ready = left > 0 ? poll(&p, 1, (int)left) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return false;
        char more[4096];
        ssize_t n = read(fd, more, sizeof(more));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return true;
        size_t part = (size_t)n < size - 1 - used ? (size_t)n : size - 1 - used;
        memcpy(buf + used, more, part);
        used += part;
        buf[used] = '\0';
    }
}

int program_run(const char *const argv[], char *buf, size_t size, int seconds)
{
    int pipes[2], status = 0;
    buf[0] = '\0';
    if (pipe2(pipes, O_CLOEXEC) != 0)
        return -1;
    pid_t pid = start(argv, pipes[1]);
    (void)close(pipes[1]);
    bool ended = pid > 0 && drain(pipes[0], buf, size, seconds);
    (void)close(pipes[0]);
    if (pid <= 0)
        return -1;
    if (!ended)
        (void)kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return !ended ? -2 : WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
