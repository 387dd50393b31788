// SPDX-License-Identifier: Apache-2.0
// How GitHub Actions and GitLab CI fold a part of a log. Names out of the watched processes must not give them commands: they are
// escaped (no line ends, no control characters), and GitHub is told to take no commands until a random word comes.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "escape.h"
#include "watch_report.h"

#define MAX_STEP_SUMMARY (900u << 10) // GitHub refuses above 1 MiB for a step

enum watch_ci watch_ci_detect(void)
{
    const char *github = getenv("GITHUB_ACTIONS"), *gitlab = getenv("GITLAB_CI");
    if (github && strcmp(github, "true") == 0)
        return WATCH_GITHUB;
    return gitlab && *gitlab ? WATCH_GITLAB : WATCH_NO_CI;
}

// A word that nobody can have put into a name. False: no random numbers.
static bool random_word(char word[33])
{
    unsigned char bytes[16];
    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        return false;
    for (size_t i = 0; i < sizeof(bytes); i++)
        (void)snprintf(word + 2 * i, 3, "%02x", bytes[i]);
    return true;
}


// Without a word to end it, commands could not be switched off: then the part is left out, and that is said.
static void without_commands(struct cli_out *o, const struct watch_report *r,
                             void (*part)(struct cli_out *, const struct watch_report *))
{
    char word[33];
    if (!random_word(word)) {
        cli_printf(o, "pybraid watch: no random numbers (%s): this part of the report is left out\n", strerror(errno));
        return;
    }
    cli_printf(o, "::stop-commands::%s\n", word);
    part(o, r);
    cli_printf(o, "::%s::\n", word);
}

static void github(struct cli_out *o, const struct watch_report *r)
{
    char limit[64];
    watch_duration(limit, sizeof(limit), r->limit_ns);
    cli_printf(o, "::group::pybraid watch: the stacks\n");
    without_commands(o, r, watch_report_stacks);
    cli_printf(o, "::endgroup::\n");
    without_commands(o, r, watch_report_summary);
    cli_printf(o, r->cause == WATCH_TIMEOUT ? "::error title=pybraid watch::The command was stuck: no end after %s\n"
                                            : "::error title=pybraid watch::The command was stuck: nothing happened for %s\n",
               limit);
}

static void gitlab(struct cli_out *o, const struct watch_report *r)
{
    long now = (long)time(NULL);
    cli_printf(o, "\033[0Ksection_start:%ld:pybraid_watch_%ld[collapsed=true]\r\033[0Kpybraid watch: the stacks\n", now, now);
    watch_report_stacks(o, r);
    cli_printf(o, "\033[0Ksection_end:%ld:pybraid_watch_%ld\r\033[0K\n", (long)time(NULL), now);
    watch_report_summary(o, r);
}

void watch_ci_log(struct cli_out *o, const struct watch_report *r, enum watch_ci ci)
{
    if (ci == WATCH_GITHUB) {
        github(o, r);
    } else if (ci == WATCH_GITLAB) {
        gitlab(o, r);
    } else {
        watch_report_stacks(o, r);
        watch_report_summary(o, r);
    }
}

// A fence longer than any run of backticks inside: nothing inside ends it.
static size_t fence_length(const char *text)
{
    size_t longest = 2;
    for (const char *p = strchr(text, '`'); p; p = strchr(p, '`')) {
        size_t run = strspn(p, "`");
        longest = run > longest ? run : longest;
        p += run;
    }
    return longest + 1;
}

static void fenced(struct cli_out *o, const char *text, size_t room)
{
    size_t fence = fence_length(text), len = strlen(text);
    bool cut = len > room;
    while (cut && room > 0 && text[room - 1] != '\n')
        room--;
    for (size_t i = 0; i < fence; i++)
        cli_printf(o, "`");
    cli_printf(o, "text\n");
    (void)cli_write(o, text, cut ? room : len);
    cli_printf(o, "%s", cut ? "... (the log has the rest)\n" : "");
    for (size_t i = 0; i < fence; i++)
        cli_printf(o, "`");
    cli_printf(o, "\n\n");
}

// Colours are the only escape sequences: whatever came from outside is escaped.
static void remove_colors(char *text)
{
    char *to = text;
    for (const char *from = text; *from;) {
        if (from[0] == '\033' && from[1] == '[') {
            from += strcspn(from, "m");
            from += *from == 'm';
        } else {
            *to++ = *from++;
        }
    }
    *to = '\0';
}

static char *plain_text(const struct watch_report *r, void (*part)(struct cli_out *, const struct watch_report *))
{
    char *ret = NULL;
    size_t size;
    struct cli_out out = {.file = open_memstream(&ret, &size)};
    if (!out.file)
        return NULL;
    part(&out, r);
    if (fclose(out.file) != 0)
        return NULL;
    remove_colors(ret);
    return ret;
}

static void markdown(struct cli_out *o, const char *short_text, const char *stacks)
{
    cli_printf(o, "### pybraid watch: the command was stuck\n\n");
    fenced(o, short_text, MAX_STEP_SUMMARY / 2);
    cli_printf(o, "<details><summary>The stacks</summary>\n\n");
    fenced(o, stacks, MAX_STEP_SUMMARY / 2);
    cli_printf(o, "</details>\n\n");
}

void watch_ci_step_summary(const struct watch_report *r)
{
    const char *path = getenv("GITHUB_STEP_SUMMARY");
    if (!path || !*path)
        return;
    char *short_text = plain_text(r, watch_report_summary), *stacks = plain_text(r, watch_report_stacks);
    struct cli_out out = {.file = fopen(path, "ae"), .path = path};
    if (!out.file)
        fprintf(stderr, "pybraid watch: cannot write to %s: %s\n", path, strerror(errno));
    else if (!short_text || !stacks)
        fprintf(stderr, "pybraid watch: no memory for the step summary\n");
    else
        markdown(&out, short_text, stacks);
    if (out.file)
        (void)cli_close(&out, EXIT_OK); // says what failed; the exit code stays that of the command
    free(short_text);
    free(stacks);
}
