# SPDX-License-Identifier: Apache-2.0
"""Stops at any instruction, with the target's own word for what it was doing there."""
import json
import os
import re
import threading
import time
from dataclasses import dataclass

from . import debugger
from .process import TargetError, tgkill

HERE = os.path.dirname(os.path.abspath(__file__))
FRAME = re.compile(r'  File (?:"(?P<file>.*)"|\?\?\?), line (?P<line>\d+|\?\?\?) in (?P<name>.*)')
HEADERS = ("Stack (most", "Current thread", "Thread 0x", "  <no Python frame>")

FAULTHANDLER_CRASHED = re.compile(r"received signal SIG(SEGV|BUS).*\n(.*\n)?.*(dump_frame|dump_traceback|_Py_DumpTraceback|faulthandler|"
                                  r"_Py_DumpASCII|PUTS)|faulthandler crashed at ")


@dataclass
class Stop:
    """One stop: what the commands printed, GDB's native stack, and the truth.

    `frames` are (file, line, name) innermost first as faulthandler wrote them; None where it wrote nothing
    (2.7 has no faulthandler). `cut`: faulthandler ended at its limit of 100 frames. A frame that it could
    not read itself is (None, None, "<invalid frame>") and the last one.
    """

    tid: int
    native: list
    said: list
    frames: list = None
    cut: bool = False
    raw: str = ""


def parse_faulthandler(text):
    """(frames, cut) of one stack written by faulthandler. Its escapes (\\xff, \\uffff) stay as they are."""
    frames, cut = [], False
    for line in text.splitlines():
        match = FRAME.fullmatch(line)
        if match:
            number = match.group("line")
            number = int(number) if number != "???" else None
            frames.append((match.group("file"), number, match.group("name")))
        elif line == "  ...":
            cut = True
        elif line == "  <invalid frame>":
            # 3.15: faulthandler met a frame in the middle of being made, and gave up there.
            frames.append((None, None, "<invalid frame>"))
        elif line.strip() and not line.startswith(HEADERS):
            raise TargetError("faulthandler wrote %r" % line)
    return frames, cut


def serve_signals(pid, fifo, report):
    """Sends the signals that stops_gdb.py asks for, until it closes the FIFO.

    A line is "tid signal pause awaited": wait until the report has more than `awaited` bytes, then `pause`.
    """
    with open(fifo, encoding="ascii") as requests:
        for line in requests:
            tid, number, pause, awaited = line.split()
            deadline = time.monotonic() + 10
            awaited = int(awaited)
            while awaited >= 0 and os.path.getsize(report) <= awaited and time.monotonic() < deadline:
                time.sleep(0.0005)
            time.sleep(float(pause))
            try:
                tgkill(pid, int(tid), int(number))
            except ProcessLookupError:
                return


def random_stops(target, count, commands, seed=1, gdb=None, plugin=True, tids=None, timeout=300, symbols=True,
                 first=()):
    """`count` Stops of a running spin.py target, at each of which GDB ran `commands`.

    Fewer when the target's own faulthandler crashed (3.11 to 3.13 follow a frame in the middle of being linked): the
    stop it crashed at is left out, since the target's word for it is missing, and the target is gone.
    """
    facts = target.account["facts"]
    report, output = facts["file"], os.path.join(target.folder, "stops.jsonl")
    fifo = os.path.join(target.folder, "signals")
    if os.path.exists(fifo):
        os.unlink(fifo)
    os.mkfifo(fifo)
    threading.Thread(target=serve_signals, args=(target.pid, fifo, report), daemon=True).start()
    call = "stops_run(%r, %d, %d, %r, %r, %r, %r, %r)" % (
        list(tids or [target.pid]), count, seed, list(commands), report, facts["signal"], output, fifo)
    done = debugger.gdb_batch(["source " + os.path.join(HERE, "stops_gdb.py"), "python stops_run = run",
                               "python " + call], pid=target.pid, gdb=gdb, plugin=plugin, timeout=timeout,
                              folders=[target.folder], symbols=symbols, first=first, check=False)
    stops = read_stops(output, report)
    if done.code != 0 and FAULTHANDLER_CRASHED.search(done.out + done.err):
        return stops[:-1]
    if done.code != 0 or len(stops) != count:
        raise TargetError("%d of %d stops\n%s\n%s" % (len(stops), count, done.out[-2000:], done.err[-2000:]))
    return stops


def read_stops(output, report):
    """The stops of a file of stops_gdb.py, each joined with what faulthandler reported for it."""
    reported = b""
    if report:
        with open(report, "rb") as stream:
            reported = stream.read()
    stops = []
    with open(output, encoding="utf-8") as stream:
        entries = [json.loads(line) for line in stream]
    for entry in entries:
        if "tid" in entry:
            stops.append(Stop(entry["tid"], entry["native"], entry["said"]))
        elif stops and report:
            begin, end = entry["report"]
            stops[-1].raw = reported[begin:end].decode("ascii")
            stops[-1].frames, stops[-1].cut = parse_faulthandler(stops[-1].raw)
    return stops
