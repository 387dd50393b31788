// SPDX-License-Identifier: Apache-2.0
// Truth: c++filt for C++; for Rust the examples of RFC 2603 and of the rustc-demangle documentation.
#include <stdio.h>
#include <string.h>

#include "symbols/demangle.h"
#include "unit.h"

static struct pyb_arena arena;

static int setup(void **state)
{
    (void)state;
    pyb_arena_init(&arena, unit_ctx());
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pyb_arena_deinit(&arena);
    return 0;
}

#ifdef PYB_HAVE_DEMANGLE
// Every C++ name that libstdc++ exports, in a process of its own.
static void same_as_cxxfilt(void **state)
{
    (void)state;
    FILE *out = popen("f=$(gcc -print-file-name=libstdc++.so.6); nm -D --defined-only --format=posix --without-symbol-versions $f"
                      " | cut -d' ' -f1 | grep ^_Z > /tmp/pyb-names.$$ && c++filt -i < /tmp/pyb-names.$$ |"
                      " paste -d '|' /tmp/pyb-names.$$ - ; rm -f /tmp/pyb-names.$$", "r");
    assert_non_null(out);
    static char line[65536];
    unsigned long seen = 0, raw = 0;
    while (fgets(line, sizeof(line), out)) {
        line[strcspn(line, "\n")] = '\0';
        char *theirs = strchr(line, '|');
        assert_non_null(theirs);
        *theirs++ = '\0';
        const char *mine = pyb_demangle(&arena, line);
        seen++;
        raw += mine == NULL;
        if (mine)
            assert_string_equal(mine, theirs);
    }
    assert_int_equal(pclose(out), 0);
    printf("%lu names, %lu of them too long\n", seen, raw);
    assert_true(seen > 3000 && raw * 100 < seen);
}

static void suffixes(void **state)
{
    (void)state;
    assert_string_equal(pyb_demangle(&arena, "_ZN3foo3barEi"), "foo::bar(int)");
    assert_string_equal(pyb_demangle(&arena, "_ZN3foo3barEi.cold"), "foo::bar(int)");
    assert_string_equal(pyb_demangle(&arena, "_ZN3foo3barEi.constprop.0.isra.1"), "foo::bar(int)");
    assert_string_equal(pyb_demangle(&arena, "_ZN3foo3barEi@@LIB_1.0"), "foo::bar(int)");
}

static void rust(void **state)
{
    (void)state;
    assert_string_equal(pyb_demangle(&arena, "_ZN4core3fmt5Write9write_fmt17h8b1c3bd1c5a9aef0E"), "core::fmt::Write::write_fmt");
    assert_string_equal(pyb_demangle(&arena, "_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$3bar17h930b740aa94f1d3aE"), // #112
                        "<Test + 'static as foo::Bar<Test>>::bar");
    assert_string_equal(pyb_demangle(&arena, "_RNvNtCs1234_7mycrate3foo3bar"), "mycrate::foo::bar");
    assert_string_equal(pyb_demangle(&arena, "_RNvC6_123foo3bar"), "123foo::bar");
    assert_string_equal(pyb_demangle(&arena, "_RNCNCNgCs6DXkGYLi8lr_2cc5spawn00B5_"), "cc::spawn::{closure#0}::{closure#0}");
}

// f(pair<int, int>, pair<that, that>, ...): each twice the one before it, 2^30 characters, were it written out.
static void endless(void **state)
{
    (void)state;
    char name[512] = "_Z1fSt4pairIiiE", few[512] = "";
    for (int i = 0; i < 30; i++) {
        char digit = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[i];
        size_t len = strlen(name);
        snprintf(name + len, sizeof(name) - len, "S_IS%c_S%c_E", digit, digit);
        if (i == 3)
            strcpy(few, name);
    }
    assert_non_null(pyb_demangle(&arena, few)); // the name is a valid one
    assert_null(pyb_demangle(&arena, name));
    char deep[PYB_MAX_MANGLED + 1] = "_RMC0";
    memset(deep + 5, 'P', sizeof(deep) - 6); // pointers to pointers, without end
    assert_null(pyb_demangle(&arena, deep));
}
#endif

static void not_mangled(void **state)
{
    (void)state;
    static const char *const names[] = {"", "_", "_Z", "_R", "__Z", "main", "PyList_Sort", "_Zebra", "_ZN", "_Rust", "_Z.cold"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        assert_null(pyb_demangle(&arena, names[i]));
    char nested[4 * PYB_MAX_MANGLED] = "_Z1f";
    memset(nested + 4, 'P', PYB_MAX_MANGLED * 3);
    nested[4 + PYB_MAX_MANGLED * 3] = 'i';
    assert_null(pyb_demangle(&arena, nested)); // too long
    nested[PYB_MAX_MANGLED - 1] = 'i';
    nested[PYB_MAX_MANGLED] = '\0';
    const char *deep = pyb_demangle(&arena, nested); // refused or not, it comes back
    assert_true(!deep || strlen(deep) <= PYB_MAX_DEMANGLED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef PYB_HAVE_DEMANGLE
        cmocka_unit_test_setup_teardown(same_as_cxxfilt, setup, teardown),
        cmocka_unit_test_setup_teardown(suffixes, setup, teardown),
        cmocka_unit_test_setup_teardown(rust, setup, teardown),
        cmocka_unit_test_setup_teardown(endless, setup, teardown),
#endif
        cmocka_unit_test_setup_teardown(not_mangled, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
