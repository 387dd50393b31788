// SPDX-License-Identifier: Apache-2.0
/**
 * Objects in general: type, type's name, subclass bits; lookups in dicts and instance attributes. Mirrors
 * Include/object.h, Objects/dictobject.c.
 */
#ifndef PYB_INTERP_OBJECT_H
#define PYB_INTERP_OBJECT_H
#include "interp/string.h"

struct pyb_type { // cached in py->types
    pyb_addr addr;
    const char *name;        // tp_name
    const char *short_name;  // what follows its last dot
    uint64_t flags;
    int64_t basicsize, itemsize, dictoffset;
    pyb_addr base;
    bool heap;
    // ob_type, tp_repr, tp_dict (0: kept elsewhere), tp_mro, tp_members
    pyb_addr metatype, repr, dict, mro, members;
    uint32_t generation;     // py->generation at the last look
    // repr_kind.c: who shows such objects, and the class that says so; NULL: not asked yet
    const struct pyb_repr_kind *repr_kind;
    pyb_addr repr_owner;
};
/**
 * Types are cached by address and looked at again after the target ran. PYB_E_CORRUPT: what is there is no
 * type object (its chain of types does not end at `type`). *ret lives as long as py.
 */
int pyb_type_of(struct pyb_python *py, pyb_addr object, const struct pyb_type **ret, struct pyb_error *err);
int pyb_type_get(struct pyb_python *py, pyb_addr type, const struct pyb_type **ret, struct pyb_error *err);
/**
 * True if one of the Py_TPFLAGS_* numbers of the layout (tpflags_...) is set; false where the layout has no
 * such flag.
 */
bool pyb_type_has(const struct pyb_type *type, int64_t flag);
/** The classes of an MRO, at most max of them. Classic classes of 2.7 and what is no type are left out. */
int pyb_type_mro(struct pyb_python *py, const struct pyb_type *type, const struct pyb_type **ret, size_t max,
                 size_t *ret_n, struct pyb_error *err);
/**
 * A class attribute through the MRO, heap types only (static types of 3.12+ keep their dicts elsewhere).
 * ret_owner may be NULL. PYB_E_NOTFOUND.
 */
int pyb_type_lookup(struct pyb_python *py, const struct pyb_type *type, const char *name, pyb_addr *ret,
                    const struct pyb_type **ret_owner, struct pyb_error *err);

#define PYB_DICT_MAX (UINT64_C(1) << 36) // slots of one dict; more is PYB_E_CORRUPT
#define PYB_DICT_MAX_EMPTY (1u << 24)    // empty entries in a row; likewise
#define PYB_DICT_LOOKUP_MAX (1u << 20)   // entries that a lookup by name looks at

/**
 * Iterates a dict in insertion order (2.7 to 3.5: table order). Start with a zeroed iterator. 1: an entry, 0:
 * end, <0: error.
 */
struct pyb_dict_iter {
    pyb_addr dict;
    uint64_t i, n;          // next, number of slots to visit
    uint64_t slots;         // entries that there are
    pyb_addr entries, values; // entry 0; values[0] of a split table, else 0
    uint32_t stride;        // bytes of an entry
    int32_t key_at, value_at;
    bool ordered;           // order[] has the slots in the order of insertion
    uint8_t order[256];
    uint64_t chunk_first, chunk_n; // entries read ahead
    uint8_t chunk[1536];
};
int pyb_dict_iter_init(struct pyb_python *py, pyb_addr dict, struct pyb_dict_iter *it, int64_t *ret_len,
                       struct pyb_error *err);
/** The same over the shared keys of a class and the values of one instance. */
int pyb_dict_iter_init_split(struct pyb_python *py, pyb_addr keys, pyb_addr values, struct pyb_dict_iter *it,
                             struct pyb_error *err);
int pyb_dict_next(struct pyb_python *py, struct pyb_dict_iter *it, pyb_addr *ret_key, pyb_addr *ret_value,
                  struct pyb_error *err);
/** By an ASCII str key. PYB_E_NOTFOUND. */
int pyb_dict_get(struct pyb_python *py, pyb_addr dict, const char *key, pyb_addr *ret, struct pyb_error *err);

/**
 * An instance's attributes as an iterator: inline values, managed dict, dictoffset (negative too).
 * PYB_E_NOTFOUND: it has none.
 */
int pyb_instance_iter_init(struct pyb_python *py, pyb_addr object, struct pyb_dict_iter *it,
                           struct pyb_error *err);
/** An instance attribute: of its dict, else of a slot. PYB_E_NOTFOUND. */
int pyb_instance_attr(struct pyb_python *py, pyb_addr object, const char *name, pyb_addr *ret,
                      struct pyb_error *err);
/** The value of an int object that fits 64 bits (thread_name.c); false: it does not, is negative, or is no int. */
bool pyb_small_int(struct pyb_python *py, pyb_addr object, uint64_t *ret);
/** Calls back for each attribute of its dict in order; a result other than 0 ends it and is returned. */
int pyb_instance_attrs(struct pyb_python *py, pyb_addr object,
                       int (*each)(void *ctx, pyb_addr key, pyb_addr value), void *ctx,
                           struct pyb_error *err);
#endif
