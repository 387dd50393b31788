// SPDX-License-Identifier: Apache-2.0
#include "interp/find.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "interp/fields.h"

#define MAX_CHOICES 6
#define MAX_WAITS 6
#define FIRST_WAIT_NS 250000 // twice as long each time: 16 ms in all

static bool seen_before(struct pyb_finder *f, pyb_addr at)
{
    for (uint32_t i = 0; i < f->n_tried; i++) {
        if (f->tried[i] == at)
            return true;
    }
    if (f->n_tried < sizeof(f->tried) / sizeof(*f->tried))
        f->tried[f->n_tried++] = at;
    return false;
}

// Candidates come in the order of likelihood: the first one's complaint is the one to show.
static int misfit(struct pyb_finder *f, const struct pyb_error *why)
{
    if (!f->misfit.code)
        f->misfit = *why;
    return 0;
}

static const char *module_name(const struct pyb_module *mod)
{
    return mod && mod->path ? mod->path : "the debugger's symbol table";
}

static int keep(struct pyb_finder *f, const struct pyb_candidate *c, const struct pyb_version *v, const char *version_note,
                const struct pyb_layout_choice *choice, pyb_addr head_at, const struct pyb_head_check *check, struct pyb_error *err)
{
    struct pyb_python *py = f->py;
    char version[48];
    pyb_version_text(v, version, sizeof(version));
    py->layout = choice->layout;
    py->layout_exact = choice->exact;
    py->major = v->major;
    py->minor = v->minor;
    py->micro = v->micro;
    py->version = pyb_arena_strdup(&py->arena, version);
    py->free_threaded = (choice->layout.flags & PYB_LAYOUT_FREETHREADED) != 0;
    py->debug_build = (choice->layout.flags & PYB_LAYOUT_DEBUG) != 0 || (v->abi & PYB_LAYOUT_DEBUG) != 0;
    py->runtime = c->runtime;
    py->interp_head_at = head_at;
    py->n_other_heads = 0;
    py->module = c->module;
    py->found_by = pyb_arena_printf(&py->arena, "%s in %s", c->how, module_name(c->module));
    py->initialized = check->head != 0;
    py->layout_note = choice->note[0] ? pyb_arena_strdup(&py->arena, choice->note) : NULL;
    if (!choice->exact)
        py->layout_note = pyb_arena_printf(&py->arena, "nearest: %s for Python %s%s%s", choice->layout.name, version,
                                           choice->note[0] ? "; " : "", choice->note);
    else if (check->modules < 0)
        py->layout_note = "sys.modules is not where the layout says";
    if (version_note)
        py->layout_note = py->layout_note ? pyb_arena_printf(&py->arena, "%s; %s", py->layout_note, version_note) : version_note;
    py->note = NULL;
    if (check->head == 0)
        py->note = f->t->is_core ? "no interpreter: not initialised, finalised already, or the core lacks its memory"
                                 : "no interpreter: Py_Initialize has not got there yet, or Py_Finalize is through";
    else if (check->n_threads == 0)
        py->note = "the interpreter has no thread states: it is being made or torn down";
    if (!py->version || !py->found_by)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for the interpreter's description");
    f->fits = true;
    f->has_threads = check->n_threads > 0;
    return 0;
}

// The rows that may be meant, in the order of likelihood: what the module's names and symbols say, then the other ABIs.
static int choose_layout(struct pyb_finder *f, const struct pyb_candidate *c, const struct pyb_version *v, struct pyb_layout_choice *choices,
                         struct pyb_layout_choice **ret, pyb_addr *ret_head_at, struct pyb_head_check *ret_check, struct pyb_error *why)
{
    size_t n = pyb_find_layouts(f->t, v, c->runtime, choices, MAX_CHOICES, why);
    if (n == 0)
        return why->code ? why->code : PYB_E_UNSUPPORTED;
    int best = -2, rc = 0;
    for (size_t i = 0; i < n; i++) {
        struct pyb_head_check check;
        struct pyb_error error = {0};
        pyb_addr at = c->runtime ? pyb_field_at(c->runtime, choices[i].layout.runtime_interpreters_head) : c->head_at;
        rc = at ? pyb_head_check(f->t, &choices[i].layout, at, &check, &error)
                : pyb_fail(&error, PYB_E_UNSUPPORTED, "layout %s has no _PyRuntime", choices[i].layout.name);
        if (pyb_is_final(rc)) {
            *why = error;
            return rc;
        }
        if (rc) {
            if (best == -2 && i == 0)
                *why = error; // the likeliest row's complaint is the one to show
            continue;
        }
        if (check.head == 0 && i > 0)
            continue; // zeros agree with every row: they do not outweigh what the likeliest row found wrong
        if (check.modules > best) {
            best = check.modules;
            *ret = &choices[i];
            *ret_head_at = at;
            *ret_check = check;
        }
        if (best == 1 || check.head == 0)
            break;
    }
    return best > -2 ? 0 : PYB_E_UNSUPPORTED;
}

// What does not fit may be a moment at which a thread state is linked or unlinked; who does that may have lost the CPU over it. So
// a process that may run gets another chance, a few milliseconds for the whole search.
static bool may_have_moved(struct pyb_finder *f)
{
    if (f->t->is_core || !f->t->is_local || f->others || f->n_waits == MAX_WAITS)
        return false;
    struct timespec pause = {.tv_nsec = FIRST_WAIT_NS << f->n_waits++};
    (void)nanosleep(&pause, NULL); // shorter is as well
    pyb_memory_invalidate(f->t->mem);
    return true;
}

// A second interpreter that runs beside the one that was found: nothing of it will be shown, so that is said.
static int mention(struct pyb_finder *f, const struct pyb_candidate *c, const struct pyb_version *v, struct pyb_error *err)
{
    struct pyb_python *py = f->py;
    char version[48];
    pyb_version_text(v, version, sizeof(version));
    const char *note = pyb_arena_printf(&py->arena, "%s%sanother initialised CPython %s at 0x%" PRIx64 " (%s) is not shown",
                                        py->note ? py->note : "", py->note ? "; " : "", version,
                                        c->runtime ? c->runtime : c->head_at, module_name(c->module));
    if (!note)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for a note");
    py->note = note;
    return 0;
}

int pyb_find_try(struct pyb_finder *f, const struct pyb_candidate *c, struct pyb_error *err)
{
    if (seen_before(f, c->runtime ? c->runtime : c->head_at))
        return 0;
    f->n_candidates++;
    struct pyb_version v;
    struct pyb_version_evidence ev;
    struct pyb_error why = {0};
    const char *version_note;
    int rc = pyb_version_find(f->t, c->module, c->runtime, &v, &ev, &version_note, &why);
    if (pyb_is_final(rc))
        return pyb_fail(err, rc, "%s", why.what);
    if (rc)
        return misfit(f, &why);
    struct pyb_layout_choice *choices = pyb_alloc(f->t->ctx, MAX_CHOICES * sizeof(*choices)), *choice = NULL;
    if (!choices)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for layouts");
    pyb_addr head_at = 0;
    struct pyb_head_check check = {0};
    do
        rc = choose_layout(f, c, &v, choices, &choice, &head_at, &check, &why);
    while (rc && !pyb_is_final(rc) && may_have_moved(f));
    if (pyb_is_final(rc)) {
        rc = pyb_fail(err, rc, "%s", why.what);
    } else if (rc) {
        char version[48];
        pyb_version_text(&v, version, sizeof(version));
        struct pyb_error text = {0};
        pyb_fail(&text, PYB_E_UNSUPPORTED, "Python %s in %s: no layout fits (%s)", version, module_name(c->module), why.what);
        rc = misfit(f, &text);
    } else if (f->others) {
        rc = check.n_threads > 0 ? mention(f, c, &v, err) : 0;
    } else if (!f->fits || check.n_threads > 0 || (check.head && !f->py->initialized)) {
        rc = keep(f, c, &v, version_note, choice, head_at, &check, err);
    }
    pyb_free(f->t->ctx, choices);
    return rc;
}

static int nothing_found(const struct pyb_finder *f, struct pyb_error *err)
{
    const char *name = f->t->executable ? f->t->executable : "the target";
    if (f->other)
        return pyb_fail(err, PYB_E_NOTPYTHON, "%s: not supported", f->other);
    if (f->misfit.code) {
        pyb_fail(err, PYB_E_UNSUPPORTED, "%s", f->misfit.what);
        pyb_remedy(err, "if it is a sound CPython, a recording (`pybraid record`) is what a report of this needs");
        return PYB_E_UNSUPPORTED;
    }
    pyb_fail(err, PYB_E_NOTPYTHON, "%s is no CPython: no symbol _PyRuntime or interp_head, no section .PyRuntime, no xdebugpy cookie and no "
             "interpreter state in the memory of its %zu modules", name, pyb_modules_count(f->t->modules));
    if (f->t->pid > 0 && !f->t->is_core)
        pyb_remedy(err, "a program that starts Python: its children are the processes to look at (pgrep -aP %d)", f->t->pid);
    return PYB_E_NOTPYTHON;
}

int pyb_find_each(struct pyb_finder *f, bool likely, int (*each)(struct pyb_finder *, struct pyb_module *, struct pyb_error *),
                  struct pyb_error *err)
{
    size_t n = pyb_modules_count(f->t->modules);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0 && !f->has_threads; i++) {
        struct pyb_module *mod = pyb_modules_at(f->t->modules, i);
        if (pyb_find_is_likely(f->t, mod) == likely)
            rc = each(f, mod, err);
    }
    return rc;
}

// Cheap steps first; opening every module of a process is not cheap. Scans look for what symbols do not tell: a _PyRuntime that
// exists, but has no interpreter, is an answer.
static int search(struct pyb_finder *f, struct pyb_error *err)
{
    int rc = pyb_find_by_symbol(f, true, err);
    if (rc == 0 && !f->fits)
        rc = pyb_find_by_cookie(f, true, err);
    if (rc == 0 && !f->has_threads)
        rc = pyb_find_by_symbol(f, false, err);
    if (rc == 0 && !f->fits)
        rc = pyb_find_by_cookie(f, false, err);
    if (rc == 0 && !f->fits)
        pyb_find_other(f);
    for (int likely = 1; likely >= 0 && rc == 0 && !f->fits && !f->other; likely--)
        rc = pyb_find_by_head(f, likely == 1, err);
    return rc;
}

int pyb_python_find(struct pyb_target *t, struct pyb_python **ret, struct pyb_error *err)
{
    *ret = NULL;
    struct pyb_python *py = pyb_alloc(t->ctx, sizeof(*py));
    if (!py)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for an interpreter");
    py->target = t;
    pyb_arena_init(&py->arena, t->ctx);
    pyb_arena_init(&py->code_arena, t->ctx);
    pyb_map_init(&py->codes, t->ctx);
    pyb_map_init(&py->types, t->ctx);
    struct pyb_finder f = {.t = t, .py = py};
    int rc = search(&f, err);
    if (rc == 0 && f.has_threads)
        pyb_find_neighbours(&f);
    py->n_candidates = f.n_candidates;
    if (rc == 0 && !f.fits)
        rc = nothing_found(&f, err);
    py->remark = py->layout_note ? py->layout_note : py->note;
    if (py->layout_note && py->note)
        py->remark = pyb_arena_printf(&py->arena, "%s; %s", py->layout_note, py->note);
    if (rc) {
        pyb_python_free(py);
        return rc;
    }
    *ret = py;
    return 0;
}
