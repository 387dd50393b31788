// SPDX-License-Identifier: Apache-2.0
/**
 * What LLDB knows of a target, as the library wants it described.
 *
 * A process of this machine and a core are looked at by the library itself (/proc, NT_FILE), as in every other front end; of a process
 * behind somebody else's server it follows the link map, from the executable's program headers; where LLDB does not know where those lie, the
 * modules are LLDB's.
 */
#ifndef PYBRAID_LLDB_DESCRIBE_H
#define PYBRAID_LLDB_DESCRIBE_H
#include <string>
#include <vector>

#include <lldb/API/LLDB.h>
#include <pybraid.h>

struct Description {
    pyb_target_desc desc = {};
    std::string executable, core;
    std::vector<std::string> paths;
    std::vector<pyb_module_desc> modules;
};

/** Fills `ret`, whose `desc` points into it; callbacks are the caller's. */
void describe(lldb::SBProcess &process, Description &ret);
std::string path_of(const lldb::SBFileSpec &file);
/** Address of a defined symbol in the running target, 0: LLDB knows none. */
pyb_addr symbol_address(lldb::SBTarget target, const char *name);

#endif
