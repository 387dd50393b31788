# SPDX-License-Identifier: Apache-2.0
"""What `pybraid dump` concludes about several threads: the targets of deadlocks.py, which know themselves who is to blame."""
import os
import re
import subprocess
import time

import pytest

from support import debugger
from support.process import TargetError, state_of, wait_until
from support.shell import dump_json, pybraid
from support.target import start
from support.tools import built

FILE = r"\S*/deadlocks\.py"
SECONDS = 30
FLIPS = os.environ.get("PYBRAID_FLIPS", "150")


class Stuck:
    """A target in one mode, and what pybraid finds in it."""

    def __init__(self, python, folder, mode):
        self.target = start(python, "deadlocks.py", "--mode", mode, folder=folder)
        self.facts = self.target.account["facts"]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.target.kill()

    def reload(self):
        """Threads that began after READY have noted themselves since."""
        self.facts = self.target.reload()["facts"]

    def thread(self, name):
        return 'thread %d "%s"' % (self.facts["tids"][name], name)

    def at(self, marker):
        return r" at %s:%d in \S+" % (FILE, self.facts["lines"][marker])

    def object(self, name):
        return self.facts["ids"][name]

    def findings(self, *options):
        return dump_json(*options, self.target.pid)["findings"]

    def wait_for(self, kind, *options):
        """The findings of that kind, as soon as there are some: READY is said just before the threads block."""
        end = time.monotonic() + SECONDS
        while True:
            found = self.findings(*options)
            hits = [finding for finding in found if finding["kind"] == kind]
            if hits:
                return hits
            if time.monotonic() > end:
                raise TargetError("no %s within %d s but %s" % (kind, SECONDS, found))
            time.sleep(0.05)

    def only(self, kind, *options):
        hits = self.wait_for(kind, *options)
        assert len(hits) == 1, hits
        return hits[0]


def matches(pattern, finding):
    assert re.fullmatch(pattern, finding["text"]), "%s\n%s" % (pattern, finding["text"])


def check_two_locks(stuck, finding, type_name):
    """Either thread may come first."""
    ways = []
    for me, other, mine, others in (("A", "B", "two", "one"), ("B", "A", "one", "two")):
        ways.append(
            "deadlock: %s waits%s for %s %s held by %s \\(taken%s\\), which waits%s for %s %s held by %s \\(taken%s\\)" % (
                stuck.thread(me), stuck.at(me + " waits"), type_name, stuck.object(mine), stuck.thread(other),
                stuck.at(other + " takes"), stuck.at(other + " waits"), type_name, stuck.object(others), stuck.thread(me),
                stuck.at(me + " takes")))
    matches("|".join(ways), finding)
    assert sorted(finding["tids"]) == sorted(stuck.facts["tids"][name] for name in "AB")


@pytest.mark.wide
@pytest.mark.matrix("findings")
@pytest.mark.parametrize("mode", ["two-locks", "rlocks"])
def test_two_locks(python, target_folder, mode):
    types = {"two-locks": r"_?thread\.lock", "rlocks": r"(?:_thread\.RLock|_RLock)"}
    with Stuck(python, target_folder, mode) as stuck:
        check_two_locks(stuck, stuck.only("deadlock"), types[mode])
        # Main is not part of it: it waits for one of the two.
        matches("%s waits%s for the end of %s" % (r'thread \d+ "MainThread"', r" at %s:\d+ in \S+" % FILE, stuck.thread("A")),
                stuck.only("join"))
        debugger.assert_undisturbed(stuck.target)


@pytest.mark.matrix("findings")
@pytest.mark.parametrize("option", ["-p", "--consistent", "--no-stop", "-l"])
def test_however_it_is_read(python, target_folder, option):
    with Stuck(python, target_folder, "two-locks") as stuck:
        check_two_locks(stuck, stuck.only("deadlock", option), r"_?thread\.lock")


@pytest.mark.matrix("findings")
def test_lock_of_its_own(python, target_folder):
    with Stuck(python, target_folder, "self") as stuck:
        matches(r"deadlock: %s waits%s for _?thread\.lock %s, which it holds itself \(taken%s\)" % (
            stuck.thread("selfish"), stuck.at("waits"), stuck.object("lock"), stuck.at("takes")), stuck.only("deadlock"))


@pytest.mark.wide
@pytest.mark.matrix("findings")
@pytest.mark.pythons(before=(3, 13))
def test_join_on_itself(python, target_folder):
    with Stuck(python, target_folder, "join-self") as stuck:
        matches(r"deadlock: %s waits%s for its own end \(Thread\.join\)" % (stuck.thread("narcissus"), stuck.at("waits")),
                stuck.only("deadlock"))


@pytest.mark.wide
@pytest.mark.matrix("findings")
def test_join_in_a_circle(python, target_folder):
    with Stuck(python, target_folder, "join-pair") as stuck:
        ways = ["deadlock: %s waits%s for the end of %s, which waits%s for the end of %s" % (
            stuck.thread(me), stuck.at("waits"), stuck.thread(other), stuck.at("waits"), stuck.thread(me))
            for me, other in ("AB", "BA")]
        matches("|".join(ways), stuck.only("deadlock"))


@pytest.mark.wide
@pytest.mark.matrix("findings")
def test_queue_without_a_producer(python, target_folder):
    with Stuck(python, target_folder, "queue") as stuck:
        finding = stuck.only("starved")
        consumers = [stuck.thread("consumer-%d" % index) + stuck.at("gets") for index in range(2)]
        matches(r"no thread is left to put an item into Queue %s \(empty\), for which waits (?:%s, %s|%s, %s); all 3 Python threads of the "
                r"process wait: %s waits%s for the end of %s \(a signal handler or another process could still do it\)" % (
                    stuck.object("jobs"), consumers[0], consumers[1], consumers[1], consumers[0], stuck.thread("MainThread"),
                    stuck.at("joins"), stuck.thread("consumer-0")), finding)
        assert sorted(finding["tids"]) == sorted(stuck.facts["tids"]["consumer-%d" % index] for index in range(2))


@pytest.mark.wide
@pytest.mark.matrix("findings")
@pytest.mark.pythons(without={"freethreaded"})
def test_gil_held_by_c_code(python, target_folder):
    with Stuck(python, target_folder, "gil") as stuck:
        # READY comes just before the call; and those who wait wake every few milliseconds, on a busy machine for longer.
        end = time.monotonic() + SECONDS
        hits = stuck.wait_for("gil")
        # Which function of a stripped interpreter it is, its method tables may not tell. The matcher itself calls memmove() now and then.
        names = r"\w*sre\w*|re\.Pattern\.match|_sre\.SRE_Pattern\.match" + ("|without a name" if "stripped" in python.traits else "")
        while time.monotonic() < end and not (hits[0]["text"].startswith("all 3 ") and hits[0]["tids"][0] == stuck.facts["tids"]["MainThread"]
                                              and re.search("native code (%s) " % names, hits[0]["text"])):
            hits = stuck.wait_for("gil")
        matches(r"all 3 other Python threads wait for the GIL held by %s, which is in native code (?:\S+|without a name) \(\S+\) called%s" % (
            stuck.thread("MainThread"), stuck.at("holds")), hits[0])
        assert hits[0]["tids"][0] == stuck.facts["tids"]["MainThread"]
        assert re.search("native code (%s) " % names, hits[0]["text"]), hits[0]


def check_fork(stuck, finding, python):
    text = finding["text"]
    assert stuck.object("lock") in text
    assert 'in process %d ' % stuck.facts["parent"] in text or python.minor < (3,)
    assert re.search(r'"?holder"? holds it still \(taken%s\)' % stuck.at("takes"), text) or python.minor < (3,)
    assert re.search(r"; 1 thread waits for it: %s%s$" % (stuck.thread("MainThread"), stuck.at("waits")), text), text


@pytest.mark.wide
@pytest.mark.matrix("findings")
def test_fork_with_a_held_lock(python, target_folder):
    with Stuck(python, target_folder, "fork") as stuck:
        finding = stuck.only("lock")
        check_fork(stuck, finding, python)
        if python.minor < (3,):  # the thread states of other threads outlive fork() there
            matches(r"the thread with ident %s, which is not in this process, holds thread\.lock %s \(taken%s\): taken before fork\(\) "
                    r"\(this process is a fork of %d: .*" % (stuck.object("owner"), stuck.object("lock"), stuck.at("takes"),
                                                            stuck.facts["parent"]), finding)
        else:
            assert "who took it is not recorded" in finding["text"]
            assert 'thread %d "holder" holds it still' % stuck.facts["tids"]["holder"] in finding["text"]


@pytest.mark.matrix("findings")
@pytest.mark.pythons(since=(3, 6))
def test_fork_with_a_held_rlock(python, target_folder):
    with Stuck(python, target_folder, "fork-rlock") as stuck:
        finding = stuck.only("lock")
        check_fork(stuck, finding, python)
        assert "is held by a thread that is not in this process (ident %s): taken before fork()" % stuck.object("owner") in finding["text"]


@pytest.mark.matrix("findings")
@pytest.mark.parametrize("mode,where", [("holder", "sleeps"), ("busy-holder", None)])
def test_holder_that_is_no_part_of_a_circle(python, target_folder, mode, where):
    with Stuck(python, target_folder, mode) as stuck:
        end = time.monotonic() + SECONDS
        count = 3 if mode == "holder" else 1
        # A holder that runs may change while it is looked at: then it is not named, this time.
        finding = stuck.only("lock")
        while len(finding["tids"]) < count + 1:
            assert time.monotonic() < end
            time.sleep(0.05)
            finding = stuck.only("lock")
        matches(r"%s holds _?thread\.lock %s \(taken%s\) and is%s; %d threads? waits? for it: .*" % (
            stuck.thread("holder"), stuck.object("lock"), stuck.at("takes"), stuck.at(where) if where else r" at %s:\d+ in \S+" % FILE,
            count), finding)
        assert finding["tids"][0] == stuck.facts["tids"]["holder"]
        assert "deadlock" not in {found["kind"] for found in stuck.findings()}


@pytest.mark.matrix("findings")
def test_condition_whose_lock_was_let_go(python, target_folder):
    """The listener is inside `with` on it too, but waits for notify()."""
    with Stuck(python, target_folder, "condition") as stuck:
        matches(r"%s holds _?thread\.lock %s \(taken%s\) and is at .*; 1 thread waits for it: %s%s" % (
            stuck.thread("holder"), stuck.object("lock"), stuck.at("takes"), stuck.thread("waiter"), stuck.at("waits")), stuck.only("lock"))


@pytest.mark.matrix("findings")
def test_unrecorded_holder_is_not_guessed(python, target_folder):
    with Stuck(python, target_folder, "acquire") as stuck:
        finding = stuck.only("lock")
        matches(r"_?thread\.lock %s is taken; who took it is not recorded; 1 thread waits for it: %s%s" % (
            stuck.object("lock"), stuck.thread("MainThread"), stuck.at("waits")), finding)
        assert finding["tids"] == [stuck.facts["tids"]["MainThread"]]


@pytest.mark.matrix("findings")
@pytest.mark.pythons(since=(3, 6))
def test_circle_with_timeouts_is_no_deadlock(python, target_folder):
    with Stuck(python, target_folder, "timeout") as stuck:
        end = time.monotonic() + SECONDS
        while len(stuck.wait_for("lock")) < 2:
            assert time.monotonic() < end
        found = stuck.findings()
        assert {finding["kind"] for finding in found} == {"lock"}, found
        assert all("(with a timeout)" in finding["text"] for finding in found), found


@pytest.mark.matrix("findings")
@pytest.mark.parametrize("mode", ["child", "communicate"])
def test_child(python, target_folder, mode):
    with Stuck(python, target_folder, mode) as stuck:
        wait_until(lambda: state_of(stuck.facts["child"]) == "S", "the child asleep")
        matches(r"%s waits%s for child process %d \(\S+, asleep\)" % (stuck.thread("MainThread"), stuck.at("waits"), stuck.facts["child"]),
                stuck.only("child"))


@pytest.mark.matrix("findings")
@pytest.mark.pythons(since=(3, 6))
def test_import(python, target_folder):
    with Stuck(python, target_folder, "import") as stuck:
        matches("%s waits%s for the import of module slow_module by %s" % (
            stuck.thread("waiter"), stuck.at("waits"), stuck.thread("importer")), stuck.only("import"))


@pytest.mark.matrix("findings")
@pytest.mark.pythons(since=(3, 6))
def test_pool_that_waits_for_itself(python, target_folder):
    with Stuck(python, target_folder, "pool-on-itself") as stuck:
        finding = stuck.only("starved")
        matches(r'no thread is left to begin Future 0x\w+ \(PENDING\), for which waits thread \d+ "ThreadPoolExecutor-0_0"%s; all 2 Python '
                r'threads of the process wait: .*' % stuck.at("waits"), finding)


@pytest.mark.matrix("findings")
@pytest.mark.pythons(since=(3, 7))
def test_simple_queue(python, target_folder):
    with Stuck(python, target_folder, "simple-queue") as stuck:
        matches(r"no thread is left to put an item into _queue\.SimpleQueue %s, for which waits %s%s, the only Python thread of the process "
                r".*" % (stuck.object("jobs"), stuck.thread("MainThread"), stuck.at("gets")), stuck.only("starved"))


@pytest.mark.matrix("findings")
def test_many_waiters_are_counted(python, target_folder):
    with Stuck(python, target_folder, "pool") as stuck:
        end = time.monotonic() + SECONDS
        while len(stuck.only("lock")["tids"]) < 21:
            assert time.monotonic() < end
            time.sleep(0.05)
        text = stuck.only("lock")["text"]
        assert text.startswith("%s holds " % stuck.thread("MainThread")) and "; 20 threads wait for it: " in text, text
        assert text.endswith(" and 12 more"), text


@pytest.mark.matrix("core")
@pytest.mark.parametrize("mode", ["two-locks", "queue", "fork-rlock"])
def test_core(python, target_folder, mode):
    """The same from a core, whose registers say what a thread slept on."""
    if mode == "fork-rlock" and python.minor < (3,):
        pytest.skip("2.7's RLock is a Python object; fork() keeps its owner's thread state")
    with Stuck(python, target_folder, mode) as stuck:
        kind = {"two-locks": "deadlock", "queue": "starved", "fork-rlock": "lock"}[mode]
        live = stuck.only(kind)
        core = debugger.gcore(stuck.target)
        words = [core, python.path] if "root" in python.traits else [core]  # its files are not where the core says
        found = [finding for finding in dump_json(*words)["findings"] if finding["kind"] == kind]
        assert len(found) == 1, found
        if mode == "fork-rlock":
            assert "is held by a thread that is not in this process (ident %s)" % stuck.object("owner") in found[0]["text"]
        else:
            # A core has its threads in another order.
            assert sorted(re.split("[ ,;]+", found[0]["text"])) == sorted(re.split("[ ,;]+", live["text"]))


@pytest.mark.matrix("core")
def test_damaged_core(python, target_folder):
    """Words that the conclusions rest on point elsewhere: no crash, no endless loop (flip_core fails at a second, or above 64 MiB)."""
    with Stuck(python, target_folder, "two-locks") as stuck:
        stuck.only("deadlock")
        core = debugger.gcore(stuck.target)
    done = subprocess.run([built("flip_core"), core, python.path if "root" in python.traits else "", FLIPS], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, encoding="utf-8", timeout=600)
    assert done.returncode == 0, done.stdout
    assert re.search(r"[1-9]\d* of %s with findings" % FLIPS, done.stdout), done.stdout


@pytest.mark.matrix("findings")
def test_text(python, target_folder):
    """The conclusions stand where they are seen: each on a line of its own."""
    with Stuck(python, target_folder, "two-locks") as stuck:
        text = stuck.only("deadlock")["text"]
        done = pybraid("dump", stuck.target.pid)
        assert done.code == 0, done.err
        assert "=> " + text in done.out.splitlines(), done.out


@pytest.mark.matrix("findings")
@pytest.mark.parametrize("option", [[], ["--consistent"]])
def test_nothing_is_said_of_a_process_at_work(python, target_folder, option):
    """Threads sleep, read, take and release a lock that nobody else wants."""
    with Stuck(python, target_folder, "at-work") as stuck:
        for _ in range(20):
            assert stuck.findings(*option) == []
