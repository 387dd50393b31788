// SPDX-License-Identifier: Apache-2.0
// Walking frames through damaged memory. A whole stack is built; the input says what is overwritten: kind
// (1), then pieces of offset (2), width (1), value (as many bytes).
#define MADE_SIZE 16384u
#include "../unit/made_objects.h"
#include "interp/code.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_FRAMES 64

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void build_objects(struct world *w, pyb_addr code, pyb_addr other)
{
    pyb_addr frame = 0;
    for (int i = 0; i < 6; i++)
        frame = world_frame_object(w, frame, i & 1 ? code : other, i * 2);
    w->t.top = frame;
}

static void build_iframes(struct world *w, pyb_addr code, pyb_addr other)
{
    pyb_addr frame = 0;
    for (int i = 0; i < 9; i++)
        frame = i % 3 ? world_iframe(w, frame, i & 1 ? code : other, i * 2, (unsigned)i & 1)
                      : world_iframe(w, frame, 0, 0, 3);
    w->t.top = frame;
}

static void build_cframes(struct world *w, pyb_addr code, pyb_addr other, bool shims)
{
    pyb_addr frame = 0, cframe = world_cframe(w, 0, 0);
    for (int i = 0; i < 3; i++) {
        if (shims)
            frame = world_iframe(w, frame, other, 0, 3);
        for (int k = 0; k < 2; k++) {
            frame = world_iframe(w, frame, i & 1 ? code : other, i * 4, (unsigned)k);
            made_set(&w->f, frame, w->f.py.layout.iframe_is_entry, k == 0);
        }
        cframe = world_cframe(w, cframe, frame);
    }
    w->t.top = cframe;
}

static void build(struct world *w, unsigned kind)
{
    world_begin(w, (enum pyb_walker)(1 + kind % 3), kind & 0x40 ? 4 : 8, kind & 0x80);
    struct pyb_layout *l = &w->f.py.layout;
    bool shims = kind & 0x20 || kind % 3 == 2;
    if (shims)
        l->owner_cstack = 3;
    else
        l->iframe_is_entry = (struct pyb_field){40, 1};
    l->executable_tag_mask = kind & 0x10 ? 3 : 0;
    pyb_addr code = world_code(w, "f", "C.f", "x.py", 10), other = world_code(w, "g", "g", "/tmp/y.py", 30);
    if (kind % 3 == 0)
        build_objects(w, code, other);
    else if (kind % 3 == 1)
        build_cframes(w, code, other, shims);
    else
        build_iframes(w, code, other);
}

static void damage(struct world *w, const uint8_t *data, size_t size)
{
    while (size >= 4) {
        size_t at = (size_t)(data[0] | data[1] << 8) % MADE_SIZE, width = data[2] % 8 + 1;
        data += 3;
        size -= 3;
        width = width < size ? width : size;
        width = width < MADE_SIZE - at ? width : MADE_SIZE - at;
        memcpy(w->f.data + at, data, width);
        data += width;
        size -= width;
    }
}

static void check(struct world *w)
{
    struct pyb_frames r;
    struct pyb_error err = {0};
    if (pyb_frames_read(&w->f.py, &w->t, MAX_FRAMES, &w->f.py.arena, &r, &err)) {
        require(err.code < 0 && err.what[0]);
        return;
    }
    require(r.n <= MAX_FRAMES && (r.complete || r.note));
    uint32_t covered = 0;
    for (uint32_t i = 0; i < r.n_evaluations; i++) {
        require(r.evaluations[i].first == covered && r.evaluations[i].n <= r.n - covered);
        covered += r.evaluations[i].n;
    }
    require(covered == r.n);
    for (uint32_t i = 0; i < r.n; i++) {
        const struct pyb_code *code;
        struct pyb_position p;
        require(r.frames[i].evaluation < r.n_evaluations && r.frames[i].lasti >= -1);
        require(pyb_code_get(&w->f.py, r.frames[i].code, &code, NULL) == 0);
        (void)pyb_code_position(&w->f.py, code, r.frames[i].lasti, &p, NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct world w;
    build(&w, data[0]);
    damage(&w, data + 1, size - 1);
    check(&w);
    w.f.py.generation++; // and once more, with what is remembered
    size_t half = (size - 1) / 2;
    damage(&w, data + 1 + half, size - 1 - half);
    check(&w);
    made_deinit(&w.f);
    return 0;
}
