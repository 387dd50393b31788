// SPDX-License-Identifier: Apache-2.0
#include "proc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t proc_read(const char *root, char *buf, size_t size, const char *format, ...)
{
    char path[PATH_MAX];
    va_list args;
    buf[0] = '\0';
    int used = snprintf(path, sizeof(path), "%s", root);
    va_start(args, format);
    int more = vsnprintf(path + used, sizeof(path) - (size_t)used, format, args);
    va_end(args);
    if (used < 0 || more < 0 || (size_t)(used + more) >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return -1;
    size_t done = 0;
    ssize_t n = 0;
    while (done < size - 1 && ((n = read(fd, buf + done, size - 1 - done)) > 0 || (n < 0 && errno == EINTR)))
        done += n > 0 ? (size_t)n : 0;
    int e = errno;
    (void)close(fd);
    buf[done] = '\0';
    errno = e;
    return n < 0 && done == 0 ? -1 : (ssize_t)done;
}

long proc_number(const char *root, const char *path, long absent)
{
    char text[32], *end;
    if (proc_read(root, text, sizeof(text), "%s", path) <= 0)
        return absent;
    long value = strtol(text, &end, 10);
    return end != text && (*end == '\n' || *end == '\0') ? value : absent;
}

void proc_line(const char *root, char *buf, size_t size, const char *path)
{
    if (proc_read(root, buf, size, "%s", path) < 0)
        buf[0] = '\0';
    buf[strcspn(buf, "\n")] = '\0';
}

const char *proc_field(const char *status, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = status; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, len) == 0 && line[len] == ':')
            return line + len + 1 + strspn(line + len + 1, " \t");
    }
    return NULL;
}

void proc_format(char *buf, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (vsnprintf(buf, size, format, args) < 0)
        buf[0] = '\0';
    va_end(args);
}

static uint64_t number_of(const char *status, const char *name, int base)
{
    const char *text = proc_field(status, name);
    return text ? strtoull(text, NULL, base) : 0;
}

static void three_of(const char *status, const char *name, uint32_t ret[3])
{
    const char *text = proc_field(status, name);
    for (int i = 0; text && i < 3; i++) {
        char *end;
        ret[i] = (uint32_t)strtoul(text, &end, 10);
        text = end;
    }
}

static void words_of(const char *status, const char *name, char *buf, size_t size)
{
    const char *text = proc_field(status, name);
    size_t len = text ? strcspn(text, "\n") : 0;
    proc_format(buf, size, "%.*s", len < size ? (int)len : (int)size - 1, text ? text : "");
    for (char *p = buf; *p; p++)
        *p = *p == '\t' ? ' ' : *p;
}

bool proc_status_read(const char *root, const char *who, struct proc_status *ret)
{
    char text[4096];
    *ret = (struct proc_status){.seccomp = -1};
    if (proc_read(root, text, sizeof(text), "/proc/%s/status", who) < 0)
        return false;
    const char *state = proc_field(text, "State");
    if (!state || !proc_field(text, "Uid")) {
        errno = ESRCH;
        return false;
    }
    ret->state = *state;
    words_of(text, "Name", ret->comm, sizeof(ret->comm));
    words_of(text, "NSpid", ret->ns_pid, sizeof(ret->ns_pid));
    ret->tgid = (int32_t)number_of(text, "Tgid", 10);
    ret->ppid = (int32_t)number_of(text, "PPid", 10);
    ret->tracer = (int32_t)number_of(text, "TracerPid", 10);
    ret->threads = (uint32_t)number_of(text, "Threads", 10);
    three_of(text, "Uid", ret->uid);
    three_of(text, "Gid", ret->gid);
    ret->cap_permitted = number_of(text, "CapPrm", 16);
    ret->cap_effective = number_of(text, "CapEff", 16);
    ret->cap_bounding = number_of(text, "CapBnd", 16);
    ret->no_new_privs = number_of(text, "NoNewPrivs", 10) != 0;
    if (proc_field(text, "Seccomp"))
        ret->seccomp = (int)number_of(text, "Seccomp", 10);
    return true;
}

void proc_command(const char *root, int32_t pid, const char *comm, char *buf, size_t size)
{
    char text[4096];
    ssize_t n = proc_read(root, text, sizeof(text), "/proc/%d/cmdline", pid);
    if (n <= 0) {
        proc_format(buf, size, "[%s]", comm);
        return;
    }
    size_t used = 0, len = (size_t)n;
    buf[0] = '\0';
    for (size_t i = 0; i < len && used + 1 < size; i += strlen(text + i) + 1) {
        const char *word = text + i;
        bool plain = *word && !word[strcspn(word, " \t\n'\"\\$&|;<>()*?`")];
        proc_format(buf + used, size - used, plain ? "%s%s" : "%s'%s'", i ? " " : "", word);
        used += strlen(buf + used);
    }
}

const char *proc_user(uint32_t uid, char *buf, size_t size)
{
    char text[2048];
    struct passwd entry, *found = NULL;
    if (getpwuid_r(uid, &entry, text, sizeof(text), &found) == 0 && found)
        proc_format(buf, size, "%s", found->pw_name);
    else
        proc_format(buf, size, "%u", uid);
    return buf;
}
