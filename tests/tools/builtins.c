// SPDX-License-Identifier: Apache-2.0
// builtins PID: the functions that method tables and type slots of the process name: "address name symbol",
// symbol "-" where there is none. Names that fit several functions are left out, as in a stack.
// builtins PID ADDRESS...: what each of these functions of the interpreter's file is called in a stack without
// symbols: "address name", "-" for carriers of calls and "?" for those without a name.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/session.h"
#include "stack/stack_cache.h"

static void print_all(const struct pyb_session *s, const struct pyb_stack_cache *c)
{
    struct pyb_target t = s->target;
    for (size_t i = 0; i < c->builtins.cap; i++) {
        uint64_t function;
        uintptr_t name;
        struct pyb_function fn;
        if (!pyb_map_at(&c->builtins, i, &function, &name) || name == PYB_AMBIGUOUS)
            continue;
        const char *symbol = pyb_target_function(&t, function, &fn) == 0 ? fn.symbol : NULL;
        printf("0x%" PRIx64 " %s %s\n", function, (const char *)name, symbol ? symbol : "-");
    }
}

static void print_given(struct pyb_session *s, struct pyb_stack_cache *c, struct pyb_python *py, char **at)
{
    struct pyb_elf *elf;
    if (!py->module || pyb_module_elf(&s->target, py->module, &elf, NULL) != 0)
        return;
    for (; *at; at++) {
        struct pyb_function fn = {.module = py->module, .fde_start = strtoull(*at, NULL, 16)};
        struct pyb_builtin b = pyb_builtin_at(c, &fn, 0);
        printf("0x%" PRIx64 " %s\n", fn.fde_start, b.name ? b.name : b.carrier ? "-" : "?");
    }
}

int main(int argc, char **argv)
{
    struct pyb_session *s;
    struct pyb_python *py;
    struct pyb_error err = {0};
    if (argc < 2)
        return fprintf(stderr, "builtins PID [ADDRESS...]\n"), 2;
    if (pyb_session_new(NULL, &s, &err) != 0 || pyb_open_pid(s, (int32_t)strtol(argv[1], NULL, 10),
                                                             &err) != 0 ||
        pyb_session_python(s, &py, &err) != 0)
        return fprintf(stderr, "%s\n", err.what), 1;
    struct pyb_stack_cache *c = pyb_stack_cache(py);
    if (c) {
        pyb_builtins_collect(c);
        if (argc == 2)
            print_all(s, c);
        else
            print_given(s, c, py, argv + 2);
    }
    pyb_session_free(s);
    return c ? 0 : 1;
}
