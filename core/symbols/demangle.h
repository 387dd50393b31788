// SPDX-License-Identifier: Apache-2.0
/**
 * C++ names (Itanium ABI) and Rust names (v0 and legacy) as people write them, by libiberty's demangler; built
 * without it, none. Suffixes of moved or copied code (.cold, .llvm.123) and versions are left off first, Rust's
 * hashes too.
 */
#ifndef PYB_SYMBOLS_DEMANGLE_H
#define PYB_SYMBOLS_DEMANGLE_H
#include "base/arena.h"

#define PYB_MAX_MANGLED 1000u    // bytes of a mangled name: libiberty's stack grows with it
#define PYB_MAX_DEMANGLED 4096u

/** Looks like one: begins with _Z, _R or __Z. */
bool pyb_is_mangled(const char *symbol);
/** In the arena; NULL: not a mangled name, too long, or no memory. The raw name is shown then. */
const char *pyb_demangle(struct pyb_arena *arena, const char *symbol);
/** The same without the parameters: "ns::Class::method". */
const char *pyb_demangle_name(struct pyb_arena *arena, const char *symbol);
#endif
