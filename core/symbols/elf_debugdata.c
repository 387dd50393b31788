// SPDX-License-Identifier: Apache-2.0
/*
 * .gnu_debugdata ("MiniDebugInfo"): an xz-compressed ELF file whose .symtab has what was stripped from the
 * outer one.
 */
#ifdef PYB_HAVE_LZMA
#include <lzma.h>
#endif

#include "symbols/elf_internal.h"

#define MAX_PACKED (UINT64_C(32) << 20)
#define MAX_UNPACKED (UINT64_C(128) << 20)
#define MAX_DECODER (UINT64_C(128) << 20)

#ifdef PYB_HAVE_LZMA
static uint8_t *unxz(struct pyb_ctx *ctx, const uint8_t *data, size_t len, size_t *ret_len)
{
    lzma_stream stream = LZMA_STREAM_INIT;
    if (lzma_stream_decoder(&stream, MAX_DECODER, 0) != LZMA_OK)
        return NULL;
    size_t cap = 1u << 20;
    uint8_t *out = pyb_alloc(ctx, cap);
    stream.next_in = data;
    stream.avail_in = len;
    stream.next_out = out;
    stream.avail_out = out ? cap : 0;
    lzma_ret rc = LZMA_OK;
    while (out && rc == LZMA_OK) {
        if (stream.avail_out == 0) {
            uint8_t *more = cap < MAX_UNPACKED ? pyb_realloc(ctx, out, cap, cap * 2) : NULL;
            if (!more)
                break;
            out = more;
            stream.next_out = out + cap;
            stream.avail_out = cap;
            cap *= 2;
        }
        rc = lzma_code(&stream, LZMA_FINISH);
    }
    *ret_len = out ? (size_t)stream.total_out : 0;
    lzma_end(&stream);
    if (rc == LZMA_STREAM_END)
        return out;
    pyb_free(ctx, out);
    return NULL;
}
#else
static uint8_t *unxz(struct pyb_ctx *ctx, const uint8_t *data, size_t len, size_t *ret_len)
{
    (void)ctx, (void)data, (void)len, (void)ret_len; // built without liblzma: these symbols are missing
    return NULL;
}
#endif

static struct pyb_elf *open_buffer(struct pyb_ctx *ctx, uint8_t *data, size_t len)
{
    struct pyb_elf *inner = pyb_elf_new(ctx, PYB_ELF_BUFFER);
    if (!inner) {
        pyb_free(ctx, data);
        return NULL;
    }
    inner->buffer = data;
    inner->file_size = len;
    inner->debugdata_tried = true; // no nesting
    if (pyb_elf_read_headers(inner, 0, NULL) == 0)
        return inner;
    pyb_elf_free(inner);
    return NULL;
}

struct pyb_elf *pyb_elf_debugdata(struct pyb_elf *e)
{
    if (e->debugdata_tried)
        return e->debugdata;
    e->debugdata_tried = true;
    const struct pyb_elf_raw_section *s = pyb_elf_find_section(e, ".gnu_debugdata");
    if (!s || s->size == 0 || s->size > MAX_PACKED || e->source != PYB_ELF_FILE)
        return NULL;
    uint8_t *packed = pyb_alloc(e->ctx, (size_t)s->size);
    size_t len = 0;
    uint8_t *data = NULL;
    if (packed && pyb_elf_pread(e, s->offset, packed, (size_t)s->size) == s->size)
        data = unxz(e->ctx, packed, (size_t)s->size, &len);
    pyb_free(e->ctx, packed);
    e->debugdata = data ? open_buffer(e->ctx, data, len) : NULL;
    // Symbols are decoded with the inner file's word size, names are interned outside.
    if (e->debugdata && e->debugdata->ptr_size != e->ptr_size) {
        pyb_elf_free(e->debugdata);
        e->debugdata = NULL;
    }
    return e->debugdata;
}
