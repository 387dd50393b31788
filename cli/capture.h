// SPDX-License-Identifier: Apache-2.0
/** Other programs: where they are, and what they print. */
#ifndef CLI_CAPTURE_H
#define CLI_CAPTURE_H
#include <stdbool.h>
#include <stddef.h>

/** The program as a shell would find it in PATH; false: nowhere. */
bool program_find(const char *name, char *buf, size_t size);
/**
 * Runs argv[0] (a path) with stdin closed off and keeps the beginning of what it prints on stdout and stderr. After `seconds` it is killed.
 * Returns its exit code, 128+N for a signal, -1: not started, -2: killed after `seconds`.
 */
int program_run(const char *const argv[], char *buf, size_t size, int seconds);
#endif
