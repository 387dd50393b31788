// SPDX-License-Identifier: Apache-2.0
#include "interp/version.h"

#include <string.h>

#include "base/error.h"
#include "interp/fields.h"
#include "interp/scan.h"

#define COOKIE "xdebugpy"
#define OVERLAP 512 // longest text looked for
#define MAX_SPANS 16

static void add(struct pyb_version_evidence *ev, enum pyb_version_source source, const struct pyb_version *v)
{
    ev->from[source] = *v;
    ev->has[source] = true;
}

// _Py_DebugOffsets begins: char cookie[8]; uint64_t version; uint64_t free_threaded.
static int from_offsets(struct pyb_target *t, pyb_addr runtime, struct pyb_version_evidence *ev, struct pyb_error *err)
{
    uint8_t raw[24];
    struct pyb_version v;
    int rc = runtime ? pyb_read_bytes(t->mem, runtime, raw, sizeof(raw), err) : PYB_E_NOTFOUND;
    if (rc)
        return pyb_is_final(rc) ? rc : 0;
    if (memcmp(raw, COOKIE, 8) != 0)
        return 0;
    struct pyb_bytes b = pyb_memory_bytes(t->mem, raw, sizeof(raw));
    if (!pyb_version_from_hex(pyb_get_u64(&b, 8), &v))
        return 0;
    if (pyb_get_u64(&b, 16) == 1)
        v.abi |= PYB_LAYOUT_FREETHREADED;
    add(ev, PYB_VERSION_OFFSETS, &v);
    return 0;
}

static void from_symbols(struct pyb_target *t, struct pyb_module *mod, struct pyb_elf *elf, struct pyb_version_evidence *ev)
{
    struct pyb_elf_symbol symbol;
    struct pyb_version v;
    uint64_t hex;
    if (mod->bias_known && pyb_elf_symbol(elf, "Py_Version", &symbol) == 0 &&
        pyb_read_ptr(t->mem, mod->bias + symbol.value, &hex, NULL) == 0 && pyb_version_from_hex(hex, &v))
        add(ev, PYB_VERSION_SYMBOL, &v);
}

// Exported by debug builds only (Py_REF_DEBUG), in every version.
static unsigned abi_of_symbols(struct pyb_elf *elf)
{
    struct pyb_elf_symbol symbol;
    if (pyb_elf_symbol(elf, "_Py_NegativeRefcount", &symbol) == 0 || pyb_elf_symbol(elf, "_Py_RefTotal", &symbol) == 0)
        return PYB_LAYOUT_DEBUG;
    return 0;
}

static void from_names(const struct pyb_module *mod, struct pyb_elf *elf, struct pyb_version_evidence *ev)
{
    struct pyb_version v;
    const char *soname = elf ? pyb_elf_soname(elf) : NULL;
    if (soname && pyb_version_from_name(soname, &v))
        add(ev, PYB_VERSION_SONAME, &v);
    if (mod->path && pyb_version_from_name(mod->path, &v))
        add(ev, PYB_VERSION_FILE, &v);
}

static bool banner_block(void *ctx, pyb_addr addr, const uint8_t *data, size_t len)
{
    (void)addr;
    struct pyb_version_evidence *ev = ctx;
    struct pyb_version v;
    if (!pyb_version_scan_banner((const char *)data, len, &v))
        return false;
    add(ev, PYB_VERSION_BANNER, &v);
    return true;
}

static int from_banner(struct pyb_target *t, struct pyb_module *mod, struct pyb_version_evidence *ev, struct pyb_error *err)
{
    struct pyb_span spans[MAX_SPANS];
    size_t n = pyb_scan_writable(t, mod, spans, MAX_SPANS);
    // Backwards: the buffer lies in .bss, which comes last.
    for (size_t i = n; i-- > 0;) {
        bool stopped = false;
        int rc = pyb_scan_memory(t, spans[i], OVERLAP, banner_block, ev, &stopped, err);
        if (rc || stopped)
            return rc;
    }
    return 0;
}

struct constants {
    const struct pyb_version *expect;
    struct pyb_version_evidence *ev;
};

static bool constants_block(void *ctx, pyb_addr addr, const uint8_t *data, size_t len)
{
    (void)addr;
    struct constants *c = ctx;
    pyb_version_scan_constants((const char *)data, len, c->expect, c->ev);
    return c->ev->has[PYB_VERSION_LITERAL] && (c->ev->has[PYB_VERSION_TAG] || c->ev->has[PYB_VERSION_PATH]);
}

static int from_constants(struct pyb_target *t, struct pyb_module *mod, struct pyb_version_evidence *ev, struct pyb_error *err)
{
    struct pyb_version so_far;
    unsigned agreeing;
    const char *note;
    struct constants c = {.ev = ev};
    if (pyb_version_decide(ev, &so_far, &agreeing, &note) == 0)
        c.expect = &so_far;
    int rc = pyb_scan_constants(t, mod, OVERLAP, constants_block, &c, err);
    if (rc || c.expect || ev->has[PYB_VERSION_LITERAL] || !(ev->has[PYB_VERSION_TAG] || ev->has[PYB_VERSION_PATH]))
        return rc;
    // The literal may lie before the tag that says which literal it is.
    return pyb_scan_constants(t, mod, OVERLAP, constants_block, &c, err);
}

int pyb_version_find(struct pyb_target *t, struct pyb_module *mod, pyb_addr runtime, struct pyb_version *ret,
                     struct pyb_version_evidence *ret_ev, const char **ret_note, struct pyb_error *err)
{
    struct pyb_version_evidence *ev = ret_ev;
    struct pyb_elf *elf = NULL;
    unsigned agreeing = 0, abi = 0;
    memset(ev, 0, sizeof(*ev));
    *ret_note = NULL;
    int rc = from_offsets(t, runtime, ev, err);
    if (rc)
        return rc;
    if (mod && pyb_module_elf(t, mod, &elf, NULL) == 0) {
        from_symbols(t, mod, elf, ev);
        abi = abi_of_symbols(elf);
    }
    if (mod)
        from_names(mod, elf, ev);
    // Dearer sources only as long as two do not agree.
    int (*const more[])(struct pyb_target *, struct pyb_module *, struct pyb_version_evidence *, struct pyb_error *) = {from_banner,
                                                                                                                 from_constants};
    rc = pyb_version_decide(ev, ret, &agreeing, ret_note);
    for (size_t i = 0; mod && i < 2 && (rc || agreeing < 2 || ret->micro < 0); i++) {
        int scanned = more[i](t, mod, ev, err);
        if (pyb_is_final(scanned))
            return scanned;
        rc = pyb_version_decide(ev, ret, &agreeing, ret_note);
    }
    if (rc)
        return pyb_fail(err, PYB_E_UNSUPPORTED, "no Python version in %s (no Py_Version, version text, soname or file name)",
                        mod ? mod->path : "this memory");
    ret->abi |= abi;
    return 0;
}
