// SPDX-License-Identifier: Apache-2.0
// What one thread waits for. The lock, by the address that it sleeps on in the kernel; a queue, an event, a thread, by the Python frames of
// the modules that implement waiting (threading, queue, subprocess, concurrent.futures, importlib) and their `self`.
#include <string.h>

#include "api/findings_internal.h"
#include "base/error.h"
#include "interp/lock_stack.h"
#include "interp/variables.h"

#define MAX_FRAMES 24 // of the modules below, innermost
#define MAX_TEXT 200

// A frame of function `func` in a file of that name whose `self` has the attribute (3.x's name, 2.7's).
struct rule {
    const char *file, *func;
    enum pyb_wait_kind kind;
    const char *attr, *attr27;
};
static const struct rule rules[] = {
    {"threading.py", "wait", PYB_WAIT_CONDITION, "_waiters", "_Condition__waiters"},
    {"threading.py", "wait", PYB_WAIT_EVENT, "_flag", "_Event__flag"},
    {"threading.py", "wait", PYB_WAIT_BARRIER, "_parties", NULL},
    {"threading.py", "acquire", PYB_WAIT_SEMAPHORE, "_value", "_Semaphore__value"},
    {"threading.py", "join", PYB_WAIT_JOIN, "_ident", "_Thread__ident"},
    {"threading.py", "_wait_for_tstate_lock", PYB_WAIT_JOIN, "_ident", NULL},
    {"threading.py", "_shutdown", PYB_WAIT_SHUTDOWN, NULL, NULL},
    {"queue.py", "get", PYB_WAIT_GET, "unfinished_tasks", NULL},
    {"queue.py", "put", PYB_WAIT_PUT, "unfinished_tasks", NULL},
    {"queue.py", "join", PYB_WAIT_TASKS, "unfinished_tasks", NULL},
    {"Queue.py", "get", PYB_WAIT_GET, NULL, "unfinished_tasks"},
    {"Queue.py", "put", PYB_WAIT_PUT, NULL, "unfinished_tasks"},
    {"Queue.py", "join", PYB_WAIT_TASKS, NULL, "unfinished_tasks"},
    {"_base.py", "result", PYB_WAIT_FUTURE, "_done_callbacks", "_done_callbacks"},
    {"_base.py", "exception", PYB_WAIT_FUTURE, "_done_callbacks", "_done_callbacks"},
    {"_bootstrap.py", "acquire", PYB_WAIT_IMPORT, "owner", NULL},
    {"<frozen importlib._bootstrap>", "acquire", PYB_WAIT_IMPORT, "owner", NULL},
};
static const char *const others[] = {"subprocess.py", "process.py", "popen_fork.py", "popen_spawn_posix.py", "selectors.py",
                                     "connection.py", "thread.py"};

static bool is_waiting_module(const char *file)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (strcmp(file, rules[i].file) == 0)
            return true;
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        if (strcmp(file, others[i]) == 0)
            return true;
    }
    return false;
}

static int frame_of(struct pyb_findings *f, const struct pyb_frame *frame, struct pyb_pyframe *ret,
                    const struct pyb_code **ret_code)
{
    *ret = (struct pyb_pyframe){.addr = frame->frame, .code = frame->code, .lasti = frame->lasti};
    return frame->code ? pyb_code_get(f->r->py, frame->code, ret_code, NULL) : PYB_E_NOTFOUND;
}

static bool has_attr(struct pyb_findings *f, pyb_addr self, const struct rule *rule)
{
    pyb_addr value;
    const char *name = f->r->py->major == 2 ? rule->attr27 : rule->attr;
    return name && pyb_instance_attr(f->r->py, self, name, &value, NULL) == 0;
}

// 2.7's Queue is of the type "instance": its class says more.
static const char *class_name(struct pyb_findings *f, pyb_addr object)
{
    const struct pyb_layout *l = &f->r->py->layout;
    const struct pyb_type *t;
    const char *text;
    pyb_addr class, name;
    if (pyb_type_of(f->r->py, object, &t, NULL) != 0)
        return NULL;
    if (l->major == 2 && strcmp(t->name, "instance") == 0 && pyb_field_ptr(f->r->py, object, l->oldinstance_class, &class, NULL) == 0 &&
        pyb_field_ptr(f->r->py, class, l->oldclass_name, &name, NULL) == 0 &&
        pyb_string_read(f->r->py, name, MAX_TEXT, f->work, &text, NULL, NULL) == 0)
        return text;
    return t->short_name;
}

static bool apply_rule(struct pyb_findings *f, const struct pyb_frame *frame, const struct rule *rule, pyb_addr self,
                       struct pyb_waiter *w)
{
    if (!frame->short_file || !frame->func || strcmp(frame->short_file, rule->file) != 0 || strcmp(frame->func, rule->func) != 0)
        return false;
    if (rule->kind == PYB_WAIT_SHUTDOWN) {
        w->kind = rule->kind;
        w->object = 0;
        return true;
    }
    if (self == 0 || !has_attr(f, self, rule))
        return false;
    w->kind = rule->kind;
    w->object = self;
    w->type = class_name(f, self);
    return true;
}

static pyb_addr self_of(struct pyb_findings *f, const struct pyb_frame *frame)
{
    struct pyb_pyframe at;
    const struct pyb_code *code;
    const char *scope;
    pyb_addr self;
    if (frame_of(f, frame, &at, &code) != 0 || pyb_frame_lookup(f->r->py, &at, code, "self", &self, &scope, NULL) != 0 ||
        strcmp(scope, "local") != 0)
        return 0;
    return self;
}

// Condition.wait() sleeps on a lock of its own, `waiter`; before it returns it may sleep on the condition's lock.
static bool waits_for_notify(struct pyb_findings *f, pyb_addr condition, const struct pyb_waiter *lock)
{
    pyb_addr own;
    if (lock->sleep.kind != PYB_SLEEP_FUTEX)
        return true; // 2.7 with a timeout
    return lock->is_lock && !lock->lock.recursive && pyb_lock_of(f->r->py, condition, &own, NULL) == 0 && own != lock->object;
}

// Whether a frame at `depth` may say what is waited for, after what the frames inside it said.
static bool rule_counts(const struct rule *rule, int depth, enum pyb_wait_kind so_far)
{
    switch (rule->kind) {
    case PYB_WAIT_CONDITION:
    case PYB_WAIT_IMPORT:
    case PYB_WAIT_SHUTDOWN:
        return depth == 0;
    case PYB_WAIT_JOIN:
        return depth == 0 || so_far == PYB_WAIT_CONDITION || so_far == PYB_WAIT_JOIN;
    default: // all made of conditions
        return depth > 0 && so_far != PYB_WAIT_NONE && so_far != PYB_WAIT_LOCK && so_far != PYB_WAIT_JOIN && so_far != PYB_WAIT_GET;
    }
}

static void apply_rules(struct pyb_findings *f, const struct pyb_frame *frame, int depth, struct pyb_waiter *w)
{
    const pyb_addr self = self_of(f, frame);
    for (size_t k = 0; k < sizeof(rules) / sizeof(rules[0]); k++) {
        struct pyb_waiter before = *w;
        if (!rule_counts(&rules[k], depth, w->kind) || !apply_rule(f, frame, &rules[k], self, w))
            continue;
        if (rules[k].kind == PYB_WAIT_CONDITION && !waits_for_notify(f, self, &before))
            *w = before;
        return;
    }
}

// The outermost frame of those modules says best what is waited for: queue.get(), which waits for a condition, which waits for a lock.
static void find_by_frames(struct pyb_findings *f, struct pyb_waiter *w)
{
    const struct pyb_thread *t = w->thread;
    int n = 0;
    for (uint32_t i = 0; i < t->n_frames && n < MAX_FRAMES; i++) {
        const struct pyb_frame *frame = &t->frames[i];
        if (frame->kind != PYB_FRAME_PYTHON)
            continue;
        const bool waiting = frame->short_file && is_waiting_module(frame->short_file);
        if (!w->where || !waiting)
            w->where = frame;
        if (!waiting)
            return;
        apply_rules(f, frame, n++, w);
    }
}

static bool try_object(struct pyb_findings *f, pyb_addr object, const struct pyb_slept_on *on, struct pyb_waiter *w)
{
    const char *type = NULL;
    object = pyb_bound_to(f->r->py, object);
    if (!pyb_is_slept_on(f->r->py, object, on, &type))
        return false;
    w->kind = strcmp(type, "_queue.SimpleQueue") == 0 ? PYB_WAIT_GET : PYB_WAIT_LOCK;
    w->object = object;
    w->type = type;
    w->is_lock = pyb_lock_read(f->r->py, object, &w->lock, NULL) == 0;
    return true;
}

static bool find_in_frame(struct pyb_findings *f, const struct pyb_pyframe *at, const struct pyb_code *code,
                          const struct pyb_slept_on *on, struct pyb_waiter *w)
{
    struct pyb_value_stack stack;
    struct pyb_variable *v;
    uint32_t n;
    if (pyb_value_stack_read(f->r->py, at, code, &stack, NULL) == 0) {
        for (uint32_t i = stack.n; i-- > 0;) {
            if (stack.values[i] && try_object(f, stack.values[i], on, w))
                return true;
        }
    }
    if (pyb_variables_read(f->r->py, at, code, f->work, &v, &n, NULL) != 0)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (v[i].value && try_object(f, v[i].value, on, w))
            return true;
    }
    return false;
}

static const struct pyb_frame *innermost(const struct pyb_thread *t)
{
    for (uint32_t i = 0; i < t->n_frames; i++) {
        if (t->frames[i].kind == PYB_FRAME_PYTHON)
            return &t->frames[i];
    }
    return NULL;
}

// 2.7's RLock is a Python object around a lock; so is the lock that RLock(), written in Python, leaves to its frame.
static void find_python_lock(struct pyb_findings *f, struct pyb_waiter *w)
{
    const struct pyb_frame *frame = innermost(w->thread);
    struct pyb_lock lock;
    pyb_addr block;
    if (!frame->short_file || strcmp(frame->short_file, "threading.py") != 0)
        return;
    const pyb_addr self = self_of(f, frame);
    if (self == 0 || pyb_lock_read(f->r->py, self, &lock, NULL) != 0 ||
        pyb_either_attr(f->r->py, self, "_block", "_RLock__block", &block) != 0 || block != w->object)
        return;
    w->lock = lock;
    w->object = self;
    w->type = lock.type;
}

static void find_lock(struct pyb_findings *f, struct pyb_waiter *w)
{
    const struct pyb_slept_on on = pyb_slept_on(f->r->py, w->sleep.args[0]);
    const struct pyb_frame *frame = innermost(w->thread);
    const struct pyb_code *code;
    struct pyb_pyframe at;
    pyb_addr object;
    if (pyb_parked_lock(f->r->py, &on, &object) == 0)
        (void)try_object(f, object, &on, w);
    else if (frame && frame_of(f, frame, &at, &code) == 0)
        (void)find_in_frame(f, &at, code, &on, w);
    if (w->kind == PYB_WAIT_LOCK && frame)
        find_python_lock(f, w);
}

static int64_t length_of(struct pyb_findings *f, pyb_addr object)
{
    const struct pyb_layout *l = &f->r->py->layout;
    const struct pyb_type *t;
    int64_t n = -1;
    if (pyb_type_of(f->r->py, object, &t, NULL) != 0)
        return -1;
    if (strcmp(t->name, "collections.deque") == 0 && pyb_has(l->deque_ob_size))
        return pyb_field_int(f->r->py, object, l->deque_ob_size, &n, NULL) == 0 && n >= 0 ? n : -1;
    if (strcmp(t->name, "list") == 0)
        return pyb_field_int(f->r->py, object, l->var_ob_size, &n, NULL) == 0 && n >= 0 ? n : -1;
    return -1;
}

static void describe_queue(struct pyb_findings *f, struct pyb_waiter *w)
{
    pyb_addr items, unfinished;
    uint64_t tasks;
    if (w->kind == PYB_WAIT_TASKS) {
        if (pyb_instance_attr(f->r->py, w->object, "unfinished_tasks", &unfinished, NULL) == 0 &&
            pyb_small_int(f->r->py, unfinished, &tasks))
            w->detail = pyb_arena_printf(f->work, "%llu unfinished", (unsigned long long)tasks);
        return;
    }
    if (strcmp(w->type ? w->type : "", "_queue.SimpleQueue") == 0 || pyb_instance_attr(f->r->py, w->object, "queue", &items, NULL) != 0)
        return;
    const int64_t n = length_of(f, items);
    if (n == 0)
        w->detail = "empty";
    else if (n > 0)
        w->detail = pyb_arena_printf(f->work, "%lld item%s", (long long)n, n == 1 ? "" : "s");
}

static void describe(struct pyb_findings *f, struct pyb_waiter *w)
{
    pyb_addr value;
    uint64_t number;
    const char *text;
    if (w->kind == PYB_WAIT_GET || w->kind == PYB_WAIT_PUT || w->kind == PYB_WAIT_TASKS)
        describe_queue(f, w);
    else if (w->kind == PYB_WAIT_JOIN && pyb_either_attr(f->r->py, w->object, "_ident", "_Thread__ident", &value) == 0 &&
             pyb_small_int(f->r->py, value, &number))
        w->on_ident = number;
    else if (w->kind == PYB_WAIT_IMPORT) {
        if (pyb_instance_attr(f->r->py, w->object, "name", &value, NULL) == 0 &&
            pyb_string_read(f->r->py, value, MAX_TEXT, f->work, &text, NULL, NULL) == 0)
            w->detail = text;
        if (pyb_instance_attr(f->r->py, w->object, "owner", &value, NULL) == 0 && pyb_small_int(f->r->py, value, &number))
            w->on_ident = number;
    } else if (w->kind == PYB_WAIT_FUTURE && pyb_instance_attr(f->r->py, w->object, "_state", &value, NULL) == 0 &&
               pyb_string_read(f->r->py, value, MAX_TEXT, f->work, &text, NULL, NULL) == 0)
        w->detail = text;
}

// subprocess.Popen.communicate() and wait(timeout) do not wait for the child in the kernel.
static void find_child_by_frames(struct pyb_findings *f, struct pyb_waiter *w)
{
    int n = 0;
    for (uint32_t i = 0; i < w->thread->n_frames && n < MAX_FRAMES; i++) {
        const struct pyb_frame *frame = &w->thread->frames[i];
        pyb_addr pid;
        uint64_t number;
        if (frame->kind != PYB_FRAME_PYTHON)
            continue;
        n++;
        if (!frame->short_file || !is_waiting_module(frame->short_file))
            return;
        const pyb_addr self = strcmp(frame->short_file, "subprocess.py") == 0 ? self_of(f, frame) : 0;
        if (self && pyb_instance_attr(f->r->py, self, "pid", &pid, NULL) == 0 && pyb_small_int(f->r->py, pid, &number) &&
            number > 0 && number <= INT32_MAX) {
            w->kind = PYB_WAIT_CHILD;
            w->child = (int32_t)number;
            return;
        }
    }
}

void pyb_wait_find(struct pyb_findings *f, struct pyb_waiter *w)
{
    w->child = -1;
    w->on = PYB_NOBODY;
    w->taken_line = -1;
    w->timed = w->sleep.timed;
    if (!w->sleep.known || !w->usable || w->thread->gil == PYB_GIL_WAITS || !innermost(w->thread))
        return;
    if (w->sleep.kind == PYB_SLEEP_FUTEX)
        find_lock(f, w);
    else if (w->sleep.kind == PYB_SLEEP_CHILD) {
        w->kind = PYB_WAIT_CHILD;
        w->child = w->sleep.child;
    }
    const enum pyb_wait_kind by_kernel = w->kind;
    find_by_frames(f, w);
    if (by_kernel == PYB_WAIT_CHILD)
        w->kind = by_kernel;
    else if (w->kind == PYB_WAIT_NONE) {
        // It is no futex then: a poll(2) that was interrupted goes on as restart_syscall(2) with or without a timeout.
        w->timed = false;
        find_child_by_frames(f, w);
    }
    else if (w->sleep.kind != PYB_SLEEP_FUTEX)
        w->timed = true; // 2.7 waits with a timeout by sleeping again and again
    describe(f, w);
}
