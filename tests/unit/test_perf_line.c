// SPDX-License-Identifier: Apache-2.0
// Lines of perf script: the variants that perf 6.1 and 7.2 print, and what resembles them.
#include "unit.h"

#include "line.h"
#include "name.h"

static void is(struct ann_span s, const char *text)
{
    if (!text) {
        assert_int_equal(s.n, 0);
        return;
    }
    assert_int_equal(s.n, strlen(text));
    assert_memory_equal(s.p, text, s.n);
}

struct header_case {
    const char *line, *comm, *cpu, *time, *period, *event;
    long pid, tid;
};

static void headers(void **state)
{
    (void)state;
    static const struct header_case cases[] = {
        {"python3 28125  6687.010358:    2004008 cpu-clock: \n", "python3", NULL, "6687.010358", "2004008", "cpu-clock", -1, 28125},
        {"python3 1/22 [003] 1.5: cycles:u: ", "python3", "003", "1.5", NULL, "cycles:u", 1, 22},
        {"V8 Worker 3 4711/4712 [001] 6773.867164:    1001001 cpu-clock:\r\n", "V8 Worker 3", "001", "6773.867164", "1001001", "cpu-clock", 4711, 4712},
        {"12 34 5 99 [000] 1.000001: 7 my event: ", "12 34 5", "000", "1.000001", "7", "my event", -1, 99},
        {"         python3 31254  6773.867164:    5025125 cpu-clock:           1a06643 f (/x)\n", "python3", NULL, "6773.867164", "5025125", "cpu-clock", -1, 31254},
        {"swapper     0 [000] 158665.570607: sched:sched_switch: prev_comm=a b", "swapper", "000", "158665.570607", NULL, "sched:sched_switch", -1, 0},
        {"x 1 2.3: 10 cpu/event=0x3c,umask=0x0/u: ", "x", NULL, "2.3", "10", "cpu/event=0x3c,umask=0x0/u", -1, 1},
        {"python3 28125 cpu-clock: ", "python3", NULL, NULL, NULL, "cpu-clock", -1, 28125},
        {"28125 6687.010358: cpu-clock:", NULL, NULL, "6687.010358", NULL, "cpu-clock", -1, 28125},
        {"python3  6687.010358: cpu-clock:", "python3", NULL, "6687.010358", NULL, "cpu-clock", -1, -1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct header_case *c = &cases[i];
        struct ann_header h;
        print_message("%s\n", c->line);
        assert_true(ann_parse_header(c->line, strlen(c->line), &h));
        is(h.comm, c->comm);
        is(h.cpu, c->cpu);
        is(h.time, c->time);
        is(h.period, c->period);
        is(h.event, c->event);
        assert_int_equal(h.pid, c->pid);
        assert_int_equal(h.tid, c->tid);
    }
}

static void no_headers(void **state)
{
    (void)state;
    static const char *const lines[] = {"python3 ", "hello, world", "", "   ", "a b 12", "12", ":", "1.2:x",
        "python3 28125 1.2: PERF_RECORD_COMM exec: python3:1/1", "python3 28125 1.2: PERF_RECORD_EXIT(1:1):(1:1)"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        struct ann_header h;
        assert_false(ann_parse_header(lines[i], strlen(lines[i]), &h));
    }
}

struct frame_case {
    const char *line, *name, *dso;
    uint64_t pc, offset;
    bool has_offset, inlined;
};

static void frames(void **state)
{
    (void)state;
    static const struct frame_case cases[] = {
        {"\t    7fa082fbfc66 py::leaf:/srv/x.py+0x6 (/tmp/perf-1.map)\n", "py::leaf:/srv/x.py", "/tmp/perf-1.map", 0x7fa082fbfc66, 6, true, false},
        {"\t    7fb261a27466 py::f:/tmp/a b;c(d).py+0x6 (/tmp/perf-1.map)\r\n", "py::f:/tmp/a b;c(d).py", "/tmp/perf-1.map", 0x7fb261a27466, 6, true, false},
        {"\tffffffff8158e3e1 next_uptodate_folio+0xc1 ([kernel.kallsyms])", "next_uptodate_folio", "[kernel.kallsyms]", 0xffffffff8158e3e1, 0xc1, true, false},
        {"\t               0 [unknown] ([unknown])", "[unknown]", "[unknown]", 0, 0, false, false},
        {"\t             1f std::f(int, char (*)(long)) (/lib/x (deleted))", "std::f(int, char (*)(long))", "/lib/x (deleted)", 0x1f, 0, false, false},
        {"\t            1a0 helper (inlined)", "helper", NULL, 0x1a0, 0, false, true},
        {"\t           2724a __libc_start_call_main", "__libc_start_call_main", NULL, 0x2724a, 0, false, false},
        {"\t           2724a", NULL, NULL, 0x2724a, 0, false, false},
        {"\t           2724a f+0x (/x)", "f+0x", "/x", 0x2724a, 0, false, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        const struct frame_case *c = &cases[i];
        struct ann_frame f;
        print_message("%s\n", c->line);
        assert_true(ann_parse_frame(c->line, strlen(c->line), &f));
        is(f.name, c->name);
        is(f.dso, c->dso);
        assert_true(f.pc == c->pc && f.offset == c->offset && f.has_offset == c->has_offset && f.inlined == c->inlined);
    }
}

static void no_frames(void **state)
{
    (void)state;
    static const char *const lines[] = {"", "\t", "7fa0 f (/x)", "\tpython3 1 2.3: x:", "  ceval.c:3083", "\t11112222333344445 f (/x)", "\t12x f"};
    for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
        struct ann_frame f;
        assert_false(ann_parse_frame(lines[i], strlen(lines[i]), &f));
    }
}

static bool python(const char *line, struct ann_python *ret)
{
    struct ann_frame f;
    assert_true(ann_parse_frame(line, strlen(line), &f));
    return ann_is_python(&f, ret);
}

static void python_names(void **state)
{
    (void)state;
    struct ann_python p;
    assert_true(python("\t 1 py::A.run.<locals>.<lambda>:/a:b.py+0x6 (/tmp/perf-1.map)", &p));
    is(p.name, "A.run.<locals>.<lambda>");
    is(p.file, "/a:b.py");
    assert_true(python("\t 1 py::f:<frozen os>+0x6 (/home/u/.debug/jit/x/jitted-12-3.so)", &p));
    assert_true(python("\t 1 py::f:/x.py (/x.py)", &p) && p.seen);
    assert_true(python("\t 1 py::f:/x.py:12 (/x.py)", &p));
    assert_false(python("\t 1 py::detail::call(int)+0x6 (/usr/lib/libx.so)", &p));
    assert_false(python("\t 1 py::f:/x.py+0x6 (/usr/lib/libx.so)", &p));
    assert_false(python("\t 1 py::+0x6 (/tmp/perf-1.map)", &p));
    assert_false(python("\t 1 py::a+0x6 (/tmp/perf-1.map)", &p));
    assert_false(python("\t 1 lambda:/x.js (/tmp/perf-1.map)", &p));
}

static void escapes(void **state)
{
    (void)state;
    struct pyb_ctx ctx;
    struct pyb_buf b;
    pyb_ctx_init(&ctx, NULL);
    pyb_buf_init(&b, &ctx, 0);
    static const char text[] = "a b;c(d)\"'\n\x01\\ \xc3\xa9 \xe2\x80\x83 \xff \xed\xa0\x80<x>";
    ann_put_escaped(&b, (struct ann_span){text, sizeof(text) - 1});
    assert_string_equal(pyb_buf_str(&b), "a\\x20b\\x3bc\\x28d\\x29\\x22\\x27\\x0a\\x01\\\\x20\xc3\xa9\\x20\\u2003\\x20\\xff\\x20\\xed\\xa0\\x80<x>");
    pyb_buf_deinit(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(headers), cmocka_unit_test(no_headers), cmocka_unit_test(frames),
                                       cmocka_unit_test(no_frames), cmocka_unit_test(python_names), cmocka_unit_test(escapes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
