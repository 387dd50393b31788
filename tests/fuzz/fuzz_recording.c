// SPDX-License-Identifier: Apache-2.0
// A recording. An even first byte: what follows is the file as it is. An odd one: what follows describes
// sections, and the file is built from them with right sizes and checksums, so that the parsers behind the
// checksums are reached.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/context.h"
#include "memory/readers.h"
#include "memory/recording.h"

static struct pyb_ctx ctx;

static void put(struct pyb_buf *b, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        pyb_buf_addc(b, (char)(uint8_t)(value >> 8 * i));
}

// Of each section: kind and name length (a byte), size of the content (two bytes), name, content.
static void build(struct pyb_buf *b, const uint8_t *data, size_t size)
{
    pyb_buf_add(b, PYB_REC_MAGIC, PYB_REC_MAGIC_LEN);
    put(b, PYB_REC_VERSION, 2);
    put(b, PYB_REC_HEADER, 2);
    put(b, 8, 1);
    put(b, 0, 3);
    put(b, 4096, 4);
    put(b, 0, 4); // the number of sections: below
    put(b, 0, 8);
    uint32_t n = 0;
    while (size >= 3) {
        size_t name = data[0] >> 2 & 15, len = (size_t)(data[1] | data[2] << 8);
        uint8_t kind = data[0] & 3;
        data += 3;
        size -= 3;
        name = name < size ? name : size;
        len = len < size - name ? len : size - name;
        uLongf packed_len = compressBound(len);
        uint8_t *packed = malloc(packed_len);
        if (!packed || compress2(packed, &packed_len, data + name, len, 0) != Z_OK)
            abort();
        put(b, kind, 4);
        put(b, name, 4);
        put(b, len, 8);
        put(b, packed_len, 8);
        put(b, crc32(0, data + name, (uInt)len), 4);
        put(b, 0, 4);
        pyb_buf_add(b, data, name);
        pyb_buf_add(b, packed, packed_len);
        free(packed);
        data += name + len;
        size -= name + len;
        n++;
    }
    for (size_t i = 0; i < 4; i++)
        b->data[20 + i] = (char)(uint8_t)(n >> 8 * i);
    put(b, crc32(0, (const Bytef *)b->data, (uInt)b->len), 4);
    pyb_buf_adds(b, "end\n");
}

static void use(struct pyb_memory *m, const uint8_t *data, size_t size)
{
    struct pyb_error err;
    struct pyb_blob blob;
    uint8_t buf[300];
    size_t got;
    volatile uint8_t sum = 0;
    if (pyb_recording_blob(m, "", &blob) == 0 || pyb_recording_blob(m, "modules", &blob) == 0)
        for (size_t i = 0; i < blob.len; i++)
            sum = (uint8_t)(sum + ((const uint8_t *)blob.data)[i]);
    for (size_t at = 0; at + 8 <= size && at < 400; at += 8) { // addresses are among the input's words
        uint64_t addr;
        memcpy(&addr, data + at, 8);
        (void)pyb_read_some(m, addr, buf, sizeof(buf), &got, &err);
        (void)pyb_read_some(m, addr - 8, buf, sizeof(buf), &got, &err);
        (void)pyb_read_some(m, addr & ~UINT64_C(4095), buf, sizeof(buf), &got, &err);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int file = -1;
    static char path[64];
    if (file < 0) {
        file = memfd_create("recording", MFD_CLOEXEC);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    }
    if (size == 0)
        return 0;
    struct pyb_options o = {.size = sizeof(o), .max_bytes = 16 << 20};
    pyb_ctx_init(&ctx, &o);
    pyb_ctx_begin(&ctx);
    struct pyb_buf b;
    pyb_buf_init(&b, &ctx, 0);
    if (data[0] % 2)
        build(&b, data + 1, size - 1);
    else
        pyb_buf_add(&b, data + 1, size - 1);
    if (ftruncate(file, (off_t)b.len) != 0 || pwrite(file, pyb_buf_str(&b), b.len, 0) != (ssize_t)b.len)
        abort();
    struct pyb_memory *m;
    struct pyb_error err;
    int rc = pyb_recording_open(&ctx, path, &m, &err);
    if ((rc == 0) != (m != NULL) || (rc && (rc != err.code || !err.what[0])))
        abort();
    if (rc == 0) {
        use(m, data + 1 + 3, size > 4 ? size - 4 : 0);
        pyb_memory_destroy(m);
    }
    pyb_buf_deinit(&b);
    return 0;
}
