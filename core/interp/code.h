// SPDX-License-Identifier: Apache-2.0
/**
 * Code objects: names, file, line table; cached in the session by address and revalidated after the target
 * ran: same name, file and line table pointers, first line and co_version; up to 3.11, where there is no such
 * number, also what these pointers lead to. Mirrors Include/cpython/code.h, Include/code.h of each version.
 */
#ifndef PYB_INTERP_CODE_H
#define PYB_INTERP_CODE_H
#include "interp/python.h"

struct pyb_code {
    pyb_addr addr;
    const char *name, *qualname; // UTF-8 as in contract; qualname NULL before 3.11
    const char *filename;
    int32_t firstlineno;
    uint32_t flags;              // co_flags
    uint64_t code_size;          // bytes of bytecode
    pyb_addr bytecode;           // address of the first instruction
    pyb_addr tlbc;               // array of per-thread copies of the bytecode (free-threaded 3.14+), or 0
    uint32_t firsttraceable;     // bytes of prologue, during which the interpreter hides the frame (3.11+)
    const uint8_t *linetable; size_t linetable_len; // read lazily by pyb_code_lines
    const char *note;            // what could not be read, or NULL: name/filename are then "?"-less: NULL
    // identity, to revalidate
    pyb_addr id_name, id_filename, id_linetable; uint64_t id_version;
    uint32_t generation;
};
/**
 * True if the object at addr is a code object (its type is the interpreter's code type, by name, verified
 * once).
 */
bool pyb_code_check(struct pyb_python *py, pyb_addr addr);
/**
 * Announces code objects that are going to be asked for: the heads of those not known yet, or not since the
 * target ran, are read by one vectored read into the cache in front of the target's memory.
 */
void pyb_code_prefetch(struct pyb_python *py, const pyb_addr *addrs, size_t n);
/** *ret belongs to py until pyb_codes_trim(). PYB_E_CORRUPT: not a code object. */
int pyb_code_get(struct pyb_python *py, pyb_addr addr, const struct pyb_code **ret, struct pyb_error *err);

/**
 * Between two calls: forgets all code objects once they take more than a quarter of the context's max_bytes, so
 * that a target that makes code all the time does not fill the memory. What pyb_code_get() gave out is dead then.
 */
void pyb_codes_trim(struct pyb_python *py);
/** Forgets them in any case. */
void pyb_codes_clear(struct pyb_python *py);

struct pyb_position { int32_t line, end_line, column, end_column; }; // -1: none
/**
 * Where the instruction at byte offset lasti is (lasti < 0: the first line). All -1 when the table cannot be
 * had.
 */
int pyb_code_position(struct pyb_python *py, const struct pyb_code *code, int32_t lasti,
                      struct pyb_position *ret, struct pyb_error *err);

/**
 * Decoders, pure: over bytes only. Offsets in bytes. Formats as layout's linetable column says. An entry
 * covers [start, end); the instruction at lasti decides. A malformed table gives what precedes the fault. Mirror
 * Objects/lnotab_notes.txt and Objects/locations.md of each version.
 */
void pyb_lines_lnotab(const uint8_t *table, size_t len, int32_t firstlineno, int32_t lasti,
                      bool signed_deltas, struct pyb_position *ret);
void pyb_lines_linetable310(const uint8_t *table, size_t len, int32_t firstlineno, int32_t lasti,
                            struct pyb_position *ret);
void pyb_lines_locations(const uint8_t *table, size_t len, int32_t firstlineno, int32_t lasti,
                         struct pyb_position *ret);
#endif
