// SPDX-License-Identifier: Apache-2.0
#include "base/map.h"

#include <string.h>

struct pyb_map_slot {
    uint64_t key;
    uintptr_t value;
    bool used;
};

void pyb_map_init(struct pyb_map *m, struct pyb_ctx *ctx)
{
    *m = (struct pyb_map){.ctx = ctx};
}

void pyb_map_deinit(struct pyb_map *m)
{
    pyb_free(m->ctx, m->slots);
    *m = (struct pyb_map){.ctx = m->ctx};
}

void pyb_map_clear(struct pyb_map *m)
{
    if (m->slots)
        memset(m->slots, 0, m->cap * sizeof(*m->slots));
    m->used = 0;
}

// The finalizer of splitmix64: addresses differ in few bits, their hashes in all.
static uint64_t hash(uint64_t x)
{
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

// The slot that has the key, or the free one where it belongs. cap is a power of two and never full.
static struct pyb_map_slot *find(struct pyb_map_slot *slots, size_t cap, uint64_t key)
{
    size_t i = (size_t)hash(key) & (cap - 1);
    while (slots[i].used && slots[i].key != key)
        i = (i + 1) & (cap - 1);
    return &slots[i];
}

bool pyb_map_get(const struct pyb_map *m, uint64_t key, uintptr_t *ret)
{
    if (m->used == 0)
        return false;
    const struct pyb_map_slot *slot = find(m->slots, m->cap, key);
    if (slot->used && ret)
        *ret = slot->value;
    return slot->used;
}

static int grow(struct pyb_map *m)
{
    size_t cap = m->cap ? m->cap * 2 : 16;
    size_t bytes;
    if (cap < m->cap || __builtin_mul_overflow(cap, sizeof(*m->slots), &bytes))
        return PYB_E_NOMEM;
    struct pyb_map_slot *slots = pyb_alloc(m->ctx, bytes);
    if (!slots)
        return PYB_E_NOMEM;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].used)
            *find(slots, cap, m->slots[i].key) = m->slots[i];
    pyb_free(m->ctx, m->slots);
    m->slots = slots;
    m->cap = cap;
    return 0;
}

int pyb_map_put(struct pyb_map *m, uint64_t key, uintptr_t value)
{
    if (m->used >= m->cap / 4 * 3) {
        int rc = grow(m);
        if (rc)
            return rc;
    }
    struct pyb_map_slot *slot = find(m->slots, m->cap, key);
    if (!slot->used)
        m->used++;
    *slot = (struct pyb_map_slot){.key = key, .value = value, .used = true};
    return 0;
}

bool pyb_map_at(const struct pyb_map *m, size_t i, uint64_t *ret_key, uintptr_t *ret)
{
    if (i >= m->cap || !m->slots[i].used)
        return false;
    *ret_key = m->slots[i].key;
    *ret = m->slots[i].value;
    return true;
}
