// SPDX-License-Identifier: Apache-2.0
// The command line of the target.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/session.h"
#include "memory/readers.h"

#define CMDLINE_BYTES (128u << 10) // as much as is read of it
#define MAX_ARGUMENTS 4096u

// `text` of n bytes in pieces that end with `separator`.
static void split(struct pyb_session *s, const char *text, size_t n, char separator)
{
    const char **argv = pyb_arena_array(&s->arena, MAX_ARGUMENTS, sizeof(*argv));
    uint32_t count = 0;
    size_t start = 0;
    for (size_t i = 0; argv && i <= n && count < MAX_ARGUMENTS; i++) {
        bool end = i == n || text[i] == separator;
        if (!end)
            continue;
        if (i > start || (i < n && separator == '\0')) { // an empty argument is one, several spaces are not
            argv[count] = pyb_clean_text(&s->arena, text + start, i - start);
            if (!argv[count])
                return;
            count++;
        }
        start = i + 1;
    }
    if (count > 0) {
        s->command = argv;
        s->n_command = count;
    }
}

static size_t from_proc(struct pyb_session *s, int32_t pid)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0; // unknown
    char *text = pyb_alloc(&s->ctx, CMDLINE_BYTES);
    size_t n = 0;
    while (text && n < CMDLINE_BYTES) {
        ssize_t part = read(fd, text + n, CMDLINE_BYTES - n);
        if (part <= 0)
            break;
        n += (size_t)part;
    }
    (void)close(fd);
    if (text)
        split(s, text, n, '\0');
    pyb_free(&s->ctx, text);
    return n;
}

void pyb_session_find_command(struct pyb_session *s)
{
    if (s->command)
        return;
    if (s->target.is_local && !s->target.is_core && s->target.pid > 0) {
        int32_t other = from_proc(s, s->target.pid) == 0 ? pyb_live_other_thread(s->target.pid) : 0;
        if (other)
            (void)from_proc(s, other);
    } else if (s->facts && s->facts->command) // the kernel keeps 80 bytes, and spaces between arguments
        split(s, s->facts->command, strlen(s->facts->command), ' ');
}
