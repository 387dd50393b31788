// SPDX-License-Identifier: Apache-2.0
/**
 * What the elf_*.c files share: one ELF object over one of four sources.
 *
 * One parser serves all sources, so that a file, the same object's image in memory and the parts of it that a
 * recording carries give the same answers. Everything below is read on demand by offset or virtual address;
 * nothing is mapped.
 */
#ifndef PYB_SYMBOLS_ELF_INTERNAL_H
#define PYB_SYMBOLS_ELF_INTERNAL_H
#include "base/map.h"
#include "symbols/elf_image.h"

#define PYB_ELF_MAX_SEGMENTS 4096u
#define PYB_ELF_MAX_SECTIONS 65536u
#define PYB_ELF_MAX_NAME 16384u       // bytes of one symbol's name
#define PYB_ELF_MAX_NOTES 16u
#define PYB_ELF_PAGE 4096u
#define PYB_ELF_MAX_TOUCHED 65536u   // pages of one file in a recording

enum pyb_elf_source {
    PYB_ELF_FILE,   // fd, pread
    PYB_ELF_MEMORY, // target memory at bias + vaddr
    PYB_ELF_BUFFER, // unpacked .gnu_debugdata
    PYB_ELF_PAGES,  // the pages of a file that a recording carries
};

struct pyb_dwarf;
void pyb_dwarf_free(struct pyb_dwarf *d);

struct pyb_elf_page { uint64_t index; uint32_t len; const uint8_t *data; };
struct pyb_elf_span { uint64_t vaddr, size, align; };

/** One table of symbols with its strings; `by_vaddr`: positions are virtual addresses, else file offsets. */
struct pyb_elf_table {
    struct pyb_elf *e;
    bool by_vaddr;
    uint64_t syms, n;
    uint64_t strs, strs_size;
};
enum { PYB_TABLE_DYNSYM, PYB_TABLE_SYMTAB, PYB_TABLE_DEBUGDATA, PYB_TABLE_SEPARATE };

struct pyb_elf_raw_symbol { uint32_t name; uint8_t info; uint16_t shndx; uint64_t value, size; };

struct pyb_elf_raw_section {
    uint32_t name, type, link;
    uint64_t flags, addr, offset, size, entsize;
};

struct pyb_elf_dynamic {
    uint64_t hash, gnu_hash, symtab, strtab, strsz, soname, debug;
    bool has_soname;
};

/** A function's symbol in the index of the covering lookup. */
struct pyb_elf_func {
    uint64_t value, size;
    uint32_t name;
    uint8_t rank, table;
};

/** An answer once given: a cache, and what a recording carries. */
enum pyb_elf_answer_kind { PYB_ANSWER_NAME, PYB_ANSWER_COVER, PYB_ANSWER_FDE, PYB_ANSWER_OWNERS };
struct pyb_elf_answer {
    struct pyb_elf_answer *next;
    enum pyb_elf_answer_kind kind;
    int code;                // 0 or why not
    uint64_t vaddr;          // asked, but for NAME
    const char *name;        // asked (NAME) or found (COVER)
    uint64_t start, end;     // NAME: value, size; OWNERS: the one, the other or 0
    uint8_t type, bind;
};

/** An FDE: what it covers, and where it is: its virtual address, or (`debug`) its offset in .debug_frame. */
struct pyb_elf_extent { uint64_t start, end, at; bool debug; };

struct pyb_elf {
    struct pyb_ctx *ctx;
    struct pyb_arena arena;
    enum pyb_elf_source source;
    int fd;                             // FILE
    uint64_t file_size;                 // FILE, BUFFER
    struct pyb_memory *mem;             // MEMORY
    pyb_addr bias;                      // MEMORY
    uint8_t *buffer;                    // BUFFER, owned
    const struct pyb_elf_page *pages;   // PAGES, sorted by index
    size_t n_pages;
    unsigned quiet;                     // > 0: reads are not noted for recordings, the answers are
    struct pyb_map touched;             // page indices of the file that were read
    uint64_t *touched_list;             // the same, in the order of their first use
    size_t cap_touched;
    // From the headers
    uint8_t ptr_size;
    bool big_endian;
    uint16_t machine, type;
    uint64_t shoff;
    uint32_t shnum, shstrndx;
    struct pyb_elf_segment *segments;   // PT_LOAD, as the file orders them
    size_t n_segments;
    struct pyb_elf_span dynamic_span, eh_frame_hdr, notes[PYB_ELF_MAX_NOTES];
    size_t n_notes;
    uint64_t phdr_end;                  // file offset where the program headers end
    // Read when asked for
    bool build_id_tried, dynamic_tried, sections_tried, soname_tried, debugdata_tried, index_tried;
    bool separate_tried, dwarf_tried;
    bool extents_tried;
    uint8_t build_id[64];
    size_t build_id_len;
    struct pyb_elf_dynamic dynamic;
    const char *soname;
    struct pyb_elf_raw_section *sections;
    size_t n_sections;
    char *section_names;
    size_t section_names_len;
    struct pyb_elf *debugdata;
    struct pyb_elf *separate;           // its debug file: see debug_file.h
    struct pyb_dwarf *dwarf;            // see module_dw.h
    struct pyb_elf_func *funcs;         // sorted by value, the preferred of equals last
    uint64_t *func_ends;                // the highest end of funcs[0..i]
    size_t n_funcs;
    struct pyb_elf_extent *extents;     // of .debug_frame or .eh_frame, sorted
    size_t n_extents;
    uint8_t *debug_frame;               // its bytes, unpacked; kept when it has FDEs
    size_t debug_frame_len;
    struct pyb_map names;               // (table, offset) -> interned string
    struct pyb_map covers, fdes, owners; // vaddr -> answer
    struct pyb_elf_answer *answers;
    size_t n_answers;
};

/** Opens whatever e->source describes; e's base fields are set. Reads the ELF and program headers. */
struct pyb_elf *pyb_elf_new(struct pyb_ctx *ctx, enum pyb_elf_source source);
int pyb_elf_read_headers(struct pyb_elf *e, pyb_addr ehdr, struct pyb_error *err);
/** Program headers as raw bytes (as AT_PHDR has them). */
int pyb_elf_parse_segments(struct pyb_elf *e, const void *data, size_t len, uint16_t n,
                           struct pyb_error *err);

/** Bytes at a file offset, as many as there are; 0 for MEMORY. */
size_t pyb_elf_pread(struct pyb_elf *e, uint64_t offset, void *buf, size_t len);
/** As pyb_elf_read(), and true only when all of it was there. */
bool pyb_elf_read_all(struct pyb_elf *e, uint64_t vaddr, void *buf, size_t len);
struct pyb_bytes pyb_elf_bytes(const struct pyb_elf *e, const void *data, size_t len);
/** Lowest and highest virtual address of the PT_LOADs; false when there are none. */
bool pyb_elf_extent(const struct pyb_elf *e, uint64_t *ret_low, uint64_t *ret_high);

const struct pyb_elf_dynamic *pyb_elf_dynamic(struct pyb_elf *e);
const struct pyb_elf_raw_section *pyb_elf_sections(struct pyb_elf *e, size_t *ret_n);
const struct pyb_elf_raw_section *pyb_elf_find_section(struct pyb_elf *e, const char *name);
struct pyb_elf *pyb_elf_debugdata(struct pyb_elf *e);

/** False when e has no such table. */
bool pyb_elf_table(struct pyb_elf *e, int which, struct pyb_elf_table *ret);
size_t pyb_elf_symbol_size(const struct pyb_elf *e);
struct pyb_elf_raw_symbol pyb_elf_decode_symbol(const struct pyb_elf *e, const uint8_t *data);
bool pyb_elf_table_read(const struct pyb_elf_table *t, uint64_t where, void *buf, size_t len);
/** Name at a string offset, interned; NULL when it cannot be read. */
const char *pyb_elf_table_name(struct pyb_elf *e, int which, const struct pyb_elf_table *t, uint32_t offset);
/** Is the string at `offset` equal to name? */
bool pyb_elf_table_name_is(const struct pyb_elf_table *t, uint32_t offset, const char *name);
/** Number of .dynsym's symbols by its hash table, 0: unknown. */
uint64_t pyb_elf_dynsym_count(struct pyb_elf *e);
int pyb_elf_hash_lookup(struct pyb_elf *e, const char *name, struct pyb_elf_raw_symbol *ret);
int pyb_elf_scan_lookup(const struct pyb_elf_table *t, const char *name, struct pyb_elf_raw_symbol *ret);
bool pyb_elf_symbol_defined(const struct pyb_elf_raw_symbol *s);

/** Remembers an answer (the arena's copy), or NULL when there is no room: the answer holds all the same. */
struct pyb_elf_answer *pyb_elf_remember(struct pyb_elf *e, const struct pyb_elf_answer *a);
const struct pyb_elf_answer *pyb_elf_recall(struct pyb_elf *e, enum pyb_elf_answer_kind kind,
                                            const char *name, uint64_t vaddr);
#endif
