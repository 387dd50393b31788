// SPDX-License-Identifier: Apache-2.0
#include "newer.h"

#include <cstring>
#include <dlfcn.h>
#include <link.h>

namespace {

int reopen(struct dl_phdr_info *info, size_t, void *)
{
    const char *name = info->dlpi_name ? std::strrchr(info->dlpi_name, '/') : nullptr;
    // Python's module is liblldb itself, by another name.
    const bool is_lldb = name && !std::strstr(name, "pybraid") &&
                         (std::strncmp(name, "/liblldb", 8) == 0 || std::strncmp(name, "/_lldb.", 7) == 0);
    if (!is_lldb)
        return 0;
    // The handle is kept: liblldb stays as long as the process.
    return dlopen(info->dlpi_name, RTLD_LAZY | RTLD_NOLOAD | RTLD_GLOBAL) != nullptr;
}

// Before the first of liblldb's symbols is bound.
__attribute__((constructor)) void make_lldb_visible()
{
    (void)dl_iterate_phdr(reopen, nullptr);
}

} // namespace

std::string newer_core_file(lldb::SBProcess &process)
{
    // A member function that returns a class by value is called like a function of (this) that does so.
    using GetCoreFile = lldb::SBFileSpec (*)(lldb::SBProcess *);
    void *symbol = dlsym(RTLD_DEFAULT, "_ZN4lldb9SBProcess11GetCoreFileEv");
    GetCoreFile get;
    std::memcpy(&get, &symbol, sizeof(get));
    if (!get)
        return "";
    char path[4096];
    const lldb::SBFileSpec file = get(&process);
    return file.IsValid() && file.GetPath(path, sizeof(path)) > 0 ? path : "";
}
