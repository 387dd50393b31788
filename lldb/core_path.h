// SPDX-License-Identifier: Apache-2.0
/**
 * Which file is the core that LLDB has open: up to LLDB 17 its API does not tell.
 *
 * LLDB maps the core: among the files mapped into this program it is the ELF core whose first thread is one of the process's.
 */
#ifndef PYBRAID_LLDB_CORE_PATH_H
#define PYBRAID_LLDB_CORE_PATH_H
#include <string>

#include <lldb/API/LLDB.h>

/** The path, or "". */
std::string core_path_of(lldb::SBProcess &process);

#endif
