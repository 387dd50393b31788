# SPDX-License-Identifier: Apache-2.0
"""str objects of every form each version has, read from a live target: equal to what it says they are."""
import subprocess

import pytest

from support.target import start
from support.tools import built


@pytest.mark.matrix("strings")
def test_strings_of_every_form(python, target_folder):
    with start(python, "strings.py", folder=target_folder) as target:
        rows = target.account["facts"]["strings"]
        addresses = "".join("%d\n" % row[0] for row in rows)
        done = subprocess.run([built("strings"), str(target.pid)], input=addresses, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, encoding="utf-8", timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[:-1] == [row[1] for row in rows]
    forms = {row[2] for row in rows}
    assert len(forms) >= 9
    if (3, 6) <= python.minor < (3, 12) and python.facts["ctypes"]:
        assert "not ready" in forms
