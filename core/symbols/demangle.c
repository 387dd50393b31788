// SPDX-License-Identifier: Apache-2.0
#include "symbols/demangle.h"

#include <setjmp.h>
#include <string.h>

bool pyb_is_mangled(const char *symbol)
{
    return strncmp(symbol, "_Z", 2) == 0 || strncmp(symbol, "_R", 2) == 0 || strncmp(symbol, "__Z", 3) == 0;
}

#ifdef PYB_HAVE_DEMANGLE
#include <libiberty/demangle.h>

// A short name can stand for an endless one (each of its parts twice the one before). The demanglers' callback
// functions allocate nothing that outlives a call of `take`, so that one can be left in the middle.
struct output {
    char text[PYB_MAX_DEMANGLED];
    size_t len;
    jmp_buf too_long;
};

static void take(const char *piece, size_t n, void *ctx)
{
    struct output *o = ctx;
    if (n > sizeof(o->text) - o->len)
        longjmp(o->too_long, 1);
    if (n > 0)
        memcpy(o->text + o->len, piece, n);
    o->len += n;
}

static bool run(const char *name, int options, struct output *o)
{
    if (setjmp(o->too_long) != 0)
        return false;
    o->len = 0;
    // Rust first: a legacy name is a valid C++ one too, with a hash at its end.
    if (rust_demangle_callback(name, options, take, o) && o->len > 0)
        return true;
    o->len = 0;
    return cplus_demangle_v3_callback(name, options, take, o) && o->len > 0;
}

// Without suffix and version. A legacy Rust name may have dots in it, and ends with its hash.
static size_t core_length(const char *symbol)
{
    const char *hash = strstr(symbol, "17h");
    while (hash && (strspn(hash + 3, "0123456789abcdef") != 16 || hash[19] != 'E'))
        hash = strstr(hash + 1, "17h");
    return hash ? (size_t)(hash - symbol) + 20 : strcspn(symbol, ".@");
}

static const char *demangle(struct pyb_arena *arena, const char *symbol, int options)
{
    char name[PYB_MAX_MANGLED + 1];
    if (!pyb_is_mangled(symbol))
        return NULL;
    symbol += symbol[1] == '_'; // what Darwin puts in front of every name
    size_t n = core_length(symbol);
    if (n > PYB_MAX_MANGLED)
        return NULL;
    memcpy(name, symbol, n);
    name[n] = '\0';
    struct output *o = pyb_alloc(arena->ctx, sizeof(*o));
    const char *ret = o && run(name, options, o) ? pyb_arena_strndup(arena, o->text, o->len) : NULL;
    pyb_free(arena->ctx, o);
    return ret;
}

const char *pyb_demangle(struct pyb_arena *arena, const char *symbol)
{
    return demangle(arena, symbol, DMGL_PARAMS | DMGL_ANSI);
}

const char *pyb_demangle_name(struct pyb_arena *arena, const char *symbol)
{
    return demangle(arena, symbol, DMGL_NO_OPTS);
}
#else
const char *pyb_demangle_name(struct pyb_arena *arena, const char *symbol)
{
    return pyb_demangle(arena, symbol);
}

const char *pyb_demangle(struct pyb_arena *arena, const char *symbol)
{
    (void)arena, (void)symbol;
    return NULL;
}
#endif
