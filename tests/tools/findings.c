// SPDX-License-Identifier: Apache-2.0
// findings PID|CORE [EXE|-c]: what pybraid concludes about several threads, a line each: kind, threads, text. -c: all threads stopped together.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pybraid.h"

static int fail(const char *what, const struct pyb_error *err)
{
    fprintf(stderr, "findings: %s: %s\n", what, err->what);
    return 1;
}

int main(int argc, char **argv)
{
    struct pyb_error err = {0};
    struct pyb_session *s;
    struct pyb_process *p;
    char *end;
    if (argc < 2) {
        fprintf(stderr, "usage: findings PID|CORE [EXE]\n");
        return 2;
    }
    const long pid = strtol(argv[1], &end, 10);
    if (pyb_session_new(NULL, &s, &err) != 0)
        return fail("session", &err);
    if (*end == '\0' ? pyb_open_pid(s, (int32_t)pid, &err) : pyb_open_core(s, argv[1], argc > 2 ? argv[2] : NULL, &err))
        return fail("open", &err);
    struct pyb_dump_options o = {.size = sizeof o, .flags = PYB_DUMP_FINDINGS | (argc > 2 && strcmp(argv[2], "-c") == 0 ? PYB_DUMP_CONSISTENT : 0)};
    if (pyb_dump(s, &o, NULL, &p, &err) != 0)
        return fail("dump", &err);
    for (uint32_t i = 0; i < p->n_findings; i++) {
        printf("%s", p->findings[i].kind);
        for (uint32_t k = 0; k < p->findings[i].n_tids; k++)
            printf("%c%d", k ? ',' : '\t', p->findings[i].tids[k]);
        printf("\t%s\n", p->findings[i].text);
    }
    pyb_process_free(p);
    pyb_session_free(s);
    return 0;
}
