// SPDX-License-Identifier: Apache-2.0
/** `pybraid ps`: one row for each Python process (ps_read.c), and how rows are shown (ps_show.c). */
#ifndef CLI_PS_H
#define CLI_PS_H
#include "cli.h"
#include "doctor.h"

struct ps_row {
    int32_t pid;
    struct proc_status status;
    bool readable;
    bool is_python;       // false: not known, its files may not be seen
    char *command;        // one line
    char *words;          // argv as /proc has it, words ended by NUL
    size_t words_len;
    // of a readable one
    char *python, *executable; // NULL: unknown
    bool free_threaded, debug_build;
    uint32_t n_states;    // thread states
    bool has_frame;
    char *name, *func, *file;  // innermost Python frame of the main thread
    int32_t line;         // -1: none
    char *note;           // why there is no frame, or why it is not readable
    char *remedy;
};
struct ps_rows {
    struct ps_row *rows;
    size_t n, cap;
    size_t n_unseen;      // processes that may not be looked into and were left out
    size_t n_processes;   // all there are
};
/** All Python processes that can be seen, by pid; with `unreadable` also those of which nothing can be told. An exit code, failures said. */
int ps_collect(bool unreadable, struct ps_rows *ret);
void ps_rows_free(struct ps_rows *r);
/** A table, cut to `columns` (0: not cut). */
void ps_text(struct cli_out *o, const struct ps_rows *r, size_t columns);
/** JSON Lines. */
void ps_json(struct cli_out *o, const struct ps_rows *r);
#endif
