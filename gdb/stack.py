# SPDX-License-Identifier: Apache-2.0
"""The braided stack of the selected thread, and which of its Python frames is selected."""

import gdb

from . import library, native, session


class Stack:
    """One thread's braid at one stop."""

    def __init__(self, thread, native_stack, result):
        self.native = native_stack
        self.result = result
        mine = [t for t in result.threads if t.tid == thread.ptid[1]] or result.threads
        self.thread = mine[0] if mine else None
        self.frames = self.thread.frames[:self.thread.n_frames] if self.thread else []
        self.python = [i for i, f in enumerate(self.frames) if f.kind == library.FRAME_PYTHON]

    def level(self, python_index):
        """Number of the native frame that evaluates this Python frame: the next native one outside it."""
        for frame in self.frames[self.python[python_index]:]:
            if frame.kind == library.FRAME_NATIVE and frame.number >= 0:
                return frame.number
        return None


def need_thread():
    thread = gdb.selected_thread()
    if thread is None:
        raise session.PybraidError("No thread: `attach PID`, `core-file FILE` or `run` first.")
    if thread.is_running():
        raise session.PybraidError("Thread %d is running: `interrupt` it first." % thread.num)
    return thread


# Braids of this stop: (inferior, thread) -> {(flags, places): Stack}. Dropped by forget() when anything ran or was changed.
_braids = {}


def _moving(inferior):
    """In non-stop mode other threads may change what we read: then nothing is kept."""
    return any(thread.is_running() for thread in inferior.threads())


def native_stack(thread, places=False):
    """The native frames of the selected thread `thread`, walked once in a stop; `places`: with files and lines."""
    limit = gdb.parameter("backtrace limit")
    for found in _braids.get(_key(), {}).values():
        if found.native.limit == limit and found.native.places == places and found.native.frames[0].is_valid():
            return found.native
        if found.native.limit != limit or not found.native.frames[0].is_valid():
            _braids.pop(_key())
            break
    return native.NativeStack(thread, limit, places)


def read(flags=0, places=False):
    """The selected thread's braid; `places`: with files and lines of native frames, as far as GDB has line tables."""
    thread = need_thread()
    current = session.current()
    frames = native_stack(thread, places)
    known = _braids.get(_key(), {}).get((flags, places))
    if known is not None:
        return known
    found = Stack(thread, frames, current.read([frames], True, flags))
    if not _moving(gdb.selected_inferior()):
        _braids.setdefault(_key(), {})[flags, places] = found
    return found


# Which Python frame is selected: (inferior, thread) -> (level of GDB's frame then, index into Stack.python)
_selected = {}


def _key():
    return gdb.selected_inferior().num, gdb.selected_thread().num


def forget(_event=None):
    """Something ran, or was changed by the user: braids and selections of the last stop are over."""
    _selected.clear()
    _braids.clear()


def selected_index(stack):
    """
    The selected Python frame: the one chosen by py-up, py-down or py-frame as long as GDB's own selected frame is still
    the one that came with it, else the innermost one at or outside GDB's selected frame.
    """
    if not stack.python:
        raise session.PybraidError("No Python frame in this thread: `py-threads` lists the threads that have some.")
    level = gdb.selected_frame().level()
    known = _selected.get(_key())
    if known is not None and known[0] == level and known[1] < len(stack.python):
        return known[1]
    for index in range(len(stack.python)):
        at = stack.level(index)
        if at is not None and at >= level:
            return index
    return len(stack.python) - 1


def select(stack, index):
    """Selects a Python frame, and in GDB the native frame that evaluates it."""
    level = stack.level(index)
    if level is not None and level < len(stack.native.frames):
        stack.native.frames[level].select()
    _selected[_key()] = (gdb.selected_frame().level(), index)
