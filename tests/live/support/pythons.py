# SPDX-License-Identifier: Apache-2.0
"""Every interpreter that this machine has, as a matrix for the live tests.

Sources: pyenv's versions, /usr/bin/python3 (and Debian's debug build beside it), and what `make pythons`
put into the cache: Debian roots (`sid-…`, on demand `i386-…`, run in a mount namespace of their own), python-build-standalone
(`pbs-…`), a free-threaded build (`ft-…`). Nothing is required: what is absent is listed with its reason.
"""
import glob
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field, replace

HERE = os.path.dirname(os.path.abspath(__file__))
REPO = os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
ENTER_ROOT = os.path.join(HERE, "enter_root.py")

PROBE = r"""
import json, sys, sysconfig
cv = sysconfig.get_config_var
paths = sysconfig.get_paths()
jit = getattr(sys, "_jit", None)
try:
    import ctypes
    have_ctypes = True
except ImportError:
    have_ctypes = False
print(json.dumps({
    "version": list(sys.version_info[:3]), "release": sys.version_info[3], "executable": sys.executable,
    "include": [paths["include"], paths.get("platinclude", paths["include"])],
    "shared": bool(cv("Py_ENABLE_SHARED")), "debug": hasattr(sys, "gettotalrefcount"),
    "freethreaded": bool(cv("Py_GIL_DISABLED")), "jit_built": bool(jit and jit.is_available()),
    "jit_on": bool(jit and jit.is_enabled()), "ctypes": have_ctypes,
    "implementation": getattr(sys, "implementation", None) and sys.implementation.name or "cpython",
    "libpython": cv("INSTSONAME") or "", "prefix": sys.prefix, "size": sys.maxsize}))
"""


def cache_folder():
    """Where `make pythons` puts what it fetches."""
    if os.environ.get("PYBRAID_CACHE"):
        return os.environ["PYBRAID_CACHE"]
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "pybraid")


@dataclass(frozen=True)
class Interpreter:
    """One row of the matrix.

    `path` is the executable as this machine sees it, `inside` as the process sees it (they differ only
    under `root`). `launch` is how to start it. `traits` is a set of words: shared, static, stripped, pbs,
    jit, freethreaded, debug, i386 (32-bit, on x86_64), root (in a mount namespace of its own), pyenv, debian.
    """

    id: str
    path: str
    root: str = ""
    env: dict = field(default_factory=dict, hash=False)
    traits: frozenset = frozenset()
    version: tuple = ()
    facts: dict = field(default_factory=dict, hash=False)

    @property
    def minor(self):
        return self.version[:2]

    @property
    def inside(self):
        return self.path[len(self.root):] if self.root else self.path

    def launch(self, *binds):
        """The argument vector that starts it; `binds` are folders it has to see under their own paths."""
        if not self.root:
            return [self.path]
        folders = [os.path.join(REPO, "tests"), *binds]
        return [sys.executable, ENTER_ROOT, self.root, *folders, "--", self.inside]

    def environment(self):
        """The environment to start it in: ours without what would change a Python, and its own."""
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PYENV"))}
        env.update({"PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8", "LC_ALL": "C.UTF-8"})
        env.update(self.env)
        return env

    def run(self, *arguments, timeout=60, binds=()):
        """Runs it to its end; returns subprocess.CompletedProcess with text output."""
        return subprocess.run([*self.launch(*binds), *arguments], env=self.environment(), timeout=timeout,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              encoding="utf-8", errors="replace")

    def __str__(self):
        return self.id


@dataclass(frozen=True)
class Absent:
    """A row that could not be had, and why."""

    id: str
    reason: str


def is_stripped(path):
    """True if the file has no .symtab (libpython's, where the executable is only a stub)."""
    done = subprocess.run(["readelf", "-SW", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          encoding="utf-8", errors="replace")
    return ".symtab" not in done.stdout


def binary_of(found):
    """The file that holds the interpreter: libpython if the executable needs it, else the executable."""
    needs = subprocess.run(["readelf", "-dW", found.path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           encoding="utf-8", errors="replace").stdout
    match = re.search(r"NEEDED.*\[([^\]]*libpython[^\]]*)\]", needs)
    if not match:
        return found.path, False
    name = os.path.basename(match.group(1).replace("$ORIGIN", ""))
    real = os.path.realpath(found.path)
    prefix = os.path.dirname(os.path.dirname(real))
    folders = [os.path.join(prefix, "lib"), found.root + "/usr/lib/%s-linux-gnu" % os.uname().machine]
    for folder in folders:
        if os.path.exists(os.path.join(folder, name)):
            return os.path.join(folder, name), True
    return found.path, True


def probe(found):
    """Starts the interpreter once and completes its row; an Absent row if it does not start."""
    try:
        done = found.run("-c", PROBE, timeout=60)
        facts = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        said = getattr(locals().get("done"), "stderr", "") or str(error)
        last = (said.strip().splitlines() or ["no output"])[-1]
        return Absent(found.id, "%s does not start: %s" % (found.path, last))
    if facts["implementation"] != "cpython":
        return Absent(found.id, "%s is %s" % (found.path, facts["implementation"]))
    traits = set(found.traits)
    binary, shared = binary_of(found)
    traits.add("shared" if shared else "static")
    if is_stripped(binary):
        traits.add("stripped")
    for trait in ("debug", "freethreaded"):
        if facts[trait]:
            traits.add(trait)
    if facts["jit_on"]:
        traits.add("jit")
    if facts["size"] == 2 ** 31 - 1:
        traits.add("i386")
    facts["binary"] = binary
    return replace(found, version=tuple(facts["version"]), traits=frozenset(traits), facts=facts)


def pyenv_candidates():
    root = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    for path in sorted(glob.glob(os.path.join(root, "versions", "*", "bin", "python"))):
        name = path.split(os.sep)[-3]
        if re.match(r"\d", name):
            yield Interpreter("pyenv-" + name, path, traits=frozenset({"pyenv"}))


def system_candidates():
    for path in sorted(glob.glob("/usr/bin/python[23].*")):
        match = re.fullmatch(r"python(\d\.\d+d?)", os.path.basename(path))
        if match:
            yield Interpreter("debian-" + match.group(1), path, traits=frozenset({"debian"}))


def root_candidates(cache):
    """Interpreters of the Debian root in the cache, each also with its JIT on where it has one."""
    for root in sorted(glob.glob(os.path.join(cache, "root-*")) + glob.glob(os.path.join(cache, "sid"))):
        suite = os.path.basename(root).replace("root-", "")
        for path in sorted(glob.glob(root + "/usr/bin/python3.*")):
            match = re.fullmatch(r"python(3\.\d+d?)", os.path.basename(path))
            if match:
                yield Interpreter("%s-%s" % (suite, match.group(1)), path, root=root,
                                  traits=frozenset({"root", "debian"}))


def pbs_candidates(cache):
    for folder in sorted(glob.glob(os.path.join(cache, "pbs-*"))):
        path = os.path.join(folder, "bin", "python3")
        if os.path.exists(path):
            yield Interpreter(os.path.basename(folder), os.path.realpath(path), traits=frozenset({"pbs"}))


def built_candidates(cache):
    for folder in sorted(glob.glob(os.path.join(cache, "ft-*"))):
        for path in sorted(glob.glob(os.path.join(folder, "bin", "python3.*t"))):
            yield Interpreter(os.path.basename(folder), path, traits=frozenset({"built"}))


def fetch_report(cache):
    """What `make pythons` could not fetch, as it recorded it."""
    path = os.path.join(cache, "absent.json")
    if not os.path.exists(path):
        return [Absent("sid, pbs, ft", "not fetched: run `make pythons` (cache %s)" % cache)]
    with open(path, encoding="utf-8") as stream:
        return [Absent(name, reason) for name, reason in sorted(json.load(stream).items())]


def with_jit(found):
    """The same interpreter with its JIT switched on, if one is built in and off."""
    if isinstance(found, Absent) or not found.facts["jit_built"] or found.facts["jit_on"]:
        return None
    env = dict(found.env, PYTHON_JIT="1")
    return probe(replace(found, id=found.id + "-jit", env=env))


def candidates(cache):
    yield from pyenv_candidates()
    yield from system_candidates()
    for found in root_candidates(cache):
        if os.geteuid() != 0:
            yield Absent(found.id, "entering %s needs root" % found.root)
        else:
            yield found
    yield from pbs_candidates(cache)
    yield from built_candidates(cache)


def discover():
    """(interpreters, absent): all of them, each started once."""
    cache = cache_folder()
    rows, absent = [], fetch_report(cache)
    for candidate in candidates(cache):
        row = candidate if isinstance(candidate, Absent) else probe(candidate)
        if isinstance(row, Absent):
            absent.append(row)
            continue
        rows.append(row)
        jit = with_jit(row)
        if isinstance(jit, Interpreter):
            rows.append(jit)
        elif jit is not None:
            absent.append(jit)
    rows.sort(key=lambda row: (row.id.split("-")[0], row.version, row.id))
    return rows, absent


def quick(rows):
    """One interpreter for each (origin, minor version), and the newest JIT; no debug builds, no 32-bit ones."""
    chosen, seen = [], set()
    newest = max((row.minor for row in rows), default=None)
    for row in rows:
        twin = bool({"jit", "debug"} & row.traits) and "freethreaded" not in row.traits
        if "i386" in row.traits:
            continue
        if twin and (row.minor != newest or "debug" in row.traits):
            continue
        key = (row.id.split("-")[0], row.minor, "jit" in row.traits)
        if key not in seen:
            seen.add(key)
            chosen.append(row)
    return chosen


def select(rows, wanted):
    """Rows for `--pythons`: "all", "quick", or ids separated by commas (a prefix such as "pyenv" will do)."""
    if wanted == "all":
        return rows
    if wanted == "quick":
        return quick(rows)
    chosen = []
    for word in wanted.split(","):
        hits = [row for row in rows if row.id == word] or [row for row in rows if row.id.startswith(word)]
        if not hits:
            raise ValueError("no interpreter %r; there are: %s" % (word, ", ".join(row.id for row in rows)))
        chosen += [row for row in hits if row not in chosen]
    return chosen


def packages_for(row):
    """Folders of packages from PyPI that `make pythons` fetched for this version and ABI (greenlet)."""
    folder = os.path.join(cache_folder(), "packages-%d.%d" % row.minor)
    if {"freethreaded", "debug"} & row.traits or not os.path.isdir(folder):
        return []
    return [folder]


def main():
    rows, absent = discover()
    for row in rows:
        version = ".".join(map(str, row.version))
        print("%-18s %-8s %s %s" % (row.id, version, row.path, " ".join(sorted(row.traits))))
    for row in absent:
        print("%-18s absent: %s" % (row.id, row.reason))


if __name__ == "__main__":
    main()
