# SPDX-License-Identifier: Apache-2.0
"""Finds the interpreters of this machine that say what their structs look like: headers, and debug information."""
import glob
import gzip
import os
import re
import subprocess

from measure import DEBUG, version_of

PYENV = os.path.expanduser("~/.pyenv/versions")
STANDALONE = os.path.expanduser("~/go/pkg/mod/github.com/kluctl")


def roots():
    """Directories that hold a Debian system: this one, and those that PYBRAID_ROOTS (colon-separated) names."""
    return ["/"] + [r for r in os.environ.get("PYBRAID_ROOTS", "").split(":") if r]


def header_sets():
    """[(name, include directory, flags that its own pyconfig.h defines)]"""
    found = []
    for include in glob.glob(PYENV + "/*/include/python*"):
        found.append(("pyenv " + include.split("/")[-3], include, 0))
    for root in roots():
        for include in glob.glob(os.path.join(root, "usr/include/python[23].*")):
            if os.path.exists(os.path.join(include, "internal")):
                found.append(("Debian " + os.path.basename(include), include, DEBUG if include.endswith("d") else 0))
    return sorted((n, i, f) for n, i, f in found if os.path.exists(os.path.join(i, "patchlevel.h")))


def build_id(path):
    out = subprocess.run(["readelf", "-n", path], capture_output=True, text=True).stdout
    m = re.search(r"Build ID: ([0-9a-f]+)", out)
    return m.group(1) if m else None


def debug_file(root, path):
    """The file with the debug information of path: itself, or what its build-id names under root."""
    sections = subprocess.run(["readelf", "-SW", path], capture_output=True, text=True).stdout
    if ".debug_info" in sections:
        return path
    ident = build_id(path)
    separate = os.path.join(root, "usr/lib/debug/.build-id", ident[:2], ident[2:] + ".debug") if ident else ""
    return separate if os.path.exists(separate) else None


MODULES = ("_asyncio", "_datetime", "datetime", "_collections", "_functools", "_thread", "_struct")


def debug_infos():
    """[(name, version, flags, ptr_size, [files])]: the interpreter's own file, then its extension modules'."""
    found = []
    for home in glob.glob(PYENV + "/*"):
        include = glob.glob(home + "/include/python*")
        libs = glob.glob(home + "/lib/libpython[23].*.so.1.0")
        if include and libs:
            found.append(("pyenv " + os.path.basename(home), version_of(include[0]), 0, "/", libs[0],
                          glob.glob(home + "/lib/python*/lib-dynload/*.so")))
    for root in roots():
        for exe in glob.glob(os.path.join(root, "usr/bin/python[23].*")):
            m = re.fullmatch(r"python(\d\.\d+)(d?)", os.path.basename(exe))
            include = os.path.join(root, "usr/include/python" + m.group(1) + m.group(2)) if m else ""
            if os.path.exists(os.path.join(include, "patchlevel.h")):
                modules = glob.glob(os.path.join(root, "usr/lib/python%s/lib-dynload/*.so" % m.group(1)))
                modules = [x for x in modules if ("-%sd-" % m.group(1).replace(".", "") in x) == bool(m.group(2))]
                found.append(("Debian " + os.path.basename(exe), version_of(include), DEBUG if m.group(2) else 0, root, exe,
                              modules))
    result = []
    for name, version, flags, root, main, modules in found:
        wanted = [x for x in modules if os.path.basename(x).split(".")[0] in MODULES]
        files = [debug_file(root, x) for x in [main] + sorted(wanted)]
        if files[0]:
            result.append((name, version, flags, 8, [x for x in files if x]))
    return sorted(result)


def unpack(path, directory):
    """A .gz file of the Go module, unpacked into directory."""
    out = os.path.join(directory, re.sub(r"\W", "_", path[:-3][-80:]))
    with gzip.open(path) as src, open(out, "wb") as dst:
        dst.write(src.read())
    return out


def standalone_infos(directory):
    """Like debug_infos, for python-build-standalone as the Go module has it (unpacked into directory).

    Only linux-amd64: GDB 13 does not come to an end on the arm64 files' debug information.
    """
    result = []
    pattern = "/go-embed-python@*/python/internal/data/linux-amd64/lib/libpython3.*.so.1.0.gz"
    for path in sorted(glob.glob(STANDALONE + pattern)):
        version = tuple(int(x) for x in re.search(r"v0\.0\.0-(\d+)\.(\d+)\.(\d+)", path).groups())
        lib = unpack(path, directory)
        if debug_file("/", lib):
            platform = path.split("/data/")[1].split("/")[0]
            result.append(("standalone %d.%d.%d %s" % (version + (platform,)), version, 0, 8, [lib]))
    return result
