// SPDX-License-Identifier: Apache-2.0
#include <linux/capability.h>

#include "doctor_show.h"
#include "escape.h"

const char *place_name(enum place place)
{
    static const char *const names[] = {"host", "docker", "podman", "kubernetes", "container"};
    return names[place];
}

static const char *word(bool yes)
{
    return yes ? "true" : "false";
}

static void strings(struct cli_out *o, const char *first, size_t stride, size_t n)
{
    cli_printf(o, "[");
    for (size_t i = 0; i < n; i++) {
        cli_printf(o, "%s", i ? ", " : "");
        cli_json_string(o, first + i * stride);
    }
    cli_printf(o, "]");
}

static void process(struct cli_out *o, const struct report *r)
{
    const struct facts *f = &r->facts;
    if (f->pid == 0) {
        cli_printf(o, "null");
        return;
    }
    char command[1024];
    bool found = r->status == 0;
    proc_command("", f->pid, f->target.comm, command, sizeof(command));
    cli_printf(o, "{\"pid\": %d, ", f->pid);
    if (!f->exists || f->hidden) {
        cli_printf(o, "\"uid\": null, \"command\": null, \"n_threads\": null, ");
    } else {
        cli_printf(o, "\"uid\": %u, \"command\": ", f->target.uid[1]);
        cli_json_string(o, command);
        cli_printf(o, ", \"n_threads\": %u, ", f->target.threads);
    }
    bool first = true;
    cli_json_member(o, &first, "executable", found ? r->info.executable : NULL);
    cli_json_member(o, &first, "python", found ? r->info.version : NULL);
    cli_json_member(o, &first, "module", found ? r->info.module : NULL);
    cli_json_member(o, &first, "found_by", found ? r->info.found_by : NULL);
    cli_json_member(o, &first, "layout", found ? r->info.layout : NULL);
    cli_json_member(o, &first, "layout_note", found ? r->info.layout_note : NULL);
    if (found)
        cli_printf(o, ", \"free_threaded\": %s, \"debug_build\": %s, \"n_thread_states\": %u}", word(r->info.free_threaded),
                   word(r->info.debug_build), r->n_states);
    else
        cli_printf(o, ", \"free_threaded\": null, \"debug_build\": null, \"n_thread_states\": null}");
}

static void obstacles(struct cli_out *o, const struct diagnosis *d)
{
    cli_printf(o, "[");
    for (size_t i = 0; i < d->n; i++) {
        const struct obstacle *b = &d->obstacles[i];
        cli_printf(o, "%s\n  {\"kind\": \"%s\", \"blocks\": \"%s\", \"what\": ", i ? "," : "", obstacle_name(b->kind),
                   b->stopping_only ? "stopping" : "reading");
        cli_json_string(o, b->what);
        cli_printf(o, ", \"remedies\": ");
        strings(o, b->remedies[0], sizeof(b->remedies[0]), b->n_remedies);
        cli_printf(o, "}");
    }
    cli_printf(o, "]");
}

static void here(struct cli_out *o, const struct facts *f)
{
    bool first = true;
    cli_printf(o, "{\"where\": \"%s\", ", place_name(f->where.place));
    cli_json_member(o, &first, "evidence", *f->where.evidence ? f->where.evidence : NULL);
    cli_json_member(o, &first, "container", *f->where.id ? f->where.id : NULL);
    cli_printf(o, ", \"uid\": %u, \"cap_sys_ptrace\": %s, \"initial_user_namespace\": %s, \"no_new_privs\": %s, ", f->own.uid[1],
               word(facts_have(f, CAP_SYS_PTRACE)), word(f->initial_user_ns), word(f->own.no_new_privs));
    if (f->ptrace_scope < 0)
        cli_printf(o, "\"ptrace_scope\": null, ");
    else
        cli_printf(o, "\"ptrace_scope\": %d, ", f->ptrace_scope);
    if (f->own.seccomp < 0)
        cli_printf(o, "\"seccomp\": null");
    else
        cli_printf(o, "\"seccomp\": %d", f->own.seccomp);
    cli_json_member(o, &first, "security_modules", *f->lsm ? f->lsm : NULL);
    cli_json_member(o, &first, "label", *f->own_label ? f->own_label : NULL);
    cli_printf(o, "}");
}

static void tools(struct cli_out *o, const struct tool *list)
{
    cli_printf(o, "[");
    for (size_t i = 0; i < N_TOOLS; i++) {
        const struct tool *t = &list[i];
        bool first = false;
        cli_printf(o, "%s\n  {\"name\": \"%s\", \"usable\": %s", i ? "," : "", t->name,
                   t->usable == YES ? "\"yes\"" : t->usable == NO ? "\"no\"" : "\"partly\"");
        cli_json_member(o, &first, "path", *t->path ? t->path : NULL);
        cli_json_member(o, &first, "version", *t->version ? t->version : NULL);
        cli_printf(o, ", \"notes\": ");
        strings(o, t->notes[0], sizeof(t->notes[0]), t->n_notes);
        cli_json_member(o, &first, "remedy", *t->remedy ? t->remedy : NULL);
        cli_printf(o, "}");
    }
    cli_printf(o, "]");
}

void report_json(struct cli_out *o, const struct report *r)
{
    bool can = r->status == 0;
    cli_printf(o, "{\"schema\": 1, \"tool\": \"pybraid %s\",\n \"readable\": %s, \"stoppable\": %s, \"error\": ", pyb_version(), word(can),
               word(can && facts_stoppable(&r->facts)));
    cli_json_string(o, can ? NULL : r->error.what[0] ? r->error.what : "permission denied");
    cli_printf(o, ",\n \"process\": ");
    process(o, r);
    cli_printf(o, ",\n \"obstacles\": ");
    obstacles(o, &r->diagnosis);
    cli_printf(o, ",\n \"here\": ");
    here(o, &r->facts);
    cli_printf(o, ",\n \"front_ends\": ");
    tools(o, r->tools);
    cli_printf(o, "}\n");
}
