# SPDX-License-Identifier: Apache-2.0
"""Programs of the tests' own that embed an interpreter: with its shared library, or a static one, stripped."""
import glob
import os
import subprocess

from . import extension, target
from .pythons import REPO

SOURCE = os.path.join(REPO, "tests", "targets", "embed", "host.c")
BUILD = os.path.join(REPO, "build", "tests", "embed")


def config_values(python, *names):
    text = "import sysconfig; print(*[sysconfig.get_config_var(n) or '' for n in %r], sep='\\n')" % (names,)
    done = python.run("-c", text)
    return done.stdout.split("\n")


def library_options(python, static):
    """Linker options; a reason (str) if this interpreter cannot be embedded so."""
    names = ("LIBDIR", "LIBPL", "LDVERSION", "LIBS", "SYSLIBS")
    folder, libpl, version, libs, syslibs = config_values(python, *names)[:5]
    if static:
        archive = os.path.join(libpl, "libpython%s.a" % version)
        if not os.path.exists(archive):
            return "no libpython%s.a in %s" % (version, libpl)
        # Debian's archive is not position independent.
        return ["-no-pie", "-Wl,--export-dynamic", archive, *libs.split(), *syslibs.split(),
                "-lm", "-lz", "-lexpat", "-ldl"]
    shared = glob.glob(os.path.join(folder, "libpython%s.so" % version))
    if not shared:
        return "no libpython%s.so in %s" % (version, folder)
    return ["-L" + folder, "-Wl,-rpath," + folder, "-lpython" + version]


def build(python, static):
    """(path, "") of a host program, or (None, reason)."""
    if python.root:
        return None, "%s lives in a root of its own" % python
    includes = extension.include_options(python)
    if includes is None:
        return None, "no Python.h for %s" % python
    if python.minor < (3, 8):
        return None, "host.c needs PyConfig (3.8)"
    options = library_options(python, static)
    if isinstance(options, str):
        return None, options
    os.makedirs(BUILD, exist_ok=True)
    path = os.path.join(BUILD, "host-%s-%s" % (python.id, "static" if static else "shared"))
    if os.path.exists(path) and os.path.getmtime(path) > os.path.getmtime(SOURCE):
        return path, ""
    part = "%s.%d" % (path, os.getpid())
    argv = ["cc", "-O2", *(["-s"] if static else ["-g"]), *includes, SOURCE, "-o", part, *options]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
                          errors="replace")
    if done.returncode != 0:
        return None, "host.c does not link for %s: %s" % (python, done.stdout.strip()[-500:])
    os.rename(part, path)
    return path, ""


def start(python, host, script, *arguments, folder):
    """Runs a target script inside a host program; a Target, ready."""
    folder = str(folder)
    os.makedirs(folder, exist_ok=True)
    account = os.path.join(folder, "account.json")
    if not os.path.isabs(script):
        script = os.path.join(target.TARGETS, script)
    env = dict(python.environment(), HOST_PYTHON_HOME=config_values(python, "prefix")[0])
    built = extension.folder_for(python)
    if built:
        env["PYTHONPATH"] = built
    started = target.launch([host, script, account, *map(str, arguments)], folder, account, python, env,
                            stack=target.GIGABYTE)
    try:
        return started.wait_ready()
    except BaseException:
        started.kill()
        raise
