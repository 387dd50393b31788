// SPDX-License-Identifier: Apache-2.0
#include "show.h"

int show_process(struct cli_out *o, const struct pyb_process *p, const struct show *s)
{
    const struct pyb_text_options options = {
        .size = sizeof(options),
        .flags = s->text | (o->color ? PYB_TEXT_COLOR : 0u) | (s->no_group ? PYB_TEXT_NO_GROUP : 0u),
        .limit = s->limit,
        .current = -1,
    };
    return s->json ? pyb_json(p, cli_write, o) : pyb_text_process(p, &options, cli_write, o);
}

static bool is_partial(const struct pyb_process *p)
{
    for (uint32_t i = 0; i < p->n_threads; i++) {
        if (!p->threads[i].complete || p->threads[i].mode == PYB_MODE_UNCHECKED)
            return true;
    }
    return false;
}

int show_read(const char *target, const struct show *s, struct pyb_session **ret_session, struct pyb_process **ret,
              struct pyb_error *err)
{
    const struct pyb_options session_options = {.size = sizeof(session_options), .abort = cli_interrupted,
                                                .debug_server = true};
    const struct pyb_dump_options dump = {
        .size = sizeof(dump), .flags = s->dump, .tids = s->tids, .n_tids = s->n_tids};
    const struct pyb_read_options reading = {.size = sizeof(reading), .flags = s->read};
    *ret = NULL;
    int status = pyb_session_new(&session_options, ret_session, err);
    if (status == 0)
        status = cli_open_target(*ret_session, target, s->exe, err);
    return status == 0 ? pyb_dump(*ret_session, &dump, &reading, ret, err) : status;
}

int show_target(struct cli_out *o, const char *target, const struct show *s, bool *ret_partial)
{
    struct pyb_error err = {0};
    struct pyb_session *session = NULL;
    struct pyb_process *process;
    int status = show_read(target, s, &session, &process, &err);
    if (status == 0) {
        if (ret_partial)
            *ret_partial |= is_partial(process);
        status = show_process(o, process, s);
        if (status != 0 && o->sys_errno == 0) // a write that failed is said by cli_close()
            err.code = status;
        pyb_process_free(process);
    }
    pyb_session_free(session);
    if (status != 0 && o->sys_errno != 0)
        return EXIT_FAILED;
    if (s->optional && (status == PYB_E_NOTPYTHON || status == PYB_E_NOENT || status == PYB_E_GONE)) {
        fprintf(stderr, "pybraid: %s\n", err.what);
        return EXIT_OK;
    }
    return status == 0 ? EXIT_OK : cli_fail(status, &err);
}
