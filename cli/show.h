// SPDX-License-Identifier: Apache-2.0
/** One process as people read it, or as JSON: used by `dump` and `watch`. */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H
#include "cli.h"

struct show {
    uint32_t text;      // enum pyb_text_flags
    uint32_t dump;      // enum pyb_dump_flags
    uint32_t read;      // enum pyb_read_flags
    uint32_t limit;     // frames per thread, 0: all
    const int32_t *tids;
    size_t n_tids;
    bool json;
    bool no_group;      // threads with equal stacks each for itself
    const char *exe;    // of a core
    bool optional;      // no Python, or ended meanwhile: one line, and no failure
};
/** Header, findings, threads, or JSON. `p` as pyb_dump() gave it. 0 or a status (o->sys_errno: a write failed). */
int show_process(struct cli_out *o, const struct pyb_process *p, const struct show *s);
/**
 * Opens and reads one target. The session is the caller's to free also after a failure (it may be NULL), the process after
 * success.
 */
int show_read(const char *target, const struct show *s, struct pyb_session **ret_session, struct pyb_process **ret,
              struct pyb_error *err);
/**
 * Opens, reads and shows one target ("4711" or a core). Errors are said on stderr. Returns an exit code; *ret_partial (may be NULL) tells
 * whether a stack was incomplete.
 */
int show_target(struct cli_out *o, const char *target, const struct show *s, bool *ret_partial);
#endif
