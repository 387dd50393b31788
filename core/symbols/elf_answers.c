// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "symbols/elf_internal.h"

#define MAX_ANSWERS 65536u
#define MAX_NAMES 256u // asked by name: a handful, searched in a row

static struct pyb_map *map_of(struct pyb_elf *e, enum pyb_elf_answer_kind kind)
{
    return kind == PYB_ANSWER_COVER ? &e->covers : kind == PYB_ANSWER_FDE ? &e->fdes : &e->owners;
}

struct pyb_elf_answer *pyb_elf_remember(struct pyb_elf *e, const struct pyb_elf_answer *a)
{
    if (e->n_answers >= MAX_ANSWERS)
        return NULL;
    struct pyb_elf_answer *copy = pyb_arena_alloc(&e->arena, sizeof(*copy));
    if (!copy)
        return NULL;
    *copy = *a;
    if (a->kind == PYB_ANSWER_NAME) {
        copy->name = pyb_arena_strdup(&e->arena, a->name);
        if (!copy->name)
            return NULL;
    } else if (pyb_map_put(map_of(e, a->kind), a->vaddr, (uintptr_t)copy) != 0) {
        return NULL;
    }
    copy->next = e->answers;
    e->answers = copy;
    e->n_answers++;
    return copy;
}

const struct pyb_elf_answer *pyb_elf_recall(struct pyb_elf *e, enum pyb_elf_answer_kind kind,
                                            const char *name, uint64_t vaddr)
{
    if (kind != PYB_ANSWER_NAME) {
        uintptr_t found;
        return pyb_map_get(map_of(e, kind), vaddr, &found) ? (const struct pyb_elf_answer *)found : NULL;
    }
    size_t seen = 0;
    for (const struct pyb_elf_answer *a = e->answers; a && seen < MAX_NAMES; a = a->next) {
        if (a->kind != PYB_ANSWER_NAME)
            continue;
        if (strcmp(a->name, name) == 0)
            return a;
        seen++;
    }
    return NULL;
}
