// SPDX-License-Identifier: Apache-2.0
/**
 * Where the characters of a str or bytes object are, how many, and how wide. Reads the object's head and its
 * type's flags; the characters themselves are not touched.
 *
 * Mirrors PyASCIIObject, PyCompactUnicodeObject, PyUnicodeObject in Include/cpython/unicodeobject.h (3.3+),
 * and Include/unicodeobject.h, Include/stringobject.h (2.7).
 */
#ifndef PYB_INTERP_STRING_HEADER_H
#define PYB_INTERP_STRING_HEADER_H
#include "interp/python.h"

struct pyb_str {
    pyb_addr data;
    uint64_t length;  // units
    unsigned unit;    // bytes: 1, 2 or 4
    bool utf16;       // pairs of surrogates are one character (narrow 2.7, 16-bit wchar_t)
    bool is_bytes;    // a str of 2.7: text only by custom
    bool whole;       // the characters follow the head, and the type is none that comes and goes
};
/** A str (2.7: str or unicode). PYB_E_CORRUPT: something else, or a length or state that makes no sense. */
int pyb_str_header(struct pyb_python *py, pyb_addr addr, struct pyb_str *ret, struct pyb_error *err);
/** A bytes object (2.7: str). PYB_E_CORRUPT as above. */
int pyb_bytes_header(struct pyb_python *py, pyb_addr addr, struct pyb_str *ret, struct pyb_error *err);
#endif
