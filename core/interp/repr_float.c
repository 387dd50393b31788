// SPDX-License-Identifier: Apache-2.0
#include "interp/repr_text.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DIGITS = 17 };

// A positive finite number as decimal digits: 0.d1d2d3... * 10^point.
struct decimal {
    char digits[MAX_DIGITS + 1];
    int n;
    int point;
};

// The host's locale may have another decimal point: only digits are taken from what printf writes.
static void round_to(double value, int n, struct decimal *ret)
{
    char text[64];
    snprintf(text, sizeof text, "%.*e", n - 1, value);
    const char *e = strrchr(text, 'e');
    ret->n = 0;
    for (const char *p = text; p < e && ret->n < MAX_DIGITS; p++)
        if (isdigit((unsigned char)*p))
            ret->digits[ret->n++] = *p;
    ret->digits[ret->n] = '\0';
    ret->point = atoi(e + 1) + 1;
}

// Without a decimal point there is no locale to mind: d1d2d3e-2.
static double to_double(const struct decimal *d, bool single)
{
    char text[64];
    snprintf(text, sizeof text, "%se%d", d->digits, d->point - d->n);
    return single ? (double)strtof(text, NULL) : strtod(text, NULL);
}

// The next larger number of as many digits.
static void step_up(struct decimal *d)
{
    for (int i = d->n - 1; i >= 0; i--) {
        if (d->digits[i] != '9') {
            d->digits[i]++;
            return;
        }
        d->digits[i] = '0';
    }
    d->digits[0] = '1';
    d->point++;
}

// The shortest digits that read back as value. Below a power of two the doubles lie closer together than
// above it: there the nearest decimal of n digits may miss the interval while its upper neighbour is inside.
static void shortest(double value, bool single, struct decimal *ret)
{
    int exponent;
    bool power_of_two = frexp(value, &exponent) == 0.5;
    for (int n = 1; n <= MAX_DIGITS; n++) {
        round_to(value, n, ret);
        if (to_double(ret, single) == value)
            break;
        if (power_of_two) {
            step_up(ret);
            if (to_double(ret, single) == value)
                break;
        }
    }
    while (ret->n > 1 && ret->digits[ret->n - 1] == '0')
        ret->digits[--ret->n] = '\0';
}

static void add_zeros(struct pyb_buf *out, int n)
{
    for (int i = 0; i < n; i++)
        pyb_buf_addc(out, '0');
}

static void add_fixed(const struct decimal *d, bool add_dot_0, struct pyb_buf *out)
{
    if (d->point <= 0) {
        pyb_buf_adds(out, "0.");
        add_zeros(out, -d->point);
        pyb_buf_adds(out, d->digits);
        return;
    }
    int whole = d->point < d->n ? d->point : d->n;
    pyb_buf_add(out, d->digits, (size_t)whole);
    add_zeros(out, d->point - whole);
    if (whole < d->n) {
        pyb_buf_addc(out, '.');
        pyb_buf_adds(out, d->digits + whole);
    } else if (add_dot_0) {
        pyb_buf_adds(out, ".0");
    }
}

static void add_exponent(const struct decimal *d, struct pyb_buf *out)
{
    pyb_buf_addc(out, d->digits[0]);
    if (d->n > 1) {
        pyb_buf_addc(out, '.');
        pyb_buf_adds(out, d->digits + 1);
    }
    int exponent = d->point - 1;
    pyb_buf_printf(out, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
}

static void add_number(double value, bool single, bool add_dot_0, bool always_sign, struct pyb_buf *out)
{
    bool negative = signbit(value) && !isnan(value);
    if (negative || always_sign)
        pyb_buf_addc(out, negative ? '-' : '+');
    if (isnan(value)) {
        pyb_buf_adds(out, "nan");
    } else if (isinf(value)) {
        pyb_buf_adds(out, "inf");
    } else if (value == 0) {
        pyb_buf_adds(out, add_dot_0 ? "0.0" : "0");
    } else {
        struct decimal d;
        shortest(fabs(value), single, &d);
        if (d.point > -4 && d.point <= 16)
            add_fixed(&d, add_dot_0, out);
        else
            add_exponent(&d, out);
    }
}

void pyb_repr_double(double value, bool add_dot_0, bool always_sign, struct pyb_buf *out)
{
    add_number(value, false, add_dot_0, always_sign, out);
}

void pyb_repr_float32(uint32_t bits, struct pyb_buf *out)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    add_number((double)value, true, true, false, out);
}

void pyb_repr_complex(double real, double imag, struct pyb_buf *out)
{
    if (real == 0 && !signbit(real)) {
        pyb_repr_double(imag, false, false, out);
        pyb_buf_addc(out, 'j');
        return;
    }
    pyb_buf_addc(out, '(');
    pyb_repr_double(real, false, false, out);
    pyb_repr_double(imag, false, true, out);
    pyb_buf_adds(out, "j)");
}
