// SPDX-License-Identifier: Apache-2.0
// Names of symbols.
#include <stdlib.h>
#include <string.h>

#include "symbols/demangle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pyb_ctx ctx;
    struct pyb_arena arena;
    if (size > 4096)
        return 0;
    pyb_ctx_init(&ctx, NULL);
    pyb_ctx_begin(&ctx);
    pyb_arena_init(&arena, &ctx);
    char *name = malloc(size + 1);
    if (!name)
        return 0;
    memcpy(name, data, size);
    name[size] = '\0';
    const char *ret = pyb_demangle(&arena, name);
    if (ret && (strlen(ret) > PYB_MAX_DEMANGLED || !pyb_is_mangled(name)))
        abort();
    free(name);
    pyb_arena_deinit(&arena);
    return 0;
}
