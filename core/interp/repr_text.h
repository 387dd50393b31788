// SPDX-License-Identifier: Apache-2.0
/**
 * The pure half of repr(): from values to text, nothing is read from a target.
 *
 * Each function appends to `out`, whose limit and allocation failures stick (buf.h).
 */
#ifndef PYB_INTERP_REPR_TEXT_H
#define PYB_INTERP_REPR_TEXT_H
#include "base/buf.h"

#include <stdbool.h>

/**
 * As repr(float): the shortest digits that read back as the same double; the exponent form below 1e-4 and
 * from 1e16 on. complex leaves out ".0" and gives the imaginary part a sign always. Independent of the host's
 * locale. Mirrors float_repr_style "short", Python/pystrtod.c.
 */
void pyb_repr_double(double value, bool add_dot_0, bool always_sign, struct pyb_buf *out);
/**
 * The shortest digits that read back as the same single-precision number, given as its bits, in the same
 * style (numpy.float32).
 */
void pyb_repr_float32(uint32_t bits, struct pyb_buf *out);
/** As repr(complex), Objects/complexobject.c. */
void pyb_repr_complex(double real, double imag, struct pyb_buf *out);

/**
 * An integer of n digits in base 2**bits (bits <= 30), least significant first, in decimal. 0, or
 * PYB_E_NOMEM. Quadratic: the caller bounds n.
 */
int pyb_repr_bigint(struct pyb_ctx *ctx, const uint32_t *digits, size_t n, unsigned bits, bool negative,
                    struct pyb_buf *out);

/**
 * Which Unicode database str.isprintable() of a CPython 3.minor has, as major << 8 | minor: 3.12 has 15.0.
 */
unsigned pyb_unicode_version(int minor);
/** str.isprintable() of one code point by the database of that version. */
bool pyb_unicode_printable(uint32_t codepoint, unsigned unicode_version);

/** ' or ": what repr() puts around a text that has these quotes. */
char pyb_repr_quote(bool has_single, bool has_double);
/**
 * One code point inside a repr(str) of Python 3; with unicode_version 0 all non-ASCII is escaped (2.7's
 * unicode).
 */
void pyb_repr_codepoint(uint32_t codepoint, char quote, unsigned unicode_version, struct pyb_buf *out);
/**
 * The bytes of a repr(bytes) or of 2.7's repr(str), without quotes; `escaped` is the quote that gets a
 * backslash.
 */
void pyb_repr_bytes(const uint8_t *data, size_t n, char escaped, struct pyb_buf *out);
#endif
