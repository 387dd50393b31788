// SPDX-License-Identifier: Apache-2.0
/**
 * pybraid: what a CPython process is doing, Python and native frames braided into one stack.
 *
 * The only header that front ends and other programs include. The library reads targets: it never writes to
 * them, injects into them or calls functions in them. It never calls exit(), abort() or printf().
 *
 * Conventions
 * - Functions return 0 or a negative `enum pyb_status`. Detail goes to a `struct pyb_error` that the caller owns;
 *   it may be NULL.
 * - Addresses in the target are `pyb_addr`, whatever the host is.
 * - Structs that the caller fills begin with their own size (`sizeof`), so that they can grow.
 * - A session is used by one thread at a time; sessions are independent of each other.
 * - Results (`struct pyb_snapshot_of_process`, ...) are read only, live in one arena and are freed at once;
 *   every string in them is valid UTF-8 and lives as long as they do. Enums may grow.
 */
#ifndef PYBRAID_H
#define PYBRAID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PYB_VERSION "0.1.0"
#if defined(__GNUC__)
#define PYB_API __attribute__((visibility("default")))
#else
#define PYB_API
#endif

typedef uint64_t pyb_addr;

enum pyb_status {
    PYB_OK = 0,
    PYB_E_FAILED = -1,      // anything without a code of its own
    PYB_E_NOMEM = -2,       // allocation failed, or the limit on bytes was reached
    PYB_E_USAGE = -3,       // an argument makes no sense
    PYB_E_NOENT = -4,       // no such process or file
    PYB_E_PERM = -5,        // not allowed to read it
    PYB_E_NOTPYTHON = -6,   // no CPython interpreter in the target
    PYB_E_UNSUPPORTED = -7, // a CPython (or file) that no layout fits
    PYB_E_FAULT = -8,       // target memory that cannot be read
    PYB_E_CORRUPT = -9,     // target data that makes no sense: cycles, sizes, kinds
    PYB_E_LIMIT = -10,      // a limit (depth, count, time) ended it
    PYB_E_ABORTED = -11,    // the abort callback said stop (Ctrl-C)
    PYB_E_GONE = -12,       // the target ended meanwhile
    PYB_E_NOTFOUND = -13,   // looked for, and not there
};

struct pyb_error {
    int code;          // enum pyb_status
    int sys_errno;     // or 0
    pyb_addr addr;     // target address it is about, or 0
    uint64_t length;   // bytes wanted there, or 0
    char what[384];    // what failed, with the value
    char remedy[512];  // what the user can paste, or ""
};

/** Which allocator, which limits. Zero means the default. */
struct pyb_options {
    size_t size;
    void *(*alloc)(void *ctx, size_t n); // malloc-like, NULL: malloc
    void (*free)(void *ctx, void *p);
    void *alloc_ctx;
    uint64_t max_bytes;                  // memory for one result, default 256 MiB
    uint64_t max_ms;                     // time for one call, default none
    bool (*abort)(void *ctx);            // asked between reads; true ends the call with PYB_E_ABORTED
    void *abort_ctx;
    const char *debug_folders;           // of separate debug files, as "/usr/lib/debug:/opt/debug"; NULL: /usr/lib/debug; "": none. Copied
    bool debug_server;                   // also ask the servers of the environment's DEBUGINFOD_URLS for them, 5 s a file at most
};

/** One mapped file (or anonymous module such as the vDSO) of a target that a front end describes. */
struct pyb_module_desc {
    size_t size;
    pyb_addr start, end;      // lowest and highest mapped address; 0, 0 when only `bias` is known
    pyb_addr bias;            // load bias: run-time address minus ELF virtual address
    bool bias_known;
    const char *path;         // as the target names it
    const char *local_path;   // where this host has the same file, or NULL: then read from target memory
};

/** A target that somebody else reads (a debugger). Callbacks may be called from any pyb_* call on the session. */
struct pyb_target_desc {
    size_t size;
    void *ctx;
    // Reads `len` bytes at `addr`; returns the bytes read (a short read is one), 0 when nothing is readable there.
    // Anything above `len` is a failure of the callback itself.
    uint64_t (*read)(void *ctx, pyb_addr addr, void *buf, uint64_t len);
    // Address of a global symbol as the debugger knows it; 0 when unknown. NULL: not asked.
    pyb_addr (*symbol)(void *ctx, const char *name);
    const struct pyb_module_desc *modules; // copied
    size_t n_modules;
    int32_t pid;              // as the observer sees it; 0: unknown
    bool is_local;            // /proc/PID of this host is that process
    bool is_core;
    uint8_t ptr_size;         // 4 or 8
    bool big_endian;
    uint16_t machine;         // ELF e_machine, 0: the host's
    const char *executable;   // or NULL
    const char *core_path;    // or NULL
    // Without `modules` the library looks itself: /proc/PID/maps (is_local), the core's NT_FILE (core_path), else the link map, which
    // the program headers lead to. From the target's auxiliary vector; 0: unknown.
    pyb_addr at_phdr;
    uint32_t at_phnum;
};

struct pyb_session;

PYB_API const char *pyb_version(void);
PYB_API int pyb_session_new(const struct pyb_options *options, struct pyb_session **ret, struct pyb_error *err);
PYB_API void pyb_session_free(struct pyb_session *session);

/** Targets: exactly one per session. Nothing is stopped by opening. */
PYB_API int pyb_open_pid(struct pyb_session *s, int32_t pid, struct pyb_error *err);
PYB_API int pyb_open_core(struct pyb_session *s, const char *core, const char *exe, struct pyb_error *err);
PYB_API int pyb_open_recording(struct pyb_session *s, const char *path, struct pyb_error *err);
PYB_API int pyb_open_target(struct pyb_session *s, const struct pyb_target_desc *desc, struct pyb_error *err);

/** The target has run since: forget what may have changed (memory pages, threads); keep what cannot (files). */
PYB_API void pyb_session_invalidate(struct pyb_session *s);
/** The target's mapped files changed (dlopen, exec): replaces the modules of pyb_open_target. */
PYB_API int pyb_set_modules(struct pyb_session *s, const struct pyb_module_desc *m, size_t n, struct pyb_error *err);

/** What was found in the target, and how (`py-info`, `doctor`). Strings live as long as the session. */
struct pyb_info {
    size_t size;
    int version_major, version_minor, version_micro;
    const char *version;        // "3.13.5", "3.15.0rc1"
    bool free_threaded, debug_build;
    pyb_addr runtime;           // _PyRuntime, or the interpreter head's address up to 3.6
    const char *found_by;       // "symbol _PyRuntime in /usr/bin/python3.11", "cookie scan", ...
    const char *layout;         // name of the layout row
    const char *layout_note;    // NULL, or why it may not fit ("nearest: 3.15 for 3.16")
    const char *module;         // file that holds the interpreter
    const char *executable;
    uint32_t n_candidates;      // interpreters considered
    uint64_t reads, bytes_read, cache_hits;
};
PYB_API int pyb_session_info(struct pyb_session *s, struct pyb_info *ret, struct pyb_error *err);

/** Native frames of one OS thread as an unwinder gives them, innermost first. */
enum pyb_native_flags {
    PYB_NATIVE_INLINED = 1,   // an inlined function: shares pc and sp with the next frame
    PYB_NATIVE_SIGNAL = 2,    // a signal trampoline: pc of the frame outside it is exact, sp may move either way
    PYB_NATIVE_APPROX = 4,    // found by frame pointers only
    PYB_NATIVE_KERNEL = 8,
};
struct pyb_native_frame {
    size_t size;
    pyb_addr pc, sp;
    uint32_t flags;
    int32_t number;           // the debugger's frame number, -1: none
    const char *name;         // the unwinder's name (demangled), or NULL
    const char *linkage_name; // or NULL
    const char *module;       // path, or NULL: found by pc
    const char *file;         // or NULL
    int32_t line;             // 0: unknown
};
struct pyb_native_stack {
    size_t size;
    int32_t tid;              // OS thread id as the observer sees it
    pyb_addr thread_pointer;  // fs_base / tpidr_el0, 0: unknown. Equals pthread_self() on Linux.
    const char *os_name;      // comm, or NULL
    int32_t active;           // 1 on a CPU or runnable, 0 not, -1 unknown
    const struct pyb_native_frame *frames;
    size_t n_frames;
    const char *truncated;    // why the native stack ends early, or NULL
};

/** What to read. */
enum pyb_read_flags {
    PYB_READ_LOCALS = 1,
    PYB_READ_VERBOSE = 2,     // instances with their __dict__, addresses, linkage names
    // pyb_sample() only: up to 3.11, where code objects have no number of their own, one whose pointers are all the
    // same is taken for the same for up to 10 ms, before its name, file and line table are compared again. From 3.12
    // on no difference.
    PYB_READ_QUICK = 4,
};
struct pyb_read_options {
    size_t size;
    uint32_t flags;
    uint32_t max_frames;      // Python frames per thread, 0: 1 000 000 
    uint32_t repr_length;     // bytes of one repr, 0: default (120); UINT32_MAX: none
    uint32_t repr_depth;      // default 4
    uint32_t repr_items;      // default 20
};

/** The result: threads, each with its braided frames, innermost first. */
enum pyb_frame_kind { PYB_FRAME_PYTHON, PYB_FRAME_NATIVE, PYB_FRAME_KERNEL, PYB_FRAME_GAP };
struct pyb_local {
    const char *name;
    bool arg;
    bool cell;                // cell or free variable
    pyb_addr addr;            // the object, 0: unbound
    const char *type;         // or NULL
    const char *repr;         // or NULL: `note` says why
    const char *note;
};
struct pyb_frame {
    enum pyb_frame_kind kind;
    bool plumbing;
    const char *note;         // gap: what is missing and why; others: NULL or a remark ("line approximate: JIT")
    // python
    const char *name;         // co_qualname where there is one, else co_name; native: chosen by the core, or NULL
    const char *func;         // co_name
    const char *file, *short_file;
    int32_t line, end_line, column, end_column; // -1: null
    bool entry;               // outermost Python frame of its evaluation
    pyb_addr frame, code;     // frame object or interpreter frame, code object
    int32_t lasti;            // in bytes
    int64_t interpreter;      // id, -1: unknown
    const struct pyb_local *locals;
    uint32_t n_locals;
    // native
    int32_t number;
    pyb_addr pc, sp;
    const char *linkage_name;
    const char *module;       // basename or path as known; offset is relative to its load bias
    uint64_t offset;
    bool inlined;
};
/** How a thread of a live process was read. What was not stopped and not asleep all the time is not exact. */
enum pyb_reading_mode {
    PYB_MODE_GIVEN,           // as the front end found it: a core, a debugger's stop, a recording
    PYB_MODE_BLOCKED,         // asleep in the kernel before, during and after: not disturbed
    PYB_MODE_STOPPED,         // stopped meanwhile, by ptrace
    PYB_MODE_VALIDATED,       // not stopped: read until two readings agreed
    PYB_MODE_UNCHECKED,       // not stopped, and no two readings agreed: `note` says so
};
enum pyb_gil { PYB_GIL_UNKNOWN, PYB_GIL_HOLDS, PYB_GIL_WAITS, PYB_GIL_RELEASED };
struct pyb_thread {
    int32_t tid;              // 0: unknown
    pyb_addr ident;           // threading.get_ident(), 0: no Python state
    const char *name;         // threading's name, else NULL
    const char *os_name;
    int64_t interpreter;      // of its innermost Python frame, -1: none
    int32_t active;           // 1, 0, -1 unknown
    enum pyb_gil gil;
    int32_t gc;               // collecting: 1, 0, -1 unknown
    bool has_python;          // has a thread state
    bool complete;
    const char *note;         // where it ends and why, when not complete
    const struct pyb_frame *frames;
    uint32_t n_frames;
    enum pyb_reading_mode mode;
    char state;               // R, S, D, T, t, Z, ... as in /proc/PID/stat; '\0': unknown
    const char *syscall;      // name of the system call it is in, or NULL: none or unknown
};
/**
 * A conclusion about several threads (`dump`): "deadlock", "starved", "lock", "gil", "join", "import", "child", "queue", "wait". Drawn only
 * from what held all the time.
 */
struct pyb_finding {
    const char *kind;
    const char *text;         // one line for people
    const int32_t *tids;      // whom it is about, the culprit first
    uint32_t n_tids;
};
struct pyb_process {
    int32_t pid;
    const char *core;         // or NULL
    const char *executable;
    const char *python;       // version
    bool free_threaded, debug_build;
    const char *const *command; // argv, or NULL when unknown
    uint32_t n_command;
    const struct pyb_thread *threads;
    uint32_t n_threads;
    const char *note;         // something about the whole process, or NULL
    const struct pyb_finding *findings;
    uint32_t n_findings;
};
/**
 * Reads the target's Python state and braids it with the native stacks given (n may be 0: Python frames only).
 * With `only_given`, threads without a native stack here are left out. The caller frees the result.
 */
PYB_API int pyb_read(struct pyb_session *s, const struct pyb_native_stack *native, size_t n, bool only_given,
                     const struct pyb_read_options *options, struct pyb_process **ret, struct pyb_error *err);
PYB_API void pyb_process_free(struct pyb_process *p);

/**
 * Reads a live process or a core with the library's own unwinder: every thread of the operating system, native frames braided in.
 *
 * Threads that sleep in the kernel are read undisturbed. Running ones are stopped one at a time by ptrace for as long as their registers,
 * stack and Python frames take to copy (50 ms at most are waited for the stop), and go on before anything is unwound. A helper process does
 * the ptrace; when it or the caller ends, whatever way, the thread runs on. Nothing else of the caller is touched: no SIGCHLD arrives.
 */
enum pyb_dump_flags {
    PYB_DUMP_PYTHON = 1,      // Python frames only: native ones are not looked for
    PYB_DUMP_CONSISTENT = 2,  // all threads stopped together
    PYB_DUMP_NO_STOP = 4,     // no ptrace at all
    PYB_DUMP_SOURCE = 8,      // files, lines and inlined functions of native frames from debug information
    PYB_DUMP_FINDINGS = 16,   // also draw conclusions: who waits for whom
};
struct pyb_dump_options {
    size_t size;
    uint32_t flags;
    const int32_t *tids;      // only these threads; NULL: all
    size_t n_tids;
};
/** `options` and `reading` may be NULL. The caller frees the result. */
PYB_API int pyb_dump(struct pyb_session *s, const struct pyb_dump_options *options,
                     const struct pyb_read_options *reading, struct pyb_process **ret, struct pyb_error *err);

/**
 * Sampling: the Python frames of one thread state, again and again, as cheaply as can be. No names of threads, GIL,
 * locals or native frames. Nothing is stopped: of a thread that runs meanwhile, a sample may show parts of two
 * moments; two samples that agree in all frames are the usual test.
 */
struct pyb_thread_state {
    pyb_addr state;           // PyThreadState
    int32_t tid;              // as the observer sees it, 0: unknown
    pyb_addr ident;           // threading.get_ident()
    int64_t interpreter;      // id, -1: unknown
    bool main;
};
/** The thread states there are now, read afresh. They live as long as the session's next call of this function. */
PYB_API int pyb_thread_states(struct pyb_session *s, const struct pyb_thread_state **ret, uint32_t *ret_n,
                              struct pyb_error *err);

struct pyb_sample_frame {
    const char *name;         // co_qualname where there is one, else co_name; NULL: not readable
    const char *func, *file;
    int32_t line, end_line, column, end_column; // -1: none
    int32_t lasti;
    pyb_addr code, frame;
    pyb_addr evaluation;      // what its evaluation left on the C stack (3.11+), 0: nothing
    bool entry;               // outermost of its evaluation
    bool approximate;         // the line: compiled by the JIT
};
struct pyb_sample {
    const struct pyb_sample_frame *frames; // innermost first
    uint32_t n_frames;
    bool complete;
    const char *note;         // where it ends and why, when not complete
    uint64_t reads;           // calls that reached the target's memory for this sample
};
/**
 * One sample, read afresh; needs no pyb_session_invalidate(). Lives as long as the session's next call. Of `options`
 * only max_frames and PYB_READ_QUICK count.
 * PYB_E_NOTFOUND: the thread state is not, or no longer, one of pyb_thread_states().
 */
PYB_API int pyb_sample(struct pyb_session *s, pyb_addr state, const struct pyb_read_options *options,
                       const struct pyb_sample **ret, struct pyb_error *err);

/** repr() of one object of the target, as `py-print` shows it; text lives as long as the session's next call. */
PYB_API int pyb_repr(struct pyb_session *s, pyb_addr object, const struct pyb_read_options *options,
                     const char **ret, struct pyb_error *err);
/**
 * Locals of one Python frame of a result, read now: for a front end that shows the locals of one frame only. Arguments first, then
 * locals, cells and free variables. They live as long as the session's next call.
 */
PYB_API int pyb_frame_locals(struct pyb_session *s, const struct pyb_frame *frame, const struct pyb_read_options *options,
                             const struct pyb_local **ret, uint32_t *ret_n, struct pyb_error *err);
/** A global or builtin name seen from a Python frame (locals are in the frame); PYB_E_NOTFOUND when unbound. */
PYB_API int pyb_lookup_name(struct pyb_session *s, const struct pyb_frame *frame, const char *name,
                            pyb_addr *ret, const char **ret_scope, struct pyb_error *err);

/** Output. `write` returns 0 to go on, anything else ends the output with PYB_E_FAILED. */
typedef int (*pyb_write_fn)(void *ctx, const char *text, size_t len);
enum pyb_text_flags {
    PYB_TEXT_ALL = 1,         // plumbing too
    PYB_TEXT_PYTHON = 2,      // Python frames only
    PYB_TEXT_LOCALS = 4,
    PYB_TEXT_VERBOSE = 8,
    PYB_TEXT_COLOR = 16,
    PYB_TEXT_TRACEBACK = 32,  // order and look of a Python traceback
    PYB_TEXT_NO_HEADER = 64,  // no "Thread ..." line; of a process: no "Process ..." line
    PYB_TEXT_NO_GROUP = 128,  // threads with equal stacks each for itself
};
struct pyb_text_options {
    size_t size;
    uint32_t flags;
    uint32_t limit;           // frames per thread, 0: all
    int32_t current;          // index of the frame to mark, -1: none
};
PYB_API int pyb_text_thread(const struct pyb_thread *t, const struct pyb_text_options *o, pyb_write_fn write, void *ctx);
PYB_API int pyb_text_frame(const struct pyb_frame *f, uint32_t index, const struct pyb_text_options *o,
                           pyb_write_fn write, void *ctx);
/** The process, the conclusions, its threads; those whose stacks are equal are shown once. */
PYB_API int pyb_text_process(const struct pyb_process *p, const struct pyb_text_options *o, pyb_write_fn write, void *ctx);
PYB_API int pyb_json(const struct pyb_process *p, pyb_write_fn write, void *ctx);

/** Writes a recording of the target: every page that a full read needs, for bug reports and tests. */
PYB_API int pyb_record(struct pyb_session *s, const struct pyb_native_stack *native, size_t n, const char *path,
                       struct pyb_error *err);

/**
 * Writes an ELF core of a live process (64 bit), which is stopped meanwhile and goes on afterwards: what the kernel would write with its
 * default coredump_filter; pages of zeros become holes. `path` appears when the core is whole, readable for its owner only.
 */
PYB_API int pyb_write_core(struct pyb_session *s, const char *path, struct pyb_error *err);

#ifdef __cplusplus
}
#endif
#endif
