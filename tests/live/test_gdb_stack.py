# SPDX-License-Identifier: Apache-2.0
"""py-bt-native in a real GDB: Python frames equal the target's own account, live, in cores, over gdbserver."""
import pytest

from support import debugger
from support.braid import compare_document, gdb_json, thread_of
from support.target import deep, start

SHAPES = [("plain", 1), ("mixed", 12), ("plain", 1000)]


@pytest.mark.wide
@pytest.mark.matrix("live")
def test_live(python, target_folder):
    live(python, target_folder, "mixed", 100)


@pytest.mark.matrix("live")
@pytest.mark.parametrize("shape,depth", SHAPES)
def test_live_depths(python, target_folder, shape, depth):
    live(python, target_folder, shape, depth)


def live(python, target_folder, shape, depth):
    with deep(python, target_folder, shape, depth) as target:
        document, _done = gdb_json(target, pid=target.pid)
        compare_document(python, document, target.account)
        debugger.assert_undisturbed(target)


@pytest.mark.matrix("live")
@pytest.mark.pythons(since=(3, 6))
def test_awaits(python, target_folder):
    with deep(python, target_folder, "async", 40) as target:
        document, _done = gdb_json(target, pid=target.pid)
        compare_document(python, document, target.account)


@pytest.mark.matrix("live")
@pytest.mark.pythons(since=(3, 11))
def test_a_hundred_thousand_frames(python, target_folder):
    with start(python, "depth.py", "--depth", "100000", "--threads", "0", "--shape", "plain",
               folder=target_folder) as target:
        document, _done = gdb_json(target, pid=target.pid)
        compare_document(python, document, target.account)


@pytest.mark.wide
@pytest.mark.matrix("core")
@pytest.mark.parametrize("shape,depth", [("mixed", 100)])
def test_gcore(python, target_folder, shape, depth):
    with deep(python, target_folder, shape, depth) as target:
        core = debugger.gcore(target)
        document, _done = gdb_json(target, core=core, exe=python.path)
        compare_document(python, document, target.account)
        assert document["process"]["core"] == core


@pytest.mark.matrix("core")
def test_core_without_the_executable(python, target_folder):
    """`gdb -core FILE` alone: GDB has no symbols and mostly no native frames, the Python frames come all the same."""
    with deep(python, target_folder, "mixed", 12) as target:
        core = debugger.gcore(target)
        document, _done = gdb_json(target, core=core, command="py-bt-native -p all --json")
        told = target.main
        mine = [f for f in thread_of(document, told["tid"])["frames"] if f["kind"] == "python"]
        assert [(f["func"], f["line"]) for f in mine] == [(f["name"], f["line"]) for f in told["frames"]]


@pytest.mark.matrix("core")
@pytest.mark.parametrize("mask", [0x33, 0x3f])
def test_kernel_core(python, target_folder, mask):
    obstacle = debugger.kernel_core_obstacle()
    if obstacle:
        pytest.skip(obstacle)
    with start(python, "depth.py", "--depth", "12", "--thread-depth", "12", "--shape", "mixed", folder=target_folder,
               core=True) as target:
        core = debugger.kernel_core(target, filter_mask=mask)
        document, _done = gdb_json(target, core=core, exe=python.path)
        compare_document(python, document, target.account)


@pytest.mark.wide
@pytest.mark.matrix("server")
def test_gdbserver(python, target_folder):
    served(python, target_folder, "")


@pytest.mark.matrix("server")
def test_gdbserver_with_its_files(python, target_folder):
    served(python, target_folder, "target:")


def served(python, target_folder, sysroot):
    with deep(python, target_folder, "mixed", 100) as target:
        with debugger.gdbserver(target) as address:
            document, _done = gdb_json(target, before=["set sysroot " + (sysroot or python.root), "target remote " + address],
                                       exe=python.path)
        compare_document(python, document, target.account)
