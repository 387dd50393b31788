// SPDX-License-Identifier: Apache-2.0
/*
 * The parts of an ELF object that a recording needs: the pages of the file that were read (headers, dynamic
 * section, sections, .rodata of a scan) and the answers that were given (names, functions, FDEs), which stand
 * for tables too large to carry.
 */
#include <stdlib.h>

#include "base/error.h"
#include "symbols/elf_internal.h"
#include "symbols/modules_internal.h"
#include "symbols/saved.h"

#define MAX_PAGES PYB_ELF_MAX_TOUCHED

static void save_page(struct pyb_elf *e, uint64_t index, struct pyb_buf *ret)
{
    uint8_t data[PYB_ELF_PAGE];
    e->quiet++;
    size_t n = pyb_elf_pread(e, index * PYB_ELF_PAGE, data, sizeof(data));
    e->quiet--;
    pyb_put_uint(ret, index, 8);
    pyb_put_bytes(ret, data, n);
}

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

static void save_pages(struct pyb_elf *e, struct pyb_buf *ret)
{
    size_t n = e->source == PYB_ELF_FILE ? e->touched.used : e->source == PYB_ELF_PAGES ? e->n_pages : 0;
    pyb_put_uint(ret, n, 4);
    if (e->source == PYB_ELF_FILE && n)
        qsort(e->touched_list, n, sizeof(*e->touched_list), compare); // their order is of no other use
    for (size_t i = 0; i < n; i++)
        save_page(e, e->source == PYB_ELF_FILE ? e->touched_list[i] : e->pages[i].index, ret);
}

int pyb_elf_save(struct pyb_elf *e, struct pyb_buf *ret)
{
    pyb_put_uint(ret, e->source == PYB_ELF_MEMORY, 1);
    save_pages(e, ret);
    pyb_put_uint(ret, e->n_answers, 4);
    for (const struct pyb_elf_answer *a = e->answers; a; a = a->next) {
        pyb_put_uint(ret, a->kind, 1);
        pyb_put_uint(ret, (uint32_t)a->code, 4);
        pyb_put_uint(ret, a->vaddr, 8);
        pyb_put_uint(ret, a->start, 8);
        pyb_put_uint(ret, a->end, 8);
        pyb_put_uint(ret, a->type, 1);
        pyb_put_uint(ret, a->bind, 1);
        pyb_put_str(ret, a->name);
    }
    return ret->failed || ret->limited ? PYB_E_NOMEM : 0;
}

static bool take_pages(struct pyb_elf *e, struct pyb_saved *s)
{
    uint64_t n = pyb_take_uint(s, 4);
    if (s->b.bad || n > MAX_PAGES)
        return false;
    struct pyb_elf_page *pages = pyb_arena_array(&e->arena, n ? (size_t)n : 1, sizeof(*pages));
    if (!pages)
        return false;
    for (size_t i = 0; i < n; i++) {
        size_t len;
        pages[i].index = pyb_take_uint(s, 8);
        const uint8_t *data = pyb_take_bytes(s, &len);
        if (!data || len > PYB_ELF_PAGE || (i && pages[i].index <= pages[i - 1].index))
            return false;
        pages[i].data = data;
        pages[i].len = (uint32_t)len;
    }
    e->pages = pages;
    e->n_pages = (size_t)n;
    return true;
}

// What a look-up could have answered.
static bool is_sound(const struct pyb_elf_answer *a)
{
    switch (a->kind) {
    case PYB_ANSWER_NAME: return a->name && a->code <= 0;
    case PYB_ANSWER_COVER: return !a->name || (*a->name && a->start <= a->vaddr);
    case PYB_ANSWER_FDE: return a->code < 0 || (a->code == 0 && a->start <= a->vaddr && a->vaddr < a->end);
    case PYB_ANSWER_OWNERS: return a->code == 0 && !a->name && (a->end == 0 || a->start < a->end);
    }
    return false;
}

static bool take_answer(struct pyb_elf *e, struct pyb_saved *s)
{
    struct pyb_elf_answer a = {.kind = (enum pyb_elf_answer_kind)pyb_take_uint(s, 1)};
    a.code = (int32_t)pyb_take_uint(s, 4);
    a.vaddr = pyb_take_uint(s, 8);
    a.start = pyb_take_uint(s, 8);
    a.end = pyb_take_uint(s, 8);
    a.type = (uint8_t)pyb_take_uint(s, 1);
    a.bind = (uint8_t)pyb_take_uint(s, 1);
    a.name = pyb_take_str(s, &e->arena);
    if (s->b.bad || !is_sound(&a))
        return false;
    (void)pyb_elf_remember(e, &a); // beyond the limit: one answer less
    return true;
}

int pyb_elf_open_saved(struct pyb_ctx *ctx, struct pyb_memory *mem, pyb_addr ehdr, const uint8_t *data,
                       size_t len,
                       struct pyb_elf **ret, struct pyb_error *err)
{
    *ret = NULL;
    struct pyb_saved s = pyb_saved(data, len);
    bool memory = pyb_take_uint(&s, 1) != 0;
    if (memory && !mem)
        return pyb_fail(err, PYB_E_USAGE, "a recorded memory image without the recorded memory");
    struct pyb_elf *e = pyb_elf_new(ctx, memory ? PYB_ELF_MEMORY : PYB_ELF_PAGES);
    if (!e)
        return pyb_fail(err, PYB_E_NOMEM, "out of memory for an ELF object");
    e->mem = mem;
    int rc = take_pages(e, &s) ? pyb_elf_read_headers(e, ehdr, err)
                               : pyb_fail(err, PYB_E_CORRUPT,
                                          "the recording's pages of an ELF file make no sense");
    uint64_t n = rc == 0 ? pyb_take_uint(&s, 4) : 0;
    for (uint64_t i = 0; rc == 0 && i < n; i++) {
        if (!take_answer(e, &s))
            rc = pyb_fail(err, PYB_E_CORRUPT, "the recording's symbols make no sense (number %llu)",
                          (unsigned long long)i);
    }
    if (rc)
        pyb_elf_free(e);
    else
        *ret = e;
    return rc;
}
