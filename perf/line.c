// SPDX-License-Identifier: Apache-2.0
#include "line.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// One more than its value; 0: no digit.
static const unsigned char hex_digits[256] = {
    ['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10,
    ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

static int hex_value(char c)
{
    return hex_digits[(unsigned char)c] - 1;
}

static size_t hex_number(const char *p, const char *end, uint64_t *ret)
{
    size_t n = 0;
    int digit;
    for (*ret = 0; p + n < end && n < 17 && (digit = hex_value(p[n])) >= 0; n++)
        *ret = *ret << 4 | (uint64_t)digit;
    return n <= 16 ? n : 0;
}

size_t ann_trimmed(const char *line, size_t n)
{
    while (n > 0 && (is_blank(line[n - 1]) || line[n - 1] == '\n' || line[n - 1] == '\r'))
        n--;
    return n;
}

// "name (file)": where the parenthesis opens that the last character closes. File names have parentheses too: "(/x.so (deleted))".
static const char *opening(const char *start, const char *end)
{
    const char *last = NULL;
    size_t depth = 0;
    for (const char *p = end; p-- > start;) {
        if (*p == ')')
            depth++;
        if (*p != '(' || depth == 0)
            continue;
        bool separate = p > start && is_blank(p[-1]);
        if (separate && !last)
            last = p;
        if (--depth == 0)
            return separate ? p : last;
    }
    return last;
}

static void split_offset(struct ann_frame *f)
{
    const char *start = f->name.p, *end = start + f->name.n, *p = end;
    while (p > start && hex_value(p[-1]) >= 0)
        p--;
    if (p == end || p - start < 3 || memcmp(p - 3, "+0x", 3) != 0 || hex_number(p, end, &f->offset) == 0)
        return;
    f->has_offset = true;
    f->name.n = (size_t)(p - 3 - start);
}

bool ann_parse_frame(const char *line, size_t n, struct ann_frame *ret)
{
    const char *end = line + ann_trimmed(line, n), *p = line;
    *ret = (struct ann_frame){0};
    while (p < end && is_blank(*p))
        p++;
    size_t digits = hex_number(p, end, &ret->pc);
    if (p == line || digits == 0 || (p + digits < end && !is_blank(p[digits])))
        return false;
    for (p += digits; p < end && is_blank(*p); p++)
        ;
    ret->name = (struct ann_span){p, (size_t)(end - p)};
    const char *open = p < end && end[-1] == ')' ? opening(p, end) : NULL;
    if (open) {
        ret->dso = (struct ann_span){open + 1, (size_t)(end - open - 2)};
        ret->name.n = ann_trimmed(p, (size_t)(open - p));
        ret->inlined = ret->dso.n == 7 && memcmp(ret->dso.p, "inlined", 7) == 0;
    }
    if (ret->inlined)
        ret->dso = (struct ann_span){0};
    split_offset(ret);
    return true;
}

static struct ann_span next_word(const char **at, const char *end)
{
    while (*at < end && is_blank(**at))
        (*at)++;
    struct ann_span word = {*at, 0};
    while (*at < end && !is_blank(**at))
        (*at)++;
    word.n = (size_t)(*at - word.p);
    return word;
}

static size_t digits_at(struct ann_span s, size_t at)
{
    size_t n = 0;
    while (at + n < s.n && is_digit(s.p[at + n]))
        n++;
    return n;
}

static bool is_time(struct ann_span s)
{
    size_t whole = digits_at(s, 0);
    if (whole == 0 || whole + 3 > s.n || s.p[whole] != '.')
        return false;
    size_t part = digits_at(s, whole + 1);
    return part > 0 && whole + 1 + part + 1 == s.n && s.p[s.n - 1] == ':';
}

static bool is_cpu(struct ann_span s)
{
    return s.n > 2 && s.p[0] == '[' && digits_at(s, 1) == s.n - 2 && s.p[s.n - 1] == ']';
}

static int64_t number(const char *p, size_t n)
{
    int64_t value = 0;
    for (size_t i = 0; i < n; i++)
        value = value * 10 + (p[i] - '0');
    return value;
}

// "4711" is a thread, "4711/4712" a process and its thread; -1 is the idle task of a guest.
static bool is_task(struct ann_span s, struct ann_header *ret)
{
    size_t a = digits_at(s, 0);
    if (a == 0 || a > 10)
        return false;
    if (a == s.n) {
        ret->tid = number(s.p, a);
        return true;
    }
    size_t b = s.p[a] == '/' ? digits_at(s, a + 1) : 0;
    if (b == 0 || b > 10 || a + 1 + b != s.n)
        return false;
    ret->pid = number(s.p, a);
    ret->tid = number(s.p + a + 1, b);
    return true;
}

static bool is_pair(struct ann_span s)
{
    return s.n && memchr(s.p, '/', s.n) != NULL;
}

// What precedes the time, or all of it where no time was printed: the comm, then the task. Returns where the task ends, NULL: there is none.
static const char *split_task(const char *start, const char *end, bool timed, struct ann_header *ret)
{
    const char *at = start, *past = NULL;
    while (at < end) {
        struct ann_span word = next_word(&at, end);
        struct ann_header task = {.pid = -1, .tid = -1};
        if (word.n == 0)
            break;
        if (is_cpu(word))
            ret->cpu = (struct ann_span){word.p + 1, word.n - 2};
        // A comm may have numbers in it: the last one counts before the time, else the first, as perf's consumers have it.
        if (!is_task(word, &task) || (past && !timed && !is_pair(word)))
            continue;
        ret->pid = task.pid;
        ret->tid = task.tid;
        ret->comm = (struct ann_span){start, ann_trimmed(start, (size_t)(word.p - start))};
        past = at;
    }
    return past;
}

// "   1001001 cpu-clock:   7f… name (file)"
static bool split_event(const char *at, const char *end, struct ann_header *ret)
{
    const char *before = at;
    struct ann_span word = next_word(&at, end);
    if (is_cpu(word)) {
        before = at;
        word = next_word(&at, end);
    }
    if (word.n && digits_at(word, 0) == word.n && at < end)
        ret->period = word;
    else
        at = before;
    while (at < end && is_blank(*at))
        at++;
    const char *p = at;
    while (p < end && !(*p == ':' && (p + 1 == end || is_blank(p[1]))))
        p++;
    if (p == end)
        return false;
    ret->event = (struct ann_span){at, (size_t)(p - at)};
    ret->tail = (struct ann_span){p + 1, (size_t)(end - p - 1)};
    return ret->event.n > 0 && !(ret->event.n > 12 && memcmp(at, "PERF_RECORD_", 12) == 0);
}

bool ann_parse_header(const char *line, size_t n, struct ann_header *ret)
{
    const char *end = line + ann_trimmed(line, n), *start = line;
    *ret = (struct ann_header){.pid = -1, .tid = -1};
    while (start < end && is_blank(*start))
        start++;
    ret->comm = (struct ann_span){start, (size_t)(end - start)};
    for (const char *at = start; at < end;) {
        struct ann_span word = next_word(&at, end);
        if (!is_time(word))
            continue;
        ret->time = (struct ann_span){word.p, word.n - 1};
        if (!split_task(start, word.p, true, ret))
            ret->comm = (struct ann_span){start, ann_trimmed(start, (size_t)(word.p - start))};
        if (split_event(at, end, ret))
            return true;
        return ann_trimmed(at, (size_t)(end - at)) == 0; // -F without the event
    }
    const char *past = split_task(start, end, false, ret);
    return past && split_event(past, end, ret);
}
