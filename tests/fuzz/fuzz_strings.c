// SPDX-License-Identifier: Apache-2.0
// Reading str and bytes objects. Input: model and shape (1), limit (1), then the object's memory.
#define MADE_SIZE 8192u
#include "../unit/made_layout.h"
#include "../unit/made_target.h"
#include "interp/string.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

static void read_all(struct made *m, pyb_addr addr, size_t limit)
{
    const char *text = NULL;
    bool cut;
    struct pyb_error err = {0};
    int code = pyb_string_read(&m->py, addr, limit, &m->py.arena, &text, &cut, &err);
    require(code <= 0 && (code || text) && (!code || err.code == code));
    if (!code)
        require_utf8(text);
    uint32_t points[300];
    uint8_t bytes[300];
    size_t n = 0;
    int64_t total = 0;
    if (!pyb_string_codepoints(&m->py, addr, points, limit, &n, &total, NULL))
        require(n <= limit && total >= 0);
    if (!pyb_bytes_object_read(&m->py, addr, bytes, limit, &n, &total, NULL))
        require(n <= limit && total >= (int64_t)n);
    (void)pyb_string_equals(&m->py, addr, "name");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct pyb_layout l = made_layout_nothing(data[0] & 1 ? 4 : 8, data[0] & 2);
    made_layout_objects(&l);
    made_layout_strings(&l, (enum pyb_unicode_model)(1 + (data[0] >> 2) % 3), data[0] & 0x80 ? 2 : 4);
    struct made m;
    made_init(&m, &l);
    pyb_addr str = made_type(&m, "str", (uint64_t)1 << (data[0] & 0x40 ? 27 : 28));
    size_t rest = MADE_SIZE - m.used, n = size - 2 < rest ? size - 2 : rest;
    pyb_addr object = MADE_BASE + m.used;
    memcpy(m.data + m.used, data + 2, n);
    made_set(&m, object, l.obj_type, str);
    read_all(&m, object, data[1]);
    made_deinit(&m);
    return 0;
}
