// SPDX-License-Identifier: Apache-2.0
/**
 * Walking a location table (3.11+) entry by entry; pure. The decoders for one offset are in code.h.
 *
 * An entry covers [start, end) bytes of bytecode. Mirrors Objects/locations.md and advance_with_locations()
 * in Objects/codeobject.c (3.11 to 3.15).
 */
#ifndef PYB_INTERP_LINE_H
#define PYB_INTERP_LINE_H
#include "interp/code.h"

struct pyb_location_iter {
    const uint8_t *table;
    size_t len, next;         // next: offset of the next entry
    int64_t line;             // running line, also across entries that have none
    uint64_t start, end;      // of the current entry
    struct pyb_position position;
};
void pyb_location_iter_init(struct pyb_location_iter *it, const uint8_t *table, size_t len,
                            int32_t firstlineno);
/** False at the end and at the first malformed entry. */
bool pyb_location_next(struct pyb_location_iter *it);
#endif
