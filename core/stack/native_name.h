// SPDX-License-Identifier: Apache-2.0
/**
 * Names of native frames, the same rule for every front end: the symbol, if it starts the FDE that covers pc
 * or its size covers pc; else the unwinder's own name, if it comes from debug information or its symbol lies
 * in that function; else a built-in's Python name ("time.sleep", "list.sort", "sqlite3.Connection.execute"),
 * if a method table or type slot says that the function whose FDE covers pc implements it, that the function
 * which the caller called does (it jumped here), or that the only one does which leads here; else NULL.
 * `plumbing` says that it only carries the call protocol. The tables are collected once for each process and
 * again when modules were imported, lazily: modules in sys.modules, their types' tp_methods, tp_getset,
 * slots. Mirrors Include/methodobject.h, Include/cpython/object.h.
 */
#ifndef PYB_STACK_NATIVE_NAME_H
#define PYB_STACK_NATIVE_NAME_H
#include "interp/python.h"

struct pyb_native_name {
    const char *name;         // demangled or built-in's Python name, or NULL
    const char *linkage_name; // raw symbol, or NULL
    const char *module;       // path, or NULL
    uint64_t offset;          // pc - load bias
    bool plumbing;
    bool builtin;             // name comes from a method table
};
/** `caller`: the pc of the frame outside, if that is a return address; else 0. */
int pyb_native_name(struct pyb_target *t, struct pyb_python *py /* or NULL */, const struct pyb_native_frame *f,
                    bool is_return_address, pyb_addr caller, struct pyb_native_name *ret);
/** Plumbing by name alone: _PyEval_*, PyObject_Vectorcall, *_TAIL_CALL_*, trampolines, ... */
bool pyb_is_plumbing_symbol(const char *symbol);
#endif
