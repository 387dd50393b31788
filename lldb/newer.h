// SPDX-License-Identifier: Apache-2.0
/**
 * What LLDBs after the headers we are built with can do, looked up by name when it is wanted; and what makes the lookup work where
 * liblldb was loaded without its symbols being visible (`import lldb` in Python).
 */
#ifndef PYBRAID_LLDB_NEWER_H
#define PYBRAID_LLDB_NEWER_H
#include <string>

#include <lldb/API/LLDB.h>

/** SBProcess::GetCoreFile (18 on): the path, or "". */
std::string newer_core_file(lldb::SBProcess &process);

#endif
