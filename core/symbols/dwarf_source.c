// SPDX-License-Identifier: Apache-2.0
/*
 * Entries are walked here, with a bound on depth and number: libdw's own walk over scopes calls itself as deep as
 * a file says.
 */
#include "symbols/dwarf_source.h"

#include "base/error.h"

#ifdef PYB_HAVE_LIBDW
#include <dwarf.h>
#include <string.h>

#include "base/buf.h"
#include "symbols/demangle.h"
#include "symbols/module_dw.h"

#define MAX_DEPTH 128u
#define MAX_ENTRIES 4000000u
#define MAX_UNITS 200000u
#define MAX_TEXT 4096u

struct walk {
    struct pyb_ctx *ctx;
    struct pyb_arena *arena;
    Dwarf_Addr pc;
    uint32_t entries;
    bool everywhere;                      // also within functions that do not hold pc: lambdas, local classes
    Dwarf_Die chain[PYB_MAX_INLINED + 1]; // the function, then what is inlined in it, outermost first
    size_t n;
};

static bool has_pc(Dwarf_Die *die, Dwarf_Addr pc)
{
    return dwarf_haspc(die, pc) == 1;
}

// Entries that may hold the function, or what is inlined in it.
static bool is_worth_entering(struct walk *w, Dwarf_Die *die, bool *ret_match)
{
    *ret_match = false;
    switch (dwarf_tag(die)) {
    case DW_TAG_namespace: case DW_TAG_module: case DW_TAG_class_type: case DW_TAG_structure_type:
        return w->n == 0;
    case DW_TAG_lexical_block:
        return w->n > 0 ? has_pc(die, w->pc) : w->everywhere;
    case DW_TAG_subprogram:
        *ret_match = has_pc(die, w->pc);
        return *ret_match || (w->n == 0 && w->everywhere);
    case DW_TAG_inlined_subroutine:
        *ret_match = w->n > 0 && has_pc(die, w->pc);
        return *ret_match;
    default:
        return false;
    }
}

// Depth first, without recursion. A function that was entered is not left again.
static void descend(struct walk *w, Dwarf_Die *unit)
{
    Dwarf_Die path[MAX_DEPTH];
    size_t depth = 1;
    if (dwarf_child(unit, &path[0]) != 0)
        return;
    while (depth > 0 && w->entries++ < MAX_ENTRIES && pyb_ctx_check(w->ctx, NULL) == 0) {
        Dwarf_Die *die = &path[depth - 1];
        bool match, enter = is_worth_entering(w, die, &match);
        if (match && w->n <= PYB_MAX_INLINED) {
            if (dwarf_tag(die) == DW_TAG_subprogram)
                w->n = 0; // a function within a function: the inner one's frame
            w->chain[w->n++] = *die;
        }
        if (enter && depth < MAX_DEPTH && dwarf_child(die, &path[depth]) == 0) {
            if (match)
                path[0] = path[depth], depth = 1;
            else
                depth++;
            continue;
        }
        if (match)
            return; // a function without entries of its own
        while (depth > 0 && dwarf_siblingof(&path[depth - 1], &path[depth - 1]) != 0)
            depth--;
    }
}

// Compilers other than gcc write no .debug_aranges: then every unit is asked.
static bool find_unit(struct walk *w, Dwarf *dwarf, Dwarf_Die *ret)
{
    if (dwarf_addrdie(dwarf, w->pc, ret))
        return true;
    Dwarf_Off at = 0, next;
    size_t head;
    for (uint32_t i = 0; i < MAX_UNITS && pyb_ctx_check(w->ctx, NULL) == 0; i++, at = next) {
        if (dwarf_nextcu(dwarf, at, &next, &head, NULL, NULL, NULL) != 0 || next <= at)
            return false;
        if (dwarf_offdie(dwarf, at + head, ret) && has_pc(ret, w->pc))
            return true;
    }
    return false;
}

static const char *text_of(struct walk *w, const char *text)
{
    struct pyb_buf clean;
    if (!text)
        return NULL;
    pyb_buf_init(&clean, w->ctx, 4 * MAX_TEXT);
    pyb_buf_add_utf8(&clean, text, strnlen(text, MAX_TEXT));
    const char *ret = clean.failed ? NULL : pyb_arena_strdup(w->arena, pyb_buf_str(&clean));
    pyb_buf_deinit(&clean);
    return ret;
}

// The entry that a function was declared by, which stands in its namespace or class.
static void declaration_of(Dwarf_Die *die, Dwarf_Die *ret)
{
    Dwarf_Attribute attr;
    Dwarf_Die next;
    *ret = *die;
    for (unsigned i = 0; i < 16; i++) {
        if (!dwarf_formref_die(dwarf_attr(ret, DW_AT_abstract_origin, &attr), &next) &&
            !dwarf_formref_die(dwarf_attr(ret, DW_AT_specification, &attr), &next))
            return;
        *ret = next;
    }
}

// "shop::(anonymous namespace)::": entries have no way up, so it is gone down to the declaration. What lies
// between an entry and its next sibling is inside it.
static void add_scopes(struct walk *w, Dwarf_Die *declaration, struct pyb_buf *ret)
{
    Dwarf_Die unit, now, next;
    Dwarf_Off wanted = dwarf_dieoffset(declaration);
    if (!dwarf_diecu(declaration, &unit, NULL, NULL) || dwarf_child(&unit, &now) != 0)
        return;
    for (unsigned depth = 0; depth < MAX_DEPTH && dwarf_dieoffset(&now) < wanted; depth++) {
        while (w->entries++ < MAX_ENTRIES && dwarf_siblingof(&now, &next) == 0 && dwarf_dieoffset(&next) <= wanted)
            now = next;
        int tag = dwarf_tag(&now);
        if (dwarf_dieoffset(&now) == wanted || dwarf_child(&now, &next) != 0)
            return;
        const char *name = dwarf_diename(&now);
        if (tag == DW_TAG_namespace || tag == DW_TAG_class_type || tag == DW_TAG_structure_type)
            pyb_buf_printf(ret, "%.*s::", (int)MAX_TEXT, name ? name : "(anonymous namespace)");
        now = next;
    }
}

static const char *name_of(struct walk *w, Dwarf_Die *die)
{
    Dwarf_Attribute attr;
    Dwarf_Die declaration;
    struct pyb_buf whole;
    const char *linkage = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_linkage_name, &attr));
    const char *name = linkage ? pyb_demangle_name(w->arena, linkage) : NULL;
    if (name)
        return text_of(w, name);
    name = dwarf_formstring(dwarf_attr_integrate(die, DW_AT_name, &attr));
    if (!name)
        return NULL;
    pyb_buf_init(&whole, w->ctx, 2 * MAX_TEXT);
    declaration_of(die, &declaration);
    add_scopes(w, &declaration, &whole);
    pyb_buf_printf(&whole, "%.*s", (int)MAX_TEXT, name);
    name = text_of(w, pyb_buf_str(&whole));
    pyb_buf_deinit(&whole);
    return name;
}

static void place_of_call(struct walk *w, Dwarf_Die *unit, Dwarf_Die *inlined, struct pyb_source_frame *ret)
{
    Dwarf_Attribute attr;
    Dwarf_Word file, line;
    Dwarf_Files *files;
    size_t n;
    if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attr), &line) == 0 && line <= INT32_MAX)
        ret->line = (int32_t)line;
    if (dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attr), &file) == 0 &&
        dwarf_getsrcfiles(unit, &files, &n) == 0 && file < n)
        ret->file = text_of(w, dwarf_filesrc(files, (size_t)file, NULL, NULL));
}

// The last row at or below pc that ends no sequence; of several at one address the one where a statement begins,
// as debuggers choose.
static Dwarf_Line *row_of_pc(struct walk *w, Dwarf_Die *unit)
{
    Dwarf_Lines *lines;
    size_t n, low = 0;
    Dwarf_Addr addr = 0, best_addr;
    bool statement = false, ends = false;
    if (dwarf_getsrclines(unit, &lines, &n) != 0)
        return NULL;
    for (size_t high = n; low < high;) {
        size_t mid = low + (high - low) / 2;
        if (dwarf_lineaddr(dwarf_onesrcline(lines, mid), &addr) == 0 && addr <= w->pc)
            low = mid + 1;
        else
            high = mid;
    }
    int line = 0;
    const size_t nearest = low;
    while (low > 1 && dwarf_lineno(dwarf_onesrcline(lines, low - 1), &line) == 0 && line == 0)
        low--; // the compiler's own code counts to what comes before it
    if (low > 0 && dwarf_lineendsequence(dwarf_onesrcline(lines, low - 1), &ends) == 0 && ends)
        low = nearest; // nothing comes before it: its file is known, no line
    Dwarf_Line *best = low ? dwarf_onesrcline(lines, low - 1) : NULL;
    if (!best || dwarf_lineendsequence(best, &ends) != 0 || ends || dwarf_lineaddr(best, &best_addr) != 0)
        return NULL;
    for (size_t i = low; i-- > 0;) {
        Dwarf_Line *row = dwarf_onesrcline(lines, i);
        if (dwarf_lineaddr(row, &addr) != 0 || addr != best_addr || dwarf_lineendsequence(row, &ends) != 0 || ends)
            break;
        if (dwarf_linebeginstatement(row, &statement) == 0 && statement)
            return row;
    }
    return best;
}

static void place_of_pc(struct walk *w, Dwarf_Die *unit, struct pyb_source_frame *ret)
{
    int line;
    Dwarf_Line *row = row_of_pc(w, unit);
    if (!row)
        return;
    if (dwarf_lineno(row, &line) == 0 && line > 0)
        ret->line = line;
    ret->file = text_of(w, dwarf_linesrc(row, NULL, NULL));
}

static int fill(struct walk *w, Dwarf_Die *unit, struct pyb_source_frame **ret, size_t *ret_n, struct pyb_error *err)
{
    struct pyb_source_frame *frames = pyb_arena_array(w->arena, w->n, sizeof(*frames));
    if (!frames)
        return pyb_fail(err, PYB_E_NOMEM, "out of memory for %zu source lines", w->n);
    for (size_t i = 0; i < w->n; i++) {
        Dwarf_Die *die = &w->chain[w->n - 1 - i];
        frames[i].name = name_of(w, die);
        frames[i].inlined = dwarf_tag(die) == DW_TAG_inlined_subroutine;
        if (i == 0)
            place_of_pc(w, unit, &frames[i]);
        else
            place_of_call(w, unit, &w->chain[w->n - i], &frames[i]);
    }
    *ret = frames;
    *ret_n = w->n;
    return 0;
}

int pyb_target_source(struct pyb_target *t, pyb_addr pc, struct pyb_arena *arena, struct pyb_source_frame **ret,
                      size_t *ret_n, struct pyb_error *err)
{
    *ret = NULL;
    *ret_n = 0;
    struct pyb_module *mod = t->modules ? pyb_modules_find(t->modules, pc) : NULL;
    Dwarf *dwarf = mod ? pyb_module_dwarf(t, mod) : NULL;
    struct walk *w = dwarf ? pyb_alloc(t->ctx, sizeof(*w)) : NULL;
    Dwarf_Die unit;
    int rc = PYB_E_NOTFOUND;
    if (w) {
        w->ctx = t->ctx;
        w->arena = arena;
        w->pc = pc - mod->bias;
        bool found = find_unit(w, dwarf, &unit);
        if (found)
            descend(w, &unit);
        w->everywhere = true;
        if (found && w->n == 0)
            descend(w, &unit);
        if (w->n > 0)
            rc = fill(w, &unit, ret, ret_n, err);
    }
    pyb_free(t->ctx, w);
    if (rc == PYB_E_NOTFOUND)
        return pyb_fail_at(err, rc, pc, 0, "no debug information for this address");
    return rc;
}
#else
int pyb_target_source(struct pyb_target *t, pyb_addr pc, struct pyb_arena *arena, struct pyb_source_frame **ret,
                      size_t *ret_n, struct pyb_error *err)
{
    (void)t, (void)arena;
    *ret = NULL;
    *ret_n = 0;
    return pyb_fail_at(err, PYB_E_NOTFOUND, pc, 0, "built without libdw");
}
#endif
