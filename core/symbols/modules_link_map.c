// SPDX-License-Identifier: Apache-2.0
/*
 * The dynamic linker's own list, where nothing else tells what is mapped:
 * AT_PHDR -> PT_DYNAMIC -> DT_DEBUG -> struct r_debug -> struct link_map.
 * <link.h>: r_debug { int version; link_map *map; ... },
 *           link_map { addr l_addr; char *l_name; dyn *l_ld; link_map *next, *prev; };
 * the same in glibc and musl. l_addr is the load bias.
 */
#include <elf.h>
#include <string.h>

#include "base/error.h"
#include "symbols/modules_internal.h"

#define MAX_ENTRIES 16384u
#define MAX_BACK 2048u // pages looked through below .dynamic for the ELF header

struct link { pyb_addr bias, name, dynamic, next; };

// PT_PHDR says which address the program headers were linked for.
static int read_bias(struct pyb_memory *mem, pyb_addr phdrs, uint32_t n, pyb_addr *ret, struct pyb_error *err)
{
    bool wide = mem->ptr_size == 8;
    size_t size = wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr), vaddr_at = wide ? 16 : 8;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t data[sizeof(Elf64_Phdr)];
        int rc = pyb_read_bytes(mem, phdrs + i * size, data, size, err);
        if (rc)
            return rc;
        struct pyb_bytes b = pyb_memory_bytes(mem, data, size);
        if (pyb_get_u32(&b, 0) == PT_PHDR) {
            *ret = phdrs - pyb_get_ptr(&b, vaddr_at);
            return 0;
        }
    }
    return pyb_fail_at(err, PYB_E_CORRUPT, phdrs, n * size, "no PT_PHDR in the %u program headers at 0x%llx",
                       n,
                       (unsigned long long)phdrs);
}

static int open_program(struct pyb_target *t, pyb_addr phdrs, uint32_t n, pyb_addr *ret_ehdr,
                        struct pyb_elf **ret,
                        struct pyb_error *err)
{
    *ret_ehdr = phdrs & ~(pyb_addr)(PYB_ELF_PAGE - 1);
    if (pyb_is_ehdr(t->mem, *ret_ehdr) && pyb_elf_open_memory(t->ctx, t->mem, *ret_ehdr, ret, err) == 0)
        return 0;
    *ret_ehdr = 0;
    pyb_addr bias = 0;
    if (n == 0 || n > PYB_ELF_MAX_SEGMENTS)
        return pyb_fail(err, PYB_E_CORRUPT, "AT_PHNUM is %u", n);
    int rc = read_bias(t->mem, phdrs, n, &bias, err);
    return rc ? rc : pyb_elf_open_phdrs(t->ctx, t->mem, phdrs, (uint16_t)n, bias, ret, err);
}

static int read_link(struct pyb_memory *mem, pyb_addr at, struct link *ret, struct pyb_error *err)
{
    uint8_t data[32];
    size_t w = mem->ptr_size;
    int rc = pyb_read_bytes(mem, at, data, 4 * w, err);
    if (rc)
        return rc;
    struct pyb_bytes b = pyb_memory_bytes(mem, data, 4 * w);
    *ret = (struct link){.bias = pyb_get_ptr(&b, 0), .name = pyb_get_ptr(&b, w),
                         .dynamic = pyb_get_ptr(&b, 2 * w), .next = pyb_get_ptr(&b, 3 * w)};
    return 0;
}

// Libraries are linked at 0 as a rule: their header lies at the bias. Prelinked ones have it somewhere below
// their .dynamic.
static pyb_addr find_ehdr(struct pyb_target *t, const struct link *l)
{
    if (pyb_is_ehdr(t->mem, l->bias))
        return l->bias;
    return pyb_ehdr_below(t->mem, l->dynamic, MAX_BACK);
}

static int add_link(struct pyb_target *t, struct pyb_modules *m, const struct link *l, struct pyb_error *err)
{
    char name[4097];
    if (!l->name || pyb_read_cstr(t->mem, l->name, name, sizeof(name) - 1, NULL) != 0)
        name[0] = '\0';
    bool vdso = strncmp(name, "linux-vdso", 10) == 0 || strncmp(name, "linux-gate", 10) == 0;
    char *path = pyb_arena_strdup(&m->arena, vdso ? "[vdso]" : name);
    struct pyb_module *mod;
    int rc = path ? pyb_modules_add(m, path, &mod, err)
                  : pyb_fail(err, PYB_E_NOMEM, "out of memory for module names");
    if (rc)
        return rc;
    mod->bias = l->bias;
    mod->bias_known = true;
    m->files[m->n_modules - 1].ehdr = find_ehdr(t, l);
    return 0;
}

static int walk(struct pyb_target *t, struct pyb_modules *m, pyb_addr debug, struct pyb_error *err)
{
    pyb_addr at;
    int rc = pyb_read_ptr(t->mem, debug + t->mem->ptr_size, &at, err);
    struct pyb_map seen;
    pyb_map_init(&seen, t->ctx);
    for (unsigned i = 0; rc == 0 && at != 0; i++) {
        struct link l = {0};
        if (i >= MAX_ENTRIES || pyb_map_get(&seen, at, NULL)) {
            m->cut = true; // a cycle, or no end
            break;
        }
        rc = pyb_map_put(&seen, at, 1);
        if (rc == 0 && read_link(t->mem, at, &l, NULL) != 0) {
            m->cut = true; // torn: the entries read so far are good
            break;
        }
        if (rc == 0 && i > 0) // the first is the program, which is there already
            rc = add_link(t, m, &l, err);
        at = l.next;
    }
    pyb_map_deinit(&seen);
    return rc;
}

static int build(struct pyb_target *t, pyb_addr phdrs, uint32_t n, struct pyb_modules *m,
                 struct pyb_error *err)
{
    struct pyb_elf *program = NULL;
    struct pyb_module *mod;
    pyb_addr ehdr;
    char *path = pyb_arena_strdup(&m->arena, t->executable ? t->executable : "");
    int rc = path ? pyb_modules_add(m, path, &mod, err)
                  : pyb_fail(err, PYB_E_NOMEM, "out of memory for module names");
    if (rc == 0)
        rc = open_program(t, phdrs, n, &ehdr, &program, err);
    if (rc)
        return rc;
    m->executable = 0;
    m->files[0].ehdr = ehdr;
    mod->bias = pyb_elf_memory_bias(program);
    mod->bias_known = true;
    pyb_addr debug = pyb_elf_dt_debug(program);
    if (ehdr == 0) { // cannot be opened again from its header: keep it
        mod->elf = program;
        mod->elf_state = 1;
        mod->elf_note = "no ELF header in memory: only what the program headers lead to";
    } else {
        pyb_elf_free(program);
    }
    return debug ? walk(t, m, debug, err) : 0; // a static program has no list
}

int pyb_modules_from_link_map(struct pyb_target *t, pyb_addr at_phdr, uint32_t at_phnum,
                              struct pyb_modules **ret,
                              struct pyb_error *err)
{
    *ret = NULL;
    struct pyb_modules *m = pyb_modules_new(t->ctx, PYB_MODULES_LINK_MAP);
    if (!m)
        return pyb_fail(err, PYB_E_NOMEM, "out of memory for the list of modules");
    int rc = at_phdr && t->mem ? build(t, at_phdr, at_phnum, m, err)
                               : pyb_fail(err, PYB_E_USAGE, "no address of the program headers (AT_PHDR)");
    for (size_t i = 0; rc == 0 && i < m->n_modules; i++) {
        struct pyb_module *mod = &m->modules[i];
        struct pyb_elf *elf;
        uint64_t low, high;
        if (pyb_module_open(t, m, mod, &elf, NULL) == 0 && pyb_elf_extent(elf, &low, &high)) {
            mod->start = mod->bias + low;
            mod->end = mod->bias + high;
        }
    }
    if (rc)
        pyb_modules_free(m);
    else
        *ret = m;
    return rc;
}
