// SPDX-License-Identifier: Apache-2.0
// Code objects: read once, kept by address, recognised again after the target ran.
#include "interp/code.h"

#include <string.h>

#include "base/error.h"
#include "interp/code_entry.h"
#include "interp/string.h"
#include "interp/string_header.h"

#define HEAD_MAX 1024
#define BYTECODE_MAX ((uint64_t)1 << 30)
#define PREFETCH_BATCH 256
#define RAW_MAX 65536 // characters
#define KEEP_SHARE 4   // of the limit on memory: what the code objects of a session may take between two calls

struct head {
    uint8_t data[HEAD_MAX];
    struct pyb_bytes bytes;
};

// What a code object consists of, without what it points to.
struct identity {
    pyb_addr name, qualname, filename, linetable, bytecode;
    int32_t firstlineno;
    uint64_t version, code_units, flags, firsttraceable;
    pyb_addr tlbc;
};

static uint64_t field(struct head *h, struct pyb_field f)
{
    return pyb_has_field(f) ? pyb_get_uint(&h->bytes, (size_t)f.offset, f.width) : 0;
}

// A core without its executable lacks .rodata, and the type's name with it: then the type is told by being a
// static type (its own type is `type`, whose type is itself) whose instances have the size of a code object.
static bool shaped_like_code(struct pyb_python *py, pyb_addr type)
{
    const struct pyb_layout *l = &py->layout;
    uint64_t expected = pyb_has_field(l->code_code_adaptive) ? (uint64_t)l->code_code_adaptive.offset
                                                             : l->code_size;
    int64_t basicsize;
    pyb_addr meta, meta_meta;
    return !pyb_field_int(py, type, l->type_basicsize, &basicsize, NULL) && basicsize == (int64_t)expected &&
           !pyb_field_ptr(py, type, l->obj_type, &meta, NULL) &&
           !pyb_field_ptr(py, meta, l->obj_type, &meta_meta, NULL) &&
           meta == meta_meta;
}

static bool named_code(struct pyb_python *py, pyb_addr type)
{
    const struct pyb_layout *l = &py->layout;
    uint64_t flags, heap = l->tpflags_heaptype == PYB_ABSENT ? 1u << 9 : (uint64_t)l->tpflags_heaptype;
    pyb_addr name_at;
    char name[sizeof "code"];
    if (pyb_field_ptr(py, type, l->type_name, &name_at, NULL) ||
        pyb_field_uint(py, type, l->type_flags, &flags, NULL) ||
        (flags & heap)) // a class called `code` is a heap type
        return false;
    if (pyb_read_bytes(py->target->mem, name_at, name, sizeof name, NULL))
        return shaped_like_code(py, type);
    return !memcmp(name, "code", sizeof name);
}

static bool is_code_type(struct pyb_python *py, pyb_addr type)
{
    if (type != py->code_type && type && named_code(py, type))
        py->code_type = type;
    return type && type == py->code_type;
}

bool pyb_code_check(struct pyb_python *py, pyb_addr addr)
{
    pyb_addr type;
    struct pyb_field f = py->layout.obj_type;
    return pyb_has_field(f) && !pyb_read_ptr(py->target->mem, addr + (uint32_t)f.offset, &type, NULL) &&
           is_code_type(py, type);
}

static size_t head_size(const struct pyb_layout *l)
{
    return l->code_size > 0 && l->code_size <= HEAD_MAX ? l->code_size : 0;
}

static int read_head(struct pyb_python *py, pyb_addr addr, struct head *ret, struct pyb_error *err)
{
    size_t size = head_size(&py->layout);
    if (!size || !pyb_has_field(py->layout.obj_type))
        return pyb_fail(err, PYB_E_UNSUPPORTED, "the layout %s has no code objects", py->layout.name);
    int code = pyb_read_bytes(py->target->mem, addr, ret->data, size, err);
    if (code)
        return code;
    ret->bytes = pyb_memory_bytes(py->target->mem, ret->data, size);
    if (is_code_type(py, field(ret, py->layout.obj_type)))
        return 0;
    return pyb_fail_at(err, PYB_E_CORRUPT, addr, 0, "the object at 0x%llx is not a code object",
                       (unsigned long long)addr);
}

static struct identity identify(struct pyb_python *py, pyb_addr addr, struct head *h)
{
    const struct pyb_layout *l = &py->layout;
    struct identity id = {
        .name = field(h, l->code_name),
        .qualname = field(h, l->code_qualname),
        .filename = field(h, l->code_filename),
        .linetable = field(h, pyb_has_field(l->code_linetable) ? l->code_linetable : l->code_lnotab),
        .firstlineno = (int32_t)field(h, l->code_firstlineno),
        .version = field(h, l->code_version),
        .flags = field(h, l->code_flags),
        .tlbc = field(h, l->code_tlbc),
    };
    if (pyb_has_field(l->code_code_adaptive)) {
        id.bytecode = addr + (uint32_t)l->code_code_adaptive.offset;
        id.code_units = field(h, pyb_has_field(l->code_ob_size) ? l->code_ob_size : l->var_ob_size);
        id.firsttraceable = field(h, l->code_firsttraceable);
    } else {
        id.bytecode = field(h, l->code_code);
    }
    return id;
}

// The text of a member, or NULL with a note about the first that failed.
static const char *text(struct pyb_python *py, struct code_entry *e, pyb_addr addr, const char *what)
{
    struct pyb_error err = {0};
    const char *s = NULL;
    bool cut = false;
    int code = pyb_string_read(py, addr, PYB_STRING_MAX, &py->code_arena, &s, &cut, &err);
    if (code && !e->code.note)
        e->code.note = pyb_arena_printf(&py->code_arena, "%s of the code object cannot be read: %s", what,
                                        err.what);
    if (cut && !e->code.note)
        e->code.note = pyb_arena_printf(&py->code_arena, "%s cut at %u characters", what, PYB_STRING_MAX);
    return code ? NULL : s;
}

// Up to 3.10 the instructions are a bytes object, from 3.11 they are part of the code object.
static void locate_bytecode(struct pyb_python *py, const struct identity *id, struct pyb_code *ret)
{
    unsigned unit = py->layout.code_unit_size == 1 ? 1 : 2;
    ret->bytecode = id->bytecode;
    ret->code_size = id->code_units * unit;
    struct pyb_str bytes;
    if (pyb_has_field(py->layout.code_code_adaptive)) {
        // All of it, for code that the interpreter made for itself (_Py_InitCleanup).
        uint64_t units = id->firsttraceable < id->code_units ? id->firsttraceable : id->code_units;
        ret->firsttraceable = units > BYTECODE_MAX ? 0 : (uint32_t)units * unit;
    } else if (!pyb_bytes_header(py, id->bytecode, &bytes, NULL)) {
        ret->bytecode = bytes.data;
        ret->code_size = bytes.length;
    }
    if (ret->code_size > BYTECODE_MAX)
        ret->code_size = 0; // nothing is inside it then
}

// What cannot be kept is read again each time.
static void keep_texts(struct pyb_python *py, struct code_entry *e)
{
    const struct pyb_code *c = &e->code;
    (void)pyb_raw_keep(py, c->id_name, false, RAW_MAX, &e->raw_name, NULL);
    (void)pyb_raw_keep(py, c->id_filename, false, RAW_MAX, &e->raw_filename, NULL);
    if (pyb_has_field(py->layout.code_qualname) && e->id_qualname != c->id_name)
        (void)pyb_raw_keep(py, e->id_qualname, false, RAW_MAX, &e->raw_qualname, NULL);
}

static struct code_entry **recent(struct pyb_python *py, pyb_addr addr)
{
    size_t n = sizeof py->recent_codes / sizeof *py->recent_codes;
    return (struct code_entry **)&py->recent_codes[(addr >> 4 ^ addr >> 10) % n];
}

static struct code_entry *known(struct pyb_python *py, pyb_addr addr)
{
    struct code_entry **slot = recent(py, addr);
    uintptr_t value;
    if ((!*slot || (*slot)->code.addr != addr) && pyb_map_get(&py->codes, addr, &value))
        *slot = (struct code_entry *)value;
    return *slot && (*slot)->code.addr == addr ? *slot : NULL;
}

static int build(struct pyb_python *py, pyb_addr addr, const struct head *h, const struct identity *id,
                 struct code_entry **ret, struct pyb_error *err)
{
    size_t from = (size_t)py->layout.obj_type.offset, size = head_size(&py->layout) - from;
    struct code_entry *e = pyb_arena_alloc(&py->code_arena, sizeof *e);
    uint8_t *head = pyb_arena_alloc(&py->code_arena, size);
    if (!e || !head)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for a code object");
    e->head = memcpy(head, h->data + from, size);
    struct pyb_code *c = &e->code;
    *c = (struct pyb_code){
        .addr = addr,
        .firstlineno = id->firstlineno,
        .flags = (uint32_t)id->flags,
        .tlbc = id->tlbc,
        .id_name = id->name,
        .id_filename = id->filename,
        .id_linetable = id->linetable,
        .id_version = id->version,
        .generation = py->generation,
    };
    e->id_bytecode = id->bytecode;
    e->id_qualname = id->qualname;
    e->id_units = id->code_units;
    locate_bytecode(py, id, c);
    c->name = text(py, e, id->name, "the name");
    c->filename = text(py, e, id->filename, "the file name");
    if (pyb_has_field(py->layout.code_qualname))
        c->qualname = text(py, e, id->qualname, "the qualified name");
    if (!id->version)
        keep_texts(py, e);
    *ret = *recent(py, addr) = e;
    return pyb_map_put(&py->codes, addr, (uintptr_t)e);
}

// What the pointers lead to, where the code object has no number that tells it from a later one.
static bool same_texts(struct pyb_python *py, struct code_entry *e)
{
    const struct pyb_code *c = &e->code;
    if (c->id_version || (py->texts_round && e->texts_round == py->texts_round))
        return true;
    bool qualname = pyb_has_field(py->layout.code_qualname) && e->id_qualname != c->id_name;
    if (!pyb_raw_same(py, c->id_name, &e->raw_name) || !pyb_raw_same(py, c->id_filename, &e->raw_filename) ||
        (qualname && !pyb_raw_same(py, e->id_qualname, &e->raw_qualname)) ||
        (c->linetable && !pyb_raw_same(py, c->id_linetable, &e->raw_lines)))
        return false;
    e->texts_round = py->texts_round;
    return true;
}

// An address is used again sooner than one thinks, with the same pointers too. Where each code object has a
// number of its own (co_version, 3.12+) that decides; else what the pointers lead to is compared.
static bool still(struct pyb_python *py, struct code_entry *e, const struct identity *id)
{
    const struct pyb_code *c = &e->code;
    return c->id_name == id->name && c->id_filename == id->filename && c->id_linetable == id->linetable &&
           c->firstlineno == id->firstlineno && c->flags == (uint32_t)id->flags &&
           c->id_version == id->version && e->id_bytecode == id->bytecode &&
           e->id_qualname == id->qualname && e->id_units == id->code_units && same_texts(py, e);
}

// Nothing in the code object changed, not even what its identity leaves out: the usual case, and one comparison.
static bool untouched(struct pyb_python *py, struct code_entry *e)
{
    size_t from = (size_t)py->layout.obj_type.offset;
    return pyb_same_bytes(py, e->code.addr + from, e->head, head_size(&py->layout) - from) && same_texts(py, e);
}

static int look_again(struct pyb_python *py, pyb_addr addr, struct code_entry **entry, struct pyb_error *err)
{
    struct head h;
    int code = read_head(py, addr, &h, err);
    if (code)
        return code;
    struct identity id = identify(py, addr, &h);
    struct code_entry *e = *entry;
    if (!e || !still(py, e, &id))
        return build(py, addr, &h, &id, entry, err);
    size_t from = (size_t)py->layout.obj_type.offset;
    memcpy(e->head, h.data + from, head_size(&py->layout) - from);
    e->code.tlbc = id.tlbc;
    return 0;
}

int pyb_code_get(struct pyb_python *py, pyb_addr addr, const struct pyb_code **ret, struct pyb_error *err)
{
    struct code_entry *e = known(py, addr);
    if (!e || e->code.generation != py->generation) {
        int code = e && untouched(py, e) ? 0 : look_again(py, addr, &e, err);
        if (code)
            return code;
        e->code.generation = py->generation;
    }
    *ret = &e->code;
    return 0;
}

void pyb_code_prefetch(struct pyb_python *py, const pyb_addr *addrs, size_t n)
{
    struct pyb_range ranges[PREFETCH_BATCH];
    size_t used = 0, size = head_size(&py->layout);
    for (size_t i = 0; size && i < n; i++) {
        struct code_entry *e = known(py, addrs[i]);
        if (e && (e->code.generation == py->generation || e->announced == py->generation))
            continue;
        if (e)
            e->announced = py->generation;
        ranges[used++] = (struct pyb_range){.addr = addrs[i], .len = size};
        if (used == PREFETCH_BATCH) {
            pyb_memory_prefetch(py->target->mem, ranges, used);
            used = 0;
        }
    }
    if (used)
        pyb_memory_prefetch(py->target->mem, ranges, used);
}

void pyb_codes_trim(struct pyb_python *py)
{
    if (py->code_arena.total > py->target->ctx->max_bytes / KEEP_SHARE)
        pyb_codes_clear(py);
}

void pyb_codes_clear(struct pyb_python *py)
{
    memset(py->recent_codes, 0, sizeof py->recent_codes);
    pyb_map_deinit(&py->codes);
    pyb_arena_deinit(&py->code_arena);
}
