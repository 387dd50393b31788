// SPDX-License-Identifier: Apache-2.0
#include "native.h"

#include <cstring>

#include "describe.h"

namespace {

const uint32_t MAX_FRAMES = 1000000;

// The code of a signal trampoline: mov $15,%rax; syscall, and mov x8,#139; svc #0.
const unsigned char x86_64_trampoline[] = {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05};
const unsigned char aarch64_trampoline[] = {0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4};

bool is_trampoline(lldb::SBProcess &process, lldb::addr_t pc)
{
    unsigned char code[sizeof(x86_64_trampoline)];
    lldb::SBError error;
    const size_t n = process.ReadMemory(pc, code, sizeof(code), error);
    return (n == sizeof(code) && std::memcmp(code, x86_64_trampoline, sizeof(code)) == 0) ||
           (n >= sizeof(aarch64_trampoline) && std::memcmp(code, aarch64_trampoline, sizeof(aarch64_trampoline)) == 0);
}

// Made up by LLDB for code that has no symbol.
const char *real_name(const char *name)
{
    return name && std::strncmp(name, "___lldb_unnamed_symbol", 22) != 0 ? name : nullptr;
}

void place(lldb::SBFrame &frame, NativeStack &ret, pyb_native_frame &row)
{
    lldb::SBLineEntry entry = frame.GetLineEntry();
    if (!entry.IsValid())
        return;
    ret.strings.push_back(path_of(entry.GetFileSpec()));
    row.file = ret.strings.back().empty() ? nullptr : ret.strings.back().c_str();
    row.line = row.file && entry.GetLine() < INT32_MAX ? static_cast<int32_t>(entry.GetLine()) : 0;
}

pyb_addr thread_pointer(lldb::SBFrame frame)
{
    for (const char *name : {"fs_base", "tpidr", "tpidr_el0"}) {
        lldb::SBValue value = frame.FindRegister(name);
        if (value.IsValid() && value.GetError().Success())
            return value.GetValueAsUnsigned(0);
    }
    return 0;
}

pyb_native_frame describe_frame(Session &session, lldb::SBFrame &frame, pyb_native_frame *inner)
{
    pyb_native_frame row = {};
    row.size = sizeof(row);
    row.sp = frame.GetSP();
    const bool outside_inlined = inner && (inner->flags & PYB_NATIVE_INLINED) && inner->sp == row.sp;
    row.pc = outside_inlined ? inner->pc : frame.GetPC();
    // LLDB may lose the function itself, where its code is in several pieces: then the outermost of what was inlined stands for it.
    if (inner && !outside_inlined)
        inner->flags &= ~uint32_t{PYB_NATIVE_INLINED};
    row.number = static_cast<int32_t>(frame.GetFrameID());
    row.name = real_name(frame.GetFunctionName());
    if (frame.IsInlined())
        row.flags = PYB_NATIVE_INLINED;
    else if (is_trampoline(session.process(), row.pc))
        row.flags = PYB_NATIVE_SIGNAL;
    return row;
}

} // namespace

std::unique_ptr<NativeStack> walk(Session &session, lldb::SBThread thread, bool places)
{
    std::unique_ptr<NativeStack> ret(new NativeStack);
    pyb_native_stack &stack = ret->stack;
    stack.size = sizeof(stack);
    for (uint32_t i = 0; !stack.truncated; i++) {
        lldb::SBFrame frame = thread.GetFrameAtIndex(i);
        if (!frame.IsValid())
            break;
        if (i == 0)
            stack.thread_pointer = thread_pointer(frame);
        if (i == MAX_FRAMES || ((i & 63) == 63 && session.interrupted()))
            stack.truncated = i == MAX_FRAMES ? "more native frames than anybody wants" : "interrupted";
        if (frame.IsArtificial())
            continue;
        ret->frames.push_back(describe_frame(session, frame, ret->frames.empty() ? nullptr : &ret->frames.back()));
        if (places)
            place(frame, *ret, ret->frames.back());
    }
    stack.tid = static_cast<int32_t>(thread.GetThreadID());
    if (const char *name = thread.GetName()) {
        ret->strings.push_back(name);
        stack.os_name = ret->strings.back().c_str();
    }
    stack.active = -1;
    stack.frames = ret->frames.data();
    stack.n_frames = ret->frames.size();
    return ret;
}
