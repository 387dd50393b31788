// SPDX-License-Identifier: Apache-2.0
/*
 * References are looked for at every byte. Only those that seem to be jumps or calls are few enough to see
 * whether an instruction begins there; of the rest, what looks like a reference makes the answer poorer, never
 * wrong.
 */
#include "symbols/elf_owner.h"

#include <elf.h>
#include <string.h>

#include "base/error.h"
#include "symbols/elf_internal.h"
#include "symbols/x86_length.h"

#define MAX_GROUP 12u                   // code parts of one function
#define MAX_SCANNED (UINT64_C(96) << 20) // bytes of one file
#define BLOCK 65536u
#define CONTEXT 8u                      // bytes of the last block that begin the next one

#define MAX_STEPS (UINT64_C(16) << 20)
#define MAX_HITS 2000u
#define X86_LONGEST 16u

#define CALL 0xe8
#define JMP 0xe9
#define JMP_SHORT 0xeb

struct part { uint64_t start, end; };
struct search {
    struct pyb_elf *e;
    pyb_elf_known_fn *known;
    void *ctx;
    struct part group[MAX_GROUP];
    uint32_t n;
    uint64_t steps;                     // bytes that may still be stepped through
    uint32_t hits;                      // jumps that may still be followed
    bool inside;                        // an owner jumps not to a part's start, but into it
    struct pyb_elf_owners *ret;
};

static bool in_group(const struct search *s, uint64_t vaddr)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (vaddr >= s->group[i].start && vaddr < s->group[i].end)
            return true;
    }
    return false;
}

static bool add_owner(struct pyb_elf_owners *o, uint64_t start)
{
    uint32_t i = 0;
    while (i < o->n && o->at[i] < start)
        i++;
    if (i < o->n && o->at[i] == start)
        return true;
    if (o->n == PYB_MAX_OWNERS)
        return false;
    memmove(&o->at[i + 1], &o->at[i], (o->n - i) * sizeof(*o->at));
    o->at[i] = start;
    o->n++;
    return true;
}

// Does an instruction begin there? Its function is stepped through from the start. When in doubt, yes.
static bool is_instruction(struct search *s, uint64_t at)
{
    struct part p;
    uint8_t code[1024];
    if (pyb_elf_fde(s->e, at, &p.start, &p.end) != 0 || at - p.start > s->steps)
        return true;
    s->steps -= at - p.start;
    uint64_t base = p.start, now = p.start;
    for (size_t n = 0, len; now < at; now += len) {
        if (now - base + X86_LONGEST > n) {
            base = now;
            n = p.end - now < sizeof(code) ? (size_t)(p.end - now) : sizeof(code);
            if (!pyb_elf_read_all(s->e, now, code, n))
                return true;
        }
        len = pyb_x86_64_length(code + (now - base), n - (size_t)(now - base));
        if (len == 0)
            return true;
    }
    return now == at;
}

// A jump at `from` leads into the group: its function is an owner, or belongs to the group.
static bool take_jump(struct search *s, uint64_t from, bool to_start)
{
    struct part p;
    if (in_group(s, from))
        return true;
    if (s->hits-- == 0)
        return false;
    if (pyb_elf_fde(s->e, from, &p.start, &p.end) != 0)
        return false;
    if (s->known(s->ctx, p.start)) {
        s->inside |= !to_start;
        return add_owner(s->ret, p.start);
    }
    if (s->n == MAX_GROUP)
        return false;
    s->group[s->n++] = p;
    return true;
}

static uint32_t get_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v; // little-endian file and host: see is_supported()
}

// Zeros of the long nops before a function seem to refer to what comes after them.
static bool is_padding(struct search *s, uint32_t word, uint64_t after)
{
    struct part p = {0};
    return word == 0 && pyb_elf_fde(s->e, after - 1, &p.start, &p.end) == PYB_E_NOTFOUND;
}

// The four bytes at `word`, which end before `after`, seem to lead into part p.
static bool look_at_target(struct search *s, const struct part *p, const uint8_t *word, uint64_t after)
{
    bool conditional = word[-2] == 0x0f && (word[-1] & 0xf0) == 0x80;
    bool to_start = after + (uint64_t)(int64_t)(int32_t)get_u32(word) == p->start;
    uint64_t from = after - (conditional ? 6 : 5);
    if (word[-1] == JMP || conditional)
        return !is_instruction(s, from) || take_jump(s, from, to_start);
    if (word[-1] == CALL)
        return !to_start || in_group(s, from) || !is_instruction(s, from);
    return !to_start || is_padding(s, get_u32(word), after); // else its address is taken
}

typedef uint32_t lanes __attribute__((vector_size(16)));

static lanes load(const uint8_t *p)
{
    lanes v;
    memcpy(&v, p, sizeof(v));
    return v;
}

// Could any of the 16 four-byte words that begin at data[0..15] be a reference to the part? In 32 bits: some
// that are none too. `first` is what a relative word at data[0] must at least be.
static bool may_refer(const uint8_t *data, uint32_t first, uint32_t size, uint32_t start)
{
    lanes hit = {0};
    for (uint32_t k = 0; k < 4; k++) {
        const lanes at = {k, k + 4, k + 8, k + 12};
        lanes word = load(data + k);
        hit |= (lanes)(word + at - first < size) | (lanes)(word == start);
    }
    return hit[0] | hit[1] | hit[2] | hit[3];
}

// Bytes of code; data[i] lies at vaddr + i. False: something other than a jump refers to part p.
static bool look_at_code(struct search *s, const struct part *p, const uint8_t *data, size_t n, uint64_t vaddr)
{
    uint64_t size = p->end - p->start;
    bool absolute = s->e->type == ET_EXEC;
    for (size_t i = 2; i + 4 <= n; i++) {
        while (i + 19 <= n && size <= UINT32_MAX &&
               !may_refer(data + i, (uint32_t)(p->start - (vaddr + i + 4)), (uint32_t)size, (uint32_t)p->start))
            i += 16;
        if (i + 4 > n)
            break;
        uint32_t word = get_u32(data + i);
        uint64_t after = vaddr + i + 4, target = after + (uint64_t)(int64_t)(int32_t)word;
        if (absolute && word == p->start)
            return false;
        if (target - p->start < size && !look_at_target(s, p, data + i, after))
            return false;
    }
    return true;
}

// Neighbours may reach the part with two-byte jumps.
static bool look_at_neighbours(struct search *s, const struct part *p, const uint8_t *data, size_t n,
                               uint64_t vaddr)
{
    for (size_t i = 0; i + 2 <= n; i++) {
        uint64_t after = vaddr + i + 2, target = after + (uint64_t)(int64_t)(int8_t)data[i + 1];
        bool jump = data[i] == JMP_SHORT || (data[i] & 0xf0) == 0x70;
        if (jump && target == p->start && !take_jump(s, after - 2, true))
            return false;
    }
    return true;
}

// False: the address of part p is somewhere among the data. It would be aligned there.
static bool look_at_words(const struct part *p, const uint8_t *data, size_t n, uint64_t vaddr)
{
    for (size_t i = (size_t)(-vaddr & 7); i + 8 <= n; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, sizeof(word));
        if (word == p->start)
            return false;
    }
    return true;
}

static bool near(const struct part *p, uint64_t vaddr, size_t n)
{
    return vaddr < p->start + 130 && vaddr + n + 130 > p->start;
}

static bool look_through(struct search *s, const struct part *p, const struct pyb_elf_segment *g, uint8_t *block)
{
    uint64_t done = 0;
    size_t kept = 0;
    while (done < g->filesz) {
        size_t want = g->filesz - done < BLOCK ? (size_t)(g->filesz - done) : BLOCK;
        if (pyb_elf_pread(s->e, g->offset + done, block + kept, want) != want ||
            pyb_ctx_check(s->e->ctx, NULL) != 0)
            return false;
        size_t n = kept + want;
        uint64_t vaddr = g->vaddr + done - kept;
        if (!look_at_words(p, block, n, vaddr))
            return false;
        if ((g->flags & PF_X) && (!look_at_code(s, p, block, n, vaddr) ||
                                  (near(p, vaddr, n) && !look_at_neighbours(s, p, block, n, vaddr))))
            return false;
        done += want;
        kept = n < CONTEXT ? n : CONTEXT;
        memmove(block, block + n - kept, kept);
    }
    return true;
}

// Code first: most functions are called, and that ends it.
static bool look_everywhere(struct search *s, const struct part *p, uint8_t *block)
{
    for (int code = 1; code >= 0; code--) {
        for (size_t i = 0; i < s->e->n_segments; i++) {
            const struct pyb_elf_segment *g = &s->e->segments[i];
            if ((code != 0) == ((g->flags & PF_X) != 0) && !look_through(s, p, g, block))
                return false;
        }
    }
    return true;
}

static bool is_supported(const struct pyb_elf *e)
{
    uint64_t total = 0;
    for (size_t i = 0; i < e->n_segments; i++)
        total += e->segments[i].filesz < MAX_SCANNED ? e->segments[i].filesz : MAX_SCANNED;
    bool here = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
    return here && e->source == PYB_ELF_FILE && e->machine == EM_X86_64 && e->ptr_size == 8 && !e->big_endian &&
           total < MAX_SCANNED;
}

static int find(struct pyb_elf *e, uint64_t start, pyb_elf_known_fn *known, void *ctx, struct pyb_elf_owners *ret)
{
    struct search s = {.e = e, .known = known, .ctx = ctx, .ret = ret, .n = 1, .steps = MAX_STEPS, .hits = MAX_HITS};
    if (!is_supported(e) || pyb_elf_fde(e, start, &s.group[0].start, &s.group[0].end) != 0 ||
        s.group[0].start != start)
        return PYB_E_NOTFOUND;
    uint8_t *block = pyb_alloc(e->ctx, BLOCK + CONTEXT);
    bool good = block != NULL;
    for (uint32_t i = 0; good && i < s.n; i++) {
        struct part p = s.group[i];
        good = look_everywhere(&s, &p, block);
    }
    pyb_free(e->ctx, block);
    // What merely looks like a jump may well lead into some large part, but not to its first byte: only that
    // is good enough for a second owner.
    if (ret->n == 0 || (ret->n > 1 && s.inside))
        good = false;
    return good ? 0 : PYB_E_NOTFOUND;
}

int pyb_elf_owners(struct pyb_elf *e, uint64_t start, pyb_elf_known_fn *known, void *ctx,
                   struct pyb_elf_owners *ret)
{
    *ret = (struct pyb_elf_owners){0};
    const struct pyb_elf_answer *a = pyb_elf_recall(e, PYB_ANSWER_OWNERS, NULL, start);
    if (a) {
        ret->n = 1u + (a->end != 0);
        ret->at[0] = a->start;
        ret->at[1] = a->end;
        return 0;
    }
    e->quiet++;
    int rc = find(e, start, known, ctx, ret);
    e->quiet--;
    if (rc) {
        *ret = (struct pyb_elf_owners){0};
        return rc;
    }
    struct pyb_elf_answer found = {.kind = PYB_ANSWER_OWNERS, .vaddr = start, .start = ret->at[0],
                                   .end = ret->n > 1 ? ret->at[1] : 0};
    (void)pyb_elf_remember(e, &found);
    return 0;
}
