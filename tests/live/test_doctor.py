# SPDX-License-Identifier: Apache-2.0
"""pybraid doctor: each obstacle that can be made here is made for real, and must be named; with it gone the process is read.

Yama's values, AppArmor, SELinux and other places (Podman, Kubernetes) are in tests/unit/test_cli_doctor.c, with made-up files.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from support import confine, debugger
from support.process import before_exec, state_of, wait_until
from support.shell import PYBRAID, pybraid
from support.target import start

CONFINE = [sys.executable, confine.__file__]
NUMBERS = {"x86_64": {"ptrace": 101, "process_vm_readv": 310, "perf_event_open": 298, "bpf": 321},
           "aarch64": {"ptrace": 117, "process_vm_readv": 270, "perf_event_open": 241, "bpf": 280}}[os.uname().machine]
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
NO_PTRACE_CAP = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-all"]
PYTHON = "/usr/bin/python3"
HARMFUL = re.compile(u"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]")

SLEEPER = """
import ctypes, os, time
def deep():
    os.write(1, b"R")
    time.sleep(1000)
%s
deep()
"""
NOT_DUMPABLE = SLEEPER % "ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: to become another user")


@pytest.fixture(scope="module")
def program():
    """pybraid where every user may execute it."""
    folder = tempfile.mkdtemp(prefix="pybraid-doctor-")
    os.chmod(folder, 0o755)
    path = shutil.copy(PYBRAID, os.path.join(folder, "pybraid"))
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(folder)


@pytest.fixture
def sleeper():
    """Starts Python programs that print R and then sleep; ends them and what they started."""
    started = []

    def run(code=SLEEPER % "", prefix=()):
        process = subprocess.Popen([*prefix, PYTHON, "-c", code], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   start_new_session=True, preexec_fn=before_exec())
        started.append(process)
        assert process.stdout.read(1) == b"R"
        wait_until(lambda: state_of(process.pid) == "S", "a sleeper")
        return process
    yield run
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def doctor(*words, program=PYBRAID, prefix=()):
    """(exit code, document) of pybraid doctor --json."""
    done = subprocess.run([*prefix, program, "doctor", "--json", *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=120)
    assert done.stdout, (done.returncode, done.stderr)
    document = json.loads(done.stdout.decode("utf-8"))
    assert document["schema"] == 1 and document["tool"].startswith("pybraid ")
    return done.returncode, document


def kinds(document):
    return [one["kind"] for one in document["obstacles"]]


def refused(document, kind):
    """The one obstacle, whose remedies are there."""
    assert document["readable"] is False and kinds(document) == [kind], document
    obstacle = document["obstacles"][0]
    assert obstacle["blocks"] == "reading" and obstacle["remedies"] and all(obstacle["remedies"]), obstacle
    return obstacle


@pytest.mark.wide
@pytest.mark.matrix("doctor")
def test_readable(python, target_folder):
    with start(python, "depth.py", "--depth", "5", "--threads", "2", folder=target_folder) as target:
        code, document = doctor(target.pid)
        text = pybraid("doctor", target.pid)
        debugger.assert_undisturbed(target)
        threads = len(os.listdir("/proc/%d/task" % target.pid))
        command = open("/proc/%d/cmdline" % target.pid).read().split("\0")[0]
    told = document["process"]
    assert code == 0 and document["readable"] and document["stoppable"] and document["obstacles"] == [], document
    assert told["python"].startswith("%d.%d.%d" % tuple(target.account["version"])), told
    assert told["n_threads"] == threads and told["n_thread_states"] == 3, told
    assert told["free_threaded"] == ("freethreaded" in python.traits) and told["debug_build"] == ("debug" in python.traits)
    assert told["layout"].startswith("%d.%d" % python.minor) and told["found_by"] and told["command"].startswith(command)
    assert text.code == 0 and text.out.startswith("pybraid can read %d: yes\n" % target.pid), text.out
    assert "in the way" not in text.out and told["python"] in text.out and told["module"] in text.out


@needs_root
@pytest.mark.matrix("doctor")
def test_another_users_process(sleeper, program):
    process = sleeper()
    code, document = doctor(process.pid, program=program, prefix=NOBODY)
    obstacle = refused(document, "user")
    assert code == 4 and "root (uid 0)" in obstacle["what"] and "nobody (uid 65534)" in obstacle["what"]
    assert any("pybraid dump %d" % process.pid in line for line in obstacle["remedies"]), obstacle
    text = subprocess.run([*NOBODY, program, "doctor", str(process.pid)], stdout=subprocess.PIPE, timeout=120)
    assert text.returncode == 4
    assert text.stdout.decode().startswith("pybraid can read %d: no, permission denied\n" % process.pid), text.stdout
    assert obstacle["remedies"][0] in text.stdout.decode()
    assert doctor(process.pid)[0] == 0
    # Same user, another group: the kernel wants all ids to be the same.
    mixed = sleeper(prefix=["setpriv", "--reuid=65534", "--regid=1", "--clear-groups"])
    code, document = doctor(mixed.pid, program=program, prefix=NOBODY)
    assert code == 4 and "gid" in refused(document, "user")["what"], document


@needs_root
@pytest.mark.matrix("doctor")
def test_not_dumpable(sleeper, program):
    process = sleeper(NOT_DUMPABLE, prefix=NOBODY)
    code, document = doctor(process.pid, program=program, prefix=NOBODY)
    assert code == 4 and "PR_SET_DUMPABLE" in refused(document, "dumpable")["what"]
    assert doctor(process.pid)[0] == 0
    # Where it is root's the flag does not show; what is left tells.
    process = sleeper(NOT_DUMPABLE, prefix=NO_PTRACE_CAP)
    code, document = doctor(process.pid, program=program, prefix=NO_PTRACE_CAP)
    assert code == 4 and "not dumpable" in refused(document, "dumpable")["what"]
    # The same process without that is read with the same rights.
    assert doctor(sleeper(prefix=NO_PTRACE_CAP).pid, program=program, prefix=NO_PTRACE_CAP)[0] == 0


@needs_root
@pytest.mark.matrix("doctor")
def test_missing_capabilities(sleeper, program):
    theirs, ours = sleeper(prefix=NOBODY), sleeper()
    code, document = doctor(theirs.pid, program=program, prefix=NO_PTRACE_CAP)
    obstacle = refused(document, "capabilities")
    assert code == 4 and "root without CAP_SYS_PTRACE" in obstacle["what"] and not document["here"]["cap_sys_ptrace"]
    assert any("SYS_PTRACE" in line or "systemd-run" in line for line in obstacle["remedies"]), obstacle
    assert not any(re.match("sudo", line) for line in obstacle["remedies"]), "root has nothing of sudo"
    # Our own user's, with a capability that we lack.
    code, document = doctor(ours.pid, program=program, prefix=NO_PTRACE_CAP)
    assert code == 4 and "lacks: CAP_SYS_PTRACE" in refused(document, "capabilities")["what"]
    assert doctor(theirs.pid)[0] == 0 and doctor(ours.pid)[0] == 0


@pytest.mark.matrix("doctor")
def test_seccomp(sleeper, program):
    process = sleeper()

    def with_filter(*names):
        return doctor(process.pid, program=program, prefix=[*CONFINE, "--deny", ",".join(str(NUMBERS[n]) for n in names), "--"])
    code, document = with_filter("ptrace", "process_vm_readv")
    assert code == 0 and document["readable"] and not document["stoppable"] and kinds(document) == ["seccomp"], document
    obstacle = document["obstacles"][0]
    assert obstacle["blocks"] == "stopping" and "process_vm_readv and ptrace" in obstacle["what"]
    assert "pybraid dump --no-stop %d" % process.pid in obstacle["remedies"][0]
    code, document = with_filter("ptrace")
    assert code == 0 and not document["stoppable"] and "process_vm_readv" not in document["obstacles"][0]["what"]
    code, document = with_filter("process_vm_readv")
    assert code == 0 and document["stoppable"] and "/proc" in document["obstacles"][0]["what"]
    assert document["here"]["seccomp"] == 2
    code, document = with_filter("perf_event_open", "bpf")
    front = {one["name"]: one for one in document["front_ends"]}
    assert code == 0 and document["obstacles"] == [] and front["perf"]["usable"] == front["bpf"]["usable"] == "no", front
    assert any("Operation not permitted" in note for note in front["bpf"]["notes"])


@pytest.mark.matrix("doctor")
def test_landlock(sleeper, program):
    process = sleeper(prefix=NOBODY if os.geteuid() == 0 else ())
    inside = [*(NOBODY if os.geteuid() == 0 else ()), *CONFINE, "--landlock", "--"]
    confine_folder = tempfile.mkdtemp(prefix="pybraid-confine-")
    os.chmod(confine_folder, 0o755)
    try:
        inside[inside.index(confine.__file__)] = shutil.copy(confine.__file__, confine_folder)
        if subprocess.run([*inside, "true"]).returncode == 77:
            pytest.skip("this kernel has no Landlock")
        code, document = doctor(process.pid, program=program, prefix=inside)
        assert code == 4 and "Landlock" in refused(document, "landlock")["what"]
        # Its own processes it may read: they are in the same domain.
        assert doctor(program=program, prefix=inside)[0] == 0
        assert doctor(process.pid, program=program, prefix=inside[:-2] + ["--"])[0] == 0
    finally:
        shutil.rmtree(confine_folder)


@needs_root
@pytest.mark.matrix("doctor")
def test_user_namespaces(sleeper, program):
    outside = sleeper()
    code, document = doctor(outside.pid, program=program, prefix=["unshare", "--user", "--map-root-user"])
    assert code == 4 and "user namespace" in refused(document, "user_namespace")["what"], document
    assert document["here"]["cap_sys_ptrace"] and not document["here"]["initial_user_namespace"]
    inside = sleeper(prefix=["unshare", "--user", "--map-root-user"])
    assert doctor(inside.pid)[0] == 0
    text = pybraid("doctor", inside.pid).out
    assert "in a user namespace of its own" in text, text
    # Without capabilities, not even as its user: the process has all of them in there.
    inside = sleeper(prefix=[*NOBODY, "unshare", "--user", "--map-root-user"])
    code, document = doctor(inside.pid, program=program, prefix=NO_PTRACE_CAP)
    assert code == 4 and kinds(document)[0] in ("capabilities", "user_namespace"), document


@needs_root
@pytest.mark.matrix("doctor")
def test_pid_namespace(sleeper):
    process = sleeper(prefix=["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"])
    child = int(open("/proc/%d/task/%d/children" % (process.pid, process.pid)).read().split()[0])
    text = pybraid("doctor", child)
    assert text.code == 0 and re.search(r"pid +1 in its own PID namespace", text.out), text.out


@needs_root
@pytest.mark.matrix("doctor")
def test_hidden_processes(sleeper, program):
    process = sleeper()
    script = "mount -t proc -o hidepid=2 proc /proc && exec \"$@\""
    hidden = ["unshare", "--mount", "sh", "-c", script, "sh"]
    if subprocess.run([*hidden, "true"], stderr=subprocess.PIPE).returncode != 0:
        pytest.skip("/proc cannot be mounted with hidepid here")
    code, document = doctor(process.pid, program=program, prefix=[*hidden, *NOBODY])
    assert code == 4 and "hidepid" in refused(document, "hidepid")["what"]
    assert doctor(process.pid, program=program, prefix=hidden)[0] == 0


@pytest.mark.matrix("doctor")
def test_traced(sleeper):
    if not shutil.which("strace"):
        pytest.skip("no strace")
    process = sleeper()
    tracer = subprocess.Popen(["strace", "-qq", "-o", "/dev/null", "-p", str(process.pid)], preexec_fn=before_exec())
    try:
        wait_until(lambda: "TracerPid:\t%d\n" % tracer.pid in open("/proc/%d/status" % process.pid).read(), "strace")
        code, document = doctor(process.pid)
        assert code == 0 and document["readable"] and not document["stoppable"] and kinds(document) == ["traced"], document
        obstacle = document["obstacles"][0]
        assert obstacle["blocks"] == "stopping" and "process %d (strace)" % tracer.pid in obstacle["what"]
        assert "cannot stop" in pybraid("doctor", process.pid).out.split("\n")[0]
    finally:
        tracer.terminate()
        tracer.wait()
    assert doctor(process.pid)[1]["stoppable"]


def kernel_thread():
    for name in filter(str.isdigit, os.listdir("/proc")):
        stat = open("/proc/%s/stat" % name).read().rpartition(")")[2].split()
        if int(stat[6]) & 0x200000:  # PF_KTHREAD
            return int(name)
    return None


@pytest.mark.matrix("doctor")
def test_no_python_and_no_process(sleeper):
    process = subprocess.Popen(["sleep", "1000"], preexec_fn=before_exec())
    try:
        time.sleep(0.05)
        code, document = doctor(process.pid)
        assert code == 5 and "is no CPython" in document["error"] and document["readable"] is False
        assert pybraid("doctor", process.pid).out.startswith("pybraid can read %d: no, " % process.pid)
    finally:
        process.kill()
    # Not waited for yet: a zombie.
    wait_until(lambda: state_of(process.pid) == "Z", "a zombie")
    code, document = doctor(process.pid)
    assert code == 3 and "zombie" in document["error"], document
    process.wait()
    code, document = doctor(process.pid)
    assert code == 3 and "no process %d" % process.pid in document["error"], document
    if kernel_thread():
        code, document = doctor(kernel_thread())
        assert code == 5 and "kernel thread" in document["error"], document
    threaded = sleeper(SLEEPER % "import threading; threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()")
    tid = max(map(int, os.listdir("/proc/%d/task" % threaded.pid)))
    assert tid != threaded.pid
    code, document = doctor(tid)
    assert code == 2 and "thread of process %d" % threaded.pid in document["error"], document


@pytest.mark.matrix("doctor")
def test_usage():
    for words in (["0"], ["x"], ["-5"], ["1", "2"], ["--nonsense"], ["--color=mauve"], ["99999999999999"]):
        done = pybraid("doctor", *words)
        assert done.code == 2 and "Try: pybraid doctor --help" in done.err and not done.out, (words, done)
    with open("/dev/full", "w") as full:
        done = subprocess.run([PYBRAID, "doctor"], stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 1 and b"No space left" in done.stderr
    assert pybraid("doctor", "-o", "/nonexistent/x").code == 1


@needs_root
@pytest.mark.matrix("doctor")
def test_without_a_process(program):
    code, document = doctor()
    assert code == 0 and document["readable"] and document["process"] is None and document["obstacles"] == []
    assert ", and those of every user" in pybraid("doctor").out.split("\n")[0]
    code, document = doctor(program=program, prefix=NOBODY)
    assert code == 0 and not document["here"]["cap_sys_ptrace"] and document["here"]["uid"] == 65534
    text = subprocess.run([*NOBODY, program, "doctor"], stdout=subprocess.PIPE, timeout=60).stdout.decode()
    assert text.startswith("pybraid can read your own processes: yes; those of others: no\n"), text
    yama = "/proc/sys/kernel/yama/ptrace_scope"
    assert document["here"]["ptrace_scope"] == (int(open(yama).read()) if os.path.exists(yama) else None)


@pytest.mark.matrix("doctor")
def test_front_ends(target_folder):
    front = {one["name"]: one for one in doctor()[1]["front_ends"]}
    gdb = shutil.which("gdb")
    if gdb:
        version = subprocess.run([gdb, "--version"], stdout=subprocess.PIPE, timeout=60).stdout.decode().split("\n")[0]
        assert front["gdb"]["path"] == gdb and version.endswith(front["gdb"]["version"]) and front["gdb"]["version"]
        assert front["gdb"]["usable"] == "yes" and "pybraid loads in it" in front["gdb"]["notes"], front["gdb"]
    if shutil.which("perf"):
        version = subprocess.run(["perf", "--version"], stdout=subprocess.PIPE, timeout=60).stdout.decode()
        assert version.strip() == "perf version " + front["perf"]["version"]
    paranoid = open("/proc/sys/kernel/perf_event_paranoid").read().strip()
    assert any(note.startswith("kernel.perf_event_paranoid is " + paranoid) for note in front["perf"]["notes"]), front["perf"]
    assert any("/sys/kernel/btf/vmlinux" in note for note in front["bpf"]["notes"])
    # Programs as they may be: without Python, with another name; none at all.
    for name, text in (("gdb", "GNU gdb (Tiny) 9.9\nPython scripting is not supported in this copy of GDB."), ("lldb-19", "lldb version 19.1.7")):
        path = target_folder / name
        path.write_text("#!/bin/sh\necho '%s'\n" % text)
        path.chmod(0o755)
    done = pybraid("doctor", "--json", env=dict(os.environ, PATH=str(target_folder)))
    front = {one["name"]: one for one in json.loads(done.out)["front_ends"]}
    assert front["gdb"]["usable"] == "no" and front["gdb"]["version"] == "9.9" and "without Python" in front["gdb"]["notes"][0]
    assert front["lldb"]["version"] == "19.1.7" and front["lldb"]["path"] == str(target_folder / "lldb-19")
    assert front["perf"]["path"] is None and "linux-perf" in front["perf"]["remedy"]


@pytest.mark.matrix("doctor")
def test_changes_nothing(sleeper, target_folder):
    if not shutil.which("strace"):
        pytest.skip("no strace")
    process = sleeper()
    trace = str(target_folder / "trace")
    done = subprocess.run(["strace", "-o", trace, PYBRAID, "doctor", str(process.pid)], stdout=subprocess.PIPE, timeout=120)
    calls = open(trace, errors="replace").read()
    assert done.returncode == 0 and "process_vm_readv(%d" % process.pid in calls
    traced = re.findall(r"^ptrace\((.*)", calls, re.M)
    assert traced and all("PTRACE_INTERRUPT, 2147483647" in one and "ESRCH" in one for one in traced), traced
    assert not re.search(r"process_vm_writev|tgkill|pidfd_send|\bmount\(|sysctl|unlink|rename\(", calls)
    for line in calls.splitlines():
        if re.match(r"open", line) and "/dev/null" not in line:
            assert "O_WRONLY" not in line and "O_RDWR" not in line and "O_CREAT" not in line, line
    assert state_of(process.pid) == "S"


@pytest.mark.matrix("doctor")
def test_names_cannot_drive_a_terminal(sleeper):
    evil = "\x1b[31m\x1b]0;owned\x07\x9b2J\u202e\n"
    process = subprocess.Popen([PYTHON, "-c", SLEEPER % "", evil], stdout=subprocess.PIPE, preexec_fn=before_exec())
    try:
        assert process.stdout.read(1) == b"R"
        done = pybraid("doctor", process.pid)
        assert done.code == 0 and not HARMFUL.search(done.out), repr(done.out)
        assert "\\x1b[31m" in done.out
        assert evil in doctor(process.pid)[1]["process"]["command"]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_filter_is_real():
    """What confine.py does, seen by a program that is none of ours."""
    script = "import ctypes,os; l=ctypes.CDLL(None,use_errno=True); r=l.ptrace(0x4206,0x7fffffff,0,0); print(r, ctypes.get_errno())"
    for prefix, want in (([], "-1 3"), ([*CONFINE, "--deny", str(NUMBERS["ptrace"]), "--"], "-1 1")):
        done = subprocess.run([*prefix, sys.executable, "-c", script], stdout=subprocess.PIPE, timeout=60)
        assert done.stdout.decode().strip() == want, done
