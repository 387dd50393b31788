# SPDX-License-Identifier: Apache-2.0
"""GDB on a terminal: what only a user at the keyboard meets (the pager, Ctrl-C, colours, prompts)."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from .debugger import PLUGIN, Gdb
from .process import TargetError, before_exec

PROMPT = "(gdb) "
# With `set style enabled off`, readline still switches bracketed paste on and off around its prompt.
PASTE = re.compile(r"\x1b\[\?2004[hl]\r?")


class Terminal:
    """An interactive GDB; use as a context manager. `ask(command)` returns what it printed up to the next prompt."""

    def __init__(self, *arguments, gdb=None, height=0, width=0, style=False, folders=(), plugin=True):
        setup = ["set debuginfod enabled off", "set auto-load python-scripts off", "set confirm off",
                 "set height %d" % height, "set width %d" % width, "set style enabled %s" % ("on" if style else "off")]
        argv = [*(gdb or Gdb("host", "")).launch(*map(str, folders)), "-nx", "-q"]
        for command in [*setup, *(["source " + PLUGIN] if plugin else [])]:
            argv += ["-iex", command]
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "DEBUGINFOD", "NO_COLOR"))}
        environment.update(TERM="xterm-256color", LC_ALL="C.UTF-8")

        prepare = before_exec()

        def own_terminal():
            prepare()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.process = subprocess.Popen([*argv, *map(str, arguments)], stdin=slave, stdout=slave, stderr=slave,
                                        env=environment, start_new_session=True, preexec_fn=own_terminal)
        os.close(slave)
        self._seen = ""

    def __enter__(self):
        try:
            self.read_until(PROMPT)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        self.process.kill()
        self.process.wait(timeout=30)
        os.close(self.master)

    def read_until(self, *marks, timeout=60):
        """The text before the first of the marks that comes; what follows it stays for the next call."""
        deadline = time.monotonic() + timeout
        while True:
            hits = [(self._seen.find(mark), mark) for mark in marks if mark in self._seen]
            if hits:
                at, mark = min(hits)
                text, self._seen = self._seen[:at], self._seen[at + len(mark):]
                return text
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                raise TargetError("no %r from gdb within %g s: %s" % (marks, timeout, self._seen[-2000:]))
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                piece = b""  # EIO: the other side has gone
            if not piece:
                raise TargetError("gdb ended: %s" % self._seen[-2000:])
            self._seen = PASTE.sub("", self._seen + piece.decode("utf-8", "replace").replace("\r\n", "\n"))

    def send(self, text):
        os.write(self.master, text.encode())

    def ask(self, command, timeout=60):
        self.send(command + "\n")
        text = self.read_until(PROMPT, timeout=timeout)
        return text.split("\n", 1)[1] if "\n" in text else text

    def interrupt(self):
        """Ctrl-C, as the terminal driver sends it."""
        os.kill(self.process.pid, signal.SIGINT)
