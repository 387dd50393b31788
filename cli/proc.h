// SPDX-License-Identifier: Apache-2.0
/**
 * Small files of /proc and /sys, for `doctor` and `ps`. `root` is put before every path: "" here, a folder with made-up files in tests.
 */
#ifndef CLI_PROC_H
#define CLI_PROC_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/** A file's beginning, NUL-terminated, at most size - 1 bytes. Bytes read, or -1 with errno. */
ssize_t proc_read(const char *root, char *buf, size_t size, const char *format, ...) __attribute__((format(printf, 4, 5)));
/** A file of one number. `absent`: it cannot be read, or is no number. */
long proc_number(const char *root, const char *path, long absent);
/** A file's first line, without its end; "" when it cannot be read. */
void proc_line(const char *root, char *buf, size_t size, const char *path);
/** The text after "NAME:" in a status file, up to the end of `status`, or NULL. */
const char *proc_field(const char *status, const char *name);
/** Formats into buf, cut to its size. */
void proc_format(char *buf, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/** What /proc/PID/status says of who a process is. */
struct proc_status {
    char comm[64];
    char state;             // R S D T t Z X I
    int32_t tgid, ppid, tracer;
    uint32_t uid[3], gid[3]; // real, effective, saved
    uint32_t threads;
    uint64_t cap_permitted, cap_effective, cap_bounding;
    int seccomp;            // 0 none, 1 strict, 2 filter; -1 unknown
    bool no_new_privs;
    char ns_pid[64];        // "4711 1": its ids in each PID namespace, outermost first; "" unknown
};
/** `who`: a pid, or "self". False with errno: ENOENT, EACCES, ... */
bool proc_status_read(const char *root, const char *who, struct proc_status *ret);

/** Command line as one text, words parted by blanks, those that need it quoted; "[comm]" when it is empty. Cut to its size. */
void proc_command(const char *root, int32_t pid, const char *comm, char *buf, size_t size);
/** The user's name, or its number. */
const char *proc_user(uint32_t uid, char *buf, size_t size);
#endif
