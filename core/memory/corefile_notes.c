// SPDX-License-Identifier: Apache-2.0
//
// Notes of a core: struct elf_prstatus and elf_prpsinfo of the kernel's include/linux/elfcore.h, NT_FILE of
// fs/binfmt_elf.c, in the target's word size and byte order.
#include <elf.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "memory/corefile_internal.h"

#define MAX_NOTES_BYTES (64u << 20)
#define NOTE_HEADER 12u

#ifndef NT_386_TLS
#define NT_386_TLS 0x200
#endif
#ifndef NT_ARM_TLS
#define NT_ARM_TLS 0x401
#endif
#ifndef NT_FILE
#define NT_FILE 0x46494c45
#endif

struct note {
    uint32_t type;
    const uint8_t *desc;
    size_t len;
};
struct notes {
    struct pyb_bytes bytes;
    size_t at;
    bool cut; // the last note reaches beyond the end
};

// The next note that the kernel or gcore wrote ("CORE", "LINUX"). False at the end.
static bool next_note(struct notes *n, struct note *ret)
{
    struct pyb_bytes *b = &n->bytes;
    while (n->at < b->len && b->len - n->at >= NOTE_HEADER) {
        size_t name_len = pyb_get_u32(b, n->at), len = pyb_get_u32(b, n->at + 4);
        size_t name = n->at + NOTE_HEADER, left = b->len - name;
        size_t name_padded = (name_len + 3) & ~(size_t)3, padded = (len + 3) & ~(size_t)3;
        if (name_padded > left || len > left - name_padded) {
            n->cut = true;
            return false;
        }
        *ret = (struct note){
            .type = pyb_get_u32(b, n->at + 8), .desc = b->data + name + name_padded, .len = len};
        left -= name_padded;
        n->at = name + name_padded + (padded < left ? padded : left);
        const char *text = (const char *)b->data + name;
        if ((name_len >= 4 && memcmp(text, "CORE", 4) == 0) ||
            (name_len >= 5 && memcmp(text, "LINUX", 5) == 0))
            return true;
    }
    return false;
}

static uint64_t get_reg(const struct pyb_core *c, const struct pyb_core_regs *regs,
                        const struct pyb_core_thread *t, int index)
{
    struct pyb_bytes b = pyb_memory_bytes(&c->base, t->regs, t->regs_len);
    return index < 0 ? 0 : pyb_get_uint(&b, (size_t)index * regs->word, regs->word);
}

static void parse_prstatus(const struct pyb_core *c, const struct note *note, struct pyb_core_thread *ret)
{
    // pr_info, pr_cursig, two signal sets, four ids, four struct timeval
    bool is64 = c->base.ptr_size == 8;
    size_t pid_at = is64 ? 32 : 24, regs_at = is64 ? 112 : 72;
    struct pyb_bytes b = pyb_memory_bytes(&c->base, note->desc, note->len);
    *ret = (struct pyb_core_thread){.tid = (int32_t)pyb_get_u32(&b, pid_at),
                                    .signal = (int32_t)pyb_get_u16(&b, 12)};
    if (note->len <= regs_at)
        return;
    const struct pyb_core_regs *regs = pyb_core_regs(c->base.machine, c->base.ptr_size);
    ret->regs = note->desc + regs_at;
    ret->regs_len = note->len - regs_at;
    if (!regs)
        return;
    size_t known = (size_t)regs->n * regs->word;
    if (ret->regs_len > known)
        ret->regs_len = known; // pr_fpvalid follows
    ret->pc = get_reg(c, regs, ret, regs->pc);
    ret->sp = get_reg(c, regs, ret, regs->sp);
    ret->thread_pointer = get_reg(c, regs, ret, regs->tp);
    if (c->base.machine == EM_S390) { // access registers 0 and 1 follow psw and r0 to r15
        struct pyb_bytes r = pyb_memory_bytes(&c->base, ret->regs, ret->regs_len);
        ret->thread_pointer = (uint64_t)pyb_get_u32(&r, 18 * 8) << 32 | pyb_get_u32(&r, 18 * 8 + 4);
    }
}

// struct user_desc[]: entry_number, base_addr, limit, flags. gs holds the selector: entry << 3 | 3.
static void parse_386_tls(const struct pyb_core *c, const struct note *note, struct pyb_core_thread *t)
{
    struct pyb_bytes regs = pyb_memory_bytes(&c->base, t->regs, t->regs_len);
    uint32_t entry = (pyb_get_u32(&regs, 10 * 4) & 0xffff) >> 3;
    struct pyb_bytes b = pyb_memory_bytes(&c->base, note->desc, note->len);
    for (size_t at = 0; at + 16 <= note->len; at += 16)
        if (!regs.bad && pyb_get_u32(&b, at) == entry)
            t->thread_pointer = pyb_get_u32(&b, at + 4);
}

static void parse_tls(const struct pyb_core *c, const struct note *note, struct pyb_core_thread *t)
{
    struct pyb_bytes b = pyb_memory_bytes(&c->base, note->desc, note->len);
    if (note->type == NT_386_TLS && c->base.machine == EM_386)
        parse_386_tls(c, note, t);
    else if (note->type == NT_ARM_TLS && note->len >= c->base.ptr_size)
        t->thread_pointer = pyb_get_ptr(&b, 0);
}

static void parse_prpsinfo(struct pyb_core *c, const struct note *note)
{
    // char[4], flag, uid, gid (16 bits each on i386 and arm), four ids, fname[16], psargs[80]
    size_t pid_at = c->base.ptr_size == 8 ? 24 : note->len >= 128 ? 16 : 12;
    size_t name_at = pid_at + 16;
    struct pyb_bytes b = pyb_memory_bytes(&c->base, note->desc, note->len);
    int32_t pid = (int32_t)pyb_get_u32(&b, pid_at);
    if (b.bad || note->len < name_at + 16 + 80)
        return;
    c->facts.pid = pid;
    const char *text = (const char *)note->desc;
    c->facts.name = pyb_arena_strndup(&c->arena, text + name_at, 16);
    char *command = pyb_arena_strndup(&c->arena, text + name_at + 16, 80);
    size_t len = command ? strlen(command) : 0;
    while (len > 0 && command[len - 1] == ' ')
        command[--len] = '\0'; // the kernel ends each argument with one
    c->facts.command = len ? command : NULL;
}

static void parse_auxv(struct pyb_core *c, const struct note *note)
{
    struct pyb_bytes b = pyb_memory_bytes(&c->base, note->desc, note->len);
    size_t word = c->base.ptr_size;
    c->facts.auxv = note->desc;
    c->facts.auxv_len = note->len;
    for (size_t at = 0; at + 2 * word <= note->len; at += 2 * word) {
        uint64_t value = pyb_get_ptr(&b, at + word);
        switch (pyb_get_ptr(&b, at)) {
        case AT_NULL:
            return;
        case AT_PHDR:
            c->facts.at_phdr = value;
            break;
        case AT_PHNUM:
            c->facts.at_phnum = value <= UINT16_MAX ? (uint32_t)value : 0;
            break;
        case AT_ENTRY:
            c->facts.at_entry = value;
            break;
        case AT_SYSINFO_EHDR:
            c->facts.at_sysinfo_ehdr = value;
            break;
        }
    }
}

// count, page size, count times (start, end, offset in pages), then the names.
static int parse_files(struct pyb_core *c, const struct note *note, struct pyb_error *err)
{
    struct pyb_bytes b = pyb_memory_bytes(&c->base, note->desc, note->len);
    size_t word = c->base.ptr_size;
    uint64_t count = pyb_get_ptr(&b, 0), page = pyb_get_ptr(&b, word);
    uint64_t fit = note->len / (3 * word);
    if (count > fit) {
        pyb_core_remark(c, "NT_FILE is corrupt: %" PRIu64 " mappings in %zu bytes", count, note->len);
        return 0;
    }
    struct pyb_core_mapping *list = pyb_arena_array(&c->arena, (size_t)count, sizeof(*list));
    if (!list)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for %" PRIu64 " mappings of the core", count);
    size_t at = 2 * word, text = at + (size_t)count * 3 * word, n = 0;
    for (uint64_t i = 0; i < count && text < note->len; i++, at += 3 * word) {
        const char *path = (const char *)note->desc + text;
        size_t len = strnlen(path, note->len - text);
        struct pyb_core_mapping m = {.start = pyb_get_ptr(&b, at), .end = pyb_get_ptr(&b, at + word)};
        text += len + 1;
        if (m.start >= m.end || __builtin_mul_overflow(pyb_get_ptr(&b, at + 2 * word), page, &m.file_offset))
            continue;
        m.path = pyb_arena_strndup(&c->arena, path, len);
        if (!m.path)
            return pyb_fail(err, PYB_E_NOMEM, "no memory for the names of the core's mappings");
        list[n++] = m;
    }
    if (n < count)
        pyb_core_remark(c, "NT_FILE: %" PRIu64 " of %" PRIu64 " mappings make no sense", count - n, count);
    c->facts.mappings = list;
    c->facts.n_mappings = n;
    return 0;
}

static int reserve_threads(struct pyb_core *c, struct notes all, struct pyb_core_thread **ret,
                           struct pyb_error *err)
{
    size_t n = c->facts.n_threads;
    struct note note;
    while (next_note(&all, &note))
        n += note.type == NT_PRSTATUS;
    *ret = pyb_arena_array(&c->arena, n, sizeof(**ret));
    if (!*ret)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for %zu threads of the core", n);
    if (c->facts.n_threads)
        memcpy(*ret, c->facts.threads, c->facts.n_threads * sizeof(**ret));
    c->facts.threads = *ret;
    return 0;
}

static int parse_notes(struct pyb_core *c, struct notes *all, struct pyb_error *err)
{
    struct pyb_core_thread *threads;
    int rc = reserve_threads(c, *all, &threads, err);
    struct pyb_core_thread *current = NULL;
    struct note note;
    while (rc == 0 && next_note(all, &note)) {
        switch (note.type) {
        case NT_PRSTATUS:
            current = &threads[c->facts.n_threads++];
            parse_prstatus(c, &note, current);
            break;
        case NT_386_TLS:
        case NT_ARM_TLS:
            if (current)
                parse_tls(c, &note, current);
            break;
        case NT_PRPSINFO:
            parse_prpsinfo(c, &note);
            break;
        case NT_AUXV:
            parse_auxv(c, &note);
            break;
        case NT_FILE:
            rc = parse_files(c, &note, err);
            break;
        }
        if (rc == 0)
            rc = pyb_ctx_check(c->base.ctx, err);
    }
    return rc;
}

int pyb_core_read_notes(struct pyb_core *c, const struct pyb_core_phdr *ph, struct pyb_error *err)
{
    uint64_t there = ph->offset < c->file_size ? c->file_size - ph->offset : 0;
    uint64_t len = ph->filesz < there ? ph->filesz : there;
    if (len > MAX_NOTES_BYTES)
        len = MAX_NOTES_BYTES;
    if (len < ph->filesz)
        pyb_core_remark(c, "%" PRIu64 " of %" PRIu64 " bytes of notes are cut off", ph->filesz - len,
                        ph->filesz);
    if (len == 0)
        return 0;
    uint8_t *data = pyb_arena_alloc(&c->arena, (size_t)len);
    if (!data)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for %" PRIu64 " bytes of notes", len);
    size_t got = pyb_core_pread(c->fd, data, (size_t)len, ph->offset);
    struct notes all = {.bytes = pyb_memory_bytes(&c->base, data, got)};
    int rc = parse_notes(c, &all, err);
    if (rc == 0 && all.cut)
        pyb_core_remark(c, "a note reaches beyond the end of its segment");
    if (rc == 0 && c->facts.pid == 0 && c->facts.n_threads)
        c->facts.pid = c->facts.threads[0].tid;
    return rc;
}
