// SPDX-License-Identifier: Apache-2.0
// The executable, then what is mapped to be executed. A name decides only where the file cannot be opened: deleted, replaced, another user's.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proc.h"
#include "ps_elf.h"

#define MAX_MAPS ((size_t)64 << 20)

void ps_files_free(struct ps_files *f)
{
    free(f->slots);
    *f = (struct ps_files){0};
}

static struct ps_file *slot_for(struct ps_file *slots, size_t cap, uint64_t dev, uint64_t inode)
{
    size_t i = (size_t)((inode * 0x9E3779B97F4A7C15u) ^ dev) & (cap - 1);
    while (slots[i].used && (slots[i].dev != dev || slots[i].inode != inode))
        i = (i + 1) & (cap - 1);
    return &slots[i];
}

static bool grow(struct ps_files *f)
{
    size_t cap = f->cap ? f->cap * 2 : 1024;
    struct ps_file *slots = calloc(cap, sizeof(*slots));
    if (!slots)
        return false;
    for (size_t i = 0; i < f->cap; i++) {
        if (f->slots[i].used)
            *slot_for(slots, cap, f->slots[i].dev, f->slots[i].inode) = f->slots[i];
    }
    free(f->slots);
    f->slots = slots;
    f->cap = cap;
    return true;
}

// NULL: no memory. A new slot is not `used` yet.
static struct ps_file *find(struct ps_files *f, uint64_t dev, uint64_t inode)
{
    if (f->n * 2 >= f->cap && !grow(f))
        return NULL;
    return slot_for(f->slots, f->cap, dev, inode);
}

// Regular files only, and without waiting: what lies at the path may be something else by now.
static int open_file(const char *path, struct stat *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd >= 0 && (fstat(fd, ret) != 0 || !S_ISREG(ret->st_mode))) {
        (void)close(fd);
        fd = -1;
    }
    return fd;
}

static bool judge(struct ps_files *files, uint64_t dev, uint64_t inode, int fd)
{
    struct ps_file *slot = find(files, dev, inode);
    if (slot && slot->used)
        return slot->is_python;
    bool is_python = elf_is_interpreter(fd);
    if (slot) {
        *slot = (struct ps_file){.dev = dev, .inode = inode, .used = true, .is_python = is_python};
        files->n++;
    }
    return is_python;
}

static bool executable_is(struct ps_files *files, int32_t pid)
{
    char path[32];
    struct stat st;
    (void)snprintf(path, sizeof(path), "/proc/%d/exe", pid);
    int fd = open_file(path, &st);
    bool found = fd >= 0 && judge(files, st.st_dev, st.st_ino, fd);
    if (fd >= 0)
        (void)close(fd);
    return found;
}

// The kernel writes a line end within a name as \012.
static void unescape(char *path)
{
    for (char *p; (p = strstr(path, "\\012")); path = p + 1) {
        *p = '\n';
        memmove(p + 1, p + 4, strlen(p + 4) + 1);
    }
}

static bool open_and_judge(struct ps_files *files, int32_t pid, const char *range, char *name, uint64_t dev, uint64_t inode)
{
    char path[PATH_MAX + 64];
    struct stat st;
    bool is_libpython = strncmp(strrchr(name, '/') ? strrchr(name, '/') + 1 : name, "libpython", 9) == 0;
    // By the mapping itself where that is allowed, also for a deleted file; else by its name as the process sees it.
    (void)snprintf(path, sizeof(path), "/proc/%d/map_files/%.40s", pid, range);
    int fd = open_file(path, &st);
    if (fd < 0) {
        unescape(name);
        (void)snprintf(path, sizeof(path), "/proc/%d/root%.*s", pid, PATH_MAX, name);
        fd = open_file(path, &st);
        if (fd >= 0 && st.st_ino != inode) { // another file by now
            (void)close(fd);
            fd = -1;
        }
    }
    if (fd < 0)
        return is_libpython;
    bool found = judge(files, dev, inode, fd);
    (void)close(fd);
    return found;
}

// One line of maps: "start-end r-xp offset major:minor inode   /path".
static bool line_is(struct ps_files *files, int32_t pid, char *line)
{
    char range[48], rights[8];
    unsigned major, minor;
    unsigned long long inode;
    int at = 0;
    if (sscanf(line, "%40s %7s %*s %x:%x %llu %n", range, rights, &major, &minor, &inode, &at) < 5 || rights[2] != 'x' || inode == 0 ||
        line[at] != '/')
        return false;
    uint64_t dev = (uint64_t)1 << 63 | (uint64_t)major << 32 | minor; // not as stat() has it: some file systems differ
    struct ps_file *known = find(files, dev, inode);
    if (known && known->used)
        return known->is_python;
    return open_and_judge(files, pid, range, line + at, dev, inode);
}

static bool mapped_is(struct ps_files *files, char *maps)
{
    int32_t pid = (int32_t)strtol(maps, NULL, 10);
    for (char *line = strchr(maps, '\n'), *end; line; line = end) {
        line++;
        end = strchr(line, '\n');
        if (end)
            *end = '\0';
        // Most lines are told by their rights alone.
        const char *rights = strchr(line, ' ');
        if (rights && strnlen(rights, 4) == 4 && rights[3] == 'x' && line_is(files, pid, line))
            return true;
    }
    return false;
}

static char *append(char *text, size_t *len, size_t *cap, int fd)
{
    for (;;) {
        if (*cap - *len < 16384) {
            char *more = *cap < MAX_MAPS ? realloc(text, *cap * 2) : NULL;
            if (!more)
                return text; // what came so far
            text = more;
            *cap *= 2;
        }
        ssize_t n = read(fd, text + *len, *cap - *len - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return text;
        *len += (size_t)n;
    }
}

// 1 an interpreter, 0 none, or -errno.
static int maps_say(struct ps_files *files, int32_t pid)
{
    char path[32];
    (void)snprintf(path, sizeof(path), "/proc/%d/maps", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    size_t cap = 65536;
    char *text = malloc(cap);
    size_t len = text ? (size_t)snprintf(text, cap, "%d\n", pid) : 0; // a line in front of the others: whose they are
    text = text ? append(text, &len, &cap, fd) : NULL;
    (void)close(fd);
    if (!text)
        return -ENOMEM;
    text[len] = '\0';
    int found = mapped_is(files, text);
    free(text);
    return found;
}

static bool has_python_name(int32_t pid)
{
    char comm[64], command[512];
    if (proc_read("", comm, sizeof(comm), "/proc/%d/comm", pid) < 0)
        return false;
    ssize_t n = proc_read("", command, sizeof(command), "/proc/%d/cmdline", pid);
    const char *base = n > 0 && strrchr(command, '/') ? strrchr(command, '/') + 1 : command;
    return strncmp(comm, "python", 6) == 0 || strncmp(comm, "uwsgi", 5) == 0 || (n > 0 && strncmp(base, "python", 6) == 0);
}

enum ps_kind ps_kind_of(struct ps_files *files, int32_t pid)
{
    if (executable_is(files, pid))
        return PS_PYTHON;
    int said = maps_say(files, pid);
    if (said == -EACCES || said == -EPERM)
        return has_python_name(pid) ? PS_UNREADABLE_PYTHON : PS_UNREADABLE;
    return said > 0 ? PS_PYTHON : PS_OTHER;
}
