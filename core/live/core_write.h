// SPDX-License-Identifier: Apache-2.0
/**
 * A core file of a live process, which goes on afterwards: as the kernel would write it with its default coredump_filter.
 *
 * All threads are stopped meanwhile (stop.h). Content: memory that the process has written (private pages, anonymous shared ones, the
 * vDSO) and the first page of each mapped ELF file; the rest is left out and named by NT_FILE. Pages of zeros are holes in the file.
 * What cannot be read is left as zeros, as the kernel does. One of the host's own architecture and word size only.
 */
#ifndef PYB_LIVE_CORE_WRITE_H
#define PYB_LIVE_CORE_WRITE_H
#include "base/arena.h"
#include "base/buf.h"
#include "live/stop.h"

/**
 * The file appears under its name when it is whole; a partial one is removed. PYB_E_PERM, PYB_E_GONE, PYB_E_UNSUPPORTED; a full disk:
 * PYB_E_FAILED with sys_errno ENOSPC.
 */
int pyb_core_write(struct pyb_ctx *ctx, int32_t pid, const char *path, struct pyb_error *err);

/** One mapping and what of it goes into the core. Internal from here on. */
struct pyb_core_area {
    pyb_addr start, end;
    uint64_t dumped;      // bytes from its start
    uint64_t file_offset;
    uint32_t flags;       // PF_*
    bool sparse;          // private and anonymous: what is not there is zero
    const char *path;     // of a mapped file, or NULL
};
/** Reads /proc/PID/smaps; `mem` is /proc/PID/mem. With many mappings that takes seconds: `stopper` is asked to stay. */
int pyb_core_areas(struct pyb_ctx *ctx, int32_t pid, int mem, struct pyb_stopper *stopper, struct pyb_arena *arena,
                   struct pyb_core_area **ret, size_t *ret_n, struct pyb_error *err);
struct pyb_core_writer_thread {
    int32_t tid;
    bool stopped;
    struct pyb_stopped regs;
};
/** The notes of a core: threads first to last as given. PYB_E_NOMEM, PYB_E_GONE. */
int pyb_core_notes(struct pyb_buf *ret, int32_t pid, uint16_t machine, const struct pyb_core_writer_thread *threads,
                   size_t n_threads, const struct pyb_core_area *areas, size_t n_areas, struct pyb_error *err);
#endif
