// SPDX-License-Identifier: Apache-2.0
#include "memory/corefile.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "memory/corefile_internal.h"

#define MAX_PHDRS (1u << 22) // vm.max_map_count is 1048576 at most on the distributions seen
#define PHDR_CHUNK 256u

size_t pyb_core_pread(int fd, void *buf, size_t len, uint64_t offset)
{
    size_t done = 0;
    while (done < len && offset <= INT64_MAX - len) {
        ssize_t n = pread(fd, (char *)buf + done, len - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        done += (size_t)n;
    }
    return done;
}

void pyb_core_remark(struct pyb_core *c, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    const char *old = c->facts.note;
    if (n < 0 || (old && strlen(old) > 1000))
        return;
    char *note = pyb_arena_printf(&c->arena, "%s%s%s", old ? old : "", old ? "; " : "", text);
    if (note)
        c->facts.note = note;
}

// The last segment that starts at or below addr, or NULL.
static const struct pyb_core_load *find_load(const struct pyb_core *c, pyb_addr addr)
{
    size_t low = 0, high = c->n_loads;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (c->loads[mid].start <= addr)
            low = mid + 1;
        else
            high = mid;
    }
    return low ? &c->loads[low - 1] : NULL;
}

static void core_read(const struct pyb_core *c, struct pyb_range *r)
{
    while (r->done < r->len) {
        pyb_addr at = r->addr + r->done;
        size_t want = r->len - r->done;
        char *buf = (char *)r->buf + r->done;
        const struct pyb_core_load *load = find_load(c, at);
        size_t got;
        if (load && at < load->file_end) {
            if (want > load->file_end - at)
                want = (size_t)(load->file_end - at);
            got = pyb_core_pread(c->fd, buf, want, load->offset + (at - load->start));
        } else {
            // The core is asked first, a mapped file only for what it lacks.
            bool last = !load || load == &c->loads[c->n_loads - 1];
            const struct pyb_core_load *next = load ? load + 1 : c->n_loads ? c->loads : NULL;
            if (next && (!last || !load) && want > next->start - at)
                want = (size_t)(next->start - at);
            got = pyb_core_read_backing(c, at, buf, want);
        }
        r->done += got;
        if (got == 0)
            return;
    }
}

static int core_readv(struct pyb_memory *m, struct pyb_range *ranges, size_t n, struct pyb_error *err)
{
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        core_read((const struct pyb_core *)m, &ranges[i]);
        rc = pyb_ctx_check(m->ctx, err);
    }
    return rc;
}

static void core_destroy(struct pyb_memory *m)
{
    struct pyb_core *c = (struct pyb_core *)m;
    pyb_core_close_backings(c);
    if (c->fd >= 0)
        (void)close(c->fd);
    pyb_arena_deinit(&c->arena);
    pyb_free(m->ctx, c);
}

static const struct pyb_memory_ops core_ops = {
    .name = "core",
    .readv = core_readv,
    .destroy = core_destroy,
};

struct header {
    uint64_t phoff, shoff;
    uint32_t phnum;
    uint16_t phentsize;
};

static struct pyb_core_phdr decode_phdr(const struct pyb_core *c, const uint8_t *raw, size_t len)
{
    struct pyb_bytes b = pyb_memory_bytes(&c->base, raw, len);
    struct pyb_core_phdr ph = {.type = pyb_get_u32(&b, 0)};
    if (c->base.ptr_size == 8) {
        ph.flags = pyb_get_u32(&b, offsetof(Elf64_Phdr, p_flags));
        ph.offset = pyb_get_u64(&b, offsetof(Elf64_Phdr, p_offset));
        ph.vaddr = pyb_get_u64(&b, offsetof(Elf64_Phdr, p_vaddr));
        ph.filesz = pyb_get_u64(&b, offsetof(Elf64_Phdr, p_filesz));
        ph.memsz = pyb_get_u64(&b, offsetof(Elf64_Phdr, p_memsz));
    } else {
        ph.flags = pyb_get_u32(&b, offsetof(Elf32_Phdr, p_flags));
        ph.offset = pyb_get_u32(&b, offsetof(Elf32_Phdr, p_offset));
        ph.vaddr = pyb_get_u32(&b, offsetof(Elf32_Phdr, p_vaddr));
        ph.filesz = pyb_get_u32(&b, offsetof(Elf32_Phdr, p_filesz));
        ph.memsz = pyb_get_u32(&b, offsetof(Elf32_Phdr, p_memsz));
    }
    return ph;
}

// The kernel puts the section header that has the number at the end of the file: lost when the core is cut.
// But the notes follow the program headers, and the first program header says where the notes are.
static int guess_phnum(struct pyb_core *c, struct header *h, const char *path, struct pyb_error *err)
{
    uint8_t raw[sizeof(Elf64_Phdr)];
    size_t size = c->base.ptr_size == 8 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);
    if (pyb_core_pread(c->fd, raw, size, h->phoff) == size) {
        struct pyb_core_phdr ph = decode_phdr(c, raw, size);
        uint64_t n = ph.offset > h->phoff ? (ph.offset - h->phoff) / h->phentsize : 0;
        if (ph.type == PT_NOTE && n > 0 && n <= MAX_PHDRS) {
            h->phnum = (uint32_t)n;
            return 0;
        }
    }
    return pyb_fail(err, PYB_E_CORRUPT, "%s: the number of its program headers is cut off", path);
}

// More than 65534 program headers: the number is in the first section header.
static int read_extended_phnum(struct pyb_core *c, struct header *h, const char *path, struct pyb_error *err)
{
    uint8_t raw[sizeof(Elf64_Shdr)];
    bool is64 = c->base.ptr_size == 8;
    size_t size = is64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
    if (h->shoff == 0 || pyb_core_pread(c->fd, raw, size, h->shoff) != size)
        return guess_phnum(c, h, path, err);
    struct pyb_bytes b = pyb_memory_bytes(&c->base, raw, size);
    h->phnum = pyb_get_u32(&b, is64 ? offsetof(Elf64_Shdr, sh_info) : offsetof(Elf32_Shdr, sh_info));
    if (h->phnum > MAX_PHDRS)
        return pyb_fail(err, PYB_E_CORRUPT, "%s: %" PRIu32 " program headers", path, h->phnum);
    return 0;
}

static int fail_not_core(uint16_t type, const char *path, struct pyb_error *err)
{
    const char *kind = type == ET_EXEC || type == ET_DYN ? "an executable or shared library"
                     : type == ET_REL                    ? "an object file"
                                                         : "an ELF file of another kind";
    (void)pyb_fail(err, PYB_E_UNSUPPORTED, "%s is %s, no core file (e_type %u)", path, kind, type);
    if (type == ET_EXEC || type == ET_DYN)
        (void)pyb_remedy(err, "name the core first, then the executable");
    return PYB_E_UNSUPPORTED;
}

static int read_header(struct pyb_core *c, struct header *h, const char *path, struct pyb_error *err)
{
    uint8_t raw[sizeof(Elf64_Ehdr)];
    size_t got = pyb_core_pread(c->fd, raw, sizeof(raw), 0);
    if (got == 0)
        return pyb_fail(err, PYB_E_CORRUPT, "%s is empty", path);
    if (got < SELFMAG || memcmp(raw, ELFMAG, SELFMAG) != 0)
        return pyb_fail(err, PYB_E_UNSUPPORTED,
                        "%s is no core file: it does not begin with ELF's magic bytes", path);
    bool is64 = got > EI_CLASS && raw[EI_CLASS] == ELFCLASS64;
    if (got < (is64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr)))
        return pyb_fail(err, PYB_E_CORRUPT, "%s ends within its ELF header, after %zu bytes", path, got);
    if (raw[EI_CLASS] != ELFCLASS32 && !is64)
        return pyb_fail(err, PYB_E_CORRUPT, "%s: ELF class %u", path, raw[EI_CLASS]);
    if (raw[EI_DATA] != ELFDATA2LSB && raw[EI_DATA] != ELFDATA2MSB)
        return pyb_fail(err, PYB_E_CORRUPT, "%s: ELF byte order %u", path, raw[EI_DATA]);
    c->base.ptr_size = is64 ? 8 : 4;
    c->base.big_endian = raw[EI_DATA] == ELFDATA2MSB;
    struct pyb_bytes b = pyb_memory_bytes(&c->base, raw, got);
    uint16_t type = pyb_get_u16(&b, offsetof(Elf64_Ehdr, e_type));
    c->base.machine = pyb_get_u16(&b, offsetof(Elf64_Ehdr, e_machine));
    if (type != ET_CORE)
        return fail_not_core(type, path, err);
    h->phoff = pyb_get_ptr(&b, is64 ? offsetof(Elf64_Ehdr, e_phoff) : offsetof(Elf32_Ehdr, e_phoff));
    h->shoff = pyb_get_ptr(&b, is64 ? offsetof(Elf64_Ehdr, e_shoff) : offsetof(Elf32_Ehdr, e_shoff));
    h->phentsize =
        pyb_get_u16(&b, is64 ? offsetof(Elf64_Ehdr, e_phentsize) : offsetof(Elf32_Ehdr, e_phentsize));
    h->phnum = pyb_get_u16(&b, is64 ? offsetof(Elf64_Ehdr, e_phnum) : offsetof(Elf32_Ehdr, e_phnum));
    if (h->phentsize < (is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
        return pyb_fail(err, PYB_E_CORRUPT, "%s: program headers of %u bytes", path, h->phentsize);
    return h->phnum == PN_XNUM ? read_extended_phnum(c, h, path, err) : 0;
}

// All program headers that the file has, in its order.
static int read_phdrs(struct pyb_core *c, const struct header *h, const char *path,
                      struct pyb_core_phdr **ret, size_t *ret_n, struct pyb_error *err)
{
    uint64_t fit = h->phoff < c->file_size ? (c->file_size - h->phoff) / h->phentsize : 0;
    size_t n = h->phnum < fit ? h->phnum : (size_t)fit;
    *ret_n = n;
    *ret = NULL;
    if (n == 0)
        return pyb_fail(err, PYB_E_CORRUPT, "%s has no program headers within its %" PRIu64 " bytes", path,
                        c->file_size);
    if (n < h->phnum)
        pyb_core_remark(c, "%zu of %" PRIu32 " program headers are cut off", (size_t)h->phnum - n, h->phnum);
    struct pyb_core_phdr *phdrs = pyb_arena_array(&c->arena, n, sizeof(*phdrs));
    size_t chunk_bytes = (size_t)PHDR_CHUNK * h->phentsize;
    uint8_t *chunk = pyb_alloc(c->base.ctx, chunk_bytes);
    int rc =
        phdrs && chunk ? 0 : pyb_fail(err, PYB_E_NOMEM, "%s: no memory for %zu program headers", path, n);
    for (size_t i = 0; i < n && rc == 0; i++) {
        size_t k = i % PHDR_CHUNK;
        if (k == 0) {
            rc = pyb_ctx_check(c->base.ctx, err);
            memset(chunk, 0, chunk_bytes);
            (void)pyb_core_pread(c->fd, chunk, chunk_bytes, h->phoff + i * h->phentsize);
        }
        phdrs[i] = decode_phdr(c, chunk + k * h->phentsize, h->phentsize);
    }
    pyb_free(c->base.ctx, chunk);
    *ret = phdrs;
    return rc;
}

static int by_start(const void *a, const void *b)
{
    const struct pyb_core_load *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

// One PT_LOAD, cut to what makes sense and to what the file has. False: nothing of it does. *lost: bytes that
// are cut off.
static bool make_load(const struct pyb_core *c, const struct pyb_core_phdr *ph, struct pyb_core_load *ret,
                      uint64_t *lost)
{
    pyb_addr end;
    if (ph->memsz == 0 || __builtin_add_overflow(ph->vaddr, ph->memsz, &end))
        return false;
    uint64_t in_file = ph->filesz < ph->memsz ? ph->filesz : ph->memsz;
    uint64_t there = ph->offset < c->file_size ? c->file_size - ph->offset : 0;
    *lost = in_file > there ? in_file - there : 0;
    *ret = (struct pyb_core_load){
        .start = ph->vaddr, .end = end, .file_end = ph->vaddr + in_file - *lost, .offset = ph->offset};
    return true;
}

static int make_loads(struct pyb_core *c, const struct pyb_core_phdr *phdrs, size_t n, const char *path,
                      struct pyb_error *err)
{
    size_t count = 0, cut = 0;
    uint64_t lost_bytes = 0;
    for (size_t i = 0; i < n; i++)
        count += phdrs[i].type == PT_LOAD;
    c->loads = pyb_arena_array(&c->arena, count, sizeof(*c->loads));
    c->segments = pyb_arena_array(&c->arena, count, sizeof(*c->segments));
    if (!c->loads || !c->segments)
        return pyb_fail(err, PYB_E_NOMEM, "%s: no memory for %zu segments", path, count);
    bool sorted = true;
    for (size_t i = 0; i < n; i++) {
        struct pyb_core_load load;
        uint64_t lost = 0;
        if (phdrs[i].type != PT_LOAD || !make_load(c, &phdrs[i], &load, &lost))
            continue;
        cut += lost > 0;
        lost_bytes = lost > UINT64_MAX - lost_bytes ? UINT64_MAX : lost_bytes + lost;
        sorted = sorted && (c->n_loads == 0 || c->loads[c->n_loads - 1].start <= load.start);
        c->segments[c->n_loads] = (struct pyb_core_segment){.start = load.start,
                                                            .end = load.end,
                                                            .file_size = load.file_end - load.start,
                                                            .flags = phdrs[i].flags};
        c->loads[c->n_loads++] = load;
    }
    if (!sorted)
        qsort(c->loads, c->n_loads, sizeof(*c->loads), by_start);
    if (cut)
        pyb_core_remark(c,
                        "truncated: the file ends after %" PRIu64 " bytes, %" PRIu64
                        " bytes of %zu of its %zu segments "
                        "are missing",
                        c->file_size, lost_bytes, cut, c->n_loads);
    c->facts.segments = c->segments;
    c->facts.n_segments = c->n_loads;
    return 0;
}

static int load_core(struct pyb_core *c, const char *path, struct pyb_error *err)
{
    struct header h = {0};
    int rc = read_header(c, &h, path, err);
    struct pyb_core_phdr *phdrs = NULL;
    size_t n = 0;
    if (rc == 0)
        rc = read_phdrs(c, &h, path, &phdrs, &n, err);
    if (rc == 0)
        rc = make_loads(c, phdrs, n, path, err);
    for (size_t i = 0; i < n && rc == 0; i++)
        if (phdrs[i].type == PT_NOTE)
            rc = pyb_core_read_notes(c, &phdrs[i], err);
    if (rc == 0 && c->n_loads == 0 && c->facts.n_threads == 0)
        rc = pyb_fail(err, PYB_E_CORRUPT, "%s has neither memory nor threads: %s", path,
                      c->facts.note ? c->facts.note : "no PT_LOAD, no NT_PRSTATUS");
    return rc;
}

static int check_regular(int fd, const char *path, uint64_t *size, struct pyb_error *err)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return pyb_fail_errno(err, errno, "%s", path);
    if (!S_ISREG(st.st_mode))
        return pyb_fail(err, PYB_E_UNSUPPORTED, "%s is %s, no core file", path,
                        S_ISDIR(st.st_mode)    ? "a directory"
                        : S_ISFIFO(st.st_mode) ? "a FIFO"
                        : S_ISSOCK(st.st_mode) ? "a socket"
                                               : "a device");
    *size = (uint64_t)st.st_size;
    return 0;
}

int pyb_core_open_fd(struct pyb_ctx *ctx, int fd, const char *path, struct pyb_memory **ret,
                     struct pyb_error *err)
{
    *ret = NULL;
    uint64_t size = 0;
    int rc = check_regular(fd, path, &size, err);
    if (rc == 0)
        rc = pyb_core_unpack(ctx, &fd, path, err);
    if (rc == 0)
        rc = check_regular(fd, path, &size, err);
    struct pyb_core *c = rc == 0 ? pyb_alloc(ctx, sizeof(*c)) : NULL;
    if (!c) {
        (void)close(fd);
        return rc ? rc : pyb_fail(err, PYB_E_NOMEM, "no memory for a reader");
    }
    c->base = (struct pyb_memory){.ops = &core_ops, .ctx = ctx, .ptr_size = 8};
    pyb_arena_init(&c->arena, ctx);
    c->fd = fd;
    c->file_size = size;
    rc = load_core(c, path, err);
    if (rc)
        core_destroy(&c->base);
    else
        *ret = &c->base;
    return rc;
}

int pyb_core_open(struct pyb_ctx *ctx, const char *path, struct pyb_memory **ret, struct pyb_error *err)
{
    *ret = NULL;
    // O_NONBLOCK: a FIFO must not wait for its writer.
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return pyb_fail_errno(err, errno, "%s", path);
    return pyb_core_open_fd(ctx, fd, path, ret, err);
}

const struct pyb_core_facts *pyb_core_facts(struct pyb_memory *core)
{
    return core->ops == &core_ops ? &((struct pyb_core *)core)->facts : NULL;
}
