// SPDX-License-Identifier: Apache-2.0
/** What the cache keeps beside a code object; shared by code*.c only. */
#ifndef PYB_INTERP_CODE_ENTRY_H
#define PYB_INTERP_CODE_ENTRY_H
#include "interp/code.h"

#define KNOWN_POSITIONS 4

/**
 * A str or bytes object as the target had it, to compare with later. Where its characters end it and its type is
 * no heap type, equal bytes from its type on are an equal text: one comparison, and the type need not be looked at.
 */
struct raw_text {
    const uint8_t *data; // the characters; NULL: not kept
    uint64_t length;
    unsigned unit;
    bool is_bytes;
    uint8_t *object;     // from the type on to the last character; NULL: it is of another kind
    size_t from, size;   // of `object`: where in the target's object it begins, its bytes
};

struct code_entry {
    struct pyb_code code; // first: a const struct pyb_code * that py handed out is one of these
    uint8_t *head;        // the code object itself, from its type on: equal bytes are an equal identity
    pyb_addr id_bytecode, id_qualname;
    uint64_t id_units;
    uint64_t texts_round;      // py->texts_round when the texts were compared last
    struct raw_text raw_name, raw_qualname, raw_filename; // only where no id_version tells code objects apart
    struct raw_text raw_lines; // code.linetable, once it was read
    uint32_t announced;        // generation of the last pyb_code_prefetch()
    uint32_t lines_generation; // of lines_failed
    int lines_failed;          // code of the failed attempt to read the table
    // Positions asked for last: recursion, and a sampler, ask for the same again and again.
    struct known_position {
        int32_t lasti;
        struct pyb_position at;
    } known[KNOWN_POSITIONS];
    uint8_t n_known, next_known;
};

/** Reads an object of at most `max` characters into py->code_arena. */
int pyb_raw_keep(struct pyb_python *py, pyb_addr addr, bool is_bytes, uint64_t max, struct raw_text *ret,
                 struct pyb_error *err);
/** True when the object at addr still has these characters. */
bool pyb_raw_same(struct pyb_python *py, pyb_addr addr, struct raw_text *raw);
/** True when the target has these bytes. */
bool pyb_same_bytes(struct pyb_python *py, pyb_addr addr, const uint8_t *bytes, size_t n);
#endif
