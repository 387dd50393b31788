# SPDX-License-Identifier: Apache-2.0
"""Runs inside GDB: stops a target at random moments, looks, and has the target tell the truth.

Sourced by support.truth.random_stops. A stop is made by a signal that GDB keeps for itself; while the thread
stands, the faulthandler signal is queued for it, so its handler runs at that very instruction as soon as the
target goes on.
"""
import json
import os
import random
import signal
import time

import gdb

STOP_SIGNAL = signal.SIGUSR2


def native_stack():
    """[[pc, sp, name], ...] innermost first, and whether a signal handler is on it."""
    frames, in_handler = [], False
    frame = gdb.newest_frame()
    while frame is not None:
        if frame.type() == gdb.SIGTRAMP_FRAME:
            in_handler = True
        frames.append([frame.pc(), int(frame.read_register("sp")), frame.name()])
        frame = frame.older()
    if in_handler and int(gdb.parse_and_eval("$_siginfo.si_signo")) in (signal.SIGSEGV, signal.SIGBUS):
        # The only handler that reads Python's structures.
        raise gdb.GdbError("faulthandler crashed at " + str(frames[0][2]))
    return frames, in_handler


def one_stop(request, tid, pause, awaited):
    """Lets the target run until the other process sends STOP_SIGNAL: when the report has more than `awaited`
    bytes (-1: at once), and `pause` seconds later."""
    # GDB holds Python's lock while the target runs: no thread in here could send a signal.
    request.write("%d %d %f %d\n" % (tid, STOP_SIGNAL, pause, awaited))
    gdb.execute("continue", to_string=True)


def wait_pending(tid, number):
    """Until the signal is queued for the thread."""
    deadline = time.monotonic() + 10
    while True:
        with open("/proc/%d/status" % tid) as stream:
            pending = next(line for line in stream if line.startswith("SigPnd:"))
        if int(pending.split()[1], 16) & (1 << (number - 1)):
            return
        if time.monotonic() > deadline:
            raise gdb.GdbError("signal %d does not become pending for %d" % (number, tid))
        time.sleep(0.0005)


def run(tids, count, seed, commands, report, number, output, fifo):
    rng = random.Random(seed)
    for name in ("SIGUSR2", "SIGSTOP"):
        gdb.execute("handle %s stop print nopass" % name, to_string=True)
    gdb.execute("handle SIGUSR1 nostop noprint pass", to_string=True)
    size = os.path.getsize(report) if report else 0
    made, in_handlers, awaited = 0, 0, -1
    with open(fifo, "w", buffering=1) as request, open(output, "w") as stream:
        while made < count:
            tid = rng.choice(tids)
            one_stop(request, tid, rng.uniform(0, 0.004), awaited)
            awaited = -1
            stack, in_handler = native_stack()
            if in_handler:
                in_handlers += 1
                if in_handlers > 100 + 10 * count:
                    raise gdb.GdbError("always inside a signal handler: the target cannot keep up")
                continue
            # What was reported since the last stop belongs to the last stop.
            now = os.path.getsize(report) if report else 0
            stream.write(json.dumps({"report": [size, now]}) + "\n")
            size = now
            said = [gdb.execute(command, to_string=True) for command in commands]
            stream.write(json.dumps({"tid": gdb.selected_thread().ptid[1], "native": stack, "said": said,
                                     "at": time.time()}) + "\n")
            if number:
                request.write("%d %d 0 -1\n" % (gdb.selected_thread().ptid[1], number))
                wait_pending(gdb.selected_thread().ptid[1], number)
                awaited = size
            made += 1
        # One more stop, so that the last report is complete.
        for _ in range(50):
            one_stop(request, tids[0], 0.02, awaited)
            awaited = -1
            if not native_stack()[1]:
                break
        now = os.path.getsize(report) if report else 0
        stream.write(json.dumps({"report": [size, now]}) + "\n")
