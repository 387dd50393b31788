// SPDX-License-Identifier: Apache-2.0
#include "stack/slots.h"

#include <stddef.h>

enum suite { SUITE_TYPE, SUITE_NUMBER, SUITE_SEQUENCE, SUITE_MAPPING, SUITE_ASYNC, N_SUITES };

#define SUITE_BYTES 1024u

struct slot {
    enum suite suite;
    size_t field; // of struct pyb_layout
    const char *name;
};
#define T(member, name) {SUITE_TYPE, offsetof(struct pyb_layout, type_##member), name}
#define N(member, name) {SUITE_NUMBER, offsetof(struct pyb_layout, nb_##member), name}
#define Q(member, name) {SUITE_SEQUENCE, offsetof(struct pyb_layout, sq_##member), name}
#define M(member, name) {SUITE_MAPPING, offsetof(struct pyb_layout, mp_##member), name}
#define A(member, name) {SUITE_ASYNC, offsetof(struct pyb_layout, am_##member), name}

// A slot that serves several special methods has the name of the first, one that serves none its C name.
static const struct slot slots[] = {
    T(repr, "__repr__"), T(hash, "__hash__"), T(call, "__call__"), T(str, "__str__"),
    T(getattr, "__getattribute__"), T(getattro, "__getattribute__"), T(setattr, "__setattr__"),
    T(setattro, "__setattr__"), T(compare, "__cmp__"), T(richcompare, "tp_richcompare"), T(iter, "__iter__"),
    T(iternext, "__next__"), T(descr_get, "__get__"), T(descr_set, "__set__"), T(init, "__init__"),
    T(new, "__new__"), T(finalize, "__del__"), T(del, "__del__"), T(dealloc, "tp_dealloc"),
    T(traverse, "tp_traverse"), T(clear, "tp_clear"), T(free, "tp_free"), T(vectorcall, "tp_vectorcall"),
    N(add, "__add__"), N(subtract, "__sub__"), N(multiply, "__mul__"), N(divide, "__div__"),
    N(remainder, "__mod__"), N(divmod, "__divmod__"), N(power, "__pow__"), N(negative, "__neg__"),
    N(positive, "__pos__"), N(absolute, "__abs__"), N(nonzero, "__nonzero__"), N(bool, "__bool__"),
    N(invert, "__invert__"), N(lshift, "__lshift__"), N(rshift, "__rshift__"), N(and, "__and__"),
    N(xor, "__xor__"), N(or, "__or__"), N(coerce, "__coerce__"), N(int, "__int__"), N(long, "__long__"),
    N(float, "__float__"), N(oct, "__oct__"), N(hex, "__hex__"), N(inplace_add, "__iadd__"),
    N(inplace_subtract, "__isub__"), N(inplace_multiply, "__imul__"), N(inplace_divide, "__idiv__"),
    N(inplace_remainder, "__imod__"), N(inplace_power, "__ipow__"), N(inplace_lshift, "__ilshift__"),
    N(inplace_rshift, "__irshift__"), N(inplace_and, "__iand__"), N(inplace_xor, "__ixor__"),
    N(inplace_or, "__ior__"), N(floor_divide, "__floordiv__"), N(true_divide, "__truediv__"),
    N(inplace_floor_divide, "__ifloordiv__"), N(inplace_true_divide, "__itruediv__"), N(index, "__index__"),
    N(matrix_multiply, "__matmul__"), N(inplace_matrix_multiply, "__imatmul__"), Q(length, "__len__"),
    Q(concat, "__add__"), Q(repeat, "__mul__"), Q(item, "__getitem__"), Q(slice, "__getslice__"),
    Q(ass_item, "__setitem__"), Q(ass_slice, "__setslice__"), Q(contains, "__contains__"),
    Q(inplace_concat, "__iadd__"), Q(inplace_repeat, "__imul__"), M(length, "__len__"),
    M(subscript, "__getitem__"), M(ass_subscript, "__setitem__"), A(await, "__await__"),
    A(aiter, "__aiter__"), A(anext, "__anext__"), A(send, "am_send"),
};

// The bytes of a type object or of one of its suites.
struct part {
    uint8_t data[SUITE_BYTES];
    size_t len;
};
struct image {
    struct part parts[N_SUITES];
};

static struct pyb_field field_of(const struct pyb_layout *l, size_t at)
{
    return *(const struct pyb_field *)(const void *)((const char *)l + at);
}

static pyb_addr get(struct pyb_python *py, const struct part *part, struct pyb_field f)
{
    if (part->len == 0)
        return 0;
    struct pyb_bytes b = pyb_memory_bytes(py->target->mem, part->data, part->len);
    pyb_addr value = pyb_has(f) ? pyb_get_uint(&b, (size_t)f.offset, f.width) : 0;
    return b.bad ? 0 : value;
}

static void load(struct pyb_python *py, pyb_addr at, uint32_t size, struct part *ret)
{
    ret->len = 0;
    if (at != 0 && size > 0 && size <= SUITE_BYTES &&
        pyb_read_bytes(py->target->mem, at, ret->data, size, NULL) == 0)
        ret->len = size;
}

static void load_type(struct pyb_python *py, pyb_addr type, struct image *ret)
{
    const struct pyb_layout *l = &py->layout;
    load(py, type, l->type_size, &ret->parts[SUITE_TYPE]);
    const struct part *t = &ret->parts[SUITE_TYPE];
    load(py, get(py, t, l->type_as_number), l->nb_size, &ret->parts[SUITE_NUMBER]);
    load(py, get(py, t, l->type_as_sequence), l->sq_size, &ret->parts[SUITE_SEQUENCE]);
    load(py, get(py, t, l->type_as_mapping), l->mp_size, &ret->parts[SUITE_MAPPING]);
    load(py, get(py, t, l->type_as_async), l->am_size, &ret->parts[SUITE_ASYNC]);
}

void pyb_slots_each(struct pyb_python *py, const struct pyb_type *t, bool python_class, pyb_slot_fn *each,
                    void *ctx)
{
    struct image mine, base;
    load_type(py, t->addr, &mine);
    load_type(py, t->base, &base);
    for (size_t i = 0; i < sizeof(slots) / sizeof(*slots); i++) {
        if (mine.parts[slots[i].suite].len == 0)
            continue;
        struct pyb_field f = field_of(&py->layout, slots[i].field);
        pyb_addr function = get(py, &mine.parts[slots[i].suite], f);
        if (function != 0 && function != get(py, &base.parts[slots[i].suite], f))
            each(ctx, t->name, slots[i].name, function, python_class);
    }
}
