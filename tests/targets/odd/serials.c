// SPDX-License-Identifier: Apache-2.0
// log_serials(path): every real-time signal SIGRTMIN+3 that comes, with the number it carries, into a file, by a handler of its own.
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_SERIALS (1u << 24)

struct log { _Atomic uint64_t n; int32_t serials[MAX_SERIALS]; };
static struct log *kept;

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    uint64_t at = atomic_fetch_add(&kept->n, 1);
    if (at < MAX_SERIALS)
        kept->serials[at] = info->si_value.sival_int;
}

int log_serials(const char *path);
int log_serials(const char *path)
{
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, sizeof(struct log)) != 0)
        return -1;
    kept = mmap(NULL, sizeof(struct log), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (kept == MAP_FAILED || sigemptyset(&action.sa_mask) != 0)
        return -1;
    return sigaction(SIGRTMIN + 3, &action, NULL);
}
