// SPDX-License-Identifier: Apache-2.0
/**
 * The separate debug file of a module: FOLDER/.build-id/xx/yyyy.debug, or what its .gnu_debuglink names, next to
 * it, in .debug there, or in FOLDER with the module's own folder. In the target's root first, then in ours.
 * FOLDERs are pyb_options.debug_folders. Only a file with the module's build-id is taken, or, where one of the
 * two has none, one with the checksum that .gnu_debuglink tells. Then from the servers of DEBUGINFOD_URLS, where the
 * caller allows it (debuginfod.h).
 */
#ifndef PYB_SYMBOLS_DEBUG_FILE_H
#define PYB_SYMBOLS_DEBUG_FILE_H
#include "symbols/modules.h"

/** Looked for once; belongs to the module's ELF. NULL: there is none, or the module is not read from a file. */
struct pyb_elf *pyb_module_debug_file(struct pyb_target *t, struct pyb_module *mod);
#endif
