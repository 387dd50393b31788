// SPDX-License-Identifier: Apache-2.0
/** What `watch` says of a tree that got stuck: for people, as JSON, and as the CI systems fold it. */
#ifndef CLI_WATCH_REPORT_H
#define CLI_WATCH_REPORT_H
#include "watch_look.h"

#define WATCH_LOOKS 3
enum watch_cause { WATCH_TIMEOUT, WATCH_IDLE };
enum watch_ci { WATCH_NO_CI, WATCH_GITHUB, WATCH_GITLAB };

struct watch_report {
    enum watch_cause cause;
    int64_t limit_ns;                       // the limit that was reached
    int32_t pid;                            // the command
    const char *name;                       // its argv[0]
    struct watch_look *looks[WATCH_LOOKS];  // half time (or NULL), the end, a little later; compared
    bool every_look;
};
/** "no end after 10 min: pytest -x tests", one line without its end. */
void watch_report_headline(struct cli_out *o, const struct watch_report *r);
/** Every stack: the last look in full, earlier ones where something moved (every_look: all). */
void watch_report_stacks(struct cli_out *o, const struct watch_report *r);
/** A line for each thread: where it is, and whether it moved. */
void watch_report_summary(struct cli_out *o, const struct watch_report *r);
/** One document for each process and look, one a line, with an object "watch" in front. */
void watch_report_json(struct cli_out *o, const struct watch_report *r);
/** "1 h 5 min", "602 s", "2.5 s". */
void watch_duration(char *buf, size_t size, int64_t ns);

enum watch_ci watch_ci_detect(void);
/** The whole report as a log shows it: stacks, folded in a CI system, and the summary last, where people look first. */
void watch_ci_log(struct cli_out *o, const struct watch_report *r, enum watch_ci ci);
/** Appends it to $GITHUB_STEP_SUMMARY as Markdown. Failures are said on stderr. */
void watch_ci_step_summary(const struct watch_report *r);
#endif
