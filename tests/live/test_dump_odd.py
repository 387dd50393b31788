# SPDX-License-Identifier: Apache-2.0
"""pybraid dump of processes in odd places and of odd make: the stacks are what the target says, or the exit code says why not."""
import glob
import json
import os
import re
import shutil
import subprocess

import pytest

from support import embedded, odd, target
from support.braid import python_frames, thread_of
from support.process import before_exec, read_text, wait_blocked
from support.shell import PYBRAID, dump_json, pybraid
from support.target import start

pytestmark = pytest.mark.matrix("odd")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: for a namespace or a root of its own")
NAMESPACES = {
    "pid": ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"],
    "mount": ["unshare", "--mount"],
    "user": ["unshare", "--user", "--map-root-user"],
    "all": ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "--kill-child", "--net", "--ipc", "--uts"],
}
NO_ROOTS = pytest.mark.pythons(since=(3, 8), without={"root"})


# Other places

@needs_root
@NO_ROOTS
@pytest.mark.parametrize("kind", sorted(NAMESPACES))
def test_namespaces(python, kind, target_folder):
    """From outside; and where there is a PID namespace, from inside it with its own /proc, its ids."""
    account = str(target_folder / "account.json")
    with odd.start(python, [*NAMESPACES[kind], python.path, *odd.deep(account)], target_folder) as there:
        assert (odd.ids_inside(there.pid, there.pid)[-1] == 1) == (kind in ("pid", "all"))
        for options in ([], ["--consistent"]):
            odd.check_dump(python, there, *options)
        if kind not in ("pid", "all"):
            return
        entered = ["nsenter", "-t", str(there.pid), "-p", "-m", *(["-U", "--preserve-credentials"] if kind == "all" else [])]
        for options in ([], ["--consistent"]):
            done = subprocess.run([*entered, PYBRAID, "dump", "--json", *options, "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=60)
            assert done.returncode == 0, done
            seen_there = json.loads(done.stdout.decode("utf-8"))
            odd.check(python, seen_there, there.account, to=lambda tid: odd.ids_inside(there.pid, tid)[-1])


@needs_root
@pytest.mark.pythons(since=(3, 8), without={"root", "pbs", "built"})
def test_chroot(python, target_folder):
    """Its files lie below a root of its own, and at the same paths outside lie others."""
    root = str(target_folder / "root")
    stdlib = python.run("-c", "import sysconfig; print(sysconfig.get_paths()['stdlib'])").stdout.strip()
    binary = python.facts["binary"]
    name = "/usr/bin/python3.11" if os.path.realpath(binary) != os.path.realpath(python.path) else "/opt/a server"
    for folder in ("/usr/bin", "/opt", "/t"):
        os.makedirs(root + folder)
    shutil.copytree(stdlib, root + "/usr/lib/" + os.path.basename(stdlib),
                    ignore=shutil.ignore_patterns("test", "site-packages", "dist-packages", "idlelib", "ensurepip", "config-*", "__pycache__"))
    shutil.copy(os.path.realpath(python.path), root + name)
    needed = set()
    for one in [python.path, binary, *glob.glob(stdlib + "/lib-dynload/_struct.*.so"), *glob.glob(stdlib + "/lib-dynload/_json.*.so")]:
        done = subprocess.run(["ldd", one], stdout=subprocess.PIPE, encoding="utf-8")
        needed |= set(re.findall(r"(/\S+) \(0x", done.stdout))
    for one in needed:
        os.makedirs(root + os.path.dirname(one), exist_ok=True)
        shutil.copy(one, root + one)
    for script in ("depth.py", "common.py"):
        shutil.copy(os.path.join(target.TARGETS, script), root + "/t")
    argv = ["chroot", root, name, "/t/depth.py", "/t/account.json", "--depth", "12"]
    try:
        with odd.start(python, argv, target_folder, root + "/t/account.json", {"PYTHONHOME": "/usr"}) as there:
            for options in ([], ["--consistent"], ["--no-stop"]):
                odd.check_dump(python, there, *options)
            assert dump_json(there.pid)["process"]["executable"].endswith(name)
    finally:
        shutil.rmtree(root)


@NO_ROOTS
@pytest.mark.parametrize("way", ["deleted", "another", "garbage", "fifo", "folder"])
def test_the_binary_is_not_there_any_more(python, way, target_folder):
    """Deleted, or replaced by an upgrade, by something that is no program at all; the name is odd as well."""
    folder = target_folder / "x y"
    folder.mkdir()
    copies, env = odd.copy_interpreter(python, folder, "s) R 0 (\n1 (deleted)")
    account = str(target_folder / "account.json")
    with odd.start(python, [copies[0], *odd.deep(account)], target_folder, env=env) as there:
        maps = read_text("/proc/%d/maps" % there.pid)
        assert all(os.path.basename(copy).split("\n")[0] in maps for copy in copies), "an RPATH in front of our copies"
        odd.check_dump(python, there)
        for copy in copies:
            os.unlink(copy)
            if way == "another":
                shutil.copy("/bin/bash", copy)
            elif way == "garbage":
                with open(copy, "w") as stream:
                    stream.write("no program\n" * 1000)
            elif way == "fifo":
                os.mkfifo(copy)
            elif way == "folder":
                os.mkdir(copy)
        for options in ([], ["--consistent"], ["-p"]):
            odd.check_dump(python, there, *options)
        text = pybraid("dump", there.pid)
        assert text.code == 0 and "\x1b" not in text.out


# Other hosts

@NO_ROOTS
@pytest.mark.parametrize("name", ["a server\nof sorts", "(", " "])
def test_names(python, name, target_folder):
    """Spaces, newlines, parentheses in the names of program, script and folder; nothing says "python"."""
    folder = target_folder / "two\nlines [heap]"
    folder.mkdir()
    copies, env = odd.copy_interpreter(python, folder, name)
    scripts = target.copy_of_targets(folder)
    script = os.path.join(scripts, "a script\nof two lines.py")
    os.rename(os.path.join(scripts, "depth.py"), script)
    account = str(target_folder / "account.json")
    with odd.start(python, [copies[0], script, account, "--depth", "12"], target_folder, env=env) as there:
        document = odd.check_dump(python, there)
        assert document["process"]["command"] == [copies[0], script, account, "--depth", "12"]
        text = pybraid("dump", there.pid).out
        assert "a script\\nof two lines.py" in text and "a script\nof" not in text, text[:3000]


@pytest.mark.parametrize("static", [True, False], ids=["static-stripped", "shared"])
@pytest.mark.pythons(since=(3, 8), without={"root", "pbs", "jit"})
def test_embedded(python, static, target_folder):
    host, reason = embedded.build(python, static)
    if host is None:
        pytest.skip(reason)
    path = shutil.copy(host, target_folder / "server")
    with embedded.start(python, path, "depth.py", "--depth", "12", folder=target_folder / "run") as there:
        for options in ([], ["--consistent"]):
            document = odd.check_dump(python, there, *options)
        host_frames = [f["name"] for f in thread_of(document, there.pid)["frames"] if f["kind"] == "native"]
        assert static or ["host_inner", "host_outer", "main"] == [n for n in host_frames if n in ("host_inner", "host_outer", "main")]


@pytest.mark.pythons(since=(3, 8), having={"shared"}, without={"root"})
def test_libpython_comes_late(python, target_folder):
    """A program that is no Python until it loads one by dlopen()."""
    account = str(target_folder / "account.json")
    argv = [odd.compiled("late", "-ldl"), python.facts["binary"], *odd.deep(account)]
    env = dict(python.environment(), PYTHONHOME=python.facts["prefix"])
    with target.launch(argv, str(target_folder), account, python, env, stack=target.GIGABYTE) as there:
        assert there.read_line() == "LATE"
        done = pybraid("dump", there.pid)
        assert done.code == 5 and str(there.pid) in done.err and not done.out, done
        there.go_on()
        odd.from_outside(there, account)
        for options in ([], ["--consistent"]):
            odd.check_dump(python, there, *options)


@pytest.mark.pythons(since=(3, 8), without={"root", "jit"})
def test_two_libpythons(python, interpreters, target_folder):
    """The library of another version is mapped as well, but not initialised."""
    others = [row for row in interpreters if {"shared"} <= row.traits and not row.root and row.minor != python.minor
              and row.minor >= (3, 8)]
    if not others or not python.facts["ctypes"]:
        pytest.skip("no second libpython here, or no ctypes")
    script, account = str(target_folder / "two.py"), str(target_folder / "account.json")
    with open(script, "w") as stream:
        stream.write("import ctypes, runpy, sys\nsys.path.insert(0, %r)\nloaded = [ctypes.CDLL(path) for path in %r]\n"
                     "runpy.run_path(%r, run_name='__main__')\n"
                     % (target.TARGETS, [row.facts["binary"] for row in others[:2]], os.path.join(target.TARGETS, "depth.py")))
    with odd.start(python, [python.path, script, account, "--depth", "12"], target_folder) as there:
        maps = read_text("/proc/%d/maps" % there.pid)
        assert all(row.facts["binary"] in maps for row in others[:2])
        for options in ([], ["--consistent"]):
            odd.check_dump(python, there, *options)


def test_uwsgi(target_folder):
    if not os.path.exists("/usr/bin/uwsgi-core") or not os.path.exists("/usr/lib/uwsgi/plugins/python3_plugin.so"):
        pytest.skip("uWSGI is not installed (Debian: uwsgi-core uwsgi-plugin-python3)")
    (target_folder / "app.py").write_text("import os, time\ndef deep():\n    os.write(1, b'R\\n')\n    time.sleep(1000)\ndeep()\n")
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYENV"))}
    process = subprocess.Popen(["/usr/bin/uwsgi-core", "--plugin", "python3", "--socket", str(target_folder / "socket"), "--wsgi-file", "app.py",
                                "--threads", "2"], cwd=str(target_folder), env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, start_new_session=True, preexec_fn=before_exec())
    try:
        assert process.stdout.readline() == b"R\n"
        wait_blocked(process.pid, process.pid, ["clock_nanosleep", "select", "pselect6"])
        for options in ([], ["--consistent"]):
            thread = thread_of(dump_json(*options, process.pid), process.pid)
            assert thread["complete"], thread["note"]
            assert [(f["func"], f["short_file"], f["line"]) for f in python_frames(thread)] == [("deep", "app.py", 4), ("<module>", "app.py", 5)]
            modules = [os.path.basename(f["module"] or "") for f in thread["frames"] if f["kind"] == "native"]
            assert re.search(r"libc\.so.*libpython3\.11\.so.*python3\d*_plugin\.so.*uwsgi-core.*libc\.so.*uwsgi-core", " ".join(modules)), modules
            order = [f["kind"] for f in thread["frames"] if not f.get("plumbing")]
            assert order[-1] == "native" and "python" in order, order
    finally:
        odd.end(process)


@pytest.mark.parametrize("kind", ["i386", "musl"])
def test_other_machines_and_libraries(kind, interpreters, target_folder):
    rows = [row for row in interpreters if kind in row.traits]
    if not rows:
        pytest.skip({"i386": "no 32-bit Python here (make pythons I386=1)", "musl": "no Python with musl can be had from Debian or PyPI"}[kind])
    with start(rows[0], "depth.py", "--depth", "12", folder=target_folder) as there:
        for options in ([], ["--consistent"]):
            odd.check_dump(rows[0], there, *options)
