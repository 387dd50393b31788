// SPDX-License-Identifier: Apache-2.0
/**
 * Lock objects: _thread.lock, _thread.RLock, the RLock that 2.7 has in Python, and the lock of a threading.Condition.
 *
 * Mirrors Modules/_threadmodule.c, Lib/threading.py. A plain lock does not record who took it; a recursive one has its owner's
 * threading.get_ident().
 */
#ifndef PYB_INTERP_LOCK_H
#define PYB_INTERP_LOCK_H
#include "interp/object.h"

struct pyb_lock {
    pyb_addr addr;      // the object
    const char *type;   // its type's name; lives as long as py
    bool recursive;     // records its owner
    bool taken;
    pyb_addr owner;     // recursive and taken: threading.get_ident() of who holds it, else 0
};
/** PYB_E_NOTFOUND: the object is no lock. */
int pyb_lock_read(struct pyb_python *py, pyb_addr object, struct pyb_lock *ret, struct pyb_error *err);
/** The lock that `with object` takes: the object itself, or a Condition's. PYB_E_NOTFOUND. */
int pyb_lock_of(struct pyb_python *py, pyb_addr object, pyb_addr *ret, struct pyb_error *err);
/** An attribute of an instance under its name in 3.x, or under 2.7's. PYB_E_NOTFOUND. */
int pyb_either_attr(struct pyb_python *py, pyb_addr object, const char *name, const char *name27, pyb_addr *ret);

/**
 * What a thread that sleeps in futex(2) on `futex` waits for. Up to 3.12 (RLock: 3.13) an object holds a pointer to the semaphore slept
 * on. From 3.13 on a thread that waits for a mutex inside an object sleeps on a semaphore in its own stack, in a struct wait_entry
 * (Python/parking_lot.c), in front of which the mutex's address is; `parked` is that word, 0 where there is none.
 */
struct pyb_slept_on {
    pyb_addr futex, parked;
};
struct pyb_slept_on pyb_slept_on(struct pyb_python *py, pyb_addr futex);
/** The lock object around the mutex that is parked on; PYB_E_NOTFOUND: none, or an object of another type. */
int pyb_parked_lock(struct pyb_python *py, const struct pyb_slept_on *on, pyb_addr *ret);
/**
 * True when the object is one that threads can wait for and is the one slept on: a lock, _queue.SimpleQueue, a multiprocessing semaphore, a
 * buffered file. *ret_type: name of its type.
 */
bool pyb_is_slept_on(struct pyb_python *py, pyb_addr object, const struct pyb_slept_on *on, const char **ret_type);
#endif
