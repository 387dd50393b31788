# SPDX-License-Identifier: Apache-2.0
"""Builds the tests' C extension (tests/targets/ext/pybtest.c) for an interpreter that has headers."""
import os
import subprocess

from .pythons import REPO

BUILD = os.path.join(REPO, "build", "tests", "ext")
SOURCE = os.path.join(REPO, "tests", "targets", "ext", "pybtest.c")

_reasons = {}


def include_options(interpreter):
    """-I options, or None if Python.h is missing. Headers of a foreign root must not bring its libc's in."""
    root = interpreter.root
    folders = []
    for inside in dict.fromkeys(interpreter.facts["include"]):
        if any(os.path.exists(os.path.join(root + inside, name)) for name in ("pyconfig.h", "Python.h")):
            folders.append(root + inside)
    if not any(os.path.exists(os.path.join(folder, "Python.h")) for folder in folders):
        return None
    options = ["-I" + folder for folder in folders]
    if root:
        options.append("-I" + multiarch_shim(interpreter))
    return options


def multiarch_shim(interpreter):
    """Debian's pyconfig.h includes <x86_64-linux-gnu/pythonX.Y/pyconfig.h>: a folder with just that."""
    shim = os.path.join(BUILD, interpreter.id, "include")
    triplet = "%s-linux-gnu" % os.uname().machine
    name = os.path.basename(interpreter.facts["include"][0])
    link = os.path.join(shim, triplet, name)
    os.makedirs(os.path.dirname(link), exist_ok=True)
    try:
        os.symlink(os.path.join(interpreter.root, "usr/include", triplet, name), link)
    except FileExistsError:
        pass
    return shim


def build(interpreter):
    folder = os.path.join(BUILD, interpreter.id)
    module = os.path.join(folder, "pybtest.so")
    if os.path.exists(module) and os.path.getmtime(module) > os.path.getmtime(SOURCE):
        return folder, ""
    includes = include_options(interpreter)
    if includes is None:
        return None, "no Python.h for %s" % interpreter
    os.makedirs(folder, exist_ok=True)
    # Written under another name and renamed: two test runs may build at the same time.
    part = "%s.%d" % (module, os.getpid())
    argv = ["cc", "-O2", "-g", "-fPIC", "-shared", "-fno-optimize-sibling-calls", *includes, SOURCE, "-o", part]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
                          errors="replace")
    if done.returncode != 0:
        return None, "pybtest.c does not compile for %s: %s" % (interpreter, done.stdout[-1000:])
    os.rename(part, module)
    return folder, ""


def folder_for(interpreter):
    """The folder that holds pybtest.so for this interpreter; None if it cannot be built (see `reason`)."""
    if interpreter is None:
        return None
    if interpreter.id not in _reasons:
        _reasons[interpreter.id] = build(interpreter)
    return _reasons[interpreter.id][0]


def reason(interpreter):
    """Why there is no extension for this interpreter; "" if there is one."""
    folder_for(interpreter)
    return _reasons[interpreter.id][1]
