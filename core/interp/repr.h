// SPDX-License-Identifier: Apache-2.0
/**
 * One repr() under way: what the files repr_*.c share. Nothing outside of them includes this.
 *
 * A function that shows a value appends its text to r->out and returns 0, or a negative code when it could
 * not: then pyb_repr_value() takes back what it appended and says so in its place. Text that reads like a
 * container is cut by the limits; once the length is reached everything returns soon (pyb_repr_full()).
 */
#ifndef PYB_INTERP_REPR_H
#define PYB_INTERP_REPR_H
#include "interp/locals.h"
#include "interp/object.h"
#include "interp/repr_text.h"

#define PYB_REPR_MAX_DEPTH 200u             // nested values, whatever the limits say
#define PYB_REPR_MAX_LENGTH (64u << 20)     // bytes of one repr, likewise
#define PYB_REPR_MAX_ITEMS (1u << 20)       // of containers that must be read whole before they can be shown
#define PYB_REPR_MAX_EMPTY (1u << 24)       // empty slots in a row
#define PYB_REPR_MAX_INT_DIGITS 100000u     // decimal digits; a larger int is shown as its number of bits

struct pyb_repr {
    struct pyb_python *py;
    const struct pyb_layout *l;
    struct pyb_memory *mem;
    uint32_t length, max_depth, items;  // limits, none of them 0
    bool verbose;
    struct pyb_buf *out;
    size_t start;                       // out->len before
    struct pyb_error *err;
    // values still worth looking at: what is taken back as corrupt costs time and leaves no text
    uint64_t budget;
    unsigned containers;                // containers that are open: what the depth limit counts
    unsigned n_active;
    pyb_addr active[PYB_REPR_MAX_DEPTH];// values that are being shown, for cycles
};

// In place of a cycle text: show() is called for the value inside itself too (once), and cuts where it sees
// itself in r->active.
#define PYB_REPR_TWICE ""

/** How instances of a type are shown. */
struct pyb_repr_kind {
    const char *name;                   // tp_name of the built-in type
    int (*show)(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
    const char *cycle;                  // text of the value inside itself, NULL: it contains nothing
};

/** Appends the repr of one object, whatever happens. Returns only NOMEM, ABORTED and LIMIT. */
int pyb_repr_value(struct pyb_repr *r, pyb_addr object);
/** How often the object is being shown just now. */
unsigned pyb_repr_times_active(const struct pyb_repr *r, pyb_addr object);
/** The length limit (or the budget) is reached: what follows will be cut. */
bool pyb_repr_full(const struct pyb_repr *r);
/** NOMEM, ABORTED and LIMIT end the whole; other errors only the value. */
bool pyb_repr_fatal(int rc);
/**
 * Which way to show instances of the type: by tp_repr, and by the class's __repr__. *ret_owner: the class
 * that has it. Never NULL in *ret.
 */
int pyb_repr_kind_of(struct pyb_repr *r, const struct pyb_type *type, const struct pyb_repr_kind **ret,
                     pyb_addr *ret_owner);
/** By tp_name of a static type (repr_kind.c), else NULL. */
const struct pyb_repr_kind *pyb_repr_kind_named(const char *name);
/** A value that cannot be shown: <corrupt list at 0x...>. */
int pyb_repr_corrupt(struct pyb_repr *r, pyb_addr object, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Small helpers over the layout.
int pyb_repr_ptr(struct pyb_repr *r, pyb_addr base, struct pyb_field f, pyb_addr *ret);
int pyb_repr_int(struct pyb_repr *r, pyb_addr base, struct pyb_field f, int64_t *ret);
/** A str object's text without quotes (names); "?" where it is no str. */
int pyb_repr_name(struct pyb_repr *r, pyb_addr str);
/** A C string at the address. */
int pyb_repr_cstr(struct pyb_repr *r, pyb_addr addr);
bool pyb_repr_is(struct pyb_repr *r, pyb_addr object, const char *type_name);

// Lists of items, shared by the containers.
/** True when the container is nested too deep: its cycle text was appended instead. */
bool pyb_repr_too_deep(struct pyb_repr *r, const char *text);
/** Items of an array of pointers, ", " between them, limits obeyed. */
int pyb_repr_array(struct pyb_repr *r, pyb_addr array, int64_t n);
/** ", " before any but the first; true when the limits say that "..." ends the list here (appended). */
bool pyb_repr_next_item(struct pyb_repr *r, uint64_t i);
/** {k: v, ...} of a dict object, or of an iterator. */
int pyb_repr_dict_items(struct pyb_repr *r, struct pyb_dict_iter *it);

// repr_text_object.c
int pyb_repr_str(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_bytes_object(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_bytearray(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
// repr_number.c
int pyb_repr_int_object(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_bool(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_float(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_complex_object(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_range(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_slice(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
/** The value of a bool or int object; PYB_E_CORRUPT when it does not fit 64 bits. */
int pyb_repr_get_int(struct pyb_repr *r, pyb_addr object, int64_t *ret);
/** A double of the target at an address. */
int pyb_repr_get_double(struct pyb_repr *r, pyb_addr addr, double *ret);
// repr_container.c
int pyb_repr_list(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_tuple(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_dict(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_set(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
// repr_collections.c
int pyb_repr_frozendict(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_mappingproxy(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_dict_view(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_defaultdict(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_deque(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_odict(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_old_odict(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_counter(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_namespace(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
// repr_callable.c
int pyb_repr_function(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_method(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_builtin(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_descriptor(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_method_wrapper(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_partial(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_generator(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_code(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
// repr_class.c
int pyb_repr_type(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_old_class(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_old_instance(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_module(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_exception(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_cell(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_weakref(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
// repr_record.c
int pyb_repr_namedtuple(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_structseq(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_dataclass(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
// repr_enum.c
int pyb_repr_enum(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_flag(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_global_enum(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_enum_class(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
// repr_datetime.c
int pyb_repr_date(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_datetime(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_time(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_timedelta(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
int pyb_repr_timezone(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
// repr_numpy.c
const struct pyb_repr_kind *pyb_repr_numpy_kind(const struct pyb_type *type);
// repr.c
int pyb_repr_instance(struct pyb_repr *r, pyb_addr object, const struct pyb_type *type);
#endif
