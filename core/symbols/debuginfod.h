// SPDX-License-Identifier: Apache-2.0
/**
 * Separate debug files from the servers of DEBUGINFOD_URLS, by libdebuginfod, if the caller wants that (pyb_options.debug_server) and the
 * library is there: it is looked for at run time. Files come into the user's own cache, as for every other tool that asks these servers.
 */
#ifndef PYB_SYMBOLS_DEBUGINFOD_H
#define PYB_SYMBOLS_DEBUGINFOD_H
#include "base/context.h"

/** The file's descriptor, the caller's; -1: not to be had. After one answer that took too long nobody is asked any more. */
int pyb_debuginfod_find(struct pyb_ctx *ctx, const uint8_t *build_id, size_t len);
#endif
