// SPDX-License-Identifier: Apache-2.0
// Which thread state belongs to a thread that only sleeps and was never stopped. Up to 3.10 a thread state knows pthread_self() alone, and a
// sleeping thread's registers cannot be had. The kernel knows where its list of robust mutexes begins: inside the C library's own
// struct of that thread, whose address is pthread_self().
#include <sys/syscall.h>
#include <unistd.h>

#include "api/dump.h"

#define MAX_HEAD 4096 // the list's head lies so far into struct pthread at most (glibc x86-64: 736)

static pyb_addr robust_list(int32_t tid)
{
#ifdef SYS_get_robust_list
    void *head = NULL;
    size_t len = 0;
    if (syscall(SYS_get_robust_list, (long)tid, &head, &len) == 0)
        return (pyb_addr)(uintptr_t)head;
#else
    (void)tid;
#endif
    return 0;
}

static pyb_addr nearest_below(const struct pyb_threads *threads, pyb_addr limit, uint64_t reach)
{
    pyb_addr best = 0;
    for (size_t i = 0; i < threads->n; i++) {
        pyb_addr ident = threads->items[i].thread_id;
        if (ident && ident <= limit && limit - ident < reach && ident > best)
            best = ident;
    }
    return best;
}

// The stack of a thread that the C library made ends with struct pthread: the first one above sp in the same mapping.
static pyb_addr above_stack(const struct pyb_dumping *d, pyb_addr sp)
{
    const struct pyb_mapping *mapping = pyb_modules_mapping(d->r.s->target.modules, sp);
    const struct pyb_threads *threads = &d->r.threads;
    pyb_addr best = 0;
    for (size_t i = 0; mapping && i < threads->n; i++) {
        pyb_addr ident = threads->items[i].thread_id;
        if (ident > sp && ident < mapping->end && (best == 0 || ident < best))
            best = ident;
    }
    return best;
}

void pyb_dump_find_pointers(struct pyb_dumping *d)
{
    for (size_t i = 0; i < d->n; i++) {
        if (d->stacks[i].thread_pointer)
            continue;
        pyb_addr head = robust_list(d->stacks[i].tid), ident = 0;
        if (head)
            ident = nearest_below(&d->r.threads, head, MAX_HEAD);
        if (!ident && d->threads[i].task.asleep)
            ident = above_stack(d, d->threads[i].task.sp);
        d->stacks[i].thread_pointer = ident;
    }
}
