# SPDX-License-Identifier: Apache-2.0
"""Runs inside GDB: at each of many stops GDB's frames of every thread beside those of our own unwinder, from the same registers.

Sourced by test_unwind.py. GDB holds the process; build/tools/unwind --serve reads its memory and gets the registers from here.
"""
import json
import random
import signal
import struct
import subprocess

import gdb

STOP_SIGNAL = signal.SIGUSR2
# struct user_regs_struct of x86_64
KERNEL_ORDER = ("r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs eflags rsp ss fs_base gs_base ds es fs gs").split()


def kernel_registers():
    frame = gdb.newest_frame()
    return b"".join(struct.pack("<Q", int(frame.read_register(name)) & 0xffffffffffffffff) for name in KERNEL_ORDER).hex()


def gdb_frames():
    """[[pc, sp, is signal trampoline, name]] innermost first, real frames only: inlined ones and those that GDB infers from tail calls have no
    place on the stack. And why GDB stops."""
    frames, frame, last = [], gdb.newest_frame(), None
    while frame is not None:
        if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):
            frames.append([frame.pc(), int(frame.read_register("sp")), frame.type() == gdb.SIGTRAMP_FRAME, frame.name()])
        last, frame = frame, frame.older()
    return frames, gdb.frame_stop_reason_string(last.unwind_stop_reason())


def ask(tool, line):
    tool.stdin.write(line + "\n")
    tool.stdin.flush()
    frames = []
    for said in tool.stdout:
        word, _, rest = said.rstrip("\n").partition(" ")
        if word in ("end", "truncated"):
            return frames, rest
        if word.startswith("0x"):
            sp, _, flags = rest.partition(" ")
            frames.append([int(word, 16), int(sp, 16), flags.split()])
    raise gdb.GdbError("the unwinder ended: %s" % tool.poll())


def compare(tool, stream, asleep):
    """All threads of the stopped process."""
    tool.stdin.write("moved\n")
    for thread in gdb.selected_inferior().threads():
        thread.switch()
        registers = kernel_registers()
        theirs, reason = gdb_frames()
        mine, note = ask(tool, "regs %d %s" % (thread.ptid[1], registers))
        entry = {"tid": thread.ptid[1], "gdb": theirs, "reason": reason, "mine": mine, "note": note}
        if asleep:
            entry["asleep"], entry["asleep_note"] = ask(tool, "asleep %d %s" % (thread.ptid[1], registers))
        stream.write(json.dumps(entry) + "\n")


def run(program, pid, count, seed, output, fifo, asleep=False):
    rng = random.Random(seed)
    for command in ("handle SIGUSR2 stop print nopass", "handle SIGUSR1 nostop noprint pass", "set backtrace past-main on",
                    "set backtrace past-entry on"):
        gdb.execute(command, to_string=True)
    with subprocess.Popen([program, "--serve", str(pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          universal_newlines=True) as tool, open(output, "w") as stream:
        if count == 0:
            compare(tool, stream, asleep)
            return
        with open(fifo, "w", buffering=1) as request:
            for _ in range(count):
                request.write("%d %d %f -1\n" % (pid, STOP_SIGNAL, rng.uniform(0, 0.004)))
                gdb.execute("continue", to_string=True)
                compare(tool, stream, asleep)
