# SPDX-License-Identifier: Apache-2.0
"""
Opt-in (`set pybraid frame-filter on`): Python frames inside plain `bt`.

The innermost Python frame of an evaluation takes the number of its native frame; the other Python frames and the native
frame itself are its elided frames, which `bt` prints indented below it and `bt -hide` leaves out. `up`, `down` and `frame`
never see decorators: they stay GDB's. A failure here must never cost the user the backtrace itself: it is
reported in one line and the frames come through as they were.

Editors (`gdb -i=dap`) show no elided frames unless asked: for them each Python frame is a frame of its own.
"""

import sys

import gdb
from gdb.FrameDecorator import FrameDecorator

from . import library, stack

NAME = "pybraid"


class _Function(str):
    """GDB's DAP reads print_name of a symbol; `str` has none."""

    @property
    def print_name(self):
        return str(self)


class PythonFrame(FrameDecorator):
    """One Python frame, standing at the native frame that evaluates it."""

    def __init__(self, base, frame, elided=()):
        super().__init__(base)
        self._base_decorator = base
        # GDB prints these as they are.
        self._name = library.escape(library.text(frame.name) or "?")
        self._file = library.escape(library.text(frame.file)) if frame.file else None
        self._line = frame.line
        self._elided = list(elided)

    def function(self):
        return "py %s" % self._name

    def filename(self):
        return self._file

    def line(self):
        return self._line if self._line > 0 else None

    def symbol(self):
        return _Function(self._name)

    def address(self):
        return self.inferior_frame().pc()

    def frame_args(self):
        return None

    def frame_locals(self):
        return None

    def elided(self):
        return self._elided


def _by_number():
    """Native frame number -> the Python frames that it evaluates, innermost first."""
    found, waiting = {}, []
    for frame in stack.read().frames:
        if frame.kind == library.FRAME_PYTHON:
            waiting.append(frame)
        elif frame.kind == library.FRAME_NATIVE and waiting:
            found[frame.number] = waiting
            waiting = []
    return found


class Filter:
    def __init__(self):
        self.name = NAME
        self.priority = 90
        self.enabled = True

    def filter(self, frames):
        try:
            python = _by_number()
        except Exception as error:  # whatever it is, the user's own backtrace goes on, and hears of it
            gdb.write("pybraid: no Python frames in this backtrace: %s\n" % error, gdb.STDERR)
            return frames
        return (shown for frame in frames for shown in self._decorate(frame, python))

    @staticmethod
    def _decorate(frame, python):
        mine = python.get(frame.inferior_frame().level())
        if not mine or frame.inferior_frame().type() == gdb.INLINE_FRAME:
            return [frame]
        if "gdb.dap" in sys.modules:  # GDB imports it for that mode only
            return [PythonFrame(frame, other) for other in mine[:-1]] + [PythonFrame(frame, mine[-1], [frame])]
        return [PythonFrame(frame, mine[0], [PythonFrame(frame, other) for other in mine[1:]] + [frame])]


def enable(on):
    if on:
        gdb.frame_filters[NAME] = Filter()
    else:
        gdb.frame_filters.pop(NAME, None)
