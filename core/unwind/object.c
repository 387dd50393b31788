// SPDX-License-Identifier: Apache-2.0
#include "unwind/object.h"

#include <elf.h>
#include <string.h>

#include "symbols/cfi.h"

// Section names; ".eh_frame" and ".debug_frame" have their offsets below.
static const char names[] = "\0.eh_frame\0.debug_frame\0.shstrtab";
enum { NAME_EH = 1, NAME_DEBUG = 11, NAME_NAMES = 24, TERMINATOR = 8, N_SECTIONS = 3 };

struct out {
    char *data;
    size_t at;
    bool big_endian;
    uint8_t word;
};

static void put(struct out *o, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        o->data[o->at + i] = (char)(uint8_t)(value >> 8 * (o->big_endian ? width - 1 - i : i));
    o->at += width;
}

static void put_header(struct out *o, uint16_t machine, size_t sections_at)
{
    size_t w = o->word;
    static const uint8_t magic[] = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3};
    memcpy(o->data, magic, sizeof(magic));
    o->data[EI_CLASS] = w == 8 ? ELFCLASS64 : ELFCLASS32;
    o->data[EI_DATA] = o->big_endian ? ELFDATA2MSB : ELFDATA2LSB;
    o->data[EI_VERSION] = EV_CURRENT;
    o->at = EI_NIDENT;
    put(o, ET_EXEC, 2);
    put(o, machine, 2);
    put(o, EV_CURRENT, 4);
    put(o, 0, w);            // e_entry
    put(o, 0, w);            // e_phoff
    put(o, sections_at, w);
    put(o, 0, 4);            // e_flags
    put(o, w == 8 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr), 2);
    put(o, 0, 2);            // e_phentsize
    put(o, 0, 2);            // e_phnum
    put(o, w == 8 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr), 2);
    put(o, N_SECTIONS, 2);
    put(o, N_SECTIONS - 1, 2); // e_shstrndx
}

static void put_section(struct out *o, uint32_t name, uint32_t type, uint64_t addr, uint64_t offset, uint64_t size)
{
    size_t w = o->word;
    put(o, name, 4);
    put(o, type, 4);
    put(o, 0, w);      // sh_flags
    put(o, addr, w);
    put(o, offset, w);
    put(o, size, w);
    put(o, 0, 4);      // sh_link
    put(o, 0, 4);      // sh_info
    put(o, 1, w);      // sh_addralign
    put(o, 0, w);      // sh_entsize
}

// Behind its CIE now, the FDE's pointer to it is another: the distance back (.eh_frame), or where it is.
static void put_frame(struct out *o, const struct pyb_elf_cfi *cfi)
{
    size_t begin = o->at;
    memcpy(o->data + o->at, cfi->cie, cfi->cie_len);
    o->at += cfi->cie_len;
    size_t fde = o->at;
    memcpy(o->data + o->at, cfi->fde, cfi->fde_len);
    struct pyb_bytes b = pyb_bytes(cfi->fde, cfi->fde_len, o->word, o->big_endian);
    struct pyb_cfi_entry entry = {0};
    if (pyb_cfi_entry(&b, 0, cfi->eh, &entry)) {
        o->at = fde + entry.id_at;
        put(o, cfi->eh ? fde + entry.id_at - begin : 0, entry.offset_size);
    }
    o->at = fde + cfi->fde_len;
    put(o, 0, TERMINATOR);
}

char *pyb_object_make(const struct pyb_elf_cfi *cfi, const struct pyb_machine *machine, bool big_endian,
                      struct pyb_arena *arena, size_t *ret_len)
{
    bool wide = machine->ptr_size == 8;
    size_t header = wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
    size_t frame = cfi->cie_len + cfi->fde_len + TERMINATOR;
    size_t names_at = header + frame;
    size_t sections_at = (names_at + sizeof(names) + 7) & ~(size_t)7;
    *ret_len = sections_at + N_SECTIONS * (wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr));
    struct out o = {.data = pyb_arena_alloc(arena, *ret_len), .big_endian = big_endian, .word = machine->ptr_size};
    if (!o.data)
        return NULL;
    put_header(&o, machine->machine, sections_at);
    put_frame(&o, cfi);
    memcpy(o.data + names_at, names, sizeof(names));
    o.at = sections_at;
    put_section(&o, 0, SHT_NULL, 0, 0, 0);
    // the FDE keeps its address, to which its pointers may be relative
    put_section(&o, cfi->eh ? NAME_EH : NAME_DEBUG, SHT_PROGBITS, cfi->eh ? cfi->fde_vaddr - cfi->cie_len : 0, header,
                frame);
    put_section(&o, NAME_NAMES, SHT_STRTAB, 0, names_at, sizeof(names));
    return o.data;
}
