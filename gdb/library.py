# SPDX-License-Identifier: Apache-2.0
"""The C library as ctypes sees it: structs, constants and prototypes of core/include/pybraid.h, nothing else.

tests/live/test_gdb_abi.py compares every struct here with the debug information of the library.
"""

import ctypes
import os
from ctypes import (CFUNCTYPE, POINTER, c_bool, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint8, c_uint16,
                    c_uint32, c_uint64, c_void_p)

ADDR = c_uint64

NATIVE_INLINED, NATIVE_SIGNAL, NATIVE_APPROX, NATIVE_KERNEL = 1, 2, 4, 8
READ_LOCALS, READ_VERBOSE = 1, 2
TEXT_ALL, TEXT_PYTHON, TEXT_LOCALS, TEXT_VERBOSE, TEXT_COLOR, TEXT_TRACEBACK, TEXT_NO_HEADER = 1, 2, 4, 8, 16, 32, 64
FRAME_PYTHON, FRAME_NATIVE, FRAME_KERNEL, FRAME_GAP = range(4)
E_ABORTED = -11
E_GONE = -12
E_NOTFOUND = -13

READ_FN = CFUNCTYPE(c_uint64, c_void_p, ADDR, c_void_p, c_uint64)
SYMBOL_FN = CFUNCTYPE(ADDR, c_void_p, c_char_p)
ABORT_FN = CFUNCTYPE(c_bool, c_void_p)
WRITE_FN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_size_t)


class Sized(ctypes.Structure):
    """A struct that begins with its own size."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.size = ctypes.sizeof(self)


class Error(ctypes.Structure):
    _fields_ = [("code", c_int), ("sys_errno", c_int), ("addr", ADDR), ("length", c_uint64),
                ("what", ctypes.c_char * 384), ("remedy", ctypes.c_char * 512)]

    def text(self):
        what = self.what.decode("utf-8", "backslashreplace") or "pybraid failed (code %d)" % self.code
        remedy = self.remedy.decode("utf-8", "backslashreplace")
        return what + ("\n" + remedy if remedy else "")


class Options(Sized):
    _fields_ = [("size", c_size_t), ("alloc", c_void_p), ("free", c_void_p), ("alloc_ctx", c_void_p),
                ("max_bytes", c_uint64), ("max_ms", c_uint64), ("abort", ABORT_FN), ("abort_ctx", c_void_p),
                ("debug_folders", c_char_p), ("debug_server", c_bool)]


class ModuleDesc(Sized):
    _fields_ = [("size", c_size_t), ("start", ADDR), ("end", ADDR), ("bias", ADDR), ("bias_known", c_bool),
                ("path", c_char_p), ("local_path", c_char_p)]


class TargetDesc(Sized):
    _fields_ = [("size", c_size_t), ("ctx", c_void_p), ("read", READ_FN), ("symbol", SYMBOL_FN),
                ("modules", POINTER(ModuleDesc)), ("n_modules", c_size_t), ("pid", c_int32), ("is_local", c_bool),
                ("is_core", c_bool), ("ptr_size", c_uint8), ("big_endian", c_bool), ("machine", c_uint16),
                ("executable", c_char_p), ("core_path", c_char_p), ("at_phdr", ADDR), ("at_phnum", c_uint32)]


class Info(Sized):
    _fields_ = [("size", c_size_t), ("version_major", c_int), ("version_minor", c_int), ("version_micro", c_int),
                ("version", c_char_p), ("free_threaded", c_bool), ("debug_build", c_bool), ("runtime", ADDR),
                ("found_by", c_char_p), ("layout", c_char_p), ("layout_note", c_char_p), ("module", c_char_p),
                ("executable", c_char_p), ("n_candidates", c_uint32), ("reads", c_uint64), ("bytes_read", c_uint64),
                ("cache_hits", c_uint64)]


class NativeFrame(Sized):
    _fields_ = [("size", c_size_t), ("pc", ADDR), ("sp", ADDR), ("flags", c_uint32), ("number", c_int32),
                ("name", c_char_p), ("linkage_name", c_char_p), ("module", c_char_p), ("file", c_char_p),
                ("line", c_int32)]


class NativeStack(Sized):
    _fields_ = [("size", c_size_t), ("tid", c_int32), ("thread_pointer", ADDR), ("os_name", c_char_p),
                ("active", c_int32), ("frames", POINTER(NativeFrame)), ("n_frames", c_size_t),
                ("truncated", c_char_p)]


class ReadOptions(Sized):
    _fields_ = [("size", c_size_t), ("flags", c_uint32), ("max_frames", c_uint32), ("repr_length", c_uint32),
                ("repr_depth", c_uint32), ("repr_items", c_uint32)]


class Local(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("arg", c_bool), ("cell", c_bool), ("addr", ADDR), ("type", c_char_p),
                ("repr", c_char_p), ("note", c_char_p)]


class Frame(ctypes.Structure):
    _fields_ = [("kind", c_int), ("plumbing", c_bool), ("note", c_char_p), ("name", c_char_p), ("func", c_char_p),
                ("file", c_char_p), ("short_file", c_char_p), ("line", c_int32), ("end_line", c_int32),
                ("column", c_int32), ("end_column", c_int32), ("entry", c_bool), ("frame", ADDR), ("code", ADDR),
                ("lasti", c_int32), ("interpreter", c_int64), ("locals", POINTER(Local)), ("n_locals", c_uint32),
                ("number", c_int32), ("pc", ADDR), ("sp", ADDR), ("linkage_name", c_char_p), ("module", c_char_p),
                ("offset", c_uint64), ("inlined", c_bool)]


class Thread(ctypes.Structure):
    _fields_ = [("tid", c_int32), ("ident", ADDR), ("name", c_char_p), ("os_name", c_char_p),
                ("interpreter", c_int64), ("active", c_int32), ("gil", c_int), ("gc", c_int32),
                ("has_python", c_bool), ("complete", c_bool), ("note", c_char_p), ("frames", POINTER(Frame)),
                ("n_frames", c_uint32), ("mode", c_int), ("state", ctypes.c_char), ("syscall", c_char_p)]


class Finding(ctypes.Structure):
    _fields_ = [("kind", c_char_p), ("text", c_char_p), ("tids", POINTER(c_int32)), ("n_tids", c_uint32)]


class Process(ctypes.Structure):
    _fields_ = [("pid", c_int32), ("core", c_char_p), ("executable", c_char_p), ("python", c_char_p),
                ("free_threaded", c_bool), ("debug_build", c_bool), ("command", POINTER(c_char_p)),
                ("n_command", c_uint32), ("threads", POINTER(Thread)), ("n_threads", c_uint32), ("note", c_char_p),
                ("findings", POINTER(Finding)), ("n_findings", c_uint32)]


class TextOptions(Sized):
    _fields_ = [("size", c_size_t), ("flags", c_uint32), ("limit", c_uint32), ("current", c_int32)]


_PROTOTYPES = {
    "pyb_version": (c_char_p, []),
    "pyb_session_new": (c_int, [POINTER(Options), POINTER(c_void_p), POINTER(Error)]),
    "pyb_session_free": (None, [c_void_p]),
    "pyb_open_target": (c_int, [c_void_p, POINTER(TargetDesc), POINTER(Error)]),
    "pyb_session_invalidate": (None, [c_void_p]),
    "pyb_session_info": (c_int, [c_void_p, POINTER(Info), POINTER(Error)]),
    "pyb_read": (c_int, [c_void_p, POINTER(NativeStack), c_size_t, c_bool, POINTER(ReadOptions),
                         POINTER(POINTER(Process)), POINTER(Error)]),
    "pyb_process_free": (None, [POINTER(Process)]),
    "pyb_repr": (c_int, [c_void_p, ADDR, POINTER(ReadOptions), POINTER(c_char_p), POINTER(Error)]),
    "pyb_lookup_name": (c_int, [c_void_p, POINTER(Frame), c_char_p, POINTER(ADDR), POINTER(c_char_p),
                                POINTER(Error)]),
    "pyb_frame_locals": (c_int, [c_void_p, POINTER(Frame), POINTER(ReadOptions), POINTER(POINTER(Local)),
                                 POINTER(c_uint32), POINTER(Error)]),
    "pyb_text_thread": (c_int, [POINTER(Thread), POINTER(TextOptions), WRITE_FN, c_void_p]),
    "pyb_text_frame": (c_int, [POINTER(Frame), c_uint32, POINTER(TextOptions), WRITE_FN, c_void_p]),
    "pyb_json": (c_int, [POINTER(Process), WRITE_FN, c_void_p]),
    "pyb_record": (c_int, [c_void_p, POINTER(NativeStack), c_size_t, c_char_p, POINTER(Error)]),
}

NAME = "libpybraid-gdb.so"


def candidates():
    """Where the library may be: beside an installed package, or in the tree that was built."""
    here = os.path.dirname(os.path.realpath(__file__))
    if os.environ.get("PYBRAID_GDB_LIBRARY"):
        return [os.environ["PYBRAID_GDB_LIBRARY"]]
    return [os.path.join(here, NAME), os.path.join(os.path.dirname(here), "build", "lib", NAME),
            os.path.join(os.path.dirname(here), NAME)]


_library = None


def get():
    """The loaded library; OSError names every place looked at."""
    global _library
    if _library is None:
        found = [p for p in candidates() if os.path.exists(p)]
        if not found:
            raise OSError("%s is not built: run `make` in the pybraid tree (looked at %s)"
                          % (NAME, ", ".join(candidates())))
        library = ctypes.CDLL(found[0])
        for name, (result, arguments) in _PROTOTYPES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
        _library = library
    return _library


def text(value):
    """A C string of the library as str; None stays None."""
    return None if value is None else value.decode("utf-8", "backslashreplace")


def escape(value):
    """Names come from the target: what would drive a terminal is shown escaped."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in value)
