// SPDX-License-Identifier: Apache-2.0
// One object, one name, the locals of one frame: what a debugger's user asks for after seeing the stack.
#include <stddef.h>
#include <string.h>

#include "api/session.h"
#include "base/error.h"

int pyb_repr_limits(const struct pyb_read_options *options, struct pyb_read_options *ret,
                    struct pyb_repr_limits *ret_limits,
                    struct pyb_error *err)
{
    memset(ret, 0, sizeof(*ret));
    if (options && options->size < offsetof(struct pyb_read_options, repr_length))
        return pyb_fail(err, PYB_E_USAGE, "struct pyb_read_options without its size");
    if (options)
        memcpy(ret, options, options->size < sizeof(*ret) ? options->size : sizeof(*ret));
    ret->size = sizeof(*ret);
    if (!ret->max_frames)
        ret->max_frames = 1000000;
    *ret_limits = (struct pyb_repr_limits){
        .length = ret->repr_length ? ret->repr_length : 120,
        .depth = ret->repr_depth ? ret->repr_depth : 4,
        .items = ret->repr_items ? ret->repr_items : 20,
        .verbose = ret->flags & PYB_READ_VERBOSE,
    };
    return 0;
}

int pyb_repr(struct pyb_session *s, pyb_addr object, const struct pyb_read_options *options, const char **ret,
             struct pyb_error *err)
{
    struct pyb_read_options full;
    struct pyb_repr_limits limits;
    struct pyb_python *py;
    *ret = NULL;
    pyb_ctx_begin(&s->ctx);
    int code = pyb_repr_limits(options, &full, &limits, err);
    if (code == 0)
        code = pyb_session_python(s, &py, err);
    if (code != 0)
        return code;
    pyb_buf_clear(&s->text);
    code = pyb_repr_object(py, object, &limits, &s->text, err);
    if (code == 0 && s->text.failed)
        code = pyb_fail(err, PYB_E_NOMEM, "no memory for a repr");
    if (code == 0)
        *ret = pyb_buf_str(&s->text);
    return code;
}

static int frame_and_code(struct pyb_session *s, const struct pyb_frame *frame, struct pyb_python **ret_py,
                          struct pyb_pyframe *ret_frame, const struct pyb_code **ret_code,
                              struct pyb_error *err)
{
    if (!frame || frame->kind != PYB_FRAME_PYTHON || frame->frame == 0)
        return pyb_fail(err, PYB_E_USAGE, "not a Python frame");
    pyb_ctx_begin(&s->ctx);
    int code = pyb_session_python(s, ret_py, err);
    if (code != 0)
        return code;
    *ret_frame = (struct pyb_pyframe){.addr = frame->frame, .code = frame->code, .lasti = frame->lasti};
    return pyb_code_get(*ret_py, frame->code, ret_code, err);
}

int pyb_frame_locals(struct pyb_session *s, const struct pyb_frame *frame,
                     const struct pyb_read_options *options,
                     const struct pyb_local **ret, uint32_t *ret_n, struct pyb_error *err)
{
    struct pyb_read_options full;
    struct pyb_repr_limits limits;
    struct pyb_python *py;
    struct pyb_pyframe f;
    const struct pyb_code *code_object;
    struct pyb_local *locals = NULL;
    *ret = NULL;
    *ret_n = 0;
    int code = pyb_repr_limits(options, &full, &limits, err);
    if (code == 0)
        code = frame_and_code(s, frame, &py, &f, &code_object, err);
    if (code != 0)
        return code;
    pyb_arena_deinit(&s->scratch);
    pyb_arena_init(&s->scratch, &s->ctx);
    code = pyb_locals_read(py, &f, code_object, &limits, &s->scratch, &locals, ret_n, err);
    *ret = locals;
    return code;
}

int pyb_lookup_name(struct pyb_session *s, const struct pyb_frame *frame, const char *name, pyb_addr *ret,
                    const char **ret_scope, struct pyb_error *err)
{
    struct pyb_python *py;
    struct pyb_pyframe f;
    const struct pyb_code *code_object;
    *ret = 0;
    *ret_scope = NULL;
    if (!name)
        return pyb_fail(err, PYB_E_USAGE, "no name");
    int code = frame_and_code(s, frame, &py, &f, &code_object, err);
    return code == 0 ? pyb_frame_lookup(py, &f, code_object, name, ret, ret_scope, err) : code;
}
