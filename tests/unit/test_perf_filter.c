// SPDX-License-Identifier: Apache-2.0
// Whole samples through the filter. The chains are those of CPython 3.12 to 3.15 under -X perf as perf prints them, by hand.
#include "unit.h"

#include <stdlib.h>

#include "annotate.h"

#define HEAD "python3 31193  6770.286732:    1001001 cpu-clock: \n"
#define EVAL "\t         167cccf _PyEval_EvalFrameDefault+0x10d (/usr/bin/python3.13)\n"
#define LEAF "\t    7fa082fbfc66 py::leaf:/srv/x.py+0x6 (/tmp/perf-31193.map)\n"
#define MAIN "\t    7fa082fbfbe6 py::main:/srv/x.py+0x6 (/tmp/perf-31193.map)\n"
#define TRAMPOLINE "\t           b7751 py_trampoline_evaluator+0x21 (/usr/bin/python3.13)\n"
#define VECTORCALL "\t         14a2376 PyObject_Vectorcall+0x36 (/usr/bin/python3.13)\n"
#define START "\t           2724a __libc_start_call_main+0x7a (/usr/lib/libc.so.6)\n"
#define UNKNOWN "\t          355aa4 [unknown] (/usr/bin/python3.15)\n"

// Fed in pieces of `step` bytes; the caller frees.
static char *filtered(const char *text, size_t n, struct ann_options options, size_t step, struct ann_counts *ret)
{
    struct ann_filter f;
    if (!options.fold_limit)
        options.fold_limit = 1 << 20;
    assert_true(ann_init(&f, &options));
    for (size_t i = 0; i < n; i += step)
        ann_feed(&f, text + i, n - i < step ? n - i : step);
    ann_finish(&f);
    assert_false(f.failed);
    char *out = malloc(f.out.len + 1);
    assert_non_null(out);
    memcpy(out, pyb_buf_str(&f.out), f.out.len + 1);
    if (ret)
        *ret = f.counts;
    ann_deinit(&f);
    return out;
}

static void gives(const char *text, struct ann_options options, const char *wanted)
{
    static const size_t steps[] = {1, 7, 1 << 20};
    for (size_t i = 0; i < 3; i++) {
        char *out = filtered(text, strlen(text), options, steps[i], NULL);
        assert_string_equal(out, wanted);
        free(out);
    }
}

static void text_form(void **state)
{
    (void)state;
    const char *chain = HEAD EVAL LEAF TRAMPOLINE VECTORCALL EVAL MAIN TRAMPOLINE START "\n";
    gives(chain, (struct ann_options){0}, HEAD "\t    7fa082fbfc66 py::leaf:/srv/x.py (/srv/x.py)\n"
          "\t    7fa082fbfbe6 py::main:/srv/x.py (/srv/x.py)\n" START "\n");
    gives(chain, (struct ann_options){.python = true}, HEAD "\t    7fa082fbfc66 py::leaf:/srv/x.py (/srv/x.py)\n"
          "\t    7fa082fbfbe6 py::main:/srv/x.py (/srv/x.py)\n\n");
    gives(HEAD EVAL LEAF TRAMPOLINE "\r\n", (struct ann_options){.all = true},
          HEAD EVAL "\t    7fa082fbfc66 py::leaf:/srv/x.py (/srv/x.py)\n" TRAMPOLINE "\r\n");
}

static void c_functions_stay(void **state)
{
    (void)state;
    gives(HEAD EVAL LEAF TRAMPOLINE VECTORCALL "\t 1 map_next+0x1 (/p)\n\t 2 builtin_sum+0x1 (/p)\n"
          "\t 3 cfunction_vectorcall_FASTCALL_KEYWORDS+0x1 (/p)\n" VECTORCALL EVAL MAIN TRAMPOLINE START,
          (struct ann_options){.form = ANN_FOLDED}, "python3;__libc_start_call_main;py::main:/srv/x.py;builtin_sum;map_next;py::leaf:/srv/x.py 1\n");
}

// An evaluation function that no Python frame stands beside is the only trace of a function that perf could not name.
static void unnamed_stays(void **state)
{
    (void)state;
    struct ann_counts counts;
    const char *text = HEAD LEAF TRAMPOLINE VECTORCALL EVAL VECTORCALL EVAL MAIN "\n" HEAD EVAL START "\n" HEAD START "\n";
    char *out = filtered(text, strlen(text), (struct ann_options){.form = ANN_FOLDED}, 100, &counts);
    assert_string_equal(out, "python3;py::main:/srv/x.py;_PyEval_EvalFrameDefault;py::leaf:/srv/x.py 1\n"
                             "python3;__libc_start_call_main;_PyEval_EvalFrameDefault 1\npython3;__libc_start_call_main 1\n");
    free(out);
    assert_int_equal(counts.samples, 3);
    assert_int_equal(counts.unnamed, 2);
    assert_int_equal(counts.with_python, 1);
}

static void stripped(void **state)
{
    (void)state;
    struct ann_counts counts;
    const char *text = HEAD UNKNOWN LEAF UNKNOWN UNKNOWN UNKNOWN MAIN UNKNOWN START "\n";
    char *out = filtered(text, strlen(text), (struct ann_options){.form = ANN_FOLDED}, 100, &counts);
    // The innermost may be any C function; beside trampolines they are known by their place.
    assert_string_equal(out, "python3;__libc_start_call_main;py::main:/srv/x.py;[python3.15];py::leaf:/srv/x.py;[python3.15] 1\n");
    free(out);
    assert_int_equal(counts.unknown_frames, 1);
    out = filtered(text, strlen(text), (struct ann_options){0}, 100, NULL);
    gives(out, (struct ann_options){0}, out); // what was filtered is not filtered further
    free(out);
}

static void variants(void **state)
{
    (void)state;
    const struct ann_options fold = {.form = ANN_FOLDED};
    gives("\t    7fa082fbfc66 py::leaf:/srv/x.py\n\t           2724a main\n\n", fold, "[unknown];main;py::leaf:/srv/x.py 1\n"); // -F ip,sym
    gives("my app \n" LEAF "\n", fold, "my_app;py::leaf:/srv/x.py 1\n");                                                     // -F comm,ip,sym,dso
    gives("         a;b 31254  6773.867164: 1 cpu-clock:     1a06643 f+0x1 (/x)\n", fold, "a:b;f 1\n");                        // -G
    gives("# header\n#\n" HEAD "\n" HEAD "\n", fold, "python3 2\n");                                                         // no chain
    gives(HEAD START HEAD START, fold, "python3;__libc_start_call_main 2\n");                                               // no blank lines
    gives("python3 7 1.2: PERF_RECORD_COMM: python3:7/7\n" HEAD START, fold, "python3;__libc_start_call_main 1\n");
    gives(HEAD "\t 10 f (inlined)\n\t 10 operator new(unsigned long, A;B)+0x1 (/x y)\n\t 11 [unknown] (/lib/libfoo.so)\n", fold,
          "python3;[libfoo.so];operator new(unsigned long, A:B);f 1\n");
    gives("t 1/2 3.4: 1 x: \n" START, (struct ann_options){.form = ANN_FOLDED, .tid = true}, "t-1/2;__libc_start_call_main 1\n");
    gives(HEAD LEAF "  x.py:12\n" START "  main.c:3\n", (struct ann_options){.form = ANN_FOLDED, .lines = true},
          "python3;__libc_start_call_main;py::leaf:/srv/x.py:12 1\n");
}

static void json_form(void **state)
{
    (void)state;
    gives("a\"\xff 1/2 [003] 3.4: 10 x: \n\tffffffff8158e3e1 k+0xc1 ([kernel.kallsyms])\n" EVAL LEAF, (struct ann_options){.form = ANN_JSON},
          "{\"schema\": 1, \"tool\": \"pyannotate " PYB_VERSION "\", \"sample\": {\"comm\": \"a\\\"\\\\xff\", \"pid\": 1, \"tid\": 2, \"cpu\": 3, "
          "\"time\": \"3.4\", \"period\": 10, \"event\": \"x\", \"complete\": true}, \"frames\": ["
          "{\"kind\": \"kernel\", \"name\": \"k\", \"module\": \"[kernel.kallsyms]\", \"pc\": \"0xffffffff8158e3e1\", \"offset\": 193, "
          "\"file\": null, \"line\": null, \"inlined\": false, \"plumbing\": false}, "
          "{\"kind\": \"native\", \"name\": \"_PyEval_EvalFrameDefault\", \"module\": \"python3.13\", \"pc\": \"0x167cccf\", \"offset\": 269, "
          "\"file\": null, \"line\": null, \"inlined\": false, \"plumbing\": true}, "
          "{\"kind\": \"python\", \"name\": \"leaf\", \"file\": \"/srv/x.py\", \"short_file\": \"x.py\", \"line\": null, \"plumbing\": false}]}\n");
}

// What has no Python frame comes out as it went in: other text, NULs, cut lines, lines longer than any buffer.
static void unchanged(void **state)
{
    (void)state;
    size_t n = 3 * ANN_MAX_LINE;
    char *text = malloc(n);
    assert_non_null(text);
    for (size_t i = 0; i < n; i++)
        text[i] = i < 1000 ? "\t 1\n\r\0 (x)[]"[i * 7 % 12] : 'a';
    text[n - 10] = '\n';
    memcpy(text + n - 9, "\t    7fa0", 9); // cut
    struct ann_options options = {.fold_limit = 1000};
    struct ann_filter f;
    assert_true(ann_init(&f, &options));
    ann_feed(&f, text, n);
    ann_finish(&f);
    assert_int_equal(f.out.len, n);
    assert_memory_equal(f.out.data, text, n);
    ann_deinit(&f);
    free(text);
}

static void too_many_frames(void **state)
{
    (void)state;
    size_t n = 3 * ANN_MAX_ROWS, head = strlen(HEAD), one = strlen(LEAF);
    char *text = malloc(head + n * one + 1), *at = text;
    assert_non_null(text);
    at += sprintf(at, HEAD);
    for (size_t i = 0; i < n; i++)
        at += sprintf(at, LEAF);
    struct ann_counts counts;
    char *out = filtered(text, (size_t)(at - text), (struct ann_options){0}, 4096, &counts);
    size_t lines = 0;
    for (const char *p = out; (p = strchr(p, '\n')); p++)
        lines++;
    assert_int_equal(lines, n + 1);
    assert_int_equal(counts.samples, 1);
    free(out);
    out = filtered(text, (size_t)(at - text), (struct ann_options){.form = ANN_FOLDED}, 4096, &counts);
    assert_memory_equal(out, "python3;[cut];py::leaf", 22);
    assert_int_equal(counts.cut, 1);
    free(out);
    free(text);
}

// A table that is full is written; what it held is not lost.
static void fold_is_bounded(void **state)
{
    (void)state;
    struct ann_fold fold;
    struct pyb_ctx ctx;
    struct pyb_buf out;
    pyb_ctx_init(&ctx, NULL);
    pyb_buf_init(&out, &ctx, 0);
    assert_true(ann_fold_init(&fold, 100000));
    for (int i = 0; i < 60000; i++) {
        char stack[32];
        int n = snprintf(stack, sizeof(stack), "a;b%d", i % 20000);
        assert_true(ann_fold_add(&fold, stack, (size_t)n, &out));
        assert_true(fold.used <= 100000 && fold.cap <= 20000);
    }
    ann_fold_take(&fold, &out);
    long sum = 0;
    for (const char *p = pyb_buf_str(&out); (p = strchr(p, ' ')); p++)
        sum += strtol(p, NULL, 10);
    assert_int_equal(sum, 60000);
    ann_fold_deinit(&fold);
    pyb_buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_form), cmocka_unit_test(c_functions_stay), cmocka_unit_test(unnamed_stays), cmocka_unit_test(stripped),
        cmocka_unit_test(variants), cmocka_unit_test(json_form), cmocka_unit_test(unchanged), cmocka_unit_test(too_many_frames),
        cmocka_unit_test(fold_is_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
