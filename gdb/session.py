# SPDX-License-Identifier: Apache-2.0
"""One library session for each inferior: GDB's memory, dropped when the inferior runs, forgotten when it changes.

The callbacks below are called by C: an exception there would be lost and leave garbage, so each one catches
everything, keeps the exception, and the public methods raise it after the call.
"""

import ctypes
import os
import re
import sys

import gdb

from . import library
from .library import text

_E_MACHINE = {"i386:x86-64": 62, "i386": 3, "aarch64": 183}


class PybraidError(gdb.GdbError):
    """What the library or this glue says to the user, without a Python traceback."""

    def __init__(self, message, code=0):
        super().__init__(message)
        self.code = code


def _first(pattern, command):
    """The first group of pattern in GDB's own answer, or None."""
    try:
        found = re.search(pattern, gdb.execute(command, to_string=True))
    except gdb.error:
        return None  # no such information for this target
    return found.group(1) if found else None


def _connection(inferior):
    connection = getattr(inferior, "connection", None)
    if connection is not None:
        return connection.type
    return "core" if _first(r"Local core dump file:\s+`(.*)'", "info files") else "native"


class Session:
    def __init__(self, inferior):
        self._handle = ctypes.c_void_p()
        self.inferior = inferior
        self._lib = library.get()
        self._exception = None
        self._stale = False
        self._keep = (library.READ_FN(self._read), library.SYMBOL_FN(self._symbol), library.ABORT_FN(self._abort))
        error = library.Error()
        options = library.Options()
        options.abort = self._keep[2]
        options.debug_folders = (gdb.parameter("debug-file-directory") or "").encode("utf-8", "surrogateescape")
        if self._lib.pyb_session_new(options, ctypes.byref(self._handle), error) != 0:
            raise PybraidError(error.text(), error.code)
        self._call("pyb_open_target", self._describe())

    def __del__(self):
        # Results keep a reference to their session: it goes last, whatever was forgotten meanwhile.
        if self._handle:
            self._lib.pyb_session_free(self._handle)

    def _describe(self):
        desc = library.TargetDesc()
        kind = _connection(self.inferior)
        architecture = self.inferior.architecture().name()
        desc.read, desc.symbol = self._keep[0], self._keep[1]
        desc.pid = self.inferior.pid
        desc.is_core = kind == "core"
        desc.is_local = kind == "native"
        desc.ptr_size = gdb.lookup_type("void").pointer().sizeof
        desc.big_endian = "big" in gdb.execute("show endian", to_string=True)
        desc.machine = _E_MACHINE.get(architecture.split(":ilp32")[0], 0)
        executable = self.inferior.progspace.filename
        desc.executable = executable.encode() if executable else None
        if desc.is_core:
            path = getattr(self.inferior, "corefile", None)
            path = path.filename if path is not None else _first(r"Local core dump file:\s+`(.*)'", "info files")
            desc.core_path = path.encode() if path else None
        self._hint(desc, executable)
        if not desc.is_local:
            desc.at_phdr = int(_first(r"AT_PHDR.*?(0x[0-9a-f]+)\s*\n", "info auxv") or "0", 16)
            desc.at_phnum = int(_first(r"AT_PHNUM.*?(\d+)\s*\n", "info auxv") or "0")
        return desc

    def _hint(self, desc, executable):
        """What GDB itself lacks to unwind this target: without it native frames are missing or wrong, in plain `bt` too."""
        hint = None
        if desc.is_core and not executable:
            hint = "GDB has no executable for this core: `file PROGRAM` gives it the native frames."
        elif desc.is_local and not gdb.parameter("sysroot"):
            try:
                root = os.readlink("/proc/%d/root" % desc.pid)
            except OSError:
                root = "/"  # not ours to look at: then GDB cannot follow it either
            if root != "/":
                hint = "The process lives in %s: `set sysroot %s`, then `file %s/PROGRAM`, give GDB its native frames." % (
                    root, root, root)
        if hint:
            gdb.write("pybraid: %s\n" % hint, gdb.STDERR)

    # Callbacks

    def _read(self, _ctx, address, buffer, length):
        try:
            data = self.inferior.read_memory(address, length)
        except gdb.error:  # MemoryError; GDB 18 calls pages that a core left out "unavailable", which is another one
            return self._read_part(address, buffer, length)
        except BaseException as exception:
            self._exception = exception
            return 0
        ctypes.memmove(buffer, bytes(data), length)
        return length

    def _read_part(self, address, buffer, length):
        """GDB reads all or nothing: what precedes the end of the readable part is found page by page."""
        done = 0
        try:
            while done < length:
                step = min(length - done, 4096 - (address + done) % 4096)
                data = self.inferior.read_memory(address + done, step)
                ctypes.memmove(buffer + done, bytes(data), step)
                done += step
        except gdb.error:
            pass  # the first page that is not there: a short read, which the library reports
        except BaseException as exception:
            self._exception = exception
        return done

    def _symbol(self, _ctx, name):
        try:
            return int(gdb.parse_and_eval("(unsigned long) &'%s'" % name.decode("ascii"))) & 0xFFFFFFFFFFFFFFFF
        except gdb.error:
            return 0  # GDB knows no such symbol
        except BaseException as exception:
            self._exception = exception
            return 0

    def _abort(self, _ctx):
        return self._exception is not None

    def _unraisable(self, unraisable):
        """Ctrl-C while C was running is raised where a callback begins, before its `try`: it must not be lost there."""
        if unraisable.exc_type is KeyboardInterrupt:
            self._exception = KeyboardInterrupt()
        else:
            sys.__unraisablehook__(unraisable)

    # Calls

    def _call(self, name, *arguments, allow=()):
        error = library.Error()
        self._exception = None
        former, sys.unraisablehook = sys.unraisablehook, self._unraisable
        try:
            code = getattr(self._lib, name)(self._handle, *arguments, error)
        finally:
            sys.unraisablehook = former
        exception, self._exception = self._exception, None
        if exception is not None:
            raise exception
        if code != 0 and code not in allow:
            raise PybraidError(error.text(), code)
        return code

    def invalidate(self):
        """The inferior ran, or its memory was changed by the user."""
        self._stale = True

    def _fresh(self):
        if self._stale:
            self._lib.pyb_session_invalidate(self._handle)
            self._stale = False

    def read(self, stacks, only_given, flags=0):
        """A Process (keep the returned object: its strings live as long as it)."""
        self._fresh()
        array = (library.NativeStack * max(len(stacks), 1))()
        for slot, stack in zip(array, stacks):
            stack.fill(slot)
        options = library.ReadOptions()
        options.flags = flags
        result = ctypes.POINTER(library.Process)()
        self._call("pyb_read", array, len(stacks), only_given, options, ctypes.byref(result))
        return Result(self, result)

    def info(self):
        self._fresh()
        info = library.Info()
        self._call("pyb_session_info", info)
        return info

    def locals(self, frame, flags=0):
        """Locals of one Python frame: a list of (name, arg, type, repr, note)."""
        options = library.ReadOptions()
        options.flags = flags
        array, count = ctypes.POINTER(library.Local)(), ctypes.c_uint32()
        self._call("pyb_frame_locals", frame, options, ctypes.byref(array), ctypes.byref(count))
        return [(text(row.name), row.arg, text(row.type), text(row.repr), text(row.note))
                for row in array[:count.value]]

    def lookup(self, frame, name):
        """(address, scope) of a name as that frame sees it, or None."""
        address, scope = library.ADDR(), ctypes.c_char_p()
        code = self._call("pyb_lookup_name", frame, name.encode(), ctypes.byref(address), ctypes.byref(scope),
                          allow=(library.E_NOTFOUND,))
        return None if code != 0 else (address.value, text(scope.value))

    def repr(self, address, flags=0):
        result = ctypes.c_char_p()
        options = library.ReadOptions()
        options.flags = flags
        options.repr_length, options.repr_items = 4096, 200
        self._call("pyb_repr", address, options, ctypes.byref(result))
        return text(result.value)


class Result:
    """A struct pyb_process, freed with this object."""

    def __init__(self, session, pointer):
        self.session = session
        self._lib = session._lib
        self._pointer = pointer
        self.process = pointer.contents
        self.threads = self.process.threads[:self.process.n_threads]

    def __del__(self):
        self._lib.pyb_process_free(self._pointer)

    def json(self):
        return collect(lambda write: self._lib.pyb_json(self._pointer, write, None))

    def text(self, thread, flags, limit):
        options = library.TextOptions()
        options.flags, options.limit, options.current = flags, limit, -1
        return collect(lambda write: self._lib.pyb_text_thread(ctypes.byref(thread), options, write, None))

    def frame_text(self, frame, index, flags):
        options = library.TextOptions()
        options.flags, options.current = flags, -1
        return collect(lambda write: self._lib.pyb_text_frame(ctypes.byref(frame), index, options, write, None))


def collect(call):
    """Runs call(write) and returns what it wrote."""
    parts = []

    def write(_ctx, data, length):
        parts.append(ctypes.string_at(data, length))
        return 0

    code = call(library.WRITE_FN(write))
    if code != 0:
        raise PybraidError("pybraid could not write its output (code %d)" % code, code)
    return b"".join(parts).decode("utf-8", "backslashreplace")


_sessions = {}


def current():
    """The session of the selected inferior; made on first use."""
    inferior = gdb.selected_inferior()
    if inferior.pid == 0 or not inferior.threads():
        raise PybraidError("No process and no core file: `attach PID`, `core-file FILE` or `run` first.")
    found = _sessions.get(inferior.num)
    if found is None or not found.inferior.is_valid() or found.pid != inferior.pid:
        try:
            found = Session(inferior)
        except OSError as error:
            raise PybraidError(str(error)) from None
        found.pid = inferior.pid
        _sessions[inferior.num] = found
    return found


def invalidate(_event=None):
    for session in _sessions.values():
        session.invalidate()


def forget(_event=None):
    """The files or the process changed: the next command looks anew."""
    _sessions.clear()
