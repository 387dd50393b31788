// SPDX-License-Identifier: Apache-2.0
// In which system call a thread sleeps, and what its arguments say about how long.
#include <elf.h>
#include <string.h>

#include "api/findings_internal.h"

enum { FUTEX_WAIT = 0, FUTEX_WAIT_BITSET = 9, FUTEX_COMMAND = 0x7f }; // linux/futex.h
enum { P_ALL = 0, P_PID = 1 };                                       // bits/waitflags.h
enum { WNOHANG_FLAG = 1 };

struct numbers {
    uint16_t machine;
    int64_t futex, futex_time64, wait4, waitid, waitpid, restart;
};
// asm/unistd.h; -1: there is no such call.
static const struct numbers known[] = {
    {EM_X86_64, 202, -1, 61, 247, -1, 219},
    {EM_AARCH64, 98, -1, 260, 95, -1, 128},
    {EM_386, 240, 422, 114, 284, 7, 0},
};

static const struct numbers *numbers_of(uint16_t machine)
{
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (known[i].machine == machine)
            return &known[i];
    }
    return NULL;
}

static bool take_task(struct pyb_sleep *s)
{
    s->number = s->task.syscall;
    memcpy(s->args, s->task.args, sizeof s->args);
    return s->task.asleep && s->task.in_syscall;
}

// Places in elf_gregset_t (asm/ptrace.h): number of the call as it was, result, arguments. On other machines the first argument and the
// result share a register.
struct registers {
    uint16_t machine;
    uint8_t word, number, result, args[6];
};
static const struct registers core_registers[] = {
    {EM_X86_64, 8, 15, 10, {14, 13, 12, 7, 9, 8}},
    {EM_386, 4, 11, 6, {0, 1, 2, 3, 4, 5}},
};

static bool read_core(const struct pyb_session *s, int32_t tid, struct pyb_sleep *ret)
{
    const struct pyb_memory *mem = s->target.mem;
    for (size_t i = 0; i < s->facts->n_threads; i++) {
        const struct pyb_core_thread *t = &s->facts->threads[i];
        for (size_t k = 0; t->tid == tid && k < sizeof(core_registers) / sizeof(core_registers[0]); k++) {
            const struct registers *r = &core_registers[k];
            struct pyb_bytes b = pyb_memory_bytes(mem, t->regs, t->regs_len);
            if (r->machine != mem->machine || t->regs_len < 17u * r->word)
                continue;
            ret->number = pyb_get_int(&b, (size_t)r->number * r->word, r->word);
            for (size_t a = 0; a < 6; a++)
                ret->args[a] = pyb_get_uint(&b, (size_t)r->args[a] * r->word, r->word);
            // Interrupted and to be restarted (ERESTARTSYS to ERESTART_RESTARTBLOCK), or not returned from at all (ENOSYS).
            const int64_t result = pyb_get_int(&b, (size_t)r->result * r->word, r->word);
            return ret->number >= 0 && (result == -38 || (result <= -512 && result >= -516));
        }
    }
    return false;
}

static void classify(const struct numbers *n, struct pyb_sleep *s)
{
    s->child = -1;
    if (!n)
        return;
    // A call with a timeout that a stop interrupted goes on as restart_syscall(2), with its arguments. If it was another than futex(2), no
    // lock will be found at the address.
    if (s->number == n->futex || s->number == n->futex_time64 || (s->number == n->restart && s->args[3] != 0)) {
        const uint64_t command = s->args[1] & FUTEX_COMMAND;
        s->kind = command == FUTEX_WAIT || command == FUTEX_WAIT_BITSET ? PYB_SLEEP_FUTEX : PYB_SLEEP_OTHER;
        s->timed = s->args[3] != 0;
    } else if (s->number == n->wait4 || s->number == n->waitpid) {
        s->kind = s->args[2] & WNOHANG_FLAG ? PYB_SLEEP_OTHER : PYB_SLEEP_CHILD;
        s->child = (int32_t)s->args[0] > 0 ? (int32_t)s->args[0] : -1;
    } else if (s->number == n->waitid && (s->args[0] == P_PID || s->args[0] == P_ALL)) {
        s->kind = s->args[3] & WNOHANG_FLAG ? PYB_SLEEP_OTHER : PYB_SLEEP_CHILD;
        s->child = s->args[0] == P_PID ? (int32_t)s->args[1] : -1;
    }
}

void pyb_sleep_read(const struct pyb_session *s, int32_t tid, struct pyb_sleep *ret)
{
    *ret = (struct pyb_sleep){.child = -1};
    if (tid <= 0)
        return;
    if (s->facts && s->target.is_core)
        ret->known = read_core(s, tid, ret);
    else if (s->target.is_local && !s->target.is_core && s->target.pid > 0)
        ret->known = pyb_task_read(s->target.pid, tid, &ret->task, NULL) == 0 && take_task(ret);
    if (ret->known)
        classify(numbers_of(s->target.mem->machine), ret);
}

void pyb_sleep_of(const struct pyb_session *s, const struct pyb_task *task, struct pyb_sleep *ret)
{
    *ret = (struct pyb_sleep){.child = -1, .task = *task};
    ret->known = take_task(ret);
    if (ret->known)
        classify(numbers_of(s->target.mem->machine), ret);
}

bool pyb_sleep_same(const struct pyb_session *s, const struct pyb_sleep *before)
{
    return s->target.is_core || (before->known && pyb_task_same(s->target.pid, &before->task));
}
