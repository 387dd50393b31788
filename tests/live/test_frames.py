# SPDX-License-Identifier: Apache-2.0
"""Frames of live targets: names, files, lines and columns of every thread equal the target's own account."""
import json
import subprocess

import pytest

from support.target import start
from support.tools import built


@pytest.fixture(scope="module")
def frames_of():
    """Runs the program that shows the core's frames."""
    program = built("frames")

    def read(pid, *arguments):
        done = subprocess.run([program, *arguments, str(pid)], timeout=60, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-2000:]
        return json.loads(done.stdout.decode("utf-8"))  # strictly: all text must be UTF-8

    return read


def ours(frame):
    """One of our frames as the account writes them."""
    entry = {key: frame[key] for key in ("name", "qualname", "file", "lasti")}
    for key in ("line", "end_line", "column", "end_column"):
        entry[key] = frame[key] if frame[key] >= 0 else None
    return entry


def theirs(frame):
    keys = ("name", "qualname", "file", "lasti", "line", "end_line", "column", "end_column")
    return {key: frame[key] for key in keys}


def compare(python, seen, account):
    assert len(seen["threads"]) >= len(account["threads"])
    for thread in account["threads"]:
        match = [t for t in seen["threads"]
                 if t["native_tid"] in (thread["tid"], 0) and thread["ident"] in (t["ident"], None)]
        assert len(match) == 1, (thread["tid"], thread["ident"], seen["threads"])
        assert match[0]["complete"], match[0]["note"]
        mine, told = match[0]["frames"], thread["frames"]
        for index, (a, b) in enumerate(zip(mine, told)):
            assert "error" not in a, a
            assert ours(a) == theirs(b), "frame %d of %s" % (index, python.id)
            assert not a["jit"] or "jit" in python.traits
            assert not a["incomplete"] and not a["note"]
        assert len(mine) == len(told)
        check_evaluations(python, match[0])


def check_evaluations(python, thread):
    """Up to 3.10 one evaluation a frame; then runs of frames, each with an address, outwards up the stack."""
    counts = [n for _, n in thread["evaluations"]]
    addresses = [address for address, _ in thread["evaluations"]]
    assert sum(counts) == len(thread["frames"])
    if python.minor < (3, 11):
        assert set(counts) == {1} and set(addresses) == {0}
    else:
        assert addresses == sorted(set(addresses)) and addresses[0] > 0


SHAPES = [("mixed", 12), ("mixed", 100), ("plain", 1), ("plain", 1000), ("async", 40)]


@pytest.mark.matrix("frames")
@pytest.mark.parametrize("shape,depth", SHAPES)
def test_frames_equal_the_account(python, frames_of, target_folder, shape, depth):
    if shape == "async" and python.minor < (3, 6):
        pytest.skip("no coroutines before 3.6")
    arguments = ("--depth", str(depth), "--thread-depth", str(min(depth, 100)), "--shape", shape)
    with start(python, "depth.py", *arguments, folder=target_folder) as target:
        compare(python, frames_of(target.pid), target.account)


@pytest.mark.matrix("frames")
@pytest.mark.pythons(since=(3, 11))
def test_a_hundred_thousand_frames(python, frames_of, target_folder, record_property):
    with start(python, "depth.py", "--depth", "100000", "--threads", "0", "--shape", "plain",
               folder=target_folder) as target:
        seen = frames_of(target.pid)
        compare(python, seen, target.account)
        assert len(seen["threads"][0]["frames"]) >= 100000
        said = "100 000 frames, %-16s %.1f ms" % (python.id, seen["threads"][0]["us"] / 1000)
        record_property("said", said)
        assert seen["threads"][0]["us"] < 1e6


@pytest.mark.matrix("frames")
@pytest.mark.pythons(since=(3, 3))
def test_frames_at_any_instruction(python, request, target_folder, record_property):
    """Stopped wherever it happens to be: the same frames and lines as faulthandler's C handler sees there."""
    count = max(200, request.config.getoption("--stops"))
    with start(python, "spin.py", folder=target_folder) as target:
        facts = target.account["facts"]
        command = [built("stops"), target.pid, facts["signal"], facts["file"], count]
        done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True, timeout=300)
    record_property("said", "frames at any instruction, %-16s %s" % (python.id, done.stdout.strip()))
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    said = dict(word.split("=") for word in done.stdout.split())
    assert int(said["stops"]) == count and int(said["frames"]) > count
