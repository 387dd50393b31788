// SPDX-License-Identifier: Apache-2.0
// The cookie that _PyRuntime begins with from 3.13 on (_Py_DebugOffsets), in writable mappings of files: it is initialised data, so a
// module without symbols and section headers has it too.
#include "interp/find.h"

#include <string.h>

#include "interp/scan.h"

#define COOKIE "xdebugpy"
#define MAX_COOKIES 16
#define MAX_SPANS 16

struct cookies {
    pyb_addr at[MAX_COOKIES];
    size_t n;
};

static bool cookie_block(void *ctx, pyb_addr addr, const uint8_t *data, size_t len)
{
    struct cookies *c = ctx;
    const uint8_t *p = data, *end = data + len;
    while (c->n < MAX_COOKIES && (p = memmem(p, (size_t)(end - p), COOKIE, strlen(COOKIE))) != NULL) {
        pyb_addr at = addr + (pyb_addr)(p - data);
        bool known = c->n > 0 && c->at[c->n - 1] == at; // in the overlap of two blocks
        if (at % 8 == 0 && !known)
            c->at[c->n++] = at;
        p++;
    }
    return c->n == MAX_COOKIES;
}

static int scan_module(struct pyb_finder *f, struct pyb_module *mod, struct pyb_error *err)
{
    struct pyb_span spans[MAX_SPANS];
    struct cookies found = {.n = 0};
    size_t n = pyb_scan_writable(f->t, mod, spans, MAX_SPANS);
    for (size_t i = 0; i < n; i++) {
        int rc = pyb_scan_memory(f->t, spans[i], strlen(COOKIE) - 1, cookie_block, &found, NULL, err);
        if (rc)
            return rc;
    }
    for (size_t i = 0; i < found.n && !f->has_threads; i++) {
        struct pyb_candidate c = {.runtime = found.at[i], .module = mod, .how = "cookie scan"};
        int rc = pyb_find_try(f, &c, err);
        if (rc)
            return rc;
    }
    return 0;
}

int pyb_find_by_cookie(struct pyb_finder *f, bool likely, struct pyb_error *err)
{
    return pyb_find_each(f, likely, scan_module, err);
}
