// SPDX-License-Identifier: Apache-2.0
#include <elf.h>
#include <inttypes.h>

#include "base/error.h"
#include "memory/readers.h"

#define PAGE 4096u

struct callback {
    struct pyb_memory base;
    uint64_t (*read)(void *ctx, pyb_addr addr, void *buf, uint64_t len);
    void *read_ctx;
};

// One call. Sets *ret to the bytes that came; negative when the callback itself failed.
static int call(struct callback *c, struct pyb_range *r, size_t want, size_t *ret, struct pyb_error *err)
{
    pyb_addr at = r->addr + r->done;
    uint64_t got = c->read(c->read_ctx, at, (char *)r->buf + r->done, want);
    *ret = 0;
    // Such reads may take long (a serial line): the next check asks for Ctrl-C and looks at the clock.
    c->base.ctx->check_countdown = 0;
    if (got > want) {
        int rc = pyb_ctx_check(c->base.ctx, err);
        return rc ? rc
                  : pyb_fail_at(err, PYB_E_FAILED, at, want,
                                "the debugger failed to read %zu bytes at 0x%" PRIx64, want, at);
    }
    *ret = (size_t)got;
    return 0;
}

static int callback_read(struct callback *c, struct pyb_range *r, struct pyb_error *err)
{
    size_t got;
    int rc = call(c, r, r->len, &got, err);
    r->done = got;
    // A debugger refuses a range of which one page is missing: what is readable before that page comes page
    // by page.
    while (rc == 0 && r->done < r->len) {
        size_t to_end = PAGE - (size_t)((r->addr + r->done) % PAGE);
        size_t rest = r->len - r->done;
        if (rest <= to_end && r->done == 0)
            break; // that was asked already
        rc = call(c, r, rest < to_end ? rest : to_end, &got, err);
        r->done += got;
        if (got == 0)
            break;
        if (rc == 0)
            rc = pyb_ctx_check(c->base.ctx, err);
    }
    return rc;
}

static int callback_readv(struct pyb_memory *m, struct pyb_range *ranges, size_t n, struct pyb_error *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (ranges[i].len)
            rc = callback_read((struct callback *)m, &ranges[i], err);
        if (rc == 0)
            rc = pyb_ctx_check(m->ctx, err);
    }
    return rc;
}

static void callback_destroy(struct pyb_memory *m)
{
    pyb_free(m->ctx, m);
}

static const struct pyb_memory_ops callback_ops = {
    .name = "debugger",
    .readv = callback_readv,
    .destroy = callback_destroy,
};

static uint16_t host_machine(void)
{
#if defined(__x86_64__)
    return EM_X86_64;
#elif defined(__aarch64__)
    return EM_AARCH64;
#elif defined(__i386__)
    return EM_386;
#elif defined(__arm__)
    return EM_ARM;
#elif defined(__riscv)
    return EM_RISCV;
#elif defined(__powerpc64__)
    return EM_PPC64;
#elif defined(__s390x__)
    return EM_S390;
#else
    return EM_NONE;
#endif
}

int pyb_callback_open(struct pyb_ctx *ctx, const struct pyb_target_desc *desc, struct pyb_memory **ret,
                      struct pyb_error *err)
{
    *ret = NULL;
    if (!desc->read)
        return pyb_fail(err, PYB_E_USAGE, "a target without a read callback");
    if (desc->ptr_size != 4 && desc->ptr_size != 8)
        return pyb_fail(err, PYB_E_USAGE, "a pointer of %u bytes: 4 or 8 are known", desc->ptr_size);
    struct callback *c = pyb_alloc(ctx, sizeof(*c));
    if (!c)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for a reader");
    c->base = (struct pyb_memory){
        .ops = &callback_ops,
        .ctx = ctx,
        .ptr_size = desc->ptr_size,
        .big_endian = desc->big_endian,
        .machine = desc->machine ? desc->machine : host_machine(),
    };
    c->read = desc->read;
    c->read_ctx = desc->ctx;
    *ret = &c->base;
    return 0;
}
