// SPDX-License-Identifier: Apache-2.0
#include "interp/repr.h"

#include "base/error.h"

#include <string.h>

// Sign, number of digits and where they are. Mirrors Include/cpython/longintrepr.h.
struct int_head {
    bool negative;
    uint64_t n;
    pyb_addr digits;
};

static const uint64_t MAX_DIGITS = UINT64_C(1) << 40;

static int int_head(struct pyb_repr *r, pyb_addr object, struct int_head *ret)
{
    const struct pyb_layout *l = r->l;
    if (l->int_digit_bits < 1 || l->int_digit_bits > 30 || !pyb_has(l->int_digit))
        return pyb_fail(r->err, PYB_E_UNSUPPORTED, "layout %s does not say what an int looks like", l->name);
    if (l->int_model == PYB_INT_TAG) {
        uint64_t tag;
        int rc = pyb_field_uint(r->py, object, l->int_lv_tag, &tag, r->err);
        if (rc)
            return rc;
        if ((tag & 3) == 3)
            return pyb_repr_corrupt(r, object, "an int whose sign is 3");
        ret->negative = (tag & 3) == 2;
        ret->n = (tag & 3) == 1 ? 0 : tag >> 3;
    } else {
        int64_t size;
        int rc = pyb_repr_int(r, object, pyb_has(l->int_ob_size) ? l->int_ob_size : l->var_ob_size, &size);
        if (rc)
            return rc;
        ret->negative = size < 0;
        ret->n = size < 0 ? 0 - (uint64_t)size : (uint64_t)size;
    }
    ret->digits = object + (uint64_t)l->int_digit.offset;
    if (ret->n > MAX_DIGITS)
        return pyb_repr_corrupt(r, object, "an int of %llu digits", (unsigned long long)ret->n);
    return 0;
}

// The digits in host order; each must fit its bits.
static int read_digits(struct pyb_repr *r, pyb_addr object, const struct int_head *head, uint32_t *ret)
{
    const uint32_t width = r->l->int_digit.width;
    uint8_t raw[1024];
    uint64_t per_chunk = sizeof raw / width;
    for (uint64_t i = 0; i < head->n; i += per_chunk) {
        uint64_t n = head->n - i < per_chunk ? head->n - i : per_chunk;
        int rc = pyb_read_bytes(r->mem, head->digits + i * width, raw, (size_t)(n * width), r->err);
        if (rc)
            return rc;
        struct pyb_bytes b = pyb_memory_bytes(r->mem, raw, (size_t)(n * width));
        for (uint64_t j = 0; j < n; j++) {
            uint64_t digit = pyb_get_uint(&b, (size_t)(j * width), width);
            if (digit >> r->l->int_digit_bits)
                return pyb_repr_corrupt(r, object, "an int with a digit of more than %lld bits",
                                        (long long)r->l->int_digit_bits);
            ret[i + j] = (uint32_t)digit;
        }
    }
    return 0;
}

// Too long to be printed in decimal: only its size. (In the target, repr() of more than 4300 digits raises
// ValueError since 3.11.)
static int add_bits(struct pyb_repr *r, const struct int_head *head)
{
    uint64_t top, bits = (head->n - 1) * (uint64_t)r->l->int_digit_bits;
    int rc = pyb_read_uint(r->mem, head->digits + (head->n - 1) * r->l->int_digit.width,
                           r->l->int_digit.width, &top, r->err);
    if (rc)
        return rc;
    for (; top; top >>= 1)
        bits++;
    pyb_buf_printf(r->out, "<int with %llu bits%s>", (unsigned long long)bits,
                   head->negative ? ", negative" : "");
    return 0;
}

int pyb_repr_int_object(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    if (r->l->major == 2 && strcmp(type->name, "long") != 0 &&
        pyb_type_has(type, r->l->tpflags_int_subclass)) {
        int64_t value;
        int rc = pyb_repr_int(r, object, r->l->oldint_ival, &value);
        if (rc == 0)
            pyb_buf_printf(r->out, "%lld", (long long)value);
        return rc;
    }
    struct int_head head;
    int rc = int_head(r, object, &head);
    if (rc)
        return rc;
    const uint64_t decimal = head.n * (uint64_t)r->l->int_digit_bits / 10 * 3; // a little less than it has
    if (decimal > PYB_REPR_MAX_INT_DIGITS || (decimal > 4300 && decimal > r->length))
        return add_bits(r, &head);
    uint32_t few[16], *digits = few;
    if (head.n > sizeof few / sizeof *few)
        digits = pyb_alloc(r->py->target->ctx, (size_t)head.n * sizeof *digits);
    if (!digits)
        return pyb_fail(r->err, PYB_E_NOMEM, "no memory for an int");
    rc = read_digits(r, object, &head, digits);
    if (rc == 0)
        rc = pyb_repr_bigint(r->py->target->ctx, digits, (size_t)head.n, (unsigned)r->l->int_digit_bits,
                             head.negative, r->out);
    if (digits != few)
        pyb_free(r->py->target->ctx, digits);
    if (rc == 0 && r->l->major == 2)
        pyb_buf_addc(r->out, 'L');
    return rc;
}

int pyb_repr_get_int(struct pyb_repr *r, pyb_addr object, int64_t *ret)
{
    const struct pyb_type *type;
    int rc = pyb_type_of(r->py, object, &type, r->err);
    if (rc)
        return rc;
    if (r->l->major == 2 && pyb_type_has(type, r->l->tpflags_int_subclass))
        return pyb_repr_int(r, object, r->l->oldint_ival, ret);
    if (!pyb_type_has(type, r->l->tpflags_long_subclass))
        return pyb_repr_corrupt(r, object, "not an int but a %s", type->name);
    struct int_head head;
    uint32_t digits[5];
    rc = int_head(r, object, &head);
    if (rc)
        return rc;
    if (head.n > sizeof digits / sizeof *digits)
        return pyb_repr_corrupt(r, object, "an int above 64 bits");
    rc = read_digits(r, object, &head, digits);
    if (rc)
        return rc;
    unsigned __int128 value = 0;
    for (uint64_t i = head.n; i-- > 0 && value >> 64 == 0;)
        value = value << r->l->int_digit_bits | digits[i];
    if (value > (unsigned __int128)INT64_MAX)
        return pyb_repr_corrupt(r, object, "an int above 64 bits");
    *ret = head.negative ? -(int64_t)value : (int64_t)value;
    return 0;
}

int pyb_repr_bool(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    int64_t value;
    int rc = pyb_repr_get_int(r, object, &value);
    if (rc == 0)
        pyb_buf_adds(r->out, value ? "True" : "False");
    return rc;
}

int pyb_repr_get_double(struct pyb_repr *r, pyb_addr addr, double *ret)
{
    uint64_t bits;
    int rc = pyb_read_u64(r->mem, addr, &bits, r->err);
    if (rc == 0)
        memcpy(ret, &bits, sizeof *ret);
    return rc;
}

int pyb_repr_float(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    double value;
    int rc = pyb_repr_get_double(r, object + (uint64_t)r->l->float_fval.offset, &value);
    if (rc == 0)
        pyb_repr_double(value, true, false, r->out);
    return rc;
}

int pyb_repr_complex_object(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    double real, imag;
    if (!pyb_has(r->l->complex_real) || !pyb_has(r->l->complex_imag))
        return pyb_fail(r->err, PYB_E_UNSUPPORTED, "layout %s does not say what a complex looks like",
                        r->l->name);
    int rc = pyb_repr_get_double(r, object + (uint64_t)r->l->complex_real.offset, &real);
    if (rc == 0)
        rc = pyb_repr_get_double(r, object + (uint64_t)r->l->complex_imag.offset, &imag);
    if (rc == 0)
        pyb_repr_complex(real, imag, r->out);
    return rc;
}

// 2.7: start, step and length as C longs; the stop that is printed is computed.
static int xrange(struct pyb_repr *r, pyb_addr object)
{
    int64_t start, step, len;
    int rc = pyb_repr_int(r, object, r->l->range_start, &start);
    if (rc == 0)
        rc = pyb_repr_int(r, object, r->l->range_step, &step);
    if (rc == 0)
        rc = pyb_repr_int(r, object, r->l->range_len, &len);
    if (rc)
        return rc;
    int64_t stop = (int64_t)((uint64_t)start + (uint64_t)len * (uint64_t)step);
    if (start == 0 && step == 1)
        pyb_buf_printf(r->out, "xrange(%lld)", (long long)stop);
    else if (step == 1)
        pyb_buf_printf(r->out, "xrange(%lld, %lld)", (long long)start, (long long)stop);
    else
        pyb_buf_printf(r->out, "xrange(%lld, %lld, %lld)", (long long)start, (long long)stop,
                       (long long)step);
    return 0;
}

int pyb_repr_range(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    if (r->l->major == 2)
        return xrange(r, object);
    pyb_addr start, stop, step;
    int64_t by = 0;
    int rc = pyb_repr_ptr(r, object, r->l->range_start, &start);
    if (rc == 0)
        rc = pyb_repr_ptr(r, object, r->l->range_stop, &stop);
    if (rc == 0)
        rc = pyb_repr_ptr(r, object, r->l->range_step, &step);
    if (rc)
        return rc;
    pyb_buf_adds(r->out, "range(");
    rc = pyb_repr_value(r, start);
    pyb_buf_adds(r->out, ", ");
    if (rc == 0)
        rc = pyb_repr_value(r, stop);
    if (rc == 0 && (pyb_repr_get_int(r, step, &by) != 0 || by != 1)) {
        pyb_buf_adds(r->out, ", ");
        rc = pyb_repr_value(r, step);
    }
    pyb_buf_addc(r->out, ')');
    return rc;
}

int pyb_repr_slice(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    (void)type;
    const struct pyb_field fields[] = {r->l->slice_start, r->l->slice_stop, r->l->slice_step};
    pyb_buf_adds(r->out, "slice(");
    for (int i = 0; i < 3; i++) {
        pyb_addr part;
        int rc = pyb_repr_ptr(r, object, fields[i], &part);
        pyb_buf_adds(r->out, i ? ", " : "");
        if (rc == 0)
            rc = pyb_repr_value(r, part);
        if (rc)
            return rc;
    }
    pyb_buf_addc(r->out, ')');
    return 0;
}
