// SPDX-License-Identifier: Apache-2.0
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "symbols/elf_internal.h"

struct pyb_elf *pyb_elf_new(struct pyb_ctx *ctx, enum pyb_elf_source source)
{
    struct pyb_elf *e = pyb_alloc(ctx, sizeof(*e));
    if (!e)
        return NULL;
    e->ctx = ctx;
    e->source = source;
    e->fd = -1;
    pyb_arena_init(&e->arena, ctx);
    pyb_map_init(&e->touched, ctx);
    pyb_map_init(&e->names, ctx);
    pyb_map_init(&e->covers, ctx);
    pyb_map_init(&e->fdes, ctx);
    pyb_map_init(&e->owners, ctx);
    return e;
}

void pyb_elf_free(struct pyb_elf *e)
{
    if (!e)
        return;
    struct pyb_ctx *ctx = e->ctx;
    pyb_dwarf_free(e->dwarf);   // before the files that it reads
    pyb_elf_free(e->separate);  // depth 1 as well
    pyb_elf_free(e->debugdata); // depth 1: a buffer has no .gnu_debugdata of its own
    if (e->fd >= 0)
        close(e->fd);
    pyb_free(ctx, e->buffer);
    pyb_free(ctx, e->sections);
    pyb_free(ctx, e->section_names);
    pyb_free(ctx, e->funcs);
    pyb_free(ctx, e->func_ends);
    pyb_free(ctx, e->extents);
    pyb_free(ctx, e->debug_frame);
    pyb_free(ctx, e->touched_list);
    pyb_map_deinit(&e->touched);
    pyb_map_deinit(&e->names);
    pyb_map_deinit(&e->covers);
    pyb_map_deinit(&e->fdes);
    pyb_map_deinit(&e->owners);
    pyb_arena_deinit(&e->arena);
    pyb_free(ctx, e);
}

struct phdr { uint32_t type, flags; uint64_t offset, vaddr, filesz, memsz, align; };

static struct phdr decode_phdr(struct pyb_bytes *b, size_t at)
{
    struct phdr p = {.type = pyb_get_u32(b, at)};
    if (b->ptr_size == 8) {
        p.flags = pyb_get_u32(b, at + 4);
        p.offset = pyb_get_u64(b, at + 8);
        p.vaddr = pyb_get_u64(b, at + 16);
        p.filesz = pyb_get_u64(b, at + 32);
        p.memsz = pyb_get_u64(b, at + 40);
        p.align = pyb_get_u64(b, at + 48);
    } else {
        p.offset = pyb_get_u32(b, at + 4);
        p.vaddr = pyb_get_u32(b, at + 8);
        p.filesz = pyb_get_u32(b, at + 16);
        p.memsz = pyb_get_u32(b, at + 20);
        p.flags = pyb_get_u32(b, at + 24);
        p.align = pyb_get_u32(b, at + 28);
    }
    return p;
}

static void take_phdr(struct pyb_elf *e, const struct phdr *p)
{
    uint64_t end;
    // A header that wraps has nothing to say.
    if (p->memsz == 0 || __builtin_add_overflow(p->vaddr, p->memsz - 1, &end) || p->filesz > p->memsz ||
        p->offset > INT64_MAX || p->filesz > INT64_MAX - p->offset)
        return;
    struct pyb_elf_span span = {p->vaddr, p->memsz, p->align};
    if (p->type == PT_LOAD && end != UINT64_MAX)
        e->segments[e->n_segments++] = (struct pyb_elf_segment){p->vaddr, p->memsz, p->filesz, p->offset,
                                                                p->flags};
    else if (p->type == PT_DYNAMIC)
        e->dynamic_span = span;
    else if (p->type == PT_GNU_EH_FRAME)
        e->eh_frame_hdr = span;
    else if (p->type == PT_NOTE && e->n_notes < PYB_ELF_MAX_NOTES)
        e->notes[e->n_notes++] = span;
}

static size_t phdr_size(const struct pyb_elf *e)
{
    return e->ptr_size == 8 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
}

int pyb_elf_parse_segments(struct pyb_elf *e, const void *data, size_t len, uint16_t n, struct pyb_error *err)
{
    struct pyb_bytes b = pyb_elf_bytes(e, data, len);
    e->segments = pyb_arena_array(&e->arena, n ? n : 1, sizeof(*e->segments));
    if (!e->segments)
        return pyb_fail(err, PYB_E_NOMEM, "out of memory for %u program headers", n);
    for (size_t i = 0; i < n; i++) {
        struct phdr p = decode_phdr(&b, i * phdr_size(e));
        if (b.bad)
            return pyb_fail(err, PYB_E_CORRUPT, "ELF program headers end early: %zu of %u", i, n);
        take_phdr(e, &p);
    }
    return 0;
}

static int parse_ident(struct pyb_elf *e, const uint8_t *ident, struct pyb_error *err)
{
    if (memcmp(ident, ELFMAG, SELFMAG) != 0)
        return pyb_fail(err, PYB_E_UNSUPPORTED, "not an ELF object: begins with %02x %02x %02x %02x",
                        ident[0], ident[1],
                        ident[2], ident[3]);
    uint8_t class = ident[EI_CLASS], order = ident[EI_DATA];
    if ((class != ELFCLASS32 && class != ELFCLASS64) || (order != ELFDATA2LSB && order != ELFDATA2MSB))
        return pyb_fail(err, PYB_E_CORRUPT, "ELF class %u, byte order %u: unknown", class, order);
    e->ptr_size = class == ELFCLASS64 ? 8 : 4;
    e->big_endian = order == ELFDATA2MSB;
    return 0;
}

// Headers are at a file offset, or at an address when the source is memory.
static size_t read_header(struct pyb_elf *e, pyb_addr ehdr, uint64_t offset, void *buf, size_t len)
{
    if (e->source != PYB_ELF_MEMORY)
        return pyb_elf_pread(e, offset, buf, len);
    size_t got = 0;
    if (offset > UINT64_MAX - ehdr || pyb_read_some(e->mem, ehdr + offset, buf, len, &got, NULL) != 0)
        return 0;
    return got;
}

static int read_phdrs(struct pyb_elf *e, pyb_addr ehdr, uint64_t phoff, uint16_t phnum, struct pyb_error *err)
{
    size_t len = phnum * phdr_size(e);
    uint8_t *data = pyb_alloc(e->ctx, len);
    if (!data)
        return pyb_fail(err, PYB_E_NOMEM, "out of memory for %u program headers", phnum);
    size_t got = read_header(e, ehdr, phoff, data, len);
    int rc = got == len ? pyb_elf_parse_segments(e, data, len, phnum, err)
                        : pyb_fail(err, PYB_E_CORRUPT,
                                   "ELF object ends in its program headers (at offset %llu)",
                                   (unsigned long long)(phoff + got));
    pyb_free(e->ctx, data);
    e->phdr_end = phoff + len;
    return rc;
}

// Runtime address minus virtual address: the PT_LOAD that holds file offset 0 was mapped at ehdr.
static int memory_bias(struct pyb_elf *e, pyb_addr ehdr, struct pyb_error *err)
{
    for (size_t i = 0; i < e->n_segments; i++) {
        const struct pyb_elf_segment *s = &e->segments[i];
        if (s->offset < PYB_ELF_PAGE && s->filesz > 0 && s->vaddr >= s->offset) {
            e->bias = ehdr - (s->vaddr - s->offset);
            if (e->type == ET_EXEC && e->bias != 0)
                break;
            return 0;
        }
    }
    return pyb_fail_at(err, PYB_E_UNSUPPORTED, ehdr, 0,
                       "the ELF object at 0x%llx is mapped, but was not loaded as a program", (unsigned long long)ehdr);
}

int pyb_elf_read_headers(struct pyb_elf *e, pyb_addr ehdr, struct pyb_error *err)
{
    uint8_t header[sizeof(Elf64_Ehdr)] = {0};
    size_t got = read_header(e, ehdr, 0, header, sizeof(header));
    if (got < sizeof(Elf32_Ehdr))
        return pyb_fail_at(err, e->source == PYB_ELF_MEMORY ? PYB_E_FAULT : PYB_E_CORRUPT, ehdr,
                           sizeof(header),
                           "no ELF header: only %zu bytes there", got);
    int rc = parse_ident(e, header, err);
    if (rc)
        return rc;
    struct pyb_bytes b = pyb_elf_bytes(e, header, got);
    bool wide = e->ptr_size == 8;
    e->type = pyb_get_u16(&b, 16);
    e->machine = pyb_get_u16(&b, 18);
    uint64_t phoff = wide ? pyb_get_u64(&b, 32) : pyb_get_u32(&b, 28);
    e->shoff = wide ? pyb_get_u64(&b, 40) : pyb_get_u32(&b, 32);
    size_t tail = wide ? 54 : 42;
    uint16_t phentsize = pyb_get_u16(&b, tail), phnum = pyb_get_u16(&b, tail + 2);
    uint16_t shentsize = pyb_get_u16(&b, tail + 4);
    e->shnum = pyb_get_u16(&b, tail + 6);
    e->shstrndx = pyb_get_u16(&b, tail + 8);
    if (b.bad)
        return pyb_fail(err, PYB_E_CORRUPT, "ELF header ends early: %zu bytes", got);
    if (shentsize != (wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr)) || e->source == PYB_ELF_MEMORY)
        e->shoff = 0; // section headers are not mapped
    if (phnum == 0 && e->source != PYB_ELF_MEMORY)
        return 0; // an object with sections only
    if (phentsize != phdr_size(e) || phnum == 0 || phnum > PYB_ELF_MAX_SEGMENTS || phoff > INT64_MAX)
        return pyb_fail(err, PYB_E_CORRUPT, "ELF header: %u program headers of %u bytes at offset %llu",
                        phnum, phentsize,
                        (unsigned long long)phoff);
    rc = read_phdrs(e, ehdr, phoff, phnum, err);
    if (rc == 0 && e->source == PYB_ELF_MEMORY)
        rc = memory_bias(e, ehdr, err);
    return rc;
}

int pyb_elf_open_fd(struct pyb_ctx *ctx, int fd, struct pyb_elf **ret, struct pyb_error *err)
{
    *ret = NULL;
    struct pyb_elf *e = pyb_elf_new(ctx, PYB_ELF_FILE);
    if (!e) {
        close(fd);
        return pyb_fail(err, PYB_E_NOMEM, "out of memory for an ELF object");
    }
    e->fd = fd;
    struct stat st;
    int rc = 0;
    if (fstat(fd, &st) != 0)
        rc = pyb_fail_errno(err, errno, "cannot stat the ELF file");
    else if (!S_ISREG(st.st_mode))
        rc = pyb_fail(err, PYB_E_UNSUPPORTED, "not a regular file");
    else
        e->file_size = (uint64_t)st.st_size;
    if (rc == 0)
        rc = pyb_elf_read_headers(e, 0, err);
    if (rc)
        pyb_elf_free(e);
    else
        *ret = e;
    return rc;
}

int pyb_elf_open_memory(struct pyb_ctx *ctx, struct pyb_memory *mem, pyb_addr ehdr, struct pyb_elf **ret,
                        struct pyb_error *err)
{
    *ret = NULL;
    struct pyb_elf *e = pyb_elf_new(ctx, PYB_ELF_MEMORY);
    if (!e)
        return pyb_fail(err, PYB_E_NOMEM, "out of memory for an ELF object");
    e->mem = mem;
    int rc = pyb_elf_read_headers(e, ehdr, err);
    if (rc == 0 && e->type != ET_EXEC && e->type != ET_DYN)
        rc = pyb_fail_at(err, PYB_E_UNSUPPORTED, ehdr, 0,
                         "ELF type %u in memory: neither a program nor a library", e->type);
    if (rc)
        pyb_elf_free(e);
    else
        *ret = e;
    return rc;
}

int pyb_elf_open_phdrs(struct pyb_ctx *ctx, struct pyb_memory *mem, pyb_addr phdrs, uint16_t n, pyb_addr bias,
                       struct pyb_elf **ret, struct pyb_error *err)
{
    *ret = NULL;
    struct pyb_elf *e = pyb_elf_new(ctx, PYB_ELF_MEMORY);
    if (!e)
        return pyb_fail(err, PYB_E_NOMEM, "out of memory for an ELF object");
    e->mem = mem;
    e->bias = bias;
    e->ptr_size = mem->ptr_size;
    e->big_endian = mem->big_endian;
    e->machine = mem->machine;
    e->type = bias ? ET_DYN : ET_EXEC;
    int rc = n && n <= PYB_ELF_MAX_SEGMENTS
                 ? 0 : pyb_fail(err, PYB_E_CORRUPT, "%u program headers: out of bounds", n);
    if (rc == 0)
        rc = read_phdrs(e, phdrs, 0, n, err);
    if (rc)
        pyb_elf_free(e);
    else
        *ret = e;
    return rc;
}

bool pyb_elf_is_file(const struct pyb_elf *e)
{
    return e->source != PYB_ELF_MEMORY;
}

int pyb_elf_fd(const struct pyb_elf *e)
{
    return e->fd;
}

pyb_addr pyb_elf_memory_bias(const struct pyb_elf *e)
{
    return e->bias;
}

uint8_t pyb_elf_ptr_size(const struct pyb_elf *e)
{
    return e->ptr_size;
}

uint16_t pyb_elf_machine(const struct pyb_elf *e)
{
    return e->machine;
}

uint16_t pyb_elf_type(const struct pyb_elf *e)
{
    return e->type;
}

const struct pyb_elf_segment *pyb_elf_segments(const struct pyb_elf *e, size_t *ret_n)
{
    *ret_n = e->n_segments;
    return e->segments;
}
