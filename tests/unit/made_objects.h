// SPDX-License-Identifier: Apache-2.0
/** a made target with types, code objects and frames in it. */
#ifndef PYB_TESTS_MADE_OBJECTS_H
#define PYB_TESTS_MADE_OBJECTS_H
#include "made_layout.h"
#include "made_target.h"
#include "interp/frame.h"

struct world {
    struct made f;
    pyb_addr str, bytes, code; // types
    uint32_t version;
    struct pyb_tstate t;
};

static inline void world_begin(struct world *w, enum pyb_walker walker, unsigned ptr_size, bool big_endian)
{
    struct pyb_layout l = made_layout_nothing(ptr_size, big_endian);
    made_layout_objects(&l);
    made_layout_strings(&l, PYB_UNICODE_33, 4);
    made_layout_codes(&l, walker == PYB_WALKER_FRAMEOBJECT ? PYB_LNOTAB_36 : PYB_LOCATIONS_311);
    made_layout_frames(&l, walker);
    memset(w, 0, sizeof *w);
    made_init(&w->f, &l);
    w->str = made_type(&w->f, "str", (uint64_t)1 << 28);
    w->bytes = made_type(&w->f, "bytes", (uint64_t)1 << 27);
    w->code = made_type(&w->f, "code", 0);
    w->t.addr = made_alloc(&w->f, 256);
}

/** First line 7; the table: two units there, then no line (3.11+), or one line further from byte 4 on. */
static inline pyb_addr world_code(struct world *w, const char *name, const char *qualname, const char *file,
                                  uint32_t units)
{
    struct made *f = &w->f;
    const struct pyb_layout *l = &f->py.layout;
    bool with_units = pyb_has_field(l->code_code_adaptive);
    pyb_addr c = made_alloc(f, l->code_size + (with_units ? units * 2 : 0));
    made_set(f, c, l->obj_type, w->code);
    made_set(f, c, l->code_name, made_ascii(f, w->str, name));
    made_set(f, c, l->code_filename, made_ascii(f, w->str, file));
    made_set(f, c, l->code_firstlineno, 7);
    made_set(f, c, l->code_version, ++w->version);
    if (with_units) {
        const uint8_t table[] = {0x80 | 13 << 3 | 1, 0, 0x80 | 15 << 3};
        made_set(f, c, l->code_qualname, made_ascii(f, w->str, qualname));
        made_set(f, c, l->code_linetable, made_bytes(f, w->bytes, table, sizeof table));
        made_set(f, c, l->code_ob_size, units);
    } else {
        uint8_t *zeros = calloc(1, units * 2);
        if (!zeros)
            abort();
        made_set(f, c, l->code_lnotab, made_bytes(f, w->bytes, "\x04\x01", 2));
        made_set(f, c, l->code_code, made_bytes(f, w->bytes, zeros, units * 2));
        free(zeros);
    }
    return c;
}

/** A frame object at byte `lasti`. */
static inline pyb_addr world_frame_object(struct world *w, pyb_addr back, pyb_addr code, int32_t lasti)
{
    const struct pyb_layout *l = &w->f.py.layout;
    pyb_addr o = made_alloc(&w->f, l->frame_size);
    made_set(&w->f, o, l->frame_back, back);
    made_set(&w->f, o, l->frame_code, code);
    made_set(&w->f, o, l->frame_lasti, (uint32_t)lasti);
    return o;
}

/** An interpreter frame at byte `at` of its code; code 0 for a shim. */
static inline void world_iframe_at(struct world *w, pyb_addr o, pyb_addr previous, pyb_addr code, int64_t at,
                                   unsigned owner)
{
    const struct pyb_layout *l = &w->f.py.layout;
    pyb_addr instr = code ? code + (uint32_t)l->code_code_adaptive.offset + (uint64_t)at : 0;
    made_set(&w->f, o, l->iframe_previous, previous);
    made_set(&w->f, o, l->iframe_executable, code);
    made_set(&w->f, o, l->iframe_prev_instr, instr);
    made_set(&w->f, o, l->iframe_instr_ptr, instr);
    made_set(&w->f, o, l->iframe_owner, owner);
}

static inline pyb_addr world_iframe(struct world *w, pyb_addr previous, pyb_addr code, int64_t at,
                                    unsigned owner)
{
    pyb_addr o = made_alloc(&w->f, 64);
    world_iframe_at(w, o, previous, code, at, owner);
    return o;
}

static inline pyb_addr world_cframe(struct world *w, pyb_addr previous, pyb_addr current)
{
    pyb_addr o = made_alloc(&w->f, 32);
    made_set(&w->f, o, w->f.py.layout.cframe_previous, previous);
    made_set(&w->f, o, w->f.py.layout.cframe_current_frame, current);
    return o;
}
#endif
