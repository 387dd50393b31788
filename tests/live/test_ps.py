# SPDX-License-Identifier: Apache-2.0
"""pybraid ps: every Python of the machine, whatever it is called; what it says of each is what the process says of itself."""
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

import pytest

from support import embedded
from support.process import before_exec, state_of, wait_until
from support.shell import PYBRAID, pybraid
from support.target import start

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
HARMFUL = re.compile(u"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")
SLEEPER = "import os, time\ndef deep():\n    os.write(1, b'R')\n    time.sleep(1000)\ndeep()"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: to become another user, or a namespace's")


@pytest.fixture
def child():
    """Starts programs; those that print R are waited for."""
    started = []

    def run(*argv, ready=True, **options):
        process = subprocess.Popen([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True,
                                   preexec_fn=before_exec(), **options)
        started.append(process)
        if ready:
            assert process.stdout.read(1) == b"R"
            wait_until(lambda: state_of(process.pid) == "S", "a sleeper")
        return process
    yield run
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def ps_json(*words, prefix=(), program=PYBRAID):
    """{pid: document} of pybraid ps --json; the lines come by pid."""
    done = subprocess.run([*prefix, program, "ps", "--json", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 0 and not done.stderr, done
    documents = [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]
    pids = [one["process"]["pid"] for one in documents]
    assert pids == sorted(pids) and all(one["schema"] == 1 for one in documents)
    return dict(zip(pids, documents))


def check(document, python, target):
    told = target.main["frames"][0]
    process, frame = document["process"], document["frame"]
    assert document["readable"] is True and document["is_python"] is True and document["note"] is None, document
    assert process["python"].startswith("%d.%d.%d" % tuple(target.account["version"])), process
    assert process["free_threaded"] == ("freethreaded" in python.traits) and process["debug_build"] == ("debug" in python.traits)
    assert process["command"] == open("/proc/%d/cmdline" % target.pid).read().split("\0")[:-1]
    assert process["ppid"] == int(re.search(r"PPid:\s(\d+)", open("/proc/%d/status" % target.pid).read()).group(1))
    assert document["n_threads"] == len(os.listdir("/proc/%d/task" % target.pid))
    assert frame["func"] == told["name"] and frame["file"] == told["file"] and frame["line"] == told["line"], (frame, told)
    assert frame["short_file"] == os.path.basename(told["file"])


@pytest.mark.wide
@pytest.mark.matrix("ps")
def test_a_python(python, target_folder):
    with start(python, "depth.py", "--depth", "20", "--threads", "2", folder=target_folder) as target:
        document = ps_json()[target.pid]
        check(document, python, target)
        assert document["n_thread_states"] == 3
        text = pybraid("ps")
    row = next(line for line in text.out.splitlines() if line.split()[0] == str(target.pid))
    frame = document["frame"]
    version = document["process"]["python"] + ("t" if "freethreaded" in python.traits else "") + ("d" if "debug" in python.traits else "")
    assert re.match(r" *%d  %s +3  .*%s:%d  " % (target.pid, re.escape(version), re.escape(frame["short_file"]), frame["line"]), row), row
    assert row.endswith(" ".join(document["process"]["command"])), row
    assert re.match(r" *PID +PYTHON +THREADS +INNERMOST FRAME +COMMAND$", text.out.split("\n")[0])


@pytest.mark.matrix("ps")
@pytest.mark.parametrize("static", [True, False], ids=["static", "shared"])
@pytest.mark.pythons(since=(3, 8), without={"root", "pbs", "jit"})
def test_a_host_of_another_name(python, static, target_folder):
    """A C program that embeds Python, stripped; neither its name nor its arguments say "python"."""
    host, reason = embedded.build(python, static)
    if host is None:
        pytest.skip(reason)
    renamed = shutil.copy(host, target_folder / "a server\nof sorts")
    with embedded.start(python, renamed, "depth.py", "--depth", "5", "--threads", "0", folder=target_folder / "run") as target:
        found = ps_json()
        assert target.pid in found, (host, sorted(found))
        check(found[target.pid], python, target)
        # Its file may be gone.
        os.unlink(renamed)
        assert target.pid in ps_json()


@pytest.mark.matrix("ps")
def test_uwsgi(child, target_folder):
    """The interpreter comes with a plugin, by dlopen."""
    if not os.path.exists("/usr/bin/uwsgi-core") or not os.path.exists("/usr/lib/uwsgi/plugins/python3_plugin.so"):
        pytest.skip("uWSGI is not installed (Debian: uwsgi-core uwsgi-plugin-python3)")
    (target_folder / "app.py").write_text(SLEEPER)
    env = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PYENV"))}
    process = child("/usr/bin/uwsgi-core", "--plugin", "python3", "--socket", target_folder / "socket", "--wsgi-file", "app.py",
                    cwd=str(target_folder), env=env, stderr=subprocess.DEVNULL)
    row = ps_json()[process.pid]
    assert row["process"]["executable"] == "/usr/bin/uwsgi-core" and row["process"]["python"].startswith("3."), row
    assert row["frame"]["name"] == "deep" and row["frame"]["short_file"] == "app.py" and row["frame"]["line"] == 4, row


@pytest.mark.matrix("ps")
def test_a_host_without_exports(target_folder):
    """A static host that exports nothing and is stripped: only a section's name is left."""
    from support import pythons
    rows = [row for row in pythons.discover()[0] if row.id.startswith("debian-3.1") and "debug" not in row.traits]
    options = embedded.library_options(rows[0], True) if rows else "no Debian Python"
    if isinstance(options, str):
        pytest.skip(options)
    includes = embedded.extension.include_options(rows[0])
    path = str(target_folder / "host")
    argv = ["cc", "-O2", "-s", *includes, embedded.SOURCE, "-o", path, *[word for word in options if "export-dynamic" not in word]]
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        pytest.skip("does not link: " + done.stdout.decode()[-300:])
    names = subprocess.run(["nm", "-D", path], stdout=subprocess.PIPE, check=True).stdout.decode()
    assert "PyInterpreterState_Head" not in names
    with embedded.start(rows[0], path, "depth.py", "--depth", "3", "--threads", "0", folder=target_folder / "run") as target:
        check(ps_json()[target.pid], rows[0], target)


@pytest.mark.matrix("ps")
def test_what_is_none(child):
    process = child("sleep", "1000", ready=False)
    named = child("bash", "-c", "exec -a python3 sleep 1000", ready=False)
    wait_until(lambda: open("/proc/%d/comm" % named.pid).read() == "sleep\n", "a program that calls itself python3")
    found = ps_json()
    assert process.pid not in found and named.pid not in found
    assert os.getpid() in found  # this test's own


@needs_root
@pytest.mark.matrix("ps")
def test_as_another_user(child):
    folder = tempfile.mkdtemp(prefix="pybraid-ps-")
    os.chmod(folder, 0o755)
    try:
        program = shutil.copy(PYBRAID, folder)
        os.chmod(program, 0o755)
        own = child(*NOBODY, "/usr/bin/python3", "-c", SLEEPER)
        other = child("/usr/bin/python3", "-c", SLEEPER)
        renamed = child(shutil.copy(os.path.realpath("/usr/bin/python3"), folder + "/server"), "-c", SLEEPER, env={"PYTHONHOME": "/usr"})
        found = {}
        for words in ((), ("--unreadable",)):
            done = subprocess.run([*NOBODY, program, "ps", "--json", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
            assert done.returncode == 0
            found[words] = {one["process"]["pid"]: one for one in map(json.loads, done.stdout.decode().splitlines())}
        few, all_of_them = found[()], found[("--unreadable",)]
        assert few[own.pid]["readable"] and few[own.pid]["frame"]["name"] == "deep" and few[own.pid]["process"]["uid"] == 65534
        assert few[other.pid]["readable"] is False and few[other.pid]["frame"] is None and few[other.pid]["process"]["python"] is None
        assert "root (uid 0)" in few[other.pid]["note"] and few[other.pid]["remedy"], few[other.pid]
        assert renamed.pid not in few and all_of_them[renamed.pid]["is_python"] is None and all_of_them[renamed.pid]["readable"] is False
        text = subprocess.run([*NOBODY, program, "ps"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        row = next(line for line in text.stdout.decode().splitlines() if line.split()[0] == str(other.pid))
        assert "not readable: the process runs as root" in row
        hidden = int(re.search(r"pybraid: (\d+) processes cannot be looked into: sudo pybraid ps", text.stderr.decode()).group(1))
        assert hidden >= 1
        assert {own.pid, other.pid, renamed.pid} <= set(ps_json())
    finally:
        shutil.rmtree(folder)


@needs_root
@pytest.mark.matrix("ps")
def test_none_at_all():
    done = subprocess.run(["unshare", "--pid", "--fork", "--mount-proc", "--kill-child", PYBRAID, "ps"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 0 and not done.stdout
    assert done.stderr.decode() == "pybraid: no Python process among the 1 that can be looked into\n"


def on_terminal(columns, *words):
    """What `pybraid ps` prints on a terminal of so many columns."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    env = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    process = subprocess.Popen([PYBRAID, "ps", *words], stdout=slave, stderr=slave, stdin=slave, env=dict(env, TERM="xterm"))
    os.close(slave)
    text = b""
    try:
        while select.select([master], [], [], 30)[0]:
            piece = os.read(master, 4096)
            if not piece:
                break
            text += piece
    except OSError:
        pass  # EIO: the other end is closed
    finally:
        os.close(master)
        process.wait(timeout=30)
    return text.decode("utf-8").replace("\r\n", "\n")


@pytest.mark.matrix("ps")
def test_fits_the_terminal(child):
    evil = u"\x1b[31m\x1b]0;owned\x07\x9b2J\u202e\n\u00e4"
    process = child("/usr/bin/python3", "-c", SLEEPER, evil, "x" * 500)
    for columns in (20, 40, 79, 80, 120, 200):
        text = on_terminal(columns, "--color=never")
        assert not HARMFUL.search(text), repr(text)
        lines = text.splitlines()
        assert all(len(line) <= columns for line in lines if not line.startswith("pybraid:")), (columns, lines)
        row = next(line for line in lines if line.split()[0] == str(process.pid))
        assert columns < 80 or "deep  <string>:4" in row, row
        assert columns < 79 or row.endswith(".."), row
    assert "\x1b[1m" in on_terminal(100).split("\n")[0]
    # Not a terminal: nothing is cut, and nothing drives one either.
    text = pybraid("ps").out
    row = next(line for line in text.splitlines() if line.split()[0] == str(process.pid))
    assert row.endswith("x" * 500) and "\\x1b[31m" in row and u"\u00e4" in row and not HARMFUL.search(text)
    assert ps_json()[process.pid]["process"]["command"][3] == evil


@pytest.mark.matrix("ps")
def test_fork_storm():
    """Processes come and go while they are looked for."""
    storm = subprocess.Popen([sys.executable, "-c", "import os\nwhile True:\n    if os.fork() == 0: os._exit(0)\n    os.wait()"],
                             preexec_fn=before_exec())
    try:
        for _ in range(30):
            assert ps_json()[storm.pid]["is_python"] is True
            done = pybraid("ps")
            assert done.code == 0
    finally:
        storm.kill()
        storm.wait()


@pytest.mark.matrix("ps")
def test_many_processes(record_property):
    """The search is cheap: 300 processes beside the others in 100 ms, unless the machine is busy with something else."""
    sleepers = [subprocess.Popen(["sleep", "1000"], preexec_fn=before_exec()) for _ in range(300)]
    try:
        wait_until(lambda: all(open("/proc/%d/comm" % one.pid).read() == "sleep\n" for one in sleepers), "300 sleepers")
        times = []
        for _ in range(5):
            before = os.times()
            assert pybraid("ps").code == 0
            after = os.times()
            times.append(after.children_user + after.children_system - before.children_user - before.children_system)
        pythons = len(ps_json())
        record_property("said", "pybraid ps: %.0f ms of CPU for 300 processes and %d Pythons" % (min(times) * 1000, pythons))
        assert min(times) < 0.1 + 0.02 * pythons, times
    finally:
        for one in sleepers:
            one.kill()
            one.wait()


@pytest.mark.matrix("ps")
def test_usage_and_output(target_folder):
    for words in (["1"], ["--nonsense"], ["-a"], ["--color", "mauve"]):
        done = pybraid("ps", *words)
        assert done.code == 2 and "Try: pybraid ps --help" in done.err and not done.out, (words, done)
    with open("/dev/full", "w") as full:
        done = subprocess.run([PYBRAID, "ps"], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 1 and b"No space left" in done.stderr
    path = str(target_folder / "out")
    assert pybraid("ps", "--json", "-o", path).out == "" and str(os.getpid()) in open(path).read()


@pytest.mark.matrix("ps")
def test_a_python_that_starts(child):
    """Python in every state of its life: the rows are sound, whatever they can say."""
    for _ in range(20):
        process = child("/usr/bin/python3", "-c", "import time; time.sleep(1000)", ready=False)
        time.sleep(0.002)
        row = ps_json().get(process.pid)
        assert row is None or row["frame"] or row["note"], row
