# SPDX-License-Identifier: Apache-2.0
"""What `make install` and `make deb` leave works where it lies, and `make uninstall` leaves nothing."""
import glob
import json
import os
import re
import shutil
import subprocess

import pytest

from support.pythons import REPO
from support.target import start

HEADER = open(REPO + "/core/include/pybraid.h").read()
VERSION = re.search(r'PYB_VERSION "(.*)"', HEADER).group(1)


def run(*argv, check=True, timeout=300, **options):
    done = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=timeout, encoding="utf-8", **options)
    assert not check or done.returncode == 0, (argv, done.returncode, done.stdout[-2000:], done.stderr[-2000:])
    return done


def files_below(folder):
    return sorted(os.path.relpath(os.path.join(where, name), folder) for where, _folders, names in os.walk(folder) for name in names)


@pytest.fixture(scope="module")
def make():
    """Runs make in the tree, one at a time over all workers: the targets write into the build folder."""
    import fcntl
    with open(REPO + "/build/.install", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lambda *words: run("make", "--no-print-directory", "-C", REPO, *words)
        run("make", "--no-print-directory", "-C", REPO, "-B", "build/pybraid.pc")  # as a plain make leaves it


@pytest.fixture(scope="module")
def installed(make, tmp_path_factory):
    """A tree whose PREFIX is where it lies."""
    folder = str(tmp_path_factory.mktemp("installed"))
    make("PREFIX=" + folder, "install")
    return folder


@pytest.mark.matrix("install")
def test_the_programs(installed):
    done = run(installed + "/bin/pybraid", "--version")
    assert done.stdout == "pybraid %s\n" % VERSION
    # Self-contained: it needs no library of ours.
    assert "libpybraid" not in run("ldd", installed + "/bin/pybraid").stdout
    front = {one["name"]: one for one in json.loads(run(installed + "/bin/pybraid", "doctor", "--json").stdout)["front_ends"]}
    if shutil.which("gdb"):
        assert front["gdb"]["usable"] == "yes", front["gdb"]
        assert "(gdb) source %s/share/pybraid/gdb/pybraid.py" % installed in front["gdb"]["notes"], front["gdb"]


@pytest.mark.matrix("install")
def test_gdb_finds_the_installed_library(installed, python, target_folder):
    if not shutil.which("gdb"):
        pytest.skip("no gdb")
    with start(python, "depth.py", "--depth", "4", "--threads", "0", folder=target_folder) as target:
        environment = {key: value for key, value in os.environ.items() if key != "PYBRAID_GDB_LIBRARY"}
        done = run("gdb", "-nx", "-batch", "-iex", "set debuginfod enabled off", "-iex", "set auto-load python-scripts off", "-p", target.pid, "-ex",
                   "source %s/share/pybraid/gdb/pybraid.py" % installed, "-ex", "py-bt-native", "-ex", "info sharedlibrary", env=environment)
    assert target.main["frames"][0]["name"] in done.stdout and "<module>" in done.stdout, done.stdout + done.stderr


@pytest.mark.matrix("install")
def test_the_example(installed, python, target_folder):
    """examples/dump.c, built as its first line says."""
    if not shutil.which("pkg-config"):
        pytest.skip("no pkg-config")
    source = REPO + "/examples/dump.c"
    assert len(open(source).readlines()) < 60
    environment = dict(os.environ, PKG_CONFIG_PATH=installed + "/lib/pkgconfig")
    flags = run("pkg-config", "--cflags", "--libs", "pybraid", env=environment).stdout.split()
    assert run("pkg-config", "--modversion", "pybraid", env=environment).stdout.strip() == VERSION
    static = run("pkg-config", "--libs", "--static", "pybraid", env=environment).stdout.split()
    programs = {"shared": flags, "static": [flags[0], "-Wl,-Bstatic", "-lpybraid", "-Wl,-Bdynamic", "-L" + installed + "/lib", *static]}
    with start(python, "depth.py", "--depth", "6", "--threads", "1", folder=target_folder) as target:
        for name, words in programs.items():
            program = str(target_folder / name)
            if name == "static":
                words = [word for word in words if word not in ("-Wl,-Bstatic", "-Wl,-Bdynamic")]
                words = [installed + "/lib/libpybraid.a" if word == "-lpybraid" else word for word in words]
            run("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", source, "-o", program, *words)
            linked = "libpybraid.so" in run("ldd", program).stdout
            assert linked == (name == "shared")
            done = run(program, target.pid, env=dict(os.environ, LD_LIBRARY_PATH=installed + "/lib"))
            told = [frame["name"] for frame in target.main["frames"]]
            assert "Python %d.%d.%d" % tuple(target.account["version"][:3]) in done.stdout.split("\n")[0], done.stdout[:300]
            assert done.stdout.count("\nThread %d " % target.pid) == 1 and all(name in done.stdout for name in told), done.stdout
    gone = run(program, target.pid, check=False, env=dict(os.environ, LD_LIBRARY_PATH=installed + "/lib"))
    assert gone.returncode == 1 and "no process %d" % target.pid in gone.stderr, gone.stderr


@pytest.mark.matrix("install")
def test_man_pages_and_completions(installed):
    pages = sorted(glob.glob(installed + "/share/man/man1/*.1"))
    assert [os.path.basename(page) for page in pages] == sorted(os.path.basename(page) for page in glob.glob(REPO + "/docs/man/*.1"))
    if shutil.which("man"):
        for page in pages:
            done = run("man", "--warnings", "-l", page, env=dict(os.environ, MANWIDTH="80", LC_ALL="C.UTF-8"))
            assert "SYNOPSIS" in done.stdout and not done.stderr, (page, done.stderr)
    for name in ("pybraid", "pyannotate"):
        for path in ("bash-completion/completions/%s", "zsh/site-functions/_%s", "fish/vendor_completions.d/%s.fish"):
            assert os.path.exists(installed + "/share/" + path % name)


@pytest.mark.matrix("install")
def test_uninstall_leaves_nothing(make, tmp_path):
    root = str(tmp_path / "root")
    for words in (["PREFIX=/usr"], ["PREFIX=/opt/a b".replace(" ", ""), "LIBDIR=lib64"], []):
        make("DESTDIR=" + root, *words, "install")
        there = files_below(root)
        assert len(there) > 20 and any(path.endswith("bin/pybraid") for path in there)
        assert not os.path.exists(root + REPO), "nothing but what DESTDIR and PREFIX name"
        make("DESTDIR=" + root, *words, "uninstall")
        assert files_below(root) == []
        assert not [path for path, folders, _names in os.walk(root) if os.path.basename(path) == "pybraid"]


@pytest.fixture(scope="module")
def package(make):
    for tool in ("dpkg-deb", "dpkg-shlibdeps"):
        if not shutil.which(tool):
            pytest.skip("no %s (Debian: dpkg-dev)" % tool)
    make("deb")
    return glob.glob(REPO + "/build/pybraid_%s_*.deb" % VERSION)[0]


@pytest.mark.matrix("install")
def test_the_package_is_sound(package):
    fields = run("dpkg-deb", "-f", package).stdout
    assert "\nVersion: %s\n" % VERSION in fields and "\nRecommends: gdb\n" in fields
    depends = re.search(r"^Depends: (.*)", fields, re.M).group(1)
    linked = run("objdump", "-p", REPO + "/build/bin/pybraid").stdout + run("objdump", "-p", REPO + "/build/lib/libpybraid.so").stdout
    packages = {"libdw.so": "libdw1", "libelf.so": "libelf1", "libunwind": "libunwind8", "libz.so": "zlib1g", "liblzma.so": "liblzma5",
                "libzstd.so": "libzstd1", "libc.so": "libc6"}
    for library, name in packages.items():
        needed = re.search(r"NEEDED +" + re.escape(library), linked) is not None
        assert needed == (name in re.findall(r"[\w.+-]+", depends)), (library, depends)
    listed = run("dpkg-deb", "-c", package).stdout
    assert REPO not in listed and all(line.split()[1] == "root/root" for line in listed.splitlines())
    if shutil.which("lintian"):
        done = run("lintian", "--no-cfg", "--fail-on", "error,warning", "--allow-root", package, check=False)
        assert done.returncode == 0 and not done.stdout, done.stdout


# /usr and /etc as they would be with the package: its files above the machine's own, for one process and its children only.
AS_INSTALLED = """
set -e
mount -t overlay overlay -o "lowerdir=$1/usr:/usr" /usr
mount -t overlay overlay -o "lowerdir=$1/etc:/etc" /etc
shift
exec "$@"
"""


@pytest.mark.matrix("install")
def test_the_package_as_installed(package, python, target_folder):
    if os.geteuid() != 0:
        pytest.skip("needs root: to mount over /usr in a namespace of its own")
    root = str(target_folder / "root")
    run("dpkg-deb", "-x", package, root)
    inside = ["unshare", "--mount", "sh", "-c", AS_INSTALLED, "sh", root]
    probe = run(*inside, "true", check=False)
    if probe.returncode != 0:
        pytest.skip("no overlay mount here: " + probe.stderr.strip())
    assert run(*inside, "pybraid", "--version").stdout == "pybraid %s\n" % VERSION
    assert run(*inside, "pkg-config", "--modversion", "pybraid").stdout.strip() == VERSION
    if shutil.which("man"):
        text = run(*inside, "man", "pybraid-dump", env=dict(os.environ, MANWIDTH="80", LC_ALL="C.UTF-8")).stdout
        assert "pybraid-dump" in text and "--no-stop" in text
    program = str(target_folder / "dump")
    with start(python, "depth.py", "--depth", "3", "--threads", "0", folder=target_folder / "target") as target:
        innermost = target.main["frames"][0]["name"]
        if shutil.which("gdb"):
            # No word of ours to GDB: its own start-up folder loads the commands.
            done = run(*inside, "gdb", "-batch", "-iex", "set debuginfod enabled off", "-iex", "set auto-load python-scripts off", "-p", target.pid,
                       "-ex", "py-bt-native", env={key: value for key, value in os.environ.items() if key != "PYBRAID_GDB_LIBRARY"})
            assert innermost in done.stdout, done.stdout + done.stderr
        build = "cc %s/examples/dump.c -o %s $(pkg-config --cflags --libs pybraid) && %s %d" % (REPO, program, program, target.pid)
        assert innermost in run(*inside, "sh", "-c", build).stdout
        assert innermost in run(*inside, "pybraid", "dump", target.pid).stdout
    assert not os.path.exists("/usr/share/pybraid") or "pybraid" in run("dpkg-query", "-W", "pybraid", check=False).stdout
