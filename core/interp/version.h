// SPDX-License-Identifier: Apache-2.0
/**
 * Which CPython a module holds, from what it carries; the target's binary is never run.
 *
 * The text part is pure: it looks at bytes only. Ranks, best first, are the order of enum pyb_version_source; two
 * sources that agree on major and minor (and on the patch level where both have one) decide. Mirrors
 * Python/getversion.c, Include/patchlevel.h, Include/internal/pycore_debug_offsets.h, Modules/getpath.c.
 */
#ifndef PYB_INTERP_VERSION_H
#define PYB_INTERP_VERSION_H
#include "interp/layout.h"
#include "symbols/modules.h"

struct pyb_version {
    int major, minor;
    int micro;      // -1: this source does not say
    char suffix[8]; // "rc1", "a3", "+" or ""
    unsigned abi;   // PYB_LAYOUT_* that the source states
};

enum pyb_version_source {
    PYB_VERSION_OFFSETS,    // _Py_DebugOffsets.version (3.13+)
    PYB_VERSION_SYMBOL,     // Py_Version (3.11+)
    PYB_VERSION_BANNER,     // Py_GetVersion()'s buffer: "3.11.2 (main, Mar 13 2023, 12:18:29) [GCC 12.2.0]"
    PYB_VERSION_LITERAL,    // PY_VERSION among the constants: "3.11.2"
    PYB_VERSION_TAG,        // "cpython-311", ".cpython-313td-x86_64-linux-gnu.so"
    PYB_VERSION_SONAME,     // libpython3.11.so.1.0
    PYB_VERSION_PATH,       // "lib/python3.11" among the constants
    PYB_VERSION_FILE,       // .../python3.11, .../libpython3.7m.so.1.0: the file's name
    PYB_VERSION_SOURCES
};
struct pyb_version_evidence {
    struct pyb_version from[PYB_VERSION_SOURCES];
    bool has[PYB_VERSION_SOURCES];
};
const char *pyb_version_source_name(enum pyb_version_source source);

/** PY_VERSION_HEX. False unless it is one that a CPython could have. */
bool pyb_version_from_hex(uint64_t hex, struct pyb_version *ret);
/** "3.11.2", "3.15.0rc1", "2.7.18+", "3.11" at the start of text; the characters used, 0: no version there. */
size_t pyb_version_parse(const char *text, size_t len, struct pyb_version *ret);
/** From a file name or soname: libpython3.13td.so.1.0, python3.11, python3.8-dbg. */
bool pyb_version_from_name(const char *name, struct pyb_version *ret);
/** buf: at least 48 bytes. */
void pyb_version_text(const struct pyb_version *v, char *buf, size_t size);

/** Looks for the banner in a block of writable memory; the first one counts. True when there is one. */
bool pyb_version_scan_banner(const char *data, size_t len, struct pyb_version *ret);
/**
 * Looks for tags, paths and literals in a block of constants; adds to `ev`. A literal counts only if its major and minor are those of
 * `expect` (NULL: of a tag or path seen), because statically linked libraries carry versions of their own.
 */
void pyb_version_scan_constants(const char *data, size_t len, const struct pyb_version *expect, struct pyb_version_evidence *ev);

/**
 * Best ranked version with a second source that agrees. *ret_note, static or NULL: only one source, or a contradiction.
 * 0, or PYB_E_NOTFOUND when there is no evidence at all.
 */
int pyb_version_decide(const struct pyb_version_evidence *ev, struct pyb_version *ret, unsigned *ret_agreeing, const char **ret_note);

/** Collects evidence in the target, cheap sources first, until two agree and the patch level is known. runtime 0: unknown. */
int pyb_version_find(struct pyb_target *t, struct pyb_module *mod, pyb_addr runtime, struct pyb_version *ret,
                     struct pyb_version_evidence *ret_ev, const char **ret_note, struct pyb_error *err);
#endif
