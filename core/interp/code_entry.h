// SPDX-License-Identifier: Apache-2.0
/** What the cache keeps beside a code object; shared by code.c and code_position.c only. */
#ifndef PYB_INTERP_CODE_ENTRY_H
#define PYB_INTERP_CODE_ENTRY_H
#include "interp/code.h"

#define KNOWN_POSITIONS 4

// The characters of a name as the target has them, to compare with later. data NULL: not kept, too long.
struct raw_text {
    const uint8_t *data;
    uint64_t length;
    unsigned unit;
};

struct code_entry {
    struct pyb_code code; // first: a const struct pyb_code * that py handed out is one of these
    pyb_addr id_bytecode, id_qualname;
    uint64_t id_units;
    uint64_t texts_round;      // py->texts_round when the texts were compared last
    struct raw_text raw_name, raw_filename; // only where no id_version tells code objects apart
    uint32_t lines_generation; // of lines_failed
    int lines_failed;          // code of the failed attempt to read the table
    // Positions asked for last: recursion, and a sampler, ask for the same again and again.
    struct known_position {
        int32_t lasti;
        struct pyb_position at;
    } known[KNOWN_POSITIONS];
    uint8_t n_known, next_known;
};
/** True when the line table, if it was read, is still what it was. */
bool pyb_code_lines_same(struct pyb_python *py, const struct code_entry *e);
#endif
