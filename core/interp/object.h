// SPDX-License-Identifier: Apache-2.0
/** Objects in general: type, type's name, subclass bits; lookups in dicts and instance attributes. Mirrors Include/object.h, Objects/dictobject.c. */
#ifndef PYB_INTERP_OBJECT_H
#define PYB_INTERP_OBJECT_H
#include "interp/string.h"

struct pyb_type { // cached in py->types
    pyb_addr addr;
    const char *name;        // tp_name
    uint64_t flags;
    int64_t basicsize, itemsize, dictoffset;
    pyb_addr base;
    bool heap;
};
int pyb_type_of(struct pyb_python *py, pyb_addr object, const struct pyb_type **ret, struct pyb_error *err);
int pyb_type_get(struct pyb_python *py, pyb_addr type, const struct pyb_type **ret, struct pyb_error *err);

/** Iterates a dict in insertion order (2.7: table order). Start with a zeroed iterator. 1: an entry, 0: end, <0: error. */
struct pyb_dict_iter { pyb_addr dict; uint64_t i, n; uint64_t private_[10]; };
int pyb_dict_iter_init(struct pyb_python *py, pyb_addr dict, struct pyb_dict_iter *it, int64_t *ret_len, struct pyb_error *err);
int pyb_dict_next(struct pyb_python *py, struct pyb_dict_iter *it, pyb_addr *ret_key, pyb_addr *ret_value, struct pyb_error *err);
/** By an ASCII str key. PYB_E_NOTFOUND. */
int pyb_dict_get(struct pyb_python *py, pyb_addr dict, const char *key, pyb_addr *ret, struct pyb_error *err);
/** Instance attributes: inline values, managed dict, dictoffset (negative too). *ret_dict 0 and values filled when there is no dict object. */
int pyb_instance_attr(struct pyb_python *py, pyb_addr object, const char *name, pyb_addr *ret, struct pyb_error *err);
/** Calls back for each attribute in order. */
int pyb_instance_attrs(struct pyb_python *py, pyb_addr object, int (*each)(void *ctx, pyb_addr key, pyb_addr value), void *ctx, struct pyb_error *err);
#endif
