# SPDX-License-Identifier: Apache-2.0
"""Recordings: what is read from one is what was read from the process; damaged content never hurts."""
import json
import os
import subprocess

import pytest

from support import pythons, target

READ, FLIP, PYBRAID = "build/tools/read", "build/tools/flip", "build/bin/pybraid"
FLIPS = int(os.environ.get("PYBRAID_FLIPS", "150"))  # readings with changed bytes for each interpreter; 10 000 by hand


@pytest.fixture(scope="session")
def tools():
    subprocess.run(["make", "-s", "all", READ, FLIP], cwd=pythons.REPO, check=True, timeout=600)


def run(*argv, timeout=120):
    done = subprocess.run([pythons.REPO + "/" + argv[0], *map(str, argv[1:])], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout)
    assert done.returncode == 0, (argv, done.returncode, done.stdout[-500:], done.stderr[-2000:])
    return done.stdout.decode("utf-8")


@pytest.fixture
def recorded(python, target_folder, tools):
    """(account, document of the live process, path of its recording), the process gone."""
    path = str(target_folder / "process.pyb")
    with target.start(python, "callbacks.py", "--threads", "2", folder=target_folder) as running:
        live = json.loads(run(READ, running.pid))
        run(PYBRAID, "record", running.pid, "-o", path)
        account = running.account
    return account, live, path


@pytest.mark.matrix("recording")
def test_replay(python, recorded):
    account, live, path = recorded
    replayed = json.loads(run(READ, path))
    for thread in live["threads"]:
        thread["active"] = None     # the scheduler's word, and what /proc says
    for thread in replayed["threads"]:
        thread["active"] = None
    for told in account["threads"]:
        names = [frame["name"] for frame in told["frames"]]
        assert [names == [f["func"] for f in t["frames"] if f["kind"] == "python"] for t in replayed["threads"]
                if t["ident"] is not None and int(t["ident"], 16) == told["ident"]] == [True]
    # Main threads of 2.7 to 3.10 have the process' number only where the process is there to ask.
    assert [t["frames"] for t in replayed["threads"]] == [t["frames"] for t in live["threads"]]
    assert replayed["process"]["command"] == live["process"]["command"]
    assert os.stat(path).st_mode & 0o077 == 0


@pytest.mark.matrix("recording")
def test_changed_bytes(python, recorded):
    """A reading of content with random bytes changed ends within a second, within its memory, without a crash."""
    _account, _live, path = recorded
    print(python.id, run(FLIP, path, FLIPS, timeout=60 + FLIPS), end="")
