// SPDX-License-Identifier: Apache-2.0
// A core of any bytes: headers, notes, archives; then reads where its own facts point.
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/context.h"
#include "memory/corefile.h"
#include "memory/readers.h"

static volatile uint8_t sink;

// What the facts hand out must be readable by us to its last byte.
static void touch(const void *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        sink = (uint8_t)(sink + ((const uint8_t *)data)[i]);
}

static void touch_text(const char *text)
{
    if (text)
        touch(text, strlen(text));
}

static void use_facts(struct pyb_memory *m)
{
    const struct pyb_core_facts *f = pyb_core_facts(m);
    struct pyb_error err;
    uint8_t buf[300];
    size_t got;
    touch_text(f->command);
    touch_text(f->name);
    touch_text(f->note);
    touch(f->auxv, f->auxv_len);
    for (size_t i = 0; i < f->n_threads; i++) {
        touch(f->threads[i].regs, f->threads[i].regs_len);
        (void)pyb_read_some(m, f->threads[i].sp, buf, sizeof(buf), &got, &err);
    }
    for (size_t i = 0; i < f->n_mappings; i++) {
        if (f->mappings[i].start >= f->mappings[i].end)
            abort();
        touch_text(f->mappings[i].path);
    }
    for (size_t i = 0; i < f->n_segments && i < 50; i++) {
        const struct pyb_core_segment *s = &f->segments[i];
        if (s->start >= s->end || s->file_size > s->end - s->start)
            abort();
        (void)pyb_read_some(m, s->start, buf, sizeof(buf), &got, &err);
        touch(buf, got);
        (void)pyb_read_some(m, s->start + s->file_size - 8, buf, sizeof(buf), &got, &err);
        (void)pyb_read_some(m, s->end - 8, buf, sizeof(buf), &got, &err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int file = -1;
    if (file < 0)
        file = memfd_create("core", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, (off_t)size) != 0 || pwrite(file, data, size, 0) != (ssize_t)size)
        abort();
    struct pyb_options o = {.size = sizeof(o), .max_bytes = 16 << 20, .max_ms = 2000};
    struct pyb_ctx ctx;
    pyb_ctx_init(&ctx, &o);
    pyb_ctx_begin(&ctx);
    struct pyb_memory *m;
    struct pyb_error err;
    int rc = pyb_core_open_fd(&ctx, dup(file), "fuzz", &m, &err);
    if ((rc == 0) != (m != NULL) || (rc && (rc != err.code || !err.what[0])))
        abort();
    if (rc)
        return 0;
    // Left-out pages of the first mapping come from the same file.
    const struct pyb_core_facts *f = pyb_core_facts(m);
    if (f->n_mappings)
        (void)pyb_core_back(m, f->mappings[0].start, f->mappings[0].end, file, f->mappings[0].file_offset,
                            &err);
    use_facts(m);
    pyb_memory_destroy(m);
    return 0;
}
