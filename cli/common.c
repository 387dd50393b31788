// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

int cli_exit_code(int status)
{
    switch (status) {
    case PYB_OK:
        return EXIT_OK;
    case PYB_E_USAGE:
        return EXIT_USAGE;
    case PYB_E_NOENT:
    case PYB_E_GONE:
        return EXIT_NOENT;
    case PYB_E_PERM:
        return EXIT_PERM;
    case PYB_E_NOTPYTHON:
    case PYB_E_UNSUPPORTED:
        return EXIT_NOTPYTHON;
    default:
        return EXIT_FAILED;
    }
}

int cli_fail(int status, const struct pyb_error *err)
{
    fprintf(stderr, "pybraid: %s\n", err->what[0] ? err->what : "failed");
    if (err->remedy[0])
        fprintf(stderr, "%s\n", err->remedy);
    return cli_exit_code(status);
}

int cli_usage(const char *command, const char *format, ...)
{
    va_list args;
    fprintf(stderr, "pybraid %s: ", command);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nTry: pybraid %s --help\n", command);
    return EXIT_USAGE;
}

bool cli_number(const char *word, long low, long high, long *ret)
{
    char *end;
    errno = 0;
    *ret = strtol(word, &end, 10);
    return *word && !*end && end != word && errno == 0 && *ret >= low && *ret <= high;
}

bool cli_is_pid(const char *word, int32_t *ret)
{
    long value;
    if (strspn(word, "0123456789") != strlen(word) || !cli_number(word, 1, INT32_MAX, &value))
        return false;
    *ret = (int32_t)value;
    return true;
}

bool cli_parse_color(const char *word, enum cli_color *ret)
{
    static const char *const names[] = {"auto", "always", "never"};
    for (int i = 0; i < 3; i++) {
        if (strcmp(word, names[i]) == 0) {
            *ret = (enum cli_color)i;
            return true;
        }
    }
    return false;
}

bool cli_wants_color(const struct cli_out *o, enum cli_color color)
{
    const char *none = getenv("NO_COLOR"), *term = getenv("TERM");
    if (color != CLI_COLOR_AUTO)
        return color == CLI_COLOR_ALWAYS;
    return !(none && *none) && term && strcmp(term, "dumb") != 0 && isatty(fileno(o->file));
}

int cli_open(struct cli_out *o, const char *path, enum cli_color color)
{
    *o = (struct cli_out){.file = stdout};
    if (path && strcmp(path, "-") != 0) {
        o->path = path;
        o->file = fopen(path, "we");
        if (!o->file) {
            fprintf(stderr, "pybraid: cannot write to %s: %s\n", path, strerror(errno));
            return errno == EACCES || errno == EPERM ? EXIT_PERM : EXIT_FAILED;
        }
    }
    o->color = cli_wants_color(o, color);
    return EXIT_OK;
}

int cli_write(void *ctx, const char *text, size_t len)
{
    struct cli_out *o = ctx;
    errno = 0;
    if (fwrite(text, 1, len, o->file) == len)
        return 0;
    if (o->sys_errno == 0)
        o->sys_errno = errno ? errno : EIO;
    return -1;
}

void cli_printf(struct cli_out *o, const char *format, ...)
{
    va_list args;
    errno = 0;
    va_start(args, format);
    int n = vfprintf(o->file, format, args);
    va_end(args);
    if (n < 0 && o->sys_errno == 0)
        o->sys_errno = errno ? errno : EIO;
}

int cli_close(struct cli_out *o, int code)
{
    errno = 0;
    // cppcheck-suppress useClosedFile // cli_open has opened it
    int rc = o->path ? fclose(o->file) : fflush(o->file);
    if (rc != 0 && o->sys_errno == 0)
        o->sys_errno = errno ? errno : EIO;
    if (o->sys_errno == 0)
        return code;
    if (o->sys_errno != EPIPE)
        fprintf(stderr, "pybraid: cannot write to %s: %s\n", o->path ? o->path : "standard output",
                strerror(o->sys_errno));
    return EXIT_FAILED;
}

int cli_open_target(struct pyb_session *s, const char *target, const char *exe, struct pyb_error *err)
{
    int32_t pid;
    return cli_is_pid(target, &pid) ? pyb_open_pid(s, pid, err) : pyb_open_core(s, target, exe, err);
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

bool cli_interrupted(void *ctx)
{
    (void)ctx;
    return interrupted != 0;
}

void cli_catch_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND}; // a second Ctrl-C ends us at once
    (void)sigemptyset(&action.sa_mask);
    if (sigaction(SIGINT, &action, NULL) != 0)
        perror("pybraid: SIGINT");
}
