// SPDX-License-Identifier: Apache-2.0
// Other programs, run by pybraid doctor: found, asked, ended when they hang; and foreign text on its way to a terminal or into JSON.
#include "unit.h"

#include <limits.h>
#include <time.h>

#include "capture.h"
#include "escape.h"

static int run_shell(const char *script, char *buf, size_t size, int seconds)
{
    const char *const argv[] = {"/bin/sh", "-c", script, NULL};
    return program_run(argv, buf, size, seconds);
}

static void output_and_code(void **state)
{
    (void)state;
    char text[64];
    assert_int_equal(run_shell("echo out; echo err >&2; exit 3", text, sizeof(text), 10), 3);
    assert_string_equal(text, "out\nerr\n");
    assert_int_equal(run_shell("kill -9 $$", text, sizeof(text), 10), 128 + 9);
    assert_string_equal(text, "");
    // stdin is closed off: nothing waits for us.
    assert_int_equal(run_shell("read word; echo \"<$word>\"", text, sizeof(text), 10), 0);
    assert_string_equal(text, "<>\n");
    // More than fits is read, so that it can end, and cut.
    assert_int_equal(run_shell("head -c 1000000 /dev/zero | tr '\\0' x; exit 4", text, sizeof(text), 10), 4);
    assert_int_equal(strlen(text), sizeof(text) - 1);
    const char *const nothing[] = {"/nonexistent/program", NULL};
    // valgrind makes a plain fork of posix_spawn's, which cannot tell that the exec failed: its child ends with 127.
    const char *preloaded = getenv("LD_PRELOAD");
    int failed = preloaded && strstr(preloaded, "vgpreload") ? 127 : -1;
    assert_int_equal(program_run(nothing, text, sizeof(text), 10), failed);
}

static void a_program_that_hangs(void **state)
{
    (void)state;
    char text[64];
    time_t begin = time(NULL);
    // With a child that has the pipe, too, and minds no SIGTERM.
    assert_int_equal(run_shell("trap '' TERM; echo begun; sleep 60 & sleep 60", text, sizeof(text), 1), -2);
    assert_string_equal(text, "begun\n");
    assert_true(time(NULL) - begin < 20);
}

static void path_is_searched(void **state)
{
    (void)state;
    char found[PATH_MAX], small[8], *path = strdup(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
    assert_non_null(path);
    assert_int_equal(setenv("PATH", "/nonexistent::.:/usr/bin:/bin", 1), 0);
    assert_true(program_find("env", found, sizeof(found)));
    assert_string_equal(found, "/usr/bin/env");
    assert_false(program_find("no-such-program", found, sizeof(found)));
    assert_string_equal(found, "");
    assert_false(program_find("env", small, sizeof(small)));
    assert_int_equal(setenv("PATH", "/", 1), 0);
    assert_false(program_find("usr", found, sizeof(found))); // a folder
    assert_int_equal(setenv("PATH", "", 1), 0);
    assert_false(program_find("env", found, sizeof(found)));
    assert_int_equal(setenv("PATH", path, 1), 0);
    free(path);
}

static void expect_text(const char *input, size_t columns, const char *shown, const char *json)
{
    char *text = NULL;
    size_t size = 0;
    struct cli_out o = {.file = open_memstream(&text, &size)};
    assert_non_null(o.file);
    size_t used = cli_escaped(&o, input, columns);
    assert_int_equal(fflush(o.file), 0);
    assert_string_equal(text, shown);
    if (columns == 0)
        assert_int_equal(used, cli_width(input));
    else
        assert_true(used <= columns);
    rewind(o.file);
    cli_json_string(&o, input);
    assert_int_equal(fclose(o.file), 0);
    if (json)
        assert_string_equal(text, json);
    assert_int_equal(o.sys_errno, 0);
    free(text);
}

static void foreign_text(void **state)
{
    (void)state;
    expect_text("plain", 0, "plain", "\"plain\"");
    expect_text("a\x1b[31m\n\"\\", 0, "a\\x1b[31m\\n\"\\", "\"a\\u001b[31m\\u000a\\\"\\\\\"");
    expect_text("\xff\xc3", 0, "\\xff\\xc3", "\"\\\\xff\\\\xc3\"");
    expect_text("\xed\xa0\x80", 0, "\\xed\\xa0\\x80", NULL); // a lone surrogate is no UTF-8
    expect_text("\xc3\xa4\xe2\x80\xae\xf0\x9f\x90\x8d", 0, "\xc3\xa4\\u202e\xf0\x9f\x90\x8d", "\"\xc3\xa4\\u202e\xf0\x9f\x90\x8d\"");
    expect_text("\xc2\x9b\xf3\xa0\x80\x81", 0, "\\x9b\\U000e0001", "\"\\u009b\\udb40\\udc01\"");
    expect_text("abcdefgh", 8, "abcdefgh", NULL);
    expect_text("abcdefgh", 7, "abcde..", NULL);
    expect_text("\n\n\n\n", 7, "\\n\\n...", NULL); // no escape is cut in its middle
    expect_text("abcdefgh", 1, ".", NULL);
    expect_text("", 0, "", "\"\"");
    struct cli_out o = {.file = fopen("/dev/null", "w")};
    cli_json_string(&o, NULL);
    assert_int_equal(fclose(o.file), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(output_and_code), cmocka_unit_test(a_program_that_hangs),
                                       cmocka_unit_test(path_is_searched), cmocka_unit_test(foreign_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
