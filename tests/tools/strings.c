// SPDX-License-Identifier: Apache-2.0
// strings PID < ADDRESSES: the str objects at these addresses (decimal, one a line) as the library reads
// them, one a line; "error: ..." where it cannot.
#include <stdio.h>
#include <stdlib.h>

#include "interp/string.h"
#include "memory/readers.h"

static int failed(const struct pyb_error *err)
{
    fprintf(stderr, "strings: %s\n", err->what);
    return 1;
}

static void show(struct pyb_python *py, pyb_addr addr)
{
    const char *text = NULL;
    struct pyb_error err = {0};
    if (pyb_string_read(py, addr, PYB_STRING_MAX, &py->arena, &text, NULL, &err))
        printf("error: %s\n", err.what);
    else
        printf("%s\n", text);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: strings PID < ADDRESSES\n");
        return 2;
    }
    struct pyb_ctx ctx;
    struct pyb_error err = {0};
    pyb_ctx_init(&ctx, NULL);
    pyb_ctx_begin(&ctx);
    int32_t pid = (int32_t)strtol(argv[1], NULL, 10);
    struct pyb_target t = {.ctx = &ctx, .pid = pid, .is_local = true};
    struct pyb_python *py;
    if (pyb_live_open(&ctx, pid, &t.mem, &err) || pyb_modules_from_pid(&t, &t.modules, &err) ||
        pyb_python_find(&t, &py, &err))
        return failed(&err);
    for (char line[64]; fgets(line, sizeof line, stdin);)
        show(py, strtoull(line, NULL, 10));
    pyb_python_free(py);
    pyb_modules_free(t.modules);
    pyb_memory_destroy(t.mem);
    return 0;
}
