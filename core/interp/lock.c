// SPDX-License-Identifier: Apache-2.0
#include "interp/lock.h"

#include <string.h>

#include "base/error.h"
#include "interp/fields.h"

#define MAX_OBJECT 512 // bytes of an object that may hold the address of a semaphore

static int not_a_lock(struct pyb_error *err, pyb_addr object)
{
    return pyb_fail_at(err, PYB_E_NOTFOUND, object, 0, "the object at 0x%llx is no lock", (unsigned long long)object);
}

static bool is_plain(const struct pyb_type *t)
{
    return strcmp(t->name, "_thread.lock") == 0 || strcmp(t->name, "thread.lock") == 0;
}

static bool is_recursive(const struct pyb_type *t)
{
    return strcmp(t->name, "_thread.RLock") == 0;
}

int pyb_either_attr(struct pyb_python *py, pyb_addr object, const char *name, const char *name27, pyb_addr *ret)
{
    return pyb_instance_attr(py, object, py->major == 2 ? name27 : name, ret, NULL);
}

// A mutex of one byte (3.13 on): its lowest bit. A flag beside the semaphore (3.x). 2.7: the semaphore's own value, which glibc has in
// the low half of the first word.
static int read_plain(struct pyb_python *py, struct pyb_lock *lock, struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    uint64_t value;
    uint32_t semaphore;
    pyb_addr at;
    int rc;
    if (pyb_has(l->lock_locked) || l->lock_lock.width == 1) {
        rc = pyb_field_uint(py, lock->addr, pyb_has(l->lock_locked) ? l->lock_locked : l->lock_lock, &value, err);
        lock->taken = rc == 0 && (value & 1) != 0;
        return rc;
    }
    rc = pyb_field_ptr(py, lock->addr, l->lock_lock, &at, err);
    if (rc == 0)
        rc = pyb_read_u32(py->target->mem, at, &semaphore, err);
    lock->taken = rc == 0 && semaphore == 0;
    return rc;
}

static int read_recursive(struct pyb_python *py, struct pyb_lock *lock, struct pyb_error *err)
{
    const struct pyb_layout *l = &py->layout;
    uint64_t owner, mutex = 0;
    int64_t count;
    int rc = pyb_field_uint(py, lock->addr, l->rlock_owner, &owner, err);
    if (rc == 0)
        rc = pyb_field_int(py, lock->addr, l->rlock_count, &count, err);
    if (rc == 0 && l->rlock_lock.width == 1)
        rc = pyb_field_uint(py, lock->addr, l->rlock_lock, &mutex, err);
    if (rc)
        return rc;
    // With a mutex of its own the count is that of further acquisitions, else of all.
    lock->taken = l->rlock_lock.width == 1 ? (mutex & 1) != 0 && owner != 0 : owner != 0 && count > 0;
    lock->owner = lock->taken ? owner : 0;
    return 0;
}

// threading._RLock of 2.7, threading._PyRLock of 3.x.
static int read_in_python(struct pyb_python *py, struct pyb_lock *lock, struct pyb_error *err)
{
    pyb_addr block, owner, count;
    uint64_t ident = 0, n = 0;
    if (pyb_either_attr(py, lock->addr, "_block", "_RLock__block", &block) ||
        pyb_either_attr(py, lock->addr, "_owner", "_RLock__owner", &owner) ||
        pyb_either_attr(py, lock->addr, "_count", "_RLock__count", &count))
        return not_a_lock(err, lock->addr);
    lock->taken = pyb_small_int(py, owner, &ident) && pyb_small_int(py, count, &n) && ident != 0 && n > 0;
    lock->owner = lock->taken ? ident : 0;
    return 0;
}

int pyb_lock_read(struct pyb_python *py, pyb_addr object, struct pyb_lock *ret, struct pyb_error *err)
{
    const struct pyb_type *t;
    *ret = (struct pyb_lock){.addr = object};
    int rc = pyb_type_of(py, object, &t, err);
    if (rc)
        return pyb_is_final(rc) ? rc : not_a_lock(err, object);
    ret->type = t->name;
    if (is_plain(t))
        return read_plain(py, ret, err);
    ret->recursive = true;
    if (is_recursive(t))
        return read_recursive(py, ret, err);
    if (strcmp(t->short_name, "_RLock") == 0 || strcmp(t->short_name, "_PyRLock") == 0)
        return read_in_python(py, ret, err);
    return not_a_lock(err, object);
}

int pyb_lock_of(struct pyb_python *py, pyb_addr object, pyb_addr *ret, struct pyb_error *err)
{
    struct pyb_lock lock;
    pyb_addr waiters;
    int rc = pyb_lock_read(py, object, &lock, err);
    *ret = object;
    if (rc != PYB_E_NOTFOUND)
        return rc;
    if (pyb_either_attr(py, object, "_waiters", "_Condition__waiters", &waiters) ||
        pyb_either_attr(py, object, "_lock", "_Condition__lock", ret))
        return not_a_lock(err, object);
    return pyb_lock_read(py, *ret, &lock, err);
}

struct pyb_slept_on pyb_slept_on(struct pyb_python *py, pyb_addr futex)
{
    struct pyb_slept_on on = {.futex = futex};
    const unsigned word = py->layout.ptr_size;
    if (py->major == 3 && py->minor >= 13 && futex > word && pyb_read_ptr(py->target->mem, futex - word, &on.parked, NULL) != 0)
        on.parked = 0;
    return on;
}

static bool is_around(struct pyb_python *py, pyb_addr object, bool (*is)(const struct pyb_type *))
{
    const struct pyb_type *t;
    return object != 0 && pyb_type_of(py, object, &t, NULL) == 0 && is(t);
}

int pyb_parked_lock(struct pyb_python *py, const struct pyb_slept_on *on, pyb_addr *ret)
{
    const struct pyb_layout *l = &py->layout;
    if (on->parked < 4096)
        return PYB_E_NOTFOUND;
    *ret = l->lock_lock.width == 1 ? on->parked - (uint64_t)l->lock_lock.offset : 0;
    if (is_around(py, *ret, is_plain))
        return 0;
    *ret = l->rlock_lock.width == 1 ? on->parked - (uint64_t)l->rlock_lock.offset : 0;
    return is_around(py, *ret, is_recursive) ? 0 : PYB_E_NOTFOUND;
}

static bool holds_word(struct pyb_python *py, pyb_addr object, size_t size, pyb_addr value)
{
    const size_t word = py->layout.ptr_size;
    uint8_t raw[MAX_OBJECT];
    if (pyb_read_bytes(py->target->mem, object, raw, size, NULL) != 0)
        return false;
    struct pyb_bytes b = pyb_memory_bytes(py->target->mem, raw, size);
    for (size_t at = 2 * word; at + word <= size; at += word) {
        if (pyb_get_ptr(&b, at) == value)
            return true;
    }
    return false;
}

bool pyb_is_slept_on(struct pyb_python *py, pyb_addr object, const struct pyb_slept_on *on, const char **ret_type)
{
    static const char *const types[] = {"_thread.lock", "thread.lock", "_thread.RLock", "_queue.SimpleQueue",
                                        "_multiprocessing.SemLock", "_io.BufferedReader", "_io.BufferedWriter",
                                        "_io.BufferedRandom"};
    const struct pyb_type *t;
    bool known = false;
    if (object == 0 || object % py->layout.ptr_size != 0 || pyb_type_of(py, object, &t, NULL) != 0)
        return false;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]) && !known; i++)
        known = strcmp(t->name, types[i]) == 0;
    if (!known || t->basicsize < 2 * py->layout.ptr_size || t->basicsize > MAX_OBJECT)
        return false;
    *ret_type = t->name;
    if (on->parked > object && on->parked - object < (uint64_t)t->basicsize)
        return true;
    return holds_word(py, object, (size_t)t->basicsize, on->futex);
}
