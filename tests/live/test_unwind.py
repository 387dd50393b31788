# SPDX-License-Identifier: Apache-2.0
"""
Our own unwinder beside GDB's: every frame's pc and stack pointer, of every thread, live and in cores, at rest and at any instruction.

From the registers that GDB shows, so both see the same moment. A thread that is read asleep is tried too: of the same stop only pc and sp are
given, and what comes out unmarked must be the same frames.
"""
import json
import os
import re
import subprocess
import threading

import pytest

from support import debugger, truth
from support.target import start
from support.tools import built

SCRIPT = os.path.join(os.path.dirname(os.path.abspath(debugger.__file__)), "unwind_gdb.py")
OUTERMOST = ("outermost", "no reason")


def entries(python, target, count, asleep=True):
    """What GDB and ours saw of each thread at each of `count` stops; 0: as it stands."""
    fifo, output = os.path.join(target.folder, "fifo"), os.path.join(target.folder, "unwound.jsonl")
    if count:
        os.mkfifo(fifo)
        threading.Thread(target=truth.serve_signals, args=(target.pid, fifo, None), daemon=True).start()
    call = "run(%r, %d, %d, 1, %r, %r, %r)" % (built("unwind"), target.pid, count, output, fifo, asleep)
    debugger.gdb_batch(["source " + SCRIPT, "python " + call], pid=target.pid, plugin=False, folders=[target.folder],
                       first=debugger.sysroot_of(python), timeout=60 + 2 * count)
    with open(output, encoding="utf-8") as stream:
        return [json.loads(line) for line in stream]


def places(frames):
    return [(pc, sp, "signal" in flags if isinstance(flags, list) else flags) for pc, sp, flags, *_ in frames]


def is_marked(frames):
    return any("approx" in flags for _pc, _sp, flags in frames)


def exact_part(frames):
    """Frames that are not marked, nor lie outside a marked one."""
    for index, (_pc, _sp, flags) in enumerate(frames):
        if "approx" in flags:
            return frames[:index]
    return frames


def judge(python, entry):
    """
    "same" as GDB; "marked": the same, but found by a guess (code compiled at run time and libffi's trampolines have no call frame
    information) and marked; "jit": equal up to code compiled at run time: beyond it GDB guesses its own way (it ends with "corrupt stack", or
    takes data for return addresses), and ours are marked; "wrong".
    """
    ours, theirs = places(entry["mine"]), places(entry["gdb"])
    if ours == theirs and not entry["note"] and entry["reason"] in OUTERMOST:
        return "same" if not is_marked(entry["mine"]) else "marked"
    exact = places(exact_part(entry["mine"]))
    if "jit" in python.traits and len(exact) < len(ours) and theirs[:len(exact)] == exact:
        return "jit"
    return "wrong"


def judge_asleep(entry):
    """"same" frames as with all registers; "marked", "ended" early and said so: then registers are fetched; "wrong": others, unmarked."""
    ours, whole = places(entry["asleep"]), places(entry["mine"])
    exact = places(exact_part(entry["asleep"]))
    if ours == whole and not entry["asleep_note"]:
        return "same"
    if exact != whole[:len(exact)]:
        return "wrong"
    if len(exact) < len(ours):
        return "marked"
    return "ended" if entry["asleep_note"] else "wrong"


def show(entry):
    def lines(frames):
        return ["%#x %#x %s" % (frame[0], frame[1], frame[2:]) for frame in frames]
    return json.dumps({"gdb": lines(entry["gdb"]), "mine": lines(entry["mine"]), "asleep": lines(entry.get("asleep", [])),
                       "notes": [entry["reason"], entry["note"], entry.get("asleep_note")]}, indent=1)


def count_verdicts(python, seen):
    verdicts, asleep = {}, {}
    for entry in seen:
        verdict, dozing = judge(python, entry), judge_asleep(entry)
        assert verdict != "wrong" and dozing != "wrong", show(entry)
        verdicts[verdict] = verdicts.get(verdict, 0) + 1
        asleep[dozing] = asleep.get(dozing, 0) + 1
    return verdicts, asleep


@pytest.mark.wide
@pytest.mark.matrix("unwind")
@pytest.mark.parametrize("program", ["callbacks.py", "threads.py"])
def test_at_rest(python, target_folder, program):
    with start(python, program, folder=target_folder) as target:
        seen = entries(python, target, 0)
        assert len(seen) == len(os.listdir("/proc/%d/task" % target.pid))
        verdicts, _asleep = count_verdicts(python, seen)
        assert "marked" not in verdicts or "jit" in python.traits


@pytest.mark.wide
@pytest.mark.matrix("unwind")
def test_any_instruction(python, target_folder, request, record_property):
    count = 5 * request.config.getoption("--stops")
    with start(python, "spin.py", folder=target_folder) as target:
        seen = entries(python, target, count)
        assert len(seen) == count
        verdicts, asleep = count_verdicts(python, seen)
        debugger.assert_undisturbed(target)
    record_property("said", "unwinder beside GDB at %d random stops, %-16s %s; with pc and sp only %s"
                    % (count, python.id, verdicts, asleep))
    # libffi's trampolines, met now and then
    assert verdicts.get("marked", 0) <= 1 + count // 20 or "jit" in python.traits


def threads_of_tool(arguments):
    """{tid: ([(pc, sp, is signal trampoline)], note)} as the program `unwind` prints them."""
    done = subprocess.run([built("unwind"), *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, timeout=60, check=True)
    threads, tid = {}, None
    for line in done.stdout.splitlines():
        word, _, rest = line.partition(" ")
        if word == "thread":
            tid = int(rest)
            threads[tid] = ([], None)
        elif word.startswith("0x"):
            threads[tid][0].append((int(word, 16), int(rest.split()[0], 16), "signal" in rest))
        elif word == "truncated":
            threads[tid] = (threads[tid][0], rest)
    return threads


def threads_of_gdb(python, core):
    """The same of a core, as GDB's own bt walks it."""
    walk = ("python\n"
            "import gdb\n"
            "for thread in gdb.selected_inferior().threads():\n"
            "    thread.switch()\n"
            "    frame = gdb.newest_frame()\n"
            "    while frame is not None:\n"
            "        if frame.type() not in (gdb.INLINE_FRAME, gdb.TAILCALL_FRAME):\n"
            "            print('frame', thread.ptid[1], frame.pc(), int(frame.read_register('sp')), int(frame.type() == gdb.SIGTRAMP_FRAME))\n"
            "        frame = frame.older()\n")
    script = core + ".gdb"
    with open(script, "w", encoding="ascii") as stream:
        stream.write("set backtrace past-main on\nset backtrace past-entry on\n" + walk + "end\n")
    done = debugger.gdb_batch(["source " + script], core=core, exe=python.path, plugin=False, first=debugger.sysroot_of(python))
    threads = {}
    for match in re.finditer(r"^frame (\d+) (\d+) (\d+) ([01])$", done.out, re.M):
        tid, pc, sp, is_signal = map(int, match.groups())
        threads.setdefault(tid, []).append((pc, sp, bool(is_signal)))
    return threads


@pytest.mark.matrix("unwind")
@pytest.mark.pythons(without={"root", "jit"})
def test_core(python, target_folder):
    with start(python, "callbacks.py", "--threads", "2", folder=target_folder) as target:
        core = debugger.gcore(target)
        live = threads_of_tool([target.pid])
    ours, theirs = threads_of_tool([core]), threads_of_gdb(python, core)
    assert sorted(ours) == sorted(theirs) == sorted(live) and len(ours) >= 3
    for tid, (frames, note) in ours.items():
        assert note is None, note
        assert frames == theirs[tid]
    assert {tid: frames for tid, (frames, _note) in live.items()} == theirs


@pytest.mark.matrix("unwind")
@pytest.mark.pythons(without={"root", "jit"})
def test_crash_core(python, target_folder):
    """The kernel's core of a crash under faulthandler's signal stack: beyond the trampoline the stack pointer is on another stack."""
    obstacle = debugger.kernel_core_obstacle()
    if obstacle:
        pytest.skip(obstacle)
    if not python.facts["ctypes"]:
        pytest.skip("%s has no ctypes to crash with" % python.id)
    options = ("-X", "faulthandler") if python.minor >= (3, 3) else ()
    with start(python, "crash.py", "--how", "segv", folder=target_folder, core=True, options=options) as target:
        target.go_on()
        core = debugger.kernel_core(target, send=False)
    ours, theirs = threads_of_tool([core]), threads_of_gdb(python, core)
    assert ours and sorted(ours) == sorted(theirs)
    for tid, (frames, note) in ours.items():
        assert note is None, note
        assert frames == theirs[tid]
    signals = [frames for frames, _note in ours.values() if any(is_signal for _pc, _sp, is_signal in frames)]
    assert len(signals) == (1 if options else 0)


def code_of_no_file(pid):
    """Executable mappings of no file, as (start, end)."""
    with open("/proc/%d/maps" % pid, encoding="utf-8", errors="replace") as stream:
        fields = [line.split(maxsplit=5) for line in stream]
    return [tuple(int(end, 16) for end in words[0].split("-")) for words in fields
            if "x" in words[1] and words[4] == "0" and not words[-1].startswith("[v")]


@pytest.mark.matrix("unwind")
@pytest.mark.pythons(since=(3, 12), without={"jit"})
def test_perf_trampolines(python, target_folder):
    """
    -X perf puts a trampoline without call frame information under every evaluation (GDB ends at the first). What follows the call in it can
    only return, so the stacks are whole and unmarked, and each Python frame has its trampoline.
    """
    with start(python, "callbacks.py", folder=target_folder, options=("-X", "perf")) as target:
        code = code_of_no_file(target.pid)
        if not code:
            pytest.skip("%s has no perf trampolines (it was built without)" % python.id)
        threads = threads_of_tool([target.pid])
        for told in target.account["threads"]:
            frames, note = threads[told["tid"]]
            assert note is None, note
            trampolines = [pc for pc, _sp, _flag in frames if any(start <= pc < end for start, end in code)]
            assert len(trampolines) == len(told["frames"])
        done = subprocess.run([built("unwind"), str(target.pid)], stdout=subprocess.PIPE, universal_newlines=True, check=True)
        assert "approx" not in done.stdout
