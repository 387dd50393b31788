// SPDX-License-Identifier: Apache-2.0
#include "stack/stack_cache.h"

static void cache_free(struct pyb_python *py)
{
    struct pyb_stack_cache *c = py->native_names;
    if (!c)
        return;
    pyb_map_deinit(&c->evaluates);
    pyb_map_deinit(&c->names);
    pyb_map_deinit(&c->builtins);
    pyb_map_deinit(&c->carriers);
    pyb_map_deinit(&c->owned);
    pyb_arena_deinit(&c->arena);
    pyb_free(py->target->ctx, c);
    py->native_names = NULL;
}

struct pyb_stack_cache *pyb_stack_cache(struct pyb_python *py)
{
    if (py->native_names)
        return py->native_names;
    struct pyb_ctx *ctx = py->target->ctx;
    struct pyb_stack_cache *c = pyb_alloc(ctx, sizeof(*c));
    if (!c)
        return NULL;
    c->py = py;
    pyb_arena_init(&c->arena, ctx);
    pyb_map_init(&c->evaluates, ctx);
    pyb_map_init(&c->names, ctx);
    pyb_map_init(&c->builtins, ctx);
    pyb_map_init(&c->carriers, ctx);
    pyb_map_init(&c->owned, ctx);
    py->native_names = c;
    py->native_names_free = cache_free;
    return c;
}
