// SPDX-License-Identifier: Apache-2.0
/**
 * str objects of every model (2.7 str and unicode, 3.3+ compact ASCII, Latin-1, UCS-2, UCS-4, legacy) as
 * UTF-8; lone surrogates and bytes that are not UTF-8 as backslashreplace writes them. Control characters
 * stay: output layers escape them. Mirrors Include/cpython/unicodeobject.h, Include/unicodeobject.h and
 * Include/stringobject.h (2.7).
 */
#ifndef PYB_INTERP_STRING_H
#define PYB_INTERP_STRING_H
#include "base/buf.h"
#include "interp/python.h"

// Characters of one name or file name: four times what the kernel takes for a path. Longer ones are cut and say so: each frame
// shows its own, so that one damaged length would otherwise fill the result.
#define PYB_STRING_MAX (1u << 14)

/** Text in the arena; *ret_cut (may be NULL) says that it was cut at max_chars. PYB_E_CORRUPT: not a str. */
int pyb_string_read(struct pyb_python *py, pyb_addr addr, size_t max_chars, struct pyb_arena *arena,
                    const char **ret, bool *ret_cut, struct pyb_error *err);
/**
 * Code points (malloc-free, into the caller's buffer) for repr(); *ret_total is the str's length, *ret the
 * count delivered.
 */
int pyb_string_codepoints(struct pyb_python *py, pyb_addr addr, uint32_t *buf, size_t max, size_t *ret,
                          int64_t *ret_total, struct pyb_error *err);
/** True if equal to an ASCII C string; short-cuts on the length. For dict lookups by name. */
bool pyb_string_equals(struct pyb_python *py, pyb_addr addr, const char *ascii);
/** bytes objects (2.7 str): length and up to max bytes. */
int pyb_bytes_object_read(struct pyb_python *py, pyb_addr addr, uint8_t *buf, size_t max, size_t *ret,
                          int64_t *ret_total, struct pyb_error *err);
#endif
