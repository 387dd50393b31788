# SPDX-License-Identifier: Apache-2.0
"""The first look at a process, when it is not simple: threads come and go, or two interpreters run in it."""
import ctypes
import glob
import os

import pytest

from support import pythons
from support.target import start
from test_gdb_abi import load_library
from test_sample import Session

LOOKS = int(os.environ.get("PYBRAID_FIRST_LOOKS", "150"))


def first_look(pid):
    """struct pyb_info of a session that looks for the first time; the session, to be closed."""
    session = Session(pid)
    info = load_library().Info()
    try:
        session.call("pyb_session_info", ctypes.byref(info))
    except AssertionError:
        session.close()
        raise
    return info, session


@pytest.mark.matrix("live")
def test_threads_come_and_go(python, target_folder):
    """Each look is a new session's; eight threads are made and end within every few milliseconds."""
    with start(python, "threads.py", "--mode", "churn", folder=target_folder) as target:
        seen = set()
        for _ in range(LOOKS):
            info, session = first_look(target.pid)
            try:
                assert info.version.decode().startswith("%d.%d." % tuple(python.minor))
                states = session.states()
                assert any(tid in (0, target.pid) for _, tid, _ in states), states
                seen.add(frozenset(state for state, _, _ in states))
            finally:
                session.close()
        assert len(seen) > 1, "its threads did not change"


def pairs():
    """Interpreters with a libpython each, two at a time: some that bear each other."""
    there = {}
    for row in pythons.discover()[0]:
        home = os.path.dirname(os.path.dirname(row.path))
        libraries = glob.glob(os.path.join(home, "lib", "libpython%d.%d.so.1.0" % tuple(row.minor)))
        if row.id.startswith("pyenv-") and libraries:
            there[tuple(row.minor)] = (row, home, libraries[0])
    wanted = [((3, 11), (3, 8)), ((3, 8), (3, 11)), ((3, 13), (3, 10))]
    return [(there[host], there[guest]) for host, guest in wanted if host in there and guest in there]


@pytest.mark.matrix("live")
def test_two_interpreters(target_folder):
    """One is shown; the note says which other one runs."""
    done = 0
    for (host, _, _), (guest, home, library) in pairs():
        arguments = ["--home", home, "--lib", library]
        with start(host, "two.py", *arguments, folder=os.path.join(str(target_folder), host.id)) as target:
            facts = target.account["facts"]
            info, session = first_look(target.pid)
            try:
                note = info.layout_note.decode()
                shown, hidden = (facts["own"], facts["other"])
                if info.runtime == facts["other"]:
                    shown, hidden = hidden, shown
                assert info.runtime == shown
                version = "%d.%d.%d" % tuple(guest.version[:3])
                if hidden == facts["own"]:
                    version = facts["own_version"]
                assert "another initialised CPython %s at 0x%x (" % (version, hidden) in note
                assert note.endswith(" is not shown")
                done += 1
            finally:
                session.close()
    if not done:
        pytest.skip("no two interpreters with a libpython of their own")


@pytest.mark.matrix("live")
def test_one_interpreter_has_no_note(python, target_folder):
    with start(python, "depth.py", "--depth", "3", "--threads", "0", folder=target_folder) as target:
        info, session = first_look(target.pid)
        session.close()
        assert b"another" not in (info.layout_note or b"")
