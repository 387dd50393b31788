// SPDX-License-Identifier: Apache-2.0
// What is printed: text a person reads, JSON a program reads, and nothing that drives a terminal.
#include "unit.h"

#include "output/output.h"

struct text {
    char data[16384];
    size_t len;
};

static int collect(void *ctx, const char *text, size_t len)
{
    struct text *t = ctx;
    assert_true(t->len + len < sizeof t->data);
    memcpy(t->data + t->len, text, len);
    t->len += len;
    t->data[t->len] = '\0';
    return 0;
}

static int refuse(void *ctx, const char *text, size_t len)
{
    (void)text;
    (void)len;
    ++*(int *)ctx;
    return 1;
}

static const char *escaped(struct text *t, const char *utf8)
{
    struct pyb_out o;
    t->len = 0;
    t->data[0] = '\0';
    pyb_out_init(&o, collect, t);
    pyb_out_escaped(&o, utf8);
    assert_int_equal(pyb_out_finish(&o), 0);
    return t->data;
}

static const char *json_string(struct text *t, const char *utf8)
{
    struct pyb_out o;
    t->len = 0;
    pyb_out_init(&o, collect, t);
    pyb_out_json_string(&o, utf8);
    assert_int_equal(pyb_out_finish(&o), 0);
    return t->data;
}

static void test_escapes_for_a_terminal(void **state)
{
    (void)state;
    static struct text t;
    assert_string_equal(escaped(&t, "plain \xc3\xa4 \xe4\xb8\xad \xf0\x9f\x90\x8d"),
                        "plain \xc3\xa4 \xe4\xb8\xad \xf0\x9f\x90\x8d");
    assert_string_equal(escaped(&t, "a\x1b[31mb"), "a\\x1b[31mb");
    assert_string_equal(escaped(&t, "a\nb\rc\td\x07\x7f"), "a\\nb\\rc\\td\\x07\\x7f");
    // C1: CSI in one character
    assert_string_equal(escaped(&t, "\xc2\x9b" "31m"), "\\x9b31m");
    assert_string_equal(escaped(&t, "\xe2\x80\xae" "txt\xe2\x81\xa6"), "\\u202etxt\\u2066"); // bidi
    assert_string_equal(escaped(&t, "\xe2\x80\xa8"), "\\u2028");
    // a tag, invisible
    assert_string_equal(escaped(&t, "\xf3\xa0\x81\x81"), "\\U000e0041");
}

static void test_ill_formed_utf8_is_shown_byte_by_byte(void **state)
{
    (void)state;
    static struct text t;
    assert_string_equal(escaped(&t, "\x80\xff"), "\\x80\\xff");
    assert_string_equal(escaped(&t, "\xc0\xaf"), "\\xc0\\xaf");             // overlong
    assert_string_equal(escaped(&t, "\xe0\x80\xaf"), "\\xe0\\x80\\xaf");
    assert_string_equal(escaped(&t, "\xed\xa0\x80"), "\\xed\\xa0\\x80");    // a surrogate
    assert_string_equal(escaped(&t, "\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");
    assert_string_equal(escaped(&t, "\xe4\xb8"), "\\xe4\\xb8");             // cut
    assert_string_equal(escaped(&t, "\xf0\x9f\x90"), "\\xf0\\x9f\\x90");
}

static void test_json_strings(void **state)
{
    (void)state;
    static struct text t;
    assert_string_equal(json_string(&t, NULL), "null");
    assert_string_equal(json_string(&t, ""), "\"\"");
    assert_string_equal(json_string(&t, "a\"b\\c/d"), "\"a\\\"b\\\\c/d\"");
    assert_string_equal(json_string(&t, "\n\t\r\x01\x1b\x7f"), "\"\\n\\t\\r\\u0001\\u001b\\u007f\"");
    assert_string_equal(json_string(&t, "\xc2\x9b\xe2\x80\xae"), "\"\\u009b\\u202e\"");
    assert_string_equal(json_string(&t, "\xf3\xa0\x81\x81"), "\"\\udb40\\udc41\"");
    assert_string_equal(json_string(&t, "\xff"), "\"\\\\xff\"");
    assert_string_equal(json_string(&t, "\xf0\x9f\x90\x8d"), "\"\xf0\x9f\x90\x8d\"");
}

static void test_width_is_that_of_the_escaped_text(void **state)
{
    (void)state;
    assert_int_equal(pyb_out_width("ab\xc3\xa4"), 3);
    assert_int_equal(pyb_out_width("\x1b"), 4);
    assert_int_equal(pyb_out_width("\xff"), 4);
    assert_int_equal(pyb_out_width("\xe2\x80\xae"), 6);
}

static void test_a_writer_that_refuses_ends_the_output(void **state)
{
    (void)state;
    struct pyb_out o;
    int calls = 0;
    pyb_out_init(&o, refuse, &calls);
    for (int i = 0; i < 3000; i++)
        pyb_out_adds(&o, "many words");
    assert_int_equal(pyb_out_finish(&o), PYB_E_FAILED);
    assert_int_equal(calls, 1);
}

// A strict reader of JSON: NULL where the text is none, else what follows the value.
static const char *skip_json(const char *p, int depth);

static const char *space(const char *p)
{
    while (*p == ' ' || *p == '\n')
        p++;
    return p;
}

static const char *skip_string(const char *p)
{
    if (*p++ != '"')
        return NULL;
    for (; *p != '"'; p++) {
        if ((unsigned char)*p < 0x20)
            return NULL;
        if (*p != '\\')
            continue;
        p++;
        if (*p == 'u') {
            for (int i = 1; i <= 4; i++) {
                if (!strchr("0123456789abcdefABCDEF", p[i]) || !p[i])
                    return NULL;
            }
            p += 4;
        } else if (!*p || !strchr("\"\\/bfnrt", *p)) {
            return NULL;
        }
    }
    return p + 1;
}

static const char *skip_members(const char *p, char end, bool object, int depth)
{
    p = space(p + 1);
    if (*p == end)
        return p + 1;
    for (;;) {
        if (object) {
            p = skip_string(space(p));
            if (!p || *(p = space(p)) != ':')
                return NULL;
            p++;
        }
        p = skip_json(space(p), depth + 1);
        if (!p)
            return NULL;
        p = space(p);
        if (*p == end)
            return p + 1;
        if (*p++ != ',')
            return NULL;
    }
}

static const char *skip_json(const char *p, int depth)
{
    static const char *const words[] = {"null", "true", "false"};
    if (depth > 20)
        return NULL;
    if (*p == '{' || *p == '[')
        return skip_members(p, *p == '{' ? '}' : ']', *p == '{', depth);
    if (*p == '"')
        return skip_string(p);
    for (size_t i = 0; i < 3; i++) {
        if (strncmp(p, words[i], strlen(words[i])) == 0)
            return p + strlen(words[i]);
    }
    char *end;
    (void)strtod(p, &end);
    return end == p ? NULL : end;
}

static const struct pyb_local one_local[] = {{.name = "self", .arg = true, .addr = 0x7f00, .type = "Server",
                                              .repr = "<Server at 0x7f00>"},
                                             {.name = "later", .note = "unbound"}};
static const struct pyb_frame frames[] = {
    {.kind = PYB_FRAME_NATIVE, .name = "poll", .linkage_name = "__poll", .module = "/lib/libc.so.6",
     .pc = 0x7f3d, .sp = 0x7ffe,
     .offset = 61, .number = 0, .line = -1},
    {.kind = PYB_FRAME_PYTHON, .name = "Server.wait", .func = "wait", .file = "/srv/app/server.py",
     .short_file = "server.py",
     .line = 42, .end_line = 42, .column = 8, .end_column = 31, .entry = true, .frame = 0x1, .code = 0x2,
         .lasti = 4,
     .interpreter = 0, .locals = one_local, .n_locals = 2, .number = -1},
    {.kind = PYB_FRAME_NATIVE, .name = "_PyEval_EvalFrameDefault", .plumbing = true, .pc = 0x10, .number = 1,
     .line = -1},
    {.kind = PYB_FRAME_NATIVE, .module = "/usr/bin/python3.15", .pc = 0x20, .offset = 0x1234, .number = 12,
     .line = -1},
    {.kind = PYB_FRAME_GAP, .note = "native stack ends here: \x1b[2J", .number = -1, .line = -1},
    {.kind = PYB_FRAME_PYTHON, .name = "evil\x1b[31m\xff", .func = "evil", .file = "a\nb.py",
     .short_file = "a\nb.py", .line = -1,
     .end_line = -1, .column = -1, .end_column = -1, .lasti = -1, .interpreter = -1, .number = -1},
};
static const struct pyb_thread thread = {.tid = 4711, .ident = 0x7f55, .name = "Main\"Thread", .active = 1,
                                         .gil = PYB_GIL_HOLDS, .gc = 0,
                                         .has_python = true, .note = "native stack ends here",
                                             .frames = frames, .n_frames = 6};

static const char *text_of(struct text *t, uint32_t flags, uint32_t limit)
{
    struct pyb_text_options o = {.size = sizeof o, .flags = flags, .limit = limit, .current = -1};
    t->len = 0;
    t->data[0] = '\0';
    assert_int_equal(pyb_text_thread(&thread, &o, collect, t), 0);
    return t->data;
}

static void test_text(void **state)
{
    (void)state;
    static struct text t;
    assert_string_equal(text_of(&t, 0, 0),
                        "Thread 4711 (active, holds GIL): \"Main\"Thread\"\n"
                        "#0  0x0000000000007f3d in poll () from libc.so.6\n"
                        "py  Server.wait       /srv/app/server.py:42\n"
                        "#12 0x0000000000000020 in ?? () from python3.15 +0x1234\n"
                        "--  native stack ends here: \\x1b[2J\n"
                        "py  evil\\x1b[31m\\xff  a\\nb.py:?\n"
                        "    (1 interpreter frame hidden; -a shows them)\n");
}

static void test_text_all_and_locals(void **state)
{
    (void)state;
    static struct text t;
    assert_non_null(strstr(text_of(&t, PYB_TEXT_ALL, 0),
                           "#1  0x0000000000000010 in _PyEval_EvalFrameDefault ()\n"));
    assert_null(strstr(t.data, "hidden"));
    assert_non_null(strstr(text_of(&t, PYB_TEXT_LOCALS | PYB_TEXT_NO_HEADER, 0),
                           "/srv/app/server.py:42\n        self = <Server at 0x7f00>\n        later = <unbound>\n"));
    assert_null(strstr(t.data, "Thread"));
}

static void test_text_python_only_and_limit(void **state)
{
    (void)state;
    static struct text t;
    assert_null(strstr(text_of(&t, PYB_TEXT_PYTHON, 0), "#"));
    assert_non_null(strstr(text_of(&t, 0, 2), "(2 more frames)"));
    assert_null(strstr(t.data, "#12"));
}

static void test_colour_only_where_asked(void **state)
{
    (void)state;
    static struct text t;
    for (uint32_t flags = 0; flags < 16; flags++)
        assert_null(strchr(text_of(&t, flags, 0), '\x1b'));
    assert_non_null(strchr(text_of(&t, PYB_TEXT_COLOR, 0), '\x1b'));
    assert_null(strstr(t.data, "\x1b[31m")); // the target's own
    assert_null(strstr(t.data, "\x1b[2J"));
}

static void test_traceback(void **state)
{
    (void)state;
    static struct text t;
    assert_string_equal(text_of(&t, PYB_TEXT_TRACEBACK | PYB_TEXT_NO_HEADER, 0),
                        "Traceback (most recent call last):\n"
                        "  File \"a\\nb.py\", line ?, in evil\n"
                        "  --  native stack ends here: \\x1b[2J\n"
                        "  File \"/srv/app/server.py\", line 42, in wait\n");
    assert_null(strstr(text_of(&t, PYB_TEXT_TRACEBACK, 1), "evil"));
}

static void test_options_of_another_size(void **state)
{
    (void)state;
    static struct text t;
    struct pyb_text_options o = {.size = offsetof(struct pyb_text_options, limit), .flags = PYB_TEXT_ALL,
                                 .limit = 1, .current = 7};
    assert_int_equal(pyb_text_thread(&thread, &o, collect, &t), 0);
    assert_null(strstr(t.data, "more")); // the limit was not his
    o.size = 4;
    assert_int_equal(pyb_text_thread(&thread, &o, collect, &t), PYB_E_USAGE);
}

static const char *json_of(struct text *t, const struct pyb_process *p)
{
    t->len = 0;
    assert_int_equal(pyb_json(p, collect, t), 0);
    assert_int_equal(t->data[t->len - 1], '\n');
    assert_null(memchr(t->data, '\n', t->len - 1)); // one document, one line
    const char *end = skip_json(t->data, 0);
    assert_non_null(end);
    assert_string_equal(end, "\n");
    return t->data;
}

static void test_json(void **state)
{
    (void)state;
    static struct text t;
    static const char *const command[] = {"python3.11", "app\"\x01.py"};
    struct pyb_process p = {.pid = 4711, .executable = "/usr/bin/python3.11", .python = "3.11.2",
                            .command = command,
                            .n_command = 2, .threads = &thread, .n_threads = 1};
    const char *json = json_of(&t, &p);
    assert_true(strncmp(json,
                        "{\"schema\": 1, \"tool\": \"pybraid " PYB_VERSION "\", \"process\": {\"pid\": 4711, \"core\": null, ", 40) == 0);
    assert_non_null(strstr(json, "\"command\": [\"python3.11\", \"app\\\"\\u0001.py\"]"));
    assert_non_null(strstr(json, "{\"tid\": 4711, \"ident\": \"0x7f55\", \"name\": \"Main\\\"Thread\""));
    assert_non_null(strstr(json, "\"active\": true, \"gil\": \"holds\", \"gc\": false, "));
    assert_non_null(strstr(json,
                           "\"name\": \"poll\", \"linkage_name\": \"__poll\", \"module\": \"libc.so.6\""));
    assert_non_null(strstr(json,
                           "\"line\": 42, \"end_line\": 42, \"column\": 8, \"end_column\": 31, \"entry\": true, \"plumbing\": false"));
    assert_non_null(strstr(json, "\"name\": \"evil\\u001b[31m\\\\xff\""));
    assert_non_null(strstr(json,
                           "\"line\": null, \"end_line\": null, \"column\": null, \"end_column\": null"));
    assert_non_null(strstr(json, "\"locals\": [{\"name\": \"self\", \"arg\": true, "));
    assert_non_null(strstr(json, "{\"kind\": \"gap\", \"note\": \"native stack ends here: \\u001b[2J\"}"));
}

static void test_json_of_nothing_known(void **state)
{
    (void)state;
    static struct text t;
    struct pyb_thread none = {.interpreter = -1, .active = -1, .gc = -1, .complete = true};
    struct pyb_process p = {.threads = &none, .n_threads = 1};
    assert_non_null(strstr(json_of(&t, &p),
                           "{\"tid\": null, \"ident\": null, \"name\": null, \"os_name\": null, \"interpreter\": null, "
                                            "\"active\": null, \"gil\": null, \"gc\": null, \"has_python\": false, \"complete\": true"));
    assert_non_null(strstr(t.data, "\"pid\": null"));
    assert_non_null(strstr(t.data, "\"command\": null"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_escapes_for_a_terminal),
            cmocka_unit_test(test_ill_formed_utf8_is_shown_byte_by_byte),
        cmocka_unit_test(test_json_strings), cmocka_unit_test(test_width_is_that_of_the_escaped_text),
        cmocka_unit_test(test_a_writer_that_refuses_ends_the_output), cmocka_unit_test(test_text),
        cmocka_unit_test(test_text_all_and_locals), cmocka_unit_test(test_text_python_only_and_limit),
        cmocka_unit_test(test_colour_only_where_asked), cmocka_unit_test(test_traceback),
        cmocka_unit_test(test_options_of_another_size), cmocka_unit_test(test_json),
        cmocka_unit_test(test_json_of_nothing_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
