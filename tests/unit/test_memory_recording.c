// SPDX-License-Identifier: Apache-2.0
// A tee notes what is read through it; the recording replays that and nothing else.
// `test_memory_recording --write-corpus DIR` writes a small one as a seed for the fuzzer.
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/error.h"
#include "memory/readers.h"

#define PAGE 4096u
#define BASE 0x7f0000000000u
#define PAGES 40u

struct space {
    uint8_t bytes[PAGES * PAGE];
    bool moves; // the target runs: every read sees other bytes
};

// Page 7 is missing, page 9 ends after 1000 bytes; refuses as a debugger does.
static uint64_t space_read(void *ctx, pyb_addr addr, void *buf, uint64_t len)
{
    struct space *s = ctx;
    for (uint64_t i = 0; i < len; i++) {
        uint64_t at = addr + i - BASE;
        if (addr + i < BASE || at >= sizeof(s->bytes) || at / PAGE == 7 ||
            (at / PAGE == 9 && at % PAGE >= 1000))
            return 0;
        ((uint8_t *)buf)[i] = s->bytes[at];
        if (s->moves)
            s->bytes[at]++;
    }
    return len;
}

static struct space *new_space(void)
{
    struct space *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    unsigned seed = 5;
    for (size_t i = 0; i < sizeof(s->bytes); i++)
        s->bytes[i] =
            i / PAGE % 2 ? (uint8_t)rand_r(&seed) : (uint8_t)(i / 100); // some pages do not compress
    return s;
}

static struct pyb_memory *open_tee(struct space *s)
{
    struct pyb_target_desc d = {
        .size = sizeof(d), .ctx = s, .read = space_read, .ptr_size = 4, .big_endian = true, .machine = 20};
    struct pyb_memory *m, *tee;
    struct pyb_error err;
    assert_ok(pyb_callback_open(unit_ctx(), &d, &m, &err), &err);
    assert_ok(pyb_tee_open(m->ctx, m, &tee, &err), &err);
    return tee;
}

static char *temporary(void)
{
    char *path = strdup("/tmp/pyb-unit-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    unlink(path);
    return path;
}

static void replay_equals_what_was_read(void **state)
{
    (void)state;
    struct space *s = new_space();
    struct pyb_memory *tee = open_tee(s), *m;
    struct pyb_error err;
    char *path = temporary();
    enum { N = 200 };
    uint8_t *seen = calloc(N, 3 * PAGE), buf[3 * PAGE];
    struct pyb_range r[N];
    s->moves = true;
    unsigned seed = 3;
    for (size_t i = 0; i < N; i++) {
        r[i] = (struct pyb_range){.addr = BASE + (unsigned)rand_r(&seed) % (30 * PAGE),
                                  .buf = seen + i * 3 * PAGE,
                                  .len = (unsigned)rand_r(&seed) % (i % 10 ? 64 : 3 * PAGE)};
        assert_ok(pyb_memory_readv(tee, &r[i], 1, &err), &err);
        if (i == N / 2)
            pyb_memory_invalidate(tee); // keeps its pages
    }
    const struct pyb_blob blobs[] = {
        {"modules", "a\0b", 3}, {"native", "", 0}, {"elf:/usr/bin/x y", seen, 3 * PAGE}};
    assert_ok(pyb_tee_write(tee, path, blobs, 3, &err), &err);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    pyb_memory_destroy(tee);

    assert_ok(pyb_recording_open(unit_ctx(), path, &m, &err), &err);
    assert_int_equal(m->ptr_size, 4);
    assert_true(m->big_endian);
    assert_int_equal(m->machine, 20);
    for (size_t i = 0; i < N; i++) {
        struct pyb_range again = {.addr = r[i].addr, .buf = buf, .len = r[i].len};
        assert_ok(pyb_memory_readv(m, &again, 1, &err), &err);
        assert_int_equal(again.done, r[i].done);
        assert_memory_equal(buf, r[i].buf, again.done);
    }
    assert_int_equal(pyb_read_bytes(m, BASE + 39 * PAGE, buf, 1, &err),
                     PYB_E_FAULT); // readable, but not read
    assert_int_equal(err.addr, BASE + 39 * PAGE);
    assert_int_equal(pyb_read_bytes(m, BASE + 7 * PAGE, buf, 1, &err), PYB_E_FAULT);
    assert_int_equal(pyb_read_bytes(m, BASE - 8, buf, 8, &err), PYB_E_FAULT);
    struct pyb_blob b;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(pyb_recording_blob(m, blobs[i].name, &b), 0);
        assert_int_equal(b.len, blobs[i].len);
        if (b.len)
            assert_memory_equal(b.data, blobs[i].data, b.len);
    }
    assert_int_equal(pyb_recording_blob(m, "none", &b), PYB_E_NOTFOUND);
    pyb_memory_destroy(m);
    unlink(path);
    free(path);
    free(seen);
    free(s);
}

static void a_page_that_ends_early_is_recorded_to_its_end(void **state)
{
    (void)state;
    struct space *s = new_space();
    struct pyb_memory *tee = open_tee(s), *m;
    struct pyb_error err;
    uint8_t buf[1000];
    char *path = temporary();
    assert_ok(pyb_read_bytes(tee, BASE + 9 * PAGE + 500, buf, 500, &err), &err);
    assert_int_equal(pyb_read_bytes(tee, BASE + 9 * PAGE + 501, buf, 500, &err), PYB_E_FAULT);
    assert_ok(pyb_tee_write(tee, path, NULL, 0, &err), &err);
    pyb_memory_destroy(tee);
    assert_ok(pyb_recording_open(unit_ctx(), path, &m, &err), &err);
    assert_ok(pyb_read_bytes(m, BASE + 9 * PAGE, buf, 1000, &err), &err);
    assert_memory_equal(buf, s->bytes + 9 * PAGE, 1000);
    assert_int_equal(pyb_read_bytes(m, BASE + 9 * PAGE + 1, buf, 1000, &err), PYB_E_FAULT);
    assert_int_equal(err.addr, BASE + 9 * PAGE + 1000);
    pyb_memory_destroy(m);
    unlink(path);
    free(path);
    free(s);
}

static void a_tee_ends_at_the_limit_of_memory(void **state)
{
    (void)state;
    struct space *s = new_space();
    struct pyb_target_desc d = {.size = sizeof(d), .ctx = s, .read = space_read, .ptr_size = 8};
    struct pyb_options o = {.size = sizeof(o), .max_bytes = 5 * PAGE};
    struct pyb_ctx ctx;
    pyb_ctx_init(&ctx, &o);
    struct pyb_memory *m, *tee;
    struct pyb_error err;
    assert_ok(pyb_callback_open(&ctx, &d, &m, &err), &err);
    assert_ok(pyb_tee_open(&ctx, m, &tee, &err), &err);
    uint8_t byte;
    for (size_t i = 0; i < 5; i++)
        assert_ok(pyb_read_u8(tee, BASE + i * PAGE, &byte, &err), &err);
    assert_int_equal(pyb_read_u8(tee, BASE + 10 * PAGE, &byte, &err), PYB_E_LIMIT);
    for (size_t i = 0; i < 5; i++)
        assert_ok(pyb_read_u8(tee, BASE + i * PAGE, &byte, &err), &err);
    pyb_memory_destroy(tee);
    free(s);
}

static size_t small_recording(char *path, uint8_t **ret)
{
    struct space *s = new_space();
    struct pyb_memory *tee = open_tee(s);
    struct pyb_error err;
    uint8_t buf[PAGE + 8];
    (void)pyb_read_bytes(tee, BASE + 5 * PAGE, buf, sizeof(buf), &err);
    const struct pyb_blob blobs[] = {{"modules", "some text, some text", 20}};
    assert_ok(pyb_tee_write(tee, path, blobs, 1, &err), &err);
    pyb_memory_destroy(tee);
    free(s);
    int fd = open(path, O_RDONLY);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    *ret = malloc((size_t)st.st_size);
    assert_int_equal(read(fd, *ret, (size_t)st.st_size), st.st_size);
    close(fd);
    return (size_t)st.st_size;
}

static int open_bytes(const void *data, size_t len, struct pyb_memory **ret, struct pyb_error *err)
{
    char path[64];
    int fd = unit_file(data, len);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    int rc = pyb_recording_open(unit_ctx(), path, ret, err);
    close(fd);
    return rc;
}

static void every_flipped_byte_and_every_cut_is_noticed(void **state)
{
    (void)state;
    char *path = temporary();
    uint8_t *data;
    size_t len = small_recording(path, &data);
    struct pyb_memory *m;
    struct pyb_error err;
    assert_ok(open_bytes(data, len, &m, &err), &err);
    pyb_memory_destroy(m);
    for (size_t i = 0; i < len; i++) {
        data[i] ^= (uint8_t)(1u << i % 8);
        int rc = open_bytes(data, len, &m, &err);
        assert_true(rc == PYB_E_CORRUPT || rc == PYB_E_UNSUPPORTED);
        assert_null(m);
        data[i] ^= (uint8_t)(1u << i % 8);
        assert_true(open_bytes(data, i, &m, &err) != 0);
    }
    free(data);
    unlink(path);
    free(path);
}

// The checksum of the file is right, what it covers is not: an attacker can compute checksums.
static void lies_behind_a_right_checksum_are_noticed(void **state)
{
    (void)state;
    char *path = temporary();
    uint8_t *data;
    size_t len = small_recording(path, &data), refused = 0;
    for (size_t i = 0; i < len - 8; i++) {
        for (unsigned value = 0; value < 256; value += 51) {
            uint8_t old = data[i];
            data[i] = (uint8_t)(old ^ value);
            uint32_t crc = (uint32_t)crc32(0, data, (uInt)(len - 8));
            for (size_t k = 0; k < 4; k++)
                data[len - 8 + k] = (uint8_t)(crc >> 8 * k);
            struct pyb_memory *m;
            struct pyb_error err;
            if (open_bytes(data, len, &m, &err) == 0) {
                uint8_t byte;
                for (size_t k = 5; k < 9; k++)
                    (void)pyb_read_u8(m, BASE + k * PAGE, &byte, &err);
                pyb_memory_destroy(m);
            } else {
                refused++;
            }
            data[i] = old;
        }
    }
    assert_true(refused > 1000);
    free(data);
    unlink(path);
    free(path);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    struct pyb_memory *m;
    struct pyb_error err;
    assert_int_equal(pyb_recording_open(unit_ctx(), "/nonexistent/x", &m, &err), PYB_E_NOENT);
    assert_int_equal(pyb_recording_open(unit_ctx(), "/dev/zero", &m, &err), PYB_E_UNSUPPORTED);
    assert_int_equal(pyb_recording_open(unit_ctx(), "/proc/self/exe", &m, &err), PYB_E_UNSUPPORTED);
    assert_int_equal(open_bytes("", 0, &m, &err), PYB_E_UNSUPPORTED);
    const uint8_t later[] = "\x89PYB\r\n\x1a\n\x02\x00";
    assert_int_equal(open_bytes(later, sizeof(later), &m, &err), PYB_E_UNSUPPORTED);
    assert_non_null(strstr(err.what, "version 2"));
    struct space *s = new_space();
    struct pyb_memory *tee = open_tee(s);
    assert_int_equal(pyb_tee_write(tee, "/nonexistent/x", NULL, 0, &err), PYB_E_NOENT);
    if (access("/dev/full", W_OK) == 0)
        assert_int_equal(pyb_tee_write(tee, "/dev/full", NULL, 0, &err), PYB_E_FAILED);
    assert_int_equal(pyb_tee_write(pyb_cache_below(tee), "/tmp/x", NULL, 0, &err), PYB_E_USAGE);
    struct pyb_blob b;
    assert_int_equal(pyb_recording_blob(tee, "x", &b), PYB_E_USAGE);
    pyb_memory_destroy(tee);
    free(s);
}

static int write_corpus(const char *dir)
{
    char path[256];
    uint8_t *data;
    snprintf(path, sizeof(path), "%s/small", dir);
    size_t len = small_recording(path, &data);
    free(data);
    return len ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--write-corpus") == 0)
        return write_corpus(argv[2]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replay_equals_what_was_read),
        cmocka_unit_test(a_page_that_ends_early_is_recorded_to_its_end),
        cmocka_unit_test(a_tee_ends_at_the_limit_of_memory),
        cmocka_unit_test(every_flipped_byte_and_every_cut_is_noticed),
        cmocka_unit_test(lies_behind_a_right_checksum_are_noticed),
        cmocka_unit_test(other_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
