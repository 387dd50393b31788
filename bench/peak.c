// SPDX-License-Identifier: Apache-2.0
// `peak FILE PROGRAM [ARGUMENTS]` runs a program and writes one line to FILE: milliseconds from its start to its end, and the most memory it
// had, in KiB. A small program's child, because ru_maxrss also counts what its parent had when it was forked. The exit code is the program's.
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

int main(int argc, char **argv)
{
    struct rusage usage;
    int status;
    if (argc < 3)
        return fprintf(stderr, "usage: peak FILE PROGRAM [ARGUMENTS]\n"), 125;
    FILE *out = fopen(argv[1], "we");
    if (!out)
        return perror(argv[1]), 125;
    double begin = now_ms();
    pid_t pid = fork();
    if (pid == 0) {
        execvp(argv[2], argv + 2);
        perror(argv[2]);
        _exit(127);
    }
    if (pid < 0)
        return perror("fork"), 125;
    while (wait4(pid, &status, 0, &usage) < 0) {
        if (errno != EINTR)
            return perror("wait4"), 125;
    }
    bool written = fprintf(out, "%.3f %ld\n", now_ms() - begin, usage.ru_maxrss) > 0;
    if (fclose(out) != 0 || !written)
        return perror(argv[1]), 125;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
