// SPDX-License-Identifier: Apache-2.0
// A whole session over the memory of a real process with some of it changed: open, read with locals, JSON, text, sampling.
//
// At its start the fuzzer runs an interpreter (PYBRAID_FUZZ_PYTHON, by default /usr/bin/python3) at fixed addresses, copies its
// memory and ends it. A clean reading then says which places matter. Input: one byte of options, then changes of 4 bytes or
// more: place (2), offset in it (1), kind (1), and what the kind takes. Every result has to be in bounds, and the memory of the
// copy is never written.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/session.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_AREAS 4096u
#define MAX_PLACES 65536u
#define MAX_CHANGES 64u
#define MAX_AREA (UINT64_C(64) << 20)

struct area {
    pyb_addr start, end;
    uint8_t *data;
};
struct change {
    pyb_addr addr;
    uint8_t bytes[8];
    uint8_t n;
};

static struct area areas[MAX_AREAS];
static size_t n_areas;
static struct pyb_module_desc modules[256];
static size_t n_modules;
static struct pyb_range places[MAX_PLACES]; // what the clean reading looked at
static size_t n_places;
static struct change changes[MAX_CHANGES];
static size_t n_changes;
static pyb_addr runtime;
static const char *python;

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "fuzz_session: %s\n", what);
    abort();
}

// --- the process ---
static const char program[] =
    "import os, sys, threading, time, collections\n"
    "class Box(object):\n"
    "    def __init__(self, value):\n        self.value, self.more = value, {1: 2, 'k': [1.5, (None, True)]}\n"
    "def gen(n):\n"
    "    box, text, number = Box(n), u'caf\\u00e9 \\u20ac', 10 ** 40\n"
    "    pair, data, some = (1, -2), b'ab\\x00', {1, 2}\n"
    "    for item in range(n):\n        yield stop(item) if item == 2 else item\n"
    "def stop(item):\n"
    "    cell = [item]\n    def inner():\n        cell.append(1)\n"
    "        os.write(1, b'R')\n        while True: time.sleep(1000)\n"
    "    return sorted([3], key=lambda x: inner())\n"
    "other = threading.Thread(target=time.sleep, args=(1000,), name='an other')\n"
    "other.daemon = True\nother.start()\n"
    "list(gen(5))\n";

static pid_t start_python(void)
{
    int pipes[2];
    char one;
    require(pipe(pipes) == 0, "no pipe");
    pid_t pid = fork();
    require(pid >= 0, "no process");
    if (pid == 0) {
        char *argv[] = {(char *)python, "-S", "-E", "-c", (char *)program, NULL};
        char *env[] = {"PYTHONHASHSEED=0", "LC_ALL=C.UTF-8", NULL};
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)personality(ADDR_NO_RANDOMIZE); // findings are found again
        (void)dup2(pipes[1], 1);
        (void)execve(python, argv, env);
        _exit(127);
    }
    close(pipes[1]);
    require(read(pipes[0], &one, 1) == 1, "the interpreter did not come up (PYBRAID_FUZZ_PYTHON)");
    close(pipes[0]);
    (void)usleep(100000); // from write() into sleep()
    return pid;
}

static void add_module(const char *path, pyb_addr start, pyb_addr end)
{
    for (size_t i = 0; i < n_modules; i++) {
        if (strcmp(modules[i].path, path) == 0) {
            modules[i].end = end;
            return;
        }
    }
    if (n_modules < sizeof modules / sizeof *modules)
        modules[n_modules++] = (struct pyb_module_desc){.size = sizeof *modules, .start = start, .end = end, .path = strdup(path)};
}

static void copy_memory(pid_t pid)
{
    char path[64], line[1024], perms[8], file[512];
    unsigned long start, end;
    (void)snprintf(path, sizeof path, "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "re");
    require(maps != NULL, "no maps");
    while (fgets(line, sizeof line, maps)) {
        int n = sscanf(line, "%lx-%lx %7s %*s %*s %*s %511[^\n]", &start, &end, perms, file);
        if (n >= 4 && file[0] == '/')
            add_module(file, start, end);
        if (n < 3 || perms[0] != 'r' || end - start > MAX_AREA || n_areas == MAX_AREAS)
            continue;
        struct area *a = &areas[n_areas];
        *a = (struct area){.start = start, .end = end, .data = malloc(end - start)};
        require(a->data != NULL, "no memory");
        struct iovec to = {a->data, end - start}, from = {(void *)start, end - start};
        if (process_vm_readv(pid, &to, 1, &from, 1, 0) == (ssize_t)(end - start))
            n_areas++;
        else
            free(a->data);
    }
    (void)fclose(maps);
    require(n_areas > 0 && n_modules > 0, "nothing copied");
}

// --- the target ---
static uint64_t read_copy(void *ctx, pyb_addr addr, void *buf, uint64_t len)
{
    uint64_t done = 0;
    (void)ctx;
    for (size_t i = 0; i < n_areas && done < len; i++) { // ascending: neighbours follow each other
        const struct area *a = &areas[i];
        pyb_addr at = addr + done;
        if (at < a->start || at >= a->end)
            continue;
        uint64_t n = a->end - at < len - done ? a->end - at : len - done;
        memcpy((uint8_t *)buf + done, a->data + (at - a->start), n);
        done += n;
    }
    for (size_t i = 0; i < n_changes; i++) {
        for (size_t k = 0; k < changes[i].n; k++) {
            if (changes[i].addr + k - addr < done)
                ((uint8_t *)buf)[changes[i].addr + k - addr] = changes[i].bytes[k];
        }
    }
    return done;
}

static pyb_addr symbol(void *ctx, const char *name)
{
    (void)ctx;
    return runtime && strcmp(name, "_PyRuntime") == 0 ? runtime : 0;
}

static struct pyb_session *open_copy(void)
{
    struct pyb_options options = {.size = sizeof options, .max_bytes = UINT64_C(64) << 20};
    struct pyb_target_desc desc = {.size = sizeof desc, .read = read_copy, .symbol = symbol, .modules = modules,
                                   .n_modules = n_modules, .pid = 4711, .ptr_size = 8, .executable = python};
    struct pyb_session *s;
    struct pyb_error err = {0};
    require(pyb_session_new(&options, &s, &err) == 0, "no session");
    if (pyb_open_target(s, &desc, &err) == 0)
        return s;
    require(err.code < 0 && err.what[0], "an error without text");
    pyb_session_free(s);
    return NULL;
}

// --- what a clean reading looks at ---
struct noting {
    struct pyb_memory base; // first
    struct pyb_memory *below;
};

static int noting_readv(struct pyb_memory *m, struct pyb_range *ranges, size_t n, struct pyb_error *err)
{
    int code = pyb_memory_readv(((struct noting *)m)->below, ranges, n, err);
    for (size_t i = 0; i < n; i++) {
        if (n_places < MAX_PLACES && ranges[i].done > 0)
            places[n_places++] = ranges[i];
    }
    return code;
}

static void noting_destroy(struct pyb_memory *m)
{
    pyb_memory_destroy(((struct noting *)m)->below);
    free(m);
}

static void note_places(void)
{
    static const struct pyb_memory_ops ops = {.name = "noting", .readv = noting_readv, .destroy = noting_destroy};
    struct pyb_read_options options = {.size = sizeof options, .flags = PYB_READ_LOCALS | PYB_READ_VERBOSE};
    struct pyb_session *s = open_copy();
    require(s != NULL, "the copy cannot be opened");
    struct noting *n = calloc(1, sizeof *n);
    require(n != NULL, "no memory");
    *n = (struct noting){.base = *s->target.mem, .below = s->target.mem};
    n->base.ops = &ops;
    s->target.mem = &n->base;
    struct pyb_process *p = NULL;
    struct pyb_error err = {0};
    if (pyb_read(s, NULL, 0, false, &options, &p, &err) != 0) {
        fprintf(stderr, "%s\n", err.what);
        require(false, "the copy cannot be read");
    }
    require(p->n_threads == 2 && p->threads[0].complete && p->threads[1].complete && n_places > 100, "the copy is not whole");
    struct pyb_info info = {.size = sizeof info};
    require(pyb_session_info(s, &info, NULL) == 0, "no info");
    if (info.version_major == 3 && info.version_minor >= 7)
        runtime = info.runtime;
    fprintf(stderr, "fuzz_session: %s %s, %zu places\n", python, info.version, n_places);
    pyb_process_free(p);
    pyb_session_free(s);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    python = getenv("PYBRAID_FUZZ_PYTHON");
    static char resolved[4096];
    require(realpath(python ? python : "/usr/bin/python3", resolved) != NULL, "no interpreter (PYBRAID_FUZZ_PYTHON)");
    python = resolved;
    pid_t pid = start_python();
    copy_memory(pid);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    note_places();
    return 0;
}

// --- one input ---
static void add_change(pyb_addr addr, uint64_t value, unsigned n)
{
    struct change *c = &changes[n_changes++];
    c->addr = addr;
    c->n = (uint8_t)n;
    for (unsigned i = 0; i < n; i++)
        c->bytes[i] = (uint8_t)(value >> 8 * i);
}

static void read_changes(const uint8_t *data, size_t size)
{
    static const uint64_t extremes[] = {0, 1, UINT64_MAX, INT64_MAX, UINT64_C(1) << 63, UINT32_MAX, INT32_MAX, UINT64_C(1) << 47,
                                        4096, 3, UINT64_C(1) << 32, UINT64_C(0xdeadbeef000)};
    n_changes = 0;
    while (size >= 6 && n_changes < MAX_CHANGES) {
        const struct pyb_range *place = &places[(size_t)(data[0] | data[1] << 8) % n_places];
        pyb_addr addr = place->addr + data[2] % place->done;
        const struct pyb_range *other = &places[(size_t)(data[4] | data[5] << 8) % n_places];
        switch (data[3] % 6) {
        case 0: // one or two bytes
            add_change(addr, (uint64_t)(data[4] | data[5] << 8), 1 + (data[3] >> 4 & 1));
            break;
        case 1: // a pointer to what something else is
            add_change(place->addr + (data[2] % place->done & ~7u), other->addr, 8);
            break;
        case 2: // a pointer into it
            add_change(place->addr + (data[2] % place->done & ~7u), other->addr + data[3], 8);
            break;
        case 3:
            add_change(place->addr + (data[2] % place->done & ~7u), extremes[data[4] % 12], 8);
            break;
        case 4:
            add_change(addr, extremes[data[4] % 12], 4);
            break;
        default: // to itself
            add_change(place->addr + (data[2] % place->done & ~7u), place->addr + (data[4] & ~7u), 8);
        }
        data += 6;
        size -= 6;
    }
}

static int check_text(void *ctx, const char *text, size_t len)
{
    *(uint64_t *)ctx += len;
    for (size_t i = 0; i < len; i++)
        require((unsigned char)text[i] >= ' ' || text[i] == '\n', "a control character in the output");
    return 0;
}

static void use_result(struct pyb_session *s, const struct pyb_process *p, const struct pyb_read_options *options)
{
    struct pyb_text_options text = {.size = sizeof text, .flags = PYB_TEXT_ALL | PYB_TEXT_LOCALS | PYB_TEXT_VERBOSE, .current = -1};
    uint64_t written = 0;
    for (uint32_t i = 0; i < p->n_threads; i++) {
        const struct pyb_thread *t = &p->threads[i];
        require(t->complete || t->note, "a stack that ends without a reason");
        (void)pyb_text_thread(t, &text, check_text, &written);
        if (t->n_frames > 0 && !(options->flags & PYB_READ_LOCALS)) {
            const struct pyb_local *locals;
            uint32_t n;
            pyb_addr at;
            const char *scope;
            (void)pyb_frame_locals(s, &t->frames[t->n_frames - 1], options, &locals, &n, NULL);
            (void)pyb_lookup_name(s, &t->frames[t->n_frames - 1], "time", &at, &scope, NULL);
        }
    }
    (void)pyb_json(p, check_text, &written);
}

static void use_sampling(struct pyb_session *s)
{
    const struct pyb_thread_state *states;
    const struct pyb_sample *sample;
    uint32_t n;
    if (pyb_thread_states(s, &states, &n, NULL) != 0)
        return;
    for (uint32_t i = 0; i < n && i < 3; i++) {
        if (pyb_sample(s, states[i].state, NULL, &sample, NULL) == 0)
            require(sample->complete || sample->note, "a sample that ends without a reason");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    read_changes(data + 1, size - 1);
    size_t all = n_changes;
    if (data[0] & 4) // found sound, then the target is changed
        n_changes = 0;
    struct pyb_session *s = open_copy();
    if (!s)
        return 0;
    struct pyb_read_options options = {.size = sizeof options, .flags = data[0] & 3u};
    struct pyb_info info = {.size = sizeof info};
    struct pyb_process *p = NULL;
    struct pyb_error err = {0};
    if (data[0] & 4) {
        (void)pyb_session_info(s, &info, NULL);
        n_changes = all;
        pyb_session_invalidate(s);
    }
    int code = pyb_read(s, NULL, 0, false, &options, &p, &err);
    require(code == 0 || (code == err.code && err.what[0] && !p), "an error without text");
    if (code == 0)
        use_result(s, p, &options);
    if (data[0] & 8)
        use_sampling(s);
    pyb_process_free(p);
    pyb_session_free(s);
    return 0;
}
