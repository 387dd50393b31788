# SPDX-License-Identifier: Apache-2.0
"""pybraid dump of processes that are hard to find, to enter, or to stop: the stacks are what the target says, or the exit code says why not."""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from support import debugger, embedded, odd, target
from support.braid import compare_thread, python_frames, thread_of
from support.process import before_exec, read_text, state_of, task_ids, tracer_of, wait_blocked, wait_until
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


def asleep(code, *words, **options):
    """A Python of this machine that runs `code`, which prints a line when it is there."""
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               start_new_session=True, preexec_fn=before_exec(), **options)
    assert process.stdout.readline()
    return process


def end(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    process.stdin.close()
    process.stdout.close()


def names(thread):
    return [frame["func"] for frame in python_frames(thread)]


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
            odd.check(python, dump_json(*options, there.pid), there.account)
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
                odd.check(python, dump_json(*options, there.pid), there.account)
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
        odd.check(python, dump_json(there.pid), there.account)
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
            odd.check(python, dump_json(*options, there.pid), there.account)
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
        document = dump_json(there.pid)
        odd.check(python, document, there.account)
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
            document = dump_json(*options, there.pid)
            odd.check(python, document, there.account)
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
            odd.check(python, dump_json(*options, there.pid), there.account)


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
            odd.check(python, dump_json(*options, there.pid), there.account)


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
        for options in ([], ["--consistent"]):
            thread = thread_of(dump_json(*options, process.pid), process.pid)
            assert thread["complete"], thread["note"]
            assert [(f["func"], f["short_file"], f["line"]) for f in python_frames(thread)] == [("deep", "app.py", 4), ("<module>", "app.py", 5)]
            modules = [os.path.basename(f["module"] or "") for f in thread["frames"] if f["kind"] == "native"]
            assert re.search(r"libc\.so.*libpython3\.11\.so.*python3\d*_plugin\.so.*uwsgi-core.*libc\.so.*uwsgi-core", " ".join(modules)), modules
            order = [f["kind"] for f in thread["frames"] if not f.get("plumbing")]
            assert order[-1] == "native" and "python" in order, order
    finally:
        end(process)


@pytest.mark.parametrize("kind", ["i386", "musl"])
def test_other_machines_and_libraries(kind, interpreters, target_folder):
    rows = [row for row in interpreters if kind in row.traits]
    if not rows:
        pytest.skip({"i386": "no 32-bit Python here (make pythons I386=1)", "musl": "no Python with musl can be had from Debian or PyPI"}[kind])
    with start(rows[0], "depth.py", "--depth", "12", folder=target_folder) as there:
        for options in ([], ["--consistent"]):
            odd.check(rows[0], dump_json(*options, there.pid), there.account)


# Odd states

def test_zombie():
    """An ended process whose parent does not care: it has no memory any more."""
    holder = asleep("import os, time\npid = os.fork()\nif not pid: os._exit(0)\nprint(pid, flush=True)\ntime.sleep(1000)")
    try:
        child = next(pid for pid in odd.below(holder.pid) if pid != holder.pid)
        wait_until(lambda: state_of(child) == "Z", "a zombie")
        for options in ([], ["--consistent"], ["--no-stop"]):
            done = pybraid("dump", *options, child)
            assert done.code == 3 and str(child) in done.err and not done.out, done
        done = pybraid("dump", "--children", holder.pid)
        assert done.code == 0 and not done.err and "time.sleep" in done.out or "<module>" in done.out, done
    finally:
        end(holder)


def test_the_first_thread_has_ended(target_folder):
    """pthread_exit() in main: a zombie among threads that live."""
    code = "import ctypes, threading, time\ndef lives():\n    print(flush=True); time.sleep(1000)\n" \
        "threading.Thread(target=lives).start()\ntime.sleep(0.1)\nctypes.CDLL(None).syscall(60, 0)"
    process = asleep(code)
    try:
        wait_until(lambda: state_of(process.pid) == "Z", "the first thread has ended")
        for options in ([], ["--consistent"], ["--no-stop"]):
            document = dump_json(*options, process.pid)
            thread, = [t for t in document["threads"] if t["tid"] != process.pid and t["tid"] in task_ids(process.pid)]
            assert "lives" in names(thread) and thread["complete"], thread
    finally:
        end(process)


BUSY = """
import sys, threading, time
def spin():
    print(flush=True)
    while True:
        pass
def outer():
    spin()
threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
outer()
"""


def goes_on(pid):
    """It uses CPU time, nobody traces it, nothing of it is stopped."""
    def ticks():
        words = read_text("/proc/%d/stat" % pid).rpartition(")")[2].split()
        return int(words[11]) + int(words[12])
    before = ticks()
    wait_until(lambda: ticks() > before, "it runs on", timeout=10)
    for tid in task_ids(pid):
        assert state_of(pid, tid) in "RS", (tid, state_of(pid, tid))
    assert tracer_of(pid) == 0


def check_busy(document, pid):
    thread = thread_of(document, pid)
    assert names(thread) == ["spin", "outer", "<module>"], thread
    return thread


def test_stopped_while_it_runs():
    """SIGSTOP in the middle of running: it is read, and still stopped."""
    process = asleep(BUSY)
    try:
        os.kill(process.pid, signal.SIGSTOP)
        wait_until(lambda: state_of(process.pid) == "T", "stopped")
        for options in ([], ["--consistent"], ["-l"], ["--no-stop"]):
            thread = check_busy(dump_json(*options, process.pid), process.pid)
            assert thread["complete"] or options == ["--no-stop"], (options, thread["note"])
            assert all(state_of(process.pid, tid) == "T" for tid in task_ids(process.pid)), options
        os.kill(process.pid, signal.SIGCONT)
        goes_on(process.pid)
    finally:
        end(process)


@pytest.mark.parametrize("folder", ["/sys/fs/cgroup/freezer", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"])
def test_frozen(folder):
    """By the cgroup freezer: nothing can be stopped, all can be read."""
    group = os.path.join(folder, "pybraid-odd-%d" % os.getpid())
    try:
        os.mkdir(group)
    except OSError as error:
        pytest.skip("no cgroup can be made in %s: %s" % (folder, error.strerror))
    switch = next((name for name in ("freezer.state", "cgroup.freeze") if os.path.exists(os.path.join(group, name))), None)
    process = None
    try:
        if switch is None:
            pytest.skip("%s is no cgroup with a freezer" % folder)
        on, off = ("FROZEN", "THAWED") if switch == "freezer.state" else ("1", "0")
        process = asleep(BUSY)
        write(group, "cgroup.procs", process.pid)
        write(group, switch, on)
        state = "D" if switch == "freezer.state" else "S"
        wait_until(lambda: all(state_of(process.pid, tid) in ("D", "S") for tid in task_ids(process.pid)), "frozen in state " + state)
        for options in ([], ["--consistent"], ["-l"], ["--no-stop"]):
            begin = time.monotonic()
            check_busy(dump_json(*options, process.pid), process.pid)
            assert time.monotonic() - begin < 5
        write(group, switch, off)
        goes_on(process.pid)
    finally:
        if process:
            write(group, switch, off)
            end(process)
        wait_until(lambda: removed(group), "the cgroup is empty")


def write(group, name, text):
    with open(os.path.join(group, name), "w") as stream:
        stream.write(str(text))


def removed(group):
    try:
        os.rmdir(group)
    except OSError:
        return False
    return True


def test_held_by_gdb(gdb):
    """A debugger has stopped it: it is read as it stands, without a stop of ours."""
    process = asleep(BUSY)
    holder = subprocess.Popen([*gdb.launch(), "-nx", "-q", "-iex", "set debuginfod enabled off", "-p", str(process.pid)],
                              stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=before_exec())
    try:
        wait_until(lambda: all(state_of(process.pid, tid) == "t" for tid in task_ids(process.pid)), "gdb has attached", timeout=60)
        tracer = tracer_of(process.pid)
        for options in ([], ["--consistent"], ["--no-stop"]):
            thread = check_busy(dump_json(*options, process.pid), process.pid)
            if options != ["--no-stop"] and not thread["complete"]:
                assert "already traced by %d" % tracer in thread["note"], thread
            assert tracer_of(process.pid) == tracer
        holder.communicate(b"detach\nquit\n", timeout=60)
        goes_on(process.pid)
    finally:
        for one in (holder, process):
            one.kill()
            one.wait()


def test_traced_and_running():
    """strace has it: it may run, but we may not stop it. Read without a stop, and that is said."""
    process = asleep(BUSY)
    holder = subprocess.Popen([odd.compiled("tracer"), *map(str, [process.pid, *task_ids(process.pid)][1:])], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, preexec_fn=before_exec())
    try:
        assert holder.stdout.readline() == b"TRACES\n"
        for options in ([], ["--consistent"], ["-l"]):
            thread = check_busy(dump_json(*options, process.pid), process.pid)
            assert thread["mode"] in ("validated", "unchecked"), thread
            assert "already traced by %d tracer" % holder.pid in thread["note"], thread["note"]
            assert pybraid("dump", "--strict", *options, process.pid).code == 6
        assert tracer_of(process.pid) == holder.pid
        holder.communicate(timeout=10)
        goes_on(process.pid)
        assert check_busy(dump_json(process.pid), process.pid)["complete"]
    finally:
        for one in (holder, process):
            one.kill()
            one.wait()


VFORK = """
import subprocess, sys, threading
def work():
    while True:
        pass
def starts():
    threading.Thread(target=work, daemon=True).start()
    print(flush=True)
    subprocess.run(["/bin/true"])
starts()
"""


def test_a_vfork_parent(record_property):
    """CPython's own subprocess, whose child has not come to its exec: the parent cannot be stopped, all the same it is read."""
    process = asleep(VFORK, env=dict(os.environ, LD_PRELOAD=odd.library("slow_exec")))
    try:
        wait_until(lambda: state_of(process.pid) == "D", "a vfork parent (uninterruptible)")
        other, = [tid for tid in task_ids(process.pid) if tid != process.pid]
        for options in ([], ["--consistent"], ["-l"], ["--no-stop"]):
            begin = time.monotonic()
            document = dump_json(*options, process.pid)
            seconds = time.monotonic() - begin
            assert seconds < 3, (options, seconds)
            main = thread_of(document, process.pid)
            assert names(main)[-2:] == ["starts", "<module>"] and "_execute_child" in names(main), main
            assert names(thread_of(document, other))[0] == "work"
            record_property("said", "vfork parent, %s: %.0f ms, %s, %s" % (options, seconds * 1000, main["mode"], main["note"]))
        # The child shares the memory of its parent.
        child = next(pid for pid in odd.below(process.pid) if pid != process.pid)
        done = pybraid("dump", "--children", process.pid)
        assert done.code == 0 and "Process %d" % process.pid in done.out, done
        assert pybraid("dump", child).code == 0
        assert state_of(process.pid) == "D" and state_of(process.pid, other) in "RS"
    finally:
        end(process)


# What changes meanwhile

EXECS = """
import os, sys
def again(n):
    for name in ("json", "decimal", "argparse"):
        __import__(name)
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], sys.argv[1], str(n + 1)])
if sys.argv[2] == "0":
    print(flush=True)
again(int(sys.argv[2]))
"""


def test_exec_during_the_dump(record_property):
    process = asleep(EXECS, EXECS, 0)
    codes = {}
    try:
        for turn in range(60):
            options = [[], ["--consistent"], ["-l"], ["--no-stop"]][turn % 4]
            begin = time.monotonic()
            done = pybraid("dump", *options, process.pid, timeout=20)
            assert time.monotonic() - begin < 5, done
            assert done.code in (0, 3, 5), done  # 3, 5: the old program has gone, the new one is no Python yet
            assert done.code == 0 or done.err.startswith("pybraid: "), done
            codes[done.code] = codes.get(done.code, 0) + 1
        assert tracer_of(process.pid) == 0 and state_of(process.pid) in "RSD"
        assert codes.get(0, 0) > 0, codes
        record_property("said", "dumps of a process that only calls exec(), by exit code: %s" % codes)
    finally:
        end(process)


STORM = """
import os, sys
def storm():
    print(flush=True)
    while True:
        pids = []
        for _ in range(4):
            pids.append(os.fork())
            if not pids[-1]:
                os._exit(0)
        for pid in pids:
            os.waitpid(pid, 0)
storm()
"""


def test_fork_storm(record_property):
    """Children come and go all the time; what has gone is no failure."""
    process = asleep(STORM)
    shown = 0
    try:
        for turn in range(40):
            done = pybraid("dump", "--children", *[[], ["--consistent"], ["--no-stop"], ["-p"]][turn % 4], process.pid)
            assert done.code == 0, done
            assert "storm" in done.out.partition("\n\nProcess")[0], done.out
            shown += done.out.count("Process ") - 1
        assert tracer_of(process.pid) == 0
        record_property("said", "fork storm: %d of its short children were caught by 40 dumps" % shown)
    finally:
        end(process)


def test_threads_come_and_go(interpreters, target_folder):
    python = next(row for row in interpreters if row.path == "/usr/bin/python3.11" or "pyenv" in row.traits and row.minor >= (3, 8))
    with start(python, "threads.py", "--mode", "churn", folder=target_folder) as there:
        for turn in range(30):
            document = dump_json(*[[], ["--consistent"], ["--no-stop"]][turn % 3], there.pid)
            assert "churn" in names(thread_of(document, there.pid))
            tids = [t["tid"] for t in document["threads"] if t["tid"] is not None]
            assert len(tids) == len(set(tids))
        debugger.assert_undisturbed(there)


DAEMON = """
import os, sys, time
def daemon():
    print(os.getpid(), flush=True)
    time.sleep(1000)
def leader():
    time.sleep(1000)
if os.fork() == 0:
    SETSID
    if os.fork() == 0:
        daemon()
    os._exit(0)
os.wait()
leader()
"""


@pytest.mark.parametrize("way", ["same session", "own session"])
def test_a_daemonised_grandchild(way):
    """Its parent has gone; as long as it is in the session, it is found below the session's leader. If not, it has a pid of its own."""
    process = asleep(DAEMON.replace("SETSID", "os.setsid()" if way == "own session" else "pass"))
    daemon = None
    try:
        daemon = next(pid for pid in map(int, filter(str.isdigit, os.listdir("/proc")))
                      if pid != process.pid and (cmdline(pid) == cmdline(process.pid)))
        wait_until(lambda: odd.parent_of(daemon) not in (process.pid,) and state_of(process.pid) == "S", "a daemon")
        done = pybraid("dump", "--children", process.pid)
        assert done.code == 0 and "leader" in done.out and not done.err, done
        assert ("Process %d" % daemon in done.out and "daemon" in done.out) == (way == "same session"), done.out
        alone = dump_json(daemon)
        assert names(thread_of(alone, daemon))[:1] == ["daemon"]
    finally:
        if daemon:
            os.kill(daemon, signal.SIGKILL)
        end(process)


def cmdline(pid):
    try:
        return read_text("/proc/%d/cmdline" % pid)
    except (FileNotFoundError, ProcessLookupError):
        return None
