// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "watch.h"

#define PIECE 4096          // a pipe that poll() calls writable takes that much (PIPE_BUF)
#define PATIENCE_MS 10000

bool watch_say(const char *text, size_t len)
{
    static bool given_up; // waited once; nobody reads
    while (len > 0) {
        struct pollfd p = {.fd = STDERR_FILENO, .events = POLLOUT};
        int n = poll(&p, 1, given_up ? 0 : PATIENCE_MS);
        if (n < 0 && errno == EINTR)
            continue;
        given_up = n <= 0;
        if (given_up)
            return false;
        ssize_t done = write(STDERR_FILENO, text, len < PIECE ? len : PIECE);
        if (done < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (done <= 0)
            return false;
        text += done;
        len -= (size_t)done;
    }
    return true;
}

void watch_sayf(const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (n > 0)
        (void)watch_say(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1); // nobody there to be told
}
