// SPDX-License-Identifier: Apache-2.0
/**
 * The braided stack of the selected thread, and which of its Python frames is selected.
 */
#ifndef PYBRAID_LLDB_STACK_H
#define PYBRAID_LLDB_STACK_H
#include "native.h"

/** The selected thread's braid; what it points to lives as long as it. */
struct Braid {
    Session *session = nullptr;
    lldb::SBThread lldb_thread;
    std::unique_ptr<NativeStack> native;
    Result result;
    const pyb_thread *thread = nullptr;
    std::vector<uint32_t> python; // indices of its Python frames
};

/** The stopped process of the selected target; false: `failure` says what to do. */
bool stopped_process(lldb::SBDebugger &debugger, lldb::SBProcess &ret, Failure &failure);
/** `flags`: pyb_read_flags; `places`: files and lines of native frames. */
bool read_selected(lldb::SBDebugger &debugger, uint32_t flags, bool places, Braid &ret, Failure &failure);
/** The same of every thread. */
bool read_all(lldb::SBDebugger &debugger, uint32_t flags, bool places, Result &ret, Failure &failure);

/**
 * Index into `python` of the selected Python frame: the one chosen by select() as long as LLDB's selected frame is the one that came with
 * it, in the same stop; else the innermost at or outside LLDB's selected frame. False: there is none.
 */
bool selected_index(Braid &braid, uint32_t &ret, Failure &failure);
/** Selects a Python frame, and in LLDB the native frame that evaluates it. */
void select(Braid &braid, uint32_t index);

#endif
