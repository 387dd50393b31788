// SPDX-License-Identifier: Apache-2.0
/**
 * A target as the layers above see it: memory, mapped files, facts. Built by the api layer from a pid, a
 * core, a recording or a front end.
 */
#ifndef PYB_SYMBOLS_TARGET_H
#define PYB_SYMBOLS_TARGET_H
#include "memory/memory.h"

struct pyb_modules;

struct pyb_target {
    struct pyb_ctx *ctx;
    struct pyb_memory *mem;
    struct pyb_modules *modules;
    int32_t pid;          // as the observer sees it, 0: unknown
    bool is_local;        // /proc/PID is this process
    bool is_core;
    const char *executable;
    pyb_addr (*symbol)(void *ctx, const char *name); // the front end's symbol table, or NULL
    void *symbol_ctx;
};
#endif
