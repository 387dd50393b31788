// SPDX-License-Identifier: Apache-2.0
// Who waits for the GIL, where the thread state does not say so (before 3.15): a thread that sleeps in futex(2) on an address inside
// the GIL itself (its mutex and condition variables). Linux, live processes of this host: /proc/PID/task/TID/syscall.
#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "interp/fields.h"
#include "interp/thread.h"

#define SEM_SIZE 32 // sem_t of 64-bit glibc; 2.7's lock

struct span {
    pyb_addr start, end;
};

static void add(struct span *spans, size_t *n, pyb_addr start, uint64_t size)
{
    pyb_addr end;
    if (start && size && size < 4096 && !__builtin_add_overflow(start, size, &end))
        spans[(*n)++] = (struct span){.start = start, .end = end};
}

static bool symbol_of(struct pyb_python *py, const char *name, pyb_addr *ret, uint64_t *ret_size)
{
    struct pyb_elf *elf;
    struct pyb_elf_symbol symbol;
    if (!py->module || pyb_module_elf(py->target, py->module, &elf, NULL) || !py->module->bias_known ||
        pyb_elf_symbol(elf, name, &symbol))
        return false;
    *ret = py->module->bias + symbol.value;
    *ret_size = symbol.size;
    return true;
}

// Static variables of Python/ceval_gil.h (3.2-3.6) and Python/ceval.c (2.7), in unstripped builds.
static size_t old_gil(struct pyb_python *py, struct span spans[2])
{
    size_t n = 0;
    pyb_addr at, lock;
    uint64_t size;
    if (py->major == 2) {
        if (symbol_of(py, "interpreter_lock", &at, &size) && pyb_read_ptr(py->target->mem, at, &lock, NULL) == 0)
            add(spans, &n, lock, SEM_SIZE);
        return n;
    }
    if (symbol_of(py, "gil_cond", &at, &size))
        add(spans, &n, at, size);
    if (symbol_of(py, "gil_mutex", &at, &size))
        add(spans, &n, at, size);
    return n;
}

static size_t gil_of(struct pyb_python *py, pyb_addr interp, struct span spans[2])
{
    const struct pyb_layout *l = &py->layout;
    size_t n = 0;
    if (py->runtime == 0)
        return old_gil(py, spans);
    struct pyb_want gil = {.base = interp, .field = l->interp_gil_ptr};
    if (!pyb_has_field(l->interp_gil_ptr))
        add(spans, &n, pyb_field_at(py->runtime, l->runtime_gil), l->gil_size);
    else if (pyb_wants_read(py->target->mem, &gil, 1, NULL) == 0 && gil.ok)
        add(spans, &n, gil.value, l->gil_size);
    return n;
}

static long futex_number(uint16_t machine)
{
    switch (machine) {
    case EM_X86_64:
        return 202;
    case EM_AARCH64:
        return 98;
    case EM_386:
    case EM_ARM:
        return 240;
    default:
        return -1;
    }
}

// The address that a thread sleeps on in futex(2); 0: it does something else, or that is not to be told.
static pyb_addr futex_of(const struct pyb_target *t, int32_t tid)
{
    char path[64], text[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", t->pid, tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    text[n > 0 ? n : 0] = '\0';
    long number;
    uint64_t address;
    if (sscanf(text, "%ld %" SCNx64, &number, &address) != 2 || number < 0 || number != futex_number(t->mem->machine))
        return 0;
    return address;
}

// Nobody waits for what nobody holds: an idle process costs no system calls here.
static bool any_holder(const struct pyb_threads *threads)
{
    for (size_t i = 0; i < threads->n; i++) {
        if (threads->items[i].gil == PYB_GIL_HOLDS)
            return true;
    }
    return false;
}

void pyb_gil_waits_read(struct pyb_python *py, struct pyb_threads *threads)
{
    const struct pyb_target *t = py->target;
    struct span spans[2];
    size_t n = 0;
    if (!t->is_local || t->is_core || t->pid <= 0 || !any_holder(threads))
        return;
    for (size_t i = 0; i < threads->n; i++) {
        struct pyb_tstate *s = &threads->items[i];
        if (i == 0 || s->interp != threads->items[i - 1].interp)
            n = gil_of(py, s->interp, spans);
        if (s->gil != PYB_GIL_RELEASED || s->tid <= 0 || n == 0)
            continue;
        pyb_addr futex = futex_of(t, s->tid);
        for (size_t k = 0; k < n && futex; k++) {
            if (futex >= spans[k].start && futex < spans[k].end)
                s->gil = PYB_GIL_WAITS;
        }
    }
}
