// SPDX-License-Identifier: Apache-2.0
// locals PID [-v] [NAME...]: the Python frames of a process with their locals as JSON, schema 1; with NAMEs
// instead, for each frame of the main thread a line "function name scope address" for those that are bound
// there.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pybraid.h"

static int put(void *ctx, const char *text, size_t len)
{
    return fwrite(text, 1, len, ctx) == len ? 0 : -1;
}

static void look_up(struct pyb_session *s, const struct pyb_thread *t, char **names)
{
    for (uint32_t i = 0; i < t->n_frames; i++) {
        for (char **name = names; *name; name++) {
            pyb_addr addr;
            const char *scope;
            struct pyb_error err = {0};
            int rc = pyb_lookup_name(s, &t->frames[i], *name, &addr, &scope, &err);
            if (rc == 0)
                printf("%s %s %s 0x%llx\n", t->frames[i].func, *name, scope, (unsigned long long)addr);
            else if (rc != PYB_E_NOTFOUND)
                printf("%s %s error %s\n", t->frames[i].func, *name, err.what);
        }
    }
}

int main(int argc, char **argv)
{
    const bool verbose = argc > 2 && strcmp(argv[2], "-v") == 0;
    struct pyb_read_options options = {.size = sizeof options,
                                       .flags = PYB_READ_LOCALS | (verbose ? PYB_READ_VERBOSE : 0u),
                                       .repr_length = 100000, .repr_depth = 20, .repr_items = 1000};
    struct pyb_session *s;
    struct pyb_process *p;
    struct pyb_error err = {0};
    if (argc < 2 || pyb_session_new(NULL, &s, &err) != 0 || pyb_open_pid(s, atoi(argv[1]), &err) != 0 ||
        pyb_read(s, NULL, 0, false, &options, &p, &err) != 0) {
        fprintf(stderr, "locals: %s\n", err.what);
        return 1;
    }
    int rc = 0;
    if (argc > 2 && !verbose) {
        for (uint32_t i = 0; i < p->n_threads; i++)
            if (p->threads[i].tid == p->pid || p->n_threads == 1)
                look_up(s, &p->threads[i], argv + 2);
    } else {
        rc = pyb_json(p, put, stdout) ? 1 : 0;
    }
    pyb_process_free(p);
    pyb_session_free(s);
    return rc;
}
