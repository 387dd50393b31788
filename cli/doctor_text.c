// SPDX-License-Identifier: Apache-2.0
#include <linux/capability.h>
#include <string.h>

#include "doctor_show.h"
#include "escape.h"

#define COLUMN 15

static const char *style(const struct cli_out *o, const char *sgr)
{
    return o->color ? sgr : "";
}

// "  name           text": the name once, further lines under the text.
static void line(struct cli_out *o, const char *name, const char *text)
{
    cli_printf(o, "  %-*s ", COLUMN, name);
    (void)cli_escaped(o, text, 0);
    cli_printf(o, "\n");
}

static void verdict(struct cli_out *o, const struct report *r)
{
    const struct facts *f = &r->facts;
    const char *answer = r->status == 0 ? "yes" : "no";
    char whom[40];
    proc_format(whom, sizeof(whom), "%d", f->pid);
    cli_printf(o, "%spybraid can read %s: %s%s", style(o, r->status == 0 ? "\33[1;32m" : "\33[1;31m"),
               f->pid ? whom : "your own processes", answer, style(o, "\33[0m"));
    if (r->status == 0 && !facts_stoppable(f))
        cli_printf(o, ", but it cannot stop their threads"); // running threads are read unstopped, and checked
    else if (r->status == 0 && f->pid == 0)
        cli_printf(o, "%s", facts_have(f, CAP_SYS_PTRACE) ? f->initial_user_ns ? ", and those of every user" :
                   ", and all that live in this user namespace" : "; those of others: no");
    else if (r->status == PYB_E_PERM)
        cli_printf(o, ", permission denied");
    else if (r->status != 0) {
        cli_printf(o, ", ");
        (void)cli_escaped(o, r->error.what, 0);
    }
    cli_printf(o, "\n");
    if (r->status != 0 && r->status != PYB_E_PERM && r->error.remedy[0]) {
        cli_printf(o, "  ");
        (void)cli_escaped(o, r->error.remedy, 0);
        cli_printf(o, "\n");
    }
}

static void obstacles(struct cli_out *o, const struct report *r)
{
    for (size_t i = 0; i < r->diagnosis.n; i++) {
        const struct obstacle *b = &r->diagnosis.obstacles[i];
        if (i == 0)
            cli_printf(o, "\n%sin the way%s\n", style(o, "\33[1m"), style(o, "\33[0m"));
        line(o, obstacle_name(b->kind), b->what);
        for (size_t k = 0; k < b->n_remedies; k++) {
            cli_printf(o, "      %s", style(o, "\33[36m"));
            (void)cli_escaped(o, b->remedies[k], 0);
            cli_printf(o, "%s\n", style(o, "\33[0m"));
        }
    }
}

static void process(struct cli_out *o, const struct report *r)
{
    const struct facts *f = &r->facts;
    char text[1024], user[64];
    if (f->pid == 0 || !f->exists || f->hidden)
        return;
    cli_printf(o, "\n%sprocess %d%s\n", style(o, "\33[1m"), f->pid, style(o, "\33[0m"));
    proc_command("", f->pid, f->target.comm, text, sizeof(text));
    line(o, "command", text);
    proc_format(text, sizeof(text), "%s (%u)%s", proc_user(f->target.uid[1], user, sizeof(user)), f->target.uid[1],
                f->relation == NS_BELOW ? ", in a user namespace of its own" : f->relation == NS_OTHER ? ", in another user namespace" : "");
    line(o, "user", text);
    const char *inner = strrchr(f->target.ns_pid, ' ');
    if (inner) {
        proc_format(text, sizeof(text), "%s in its own PID namespace", inner + 1);
        line(o, "pid", text);
    }
    proc_format(text, sizeof(text), "%u", f->target.threads);
    line(o, "threads", text);
    if (r->status != 0)
        return;
    proc_format(text, sizeof(text), "%s%s%s, %u thread states", r->info.version, r->info.free_threaded ? ", free-threaded" : "",
                r->info.debug_build ? ", debug build" : "", r->n_states);
    line(o, "Python", text);
    line(o, "in", r->info.module ? r->info.module : "?");
    line(o, "found by", r->info.found_by ? r->info.found_by : "?");
    proc_format(text, sizeof(text), "%s%s%s", r->info.layout ? r->info.layout : "?", r->info.layout_note ? "; " : "",
                r->info.layout_note ? r->info.layout_note : "");
    line(o, "layout", text);
}

static void scope(struct cli_out *o, const struct facts *f)
{
    static const char *const meaning[] = {"0: a user may read all his processes", "1: without CAP_SYS_PTRACE a process may be read by its ancestors only",
                                          "2: only CAP_SYS_PTRACE may read another process", "3: nobody may read another process"};
    line(o, "ptrace_scope", f->ptrace_scope < 0 ? "no Yama in this kernel: as if 0" : meaning[f->ptrace_scope > 3 ? 3 : f->ptrace_scope]);
}

static void filter(struct cli_out *o, const struct facts *f)
{
    bool passes = f->own_vm == 0 && f->own_ptrace == 0;
    line(o, "seccomp", f->own.seccomp == 0 ? "no filter" : passes ? "a filter; process_vm_readv and ptrace pass it" :
         f->own.seccomp > 0 ? "a filter that stops process_vm_readv or ptrace" : "unknown");
}

static void here(struct cli_out *o, const struct report *r)
{
    static const char *const places[] = {"host", "Docker container", "Podman container", "Kubernetes pod", "container"};
    const struct facts *f = &r->facts;
    char text[400], user[64];
    cli_printf(o, "\n%shere%s\n", style(o, "\33[1m"), style(o, "\33[0m"));
    proc_format(text, sizeof(text), "%s%s%s%s%s%s%s", places[f->where.place], *f->where.engine ? " of " : "", f->where.engine,
                *f->where.id ? " " : "", f->where.id, *f->where.evidence ? ", says " : "", f->where.evidence);
    line(o, "where", text);
    proc_format(text, sizeof(text), "%s (%u), %s CAP_SYS_PTRACE%s%s", proc_user(f->own.uid[1], user, sizeof(user)), f->own.uid[1],
                facts_have(f, CAP_SYS_PTRACE) ? "with" : "without", f->initial_user_ns ? "" : ", in a user namespace of its own",
                f->own.no_new_privs ? ", no_new_privs" : "");
    line(o, "user", text);
    scope(o, f);
    filter(o, f);
    if (*f->own_label || *f->lsm) {
        proc_format(text, sizeof(text), "%s%s%s", f->lsm, *f->own_label ? *f->lsm ? "; this is " : "this is " : "", f->own_label);
        line(o, "modules", text);
    }
}

static void tools(struct cli_out *o, const struct report *r)
{
    cli_printf(o, "\n%sfront ends%s\n", style(o, "\33[1m"), style(o, "\33[0m"));
    for (size_t i = 0; i < N_TOOLS; i++) {
        const struct tool *t = &r->tools[i];
        char text[600];
        proc_format(text, sizeof(text), "%s%s%s%s%s", t->usable == YES ? "yes" : t->usable == NO ? "no" : "partly", *t->version ? ", " : "",
                    t->version, *t->path ? ", " : "", t->path);
        if (!*t->path && strcmp(t->name, "bpf") != 0)
            proc_format(text, sizeof(text), "no, not found in PATH");
        line(o, t->name, text);
        for (size_t k = 0; k < t->n_notes; k++)
            line(o, "", t->notes[k]);
        if (*t->remedy)
            cli_printf(o, "      %s%s%s\n", style(o, "\33[36m"), t->remedy, style(o, "\33[0m"));
    }
}

void report_text(struct cli_out *o, const struct report *r)
{
    verdict(o, r);
    obstacles(o, r);
    process(o, r);
    here(o, r);
    tools(o, r);
}
