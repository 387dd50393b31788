# SPDX-License-Identifier: Apache-2.0
"""
Our own unwinder at random instructions: Python frames are those that faulthandler's handler saw there, the braid is whole, and the
native pcs are libunwind's.

Where libunwind itself does not come to the root of the stack and ours does, it cannot be the judge ("libunwind lost"): the Python frames and
the order are still those that faulthandler and the evaluation frames' names tell. Two stacks that both come to the root must be equal, unless
the thread is in the vDSO: 1.6.2 goes wrong there (a return address twice, a frame left out, an address in the heap; seen at 5 of 200 000 stops).
"""
import json
import subprocess

import pytest

from support import debugger, truth
from support.braid import check_inside, python_frames, thread_of
from support.said import differences, truth_is_missing
from support.target import start
from support.tools import built


def read(path, report):
    """Pairs of lines of the tool `braids` as (Stop, document, pcs of libunwind)."""
    with open(report, "rb") as stream:
        reported = stream.read()
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            document, more = json.loads(line), json.loads(next(stream))
            begin, end = more["report"]
            thread = document["threads"][0]
            stop = truth.Stop(thread["tid"], [], [])
            if begin >= 0:
                stop.raw = reported[begin:end].decode("ascii")
                stop.frames, stop.cut = truth.parse_faulthandler(stop.raw)
            stop.native = [(int(frame["pc"], 16), 0, frame["linkage_name"] or frame["name"]) for frame in thread["frames"]
                           if frame["kind"] == "native"]
            yield stop, thread_of(document, stop.tid), [int(pc, 16) for pc in more["oracle"]]


def judge(python, stop, thread, oracle):
    """(verdict, detail): "same"; "wrong"; "native" (libunwind sees other frames); "ended" (the native stack ends early, said)."""
    if stop.frames is not None and not truth_is_missing(python, stop):
        found = differences(stop, thread)
        if found:
            return "wrong", (found[:2], thread["note"], stop.raw[:200])
    if not python_frames(thread):
        return "wrong", ("no Python frame", thread["note"])
    pcs = [pc for pc, _sp, _name in stop.native]
    if not thread["complete"]:
        assert thread["note"], "incomplete without a note"
        return "ended", (thread["note"], len(pcs), len(oracle))
    if "stripped" not in python.traits and "jit" not in python.traits:  # the JIT's code has no name to be known by
        check_inside(thread)
    if oracle and pcs != oracle and any(frame["note"] for frame in thread["frames"] if frame["kind"] == "native"):
        return "marked", None  # code without unwind information (the JIT's): ours says so, libunwind guesses
    in_vdso = (stop.native[0][2] or "").startswith("__vdso_")
    if oracle and pcs != oracle and (oracle[-1] != pcs[-1] or in_vdso):
        return "libunwind lost", None  # ours goes on to the root, which it never reaches: the vDSO, libffi's and the JIT's code
    if oracle and pcs != oracle:
        return "native", (len(pcs), len(oracle), [name for _pc, _sp, name in stop.native][:4],
                          [hex(pc) for pc in pcs[:4]], [hex(pc) for pc in oracle[:4]])
    return "same", None


@pytest.mark.wide
@pytest.mark.matrix("own-stops")
@pytest.mark.pythons(since=(3, 6))
def test_random_stops(python, target_folder, request, record_property):
    count = 5 * request.config.getoption("--stops")
    verdicts, details, seed, crashes = {}, {}, 1, 0
    while sum(verdicts.values()) < count and crashes <= 2 + count // 50:
        with start(python, "spin.py", "--seed", str(seed), folder=target_folder) as target:
            facts, output = target.account["facts"], str(target_folder / "braids.jsonl")
            command = [built("braids"), target.pid, facts["signal"], facts["file"], count - sum(verdicts.values()), seed,
                       5]
            with open(output, "wb") as stream:
                done = subprocess.run([str(word) for word in command], stdout=stream, stderr=subprocess.PIPE,
                                      universal_newlines=True, timeout=60 + count)
            if done.returncode == 0:
                debugger.assert_undisturbed(target)
            else:
                assert "the target ended" in done.stderr, done.stderr[-2000:]
                crashes += 1
            whole = cut_to_pairs(output)
            for stop, thread, oracle in read(whole, facts["file"]):
                verdict, detail = judge(python, stop, thread, oracle)
                verdicts[verdict] = verdicts.get(verdict, 0) + 1
                if verdict != "same":
                    details.setdefault(verdict, []).append(detail)
        seed += 1
    record_property("said", "own unwinder at %d random stops, %-16s %s; the target's faulthandler crashed %d times"
                    % (sum(verdicts.values()), python.id, verdicts, crashes))
    assert "wrong" not in verdicts, details["wrong"][:3]
    assert verdicts.get("native", 0) == 0, details["native"][:5]
    assert verdicts.get("marked", 0) <= (count if "jit" in python.traits else count * 0.01), verdicts
    assert verdicts.get("libunwind lost", 0) <= (count if "jit" in python.traits else count * 0.02), verdicts
    assert verdicts.get("ended", 0) <= (count * 0.5 if "jit" in python.traits else 0), details["ended"][:5]


def cut_to_pairs(path):
    """The file without the last stop where the target ended in the middle of it (its faulthandler crashed)."""
    with open(path, encoding="utf-8") as stream:
        lines = stream.readlines()
    while lines and (not lines[-1].endswith("]}\n") or not lines[-1].startswith('{"oracle"')):
        lines.pop()
    with open(path, "w", encoding="utf-8") as stream:
        stream.writelines(lines)
    return path
