// SPDX-License-Identifier: Apache-2.0
/**
 * The text of /proc/PID/maps, one line at a time; see proc(5), and show_map_vma() in Linux'
 * fs/proc/task_mmu.c. Pure functions.
 */
#ifndef PYB_SYMBOLS_MAPS_H
#define PYB_SYMBOLS_MAPS_H
#include "pybraid.h"

struct pyb_maps_line {
    pyb_addr start, end;
    uint64_t offset, inode;
    uint32_t dev_major, dev_minor;
    bool r, w, x, is_private;
    const char *path; // inside the text, not terminated, as the kernel escaped it; length 0: anonymous
    size_t path_len;
};
/** 1 and the line at *pos; -1: a line that makes no sense, or a cut last one; 0: the end. *pos moves on. */
int pyb_maps_next(const char *text, size_t len, size_t *pos, struct pyb_maps_line *ret);
/**
 * Undoes the kernel's escape of newlines (\012) in place; returns the new length. A name with that very text
 * in it looks the same.
 */
size_t pyb_maps_unescape(char *path, size_t len);
/** Length without the " (deleted)" that the kernel appends. */
size_t pyb_maps_strip_deleted(const char *path, size_t len, bool *ret_deleted);
#endif
