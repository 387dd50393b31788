// SPDX-License-Identifier: Apache-2.0
// What gdb, lldb, perf and BPF can do here: found, which version, and tried where a try leaves nothing behind.
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capture.h"
#include "doctor.h"

#define TOOL_SECONDS 15

__attribute__((format(printf, 2, 3)))
static void note(struct tool *t, const char *format, ...)
{
    if (t->n_notes == MAX_NOTES)
        return;
    va_list args;
    va_start(args, format);
    if (vsnprintf(t->notes[t->n_notes], sizeof(t->notes[0]), format, args) > 0)
        t->n_notes++;
    va_end(args);
}

// A file that belongs to us: beside this program as it was installed (bin, lib, share), or in the tree where it was built.
static bool own_file(const char *installed, const char *built, char *buf, size_t size)
{
    const char *const ways[] = {installed, built};
    char exe[PATH_MAX], path[PATH_MAX + 64], real[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    exe[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(exe, '/');
    if (slash)
        *slash = '\0';
    for (int i = 0; i < 2; i++) {
        proc_format(path, sizeof(path), "%s/%s", exe, ways[i]);
        if (realpath(path, real) && access(real, R_OK) == 0) {
            proc_format(buf, size, "%s", real);
            return true;
        }
    }
    buf[0] = '\0';
    return false;
}

// The rest of the line after `mark`, or false.
static bool line_after(const char *text, const char *mark, char *buf, size_t size)
{
    const char *at = strstr(text, mark);
    if (!at)
        return false;
    at += strlen(mark);
    proc_format(buf, size, "%.*s", (int)strcspn(at, "\n"), at);
    return true;
}

static void gdb_library(struct tool *t, const char *text, int code, const char *script)
{
    char line[200];
    if (strstr(text, "pybraid-library-loads")) {
        t->usable = YES;
        note(t, "pybraid loads in it");
        if (access("/etc/gdb/gdbinit.d/pybraid.py", R_OK) != 0)
            note(t, "(gdb) source %s", script);
    } else if (strstr(text, "Python scripting is not supported")) {
        note(t, "it was built without Python (gdb-minimal)");
        proc_format(t->remedy, sizeof(t->remedy), "sudo apt-get install gdb");
    } else if (code == -2) {
        note(t, "no answer within %d s", TOOL_SECONDS);
    } else {
        note(t, "pybraid does not load in it: %s", line_after(text, "Error: ", line, sizeof(line)) ? line : "no reason given");
    }
}

static void look_at_gdb(struct tool *t)
{
    char script[PATH_MAX], source[PATH_MAX + 16], text[8192], line[200];
    bool found = own_file("../share/pybraid/gdb/pybraid.py", "../../gdb/pybraid.py", script, sizeof(script));
    if (!program_find("gdb", t->path, sizeof(t->path))) {
        proc_format(t->remedy, sizeof(t->remedy), "sudo apt-get install gdb");
        return;
    }
    proc_format(source, sizeof(source), "source %s", script);
    // Without a script the last command fails, and says so.
    const char *const argv[] = {t->path, "-nx", "-batch", "-ex", "show version", "-ex",
                                "python import sys; print('pybraid-python %d.%d' % sys.version_info[:2])", "-ex", found ? source : "echo", "-ex",
                                "python from pybraid_gdb import library; library.get(); print('pybraid-library-loads')", NULL};
    int code = program_run(argv, text, sizeof(text), TOOL_SECONDS);
    if (line_after(text, "GNU gdb ", line, sizeof(line)))
        proc_format(t->version, sizeof(t->version), "%s", strrchr(line, ' ') ? strrchr(line, ' ') + 1 : line);
    if (line_after(text, "pybraid-python ", line, sizeof(line)))
        note(t, "its Python is %s", line);
    if (found)
        gdb_library(t, text, code, script);
    else
        note(t, "pybraid.py, which GDB is to load, is not where it was installed");
}

static void look_at_lldb(struct tool *t)
{
    char text[2048], plugin[PATH_MAX], name[16] = "lldb";
    bool found = program_find(name, t->path, sizeof(t->path));
    for (int version = 40; !found && version >= 11; version--) { // Debian's names
        proc_format(name, sizeof(name), "lldb-%d", version);
        found = program_find(name, t->path, sizeof(t->path));
    }
    if (!found) {
        proc_format(t->remedy, sizeof(t->remedy), "sudo apt-get install lldb");
        return;
    }
    const char *const argv[] = {t->path, "--version", NULL};
    if (program_run(argv, text, sizeof(text), TOOL_SECONDS) == 0)
        (void)line_after(text, "version ", t->version, sizeof(t->version));
    if (own_file("../lib/liblldb-pybraid.so", "../lib/liblldb-pybraid.so", plugin, sizeof(plugin))) {
        t->usable = YES;
        note(t, "(lldb) plugin load %s", plugin);
    } else {
        note(t, "this build of pybraid has no plugin for it");
    }
}

// A counter of our own, closed at once. 0, or an errno.
static int try_perf(bool kernel, bool everybody)
{
    struct perf_event_attr attr = {.type = PERF_TYPE_SOFTWARE, .size = sizeof(attr), .config = PERF_COUNT_SW_CPU_CLOCK,
                                   .disabled = 1, .exclude_kernel = !kernel, .exclude_hv = 1};
    long fd = syscall(SYS_perf_event_open, &attr, everybody ? -1 : 0, everybody ? 0 : -1, -1, 8 /* PERF_FLAG_FD_CLOEXEC */);
    if (fd < 0)
        return errno;
    (void)close((int)fd);
    return 0;
}

static void perf_rights(const struct facts *f, struct tool *t)
{
    long paranoid = proc_number("", "/proc/sys/kernel/perf_event_paranoid", -100);
    long kptr = proc_number("", "/proc/sys/kernel/kptr_restrict", -1);
    int own = try_perf(false, false), kernel = try_perf(true, false), everybody = try_perf(true, true);
    const char *can = everybody == 0 ? "every process, kernel too" : kernel == 0 ? "our own processes, kernel too" : "our own processes, without the kernel";
    if (own == 0)
        note(t, "may sample %s", can);
    else
        note(t, "may sample nothing: perf_event_open: %s", strerror(own));
    if (paranoid != -100)
        note(t, "kernel.perf_event_paranoid is %ld%s", paranoid, facts_have(f, CAP_PERFMON) || facts_have(f, CAP_SYS_ADMIN) ?
             "; CAP_PERFMON is there, it does not count" : "");
    if (kptr > 0)
        note(t, "kernel.kptr_restrict is %ld: %s", kptr, kptr == 1 && facts_have(f, CAP_SYSLOG) ? "CAP_SYSLOG is there, it does not count"
             : "kernel frames have no names");
    if (own != 0)
        t->usable = NO;
    const char *host = f->where.place == PLACE_HOST ? "" : " on the host";
    if (everybody != 0 && !*t->remedy)
        proc_format(t->remedy, sizeof(t->remedy), "sudo sysctl kernel.perf_event_paranoid=%d    #%s%s", own == 0 ? -1 : 1, *host ? host : " until",
                    *host ? "" : " it starts again");
}

static void look_at_perf(const struct facts *f, struct tool *t)
{
    char text[1024], annotate[PATH_MAX];
    t->usable = YES;
    if (!program_find("perf", t->path, sizeof(t->path))) {
        t->usable = NO;
        proc_format(t->remedy, sizeof(t->remedy), "sudo apt-get install linux-perf");
    } else {
        const char *const argv[] = {t->path, "--version", NULL};
        if (program_run(argv, text, sizeof(text), TOOL_SECONDS) == 0)
            (void)line_after(text, "perf version ", t->version, sizeof(t->version));
    }
    perf_rights(f, t);
    if (!own_file("pyannotate", "pyannotate", annotate, sizeof(annotate)) && !program_find("pyannotate", annotate, sizeof(annotate)))
        note(t, "this build of pybraid has no pyannotate, which puts Python frames into perf's");
}

// An array of one element, closed at once. 0, or an errno.
static int try_bpf(void)
{
    union bpf_attr attr;
    memset(&attr, 0, sizeof(attr));
    attr.map_type = BPF_MAP_TYPE_ARRAY;
    attr.key_size = attr.value_size = 4;
    attr.max_entries = 1;
    long fd = syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
    if (fd < 0)
        return errno;
    (void)close((int)fd);
    return 0;
}

static void look_at_bpf(const struct facts *f, struct tool *t)
{
    bool admin = facts_have(f, CAP_SYS_ADMIN), bpf = admin || facts_have(f, CAP_BPF), perfmon = admin || facts_have(f, CAP_PERFMON);
    long unprivileged = proc_number("", "/proc/sys/kernel/unprivileged_bpf_disabled", -1);
    int tried = try_bpf();
    bool btf = access("/sys/kernel/btf/vmlinux", R_OK) == 0;
    t->usable = tried != 0 || !bpf || !perfmon ? NO : btf ? YES : UNKNOWN;
    note(t, "CAP_BPF: %s, CAP_PERFMON: %s%s", bpf ? "yes" : "no", perfmon ? "yes" : "no", admin ? " (by CAP_SYS_ADMIN)" : "");
    if (tried != 0)
        note(t, "bpf(): %s", strerror(tried));
    if (unprivileged >= 0 && !bpf)
        note(t, "kernel.unprivileged_bpf_disabled is %ld", unprivileged);
    note(t, btf ? "BTF: /sys/kernel/btf/vmlinux" : "no BTF (/sys/kernel/btf/vmlinux): programs must be built for this very kernel");
    if (t->usable != NO)
        return;
    if (f->where.place == PLACE_HOST)
        proc_format(t->remedy, sizeof(t->remedy), "%s", f->own.uid[1] == 0 ? "# as root with all its capabilities, in the first user namespace" : "sudo");
    else
        proc_format(t->remedy, sizeof(t->remedy), "# on the host, as root");
}

void tools_look(const struct facts *f, struct tool ret[N_TOOLS])
{
    static const char *const names[N_TOOLS] = {"gdb", "lldb", "perf", "bpf"};
    for (int i = 0; i < N_TOOLS; i++)
        ret[i] = (struct tool){.name = names[i], .usable = NO};
    look_at_gdb(&ret[0]);
    look_at_lldb(&ret[1]);
    look_at_perf(f, &ret[2]);
    look_at_bpf(f, &ret[3]);
}
