// SPDX-License-Identifier: Apache-2.0
/**
 * The file format of recordings (docs/recording.md), shared by its writer (tee.c) and its reader
 * (recording.c). Little-endian throughout. Internal.
 */
#ifndef PYB_MEMORY_RECORDING_H
#define PYB_MEMORY_RECORDING_H
#include <stdint.h>

#define PYB_REC_MAGIC "\x89PYB\r\n\x1a\n" // text-mode transfer damages it
#define PYB_REC_MAGIC_LEN 8
#define PYB_REC_VERSION 1
#define PYB_REC_HEADER 32  // bytes
#define PYB_REC_SECTION 32 // bytes of a section's header
#define PYB_REC_PAGE_ENTRY 16
#define PYB_REC_TRAILER 8

enum pyb_rec_kind { PYB_REC_PAGES = 1, PYB_REC_BLOB = 2 };
#endif
