// SPDX-License-Identifier: Apache-2.0
// repr(), locals and look-ups over made-up objects. Input: row of the layout tables (1), limits (1), function
// (1), then 64-byte objects, each a type (1) and its memory. A word of that memory whose lowest byte is 0xf1
// stands for a pointer to the object named by its second byte, so that the fuzzer finds graphs of objects.
#define MADE_SIZE (64u << 10)
#include "../unit/made_values.h"
#include "interp/locals.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SLOT = 96, MAX_OBJECTS = 128 };

static const char *const NAMES[] = {
    "object", "NoneType", "bool", "float", "complex", "bytearray", "frozendict", "frozenset", "range",
        "xrange", "slice", "function", "method",
    "instancemethod", "builtin_function_or_method", "method_descriptor", "wrapper_descriptor",
        "member_descriptor", "method-wrapper", "generator",
    "coroutine", "code", "cell", "weakref", "module", "mappingproxy", "dict_keys", "dict_items",
        "BaseException", "types.SimpleNamespace",
    "collections.OrderedDict", "collections.defaultdict", "collections.deque", "functools.partial",
        "datetime.date", "datetime.datetime",
    "datetime.time", "datetime.timedelta", "datetime.timezone", "numpy.ndarray", "numpy.float64",
        "numpy.int16", "classobj", "instance", "int",
};
enum { N_NAMES = sizeof NAMES / sizeof *NAMES, N_TYPES = N_NAMES + 10 };

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void require_utf8(const char *s)
{
    for (const unsigned char *p = (const unsigned char *)s; *p;) {
        int more = *p < 0x80 ? 0 : *p < 0xc2 ? -1 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : *p < 0xf5 ? 3 : -1;
        require(more >= 0);
        for (p++; more > 0; more--, p++)
            require((*p & 0xc0) == 0x80);
    }
}

static size_t make_types(struct values *v, pyb_addr *types)
{
    const pyb_addr known[] = {v->type, v->object, v->tuple, v->list, v->dict, v->set, v->integer, v->str,
                              v->bytes};
    size_t n = sizeof known / sizeof *known;
    memcpy(types, known, sizeof known);
    for (size_t i = 0; i < N_NAMES; i++)
        types[n++] = values_type(v, NAMES[i], v->object, 0, false);
    // A class whose instances the target made: own attributes, a dict, slots.
    types[n] = values_type(v, "Mine", v->object, v->f.py.layout.tpflags_managed_dict, true);
    made_set(&v->f, types[n], v->f.py.layout.type_dictoffset, 24);
    return n + 1;
}

static pyb_addr make_objects(struct values *v, const uint8_t *data, size_t size)
{
    pyb_addr types[N_TYPES], base = made_alloc(&v->f, (size_t)SLOT * MAX_OBJECTS);
    const size_t n_types = make_types(v, types), word = v->f.py.layout.ptr_size;
    for (size_t i = 0; i < MAX_OBJECTS && size > 1; i++) {
        const pyb_addr at = base + i * SLOT;
        const size_t n = size - 1 < SLOT - 1 ? size - 1 : SLOT - 1;
        memcpy(v->f.data + (at - MADE_BASE), data + 1, n);
        for (size_t j = 0; j + word <= SLOT; j += word) {
            const uint8_t *p = v->f.data + (at - MADE_BASE) + j;
            if (*p == 0xf1)
                made_put(&v->f, at + j, (unsigned)word, base + (size_t)(p[1] % MAX_OBJECTS) * SLOT);
        }
        if (*data != 0xff) // else the type is random too
            made_set(&v->f, at, v->f.py.layout.obj_type, types[*data % n_types]);
        data += n + 1;
        size -= n + 1;
    }
    return base;
}

static void show(struct values *v, pyb_addr object, const struct pyb_repr_limits *limits)
{
    struct pyb_buf out;
    struct pyb_error err = {0};
    pyb_buf_init(&out, &v->f.ctx, 0);
    int rc = pyb_repr_object(&v->f.py, object, limits, &out, &err);
    require(rc == 0 || rc == PYB_E_NOMEM || rc == PYB_E_ABORTED || rc == PYB_E_LIMIT);
    if (rc == 0) {
        require(out.len > 0 && out.len <= limits->length + 3u);
        require_utf8(pyb_buf_str(&out));
    }
    pyb_buf_deinit(&out);
}

static void read_locals(struct values *v, pyb_addr at, const struct pyb_repr_limits *limits)
{
    struct pyb_pyframe frame = {.addr = at, .code = at + SLOT};
    struct pyb_code code = {.addr = at + SLOT, .flags = limits->items & 1};
    struct pyb_local *locals;
    uint32_t n;
    struct pyb_error err = {0};
    int rc = pyb_locals_read(&v->f.py, &frame, &code, limits, &v->f.py.arena, &locals, &n, &err);
    require(rc <= 0);
    for (uint32_t i = 0; rc == 0 && i < n; i++)
        require(locals[i].name && (locals[i].repr || locals[i].note));
    pyb_addr found;
    const char *scope;
    rc = pyb_frame_lookup(&v->f.py, &frame, &code, "name", &found, &scope, &err);
    require(rc <= 0 && (rc || scope));
}

static void attributes(struct values *v, pyb_addr at)
{
    pyb_addr found;
    require(pyb_instance_attr(&v->f.py, at, "name", &found, NULL) <= 0);
    require(pyb_dict_get(&v->f.py, at, "name", &found, NULL) <= 0);
    const struct pyb_type *type;
    require(pyb_type_of(&v->f.py, at, &type, NULL) <= 0);
    require(pyb_type_get(&v->f.py, at, &type, NULL) <= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    unsigned n_rows;
    const struct pyb_layout *rows = pyb_layout_rows(&n_rows);
    static const uint32_t LENGTHS[] = {10, 120, 1000, 5000}, DEPTHS[] = {1, 4, 20, UINT32_MAX},
        ITEMS[] = {1, 20, 1000, UINT32_MAX};
    const struct pyb_repr_limits limits = {.length = LENGTHS[data[1] & 3], .depth = DEPTHS[data[1] >> 2 & 3],
                                           .items = ITEMS[data[1] >> 4 & 3], .verbose = data[1] & 0x40};
    struct values v;
    values_begin(&v, &rows[data[0] % n_rows]);
    pyb_addr first = make_objects(&v, data + 3, size - 3);
    if (data[2] % 8 < 6)
        show(&v, first, &limits);
    else if (data[2] % 8 == 6)
        read_locals(&v, first, &limits);
    else
        attributes(&v, first);
    made_deinit(&v.f);
    return 0;
}
