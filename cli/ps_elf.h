// SPDX-License-Identifier: Apache-2.0
/** Which process may be a CPython, told from its files, without its memory: a machine has hundreds of processes and few different files. */
#ifndef CLI_PS_ELF_H
#define CLI_PS_ELF_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * The file holds a CPython interpreter: it exports PyInterpreterState_Head, or has a section .PyRuntime (from 3.10 on, stripped or not). Foreign
 * files: every offset and count is bounded.
 */
bool elf_is_interpreter(int fd);

/** What was found out about files, by device and inode. All zero is an empty one. */
struct ps_files {
    struct ps_file { uint64_t dev, inode; bool used, is_python; } *slots;
    size_t n, cap;
};
void ps_files_free(struct ps_files *f);

enum ps_kind {
    PS_OTHER,      // no interpreter among its files; kernel threads and zombies too
    PS_PYTHON,     // there is one: a reading will tell
    PS_UNREADABLE, // its files may not be seen, its name tells nothing
    PS_UNREADABLE_PYTHON, // the same, and its name is a Python's
};
enum ps_kind ps_kind_of(struct ps_files *files, int32_t pid);
#endif
