# SPDX-License-Identifier: Apache-2.0
"""repr() of what a live process holds, against what its own repr() printed: not one difference."""
import os
import re
import subprocess

import pytest

from support import pythons, target

REPRS = "build/tools/reprs"
COUNT = int(os.environ.get("PYBRAID_REPRS", "5000"))  # random values for each interpreter; 100 000 by hand
SEED = int(os.environ.get("PYBRAID_SEED", "1"))
seen = {}


@pytest.fixture(scope="session")
def reprs():
    subprocess.run(["make", "-s", REPRS], cwd=pythons.REPO, check=True, timeout=600)
    return pythons.REPO + "/" + REPRS


def compared(reprs, running, values):
    done = subprocess.run([reprs, str(running.pid), str(values)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=1800,
                          encoding="utf-8", errors="replace")
    counts = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)$", done.stdout.replace(" ", "\n"),
                                                             re.M)}
    assert done.returncode == 0 and counts["different"] == 0, done.stdout[-6000:]
    return counts["compared"]


@pytest.mark.wide
@pytest.mark.matrix("repr")
def test_values(python, target_folder, reprs):
    values = target_folder / "values"
    with target.start(python, "reprs.py", "--values", str(values), "--count", str(COUNT), "--seed", str(SEED),
                      folder=target_folder,
                      ready=False) as running:
        running.wait_ready(timeout=900)
        count = compared(reprs, running, values)
    assert count > COUNT + 3000
    seen[python.id] = count


@pytest.mark.matrix("numpy")
def test_numpy(python, target_folder, reprs):
    """numpy's scalars as it prints them, arrays by their header. PYBRAID_NUMPY: a folder with a numpy."""
    path = [os.environ["PYBRAID_NUMPY"]] if os.environ.get("PYBRAID_NUMPY") else []
    code = "import sys; sys.path[:0] = %r; import numpy" % (path,)
    if python.run("-c", code, binds=path).returncode != 0:
        pytest.skip("this interpreter has no numpy")
    values = target_folder / "values"
    with target.start(python, "reprs.py", "--values", str(values), "--count", "10", "--numpy", "1",
                      folder=target_folder, path=path) as running:
        compared(reprs, running, values)
        for address, shape, dtype in running.account["facts"]["arrays"]:
            done = subprocess.run([reprs, str(running.pid), address], stdout=subprocess.PIPE,
                                  encoding="utf-8")
            assert done.stdout == "<numpy.ndarray shape=%s dtype=%s at %s>\n" % (shape, dtype, address)


def test_counts_are_printed(capsys):
    """The totals, past pytest's capture: what was compared is part of the result."""
    assert seen, "no interpreter was compared"
    with capsys.disabled():
        print()
        for name, count in seen.items():
            print("  repr, %-24s %7d values, 0 differences" % (name, count))
