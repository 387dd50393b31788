# SPDX-License-Identifier: Apache-2.0
"""The commands. Each is one class; what they print comes from the library, so that every front end prints the same."""

import os

import gdb

from . import library, options, session, stack
from .library import escape

PARAMETERS = None  # set by register()


def styled(color):
    """As GDB's own styles: never into a pipe, which is also where MI and its front ends listen."""
    return library.TEXT_COLOR if color and gdb.parameter("style enabled") and os.isatty(1) else 0


def write(text, output=None):
    """Line by line: GDB's pager stops between lines, and `q` there ends the command as everywhere in GDB."""
    if output is None:
        for line in text.splitlines(True):
            gdb.write(line)
        return
    try:
        with open(output, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise session.PybraidError("Cannot write %s: %s" % (output, error.strerror)) from None


class Command(gdb.Command):
    """A command with our options. Subclasses: NAME, OPTIONS, WORDS, run(parsed)."""

    OPTIONS = ()
    WORDS = ()

    def __init__(self, name):
        super().__init__(name, gdb.COMMAND_STACK)

    def invoke(self, argument, _from_tty):
        self.dont_repeat()
        self.run(options.parse(argument, self.OPTIONS))

    def complete(self, text, word):
        return options.complete(text, word, self.OPTIONS, self.WORDS)


def with_help(cls):
    cls.__doc__ = cls.__doc__.rstrip() + ("\n\nOptions:\n" + options.help_lines(cls.OPTIONS) if cls.OPTIONS else "")
    return cls


def text_flags(parsed):
    flags = 0
    for name, bit in (("all", library.TEXT_ALL), ("python", library.TEXT_PYTHON), ("locals", library.TEXT_LOCALS),
                      ("verbose", library.TEXT_VERBOSE), ("traceback", library.TEXT_TRACEBACK)):
        flags |= bit if name in parsed else 0
    if PARAMETERS.plumbing.value:
        flags |= library.TEXT_ALL
    if PARAMETERS.locals.value:
        flags |= library.TEXT_LOCALS
    return flags | styled("output" not in parsed.values)


def read_flags(flags):
    return (library.READ_LOCALS if flags & library.TEXT_LOCALS else 0) | \
           (library.READ_VERBOSE if flags & library.TEXT_VERBOSE else 0)


@with_help
class Backtrace(Command):
    """Print the stack with Python and native frames braided into one.

Usage: py-bt-native [OPTION]... [all] [COUNT]

Innermost frame first. Native frames keep GDB's numbers; the interpreter's own
frames (evaluation loop, call protocol) are hidden and counted.
With "all", every thread of the process; COUNT prints that many frames at most.
`thread apply all py-bt-native` works too.

Example: py-bt-native -l 20
"""

    OPTIONS = (options.ALL, options.PYTHON, options.LOCALS, options.VERBOSE, options.JSON, options.TRACEBACK,
               options.LIMIT, options.OUTPUT)
    WORDS = ("all",)

    def run(self, parsed):
        limit, everything = self._words(parsed)
        flags = text_flags(parsed)
        places = "json" in parsed or bool(flags & library.TEXT_VERBOSE)
        if everything:
            result = self._read_all(read_flags(flags), places)
            threads = result.threads
        else:
            found = stack.read(read_flags(flags), places)
            result, threads = found.result, [found.thread] if found.thread else []
            flags |= library.TEXT_NO_HEADER
        output = parsed.values.get("output")
        if "json" in parsed:
            write(result.json(), output)
            return
        parts = [result.text(thread, flags, limit) for thread in threads]
        note = library.text(result.process.note)
        if note:
            parts.append(note + "\n")
        write(("\n" if everything else "").join(parts), output)

    @staticmethod
    def _words(parsed):
        limit = options.count(parsed.values["limit"], "-limit") if "limit" in parsed.values else 0
        everything = False
        for word in parsed.words:
            if word == "all":
                everything = True
            else:
                limit = options.count(word, "COUNT")
        return limit, everything

    @staticmethod
    def _read_all(flags, places=False):
        """Every stopped thread; running ones (non-stop) are named and left out, since they move while being read."""
        chosen, frame = stack.need_thread(), gdb.selected_frame()
        current = session.current()
        stacks, running = [], False
        try:
            for thread in sorted(gdb.selected_inferior().threads(), key=lambda t: t.num):
                if thread.is_running():
                    running = True
                    gdb.write("Thread %d (%d) is running and was not read: `interrupt -a` stops it.\n"
                              % (thread.num, thread.ptid[1]), gdb.STDERR)
                    continue
                thread.switch()
                stacks.append(stack.native_stack(thread, places))
        finally:
            chosen.switch()
            frame.select()
        return current.read(stacks, running, flags)


@with_help
class Threads(Command):
    """List the threads: GDB's number, OS thread, Python's name, GIL, innermost Python frame.

Usage: py-threads [OPTION]...
"""

    OPTIONS = (options.JSON,)

    def run(self, parsed):
        result = Backtrace._read_all(0)
        if "json" in parsed:
            write(result.json())
            return
        numbers = {t.ptid[1]: t for t in gdb.selected_inferior().threads()}
        selected = gdb.selected_thread()
        for thread in result.threads:
            write(self._line(result, thread, numbers.get(thread.tid), selected))

    @staticmethod
    def _line(result, thread, known, selected):
        gil = {1: "holds GIL", 2: "waits for GIL", 3: ""}.get(thread.gil, "")
        innermost = next((f for f in thread.frames[:thread.n_frames] if f.kind == library.FRAME_PYTHON), None)
        where = result.frame_text(innermost, 0, styled(True)).strip() if innermost is not None else \
            ("no Python frame" if thread.has_python else "no Python state")
        return "%s %-4s %-8d %-24s %-13s %s\n" % (
            "*" if known is not None and selected is not None and known.num == selected.num else " ",
            known.num if known is not None else "-", thread.tid,
            escape(library.text(thread.name or thread.os_name) or "?"), gil, where)


def show(found, index):
    frame = found.frames[found.python[index]]
    write(found.result.frame_text(frame, index, styled(True)))
    return frame


class Move(Command):
    """Moves the selection among the Python frames."""

    STEP = 1
    END = ""

    def run(self, parsed):
        steps = options.count(parsed.words[0], "COUNT") if parsed.words else 1
        found = stack.read()
        now = stack.selected_index(found)
        then = min(max(now + self.STEP * steps, 0), len(found.python) - 1)
        if then == now:
            raise session.PybraidError(self.END)
        stack.select(found, then)
        show(found, then)


class Up(Move):
    """Select and print the Python frame that called this one.

Usage: py-up [COUNT]
"""

    END = "Initial Python frame selected; you can't go up."


class Down(Move):
    """Select and print the Python frame called by this one.

Usage: py-down [COUNT]
"""

    STEP = -1
    END = "Innermost Python frame selected; you can't go down."


class Frame(Command):
    """Select and print a Python frame by number; 0 is the innermost.

Usage: py-frame [N]

Without N, print the selected Python frame.
"""

    def run(self, parsed):
        found = stack.read()
        if not parsed.words:
            show(found, stack.selected_index(found))
            return
        word = parsed.words[0]
        if not word.isdigit() or int(word) >= len(found.python):
            raise session.PybraidError("No Python frame %s: this thread has %d, numbered from 0."
                                       % (word, len(found.python)))
        stack.select(found, int(word))
        show(found, int(word))


class List(Command):
    """List the Python source around the selected Python frame.

Usage: py-list [START | START,END]

Ten lines around the line being executed, or those asked for.
"""

    def run(self, parsed):
        found = stack.read()
        frame = found.frames[found.python[stack.selected_index(found)]]
        path = library.text(frame.file)
        start, end = self._range(parsed.words, frame.line)
        for number, line in self._lines(path, start, end):
            write("%s%4d    %s\n" % (">" if number == frame.line else " ", number, escape(line.rstrip("\n"))))

    @staticmethod
    def _range(words, line):
        numbers = [w for word in words for w in word.split(",") if w]
        if any(not n.isdigit() for n in numbers) or len(numbers) > 2:
            raise session.PybraidError("Usage: py-list [START | START,END]")
        if not numbers:
            return max(line - 5, 1), max(line, 1) + 5
        start = int(numbers[0])
        return start, int(numbers[1]) if len(numbers) == 2 else start + 10

    @staticmethod
    def _lines(path, start, end):
        if path is None:
            raise session.PybraidError("The file of this frame could not be read from the target.")
        substituted = path
        for root in ("", "/proc/%d/root" % gdb.selected_inferior().pid):
            substituted = root + path
            try:
                with open(substituted, encoding="utf-8", errors="backslashreplace") as file:
                    return [(n, line) for n, line in enumerate(file, 1) if start <= n <= end]
            except OSError as error:
                reason = error.strerror
        raise session.PybraidError("Cannot open %s: %s" % (escape(path), reason))


@with_help
class Locals(Command):
    """Print the arguments and locals of the selected Python frame.

Usage: py-locals [OPTION]...
"""

    OPTIONS = (options.VERBOSE,)

    def run(self, parsed):
        found = stack.read()
        frame = found.frames[found.python[stack.selected_index(found)]]
        rows = session.current().locals(frame, library.READ_VERBOSE if "verbose" in parsed else 0)
        if not rows:
            write("No locals.\n")
        for name, _arg, kind, value, note in rows:
            write("%s = %s\n" % (escape(name or "?"), escape(value) if value is not None
                                 else "<%s>" % (note or kind or "unreadable")))


@with_help
class Print(Command):
    """Print a local, global or builtin variable as the selected Python frame sees it.

Usage: py-print [OPTION]... NAME[.ATTRIBUTE]...
"""

    OPTIONS = (options.VERBOSE,)

    def run(self, parsed):
        if len(parsed.words) != 1:
            raise session.PybraidError("Usage: py-print NAME")
        name = parsed.words[0]
        found = stack.read()
        frame = found.frames[found.python[stack.selected_index(found)]]
        current = session.current()
        known = current.lookup(frame, name)
        if known is None:
            raise session.PybraidError("'%s' is no local, global or builtin name here." % name)
        address, scope = known
        value = current.repr(address, library.READ_VERBOSE if "verbose" in parsed else 0)
        write("%s '%s' = %s\n" % (scope, escape(name), escape(value)))


class Info(Command):
    """Print what pybraid found in the process, and how.

Usage: py-info
"""

    def run(self, parsed):
        info = session.current().info()
        kind = "".join([", free-threaded" if info.free_threaded else "", ", debug build" if info.debug_build else ""])
        rows = [("Python", library.text(info.version) + kind), ("found by", library.text(info.found_by)),
                ("runtime", "0x%x" % info.runtime), ("in", library.text(info.module)),
                ("layout", library.text(info.layout)), ("note", library.text(info.layout_note)),
                ("memory", "%d reads, %d bytes, %d cache hits" % (info.reads, info.bytes_read, info.cache_hits)),
                ("pybraid", "%s (GDB %s)" % (library.text(library.get().pyb_version()), gdb.VERSION))]
        for label, value in rows:
            if value is not None:
                write("%-9s %s\n" % (label + ":", escape(value)))


COMMANDS = (("py-bt-native", Backtrace), ("py-threads", Threads), ("py-up", Up), ("py-down", Down),
            ("py-frame", Frame), ("py-list", List), ("py-locals", Locals), ("py-print", Print), ("py-info", Info))
