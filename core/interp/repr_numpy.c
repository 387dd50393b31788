// SPDX-License-Identifier: Apache-2.0
// numpy scalars as numpy prints them, arrays by their header. Mirrors numpy/arrayscalars.h and
// ndarraytypes.h, whose layout is part of numpy's ABI: a scalar's value follows the object head; an array has
// data, nd, dimensions, strides, base, descr there.
#include "interp/repr.h"

#include "base/error.h"

#include <string.h>

enum { MAX_DIMENSIONS = 64, MAX_METHODS = 512 };

// numpy 2 prints np.float64(1.5), numpy 1 1.5. Only 2 has a method to_device.
static bool is_numpy_2(struct pyb_repr *r, const struct pyb_type *type)
{
    const struct pyb_type *mro[64];
    size_t n;
    if (pyb_type_mro(r->py, type, mro, sizeof mro / sizeof *mro, &n, NULL) != 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        pyb_addr methods, name;
        char text[16];
        if (strcmp(mro[i]->name, "numpy.generic") != 0 ||
            pyb_repr_ptr(r, mro[i]->addr, r->l->type_methods, &methods) != 0)
            continue;
        for (unsigned j = 0; methods && j < MAX_METHODS; j++) {
            if (pyb_repr_ptr(r, methods + (uint64_t)j * r->l->methoddef_size, r->l->methoddef_name,
                             &name) != 0 || !name)
                return false;
            if (pyb_read_cstr(r->mem, name, text, sizeof text - 1, NULL) == 0 &&
                strcmp(text, "to_device") == 0)
                return true;
        }
    }
    return false;
}

static const struct scalar {
    const char *name;
    uint8_t width;
    char kind; // i, u, f (double), s (float), b, c (two doubles)
} SCALARS[] = {
    {"numpy.bool", 1, 'b'},
    {"numpy.bool_", 1, 'b'},
    {"numpy.int8", 1, 'i'},
    {"numpy.int16", 2, 'i'},
    {"numpy.int32", 4, 'i'},
    {"numpy.int64", 8, 'i'},
    {"numpy.longlong", 8, 'i'},
    {"numpy.intc", 4, 'i'},
    {"numpy.uint8", 1, 'u'},
    {"numpy.uint16", 2, 'u'},
    {"numpy.uint32", 4, 'u'},
    {"numpy.uint64", 8, 'u'},
    {"numpy.ulonglong", 8, 'u'},
    {"numpy.uintc", 4, 'u'},
    {"numpy.float64", 8, 'f'},
    {"numpy.float32", 4, 's'},
    {"numpy.complex128", 16, 'c'},
};

// In numpy 2 the name is the bracket: np.complex128(1+2j).
static void add_complex(struct pyb_repr *r, double real, double imag, bool named)
{
    const size_t mark = r->out->len;
    pyb_repr_complex(real, imag, r->out);
    const size_t n = r->out->len - mark;
    if (!named || n < 2 || r->out->failed || r->out->data[mark] != '(')
        return;
    memmove(r->out->data + mark, r->out->data + mark + 1, n - 2);
    r->out->len -= 2;
    r->out->data[r->out->len] = '\0';
}

static int add_number(struct pyb_repr *r, pyb_addr at, const struct scalar *s, bool named)
{
    uint8_t raw[16];
    int rc = pyb_read_bytes(r->mem, at, raw, s->width, r->err);
    if (rc)
        return rc;
    struct pyb_bytes b = pyb_memory_bytes(r->mem, raw, s->width);
    double real, imag;
    uint64_t bits = pyb_get_uint(&b, 0, s->width < 8 ? s->width : 8);
    uint64_t more = s->width == 16 ? pyb_get_u64(&b, 8) : 0;
    memcpy(&real, &bits, sizeof real);
    memcpy(&imag, &more, sizeof imag);
    switch (s->kind) {
    case 'b': pyb_buf_printf(r->out, "%s%s", bits ? "True" : "False", named ? "_" : ""); break;
    case 'i': pyb_buf_printf(r->out, "%lld", (long long)pyb_get_int(&b, 0, s->width)); break;
    case 'u': pyb_buf_printf(r->out, "%llu", (unsigned long long)bits); break;
    case 'f': pyb_repr_double(real, true, false, r->out); break;
    case 'c': add_complex(r, real, imag, named); break;
    default: pyb_repr_float32((uint32_t)bits, r->out); break;
    }
    return 0;
}

static int show_scalar(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    for (size_t i = 0; i < sizeof SCALARS / sizeof *SCALARS; i++) {
        if (strcmp(SCALARS[i].name, type->name) != 0)
            continue;
        const bool named = is_numpy_2(r, type), is_bool = SCALARS[i].kind == 'b';
        if (named)
            pyb_buf_printf(r->out, is_bool ? "np." : "np.%s(", type->short_name);
        int rc = add_number(r, object + r->l->obj_size, &SCALARS[i], named);
        pyb_buf_adds(r->out, named && !is_bool ? ")" : "");
        return rc;
    }
    return pyb_repr_instance(r, object, type);
}

// The data type by the name of its scalars: float64; str_ and void stand for all lengths and records.
static int add_dtype(struct pyb_repr *r, pyb_addr descr)
{
    pyb_addr scalar;
    const struct pyb_type *t;
    int rc = pyb_read_ptr(r->mem, descr + r->l->obj_size, &scalar, r->err);
    if (rc == 0)
        rc = pyb_type_get(r->py, scalar, &t, r->err);
    if (rc)
        return rc;
    size_t n = strlen(t->short_name);
    pyb_buf_add(r->out, t->short_name, n > 1 && t->short_name[n - 1] == '_' ? n - 1 : n);
    return 0;
}

static int show_array(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type)
{
    const pyb_addr at = object + r->l->obj_size;
    const uint32_t word = r->l->ptr_size;
    int32_t nd;
    pyb_addr dimensions, descr;
    int rc = pyb_read_i32(r->mem, at + word, &nd, r->err);
    if (rc == 0)
        rc = pyb_read_ptr(r->mem, at + 2 * (uint64_t)word, &dimensions, r->err);
    if (rc == 0)
        rc = pyb_read_ptr(r->mem, at + 5 * (uint64_t)word, &descr, r->err);
    if (rc)
        return rc;
    if (nd < 0 || nd > MAX_DIMENSIONS)
        return pyb_repr_corrupt(r, object, "an array of %d dimensions", nd);
    pyb_buf_printf(r->out, "<%s shape=(", type->name);
    for (int i = 0; i < nd; i++) {
        int64_t length;
        rc = pyb_read_ssize(r->mem, dimensions + (uint64_t)i * word, &length, r->err);
        if (rc)
            return rc;
        pyb_buf_printf(r->out, "%s%lld", i ? ", " : "", (long long)length);
    }
    pyb_buf_adds(r->out, nd == 1 ? ",) dtype=" : ") dtype=");
    rc = add_dtype(r, descr);
    pyb_buf_printf(r->out, " at 0x%llx>", (unsigned long long)object);
    return rc;
}

const struct pyb_repr_kind *pyb_repr_numpy_kind(const struct pyb_type *type)
{
    static const struct pyb_repr_kind ARRAY = {"numpy.ndarray", show_array, NULL},
        SCALAR = {"numpy scalar", show_scalar, NULL};
    if (strncmp(type->name, "numpy.", 6) != 0)
        return NULL;
    if (strcmp(type->name, "numpy.ndarray") == 0)
        return &ARRAY;
    for (size_t i = 0; i < sizeof SCALARS / sizeof *SCALARS; i++)
        if (strcmp(SCALARS[i].name, type->name) == 0)
            return &SCALAR;
    return NULL;
}
