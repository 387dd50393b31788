# SPDX-License-Identifier: Apache-2.0
"""What all targets share: how a program under observation tells the truth about itself.

One source for CPython 2.7 and 3.6 to 3.15. A target records its own stack by walking sys._getframe()
and then blocks at the very same call instruction:

    for step in (account.record, os.read):
        step(fd, 1)

so name, line, f_lasti and columns of every frame are those of the moment in which it is observed.
"""
from __future__ import print_function

import json
import os
import sys
import threading

try:
    text_type = unicode  # noqa: F821  (2.7)
except NameError:
    text_type = str


# Codecs are imported when first used, and 2.7 has one import lock: it may be held by a thread that blocks.
json.dumps(b"".decode("utf-8") + u"".encode("ascii").decode("ascii"))


def as_text(value):
    """A name as text; 2.7 has bytes there."""
    if value is None or isinstance(value, text_type):
        return value
    return value.decode("utf-8", "replace")


def native_id():
    """The OS thread id, from whatever this version has."""
    if hasattr(threading, "get_native_id"):
        return threading.get_native_id()
    return int(os.readlink("/proc/thread-self").split("/")[-1])


def frame_position(frame, cache):
    """(line, end_line, column, end_column) of the instruction at f_lasti; columns from 3.11."""
    code = frame.f_code
    if not hasattr(code, "co_positions"):
        return frame.f_lineno, None, None, None
    if code not in cache:
        cache[code] = list(code.co_positions())
    if frame.f_lasti < 0:
        return frame.f_lineno, None, None, None
    line, end_line, column, end_column = cache[code][frame.f_lasti // 2]
    if line != frame.f_lineno:
        raise AssertionError("co_positions() says line %r, f_lineno %r in %s"
                             % (line, frame.f_lineno, code.co_name))
    return line, end_line, column, end_column


def walk(frame, vias=None):
    """The stack from `frame` outwards, innermost first, as plain data."""
    cache = {}
    frames = []
    while frame is not None:
        code = frame.f_code
        line, end_line, column, end_column = frame_position(frame, cache)
        entry = {
            "name": as_text(code.co_name),
            "qualname": as_text(getattr(code, "co_qualname", None)),
            "file": as_text(code.co_filename),
            "line": line,
            "end_line": end_line,
            "column": column,
            "end_column": end_column,
            "lasti": frame.f_lasti,
        }
        if vias is not None:
            entry["via"] = vias.get(code.co_name)
        frames.append(entry)
        frame = frame.f_back
    return frames


class Account(object):
    """The target's account of itself: facts about the process, and one stack for each thread.

    `threads` is the number of stacks to wait for: the one that records last writes the file and prints
    READY. `record` takes any arguments: it stands in for the blocking call.
    """

    def __init__(self, path, threads=1, vias=None):
        self.path = path
        self.expected = threads
        self.vias = vias
        self.stacks = []
        self.facts = {}
        self.lock = threading.Lock()
        self.blocking = {}

    def will_block_in(self, syscall):
        """Says in which system call the calling thread is about to block; the observer waits for that."""
        self.blocking[native_id()] = syscall

    def record(self, *ignored):
        thread = threading.current_thread()
        tid = native_id()
        stack = {
            "tid": tid,
            "ident": thread.ident,
            "name": as_text(thread.name),
            "main": tid == os.getpid(),
            "syscall": self.blocking.get(tid),
            "frames": walk(sys._getframe(1), self.vias),
        }
        with self.lock:
            self.stacks.append(stack)
            last = len(self.stacks) == self.expected
        if last:
            self.publish()
        return b""

    def publish(self, **facts):
        """Writes the account and says READY. Called by the last `record`, or by a target with no stacks."""
        self.facts.update(facts)
        document = {
            "pid": os.getpid(),
            "version": list(sys.version_info[:3]),
            "executable": as_text(sys.executable),
            "argv": [as_text(arg) for arg in sys.argv],
            "facts": self.facts,
            "threads": self.stacks,
        }
        with open(self.path + ".part", "w") as stream:
            json.dump(document, stream)
        os.rename(self.path + ".part", self.path)
        ready()


def ready():
    # One write(2): buffered streams of several threads and versions would mix.
    os.write(1, ("READY %d\n" % os.getpid()).encode("ascii"))


def big_stacks(megabytes):
    """Room for deep recursion in threads made from now on (it is only reserved, not used)."""
    threading.stack_size(megabytes * 1024 * 1024)


def parse(defaults, argv=None):
    """`--name value` options over defaults, the first plain argument is the account file."""
    options = dict(defaults)
    rest = list(sys.argv[1:] if argv is None else argv)
    account = None
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            name = word[2:].replace("-", "_")
            if name not in options:
                raise SystemExit("unknown option %s" % word)
            value = rest.pop(0)
            options[name] = int(value) if isinstance(defaults[name], int) else value
        elif account is None:
            account = word
        else:
            raise SystemExit("unexpected argument %r" % word)
    if account is None:
        raise SystemExit("usage: %s ACCOUNT.json [--option value]" % sys.argv[0])
    return account, options
