# SPDX-License-Identifier: Apache-2.0
"""Native frames of one thread, as GDB's unwinder sees them, in the library's form.

Costs a few microseconds a frame; GDB caches what it unwound, so a second call in the same stop is cheap.
"""

import gdb

from . import library

_STACK_POINTER = {"i386:x86-64": "rsp", "i386:x64-32": "rsp", "i386": "esp", "aarch64": "sp", "arm": "sp"}
_THREAD_POINTER = {"i386:x86-64": "fs_base", "aarch64": "tpidr"}


def _architecture(frame):
    name = frame.architecture().name()
    return name.split(":ilp32")[0]


def thread_pointer(frame):
    """pthread_self() of the frame's thread, 0 where GDB does not know the register."""
    register = _THREAD_POINTER.get(_architecture(frame))
    if register is None:
        return 0
    try:
        return int(frame.read_register(register)) & 0xFFFFFFFFFFFFFFFF
    except (ValueError, gdb.error):
        return 0  # an old core or stub without that register: threads are then matched by their ids


def _bytes(value):
    return None if value is None else value.encode("utf-8", "backslashreplace")


def _thread_name(thread):
    """The kernel cuts names at 15 bytes, in the middle of a character if need be: GDB raises then, with the bytes."""
    try:
        return _bytes(thread.name)
    except UnicodeDecodeError as error:
        return error.object


class NativeStack:
    """Frames and the C structs that describe them; keeps everything alive that they point to."""

    def __init__(self, thread, limit=None, places=False):
        self.thread = thread
        self.limit = limit   # `backtrace limit` when this was walked
        self.places = places # with files and lines
        self.frames = []     # gdb.Frame, as numbered
        self.truncated = None
        self.pointer = 0
        self._walk()

    def _walk(self):
        frame = gdb.newest_frame()
        rows = []
        register = _STACK_POINTER.get(_architecture(frame), "sp")
        self.pointer = thread_pointer(frame)
        try:
            while frame is not None:
                kind = frame.type()
                flags = (library.NATIVE_INLINED if kind == gdb.INLINE_FRAME else 0) | \
                        (library.NATIVE_SIGNAL if kind == gdb.SIGTRAMP_FRAME else 0)
                rows.append((frame.pc(), int(frame.read_register(register)) & 0xFFFFFFFFFFFFFFFF, flags, frame.name(),
                             self._place(frame)))
                self.frames.append(frame)
                older = frame.older()
                if older is None:
                    self.truncated = self._why(frame, len(rows))
                frame = older
        except (gdb.MemoryError, gdb.error) as error:
            # What was unwound so far is true; where it ends is said.
            self.truncated = str(error)
        self.rows = rows

    def _why(self, frame, depth):
        """None when GDB reached the outermost frame, else why it stopped."""
        reason = frame.unwind_stop_reason()
        if reason not in (gdb.FRAME_UNWIND_NO_REASON, gdb.FRAME_UNWIND_OUTERMOST):
            return gdb.frame_stop_reason_string(reason)
        if self.limit is not None and depth >= int(self.limit) > 0:
            return "`set backtrace limit %d` of this GDB" % self.limit
        return None

    def _place(self, frame):
        """(file, line) of a frame by its line table, else (None, 0); asked only where somebody will see it."""
        sal = frame.find_sal() if self.places else None
        return (_bytes(sal.symtab.filename), sal.line) if sal is not None and sal.symtab is not None else (None, 0)

    def fill(self, stack):
        """Fills a library.NativeStack; this object must outlive it."""
        array = (library.NativeFrame * len(self.rows))()
        size = library.ctypes.sizeof(library.NativeFrame)
        for number, (row, (pc, sp, flags, name, place)) in enumerate(zip(array, self.rows)):
            row.size, row.pc, row.sp, row.flags, row.number = size, pc, sp, flags, number
            row.name = _bytes(name)
            row.file, row.line = place
        self._array = array
        stack.size = library.ctypes.sizeof(library.NativeStack)
        stack.tid = self.thread.ptid[1] or self.thread.ptid[2] or self.thread.ptid[0]
        stack.thread_pointer = self.pointer
        stack.os_name = _thread_name(self.thread)
        stack.active = -1
        stack.frames, stack.n_frames = array, len(self.rows)
        stack.truncated = _bytes(self.truncated)
