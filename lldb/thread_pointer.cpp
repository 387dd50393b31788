// SPDX-License-Identifier: Apache-2.0
// See find_thread_pointers() in native.h. Other ABIs keep their struct pthread below the thread pointer, and LLDB knows that register there.
#include "native.h"

namespace {

const uint64_t tid_offsets[] = {0x2d0, 0x30}; // struct pthread of glibc (since 2.4) and musl on x86_64
const uint64_t SELF_OFFSET[] = {0x10, 0x0};   // where each has its own address

// The OS thread id that the struct pthread at `ident` holds, 0: it is none.
int32_t tid_at(Session &session, pyb_addr ident, const std::vector<pyb_native_stack> &stacks)
{
    for (size_t libc = 0; libc < 2; libc++) {
        lldb::SBError error;
        if (session.process().ReadPointerFromMemory(ident + SELF_OFFSET[libc], error) != ident || error.Fail())
            continue;
        const uint64_t tid = session.process().ReadUnsignedFromMemory(ident + tid_offsets[libc], 4, error);
        for (const pyb_native_stack &stack : stacks) {
            if (error.Success() && tid != 0 && static_cast<uint64_t>(stack.tid) == tid)
                return stack.tid;
        }
    }
    return 0;
}

} // namespace

void find_thread_pointers(Session &session, std::vector<pyb_native_stack> &stacks)
{
    const pyb_thread_state *states = nullptr;
    uint32_t n = 0;
    bool wanted = false;
    for (const pyb_native_stack &stack : stacks)
        wanted |= stack.thread_pointer == 0;
    if (!wanted || session.process().GetAddressByteSize() != 8 || pyb_thread_states(session.handle(), &states, &n, nullptr) != 0)
        return; // pyb_read() says what is wrong with the states
    for (uint32_t i = 0; i < n; i++) {
        const int32_t tid = states[i].tid == 0 && states[i].ident ? tid_at(session, states[i].ident, stacks) : 0;
        for (pyb_native_stack &stack : stacks) {
            if (tid != 0 && stack.tid == tid && stack.thread_pointer == 0)
                stack.thread_pointer = states[i].ident;
        }
    }
}
