// SPDX-License-Identifier: Apache-2.0
/**
 * libdw's view of a module's debug information: the module's own file or its separate debug file. Refused where
 * a section does not lie in the file or would unpack to absurd sizes; read by pread, never mapped: a file that is
 * cut meanwhile is an error, not a signal.
 */
#ifndef PYB_SYMBOLS_MODULE_DW_H
#define PYB_SYMBOLS_MODULE_DW_H
#ifdef PYB_HAVE_LIBDW
#include <elfutils/libdw.h>

#include "symbols/modules.h"

/** Opened once, freed with the module's ELF. NULL: there is no debug information, or none that is sound. */
Dwarf *pyb_module_dwarf(struct pyb_target *t, struct pyb_module *mod);
#endif
#endif
