// SPDX-License-Identifier: Apache-2.0
#include "describe.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <elf.h>
#include <unistd.h>

#include "core_path.h"
#include "newer.h"

std::string path_of(const lldb::SBFileSpec &file)
{
    const char *folder = file.GetDirectory(), *name = file.GetFilename();
    if (!name)
        return "";
    if (!folder || !*folder)
        return name;
    return std::string(folder) + (std::strcmp(folder, "/") == 0 ? "" : "/") + name;
}

pyb_addr symbol_address(lldb::SBTarget target, const char *name)
{
    lldb::SBSymbolContextList found = target.FindSymbols(name);
    for (uint32_t i = 0; i < found.GetSize(); i++) {
        lldb::SBSymbol symbol = found.GetContextAtIndex(i).GetSymbol();
        // An extension module's undefined symbol looks like one at the end of memory.
        if (!symbol.IsValid() || symbol.GetType() == lldb::eSymbolTypeUndefined)
            continue;
        lldb::SBAddress start = symbol.GetStartAddress();
        const lldb::addr_t address = start.GetSection().IsValid() ? start.GetLoadAddress(target) : LLDB_INVALID_ADDRESS;
        if (address != LLDB_INVALID_ADDRESS)
            return address;
    }
    return 0;
}

namespace {

long number_in_status(long pid, const char *label)
{
    char path[64], line[256];
    (void)std::snprintf(path, sizeof(path), "/proc/%ld/status", pid);
    FILE *file = std::fopen(path, "re");
    long found = 0;
    while (file && std::fgets(line, sizeof(line), file)) {
        if (std::strncmp(line, label, std::strlen(label)) == 0)
            found = std::strtol(line + std::strlen(label), nullptr, 10);
    }
    if (file)
        (void)std::fclose(file);
    return found;
}

// /proc/PID is this process only if whoever traces it was started by this LLDB: a server elsewhere may have the same number.
bool is_local(lldb::pid_t pid)
{
    const long tracer = number_in_status(static_cast<long>(pid), "TracerPid:");
    return tracer > 0 && (tracer == getpid() || number_in_status(tracer, "PPid:") == getpid());
}

uint16_t machine_of(lldb::SBTarget target)
{
    const char *triple = target.GetTriple();
    const std::string name = triple ? std::string(triple).substr(0, std::strcspn(triple, "-")) : "";
    if (name == "x86_64")
        return EM_X86_64;
    if (name == "i386" || name == "i486" || name == "i586" || name == "i686")
        return EM_386;
    return name == "aarch64" || name == "arm64" ? EM_AARCH64 : 0;
}

void describe_modules(lldb::SBTarget target, Description &ret)
{
    const uint32_t n = target.GetNumModules();
    ret.paths.reserve(2 * static_cast<size_t>(n)); // its strings are pointed to
    for (uint32_t i = 0; i < n; i++) {
        lldb::SBModule module = target.GetModuleAtIndex(i);
        lldb::SBAddress header = module.GetObjectFileHeaderAddress();
        const lldb::addr_t address = header.IsValid() ? header.GetLoadAddress(target) : LLDB_INVALID_ADDRESS;
        if (address == LLDB_INVALID_ADDRESS)
            continue;
        pyb_module_desc desc = {};
        desc.size = sizeof(desc);
        desc.bias = address - header.GetFileAddress();
        desc.bias_known = true;
        ret.paths.push_back(path_of(module.GetPlatformFileSpec()));
        desc.path = ret.paths.back().c_str();
        ret.paths.push_back(path_of(module.GetFileSpec()));
        desc.local_path = ret.paths.back()[0] == '/' ? ret.paths.back().c_str() : nullptr;
        ret.modules.push_back(desc);
    }
    ret.desc.modules = ret.modules.data();
    ret.desc.n_modules = ret.modules.size();
}

// The program headers of the executable, which lead to the link map: LLDB may not have followed that itself. False: not to be had.
bool describe_headers(lldb::SBProcess &process, pyb_target_desc &desc)
{
    lldb::SBTarget target = process.GetTarget();
    lldb::SBAddress header = target.FindModule(target.GetExecutable()).GetObjectFileHeaderAddress();
    const lldb::addr_t address = header.IsValid() ? header.GetLoadAddress(target) : LLDB_INVALID_ADDRESS;
    lldb::SBError error;
    Elf64_Ehdr ehdr;
    if (address == LLDB_INVALID_ADDRESS || desc.ptr_size != 8 || desc.big_endian ||
        process.ReadMemory(address, &ehdr, sizeof(ehdr), error) != sizeof(ehdr) || std::memcmp(ehdr.e_ident, ELFMAG, SELFMAG) != 0)
        return false;
    desc.at_phdr = address + ehdr.e_phoff;
    desc.at_phnum = ehdr.e_phnum;
    return true;
}

} // namespace

void describe(lldb::SBProcess &process, Description &ret)
{
    lldb::SBTarget target = process.GetTarget();
    const char *plugin = process.GetPluginName();
    pyb_target_desc &desc = ret.desc;
    desc.size = sizeof(desc);
    desc.pid = static_cast<int32_t>(process.GetProcessID());
    desc.ptr_size = static_cast<uint8_t>(process.GetAddressByteSize());
    desc.big_endian = process.GetByteOrder() == lldb::eByteOrderBig;
    desc.machine = machine_of(target);
    ret.executable = path_of(target.GetExecutable());
    desc.executable = ret.executable.empty() ? nullptr : ret.executable.c_str();
    desc.is_core = plugin && (std::strstr(plugin, "core") || std::strstr(plugin, "minidump"));
    if (desc.is_core) {
        ret.core = newer_core_file(process);
        if (ret.core.empty())
            ret.core = core_path_of(process);
        desc.core_path = ret.core.empty() ? nullptr : ret.core.c_str();
    }
    desc.is_local = !desc.is_core && is_local(process.GetProcessID());
    if (!desc.is_local && !desc.core_path && !describe_headers(process, desc))
        describe_modules(target, ret);
}
