// SPDX-License-Identifier: Apache-2.0
/** What `doctor` found out, and how it is shown. */
#ifndef CLI_DOCTOR_SHOW_H
#define CLI_DOCTOR_SHOW_H
#include "doctor.h"

struct report {
    struct facts facts;
    struct diagnosis diagnosis;
    bool tried;                 // without a process: that was tried on one of our own
    int status;                 // enum pyb_status: the verdict
    struct pyb_error error;
    struct pyb_session *session;
    struct pyb_info info;       // when status is 0 and there is a process
    uint32_t n_states;          // thread states
    struct tool tools[N_TOOLS];
};
void report_text(struct cli_out *o, const struct report *r);
void report_json(struct cli_out *o, const struct report *r);
/** "host", "docker", ... */
const char *place_name(enum place place);
#endif
