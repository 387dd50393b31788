# SPDX-License-Identifier: Apache-2.0
"""Each interpreter's whole standard library: our positions equal its own at every instruction."""
import os
import re
import subprocess

import pytest

from support import pythons

TOOLS = os.path.join(pythons.REPO, "tests", "tools")
LEAST_CODES = 5000  # of a standard library; fewer means that modules were not found


@pytest.fixture(scope="module")
def check_lines(tmp_path_factory):
    """The program that runs our decoders over an export, linked with the library as it was built."""
    build = os.environ.get("PYBRAID_BUILD", os.path.join(pythons.REPO, "build"))
    program = str(tmp_path_factory.mktemp("tools") / "check_lines")
    core = os.path.join(pythons.REPO, "core")
    archive = os.path.join(build, "lib", "libpybraid-internal.a")
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-O2", "-D_GNU_SOURCE", "-I" + core,
                    "-I" + os.path.join(core, "include"), os.path.join(TOOLS, "check_lines.c"), archive,
                    "-lz", "-o", program], check=True)
    return program


@pytest.mark.wide
@pytest.mark.matrix("lines")
@pytest.mark.pythons(without={"jit"})
def test_positions_of_the_standard_library(python, check_lines, tmp_path, record_property):
    export = tmp_path / "positions"
    done = python.run("-W", "ignore", os.path.join(TOOLS, "export_lines.py"), str(export), timeout=600,
                      binds=(str(tmp_path),))
    assert done.returncode == 0, done.stderr[-2000:]
    compared = subprocess.run([check_lines, str(export)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True)
    os.unlink(export)
    counts = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", compared.stdout)}
    assert compared.returncode == 0 and counts["differences"] == 0, compared.stdout + compared.stderr[-2000:]
    assert counts["codes"] >= LEAST_CODES and counts["offsets"] > counts["codes"]
    record_property("said", "line tables, %-16s %6d code objects, %8d instructions, 0 differences"
                    % (python.id, counts["codes"], counts["offsets"]))
