// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "escape.h"
#include "proc.h"
#include "watch.h"

static int write_core(int32_t pid, const char *path, struct pyb_error *err)
{
    struct pyb_session *session;
    int rc = pyb_session_new(NULL, &session, err);
    if (rc != 0)
        return rc;
    rc = pyb_open_pid(session, pid, err);
    if (rc == 0)
        rc = pyb_write_core(session, path, err);
    pyb_session_free(session);
    return rc;
}

// Disk blocks in use: a core has holes.
static double megabytes(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (double)st.st_blocks * 512 / 1e6 : 0;
}

static void say_failure(int32_t pid, const struct pyb_error *err)
{
    char *text = NULL;
    size_t size;
    struct cli_out out = {.file = open_memstream(&text, &size)};
    if (!out.file)
        return;
    cli_printf(&out, "pybraid watch: no core of %d: ", pid);
    (void)cli_escaped(&out, err->what, 0);
    cli_printf(&out, "%s", err->remedy[0] ? "; " : "");
    (void)cli_escaped(&out, err->remedy, 0);
    cli_printf(&out, "\n");
    if (fclose(out.file) == 0)
        (void)watch_say(text, size); // nobody there to be told
    free(text);
}

void watch_cores(const struct watch_look *look, const char *folder)
{
    for (size_t i = 0; i < look->n; i++) {
        char path[PATH_MAX];
        struct pyb_error err = {0};
        int32_t pid = look->seen[i].proc.pid;
        if (!look->seen[i].python)
            continue;
        proc_format(path, sizeof(path), "%s/core.%d", folder, pid);
        int rc = write_core(pid, path, &err);
        if (rc == 0)
            watch_sayf("pybraid watch: core of %d: %s (%.1f MB)\n", pid, path, megabytes(path));
        else
            say_failure(pid, &err);
        if (rc != 0 && (err.sys_errno == ENOSPC || err.sys_errno == EDQUOT)) // said once
            return;
    }
}
