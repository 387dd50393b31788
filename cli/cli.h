// SPDX-License-Identifier: Apache-2.0
/**
 * What the commands of `pybraid` share: exit codes, errors, output that notices a full disk and a closed pipe, colour.
 *
 * A command is a function of its own file, `int cmd_NAME(int argc, char **argv)`; argv[0] is its name; it returns the exit code. Data goes to
 * stdout (or -o FILE), everything else to stderr. SIGPIPE ends us quietly.
 */
#ifndef CLI_H
#define CLI_H
#include <stdio.h>

#include "pybraid.h"

// Exit codes that scripts are built on (docs/pybraid.md).
enum { EXIT_OK, EXIT_FAILED, EXIT_USAGE, EXIT_NOENT, EXIT_PERM, EXIT_NOTPYTHON, EXIT_PARTIAL };

int cmd_record(int argc, char **argv);
int cmd_dump(int argc, char **argv);
int cmd_watch(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_ps(int argc, char **argv);

/** Exit code of an enum pyb_status. */
int cli_exit_code(int status);
/** Says what failed and the remedy on stderr; returns the exit code. */
int cli_fail(int status, const struct pyb_error *err);
/** "pybraid dump: <text>" and where help is; returns EXIT_USAGE. */
int cli_usage(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** A decimal process id and nothing else. */
bool cli_is_pid(const char *word, int32_t *ret);
/** A decimal number within bounds; false: not one. */
bool cli_number(const char *word, long low, long high, long *ret);

/** Where a command's data goes. A failed write is remembered and said once, by cli_close(). */
struct cli_out {
    FILE *file;
    const char *path; // NULL: stdout
    int sys_errno;    // of the first failure
    bool color;
};
enum cli_color { CLI_COLOR_AUTO, CLI_COLOR_ALWAYS, CLI_COLOR_NEVER };
/** "auto", "always", "never"; false: none of these. */
bool cli_parse_color(const char *word, enum cli_color *ret);
/** What CLI_COLOR_AUTO means for a stream: a terminal, no NO_COLOR, no TERM=dumb. */
bool cli_wants_color(const struct cli_out *o, enum cli_color color);
/** Opens `path` (NULL or "-": stdout). auto: a terminal, no NO_COLOR, no TERM=dumb. 0 or an exit code, the failure said. */
int cli_open(struct cli_out *o, const char *path, enum cli_color color);
/** pyb_write_fn; ctx is the cli_out. */
int cli_write(void *ctx, const char *text, size_t len);
void cli_printf(struct cli_out *o, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** Flushes and closes. Returns `code`, or EXIT_FAILED when something could not be written, which is said. */
int cli_close(struct cli_out *o, int code);

/** Opens a process ("4711") or a core file. A name that is neither says so. 0 or a status. */
int cli_open_target(struct pyb_session *s, const char *target, const char *exe, struct pyb_error *err);
/** Ctrl-C: from now on pyb_* calls end with PYB_E_ABORTED; use as pyb_options.abort. */
bool cli_interrupted(void *ctx);
void cli_catch_interrupt(void);
#endif
