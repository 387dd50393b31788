# SPDX-License-Identifier: Apache-2.0
"""Names of C functions from method tables, against what ctypes finds in the functions and descriptors themselves."""
import subprocess

import pytest

from support import target
from support.tools import built


def last_two(owner, name):
    """`list.sort`; functions of the builtins module stand alone."""
    owner = owner.rsplit(".", 1)[-1]
    return name if owner in ("builtins", "__builtin__") else owner + "." + name


def ours(tool, pid):
    done = subprocess.run([tool, str(pid)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120, encoding="utf-8")
    assert done.returncode == 0, done.stdout
    rows = [line.split(" ") for line in done.stdout.splitlines()]
    return {int(address, 16): last_two(*name.rpartition(".")[::2]) if "." in name else name for address, name, _symbol in rows}


@pytest.mark.matrix("names")
def test_builtin_names(python, target_folder):
    if not python.facts["ctypes"]:
        pytest.skip("%s has no ctypes: it cannot look into its own objects" % python.id)
    with target.start(python, "builtin_names.py", folder=target_folder) as running:
        told = {}
        for address, owner, name in running.account["facts"]["functions"]:
            told.setdefault(address, set()).add(last_two(owner, name))
        mine = ours(built("builtins"), running.pid)
    wrong = [(hex(address), mine[address], sorted(names)) for address, names in told.items()
             if address in mine and mine[address] not in names]
    missing = [sorted(names) for address, names in told.items() if address not in mine and len(names) == 1]
    print("%s: %d functions, %d named, %d of several names" % (python.id, len(told), len(told.keys() & mine.keys()),
                                                                sum(len(names) > 1 for names in told.values())))
    assert not wrong, wrong[:20]
    assert len(told) > 500
    # Not found: types that no module names (SRE_Scanner, ScandirIterator; datetime before its import).
    assert len(missing) * 8 < len(told), (len(missing), missing[:40])
