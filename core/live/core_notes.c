// SPDX-License-Identifier: Apache-2.0
// The notes of a core in the kernel's order (fs/binfmt_elf.c): the first thread, what the process is, the other threads.
#ifdef __linux__
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/procfs.h>
#include <unistd.h>

#include "base/error.h"
#include "live/core_write.h"
#include "live/task.h"
#include "memory/corefile_internal.h"

#ifndef NT_FILE
#define NT_FILE 0x46494c45
#endif

static void pad(struct pyb_buf *b)
{
    while (b->len % 4 != 0 && !b->failed)
        pyb_buf_addc(b, '\0');
}

static void add_note(struct pyb_buf *b, uint32_t type, const void *desc, size_t len)
{
    const Elf64_Nhdr header = {.n_namesz = sizeof("CORE"), .n_descsz = (Elf64_Word)len, .n_type = type};
    pyb_buf_add(b, &header, sizeof(header));
    pyb_buf_add(b, "CORE", sizeof("CORE"));
    pad(b);
    pyb_buf_add(b, desc, len);
    pad(b);
}

static size_t read_file(int32_t pid, const char *name, void *buf, size_t size)
{
    char path[48];
    (void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    size_t n = pyb_core_pread(fd, buf, size, 0);
    (void)close(fd);
    return n;
}

// Of a thread that could not be stopped /proc tells no more than where it sleeps.
static void poor_registers(int32_t pid, uint16_t machine, int32_t tid, uint8_t *regs, size_t len)
{
    const struct pyb_core_regs *known = pyb_core_regs(machine, sizeof(void *));
    struct pyb_task task;
    if (!known || known->word != 8 || pyb_task_read(pid, tid, &task, NULL) != 0 || !task.asleep)
        return;
    if (((size_t)known->pc + 1) * 8 <= len)
        memcpy(regs + (size_t)known->pc * 8, &task.pc, 8);
    if (((size_t)known->sp + 1) * 8 <= len)
        memcpy(regs + (size_t)known->sp * 8, &task.sp, 8);
}

static void add_thread(struct pyb_buf *b, int32_t pid, uint16_t machine, const struct pyb_core_writer_thread *t)
{
    struct elf_prstatus status = {.pr_pid = t->tid};
    uint8_t *regs = (uint8_t *)&status.pr_reg;
    if (t->stopped)
        memcpy(regs, t->regs.regs, t->regs.regs_len < sizeof(status.pr_reg) ? t->regs.regs_len : sizeof(status.pr_reg));
    else
        poor_registers(pid, machine, t->tid, regs, sizeof(status.pr_reg));
    add_note(b, NT_PRSTATUS, &status, sizeof(status));
}

static void add_process(struct pyb_buf *b, int32_t pid)
{
    struct elf_prpsinfo info = {.pr_pid = pid};
    char text[1024];
    text[read_file(pid, "stat", text, sizeof(text) - 1)] = '\0';
    const char *name = strchr(text, '('), *rest = strrchr(text, ')');
    if (name && rest && rest > name) {
        size_t len = (size_t)(rest - name) - 1;
        memcpy(info.pr_fname, name + 1, len < sizeof(info.pr_fname) - 1 ? len : sizeof(info.pr_fname) - 1);
        if (sscanf(rest + 1, " %c %d %d %d", &info.pr_sname, &info.pr_ppid, &info.pr_pgrp, &info.pr_sid) != 4)
            info.pr_sname = '?';
    }
    size_t n = read_file(pid, "cmdline", info.pr_psargs, sizeof(info.pr_psargs) - 1);
    for (size_t i = 0; i + 1 < n; i++)
        info.pr_psargs[i] = info.pr_psargs[i] ? info.pr_psargs[i] : ' ';
    add_note(b, NT_PRPSINFO, &info, sizeof(info));
}

static void add_auxv(struct pyb_buf *b, int32_t pid)
{
    uint8_t auxv[4096];
    size_t n = read_file(pid, "auxv", auxv, sizeof(auxv));
    if (n > 0)
        add_note(b, NT_AUXV, auxv, n);
}

// count, page size, count times (start, end, offset in pages), names.
static void add_files(struct pyb_buf *b, const struct pyb_core_area *areas, size_t n)
{
    struct pyb_buf desc;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), head[2] = {0, page};
    pyb_buf_init(&desc, b->ctx, 0);
    for (size_t i = 0; i < n; i++)
        head[0] += areas[i].path != NULL;
    pyb_buf_add(&desc, head, sizeof(head));
    for (size_t i = 0; i < n; i++) {
        const uint64_t entry[3] = {areas[i].start, areas[i].end, areas[i].file_offset / page};
        if (areas[i].path)
            pyb_buf_add(&desc, entry, sizeof(entry));
    }
    for (size_t i = 0; i < n; i++) {
        if (areas[i].path)
            pyb_buf_add(&desc, areas[i].path, strlen(areas[i].path) + 1);
    }
    b->failed |= desc.failed;
    if (!desc.failed)
        add_note(b, NT_FILE, desc.data, desc.len);
    pyb_buf_deinit(&desc);
}

int pyb_core_notes(struct pyb_buf *ret, int32_t pid, uint16_t machine, const struct pyb_core_writer_thread *threads,
                   size_t n_threads, const struct pyb_core_area *areas, size_t n_areas, struct pyb_error *err)
{
    if (n_threads == 0)
        return pyb_fail(err, PYB_E_GONE, "process %d has ended", pid);
    add_thread(ret, pid, machine, &threads[0]);
    add_process(ret, pid);
    add_auxv(ret, pid);
    add_files(ret, areas, n_areas);
    for (size_t i = 1; i < n_threads; i++)
        add_thread(ret, pid, machine, &threads[i]);
    return ret->failed ? pyb_fail(err, PYB_E_NOMEM, "no memory for the notes of %zu threads", n_threads) : 0;
}
#endif
