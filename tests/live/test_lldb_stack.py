# SPDX-License-Identifier: Apache-2.0
"""pystack in a real LLDB: Python frames equal the target's own account, live and in cores; C lies where it lies."""
import re

import pytest

from support import debugger
from support.braid import check_order, compare_thread, python_frames, thread_of
from support.lldb import lldb_batch, lldb_json, obstacle
from support.shell import dump_json
from support.target import start


@pytest.fixture(autouse=True)
def lldb():
    reason = obstacle()
    if reason:
        pytest.skip(reason)


def compare(python, document, account):
    assert document["schema"] == 1
    assert document["process"]["python"].startswith("%d.%d.%d" % tuple(account["version"]))
    assert document["process"]["free_threaded"] == ("freethreaded" in python.traits)
    for told in account["threads"]:
        compare_thread(python, thread_of(document, told["tid"]), told)


def deep(python, folder, shape, depth):
    return start(python, "depth.py", "--depth", str(depth), "--thread-depth", str(min(depth, 100)), "--shape", shape,
                 folder=folder)


def live_json(target):
    if target.interpreter.root:
        pytest.skip("LLDB 14's own server dies of SIGSEGV when it attaches to a process that lives in another root")
    return lldb_json(target, pid=target.pid)


def native_frames(thread):
    return [frame for frame in thread["frames"] if frame["kind"] == "native" and not frame["inlined"]]


@pytest.mark.wide
@pytest.mark.matrix("lldb")
def test_live(python, target_folder):
    with deep(python, target_folder, "mixed", 100) as target:
        compare(python, live_json(target), target.account)
        debugger.assert_undisturbed(target)


@pytest.mark.matrix("lldb")
@pytest.mark.parametrize("shape,depth", [("plain", 1), ("plain", 1000)])
def test_live_depths(python, target_folder, shape, depth):
    with deep(python, target_folder, shape, depth) as target:
        compare(python, live_json(target), target.account)


@pytest.mark.wide
@pytest.mark.matrix("lldb core")
def test_core(python, target_folder):
    """Python frames are the target's; native ones those of our own unwinder, as long as LLDB's goes on."""
    with deep(python, target_folder, "mixed", 20) as target:
        core = debugger.gcore(target)
        document = lldb_json(target, core=core, exe=python.path)
        assert document["process"]["core"] == core
        compare(python, document, target.account)
        own = dump_json(core, python.path)
        for told in target.account["threads"]:
            mine, other = thread_of(document, told["tid"]), thread_of(own, told["tid"])
            assert python_frames(mine) == python_frames(other)
            common = ("name", "module", "pc", "offset", "plumbing")
            mine, other = ([tuple(frame[key] for key in common) for frame in native_frames(thread)] for thread in (mine, other))
            assert mine == other[:len(mine)] or other == mine[:len(other)], (mine, other)


@pytest.mark.matrix("lldb")
@pytest.mark.pythons(without={"root", "shared"})
def test_server(python, target_folder):
    """Behind a server that is not LLDB's own the process counts as remote: its modules are found through its memory.

    Not for a shared libpython: there LLDB 14 mostly loads no library at all, and `bt` too ends in the first.
    """
    with deep(python, target_folder, "mixed", 12) as target:
        with debugger.gdbserver(target) as address:
            document = lldb_json(target, exe=python.path, connect=address)
        compare(python, document, target.account)


@pytest.mark.wide
@pytest.mark.matrix("lldb braid")
def test_known_order(python, target_folder):
    with_symbols = "stripped" not in python.traits
    with start(python, "callbacks.py", "--turns", "1", folder=target_folder) as target:
        document = live_json(target)
        for told in target.account["threads"]:
            thread = thread_of(document, told["tid"])
            compare_thread(python, thread, told)
            assert check_order(python, thread, told, with_symbols) >= 10


def answers(out):
    """What each command printed, by command."""
    parts = re.split(r"^\(lldb\) (.*)$", out, flags=re.M)
    return {command: text.strip("\n") for command, text in zip(parts[1::2], parts[2::2])}


@pytest.mark.pythons(since=(3, 8), without={"root"})
@pytest.mark.matrix("lldb")
def test_frames(python, target_folder):
    """The selection moves as the target's account says; LLDB's own frame moves with it."""
    with deep(python, target_folder, "mixed", 12) as target:
        told = target.main["frames"]
        out, _err, _code = lldb_batch(["thread select 1", "pystack frame 0 ", "pystack frame 0", "pystack up 3", "pystack down", "pystack frame",
                                       "pystack frame 5", "frame select 0", "pystack frame ", "pystack info", "pystack threads",
                                       "pystack list %d,%d" % (told[0]["line"], told[0]["line"])], pid=target.pid)
        said = answers(out)
        for command, index in (("pystack frame 0", 0), ("pystack up 3", 3), ("pystack down", 2), ("pystack frame", 2),
                               ("pystack frame 5", 5), ("pystack frame ", 0)):
            frame = told[index]
            assert re.match(r"py +%s +%s:%d$" % (re.escape(frame["qualname"] if python.minor >= (3, 11) else frame["name"]),
                                                 re.escape(frame["file"]), frame["line"]), said[command]), (command, said[command])
        assert "Python:   %d.%d.%d" % tuple(target.account["version"]) in said["pystack info"]
        lines = said["pystack threads"].split("\n")
        assert {thread["tid"] for thread in target.account["threads"]} <= {int(line[2:].split()[1]) for line in lines}
        with open(told[0]["file"], encoding="utf-8") as stream:
            source = stream.read().split("\n")[told[0]["line"] - 1]
        listed = [text for command, text in said.items() if command.startswith("pystack list")]
        assert listed == [">%4d    %s" % (told[0]["line"], source)]


@pytest.mark.pythons(since=(3, 11), without={"root"})
@pytest.mark.matrix("lldb")
def test_locals_and_names(python, target_folder):
    with start(python, "depth.py", "--depth", "3", "--threads", "0", "--shape", "plain", folder=target_folder) as target:
        out, _err, _code = lldb_batch(["pystack frame 0", "pystack locals", "pystack print __name__", "pystack print len"],
                                      pid=target.pid)
        said = answers(out)
        assert said["pystack print __name__"].startswith("global '__name__' = '"), said
        assert said["pystack print len"] == "builtin 'len' = <built-in function len>"
        assert re.match(r"(\w+ = .+\n?)+$|No locals\.$", said["pystack locals"]), said


@pytest.mark.matrix("lldb")
@pytest.mark.parametrize("command,error", [
    ("pystack", "Command requires a process"), ("pystack info", "Command requires a process"),
    ("pystack --nonsense", "unknown option: --nonsense"), ("pystack -n 0", "--limit must be a whole number above 0"),
    ("pystack nonsense", "'nonsense' is not a subcommand"), ("pystack locals 1", "too many arguments"),
    ("pystack info --json", "unknown option: --json"), ("pystack -o", "--output needs a value: FILE")])
def test_errors(command, error):
    _out, err, _code = lldb_batch([command], check=False)
    assert "error: " + error in err, err


@pytest.mark.matrix("lldb")
def test_no_python():
    _out, err, _code = lldb_batch(["process launch --stop-at-entry", "pystack", "process kill"], exe="/bin/true", check=False)
    assert re.search(r"error: .*(no|No) .*(interpreter|Python)", err), err
