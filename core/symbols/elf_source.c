// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "symbols/elf_internal.h"

struct pyb_bytes pyb_elf_bytes(const struct pyb_elf *e, const void *data, size_t len)
{
    return pyb_bytes(data, len, e->ptr_size, e->big_endian);
}

static bool touch(struct pyb_elf *e, uint64_t page)
{
    if (pyb_map_get(&e->touched, page, NULL))
        return true;
    size_t n = e->touched.used, old = e->cap_touched, cap = old ? old * 2 : 64;
    if (n == old) {
        void *more = pyb_realloc(e->ctx, e->touched_list, old * sizeof(page), cap * sizeof(page));
        if (!more)
            return false;
        e->touched_list = more;
        e->cap_touched = cap;
    }
    if (n >= PYB_ELF_MAX_TOUCHED || pyb_map_put(&e->touched, page, 1) != 0)
        return false;
    e->touched_list[n] = page;
    return true;
}

// A recording must be able to give the same bytes again. Out of memory here only makes the recording poorer.
static void note_touched(struct pyb_elf *e, uint64_t offset, size_t len)
{
    if (e->quiet || len == 0)
        return;
    for (uint64_t page = offset / PYB_ELF_PAGE; page <= (offset + len - 1) / PYB_ELF_PAGE; page++) {
        if (!touch(e, page))
            return;
    }
}

static size_t pread_fd(struct pyb_elf *e, uint64_t offset, void *buf, size_t len)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pread(e->fd, (char *)buf + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break; // an I/O error reads like a file that ends here
        done += (size_t)n;
    }
    note_touched(e, offset, done);
    return done;
}

static const struct pyb_elf_page *find_page(const struct pyb_elf *e, uint64_t index)
{
    size_t low = 0, high = e->n_pages;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (e->pages[mid].index == index)
            return &e->pages[mid];
        if (e->pages[mid].index < index)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

static size_t pread_pages(const struct pyb_elf *e, uint64_t offset, void *buf, size_t len)
{
    size_t done = 0;
    while (done < len) {
        uint64_t at = offset + done;
        const struct pyb_elf_page *page = find_page(e, at / PYB_ELF_PAGE);
        size_t skip = at % PYB_ELF_PAGE;
        if (!page || skip >= page->len)
            break;
        size_t n = page->len - skip < len - done ? page->len - skip : len - done;
        memcpy((char *)buf + done, page->data + skip, n);
        done += n;
    }
    return done;
}

size_t pyb_elf_pread(struct pyb_elf *e, uint64_t offset, void *buf, size_t len)
{
    if (offset > INT64_MAX - len)
        return 0;
    switch (e->source) {
    case PYB_ELF_FILE:
        return pread_fd(e, offset, buf, len);
    case PYB_ELF_PAGES:
        return pread_pages(e, offset, buf, len);
    case PYB_ELF_BUFFER:
        if (offset >= e->file_size)
            return 0;
        if (len > e->file_size - offset)
            len = (size_t)(e->file_size - offset);
        memcpy(buf, e->buffer + offset, len);
        return len;
    case PYB_ELF_MEMORY:
        break;
    }
    return 0;
}

bool pyb_elf_extent(const struct pyb_elf *e, uint64_t *ret_low, uint64_t *ret_high)
{
    uint64_t low = UINT64_MAX, high = 0;
    for (size_t i = 0; i < e->n_segments; i++) {
        const struct pyb_elf_segment *s = &e->segments[i];
        if (s->vaddr < low)
            low = s->vaddr;
        if (s->vaddr + s->memsz > high)
            high = s->vaddr + s->memsz;
    }
    if (low >= high)
        return false;
    *ret_low = low;
    *ret_high = high;
    return true;
}

// The PT_LOAD whose file (or, in memory, whole) extent holds vaddr.
static const struct pyb_elf_segment *segment_of(const struct pyb_elf *e, uint64_t vaddr)
{
    for (size_t i = 0; i < e->n_segments; i++) {
        const struct pyb_elf_segment *s = &e->segments[i];
        uint64_t size = e->source == PYB_ELF_MEMORY ? s->memsz : s->filesz;
        if (vaddr >= s->vaddr && vaddr - s->vaddr < size)
            return s;
    }
    return NULL;
}

int pyb_elf_read(struct pyb_elf *e, uint64_t vaddr, void *buf, size_t len, size_t *ret, struct pyb_error *err)
{
    const struct pyb_elf_segment *s = segment_of(e, vaddr);
    *ret = 0;
    if (!s)
        return pyb_fail_at(err, PYB_E_FAULT, vaddr, len, "no segment of the ELF object holds address 0x%llx",
                           (unsigned long long)vaddr);
    uint64_t skip = vaddr - s->vaddr;
    uint64_t size = e->source == PYB_ELF_MEMORY ? s->memsz : s->filesz;
    if (len > size - skip)
        len = (size_t)(size - skip);
    if (e->source == PYB_ELF_MEMORY)
        return pyb_read_some(e->mem, e->bias + vaddr, buf, len, ret, err);
    *ret = pyb_elf_pread(e, s->offset + skip, buf, len);
    if (*ret == 0 && len > 0)
        return pyb_fail_at(err, PYB_E_FAULT, vaddr, len, "the ELF file has no bytes for address 0x%llx",
                           (unsigned long long)vaddr);
    return 0;
}

bool pyb_elf_read_all(struct pyb_elf *e, uint64_t vaddr, void *buf, size_t len)
{
    size_t got;
    return pyb_elf_read(e, vaddr, buf, len, &got, NULL) == 0 && got == len;
}
