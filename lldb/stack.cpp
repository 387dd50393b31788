// SPDX-License-Identifier: Apache-2.0
#include "stack.h"

namespace {

// One selection: the last one made, forgotten when its thread runs.
struct Selection {
    uint32_t unique, stop;
    lldb::tid_t tid;
    uint32_t frame, index;
};
Selection selection = {};

bool is_of(const Selection &one, Braid &braid)
{
    lldb::SBProcess &process = braid.session->process();
    return one.unique == process.GetUniqueID() && one.stop == process.GetStopID() && one.tid == braid.lldb_thread.GetThreadID() &&
           one.frame == braid.lldb_thread.GetSelectedFrame().GetFrameID();
}

// Number of the native frame that evaluates a Python frame: the next native one outside it; -1: none.
int32_t level(const Braid &braid, uint32_t index)
{
    for (uint32_t i = braid.python[index]; i < braid.thread->n_frames; i++) {
        const pyb_frame &frame = braid.thread->frames[i];
        if (frame.kind == PYB_FRAME_NATIVE && frame.number >= 0)
            return frame.number;
    }
    return -1;
}

bool read_stacks(Session &session, std::vector<pyb_native_stack> &stacks, bool only_given, uint32_t flags, Result &ret, Failure &failure)
{
    pyb_read_options options = {};
    options.size = sizeof(options);
    options.flags = flags;
    pyb_process *process = nullptr;
    pyb_error error = {};
    find_thread_pointers(session, stacks);
    if (pyb_read(session.handle(), stacks.data(), stacks.size(), only_given, &options, &process, &error) != 0)
        return failure.set(error);
    ret.reset(process);
    return true;
}

} // namespace

bool stopped_process(lldb::SBDebugger &debugger, lldb::SBProcess &ret, Failure &failure)
{
    ret = debugger.GetSelectedTarget().GetProcess();
    const lldb::StateType state = ret.IsValid() ? ret.GetState() : lldb::eStateInvalid;
    if (state == lldb::eStateStopped || state == lldb::eStateSuspended || state == lldb::eStateCrashed)
        return true;
    if (state == lldb::eStateRunning || state == lldb::eStateStepping)
        return failure.set("Command requires a process which is currently stopped: `process interrupt` stops it.");
    return failure.set("Command requires a process: `process attach -p PID`, `target create --core FILE` or `run` first.");
}

bool read_selected(lldb::SBDebugger &debugger, uint32_t flags, bool places, Braid &ret, Failure &failure)
{
    lldb::SBProcess process;
    if (!stopped_process(debugger, process, failure))
        return false;
    ret.lldb_thread = process.GetSelectedThread();
    if (!ret.lldb_thread.IsValid())
        return failure.set("Command requires a thread: `thread select` one.");
    ret.session = Session::of(debugger, process, failure);
    if (!ret.session)
        return false;
    ret.native = walk(*ret.session, ret.lldb_thread, places);
    std::vector<pyb_native_stack> stacks = {ret.native->stack};
    if (!read_stacks(*ret.session, stacks, true, flags, ret.result, failure))
        return false;
    for (uint32_t i = 0; i < ret.result->n_threads && (!ret.thread || ret.thread->tid != stacks[0].tid); i++)
        ret.thread = &ret.result->threads[i];
    for (uint32_t i = 0; ret.thread && i < ret.thread->n_frames; i++) {
        if (ret.thread->frames[i].kind == PYB_FRAME_PYTHON)
            ret.python.push_back(i);
    }
    return true;
}

bool read_all(lldb::SBDebugger &debugger, uint32_t flags, bool places, Result &ret, Failure &failure)
{
    lldb::SBProcess process;
    if (!stopped_process(debugger, process, failure))
        return false;
    Session *session = Session::of(debugger, process, failure);
    if (!session)
        return false;
    std::vector<std::unique_ptr<NativeStack>> walked;
    std::vector<pyb_native_stack> stacks;
    const uint32_t n = process.GetNumThreads();
    for (uint32_t i = 0; i < n && !session->interrupted(); i++) {
        walked.push_back(walk(*session, process.GetThreadAtIndex(i), places));
        stacks.push_back(walked.back()->stack);
    }
    return read_stacks(*session, stacks, false, flags, ret, failure);
}

bool selected_index(Braid &braid, uint32_t &ret, Failure &failure)
{
    if (braid.python.empty())
        return failure.set("No Python frame in this thread: `pystack threads` lists the threads that have some.", PYB_E_NOTFOUND);
    const uint32_t n = static_cast<uint32_t>(braid.python.size());
    ret = selection.index;
    if (is_of(selection, braid) && selection.index < n)
        return true;
    const int32_t now = static_cast<int32_t>(braid.lldb_thread.GetSelectedFrame().GetFrameID());
    for (ret = 0; ret < n - 1; ret++) {
        const int32_t at = level(braid, ret);
        if (at >= 0 && at >= now)
            break;
    }
    return true;
}

void select(Braid &braid, uint32_t index)
{
    const int32_t at = level(braid, index);
    if (at >= 0)
        braid.lldb_thread.SetSelectedFrame(static_cast<uint32_t>(at));
    lldb::SBProcess &process = braid.session->process();
    selection = {process.GetUniqueID(), process.GetStopID(), braid.lldb_thread.GetThreadID(),
                 braid.lldb_thread.GetSelectedFrame().GetFrameID(), index};
}
