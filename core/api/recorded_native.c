// SPDX-License-Identifier: Apache-2.0
// S tid thread_pointer active n_frames os_name truncated
// F pc sp flags number line name linkage_name module file
// Numbers in hexadecimal; text percent-encoded, "-" for NULL.
#include "api/recorded.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define MAX_STACKS 200000u
#define MAX_NATIVE_FRAMES 4000000u

static void add_text(struct pyb_buf *out, const char *text)
{
    pyb_buf_addc(out, ' ');
    if (!text) {
        pyb_buf_addc(out, '-');
        return;
    }
    if (!*text)
        pyb_buf_adds(out, "%");
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p <= ' ' || *p >= 0x7f || *p == '%' || *p == '-')
            pyb_buf_printf(out, "%%%02x", *p);
        else
            pyb_buf_addc(out, (char)*p);
    }
}

int pyb_native_save(const struct pyb_native_stack *native, size_t n, struct pyb_buf *ret)
{
    const char *at = (const char *)native;
    for (size_t i = 0; i < n; i++, at += native->size) {
        const struct pyb_native_stack *s = (const struct pyb_native_stack *)(const void *)at;
        pyb_buf_printf(ret, "S %x %llx %x %zx", (unsigned)s->tid, (unsigned long long)s->thread_pointer,
                       (unsigned)s->active,
                       s->n_frames);
        add_text(ret, s->os_name);
        add_text(ret, s->truncated);
        pyb_buf_addc(ret, '\n');
        const char *frame = (const char *)s->frames;
        for (size_t k = 0; k < s->n_frames; k++, frame += s->frames->size) {
            const struct pyb_native_frame *f = (const struct pyb_native_frame *)(const void *)frame;
            pyb_buf_printf(ret, "F %llx %llx %x %x %x", (unsigned long long)f->pc, (unsigned long long)f->sp,
                           f->flags,
                           (unsigned)f->number, (unsigned)f->line);
            add_text(ret, f->name);
            add_text(ret, f->linkage_name);
            add_text(ret, f->module);
            add_text(ret, f->file);
            pyb_buf_addc(ret, '\n');
        }
    }
    return ret->failed ? PYB_E_NOMEM : 0;
}

// The words of one line, decoded in place.
struct line {
    char *word[12];
    size_t n;
};

static char hex_digit(char c)
{
    return (char)(c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : 0);
}

static void decode(char *word)
{
    char *out = word;
    for (char *p = word; *p;) {
        if (*p == '%' && p[1] && p[2]) {
            *out++ = (char)(hex_digit(p[1]) << 4 | hex_digit(p[2]));
            p += 3;
        } else if (*p == '%') {
            p++;
        } else {
            *out++ = *p++;
        }
    }
    *out = '\0';
}

static char *next_line(char *text, struct line *ret)
{
    char *end = strchr(text, '\n');
    if (end)
        *end = '\0';
    ret->n = 0;
    char *save = NULL;
    for (char *w = strtok_r(text, " ", &save); w && ret->n < 12; w = strtok_r(NULL, " ", &save))
        ret->word[ret->n++] = w;
    return end ? end + 1 : NULL;
}

static uint64_t number(const struct line *l, size_t i)
{
    return strtoull(l->word[i], NULL, 16);
}

static const char *text_of(const struct line *l, size_t i)
{
    if (strcmp(l->word[i], "-") == 0)
        return NULL;
    decode(l->word[i]);
    return l->word[i];
}

static char *take_frames(char *at, struct pyb_native_stack *s, struct pyb_arena *arena)
{
    struct pyb_native_frame *frames = s->n_frames <= MAX_NATIVE_FRAMES
                                          ? pyb_arena_array(arena, s->n_frames, sizeof(*frames)) : NULL;
    if (!frames)
        return NULL;
    for (size_t k = 0; k < s->n_frames; k++) {
        struct line l;
        if (!at || *at != 'F')
            return NULL;
        at = next_line(at, &l);
        if (l.n != 10)
            return NULL;
        frames[k] = (struct pyb_native_frame){.size = sizeof(*frames), .pc = number(&l, 1),
                                              .sp = number(&l, 2),
                                              .flags = (uint32_t)number(&l, 3),
                                                  .number = (int32_t)number(&l, 4),
                                              .line = (int32_t)number(&l, 5)};
        frames[k].name = text_of(&l, 6);
        frames[k].linkage_name = text_of(&l, 7);
        frames[k].module = text_of(&l, 8);
        frames[k].file = text_of(&l, 9);
    }
    s->frames = frames;
    return at ? at : "";
}

int pyb_native_load(const char *data, size_t len, struct pyb_arena *arena,
                    const struct pyb_native_stack **ret, size_t *ret_n,
                    struct pyb_error *err)
{
    *ret = NULL;
    *ret_n = 0;
    char *text = pyb_arena_strndup(arena, data, len);
    if (!text)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for recorded stacks");
    size_t n = 0;
    for (const char *p = text; *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : "")
        n += *p == 'S';
    struct pyb_native_stack *stacks = n <= MAX_STACKS ? pyb_arena_array(arena, n, sizeof(*stacks)) : NULL;
    if (!stacks)
        return pyb_fail(err, PYB_E_NOMEM, "no memory for %zu recorded stacks", n);
    char *at = text;
    for (size_t i = 0; i < n; i++) {
        struct line l;
        if (!at || *at != 'S')
            return pyb_fail(err, PYB_E_CORRUPT, "recorded native stacks are damaged");
        at = next_line(at, &l);
        if (l.n != 7)
            return pyb_fail(err, PYB_E_CORRUPT, "recorded native stacks are damaged");
        stacks[i] = (struct pyb_native_stack){.size = sizeof(*stacks), .tid = (int32_t)number(&l, 1),
                                              .thread_pointer = number(&l, 2),
                                                  .active = (int32_t)number(&l, 3),
                                              .n_frames = (size_t)number(&l, 4)};
        stacks[i].os_name = text_of(&l, 5);
        stacks[i].truncated = text_of(&l, 6);
        at = take_frames(at, &stacks[i], arena);
        if (!at)
            return pyb_fail(err, PYB_E_CORRUPT, "recorded native stacks are damaged");
    }
    *ret = stacks;
    *ret_n = n;
    return 0;
}
