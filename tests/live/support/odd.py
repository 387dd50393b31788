# SPDX-License-Identifier: Apache-2.0
"""Targets in odd places: namespaces, other roots, copied interpreters, small C programs of tests/targets/odd."""
import json
import os
import shutil
import signal
import subprocess
import sys

from . import target
from .braid import compare_thread, python_frames, thread_of
from .process import TargetError, before_exec, read_text, task_ids, wait_blocked
from .pythons import REPO
from .shell import dump_json

SOURCES = os.path.join(REPO, "tests", "targets", "odd")
BUILD = os.path.join(REPO, "build", "tests", "odd")


def compiled(name, *options):
    """build/tests/odd/NAME of tests/targets/odd/NAME.c (its path)."""
    source, path = os.path.join(SOURCES, name + ".c"), os.path.join(BUILD, name)
    os.makedirs(BUILD, exist_ok=True)
    if not os.path.exists(path) or os.path.getmtime(path) <= os.path.getmtime(source):
        part = "%s.%d" % (path, os.getpid())
        done = subprocess.run(["cc", "-O2", "-g", "-Wall", *options, source, "-o", part], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              encoding="utf-8", errors="replace")
        if done.returncode != 0:
            raise RuntimeError("%s does not compile:\n%s" % (source, done.stdout[-2000:]))
        os.rename(part, path)
    return path


def library(name):
    return compiled(name, "-shared", "-fPIC")


def ids_inside(pid, tid):
    """The ids of a thread in its PID namespaces, the innermost last."""
    for line in read_text("/proc/%d/task/%d/status" % (pid, tid)).splitlines():
        if line.startswith("NSpid:"):
            return [int(word) for word in line.split()[1:]]
    raise TargetError("no NSpid in the status of %d" % tid)


def parent_of(pid):
    try:
        return int(read_text("/proc/%d/stat" % pid).rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def below(root):
    """root and all its descendants."""
    parents = {int(name): parent_of(int(name)) for name in os.listdir("/proc") if name.isdigit()}
    found = {root}
    while True:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        if not more:
            return sorted(found)
        found |= more


def from_outside(started, account):
    """After READY: makes ids of another PID namespace those that this machine sees."""
    line = started.read_line(60)
    if not line.startswith("READY "):
        raise TargetError("%s: said %r, not READY\n%s" % (started, line, started.said()))
    said = int(line.split()[1])
    hits = [pid for pid in below(started.process.pid) if ids_inside(pid, pid)[-1] == said]
    if len(hits) != 1:
        raise TargetError("%d processes call themselves %d" % (len(hits), said))
    started.pid = hits[0]
    with open(account, encoding="utf-8") as stream:
        started.account = json.load(stream)
    outside = {ids_inside(started.pid, tid)[-1]: tid for tid in task_ids(started.pid)}
    for thread in started.account["threads"]:
        thread["tid"] = outside[thread["tid"]]
    settle(started)
    return started


def settle(there):
    """Until its threads sleep where they say; a stop has them wake up for a moment."""
    for thread in there.account["threads"]:
        if thread["syscall"]:
            wait_blocked(there.pid, thread["tid"], thread["syscall"])


def start(python, argv, folder, account=None, env=None):
    """Runs a command that ends in a script of ours, wherever it puts it; ready, with the ids that are seen from here."""
    account = account or os.path.join(str(folder), "account.json")
    started = target.launch([str(word) for word in argv], str(folder), account, python, dict(python.environment(), **(env or {})),
                            stack=target.GIGABYTE)
    try:
        return from_outside(started, account)
    except BaseException:
        started.kill()
        raise


def deep(account, *options):
    """Arguments of a script that is a few frames deep in four threads."""
    return [os.path.join(target.TARGETS, "depth.py"), account, "--depth", "12", *options]


def check(python, document, account, to=None):
    """The document says what the target does; `to` gives a thread's id as the observer sees it."""
    assert document["process"]["python"].startswith("%d.%d.%d" % tuple(account["version"]))
    assert account["threads"]
    for told in account["threads"]:
        compare_thread(python, thread_of(document, to(told["tid"]) if to else told["tid"]), told)


def check_dump(python, there, *options):
    """The document of `pybraid dump --json OPTIONS...` of a target whose threads sleep, which is as it should be."""
    settle(there)
    document = dump_json(*options, there.pid)
    check(python, document, there.account)
    return document


def asleep(code, *words, **options):
    """A Python of this machine that runs `code`, which prints a line when it is there."""
    process = subprocess.Popen([sys.executable, "-c", code, *map(str, words)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               start_new_session=True, preexec_fn=before_exec(), **options)
    if not process.stdout.readline():
        raise TargetError("ended with %s before it was ready" % process.wait())
    return process


def end(process):
    """It, and everything in its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
    process.stdin.close()
    process.stdout.close()


def names(thread):
    return [frame["func"] for frame in python_frames(thread)]


def copy_interpreter(python, folder, name):
    """(files, environment): copies of its executable, now called `name`, and of its shared library where it has one."""
    places = [os.path.join(str(folder), part) for part in ("b in", "lib")]
    for place in places:
        os.makedirs(place)
    env = {"PYTHONHOME": python.facts["prefix"]}
    copies = [shutil.copy(os.path.realpath(python.path), os.path.join(places[0], name))]
    binary = python.facts["binary"]
    if os.path.realpath(binary) != os.path.realpath(python.path):
        copies.append(shutil.copy(binary, places[1]))
        env["LD_LIBRARY_PATH"] = places[1]
    return copies, env
