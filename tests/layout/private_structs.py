# SPDX-License-Identifier: Apache-2.0
"""
HAND-WRITTEN: members of structs that no CPython header declares, because they are private to a .c file.

(group of layout_fields.def, CPython source file, [(first version that has it so, members)]); members None: no such
struct any more. An entry holds until the next one; 3.3 to 3.5 are not described here. Only what lies in front of
the last member that pybraid reads matters, so tails may be left out where no column asks for the size.

These lines are compiled beside each set of headers, so that offsets follow for every word size and ABI, and
check.py compares every one of them with the debug information of each real build it finds.
"""

FUTURE_37 = ("PyObject_HEAD PyObject *X_loop, *X_callback0, *X_context0, *X_callbacks, *X_exception, %s *X_result,"
             " *X_source_tb; %s int X_state; int X_log_tb; int X_blocking; PyObject *dict; PyObject *X_weakreflist;")
FUTURE_36 = ("PyObject_HEAD PyObject *X_loop, *X_callbacks, *X_exception, *X_result, *X_source_tb; int X_state;"
             " int X_log_tb; int X_blocking; PyObject *dict; PyObject *X_weakreflist;")
FUTURE_39 = FUTURE_37 % ("", "PyObject *X_cancel_msg;") + "_PyErr_StackItem X_cancelled_exc_state;"
FUTURE_310 = FUTURE_37 % ("*X_exception_tb,", "PyObject *X_cancel_msg;") + "_PyErr_StackItem X_cancelled_exc_state;"
FUTURE_311 = FUTURE_37 % ("*X_exception_tb,", "PyObject *X_cancel_msg;") + "PyObject *X_cancelled_exc;"
FUTURE_313 = ("PyObject_HEAD PyObject *X_loop, *X_callback0, *X_context0, *X_callbacks, *X_exception,"
              " *X_exception_tb, *X_result, *X_source_tb, *X_cancel_msg, *X_cancelled_exc; int X_state;"
              " unsigned X_log_tb : 1, X_blocking : 1;")
FUTURE_314 = ("PyObject_HEAD PyObject *X_loop, *X_callback0, *X_context0, *X_callbacks, *X_exception,"
              " *X_exception_tb, *X_result, *X_source_tb, *X_cancel_msg, *X_cancelled_exc, *X_awaited_by;"
              " int X_state; char X_is_task; char X_awaited_by_is_set; unsigned X_log_tb : 1, X_blocking : 1;")
WAITING = " PyObject *task_fut_waiter, *task_coro, %s *task_context;"
TASK_313 = " unsigned task_must_cancel : 1, task_log_destroy_pending : 1; int task_num_cancels_requested;"
TASK_END_311 = " int task_must_cancel, task_log_destroy_pending, task_num_cancels_requested;"
TASK_TID = "\n#ifdef Py_GIL_DISABLED\nuintptr_t task_tid;\n#endif\n"


def task(future, rest):
    return future.replace("X_", "task_") + rest


def future(text):
    return text.replace("X_", "fut_")


TASK_END_37 = " int task_must_cancel, task_log_destroy_pending;"

PRIVATE = [
    ("dictkeys", "Objects/dict-common.h", [
        ((3, 6), "Py_ssize_t dk_refcnt, dk_size; void *dk_lookup; Py_ssize_t dk_usable, dk_nentries; char dk_indices[];"),
        ((3, 11), None)]),  # Include/internal/pycore_dict.h has it
    ("dictentry", "Objects/dict-common.h", [
        ((3, 6), "Py_hash_t me_hash; PyObject *me_key, *me_value;"),
        ((3, 11), None)]),
    ("odict", "Objects/odictobject.c", [
        ((3, 6), "PyDictObject od_dict; void *od_first, *od_last; void **od_fast_nodes; Py_ssize_t od_fast_nodes_size;"
                 " void *od_resize_sentinel; size_t od_state; PyObject *od_inst_dict, *od_weakreflist;")]),
    ("odictnode", "Objects/odictobject.c", [
        ((3, 6), "PyObject *key; Py_hash_t hash; void *next, *prev;")]),
    ("defaultdict", "Modules/_collectionsmodule.c", [
        ((2, 7), "PyDictObject dict; PyObject *default_factory;")]),
    ("deque", "Modules/_collectionsmodule.c", [
        ((2, 7), "PyObject_HEAD void *leftblock, *rightblock; Py_ssize_t leftindex, rightindex, len; long state;"
                 " Py_ssize_t maxlen; PyObject *weakreflist;"),
        ((3, 6), "PyObject_VAR_HEAD void *leftblock, *rightblock; Py_ssize_t leftindex, rightindex; size_t state;"
                 " Py_ssize_t maxlen; PyObject *weakreflist;"),
        ((3, 11), "PyObject_VAR_HEAD void *leftblock, *rightblock; Py_ssize_t leftindex, rightindex; size_t state;"
                  " Py_ssize_t maxlen; Py_ssize_t numfreeblocks; void *freeblocks[16]; PyObject *weakreflist;")]),
    ("dequeblock", "Modules/_collectionsmodule.c", [
        ((2, 7), "PyObject *data[62]; void *rightlink, *leftlink;"),
        ((3, 6), "void *leftlink; PyObject *data[64]; void *rightlink;")]),
    ("range", "Objects/rangeobject.c", [
        ((2, 7), "PyObject_HEAD long start, step, len;"),
        ((3, 6), "PyObject_HEAD PyObject *start, *stop, *step, *length;")]),
    ("enumerate", "Objects/enumobject.c", [
        ((2, 7), "PyObject_HEAD Py_ssize_t en_index; PyObject *en_sit, *en_result, *en_longindex;"),
        ((3, 11), "PyObject_HEAD Py_ssize_t en_index; PyObject *en_sit, *en_result, *en_longindex, *one;")]),
    ("staticmethod", "Objects/funcobject.c", [
        ((2, 7), "PyObject_HEAD PyObject *sm_callable;"),
        ((3, 6), "PyObject_HEAD PyObject *sm_callable, *sm_dict;")]),
    ("classmethod", "Objects/funcobject.c", [
        ((2, 7), "PyObject_HEAD PyObject *cm_callable;"),
        ((3, 6), "PyObject_HEAD PyObject *cm_callable, *cm_dict;")]),
    ("property", "Objects/descrobject.c", [
        ((2, 7), "PyObject_HEAD PyObject *prop_get, *prop_set, *prop_del, *prop_doc; int getter_doc;"),
        ((3, 10), "PyObject_HEAD PyObject *prop_get, *prop_set, *prop_del, *prop_doc, *prop_name; int getter_doc;")]),
    ("partial", "Modules/_functoolsmodule.c", [
        ((2, 7), "PyObject_HEAD PyObject *fn, *args, *kw, *dict, *weakreflist;"),
        ((3, 7), "PyObject_HEAD PyObject *fn, *args, *kw, *dict, *weakreflist; int use_fastcall;"),
        ((3, 9), "PyObject_HEAD PyObject *fn, *args, *kw, *dict, *weakreflist; vectorcallfunc vectorcall;"),
        ((3, 14), "PyObject_HEAD PyObject *fn, *args, *kw, *dict, *weakreflist, *placeholder; Py_ssize_t phcount;"
                  " vectorcallfunc vectorcall;")]),
    ("module", "Objects/moduleobject.c", [
        ((2, 7), "PyObject_HEAD PyObject *md_dict;"),
        ((3, 6), "PyObject_HEAD PyObject *md_dict; void *md_def, *md_state; PyObject *md_weaklist, *md_name;"),
        ((3, 10), None)]),  # Include/internal/pycore_moduleobject.h has it
    ("namespace", "Objects/namespaceobject.c", [
        ((3, 6), "PyObject_HEAD PyObject *ns_dict;")]),
    ("mappingproxy", "Objects/descrobject.c", [
        ((2, 7), "PyObject_HEAD PyObject *dict;"),
        ((3, 6), "PyObject_HEAD PyObject *mapping;")]),
    ("methodwrapper", "Objects/descrobject.c", [
        ((2, 7), "PyObject_HEAD void *descr; PyObject *self;")]),
    ("corowrapper", "Objects/genobject.c", [
        ((3, 6), "PyObject_HEAD void *cw_coroutine;")]),
    ("agasend", "Objects/genobject.c", [
        ((3, 6), "PyObject_HEAD void *ags_gen; PyObject *ags_sendval; int ags_state;")]),
    ("agathrow", "Objects/genobject.c", [
        ((3, 6), "PyObject_HEAD void *agt_gen; PyObject *agt_args; int agt_state;"),
        ((3, 15), "PyObject_HEAD void *agt_gen; PyObject *agt_typ, *agt_tb, *agt_val; int agt_state;")]),
    ("lock", "Modules/_threadmodule.c", [
        ((2, 7), "PyObject_HEAD void *lock_lock; PyObject *in_weakreflist;"),
        ((3, 6), "PyObject_HEAD void *lock_lock; PyObject *in_weakreflist; char locked;"),
        ((3, 13, 1), "PyObject_HEAD PyMutex lock;")]),
    ("rlock", "Modules/_threadmodule.c", [
        ((3, 6), "PyObject_HEAD void *rlock_lock; long rlock_owner; unsigned long rlock_count; PyObject *in_weakreflist;"),
        ((3, 13), "PyObject_HEAD void *rlock_lock; PyThread_ident_t rlock_owner; unsigned long rlock_count;"
                  " PyObject *in_weakreflist;"),
        ((3, 14), "PyObject_HEAD _PyRecursiveMutex lock;")]),
    ("timezone", "Modules/_datetimemodule.c", [
        ((3, 6), "PyObject_HEAD PyObject *offset, *name;")]),
    ("future", "Modules/_asynciomodule.c", [
        ((3, 6), future(FUTURE_36)),
        ((3, 7), future(FUTURE_37 % ("", ""))),
        ((3, 9), future(FUTURE_39)),
        ((3, 10), future(FUTURE_310)),
        ((3, 11), future(FUTURE_311)),
        ((3, 13), future(FUTURE_313)),
        ((3, 14), future(FUTURE_314))]),
    ("task", "Modules/_asynciomodule.c", [
        ((3, 6), task(FUTURE_36, " PyObject *task_fut_waiter, *task_coro;" + TASK_END_37)),
        ((3, 7), task(FUTURE_37 % ("", ""), WAITING % "" + TASK_END_37)),
        ((3, 8), task(FUTURE_37 % ("", ""), WAITING % "*task_name," + TASK_END_37)),
        ((3, 9), task(FUTURE_39, WAITING % "*task_name," + TASK_END_37)),
        ((3, 10), task(FUTURE_310, WAITING % "*task_name," + TASK_END_37)),
        ((3, 11), task(FUTURE_311, WAITING % "*task_name," + TASK_END_311)),
        ((3, 13), task(FUTURE_313, TASK_313 + WAITING % "*task_name,")),
        ((3, 14), task(FUTURE_314, TASK_313 + WAITING % "*task_name," + " struct llist_node task_node;" + TASK_TID))]),
]


def members_of(entries, version):
    result = None
    for since, members in entries:
        if tuple(version[:len(since)]) >= since:
            result = members
    return result


def declarations(version):
    lines = []
    for group, source, entries in PRIVATE:
        members = members_of(entries, version)
        if members is not None:
            lines.append("// %s\nstruct pybx_%s { %s };" % (source, group, members))
    return "\n".join(lines)
