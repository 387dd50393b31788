// SPDX-License-Identifier: Apache-2.0
// tracer PID TID...: traces these threads and lets them run, as strace does, until stdin is closed.
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    char byte;
    for (int i = 1; i < argc; i++) {
        if (ptrace(PTRACE_SEIZE, atoi(argv[i]), NULL, NULL) != 0) {
            perror("PTRACE_SEIZE");
            return 1;
        }
    }
    (void)!write(1, "TRACES\n", 7);
    return read(0, &byte, 1) < 0;
}
