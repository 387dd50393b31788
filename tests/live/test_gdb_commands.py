# SPDX-License-Identifier: Apache-2.0
"""The commands as a user of GDB meets them: help, completion, errors, selection, several inferiors, other scripts."""
import os
import re
import subprocess

import pytest

from support import debugger, pythons
from support.braid import gdb_json, thread_of
from support.target import start

PROGRAM = '''
import os, sys, threading, time
LIMIT = 7
class Box(object):
    """Holds."""
    def __init__(self, value):
        self.value = value
    def open(self, twice=False):
        inner = [self.value, u"caf\\u00e9", None]
        missing = 1
        del missing
        return sorted(inner[:1], key=lambda item: hold(item, LIMIT))
def hold(item, limit):
    os.write(1, ("READY %d\\n" % os.getpid()).encode())
    while True:
        time.sleep(1000)
Box({"a": 1}).open()
'''


@pytest.fixture
def stuck(python, target_folder):
    path = target_folder / "program.py"
    path.write_text("# -*- coding: utf-8 -*-\n" + PROGRAM, encoding="utf-8")
    with start(python, str(path), folder=target_folder) as target:
        yield target


def run(target, *commands, **options):
    return debugger.gdb_batch(commands, pid=target.pid, folders=[target.folder], **options).out


def said(target, *commands, **options):
    """What GDB said to these commands, its greetings on attaching left out."""
    return run(target, "echo =====\\n", *commands, **options).split("=====\n", 1)[1].split("[Inferior 1")[0]


def caught(command):
    """A GDB command line that runs `command` and prints its error as "said: ..."."""
    return "python exec(%r)" % ("try:\n gdb.execute(%r)\nexcept gdb.error as e:\n print('said: %%s' %% e)" % command)


def message(target, command):
    """The error text of one command."""
    done = debugger.gdb_batch([caught(command)], pid=target.pid, folders=[target.folder])
    found = re.search(r"^said: (.*)", done.out, re.M | re.S)
    assert found, done.out + done.err
    assert "Traceback" not in done.err and "Python Exception" not in done.err
    return found.group(1).split("[Inferior 1")[0].strip()


@pytest.mark.matrix("commands")
def test_walk_up_and_down(stuck, python):
    text = said(stuck, "py-frame", "py-up", "py-up", "py-up", "py-down 2", "py-frame 0")
    lines = [line for line in text.splitlines() if line.strip()]
    assert len(lines) == 6
    for line, name, number in zip(lines, ("hold", "<lambda>", "open", "<module>", "<lambda>", "hold"), (17, 13, 13, 18, 13, 17)):
        assert name in line and "program.py:%d" % number in line, (line, name, number)


@pytest.mark.matrix("commands")
def test_ends_of_the_stack_and_bad_words_are_errors(stuck, python):
    assert "can't go down" in message(stuck, "py-down")
    assert "No Python frame 99" in message(stuck, "py-frame 99")
    assert "no local, global or builtin" in message(stuck, "py-print nowhere")
    assert 'Unknown option "-z"' in message(stuck, "py-bt-native -z")
    assert "whole number" in message(stuck, "py-bt-native nonsense")
    assert "Cannot write" in message(stuck, "py-bt-native -o /nonexistent/x")


@pytest.mark.matrix("commands")
def test_up_beyond_the_end(stuck, python):
    text = said(stuck, "py-up 99", caught("py-up"))
    assert "<module>" in text and "said: Initial Python frame selected; you can't go up." in text


@pytest.mark.matrix("commands")
def test_locals_and_names(stuck, python):
    text = said(stuck, "py-locals", "py-up 2", "py-locals", "py-print LIMIT", "py-print len", "py-print self")
    prefix = "u" if python.minor < (3,) else ""
    assert re.search(r"^item = \{'a': 1\}$", text, re.M) and re.search(r"^limit = 7$", text, re.M)
    assert re.search(r"^twice = False$", text, re.M)
    cafe = "caf\\xe9" if python.minor < (3,) else "café"
    assert re.search(r"^inner = \[\{'a': 1\}, %s'%s', None\]$" % (prefix, re.escape(cafe)), text, re.M), text
    assert "global 'LIMIT' = 7" in text and "builtin 'len' = <built-in function len>" in text
    assert re.search(r"local 'self' = <(__main__\.)?Box at 0x[0-9a-f]+>", text)


@pytest.mark.matrix("commands")
def test_source(stuck, python):
    text = said(stuck, "py-list", "py-list 8,9")
    assert re.search(r"^>  17            time\.sleep\(1000\)$", text, re.M), text
    assert re.search(r"^    9        def open", text, re.M) and not re.search(r"^  10 .*\n.*\n.*  9 ", text)


@pytest.mark.matrix("commands")
def test_gdbs_own_selection_is_followed(stuck, python):
    """`frame N` in GDB moves the Python selection with it, and py-up moves GDB's."""
    document, _done = gdb_json(stuck, pid=stuck.pid)
    frames = thread_of(document, stuck.pid)["frames"]
    outer = [f for f in frames if f["kind"] == "native"][-3]
    text = said(stuck, "frame %d" % outer["number"], "py-frame", "py-frame 0", "python print(gdb.selected_frame().level())")
    assert "<module>" in text
    first = next(i for i, f in enumerate(frames) if f["kind"] == "python")
    evaluating = next(f for f in frames[first:] if f["kind"] == "native")
    assert text.rstrip().endswith(str(evaluating["number"]))


@pytest.mark.matrix("commands")
def test_looks(stuck, python):
    default = said(stuck, "py-bt-native")
    everything = said(stuck, "py-bt-native -a")
    only = said(stuck, "py-bt-native -p")
    trace = said(stuck, "py-bt-native --traceback")
    assert re.search(r"\((\d+) interpreter frames hidden; -a shows them\)", default)
    hidden = int(re.search(r"\((\d+) interpreter", default).group(1))
    assert len(everything.splitlines()) == len(default.splitlines()) - 1 + hidden
    assert not re.search(r"^#", only, re.M) and len(only.splitlines()) == 4
    assert trace.startswith("Traceback (most recent call last):\n")
    assert trace.rstrip().splitlines()[-1] == '  File "%s", line 17, in hold' % (stuck.folder + "/program.py")
    few = said(stuck, "py-bt-native 3").splitlines()
    assert len([line for line in few if not line.startswith("  ")]) == 3 and "more frames)" in few[3]
    assert "Box" in said(stuck, "py-bt-native -l") and "\033" not in default + everything
    assert 'Thread %d' % stuck.pid in said(stuck, "py-bt-native all")
    assert "hold" in said(stuck, "thread apply all py-bt-native")
    listed = said(stuck, "py-threads")
    assert re.search(r"^\* 1 +%d +MainThread .*hold" % stuck.pid, listed, re.M), listed


@pytest.mark.matrix("commands")
@pytest.mark.pythons(without={"stripped"})
def test_lines_of_native_frames(stuck, python):
    """With -v and in JSON, where GDB has line tables; they are those of its own backtrace."""
    document, _done = gdb_json(stuck, pid=stuck.pid)
    mine = [(f["number"], os.path.basename(f["file"]), f["line"]) for f in thread_of(document, stuck.pid)["frames"]
            if f["kind"] == "native" and f["file"]]
    theirs = [(int(number), os.path.basename(file), int(line)) for number, file, line in
              re.findall(r"^#(\d+) .* at (\S+):(\d+)$", said(stuck, "bt -frame-arguments none"), re.M)]
    assert mine == theirs
    if "shared" in python.traits and python.id.startswith("pyenv"):
        assert len(mine) > 10
        assert re.search(r"^#\d+ .* at \S*(ceval|generated_cases)\.", said(stuck, "py-bt-native -a -v"), re.M)


@pytest.mark.matrix("commands")
def test_what_was_found(stuck, python):
    text = said(stuck, "py-info")
    assert re.search(r"^Python: +%d\.%d\.%d" % python.version, text, re.M), text
    assert "found by:" in text and "layout:" in text


@pytest.mark.matrix("commands")
def test_settings_of_the_user_stay(stuck, python):
    before = "python print([gdb.parameter(n) for n in ('pagination', 'height', 'width', 'confirm', 'print elements', 'scheduler-locking', 'backtrace limit', 'language')])"
    text = said(stuck, before, "py-bt-native -a -l", "py-up", "py-threads", "py-frame 0", before)
    found = re.findall(r"^\[.*\]$", text, re.M)
    assert len(found) >= 2 and found[0] == found[-1]
    debugger.assert_undisturbed(stuck)


@pytest.mark.matrix("commands")
def test_plain_bt_with_the_filter(stuck, python):
    raw = said(stuck, "bt -no-filters")
    filtered = said(stuck, "set pybraid frame-filter on", "bt")
    off = said(stuck, "set pybraid frame-filter on", "set pybraid frame-filter off", "bt")
    assert off == raw
    for name in ("hold", "<lambda>", "open", "<module>"):
        # GDB leaves the address out where a pc is the first of its line.
        line = r"^(#\d+)? +(0x[0-9a-f]+ in )?py [^\n]*%s \(\) at .*program\.py:\d+" % re.escape(name)
        assert re.search(line, filtered, re.M), filtered
    assert re.findall(r"^#(\d+)", filtered, re.M) == re.findall(r"^#(\d+)", raw, re.M)


@pytest.mark.matrix("gdb")
def test_python_gdb_beside_it(target_folder):
    """CPython's own script keeps its commands; ours are there under `pybraid`."""
    script = [os.path.join(root, name) for root, _d, names in os.walk(os.path.expanduser("~/.pyenv/versions"))
              for name in names if re.fullmatch(r"python3\.\d+-gdb\.py", name) and root.endswith("/bin")]
    if not script:
        pytest.skip("no python3.x-gdb.py under ~/.pyenv/versions")
    done = debugger.gdb_batch(["source " + script[0], "source " + debugger.PLUGIN, "help py-up", "help pybraid up",
                               "help py-bt-native"], plugin=False)
    assert "leaves py-up, py-down, py-list, py-locals, py-print to the python-gdb.py" in done.err
    assert "python stack frame" in done.out and "Select and print the Python frame that called this one" in done.out


@pytest.mark.matrix("gdb")
def test_without_a_process():
    for command in ("py-bt-native", "py-info", "py-threads", "py-up"):
        done = debugger.gdb_batch([command], check=False)
        assert "attach PID" in done.err and "Traceback" not in done.err, done.err


@pytest.mark.matrix("gdb")
def test_a_process_that_is_no_python(target_folder):
    with subprocess.Popen(["sleep", "1000"]) as other:
        try:
            done = debugger.gdb_batch(["py-bt-native"], pid=other.pid, check=False)
        finally:
            other.kill()
    assert "Python" in done.err and "Traceback" not in done.err, done.err


@pytest.mark.matrix("gdb")
def test_help_and_completion():
    done = debugger.gdb_batch(["complete py-", "complete py-bt-native --tr", "complete set pybraid ", "show pybraid",
                               "help py-bt-native", "apropos -v braided"])
    for name in ("py-bt-native", "py-threads", "py-up", "py-down", "py-frame", "py-list", "py-locals", "py-print", "py-info"):
        assert re.search("^%s$" % name, done.out, re.M)
    assert "py-bt-native --traceback" in done.out and "set pybraid frame-filter" in done.out
    assert "Example: py-bt-native" in done.out


@pytest.mark.matrix("gdb")
def test_loading_twice_is_loading_once():
    done = debugger.gdb_batch(["source " + debugger.PLUGIN, "source " + debugger.PLUGIN, "help py-up"])
    assert "Usage: py-up" in done.out and not done.err.strip(), done.err


STRUCTS = r"""
import ctypes, re
from pybraid_gdb import library
gdb.execute("file " + next(p for p in library.candidates() if p.endswith("build/lib/libpybraid-gdb.so")))
kinds = [v for v in vars(library).values() if isinstance(v, type) and issubclass(v, ctypes.Structure) and v is not library.Sized]
for kind in kinds:
    c_type = gdb.lookup_type("struct pyb_" + re.sub(r"(?<=[a-z])([A-Z])", r"_\1", kind.__name__).lower())
    ours = [(f[0], getattr(kind, f[0]).offset, getattr(kind, f[0]).size) for f in kind._fields_]
    theirs = [(f.name, f.bitpos // 8, f.type.sizeof) for f in c_type.fields()]
    assert ours == theirs and c_type.sizeof == ctypes.sizeof(kind), (kind, ours, theirs)
print("%d structs equal" % len(kinds))
"""


@pytest.mark.matrix("gdb")
def test_structs_of_the_glue_are_those_of_the_library(tmp_path):
    """ctypes' idea of every struct against the library's debug information."""
    script = tmp_path / "structs.py"
    script.write_text(STRUCTS)
    done = debugger.gdb_batch(["source %s" % script])
    assert re.search(r"^1[0-9] structs equal", done.out, re.M), done.out + done.err


@pytest.mark.matrix("gdb")
def test_only_our_symbols_are_exported():
    library = os.path.join(pythons.REPO, "build", "lib", "libpybraid.so")
    done = subprocess.run(["nm", "-D", "--defined-only", library], stdout=subprocess.PIPE, check=True, encoding="ascii")
    names = [line.split()[-1].split("@")[0] for line in done.stdout.splitlines()]
    odd = [name for name in names if not name.startswith("pyb_") and name != "PYBRAID_0"]
    assert not odd and len(names) > 10
