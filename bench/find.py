# SPDX-License-Identifier: Apache-2.0
"""Finding the interpreter in a stripped 3.15: as it is, and in a copy without its symbols and section."""
import dataclasses
import os
import pathlib
import shutil
import subprocess
import tempfile

import samples
from support.target import start

HIDDEN = (b"\0_PyRuntime\0", b"\0Py_Version\0", b"\0Py_GetVersion\0", b"\0.PyRuntime\0")


def hide(path):
    """Renames what leads to the interpreter: dynamic symbols and the section. Nothing moves."""
    with open(path, "rb") as stream:
        data = stream.read()
    for name in HIDDEN:
        data = data.replace(name, name.replace(b"Py", b"Xy"))
    with open(path, "wb") as stream:
        stream.write(data)


def measure(table, row, folder, what):
    with start(row, "depth.py", "--depth", "12", "--threads", "0", folder=folder) as target:
        found = [samples.live(target.pid, 1) for _ in range(7)]
    middle = sorted(float(f["found_us"]) for f in found)[len(found) // 2] / 1000
    table.row("find %s, %s" % (found[0]["version"], what), "%.2f ms" % middle,
              found[0]["found_by"].split(" in ")[0], None, "10 ms", middle <= 10)


def run(table, rows):
    row = next((row for row in rows if row.id == "sid-3.15"), None)
    if row is None:
        table.lacks("sid-3.15", "not on this machine (make pythons)")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        measure(table, row, folder, "stripped")
        copy = folder / "python3.15"
        shutil.copy(os.path.realpath(row.path), copy)
        hide(copy)
        hidden = dataclasses.replace(row, id="hidden", path=row.root + str(copy))
        try:
            measure(table, hidden, folder, "no symbol, no section")
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            table.lacks("3.15 without symbols", str(error))
