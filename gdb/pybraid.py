# SPDX-License-Identifier: Apache-2.0
"""pybraid for GDB: `(gdb) source gdb/pybraid.py` from a built tree, or by itself once installed.

Loading only registers commands and parameters; the library is loaded by the first command that needs it, so that a
GDB that never looks at a Python process pays next to nothing. The modules beside this file form the package
`pybraid_gdb`: their directory is no importable name of its own, and `gdb` belongs to GDB.
"""

import importlib.util
import os
import sys


def _load():
    here = os.path.dirname(os.path.realpath(os.path.expanduser(__file__)))
    modules = os.path.join(here, "pybraid_gdb") if os.path.isdir(os.path.join(here, "pybraid_gdb")) else here
    former = sys.modules.get("pybraid_gdb.register")
    names = former.unload() if former is not None else set()
    for name in [n for n in sys.modules if n == "pybraid_gdb" or n.startswith("pybraid_gdb.")]:
        del sys.modules[name]
    spec = importlib.util.spec_from_loader("pybraid_gdb", loader=None, is_package=True)
    package = importlib.util.module_from_spec(spec)
    package.__path__ = [modules]
    sys.modules["pybraid_gdb"] = package
    importlib.import_module("pybraid_gdb.register").register(names)


_load()
del _load
