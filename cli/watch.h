// SPDX-License-Identifier: Apache-2.0
/** `pybraid watch`: what the command line said. */
#ifndef CLI_WATCH_H
#define CLI_WATCH_H
#include "show.h"
#include "watch_report.h"
#include "watch_run.h"

struct watch_options {
    char **command;      // NULL-terminated; empty with --pid
    int32_t pid;         // --pid, or 0
    bool kill, verbose;
    int64_t timeout_ns, idle_ns, grace_ns; // 0: no such limit
    const char *core_dir, *json, *output;  // or NULL
    struct show show;
    enum cli_color color;
    enum watch_ci ci;
};
/** From start to end; returns the exit code. */
int watch_main(const struct watch_options *o);

/**
 * Text for stderr. Never waits for a reader that does not read: after ten seconds without progress the rest is dropped, since there
 * is still a tree to end. A full disk or a closed pipe is not a reason to stop either. False: something was lost.
 */
bool watch_say(const char *text, size_t len);
void watch_sayf(const char *format, ...) __attribute__((format(printf, 1, 2)));
/** A core file of each Python process of the look; what was written or failed is said. */
void watch_cores(const struct watch_look *look, const char *folder);
#endif
