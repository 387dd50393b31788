// SPDX-License-Identifier: Apache-2.0
/**
 * The public functions: a session has one target, finds the interpreter in it on first use, and gives results
 * that live on their own.
 */
#ifndef PYB_API_SESSION_H
#define PYB_API_SESSION_H
#include "base/arena.h"
#include "base/buf.h"
#include "interp/locals.h"
#include "interp/python.h"
#include "memory/corefile.h"
#include "memory/readers.h"
#include "symbols/modules.h"

enum pyb_source_kind { PYB_SOURCE_NONE, PYB_SOURCE_PID, PYB_SOURCE_CORE, PYB_SOURCE_RECORDING,
                      PYB_SOURCE_DESC };

/** What was opened, kept so that pyb_record() can open it once more. Strings belong to the session. */
struct pyb_source {
    enum pyb_source_kind kind;
    int32_t pid;
    const char *path; // core or recording
    const char *exe;
    struct pyb_target_desc desc;
};

struct pyb_session {
    struct pyb_ctx ctx;
    struct pyb_arena arena;      // strings that live as long as the session
    struct pyb_arena scratch;    // of the last pyb_frame_locals()
    struct pyb_buf text;         // of the last pyb_repr()
    struct pyb_source source;
    struct pyb_target target;
    struct pyb_memory *below;    // under the cache: counts what reaches the target
    struct pyb_memory *core;     // a core that is not itself the memory, only read for its facts; or NULL
    const struct pyb_core_facts *facts; // or NULL
    bool tee;                    // the memory is a tee: everything read is kept
    const char *core_path;       // or NULL
    const char *const *command;  // argv, or NULL
    uint32_t n_command;
    const struct pyb_native_stack *recorded; // native stacks of a recording: used where the caller gives none
    size_t n_recorded;
    struct pyb_python *python;   // found on first use
    struct pyb_sampler *sampler; // pyb_sample() was called, or NULL
    struct pyb_unwinder *unwinder; // pyb_dump() was called, or NULL
    bool stale_modules;          // the target ran: its list of files is to be looked at again
};

/** Opens s->source. With s->tee, the memory is a tee. */
int pyb_session_open(struct pyb_session *s, struct pyb_error *err);
/** Finds the interpreter on first use; after an invalidation brings the list of files up to date. */
int pyb_session_python(struct pyb_session *s, struct pyb_python **ret, struct pyb_error *err);
/** argv of a live process or of a core, into the session; unknown stays NULL. */
void pyb_session_find_command(struct pyb_session *s);
/** Text that came from outside as valid UTF-8. NULL: no memory. */
char *pyb_clean_text(struct pyb_arena *arena, const char *text, size_t n);
/** Limits of reprs out of the caller's options (NULL: defaults). PYB_E_USAGE: a struct without a size. */
int pyb_repr_limits(const struct pyb_read_options *options, struct pyb_read_options *ret,
                    struct pyb_repr_limits *ret_limits,
                    struct pyb_error *err);

/** "facts" of a recording (record.c): what is neither memory nor modules. */
int pyb_facts_save(struct pyb_session *s, struct pyb_buf *ret);
void pyb_facts_load(struct pyb_session *s, const char *data, size_t len);
#endif
