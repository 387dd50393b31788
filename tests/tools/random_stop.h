// SPDX-License-Identifier: Apache-2.0
// What the tools share that stop a target (spin.py) at random instructions and have faulthandler's C handler write the stack of that
// same instruction: stopping, queueing the signal before it goes on, waiting until the report is whole.
#ifndef TESTS_TOOLS_RANDOM_STOP_H
#define TESTS_TOOLS_RANDOM_STOP_H
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"

#define PATIENCE 200000 // times 50 us

struct random_stop {
    int32_t pid;
    int number;      // the signal that makes faulthandler report
    int report;      // fd
    off_t reported;  // bytes of it that earlier stops account for
};

static inline void die(const char *what)
{
    perror(what);
    exit(2);
}

static inline bool ends_with(const struct pyb_buf *b, const char *s)
{
    size_t n = strlen(s);
    return b->len >= n && !memcmp(b->data + b->len - n, s, n);
}

// The target's outermost frame is the module of spin.py; other modules may run inside it.
static inline bool is_whole(const struct pyb_buf *b)
{
    if (ends_with(b, "  ...\n") || ends_with(b, "<invalid frame>\n") || ends_with(b, "<no Python frame>\n"))
        return true;
    if (!ends_with(b, " in <module>\n"))
        return false;
    const char *line = b->data + b->len - 1;
    while (line > b->data && line[-1] != '\n')
        line--;
    return strstr(line, "/spin.py\", line ") != NULL;
}

// What faulthandler wrote for this stop, appended to `out`; cut short where it never becomes whole.
static inline void read_report(struct random_stop *j, struct pyb_buf *out)
{
    for (int tries = 0; !is_whole(out); tries++) {
        char part[8192];
        ssize_t n = pread(j->report, part, sizeof part, j->reported);
        if (n < 0)
            die("report");
        j->reported += n;
        pyb_buf_add(out, part, (size_t)n);
        if (n == 0 && tries > PATIENCE)
            break; // shows as a difference
        if (n == 0)
            usleep(50);
    }
}

static inline void interrupt(struct random_stop *j)
{
    if (ptrace(PTRACE_INTERRUPT, j->pid, 0, 0))
        die("PTRACE_INTERRUPT");
    for (int status;;) {
        if (waitpid(j->pid, &status, __WALL) < 0)
            die("waitpid");
        if (!WIFSTOPPED(status)) {
            fprintf(stderr, "the target ended\n");
            exit(2);
        }
        if (status >> 16 == PTRACE_EVENT_STOP)
            return;
        if (ptrace(PTRACE_CONT, j->pid, 0, WSTOPSIG(status)))
            die("PTRACE_CONT");
    }
}

// The queued signal is seen by the tracer first; then it goes in.
static inline void go_on(struct random_stop *j, bool signalled)
{
    int status;
    if (!signalled) {
        if (ptrace(PTRACE_CONT, j->pid, 0, 0))
            die("PTRACE_CONT");
        return;
    }
    if (ptrace(PTRACE_CONT, j->pid, 0, 0) || waitpid(j->pid, &status, __WALL) < 0 || !WIFSTOPPED(status) ||
        ptrace(PTRACE_CONT, j->pid, 0, WSTOPSIG(status)))
        die("PTRACE_CONT");
}

static inline void ask(const struct random_stop *j)
{
    if (syscall(SYS_tgkill, j->pid, j->pid, j->number))
        die("tgkill");
}
#endif
