// SPDX-License-Identifier: Apache-2.0
#include <elf.h>
#include <string.h>

#include "live/task.h"

#include "live/syscall_names.inc"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define FIRST_COMMON 424
#define X32_BIT 0x40000000

struct table {
    const char *const *names;
    size_t n;
};

static struct table table_of(uint16_t machine, uint8_t ptr_size)
{
    if (machine == EM_X86_64)
        return (struct table){names_x86_64, COUNT(names_x86_64)};
    if (machine == EM_386)
        return (struct table){names_i386, COUNT(names_i386)};
    if (machine == EM_AARCH64 && ptr_size == 8)
        return (struct table){names_aarch64, COUNT(names_aarch64)};
    return (struct table){NULL, 0};
}

const char *pyb_syscall_name(uint16_t machine, uint8_t ptr_size, int64_t number)
{
    struct table t = table_of(machine, ptr_size);
    if (machine == EM_X86_64 && ptr_size == 4 && number >= X32_BIT)
        number -= X32_BIT;
    if (t.n && number >= FIRST_COMMON)
        t = (struct table){names_common, COUNT(names_common)};
    return number >= 0 && (uint64_t)number < t.n ? t.names[number] : NULL;
}

bool pyb_syscall_minds_stops(uint16_t machine, uint8_t ptr_size, int64_t number)
{
    // socketcall and ipc of i386 are many calls in one, of which some are here.
    static const char *const minding[] = {
        "accept", "accept4", "connect", "recvfrom", "recvmsg", "recvmmsg", "recvmmsg_time64", "sendto",
        "sendmsg", "sendmmsg", "epoll_wait", "epoll_pwait", "epoll_pwait2", "semop", "semtimedop",
        "semtimedop_time64", "rt_sigtimedwait", "rt_sigtimedwait_time64", "io_getevents", "io_pgetevents",
        "io_pgetevents_time64", "io_uring_enter", "socketcall", "ipc",
    };
    const char *name = pyb_syscall_name(machine, ptr_size, number);
    for (size_t i = 0; name && i < COUNT(minding); i++)
        if (strcmp(name, minding[i]) == 0)
            return true;
    return false;
}
