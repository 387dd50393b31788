// SPDX-License-Identifier: Apache-2.0
#include "fold.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct ann_fold_entry {
    size_t at, n;
    uint64_t hash, count;
};

bool ann_fold_init(struct ann_fold *f, size_t limit)
{
    *f = (struct ann_fold){.limit = limit, .n_slots = 1024, .cap = 256, .text_cap = 64 << 10};
    f->slots = calloc(f->n_slots, sizeof(*f->slots));
    f->entries = malloc(f->cap * sizeof(*f->entries));
    f->text = malloc(f->text_cap);
    return f->slots && f->entries && f->text;
}

void ann_fold_deinit(struct ann_fold *f)
{
    free(f->slots);
    free(f->entries);
    free(f->text);
    *f = (struct ann_fold){0};
}

// FNV-1a, eight bytes at a time.
static uint64_t hash_of(const char *p, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u, word;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&word, p, 8);
        h = (h ^ word) * 0x100000001b3u;
        h ^= h >> 32;
    }
    for (; n > 0; p++, n--)
        h = (h ^ (unsigned char)*p) * 0x100000001b3u;
    return h ^ h >> 29;
}

static size_t *slot_of(const struct ann_fold *f, uint64_t hash, const char *stack, size_t n)
{
    size_t i = hash & (f->n_slots - 1);
    for (; f->slots[i]; i = (i + 1) & (f->n_slots - 1)) {
        const struct ann_fold_entry *e = &f->entries[f->slots[i] - 1];
        if (stack && e->hash == hash && e->n == n && memcmp(f->text + e->at, stack, n) == 0)
            break;
    }
    return &f->slots[i];
}

static bool grow(struct ann_fold *f, size_t more)
{
    if (f->n == f->cap) {
        struct ann_fold_entry *entries = realloc(f->entries, 2 * f->cap * sizeof(*entries));
        if (!entries)
            return false;
        f->entries = entries;
        f->cap *= 2;
    }
    if (f->used + more > f->text_cap) {
        size_t cap = 2 * f->text_cap + more;
        char *text = realloc(f->text, cap);
        if (!text)
            return false;
        f->text = text;
        f->text_cap = cap;
    }
    if (2 * (f->n + 1) > f->n_slots) {
        size_t *slots = calloc(2 * f->n_slots, sizeof(*slots));
        if (!slots)
            return false;
        free(f->slots);
        f->slots = slots;
        f->n_slots *= 2;
        for (size_t i = 0; i < f->n; i++)
            *slot_of(f, f->entries[i].hash, NULL, 0) = i + 1;
    }
    return true;
}

void ann_fold_take(struct ann_fold *f, struct pyb_buf *out)
{
    for (size_t i = 0; i < f->n; i++) {
        pyb_buf_add(out, f->text + f->entries[i].at, f->entries[i].n);
        pyb_buf_printf(out, " %" PRIu64 "\n", f->entries[i].count);
    }
    f->n = f->used = 0;
    memset(f->slots, 0, f->n_slots * sizeof(*f->slots));
}

bool ann_fold_add(struct ann_fold *f, const char *stack, size_t n, struct pyb_buf *out)
{
    uint64_t hash = hash_of(stack, n);
    size_t *slot = slot_of(f, hash, stack, n);
    if (*slot) {
        f->entries[*slot - 1].count++;
        return true;
    }
    if (f->used + n + f->n * sizeof(*f->entries) > f->limit)
        ann_fold_take(f, out);
    if (!grow(f, n))
        return false;
    *slot_of(f, hash, NULL, 0) = f->n + 1;
    f->entries[f->n++] = (struct ann_fold_entry){.at = f->used, .n = n, .hash = hash, .count = 1};
    memcpy(f->text + f->used, stack, n);
    f->used += n;
    return true;
}
