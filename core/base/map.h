// SPDX-License-Identifier: Apache-2.0
/** Hash map from a 64-bit key to a pointer-sized value. Open addressing; never shrinks; not ordered. */
#ifndef PYB_BASE_MAP_H
#define PYB_BASE_MAP_H
#include "base/context.h"

struct pyb_map {
    struct pyb_ctx *ctx;
    struct pyb_map_slot *slots;
    size_t cap, used;
};
void pyb_map_init(struct pyb_map *m, struct pyb_ctx *ctx);
void pyb_map_deinit(struct pyb_map *m);
void pyb_map_clear(struct pyb_map *m);
/** True and *ret when there; ret may be NULL. */
bool pyb_map_get(const struct pyb_map *m, uint64_t key, uintptr_t *ret);
/** 0 or PYB_E_NOMEM; replaces. */
int pyb_map_put(struct pyb_map *m, uint64_t key, uintptr_t value);
/** To visit all, in no order: for i < m->cap; false where slot i is free. */
bool pyb_map_at(const struct pyb_map *m, size_t i, uint64_t *ret_key, uintptr_t *ret);
#endif
