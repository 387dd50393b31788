// SPDX-License-Identifier: Apache-2.0
#include "live/core_write.h"

#include "api/session.h"
#include "base/error.h"

int pyb_write_core(struct pyb_session *s, const char *path, struct pyb_error *err)
{
    if (!s || !path)
        return pyb_fail(err, PYB_E_USAGE, "a session and a path are needed");
    if (s->source.kind != PYB_SOURCE_PID)
        return pyb_fail(err, PYB_E_USAGE, "a core file is written of a live process only");
    pyb_ctx_begin(&s->ctx);
#ifdef __linux__
    return pyb_core_write(&s->ctx, s->source.pid, path, err);
#else
    return pyb_fail(err, PYB_E_UNSUPPORTED, "core files are written on Linux only");
#endif
}
