// SPDX-License-Identifier: Apache-2.0
/**
 * What sampling keeps between two looks at a target: for each thread state the pages that the last sample of it
 * needed.
 *
 * A sample begins with one vectored read of those pages into a cache of its own, then walks as every reading does.
 * Where the thread has not moved nothing else is read; where it has, what is missing is, and is known the next
 * time. Code objects are recognised by their identity (code.h), which lies in those pages too.
 */
#ifndef PYB_API_SAMPLE_H
#define PYB_API_SAMPLE_H
#include "api/session.h"
#include "base/map.h"
#include "interp/frame.h"

struct pyb_page_list {
    struct pyb_range *pages; // in the session's context
    size_t n, cap;
};
struct pyb_sampled {
    struct pyb_tstate state;
    struct pyb_page_list all;   // of samples that compare the texts of code objects
    struct pyb_page_list quick; // of those that do not (PYB_READ_QUICK)
    uint64_t round;             // in which the texts were compared last
};
struct pyb_sampler {
    struct pyb_memory *mem;       // cache in front of the session's reader
    struct pyb_sampled *threads;
    uint32_t n;
    struct pyb_map by_address;    // thread state -> index into threads
    struct pyb_arena list;        // of the last pyb_thread_states()
    struct pyb_arena result;      // of the last pyb_sample(): what was walked
    struct pyb_sample_frame *rows; // its frames: room for cap_rows, in the session's context
    size_t cap_rows;
    struct pyb_sample sample;
};

void pyb_sampler_free(struct pyb_session *s);
#endif
