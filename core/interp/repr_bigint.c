// SPDX-License-Identifier: Apache-2.0
#include "base/error.h"
#include "interp/repr_text.h"

enum { DECIMAL_DIGITS = 9 };
static const uint32_t DECIMAL_BASE = 1000000000;

// Horner's rule in base 10**9, most significant digit first: out = out * 2**bits + digit.
static size_t to_decimal(const uint32_t *digits, size_t n, unsigned bits, uint32_t *out, size_t cap)
{
    size_t len = 0;
    for (size_t i = n; i-- > 0;) {
        uint64_t carry = digits[i];
        for (size_t j = 0; j < len; j++) {
            uint64_t z = ((uint64_t)out[j] << bits) + carry;
            out[j] = (uint32_t)(z % DECIMAL_BASE);
            carry = z / DECIMAL_BASE;
        }
        while (carry && len < cap) {
            out[len++] = (uint32_t)(carry % DECIMAL_BASE);
            carry /= DECIMAL_BASE;
        }
    }
    return len;
}

int pyb_repr_bigint(struct pyb_ctx *ctx, const uint32_t *digits, size_t n, unsigned bits, bool negative,
                    struct pyb_buf *out)
{
    if (n > SIZE_MAX / 64)
        return PYB_E_NOMEM;
    size_t cap = n * bits / 29 + 2; // 10**9 holds 29.9 bits
    uint32_t *decimal = pyb_alloc(ctx, cap * sizeof *decimal);
    if (!decimal)
        return PYB_E_NOMEM;
    size_t len = to_decimal(digits, n, bits, decimal, cap);
    if (len == 0) {
        pyb_buf_addc(out, '0');
    } else {
        pyb_buf_printf(out, "%s%u", negative ? "-" : "", decimal[len - 1]);
        for (size_t i = len - 1; i-- > 0;)
            pyb_buf_printf(out, "%0*u", DECIMAL_DIGITS, decimal[i]);
    }
    pyb_free(ctx, decimal);
    return 0;
}
