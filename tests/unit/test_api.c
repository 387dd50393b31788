// SPDX-License-Identifier: Apache-2.0
// The public functions on misuse, on targets that are no Python, and on ourselves.
#include "unit.h"

#include <signal.h>
#include <sys/wait.h>

#include "api/recorded.h"
#include "pybraid.h"

static struct pyb_session *session(void)
{
    struct pyb_session *s = NULL;
    struct pyb_error err = {0};
    assert_int_equal(pyb_session_new(NULL, &s, &err), 0);
    return s;
}

static void test_use_before_open(void **state)
{
    (void)state;
    struct pyb_session *s = session();
    struct pyb_error err = {0};
    struct pyb_process *p = (struct pyb_process *)&err;
    struct pyb_info info = {.size = sizeof info};
    const char *text;
    assert_int_equal(pyb_read(s, NULL, 0, false, NULL, &p, &err), PYB_E_USAGE);
    assert_null(p);
    assert_true(err.what[0] != '\0');
    assert_int_equal(pyb_session_info(s, &info, &err), PYB_E_USAGE);
    assert_int_equal(pyb_repr(s, 0x1000, NULL, &text, &err), PYB_E_USAGE);
    assert_int_equal(pyb_record(s, NULL, 0, "/nonexistent/x", &err), PYB_E_USAGE);
    pyb_session_invalidate(s);
    pyb_session_free(s);
    pyb_session_free(NULL);
    pyb_process_free(NULL);
}

static void test_structs_without_a_size(void **state)
{
    (void)state;
    struct pyb_session *s = NULL;
    struct pyb_error err = {0};
    struct pyb_options none = {0};
    assert_int_equal(pyb_session_new(&none, &s, &err), PYB_E_USAGE);
    s = session();
    struct pyb_target_desc desc = {0};
    assert_int_equal(pyb_open_target(s, &desc, &err), PYB_E_USAGE);
    assert_int_equal(pyb_open_target(s, NULL, &err), PYB_E_USAGE);
    desc.size = sizeof desc; // no read function
    desc.ptr_size = 8;
    assert_int_equal(pyb_open_target(s, &desc, &err), PYB_E_USAGE);
    assert_int_equal(pyb_open_pid(s, getpid(), &err), PYB_E_USAGE); // one target for each session
    pyb_session_free(s);
}

static void test_no_such_targets(void **state)
{
    (void)state;
    static const struct { const char *path; int code; } cases[] = {{"/nonexistent/core", PYB_E_NOENT},
                                                                   {"/dev/null", 0}, {"/etc/passwd", 0},
                                                                   {"/", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pyb_error err = {0};
        struct pyb_session *s = session();
        int code = pyb_open_core(s, cases[i].path, NULL, &err);
        assert_true(cases[i].code ? code == cases[i].code : code < 0);
        assert_non_null(strstr(err.what, cases[i].path));
        pyb_session_free(s);
        s = session();
        code = pyb_open_recording(s, cases[i].path, &err);
        assert_true(cases[i].code ? code == cases[i].code : code < 0);
        pyb_session_free(s);
    }
    struct pyb_error err = {0};
    struct pyb_session *s = session();
    assert_int_equal(pyb_open_pid(s, -1, &err), PYB_E_USAGE);
    assert_true(pyb_open_pid(s, 0x7ffffff0, &err) < 0);
    assert_true(err.code == PYB_E_NOENT || err.code == PYB_E_GONE);
    pyb_session_free(s);
}

static void test_not_a_python(void **state)
{
    (void)state;
    struct pyb_error err = {0};
    struct pyb_session *s = session();
    struct pyb_process *p;
    assert_int_equal(pyb_open_pid(s, getpid(), &err), 0);
    assert_int_equal(pyb_read(s, NULL, 0, false, NULL, &p, &err), PYB_E_NOTPYTHON);
    assert_null(p);
    pyb_session_invalidate(s);
    assert_int_equal(pyb_read(s, NULL, 0, false, NULL, &p, &err), PYB_E_NOTPYTHON);
    pyb_session_free(s);
}

static bool stop_now(void *ctx)
{
    ++*(int *)ctx;
    return true;
}

static void test_abort(void **state)
{
    (void)state;
    struct pyb_error err = {0};
    int asked = 0;
    struct pyb_options o = {.size = sizeof o, .abort = stop_now, .abort_ctx = &asked};
    struct pyb_session *s;
    struct pyb_process *p = NULL;
    assert_int_equal(pyb_session_new(&o, &s, &err), 0);
    int code = pyb_open_pid(s, getpid(), &err);
    if (code == 0)
        code = pyb_read(s, NULL, 0, false, NULL, &p, &err);
    assert_int_equal(code, PYB_E_ABORTED);
    assert_true(asked > 0);
    pyb_session_free(s);
}

// An allocator that fails at the n-th request: an error, and nothing lost (valgrind and ASan tell).
struct allocator {
    long left, live;
};

static void *allocate(void *ctx, size_t n)
{
    struct allocator *a = ctx;
    if (a->left-- <= 0)
        return NULL;
    a->live++;
    return malloc(n);
}

static void release(void *ctx, void *p)
{
    struct allocator *a = ctx;
    a->live -= p != NULL;
    free(p);
}

static void test_memory_that_runs_out(void **state)
{
    (void)state;
    for (long left = 0; left < 60; left++) {
        struct allocator a = {.left = left};
        struct pyb_options o = {.size = sizeof o, .alloc = allocate, .free = release, .alloc_ctx = &a};
        struct pyb_error err = {0};
        struct pyb_session *s = NULL;
        struct pyb_process *p = NULL;
        int code = pyb_session_new(&o, &s, &err);
        if (code == 0)
            code = pyb_open_pid(s, getpid(), &err);
        if (code == 0)
            code = pyb_read(s, NULL, 0, false, NULL, &p, &err);
        assert_true(code < 0);
        pyb_session_free(s);
        assert_int_equal(a.live, 0);
    }
}

static void test_recorded_stacks_come_back(void **state)
{
    (void)state;
    struct pyb_native_frame frames[] = {
        {.size = sizeof *frames, .pc = 0x7f00000000ff, .sp = 0x7ffc00000000, .flags = PYB_NATIVE_INLINED,
         .number = 0,
         .name = "a b%c-d\n\xff", .linkage_name = "_Z1a", .module = "/lib/x y.so", .file = "", .line = 7},
        {.size = sizeof *frames, .pc = 1, .sp = 2, .number = -1, .name = "-"},
    };
    struct pyb_native_stack stacks[] = {
        {.size = sizeof *stacks, .tid = 4711, .thread_pointer = 0x7f55, .os_name = "two words", .active = -1,
         .frames = frames, .n_frames = 2},
        {.size = sizeof *stacks, .tid = 4712, .active = 1, .truncated = "cut"},
    };
    struct pyb_buf saved;
    struct pyb_arena arena;
    const struct pyb_native_stack *back;
    size_t n;
    pyb_buf_init(&saved, unit_ctx(), 0);
    pyb_arena_init(&arena, unit_ctx());
    assert_int_equal(pyb_native_save(stacks, 2, &saved), 0);
    assert_int_equal(pyb_native_load(saved.data, saved.len, &arena, &back, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_int_equal(back[0].tid, 4711);
    assert_int_equal(back[0].thread_pointer, 0x7f55);
    assert_int_equal(back[0].active, -1);
    assert_string_equal(back[0].os_name, "two words");
    assert_null(back[0].truncated);
    assert_int_equal(back[0].n_frames, 2);
    const struct pyb_native_frame *f = back[0].frames;
    assert_int_equal(f[0].pc, 0x7f00000000ff);
    assert_int_equal(f[0].flags, PYB_NATIVE_INLINED);
    assert_string_equal(f[0].name, "a b%c-d\n\xff");
    assert_string_equal(f[0].linkage_name, "_Z1a");
    assert_string_equal(f[0].module, "/lib/x y.so");
    assert_string_equal(f[0].file, "");
    assert_int_equal(f[0].line, 7);
    assert_int_equal(f[1].number, -1);
    assert_string_equal(f[1].name, "-");
    assert_null(f[1].module);
    assert_string_equal(back[1].truncated, "cut");
    assert_int_equal(back[1].n_frames, 0);
    // Cut anywhere, or with a byte changed: an error or other stacks, never more.
    for (size_t len = 0; len < saved.len; len++) {
        (void)pyb_native_load(saved.data, len, &arena, &back, &n, NULL);
        char kept = saved.data[len];
        saved.data[len] = 'S';
        (void)pyb_native_load(saved.data, saved.len, &arena, &back, &n, NULL);
        saved.data[len] = kept;
    }
    pyb_arena_deinit(&arena);
    pyb_buf_deinit(&saved);
}

// A Python of this machine that sleeps inside f(), which sort() called; 0 where there is none.
static pid_t start_python(void)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)dup2(ready[1], 1);
        execlp("python3", "python3", "-c",
               "import sys, time\ndef f(word='\\x1b[31m'):\n    print('ready')\n    sys.stdout.flush()\n"
               "    time.sleep(60)\nsorted([1], key=lambda x: f())\n", (char *)NULL);
        _exit(127);
    }
    (void)close(ready[1]);
    bool started = read(ready[0], &byte, 1) == 1;
    (void)close(ready[0]);
    if (started)
        return pid;
    (void)waitpid(pid, NULL, 0);
    return 0;
}

static int count_bytes(void *ctx, const char *text, size_t len)
{
    assert_null(memchr(text, '\x1b', len));
    *(size_t *)ctx += len;
    return 0;
}

static struct pyb_process *read_sleeping(struct pyb_session *s, pid_t pid)
{
    struct pyb_read_options o = {.size = sizeof o, .flags = PYB_READ_LOCALS | PYB_READ_VERBOSE};
    struct pyb_error err = {0};
    struct pyb_process *p = NULL;
    if (pyb_open_pid(s, pid, &err) != 0)
        fail_msg("%s", err.what);
    // It may not have reached its sleep: wait for the innermost frame.
    for (int i = 0; i < 200; i++) {
        if (pyb_read(s, NULL, 0, false, &o, &p, &err) != 0)
            fail_msg("%s", err.what);
        if (p->threads[0].n_frames == 3 && strcmp(p->threads[0].frames[0].func, "f") == 0)
            return p;
        pyb_process_free(p);
        (void)usleep(10000);
        pyb_session_invalidate(s);
    }
    fail_msg("the frames of the target never came");
    return NULL;
}

static void test_results_outlive_the_session(void **state)
{
    (void)state;
    pid_t pid = start_python();
    if (pid == 0) {
        printf("skipped: no python3 on this machine\n");
        skip();
    }
    struct pyb_session *s = session();
    struct pyb_process *p = read_sleeping(s, pid);
    const struct pyb_local *locals;
    uint32_t n;
    assert_int_equal(pyb_frame_locals(s, &p->threads[0].frames[0], NULL, &locals, &n, NULL), 0);
    assert_int_equal(n, 1);
    assert_string_equal(locals[0].name, "word");
    assert_string_equal(locals[0].repr, "'\\x1b[31m'");
    pyb_addr object;
    const char *scope;
    assert_int_equal(pyb_lookup_name(s, &p->threads[0].frames[0], "len", &object, &scope, NULL), 0);
    assert_string_equal(scope, "builtin");
    assert_int_equal(pyb_lookup_name(s, &p->threads[0].frames[0], "nowhere", &object, &scope, NULL),
                     PYB_E_NOTFOUND);
    pyb_session_free(s);
    size_t written = 0;
    struct pyb_text_options text = {.size = sizeof text, .flags = PYB_TEXT_LOCALS | PYB_TEXT_VERBOSE,
                                    .current = -1};
    assert_int_equal(pyb_json(p, count_bytes, &written), 0);
    assert_int_equal(pyb_text_thread(&p->threads[0], &text, count_bytes, &written), 0);
    assert_true(written > 500);
    pyb_process_free(p);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_use_before_open), cmocka_unit_test(test_structs_without_a_size),
            cmocka_unit_test(test_no_such_targets),
        cmocka_unit_test(test_not_a_python), cmocka_unit_test(test_abort),
            cmocka_unit_test(test_memory_that_runs_out),
        cmocka_unit_test(test_recorded_stacks_come_back), cmocka_unit_test(test_results_outlive_the_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
