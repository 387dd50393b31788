# SPDX-License-Identifier: Apache-2.0
"""What a braid must be, said once: against the target's account, GDB's own frames, and faulthandler."""
import json
import os
import re

from . import debugger

EVALUATION = re.compile(r"_?PyEval_EvalFrame(Ex|Default)(\.cold|\.part\.\d+|\.lto_priv\.\d+|\.constprop\.\d+)*$")

CLEARING = re.compile(r"FrameClearAndPop|clear_thread_frame|clear_gen_frame|_PyFrame_Clear")


def gdb_json(target, command="py-bt-native all --json", before=(), **options):
    """The document that a command of a real GDB writes, and the run's output."""
    path = os.path.join(target.folder, "braid.json")
    if os.path.exists(path):
        os.unlink(path)
    if "core" in options:
        options["first"] = [*debugger.sysroot_of(target.interpreter), *options.get("first", ())]
    done = debugger.gdb_batch([*before, "%s -o %s" % (command, path)], folders=[target.folder], **options)
    assert os.path.exists(path), done.out[-3000:] + done.err[-3000:]
    with open(path, encoding="utf-8") as stream:  # strictly: all text must be UTF-8
        return json.load(stream), done


def python_frames(thread):
    return [frame for frame in thread["frames"] if frame["kind"] == "python"]


def gaps(thread):
    return [frame["note"] for frame in thread["frames"] if frame["kind"] == "gap"]


def thread_of(document, tid):
    found = [thread for thread in document["threads"] if thread["tid"] == tid]
    assert len(found) == 1, (tid, [thread["tid"] for thread in document["threads"]])
    return found[0]


def ours(frame):
    return tuple(frame[key] for key in ("func", "file", "line", "end_line", "column", "end_column"))


def theirs(python, frame):
    end = ("line", "end_line", "column", "end_column")
    return (frame["name"], frame["file"], *(frame[key] for key in end))


def compare_thread(python, thread, told):
    """Python frames of one thread equal its account: name, file, line, and columns from 3.11; nothing is missing."""
    mine = python_frames(thread)
    assert thread["complete"], thread["note"]
    assert not gaps(thread), gaps(thread)
    for index, (a, b) in enumerate(zip(mine, told["frames"])):
        seen, truth = ours(a), theirs(python, b)
        if python.minor < (3, 11):  # no columns there: null in ours too
            assert seen[3:] == (None, None, None) or seen[4:] == (None, None), seen
            seen, truth = seen[:3], truth[:3]
        else:
            assert a["name"] == b["qualname"], (index, a, b)
        assert seen == truth, "frame %d of %s: %s, and the target says %s" % (index, python.id, seen, truth)
    assert len(mine) == len(told["frames"])
    assert thread["ident"] is not None and int(thread["ident"], 16) == told["ident"]
    if told["name"] is not None:
        assert thread["name"] == told["name"]


def between(thread):
    """For each Python frame but the outermost, the native frames between it and its caller."""
    result, now = [], None
    for frame in thread["frames"]:
        if frame["kind"] == "python":
            if now is not None:
                result.append(now)
            now = []
        elif now is not None:
            now.append(frame)
    return result


def base(path):
    return os.path.basename(path or "")


def check_order(python, thread, told, with_symbols):
    """Where C lies between two Python frames, it is the C that lies there; where Python calls Python, only plumbing."""
    python_file = re.escape(base(python.facts["binary"]))
    checked = 0
    for index, natives in enumerate(between(thread)):
        via = told["frames"][index].get("via")
        names = [frame["name"] for frame in natives]
        where = "between %s and its caller, on %s: %s" % (told["frames"][index]["name"], python.id, names)
        if via is None:
            odd = [frame for frame in natives if not frame["plumbing"]]
            assert not odd or not with_symbols, where
            continue
        for module in via["modules"]:
            pattern = module.replace("<python>", python_file)
            assert any(re.search(pattern, base(frame["module"])) for frame in natives), (module, where)
        if with_symbols:
            position = -1
            for alternatives in via["functions"]:
                hits = [at for at, name in enumerate(names) if name is not None and at > position
                        and any(re.fullmatch(one, name) for one in alternatives)]
                # libpython's own functions; those of an extension or libc without symbols have their modules checked
                assert hits, (alternatives, where)
                position = hits[0]
        checked += 1
    return checked


def check_inside(thread):
    """
    Every run of Python frames ends at the native frame that evaluates it, and every evaluation frame but the innermost
    of all has one, unless it has just unlinked its last frame and is clearing it (whose destructors may run more Python);
    by GDB's own names, so for interpreters with symbols.
    """
    frames = thread["frames"]
    inner, clearing = True, False
    for position, frame in enumerate(frames):
        if frame["kind"] == "python":
            following = next(f for f in frames[position:] if f["kind"] != "python")
            assert following["kind"] == "native" and EVALUATION.match(following["linkage_name"] or following["name"] or ""), \
                (frame, following)
        if frame["kind"] == "native" and EVALUATION.match(frame["linkage_name"] or frame["name"] or ""):
            before = frames[position - 1]["kind"] if position else None
            assert before == "python" or inner or clearing, ("no Python frame at", frame)
            inner = clearing = False
        elif frame["kind"] == "native" and CLEARING.search(frame["name"] or ""):
            clearing = True


def check_native(thread, native):
    """The native pcs, in number and order, are those of GDB's plain backtrace."""
    mine = [int(frame["pc"], 16) for frame in thread["frames"] if frame["kind"] == "native"]
    assert mine == [pc for pc, _sp, _name in native]


def compare_document(python, document, account):
    """Every thread of the account, and what the process is."""
    assert document["schema"] == 1
    assert document["process"]["python"].startswith("%d.%d.%d" % tuple(account["version"]))
    assert document["process"]["free_threaded"] == ("freethreaded" in python.traits)
    assert document["process"]["debug_build"] == ("debug" in python.traits)
    for told in account["threads"]:
        compare_thread(python, thread_of(document, told["tid"]), told)
