// SPDX-License-Identifier: Apache-2.0
// source PID ADDRESS...: where each address is in the source: "address name|file|line|inlined" for each frame there,
// innermost first; "address -" where there is no debug information.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/session.h"
#include "symbols/dwarf_source.h"

static void print_source(struct pyb_session *s, pyb_addr pc)
{
    struct pyb_arena arena;
    struct pyb_source_frame *f;
    size_t n;
    pyb_arena_init(&arena, s->target.ctx);
    if (pyb_target_source(&s->target, pc, &arena, &f, &n, NULL) != 0)
        printf("0x%" PRIx64 " -\n", pc);
    for (size_t i = 0; i < n; i++)
        printf("0x%" PRIx64 " %s|%s|%d|%d\n", pc, f[i].name ? f[i].name : "?", f[i].file ? f[i].file : "?", f[i].line,
               f[i].inlined);
    pyb_arena_deinit(&arena);
}

int main(int argc, char **argv)
{
    struct pyb_session *s;
    struct pyb_error err = {0};
    if (argc < 3)
        return fprintf(stderr, "source PID ADDRESS...\n"), 2;
    if (pyb_session_new(NULL, &s, &err) != 0 || pyb_open_pid(s, (int32_t)strtol(argv[1], NULL, 10), &err) != 0)
        return fprintf(stderr, "%s\n", err.what), 1;
    for (int i = 2; i < argc; i++)
        print_source(s, strtoull(argv[i], NULL, 16));
    pyb_session_free(s);
    return 0;
}
