# SPDX-License-Identifier: Apache-2.0
"""GDB as editors start it, `gdb -i=dap`: our commands in the debug console, Python frames in the editor's stack."""
import pytest

from support import dap, debugger
from support.target import start

STUCK = '''
import os, sys, time
def hold(item):
    os.write(1, ("READY %d\\n" % os.getpid()).encode())
    while True:
        time.sleep(1000)
def outer(word="a \\x1b[31m word"):
    return sorted([1], key=hold)
outer()
'''
STACK = ["hold", "outer", "<module>"]


def names_of(text):
    return [line.split()[1] for line in text.splitlines() if line.startswith("py ")]


def python_frames(client):
    thread = client.call("threads")["body"]["threads"][0]["id"]
    told = client.call("stackTrace", threadId=thread)["body"]["stackFrames"]
    assert len(told) > len(STACK)
    return [frame for frame in told if frame["name"].startswith("py ")]


@pytest.fixture
def stuck(python, target_folder):
    path = target_folder / "stuck.py"
    path.write_text(STUCK, encoding="utf-8")
    with start(python, str(path), folder=target_folder) as target:
        yield target
        debugger.assert_undisturbed(target)


@pytest.fixture
def client(gdb, stuck):
    reason = dap.lacks(gdb)
    if reason:
        pytest.skip(reason)
    with dap.attached(gdb, stuck) as connected:
        assert connected.ask("source " + debugger.PLUGIN) == (True, "")
        yield connected


@pytest.mark.matrix("modes")
def test_debug_console(client, stuck):
    good, text = client.ask("py-bt-native")
    assert good and names_of(text) == STACK, text
    good, text = client.ask("py-threads")
    assert good and str(stuck.pid) in text and "hold" in text, text
    for command, wanted in (("py-up", "outer"), ("py-locals", "word = 'a \\x1b[31m word'"), ("py-print word", "\\x1b"),
                            ("py-info", "Python:   %d.%d." % stuck.interpreter.minor)):
        good, text = client.ask(command)
        assert good and wanted in text, (command, text)
    assert python_frames(client) == []  # nobody asked for the filter
    assert client.ask("py-print nosuch") == (False, "'nosuch' is no local, global or builtin name here.")


@pytest.mark.matrix("modes")
def test_stack_of_an_editor(client):
    """With the frame filter on the editor's own stack has the Python frames, their files and lines."""
    # Before the first stack is asked for: GDB keeps an editor's frames until the program runs.
    assert client.ask("set pybraid frame-filter on") == (True, "")
    frames = python_frames(client)
    assert [frame["name"][3:] for frame in frames] == STACK
    lines = STUCK.splitlines()
    assert [lines[frame["line"] - 1].strip() for frame in frames] == ["time.sleep(1000)", "return sorted([1], key=hold)", "outer()"]
    assert all(frame["source"]["path"].endswith("/stuck.py") for frame in frames)
