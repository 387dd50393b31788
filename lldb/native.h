// SPDX-License-Identifier: Apache-2.0
/**
 * Native frames of one thread, as LLDB's unwinder sees them, in the library's form.
 *
 * Numbers are LLDB's. Tail calls that LLDB made up from debug information ("[artificial]") have no place on the stack and are left out.
 * The pc of a function into which another was inlined is that of the inlined one: LLDB gives the beginning of the inlined code there.
 */
#ifndef PYBRAID_LLDB_NATIVE_H
#define PYBRAID_LLDB_NATIVE_H
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "session.h"

struct NativeStack {
    std::vector<pyb_native_frame> frames;
    std::deque<std::string> strings; // what `frames` and `stack` point to, as far as it is not LLDB's for good
    pyb_native_stack stack = {};
};

/** Walks a stopped thread; `places`: with files and lines. Ctrl-C ends it, and `truncated` says so. */
std::unique_ptr<NativeStack> walk(Session &session, lldb::SBThread thread, bool places);

/**
 * pthread_self() of threads whose fs_base LLDB does not know (14 on x86_64), where the interpreter has no OS thread ids (up to 3.10): the
 * struct pthread that an ident points to begins with its own address, and holds the id at a place that libc never moved.
 */
void find_thread_pointers(Session &session, std::vector<pyb_native_stack> &stacks);

#endif
