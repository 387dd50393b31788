// SPDX-License-Identifier: Apache-2.0
// Cores: made by hand in every class and byte order, by gcore and by the kernel from real processes, cut,
// packed, damaged. `test_memory_core --write-corpus DIR` writes the made ones as seeds for the fuzzer.
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/error.h"
#include "made_core.h"
#include "memory/corefile.h"
#include "memory/readers.h"

#define PAGE 4096u

static int open_bytes(const void *data, size_t len, struct pyb_memory **ret, struct pyb_error *err)
{
    return pyb_core_open_fd(unit_ctx(), unit_file(data, len), "made", ret, err);
}

static struct pyb_memory *open_made(const struct made_arch *a)
{
    struct made c = made_core(a);
    struct pyb_memory *m;
    struct pyb_error err;
    assert_ok(open_bytes(c.data, c.len, &m, &err), &err);
    free(c.data);
    return m;
}

static void made_cores_say_what_was_put_in(void **state)
{
    (void)state;
    for (size_t i = 0; i < MADE_ARCHS; i++) {
        const struct made_arch *a = &made_archs[i];
        struct pyb_memory *m = open_made(a);
        const struct pyb_core_facts *f = pyb_core_facts(m);
        assert_int_equal(m->ptr_size, a->is64 ? 8 : 4);
        assert_int_equal(m->big_endian, a->big);
        assert_int_equal(m->machine, a->machine);
        assert_null(f->note);
        assert_int_equal(f->pid, 100);
        assert_string_equal(f->name, "python3");
        assert_string_equal(f->command, "python3 app.py");
        assert_int_equal(f->at_phdr, 0x40002040);
        assert_int_equal(f->at_phnum, 9);
        assert_int_equal(f->at_entry, 0x40002abc);
        assert_int_equal(f->at_sysinfo_ehdr, 0x4f000);
        assert_int_equal(f->n_threads, 2);
        for (size_t k = 0; k < 2; k++) {
            const struct pyb_core_thread *t = &f->threads[k];
            assert_int_equal(t->tid, 100 + k);
            assert_int_equal(t->signal, k ? 0 : 11);
            assert_int_equal(t->pc, k ? 0x40002020 : 0x40002010);
            assert_int_equal(t->sp, k ? 0x40000fe0 : 0x40000ff0);
            assert_int_equal(t->thread_pointer, k ? 0x42000 : 0x41000);
            assert_int_equal(t->regs_len, a->n * a->word);
        }
        assert_int_equal(f->n_mappings, 2);
        assert_int_equal(f->mappings[0].start, MADE_BASE + 0x2000);
        assert_int_equal(f->mappings[0].end, MADE_BASE + 0x3000);
        assert_int_equal(f->mappings[0].file_offset, 5 * 4096);
        assert_string_equal(f->mappings[0].path, "/usr/bin/python3");
        assert_string_equal(f->mappings[1].path, "/a \x1b[1mname");
        assert_int_equal(f->n_segments, 4);
        pyb_memory_destroy(m);
    }
}

static void made_cores_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < MADE_ARCHS; i++) {
        struct pyb_memory *m = open_made(&made_archs[i]);
        struct pyb_error err;
        uint8_t buf[3 * PAGE];
        size_t got;
        assert_ok(pyb_read_some(m, MADE_BASE + 10, buf, sizeof(buf), &got, &err), &err);
        assert_int_equal(got, 8192 - 10); // up to the segment that was left out
        for (size_t k = 0; k < got; k++)
            assert_int_equal(buf[k], (uint8_t)((k + 10) * 3));
        assert_int_equal(pyb_read_bytes(m, MADE_BASE + 0x2000, buf, 1, &err), PYB_E_FAULT);
        assert_ok(pyb_read_some(m, MADE_BASE + 0x3000, buf, PAGE, &got, &err), &err);
        assert_int_equal(got, 100);
        assert_int_equal(buf[99], (uint8_t)(99 * 7));
        assert_int_equal(pyb_read_bytes(m, MADE_BASE + 0x3001, buf, 100, &err), PYB_E_FAULT);
        assert_int_equal(err.addr, MADE_BASE + 0x3000 + 100);
        assert_int_equal(err.length, 1);
        assert_ok(pyb_read_bytes(m, MADE_BASE + 0x8ff0, buf, 16, &err), &err);
        assert_int_equal(buf[15], (uint8_t)(4095 * 5));
        uint64_t word;
        assert_ok(pyb_read_ptr(m, MADE_BASE + 1, &word, &err), &err);
        const uint64_t little = 0x1815120f0c090603u, big = 0x0306090c0f121518u;
        assert_true(word == (m->ptr_size == 4 ? m->big_endian ? big >> 32 : little & 0xffffffff
                             : m->big_endian  ? big
                                              : little));
        assert_int_equal(pyb_read_bytes(m, MADE_BASE - 1, buf, 1, &err), PYB_E_FAULT);
        assert_int_equal(pyb_read_bytes(m, MADE_BASE + 0x9000, buf, 1, &err), PYB_E_FAULT);
        pyb_memory_destroy(m);
    }
}

static void left_out_pages_come_from_files(void **state)
{
    (void)state;
    struct pyb_memory *m = open_made(&made_archs[0]);
    struct pyb_error err;
    uint8_t file[6 * PAGE], buf[6 * PAGE];
    for (size_t i = 0; i < sizeof(file); i++)
        file[i] = (uint8_t)(0xff - i);
    int fd = unit_file(file, 5 * PAGE + 200);
    // The mapping covers dumped pages too: what the core has wins.
    assert_ok(pyb_core_back(m, MADE_BASE + 0x1000, MADE_BASE + 0x4000, fd, 4096 * 3, &err), &err);
    assert_ok(pyb_core_back(m, MADE_BASE + 0xa000, MADE_BASE + 0xc000, fd, 4096 * 5, &err), &err);
    close(fd);
    assert_ok(pyb_read_bytes(m, MADE_BASE, buf, 3 * PAGE + 100, &err), &err);
    assert_int_equal(buf[0x1fff], (uint8_t)(0x1fff * 3));
    assert_memory_equal(buf + 2 * PAGE, file + 4 * PAGE, PAGE);
    assert_int_equal(buf[3 * PAGE + 99], (uint8_t)(99 * 7));
    size_t got;
    assert_ok(pyb_read_some(m, MADE_BASE + 0x3000, buf, 2 * PAGE, &got, &err), &err);
    assert_int_equal(got, PAGE); // 100 bytes of the core, 100 of the file, zeros to the page's end
    assert_memory_equal(buf + 100, file + 5 * PAGE + 100, 100);
    for (size_t i = 200; i < PAGE; i++)
        assert_int_equal(buf[i], 0);
    assert_ok(pyb_read_some(m, MADE_BASE + 0xa000, buf, 2 * PAGE, &got, &err), &err);
    assert_int_equal(got, PAGE); // the second page lies behind the file's end
    assert_int_equal(pyb_core_back(m, MADE_BASE, MADE_BASE + 0x1001, 0, 0, &err), PYB_E_USAGE); // overlaps
    assert_int_equal(pyb_core_back(m, 2, 1, 0, 0, &err), PYB_E_USAGE);
    assert_int_equal(pyb_core_back(m, UINT64_MAX - 8, UINT64_MAX, 0, UINT64_MAX - 2, &err), PYB_E_USAGE);
    int fifo[2];
    assert_int_equal(pipe(fifo), 0);
    assert_int_equal(pyb_core_back(m, 0x1000, 0x2000, fifo[0], 0, &err), PYB_E_USAGE);
    close(fifo[0]);
    close(fifo[1]);
    pyb_memory_destroy(m);
}

static void many_mappings_of_a_file_take_one_descriptor(void **state)
{
    (void)state;
    struct pyb_memory *m = open_made(&made_archs[0]);
    struct pyb_error err;
    int fd = unit_file("0123456789abcdef", 16), before = dup(0), after;
    for (size_t i = 3000; i > 0; i--)
        assert_ok(pyb_core_back(m, 0x10000000 + i * 32, 0x10000000 + i * 32 + 8, fd, i % 8, &err), &err);
    after = dup(0);
    assert_int_equal(after - before, 2); // `before` itself, and one copy of fd
    char byte;
    for (size_t i = 1; i <= 3000; i++) {
        assert_ok(pyb_read_bytes(m, 0x10000000 + i * 32 + 7, &byte, 1, &err), &err);
        assert_int_equal(byte, "0123456789abcdef"[i % 8 + 7]);
        assert_int_equal(pyb_read_bytes(m, 0x10000000 + i * 32 + 8, &byte, 1, &err), PYB_E_FAULT);
    }
    close(fd);
    close(before);
    close(after);
    pyb_memory_destroy(m);
}

// More segments than e_phnum can count, unsorted; then the same with its end cut off, where the count is.
static void more_than_65535_segments(void **state)
{
    (void)state;
    enum { N = 70001 };
    for (int is64 = 0; is64 < 2; is64++) {
        struct made c = {.is64 = is64, .big = !is64, .machine = is64 ? EM_X86_64 : EM_PPC};
        made_header(&c, ET_CORE, PN_XNUM);
        made_put(&c, made_phoff(&c) + N * made_phentsize(&c) - 1, 0, 1);
        size_t notes = c.len;
        made_note(&c, "CORE", NT_PRSTATUS, 336);
        made_phdr(&c, 0, PT_NOTE, notes, 0, c.len - notes, 0);
        size_t data = c.len;
        for (size_t i = 1; i < N; i++) {
            size_t page = (i * 7919) % N; // some order
            made_put(&c, data + i * 4, page, 4);
            made_phdr(&c, i, PT_LOAD, data + i * 4, 0x100000 + page * 8192, 4, 4096);
        }
        size_t shoff = c.len;
        made_word(&c, c.is64 ? 40 : 32, shoff);
        size_t info = c.is64 ? offsetof(Elf64_Shdr, sh_info) : offsetof(Elf32_Shdr, sh_info);
        made_put(&c, shoff + info, N, 4);
        made_put(&c, shoff + (c.is64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr)) - 1, 0, 1);
        for (int cut = 0; cut < 2; cut++) {
            struct pyb_memory *m;
            struct pyb_error err;
            assert_ok(open_bytes(c.data, cut ? shoff : c.len, &m, &err), &err);
            assert_int_equal(pyb_core_facts(m)->n_segments, N - 1);
            for (size_t page = 1; page < N; page += 997) {
                uint32_t value;
                if (page == 0)
                    continue;
                assert_ok(pyb_read_u32(m, 0x100000 + page * 8192, &value, &err), &err);
                assert_int_equal(value, page);
                assert_int_equal(pyb_read_u32(m, 0x100004 + page * 8192, &value, &err), PYB_E_FAULT);
            }
            pyb_memory_destroy(m);
        }
        free(c.data);
    }
}

static void set_phdr_field(struct made *c, size_t i, size_t offset64, size_t offset32, uint64_t value)
{
    made_word(c, made_phoff(c) + i * made_phentsize(c) + (c->is64 ? offset64 : offset32), value);
}

static void senseless_segments_do_no_harm(void **state)
{
    (void)state;
    for (size_t i = 0; i < MADE_ARCHS; i++) {
        const uint64_t huge[] = {UINT64_MAX, UINT64_MAX / 2, INT64_MAX, 1, 0x80000000u, 0xfffffff0u};
        for (size_t k = 0; k < sizeof(huge) / sizeof(huge[0]); k++) {
            for (size_t field = 0; field < 4; field++) {
                struct made c = made_core(&made_archs[i]);
                const size_t at64[] = {8, 16, 32, 40}, at32[] = {4, 8, 16, 20};
                for (size_t ph = 0; ph < 5; ph++)
                    if ((k + ph) % 2)
                        set_phdr_field(&c, ph, at64[field], at32[field], huge[k]);
                struct pyb_memory *m;
                struct pyb_error err;
                if (open_bytes(c.data, c.len, &m, &err) == 0) {
                    uint8_t buf[64];
                    size_t got;
                    for (size_t at = 0; at < 10; at++)
                        (void)pyb_read_some(m, MADE_BASE + at * PAGE - 8, buf, 64, &got, &err);
                    (void)pyb_read_some(m, huge[k], buf, 1, &got, &err);
                    pyb_memory_destroy(m);
                } else {
                    assert_true(err.what[0] != '\0');
                }
                free(c.data);
            }
        }
    }
}

static void expect_refused(const void *data, size_t len, int code, const char *text)
{
    struct pyb_memory *m;
    struct pyb_error err;
    assert_int_equal(open_bytes(data, len, &m, &err), code);
    assert_null(m);
    if (!strstr(err.what, text))
        fail_msg("\"%s\" does not say \"%s\"", err.what, text);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    expect_refused("", 0, PYB_E_CORRUPT, "empty");
    expect_refused("x", 1, PYB_E_UNSUPPORTED, "no core file");
    expect_refused("#!/bin/sh\necho\n", 15, PYB_E_UNSUPPORTED, "no core file");
    expect_refused("\x7f"
                   "ELF",
                   4, PYB_E_CORRUPT, "ends within its ELF header");
    struct made c = made_core(&made_archs[0]);
    for (size_t n = 1; n < c.len && n < 700; n++) { // no prefix crashes; most cannot be used
        struct pyb_memory *m;
        struct pyb_error err;
        if (open_bytes(c.data, n, &m, &err) == 0) {
            assert_non_null(pyb_core_facts(m)->note);
            pyb_memory_destroy(m);
        }
    }
    made_put(&c, 16, ET_EXEC, 2);
    expect_refused(c.data, c.len, PYB_E_UNSUPPORTED, "executable");
    made_put(&c, 16, ET_CORE, 2);
    made_put(&c, 54, 8, 2);
    expect_refused(c.data, c.len, PYB_E_CORRUPT, "program headers of 8 bytes");
    free(c.data);

    struct pyb_memory *m;
    struct pyb_error err;
    assert_int_equal(pyb_core_open(unit_ctx(), "/nonexistent/core", &m, &err), PYB_E_NOENT);
    assert_int_equal(pyb_core_open(unit_ctx(), "/", &m, &err), PYB_E_UNSUPPORTED);
    assert_int_equal(pyb_core_open(unit_ctx(), "/dev/zero", &m, &err), PYB_E_UNSUPPORTED);
    assert_int_equal(pyb_core_open(unit_ctx(), "/proc/self/exe", &m, &err), PYB_E_UNSUPPORTED);
    char path[] = "/tmp/pyb-unit-XXXXXX";
    assert_non_null(mkdtemp(path));
    char fifo[64];
    snprintf(fifo, sizeof(fifo), "%s/fifo", path);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(pyb_core_open(unit_ctx(), fifo, &m, &err), PYB_E_UNSUPPORTED); // and does not wait
    assert_non_null(strstr(err.what, "FIFO"));
    unlink(fifo);
    rmdir(path);
}

// A folder for files of one test, removed with all in it.
static char *new_folder(void)
{
    char *path = strdup("/tmp/pyb-unit-XXXXXX");
    assert_non_null(mkdtemp(path));
    return path;
}
static void remove_folder(char *path)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", path);
    assert_int_equal(system(command), 0);
    free(path);
}

static bool run(const char *format, ...) __attribute__((format(printf, 1, 2)));
static bool run(const char *format, ...)
{
    char command[512];
    va_list args;
    va_start(args, format);
    vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    fflush(NULL);
    return system(command) == 0;
}

static void write_bytes(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    close(fd);
}

static void compressed_cores(void **state)
{
    (void)state;
    char *dir = new_folder(), path[128];
    struct made c = made_core(&made_archs[0]);
    // Long runs of zeros become holes; at the end too.
    size_t zeros = 3 << 20, len = c.len + zeros;
    uint8_t *whole = calloc(1, len);
    memcpy(whole, c.data, c.len);
    snprintf(path, sizeof(path), "%s/core", dir);
    write_bytes(path, whole, len);
    free(whole);
    const struct {
        const char *command, *suffix;
        int code;
        const char *remedy;
    } kinds[] = {
        {"gzip -k", ".gz", 0, NULL},
#ifdef PYB_HAVE_ZSTD
        {"zstd -q -k", ".zst", 0, NULL},
#else
        {"zstd -q -k", ".zst", PYB_E_UNSUPPORTED, "zstd -dc '%s/core.zst' > 'core'"},
#endif
        {"f() { lz4 -q -k \"$1\" \"$1.lz4\"; }; f", ".lz4", PYB_E_UNSUPPORTED,
         "lz4 -dc '%s/core.lz4' > 'core'"},
        {"xz -k", ".xz", PYB_E_UNSUPPORTED, "xz -dc '%s/core.xz' > 'core'"},
    };
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (!run("%s %s/core", kinds[i].command, dir)) {
            print_message("not tested: `%s` cannot be run\n", kinds[i].command);
            continue;
        }
        snprintf(path, sizeof(path), "%s/core%s", dir, kinds[i].suffix);
        struct pyb_memory *m;
        struct pyb_error err;
        assert_int_equal(pyb_core_open(unit_ctx(), path, &m, &err), kinds[i].code);
        if (kinds[i].code) {
            char want[256];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            snprintf(want, sizeof(want), kinds[i].remedy, dir);
#pragma GCC diagnostic pop
            assert_string_equal(err.remedy, want);
            // The remedy does what it says.
            assert_true(run("cd %s && mkdir out && cd out && %s && cmp core ../core && cd .. && rm -r out",
                            dir, err.remedy));
            continue;
        }
        uint8_t byte;
        assert_ok(pyb_read_u8(m, MADE_BASE + 0x8fff, &byte, &err), &err);
        assert_int_equal(byte, (uint8_t)(4095 * 5));
        assert_null(pyb_core_facts(m)->note);
        pyb_memory_destroy(m);
        // Cut and damaged anywhere: an error, never half a core.
        struct stat st;
        assert_int_equal(stat(path, &st), 0);
        uint8_t *packed = malloc((size_t)st.st_size);
        int fd = open(path, O_RDONLY);
        assert_int_equal(read(fd, packed, (size_t)st.st_size), st.st_size);
        close(fd);
        for (off_t n = 20; n < st.st_size; n += st.st_size / 13) {
            assert_int_equal(open_bytes(packed, (size_t)n, &m, &err), PYB_E_CORRUPT);
            assert_non_null(strstr(err.what, "damaged archive"));
        }
        for (off_t n = st.st_size / 3; n < st.st_size - 8; n += st.st_size / 7) {
            packed[n] ^= 0x55;
            int rc = open_bytes(packed, (size_t)st.st_size, &m, &err);
            assert_int_equal(rc, PYB_E_CORRUPT);
            packed[n] ^= 0x55;
        }
        free(packed);
    }
    // gzip: members one after another are one file.
    if (run("cd %s && head -c 500 core | gzip > two.gz && tail -c +501 core | gzip >> two.gz", dir)) {
        struct pyb_memory *m;
        struct pyb_error err;
        snprintf(path, sizeof(path), "%s/two.gz", dir);
        assert_ok(pyb_core_open(unit_ctx(), path, &m, &err), &err);
        assert_int_equal(pyb_core_facts(m)->n_threads, 2);
        pyb_memory_destroy(m);
    }
    free(c.data);
    remove_folder(dir);
}

// A real process that stands still: memory and threads as the live reader and /proc see them.
static uint8_t *known_pages;
static const char known_text[] = "text in a read-only mapping";

static pid_t start_process(bool crash, const char *dir)
{
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    known_pages = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t i = 0; i < 8 * PAGE; i++)
        known_pages[i] = (uint8_t)(i * 11 + i / PAGE);
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct rlimit limit = {512 << 20, 512 << 20};
        if (crash && (setrlimit(RLIMIT_CORE, &limit) != 0 || chdir(dir) != 0))
            _exit(1);
        signal(SIGSEGV, SIG_DFL);
        if (crash)
            raise(SIGSEGV);
        (void)!write(ready[1], "x", 1);
        for (;;)
            pause();
    }
    char byte;
    if (!crash)
        assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return pid;
}

static void check_real_core(struct pyb_memory *m, pid_t pid, int sig)
{
    struct pyb_error err;
    const struct pyb_core_facts *f = pyb_core_facts(m);
    assert_null(f->note);
    assert_int_equal(f->pid, pid);
    assert_int_equal(f->n_threads, 1);
    assert_int_equal(f->threads[0].tid, pid);
    assert_int_equal(f->threads[0].signal, sig);
    assert_true(f->threads[0].pc > PAGE && f->threads[0].sp > PAGE);
#if defined(__x86_64__)
    assert_true(f->threads[0].thread_pointer == (uint64_t)pthread_self()); // forked: the same address
#endif
    assert_true(f->at_phdr && f->at_phnum && f->at_entry);
    bool found = false;
    for (size_t i = 0; i < f->n_mappings; i++)
        found |= strstr(f->mappings[i].path, "test_memory_core") != NULL && f->mappings[i].file_offset == 0;
    assert_true(found);
    uint8_t *buf = malloc(8 * PAGE);
    assert_ok(pyb_read_bytes(m, (uintptr_t)known_pages, buf, 8 * PAGE, &err), &err);
    assert_memory_equal(buf, known_pages, 8 * PAGE);
    free(buf);
    uint64_t word;
    assert_ok(pyb_read_ptr(m, f->threads[0].sp, &word, &err), &err);
}

// Text that the core left out comes from this very program's file.
static void check_backing(struct pyb_memory *m)
{
    struct pyb_error err;
    const struct pyb_core_facts *f = pyb_core_facts(m);
    char text[64];
    bool in_core = pyb_read_cstr(m, (uintptr_t)known_text, text, 63, &err) == 0;
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    for (size_t i = 0; i < f->n_mappings; i++)
        if (strstr(f->mappings[i].path, "test_memory_core"))
            assert_ok(pyb_core_back(m, f->mappings[i].start, f->mappings[i].end, fd,
                                    f->mappings[i].file_offset, &err),
                      &err);
    close(fd);
    assert_ok(pyb_read_cstr(m, (uintptr_t)known_text, text, 63, &err), &err);
    assert_string_equal(text, known_text);
    print_message("read-only text: %s\n", in_core ? "in the core" : "from the file");
}

static void cut_at_random(const char *path, struct pyb_memory *whole)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    unsigned seed = 20261121;
    const struct pyb_core_facts *f = pyb_core_facts(whole);
    size_t opened = 0, refused = 0, read = 0, missing = 0;
    int source = open(path, O_RDONLY);
    uint8_t *data = malloc((size_t)st.st_size), *want = malloc(16 * PAGE), *buf = malloc(16 * PAGE);
    assert_int_equal(pread(source, data, (size_t)st.st_size, 0), st.st_size);
    close(source);
    for (int i = 0; i < 200; i++) {
        size_t n = (size_t)rand_r(&seed) % (i % 16 == 0 ? 128 : i % 4 == 0 ? 8192 : (size_t)st.st_size);
        struct pyb_memory *m;
        struct pyb_error err;
        if (open_bytes(data, n, &m, &err)) {
            assert_true(err.what[0] && !m);
            refused++;
            continue;
        }
        opened++;
        assert_non_null(pyb_core_facts(m)->note);
        for (size_t s = 0; s < f->n_segments; s++) {
            size_t len = f->segments[s].file_size < 16 * PAGE ? (size_t)f->segments[s].file_size : 16 * PAGE,
                   got, got_cut;
            if (len == 0)
                continue;
            assert_ok(pyb_read_some(whole, f->segments[s].start, want, len, &got, &err), &err);
            int rc = pyb_read_some(m, f->segments[s].start, buf, len, &got_cut, &err);
            assert_true(rc == 0 || rc == PYB_E_FAULT);
            assert_memory_equal(buf, want, got_cut);
            read += got_cut;
            missing += got - got_cut;
        }
        pyb_memory_destroy(m);
    }
    free(data);
    free(want);
    free(buf);
    print_message(
        "200 cuts of %ld bytes: %zu opened with a note, %zu refused, %zu bytes equal, %zu missing and said so\n",
        (long)st.st_size, opened, refused, read, missing);
    assert_true(opened > 50 && refused > 0 && missing > 0);
}

#if defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#endif

// A core of a process whose address space is not its own: terabytes of ASan's shadow, valgrind's registers.
static bool runs_in_disguise(void)
{
#ifdef HAVE_ASAN
    print_message("skipped: a core of a process under ASan would hold its shadow memory\n");
    return true;
#else
    const char *preload = getenv("LD_PRELOAD");
    bool valgrind = preload && strstr(preload, "vgpreload");
    if (valgrind)
        print_message("skipped: under valgrind a core shows valgrind\n");
    return valgrind;
#endif
}

static void core_of_gcore(void **state)
{
    (void)state;
    if (runs_in_disguise())
        skip();
    if (!run("gdb --version > /dev/null 2>&1")) {
        print_message("skipped: no gdb\n");
        skip();
    }
    char *dir = new_folder(), path[128];
    pid_t pid = start_process(false, dir);
    bool made =
        run("ulimit -f 1000000; gdb -q -nx -batch -p %d -ex 'gcore %s/core' > %s/log 2>&1", pid, dir, dir);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    snprintf(path, sizeof(path), "%s/core", dir);
    if (!made || access(path, R_OK) != 0)
        (void)run("cat %s/log", dir);
    struct pyb_memory *m;
    struct pyb_error err;
    assert_ok(pyb_core_open(unit_ctx(), path, &m, &err), &err);
    check_real_core(m, pid, 0);
    cut_at_random(path, m);
    check_backing(m);
    pyb_memory_destroy(m);
    munmap(known_pages, 8 * PAGE);
    remove_folder(dir);
}

static void core_of_the_kernel(void **state)
{
    (void)state;
    if (runs_in_disguise())
        skip();
    char *dir = new_folder(), path[128];
    pid_t pid = start_process(true, dir);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    snprintf(path, sizeof(path), "%s/core", dir);
    if (!WCOREDUMP(status) || (access(path, R_OK) != 0 && !run("cd %s && mv core.* core", dir))) {
        print_message("skipped: /proc/sys/kernel/core_pattern writes no core into the current folder\n");
        remove_folder(dir);
        skip();
    }
    struct pyb_memory *m;
    struct pyb_error err;
    assert_ok(pyb_core_open(unit_ctx(), path, &m, &err), &err);
    check_real_core(m, pid, SIGSEGV);
    cut_at_random(path, m);
    check_backing(m);
    pyb_memory_destroy(m);
    munmap(known_pages, 8 * PAGE);
    remove_folder(dir);
}

// 3 GB, nearly all of it a hole: opened and read without the memory or the time that the whole would take.
static void large_cores_are_not_read_whole(void **state)
{
    (void)state;
    struct made c = {.is64 = true, .machine = EM_X86_64};
    const uint64_t size = UINT64_C(3) << 30;
    made_header(&c, ET_CORE, 1);
    made_phdr(&c, 0, PT_LOAD, 4096, 0x7f0000000000, size, size);
    int fd = unit_file(c.data, c.len);
    assert_int_equal(ftruncate(fd, (off_t)(size + 4096)), 0);
    assert_int_equal(pwrite(fd, "there", 6, (off_t)(size - 10)), 6);
    free(c.data);
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    struct pyb_memory *m, *cache;
    struct pyb_error err;
    assert_ok(pyb_core_open_fd(unit_ctx(), fd, "large", &m, &err), &err);
    assert_ok(pyb_cache_open(m->ctx, m, 0, &cache, &err), &err);
    char text[16];
    assert_ok(pyb_read_cstr(cache, 0x7f0000000000 + size - 4096 - 10, text, 15, &err), &err);
    assert_string_equal(text, "there");
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 10000); // kB
    pyb_memory_destroy(cache);
}

static int write_corpus(const char *dir)
{
    for (size_t i = 0; i < MADE_ARCHS; i++) {
        struct made c = made_core(&made_archs[i]);
        char path[256];
        snprintf(path, sizeof(path), "%s/%s", dir, made_archs[i].name);
        FILE *f = fopen(path, "wb");
        size_t len = c.len - 12288 > 64 ? c.len - 12288 : c.len; // without most of the memory
        if (!f || fwrite(c.data, 1, len, f) != len || fclose(f) != 0) {
            perror(path);
            return 1;
        }
        free(c.data);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--write-corpus") == 0)
        return write_corpus(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made_cores_say_what_was_put_in),
        cmocka_unit_test(made_cores_are_read),
        cmocka_unit_test(left_out_pages_come_from_files),
        cmocka_unit_test(many_mappings_of_a_file_take_one_descriptor),
        cmocka_unit_test(more_than_65535_segments),
        cmocka_unit_test(senseless_segments_do_no_harm),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(compressed_cores),
        cmocka_unit_test(core_of_gcore),
        cmocka_unit_test(core_of_the_kernel),
        cmocka_unit_test(large_cores_are_not_read_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
