// SPDX-License-Identifier: Apache-2.0
/**
 * One line of `perf script`'s text: a sample's first line, a frame, or neither.
 *
 *     V8 Worker 3 4711/4712 [001] 6773.867164:    1001001 cpu-clock:
 *     <tab>    7fa082fbfc66 py::leaf:/srv/x.py+0x6 (/tmp/perf-4711.map)
 *
 * perf prints the fields that -F chose and leaves out the others; comm, event, symbol and file names may have spaces, digits and
 * parentheses in them. Nothing is copied: spans point into the line, which need not end with a NUL.
 */
#ifndef PERF_LINE_H
#define PERF_LINE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ann_span {
    const char *p; // NULL: not there
    size_t n;
};

struct ann_header {
    struct ann_span comm, cpu, time, period, event;
    int64_t pid, tid;    // -1: not printed. perf's own default is the thread id alone, which is then in `tid`
    struct ann_span tail; // what follows the event: with -G the innermost frame
};

struct ann_frame {
    uint64_t pc;
    struct ann_span name; // as perf prints it, without +0xOFFSET; empty with -F ip alone
    struct ann_span dso;  // what was within the last parentheses
    uint64_t offset;
    bool has_offset, inlined;
};

/** Without its line ending (LF, CR LF) and blanks at the end. */
size_t ann_trimmed(const char *line, size_t n);
/** A frame begins with blanks and a hexadecimal address. */
bool ann_parse_frame(const char *line, size_t n, struct ann_frame *ret);
/**
 * True where the line has a time ("12.345:"), or a thread and an event: a sample on its own. False: *ret has the whole line as comm, which
 * is right where frames follow (-F comm,ip,sym). perf's lines about its own records (PERF_RECORD_COMM and the like) are not samples.
 */
bool ann_parse_header(const char *line, size_t n, struct ann_header *ret);
#endif
