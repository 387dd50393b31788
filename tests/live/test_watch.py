# SPDX-License-Identifier: Apache-2.0
"""pybraid watch: nobody notices that a command is watched, until it is stuck; then everybody is told where."""
import fcntl
import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import time

import pytest

from support import debugger, process, pythons, target

PYBRAID = os.environ.get("PYBRAID_PROGRAM", pythons.REPO + "/build/bin/pybraid")
TREE = os.path.join(target.TARGETS, "stuck_tree.py")
ROLES = ("main", "daemon", "sleep")
STUCK, OWN_FAILURE, CANNOT_RUN, NOT_FOUND = 124, 125, 126, 127

# Python that says on fd 3 which signals it got, and ends at SIGTERM.
LISTEN = """
import os, signal, time
def got(number, frame):
    os.write(3, b"%d\\n" % number)
    if number == signal.SIGTERM: os._exit(5)
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMIN + 3, signal.SIGTERM):
    signal.signal(number, got)
os.write(3, b"ready %d\\n" % os.getpid())
while True: time.sleep(10)
"""


def environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "GITLAB_", "CI", "PYTHON", "NO_COLOR"))}
    return dict(env, LC_ALL="C.UTF-8", **more)


def watch(*arguments, timeout=90, env=None, **more):
    """Runs it to its end; `out`, `err` are bytes of the done process' stdout and stderr."""
    more.setdefault("stdin", subprocess.DEVNULL)
    more.setdefault("stdout", subprocess.PIPE)
    more.setdefault("stderr", subprocess.PIPE)
    return subprocess.run([PYBRAID, "watch", *map(str, arguments)], timeout=timeout, env=env or environment(),
                          start_new_session=True, **more)


def is_gone(pid):
    return process.state_of(pid) in (None, "Z", "X")


def tree_command(python, folder, *arguments):
    folder = str(folder)
    return [*python.launch(folder), TREE, os.path.join(folder, "account"), *arguments]


def told(folder, role):
    return int(process.read_text(os.path.join(str(folder), "account." + role)))


def assert_gone(folder):
    """Nothing is left of the tree of stuck_tree.py."""
    for role in ROLES:
        assert is_gone(told(folder, role)), role


def end_all(folder):
    for role in ROLES:
        try:
            os.kill(told(folder, role), signal.SIGKILL)
        except OSError:
            pass


@pytest.fixture
def tree_folder(target_folder):
    yield target_folder
    end_all(target_folder)


# --- nobody notices

@pytest.mark.matrix("watch")
@pytest.mark.parametrize("script, code", [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -KILL $$", 137),
                                          ("kill -TERM $$", 143), ("kill -SEGV $$", 139)])
def test_exit_code(script, code):
    done = watch("--timeout", 30, "--", "sh", "-c", script)
    assert (done.returncode, done.stdout, done.stderr) == (code, b"", b"")


@pytest.mark.matrix("watch")
def test_cannot_be_started(tmp_path):
    plain = tmp_path / "plain file"
    plain.write_text("no program")
    for command, code in ((str(plain), CANNOT_RUN), (str(tmp_path), CANNOT_RUN), ("/does/not/exist", NOT_FOUND),
                          ("no-such-command", NOT_FOUND)):
        done = watch("--timeout", 30, "--", command)
        assert done.returncode == code, command
        assert done.stderr.count(b"\n") == 1 and os.fsencode(command) in done.stderr
        assert subprocess.run(["env", command], stderr=subprocess.DEVNULL).returncode == code


@pytest.mark.matrix("watch")
def test_usage(tmp_path):
    for arguments in ([], ["--", "true"], ["--timeout", "5"], ["--timeout", "x", "--", "true"], ["--timeout", "-1", "--", "true"],
                      ["--timeout", "nan", "--", "true"], ["--timeout", "0", "--", "true"], ["--no-such", "--", "true"],
                      ["--timeout", "5", "--pid", "1", "--", "true"], ["--timeout", "5", "--pid", "x"], ["--timeout"],
                      ["--timeout", "5", "--core", str(tmp_path / "absent"), "--", "true"],
                      ["--timeout", "5", "--json", str(tmp_path / "absent" / "x"), "--", "true"],
                      ["--timeout", "5", "-o", str(tmp_path / "absent" / "x"), "--", "true"]):
        done = watch(*arguments)
        assert done.returncode == OWN_FAILURE and done.stderr and not done.stdout, arguments
    helped = watch("--help")
    assert helped.returncode == 0 and b"--timeout" in helped.stdout and not helped.stderr


@pytest.mark.matrix("watch")
def test_streams_are_the_commands_own(tmp_path):
    """The very same open files: nothing is copied, so nothing is buffered in another way; nothing of ours is inherited."""
    look = "import os; print([os.readlink('/proc/self/fd/%d' % fd) for fd in (0, 1, 2)], sorted(map(int, os.listdir('/proc/self/fd'))))"
    with open(tmp_path / "in", "w+b") as stdin:
        plain = subprocess.run([sys.executable, "-c", look], stdin=stdin, stdout=subprocess.PIPE, stderr=stdin)
        watched = watch("--timeout", 30, "--idle", 30, "--", sys.executable, "-c", look, stdin=stdin, stderr=stdin)
    assert re.sub(rb"pipe:\[\d+\]", b"pipe", watched.stdout) == re.sub(rb"pipe:\[\d+\]", b"pipe", plain.stdout)
    data = os.urandom(1 << 20)
    assert watch("--timeout", 30, "--", "cat", stdin=None, input=data).stdout == data


@pytest.mark.matrix("watch")
def test_signal_state_is_the_commands_own():
    """Masks and dispositions are those that watch was started with."""
    look = "grep -E '^(SigBlk|SigIgn|SigCgt|ShdPnd)' /proc/self/status"

    def prepare():
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, {signal.SIGWINCH})
    plain = subprocess.run(["sh", "-c", look], stdout=subprocess.PIPE, preexec_fn=prepare)
    watched = watch("--timeout", 30, "--", "sh", "-c", look, preexec_fn=prepare)
    assert watched.returncode == 0 and watched.stdout == plain.stdout and b"SigBlk" in plain.stdout


@pytest.mark.matrix("watch")
def test_same_process_group():
    done = watch("--timeout", 30, "--", sys.executable, "-c", "import os; print(os.getpgrp(), os.getsid(0), os.getppid())")
    group, session, parent = map(int, done.stdout.split())
    assert group == session == parent


@pytest.mark.matrix("watch")
def test_daemons_are_left_alone(tmp_path):
    """The command ends, what it left behind goes on, and nobody waits for it."""
    path = tmp_path / "pid"
    begin = time.monotonic()
    done = watch("--timeout", 60, "--", "sh", "-c", "setsid sleep 60 >/dev/null 2>&1 </dev/null & echo $! > '%s'" % path)
    pid = int(path.read_text())
    try:
        assert done.returncode == 0 and time.monotonic() - begin < 20 and not is_gone(pid)
    finally:
        os.kill(pid, signal.SIGKILL)


@pytest.mark.matrix("watch")
def test_orphans_do_not_change_the_code():
    """Daemonised descendants are ours to reap; their codes are nobody's."""
    script = "(sh -c 'sleep 0.1; exit 9' &) ; (sh -c 'exit 8' &) ; sleep 0.5; exit 4"
    assert watch("--timeout", 30, "--", "sh", "-c", script).returncode == 4


class Running:
    """A watch whose command speaks on a pipe."""

    def __init__(self, *arguments, **more):
        self.read, write = os.pipe()

        def prepare():
            os.dup2(write, 3)
        self.process = subprocess.Popen([PYBRAID, "watch", *map(str, arguments)], stdin=subprocess.DEVNULL, pass_fds=(3,) if write == 3 else (),
                                        close_fds=False, stderr=subprocess.PIPE, preexec_fn=prepare, start_new_session=True,
                                        env=environment(), **more)
        os.close(write)
        self.text = b""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)
        self.process.stderr.close()
        os.close(self.read)

    def line(self, timeout=30):
        while b"\n" not in self.text:
            assert select.select([self.read], [], [], timeout)[0], "nothing said for %g s" % timeout
            piece = os.read(self.read, 4096)
            assert piece, "it has ended"
            self.text += piece
        line, _, self.text = self.text.partition(b"\n")
        return line.decode()

    def silent(self, seconds):
        return not self.text and not select.select([self.read], [], [], seconds)[0]


@pytest.mark.matrix("watch")
def test_signals_are_passed_on():
    with Running("--timeout", 60, "--", sys.executable, "-c", LISTEN) as run:
        child = int(run.line().split()[1])
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGRTMIN + 3):
            os.kill(run.process.pid, number)
            assert run.line() == str(int(number))
        assert os.getpgid(child) == run.process.pid and run.silent(0.3)
        os.kill(run.process.pid, signal.SIGTERM)
        assert run.line() == str(int(signal.SIGTERM))
        assert run.process.wait(timeout=30) == 5


@pytest.mark.matrix("watch")
def test_signal_of_the_command_to_its_own_group():
    """The command has it already: it comes once."""
    script = LISTEN.replace("while True", "os.kill(0, signal.SIGUSR1)\nwhile True")
    with Running("--timeout", 60, "--", sys.executable, "-c", script) as run:
        assert run.line().startswith("ready") and run.line() == str(int(signal.SIGUSR1))
        assert run.silent(0.5) and run.process.poll() is None


class Shell:
    """An interactive bash with job control on a terminal of its own."""

    def __init__(self, folder):
        self.master, slave = pty.openpty()

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.process = subprocess.Popen(["bash", "--norc", "--noprofile", "-i"], stdin=slave, stdout=slave, stderr=slave, cwd=str(folder),
                                        preexec_fn=own_terminal, env=environment(PS1="$ ", TERM="dumb", HISTFILE=""))
        os.close(slave)
        self.seen = ""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        os.close(self.master)  # hangs up: whatever runs there ends
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(timeout=30)

    def send(self, text):
        os.write(self.master, text.encode())

    def until(self, pattern, timeout=30):
        """The match object of a pattern in what the terminal shows from here on; it is used up."""
        deadline = time.monotonic() + timeout
        while True:
            hit = re.search(pattern, self.seen)
            if hit:
                self.seen = self.seen[hit.end():]
                return hit
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.master], [], [], left)[0], (pattern, self.seen)
            self.seen += os.read(self.master, 65536).decode("utf-8", "replace")


@pytest.mark.matrix("watch")
def test_terminal(tmp_path):
    """At a terminal: isatty, Ctrl-C once for the command, Ctrl-Z and fg, and stdin from the keyboard."""
    (tmp_path / "listen.py").write_text(
        "import os, signal, sys\n"
        "print('tty', os.isatty(0), os.isatty(1), os.isatty(2), os.tcgetpgrp(0) == os.getpgrp(), flush=True)\n"
        "count = 0\n"
        "def got(n, f):\n    global count\n    count += 1\n    print('INT', count, flush=True)\n"
        "signal.signal(signal.SIGINT, got)\n"
        "for line in iter(sys.stdin.readline, ''):\n    print('line', line.strip(), count, flush=True)\n")
    command = "%s watch --timeout 60 -- %s listen.py; echo code=$?" % (shlex.quote(PYBRAID), shlex.quote(sys.executable))
    with Shell(tmp_path) as shell:
        shell.send(command + "\n")
        shell.until(r"tty True True True True")
        shell.send("one\n")
        shell.until(r"line one 0")
        shell.send("\x03")
        shell.until(r"INT 1")
        shell.send("two\n")
        shell.until(r"line two 1")
        shell.send("\x1a")
        shell.until(r"Stopped")
        shell.send("echo shell-is-$((40 + 2))\n")
        shell.until(r"shell-is-42")
        shell.send("fg\n")
        shell.until(r"watch --timeout")
        shell.send("three\n")
        shell.until(r"line three 1")
        shell.send("\x04")
        shell.send("echo code=$?\n")
        shell.until(r"code=0")


@pytest.mark.matrix("watch")
def test_time_that_we_are_stopped_does_not_count(tmp_path):
    """Ctrl-Z for longer than the timeout: afterwards the command still has its time."""
    with Shell(tmp_path) as shell:
        shell.send("%s watch --timeout 5 -- sh -c 'echo go-on; read x; echo read-$x; exit 7'\n" % shlex.quote(PYBRAID))
        shell.until(r"\ngo-on")
        shell.send("\x1a")
        shell.until(r"Stopped")
        time.sleep(6)
        shell.send("fg\n")
        shell.until(r"watch --timeout")
        shell.send("y\n")
        shell.until(r"read-y")
        shell.send("echo code=$?\n")
        shell.until(r"code=7")


@pytest.mark.matrix("watch")
def test_command_that_stops_itself_gives_the_shell_back(tmp_path):
    with Shell(tmp_path) as shell:
        shell.send("%s watch --timeout 60 -- sh -c 'kill -STOP $$; echo went-on; exit 6'\n" % shlex.quote(PYBRAID))
        shell.until(r"Stopped")
        shell.send("fg\n")
        shell.until(r"\nwent-on")
        shell.send("echo code=$?\n")
        shell.until(r"code=6")


# --- stuck

@pytest.mark.wide
@pytest.mark.matrix("watch")
def test_stuck_tree(python, tree_folder):
    """Every process and thread is told of, stuck from moving; the daemonised one too; all of it is ended."""
    report = tree_folder / "report.json"
    done = watch("--timeout", 5, "--json", report, "--", *tree_command(python, tree_folder), env=dict(python.environment(), **environment()))
    text = done.stderr.decode()
    assert done.returncode == STUCK and done.stdout == b"", text
    assert_gone(tree_folder)
    documents = [json.loads(line) for line in report.read_text().splitlines()]
    looks = {}
    for document in documents:
        assert document["schema"] == 1
        looks.setdefault(document["watch"]["look"], {})[document["process"]["pid"]] = document
    assert sorted(looks) == [1, 2, 3]
    main, daemon, sleep = (told(tree_folder, role) for role in ROLES)
    last = looks[3]
    assert set(last) >= {main, daemon, sleep}
    assert last[main]["watch"]["python"] and last[daemon]["watch"]["python"] and not last[sleep]["watch"]["python"]
    motions = {}
    for pid in (main, daemon):
        for thread, more in zip(last[pid]["threads"], last[pid]["watch"]["threads"]):
            assert thread["tid"] == more["tid"]
            motions.update({frame["func"]: more for frame in thread["frames"] if frame["kind"] == "python"})
    for stuck in (motions["wait_for_ever"], motions["wait_in_daemon"]):
        assert (stuck["motion"], stuck["cpu"], stuck["woke"], stuck["inside"]) == ("same", 0, 0, None)
    assert motions["never_still"]["cpu"] > 0  # how much is the machine's matter
    assert motions["often_asleep"]["woke"] > 3
    assert last[sleep]["watch"]["waits_in"] in ("nanosleep", "clock_nanosleep")
    for name in ("wait_for_ever", "wait_in_daemon", "sleep 1000", "no end after 5 s"):
        assert name in text


@pytest.mark.matrix("watch")
def test_moving_and_stuck_are_told_apart(python, tree_folder):
    """A thread that stays where it is says so in the summary; one that is elsewhere in each look says that."""
    script = tree_folder / "two.py"
    script.write_text(
        "import os, threading, time\n"
        "def first():\n    time.sleep(1000 if done else 0.01)\n"
        "def second():\n    time.sleep(0.01)\n"
        "def walker():\n"
        "    steps = [first, second]\n"
        "    while True:\n"
        "        for step in steps: step(); hop()\n"
        "def hop():\n    depth(30)\n"
        "def depth(n):\n    depth(n - 1) if n else time.sleep(0.01)\n"
        "done = False\n"
        "thread = threading.Thread(target=walker, name='walker'); thread.daemon = True; thread.start()\n"
        "os.read(os.pipe()[0], 1)\n")
    done = watch("--timeout", 4, "--", *python.launch(str(tree_folder)), script, env=dict(python.environment(), **environment()))
    assert done.returncode == STUCK
    summary = done.stderr.decode().split("pybraid watch: no end after")[-1]
    lines = summary.splitlines()
    verdicts = {}
    for at, line in enumerate(lines):
        hit = re.match(r"    \d+ (\S+): ", line)
        if hit:
            verdicts[hit.group(1)] = lines[at + 1].strip()
    main = next(verdict for name, verdict in verdicts.items() if "walker" not in name)
    walker = [verdict for name, verdict in verdicts.items() if "walker" in name] or \
             [verdict for name, verdict in verdicts.items() if verdict != main]
    assert main.startswith("same place in all 3 looks, no CPU used")
    assert walker and not walker[0].endswith("no CPU used") or "moving" in walker[0]


@pytest.mark.matrix("watch")
def test_first_look_shows_where_it_was(tmp_path):
    """Stuck only since the half: the place of the first look is in the report."""
    script = tmp_path / "moves_on.py"
    script.write_text("import os, time\n"
                      "def slow_start():\n    time.sleep(3.2)\n"
                      "def then_stuck():\n    os.read(os.pipe()[0], 1)\n"
                      "slow_start()\nthen_stuck()\n")
    done = watch("--timeout", 5, "--", sys.executable, script)
    text = done.stderr.decode()
    assert done.returncode == STUCK
    assert "slow_start" in text and "then_stuck" in text
    assert "same place in the last 2 looks, elsewhere before" in text


@pytest.mark.matrix("watch")
def test_ends_by_itself_while_being_looked_at():
    """Over time, but done before the second look: its own code counts."""
    done = watch("--timeout", 2, "--", "sh", "-c", "sleep 3; exit 11")
    assert done.returncode == 11 and b"ended it" not in done.stderr


@pytest.mark.matrix("watch")
def test_idle():
    spin = "import time\nend = time.monotonic() + 5\nwhile time.monotonic() < end: pass"
    for command, code in ((["sh", "-c", "for i in 1 2 3 4 5 6 7 8; do sleep 0.7; echo; done"], 0),
                          ([sys.executable, "-c", spin], 0), (["sleep", "100"], STUCK),
                          # a loop that polls is idle too
                          ([sys.executable, "-c", "import time\nwhile True: time.sleep(0.5)"], STUCK)):
        begin = time.monotonic()
        done = watch("--idle", 2, "--", *command)
        assert done.returncode == code, (command, done.stderr)
        assert code == 0 or (b"nothing happened for 2 s" in done.stderr and time.monotonic() - begin < 20)


@pytest.mark.matrix("watch")
def test_output_of_a_descendant_counts():
    """The command itself waits; a daemonised grandchild writes."""
    script = "setsid sh -c 'for i in 1 2 3 4 5 6; do sleep 0.7; echo x > /dev/null; done' & wait; exit 0"
    assert watch("--idle", 2, "--", "sh", "-c", script).returncode == 0


@pytest.mark.matrix("watch")
def test_ignores_term(tmp_path):
    path = tmp_path / "pids"
    script = "trap '' TERM; (setsid sh -c 'trap \"\" TERM; echo $$ >> %s; while :; do sleep 1; done' &); echo $$ >> %s; " \
             "while :; do sleep 1; done" % (path, path)
    begin = time.monotonic()
    done = watch("--timeout", 1, "--grace", 1, "--", "sh", "-c", script)
    assert done.returncode == STUCK and b"SIGKILL" in done.stderr and time.monotonic() - begin < 20
    pids = [int(word) for word in path.read_text().split()]
    assert len(pids) == 2 and all(map(is_gone, pids))


@pytest.mark.matrix("watch")
def test_takes_term(tmp_path):
    """What takes SIGTERM has its time to clean up, and is not killed."""
    path = tmp_path / "clean"
    script = "trap 'sleep 1; echo cleaned > %s; exit 0' TERM; while :; do sleep 0.1; done" % path
    done = watch("--timeout", 1, "--grace", 10, "--", "sh", "-c", script)
    assert done.returncode == STUCK and b"SIGKILL" not in done.stderr and path.read_text() == "cleaned\n"


@pytest.mark.matrix("watch")
def test_stopped_command():
    """Stopped where there is no terminal: stuck like any other, said so, and ended."""
    done = watch("--timeout", 2, "--", "sh", "-c", "kill -STOP $$")
    assert done.returncode == STUCK and b"stopped by a signal" in done.stderr and b"SIGKILL" not in done.stderr


@pytest.mark.matrix("watch")
def test_command_that_closes_its_output():
    done = watch("--timeout", 2, "--", "sh", "-c", "exec >&- 2>&- <&-; sleep 100")
    assert done.returncode == STUCK and b"sleep 100" in done.stderr
    assert watch("--timeout", 30, "--", "sh", "-c", "exec >&- 2>&- <&-; exit 2").returncode == 2


@pytest.mark.matrix("watch")
def test_fork_storm():
    """Descendants come and go all the time: the looks do not fail, and nothing is left."""
    script = "import os, time\nwhile True:\n    if os.fork() == 0: time.sleep(0.05); os._exit(0)\n    try:\n" \
             "        while os.waitpid(-1, os.WNOHANG)[0]: pass\n    except OSError: pass\n    time.sleep(0.005)"
    done = watch("--timeout", 2, "--", sys.executable, "-c", script)
    assert done.returncode == STUCK and b"no end after 2 s" in done.stderr
    marker = [pid for pid in os.listdir("/proc") if pid.isdigit() and os.path.exists("/proc/%s/cmdline" % pid)
              and b"if os.fork() == 0: time.sleep(0.05)" in open("/proc/%s/cmdline" % pid, "rb").read()]
    assert [pid for pid in marker if int(pid) != os.getpid() and not is_gone(int(pid))] == []


@pytest.mark.matrix("watch")
def test_locals_only_when_asked_for(tree_folder):
    script = tree_folder / "secret.py"
    script.write_text("import os\ndef f(password):\n    os.read(os.pipe()[0], 1)\nf('the' + '-' + 'secret')\n")
    for options, there in (([], False), (["-l"], True)):
        report = tree_folder / "report.json"
        done = watch("--timeout", 2, "--json", report, *options, "--", sys.executable, script)
        assert done.returncode == STUCK
        assert (b"the-secret" in done.stderr) == there and ("the-secret" in report.read_text()) == there


@pytest.mark.matrix("watch")
def test_equal_processes_are_named_together(tree_folder):
    """Workers that all wait at the same place: one entry for them in the summary, with their number."""
    script = tree_folder / "workers.py"
    script.write_text("import os, threading\ndef work():\n    os.read(os.pipe()[0], 1)\n"
                      "for i in range(9):\n    if os.fork() == 0:\n"
                      "        for k in range(4): threading.Thread(target=work).start()\n        work()\n"
                      "os.wait()\n")
    done = watch("--timeout", 2, "--", sys.executable, script)
    summary = done.stderr.decode().split("pybraid watch: no end after")[1]
    assert done.returncode == STUCK and summary.count("9 processes (") == 1 and summary.count("work (workers.py:3)") <= 2, summary
    assert re.search(r"^    in each \d threads: work \(workers.py:3\) in read$", summary, re.M)


# --- what is written

@pytest.mark.matrix("watch")
def test_no_standard_files():
    """Closed for us, closed for the command; a file that we open does not take their place."""
    def close_all():
        os.closerange(0, 3)
    probe = "for fd in 0 1 2; do [ -e /proc/$$/fd/$fd ] && exit 9; done; exit 8"
    done = subprocess.Popen([PYBRAID, "watch", "--timeout", "30", "--json", "/dev/null", "--", "sh", "-c", probe], preexec_fn=close_all,
                            env=environment())
    assert done.wait(timeout=60) == 8


@pytest.mark.matrix("watch")
def test_disk_full_and_closed_pipe():
    for arguments in (["-o", "/dev/full"], ["--json", "/dev/full"]):
        done = watch("--timeout", 1, *arguments, "--", "sleep", "100")
        assert done.returncode == STUCK and done.stderr.count(b"/dev/full: No space left") == 1, done.stderr
    with open("/dev/full", "wb") as full:
        assert watch("--timeout", 1, "--", "sleep", "100", stderr=full).returncode == STUCK
    read, write = os.pipe()
    os.close(read)
    try:
        assert watch("--timeout", 1, "--", "sleep", "100", stderr=write).returncode == STUCK
    finally:
        os.close(write)


@pytest.mark.matrix("watch")
def test_nobody_reads_our_report():
    """stderr is a full pipe: the tree is ended all the same."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    try:
        while True:
            os.write(write, b"x" * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(write, True)
    try:
        begin = time.monotonic()
        assert watch("--timeout", 1, "--", "sleep", "100", stderr=write).returncode == STUCK
        assert time.monotonic() - begin < 60
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.matrix("watch")
def test_report_in_a_file(tmp_path):
    report = tmp_path / "report.txt"
    done = watch("--timeout", 1, "-o", report, "--", "sleep", "100")
    assert "sleep 100" in report.read_text() and str(report).encode() in done.stderr and b"looked at" not in done.stderr


HOSTILE = "\r::endgroup::\n::set-output name=x::y\n##[error]z\x1b[2Jw```\x1b[0Ksection_end:1:a\r"


def hostile_script(folder):
    """A program whose name, arguments, function and thread names try to be workflow commands."""
    script = folder / "hostile.py"
    script.write_text("import os, sys, threading\n"
                      "def f():\n    os.read(os.pipe()[0], 1)\n"
                      "name = sys.argv[1]\n"
                      "f.__code__ = f.__code__.replace(co_name='::warning::' + name, co_filename='##[warning]' + name)\n"
                      "threading.Thread(target=f, name='::error::' + name).start()\n")
    return [sys.executable, script, HOSTILE]


@pytest.mark.matrix("watch")
def test_github(tmp_path):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    done = watch("--timeout", 3, "--", *hostile_script(tmp_path),
                 env=environment(GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(summary)))
    assert done.returncode == STUCK
    # The runner's rules: a command is a line that begins with "::" after blanks, or has "##[" anywhere; none until the word comes.
    off, commands = None, []
    for line in done.stderr.decode().splitlines():
        if off:
            off = None if line == "::%s::" % off else off
        elif line.lstrip().startswith("::stop-commands::"):
            off = line.split("::stop-commands::")[1]
            assert re.fullmatch("[0-9a-f]{32}", off)
        elif line.lstrip().startswith("::") or "##[" in line:
            commands.append(line)
    assert off is None
    assert [command.split("::")[1].split()[0] for command in commands] == ["group", "endgroup", "error"], commands
    text = summary.read_text()
    assert text.startswith("before\n") and "::error::" in text and "##[warning]" in text and "\x1b" not in text and "\r" not in text
    fences = re.findall(r"^(`{3,})(?:text)?$", text, re.M)
    assert len(fences) == 4 and fences[0] == fences[1] and fences[2] == fences[3]
    for fence, block in ((fences[0], text.split(fences[0] + "text\n")[1].split("\n" + fences[0])[0]),):
        assert fence not in block


@pytest.mark.matrix("watch")
def test_gitlab(tmp_path):
    done = watch("--timeout", 3, "--", *hostile_script(tmp_path), env=environment(GITLAB_CI="true"))
    assert done.returncode == STUCK
    text = done.stderr.decode()
    marks = re.findall(r"\x1b\[0Ksection_(start|end):\d+:([a-z0-9_]+)(\[collapsed=true\])?\r\x1b\[0K", text)
    assert [mark[0] for mark in marks] == ["start", "end"] and marks[0][1] == marks[1][1]
    assert text.count("\x1b") == 4 and text.count("\r") == 2
    assert text.index("section_start") < text.index("Process ") < text.index("section_end") < text.index("looked at after")


# --- cores

def core_of(folder, pid):
    path = os.path.join(str(folder), "core.%d" % pid)
    assert os.stat(path).st_mode & 0o077 == 0
    return path


def frames_of(thread, python):
    """What can be compared. The files of another root are not where the core says: then there is nothing to unwind by."""
    return [[frame.get(key) for key in ("kind", "func", "file", "line", "lasti", "pc")] for frame in thread["frames"]
            if frame["kind"] == "python" or not python.root]


@pytest.mark.wide
@pytest.mark.matrix("watch")
def test_core(python, tree_folder):
    """gdb and we read it, and see the frames of the process."""
    report = tree_folder / "report.json"
    done = watch("--timeout", 4, "--json", report, "--core", tree_folder, "--", *tree_command(python, tree_folder),
                 env=dict(python.environment(), **environment()))
    assert done.returncode == STUCK
    main, daemon = told(tree_folder, "main"), told(tree_folder, "daemon")
    seen = {json.loads(line)["process"]["pid"]: json.loads(line) for line in report.read_text().splitlines()}
    assert {name for name in os.listdir(tree_folder) if name.startswith("core.")} == {"core.%d" % p for p in (main, daemon)}, done.stderr
    for pid, innermost in ((main, "wait_for_ever"), (daemon, "wait_in_daemon")):
        path = core_of(tree_folder, pid)
        ours = subprocess.run([PYBRAID, "dump", "--json", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        assert ours.returncode == 0, ours.stderr
        document = json.loads(ours.stdout)
        assert [t["tid"] for t in document["threads"]] == [t["tid"] for t in seen[pid]["threads"]]
        for thread, live in zip(document["threads"], seen[pid]["threads"]):
            if innermost not in [f["func"] for f in live["frames"] if f["kind"] == "python"]:
                continue  # this one goes on between look and core
            assert frames_of(thread, python) == frames_of(live, python)
            break
        else:
            raise AssertionError("no thread in %s" % innermost)


@pytest.mark.matrix("watch")
def test_core_in_gdb(python, tree_folder):
    """gdb's bt of the core has, for each thread, the pcs of our own unwinder on it, and the registers are all there."""
    if python.root:
        pytest.skip("gdb of this host does not see the files of %s" % python.root)
    done = watch("--timeout", 4, "--core", tree_folder, "--", *tree_command(python, tree_folder),
                 env=dict(python.environment(), **environment()))
    assert done.returncode == STUCK
    path = core_of(tree_folder, told(tree_folder, "main"))
    gdb = debugger.gdb_batch(["info threads", "thread apply all -q info registers rip rsp", "thread apply all bt -frame-info location"],
                             core=path, exe=python.path if os.path.isabs(python.path) else None, plugin=False)
    ours = json.loads(subprocess.run([PYBRAID, "dump", "--json", path], stdout=subprocess.PIPE, timeout=60).stdout)
    assert gdb.out.count("\nrip ") == len(ours["threads"])
    lwps = {int(lwp) for lwp in re.findall(r"LWP (\d+)\)", gdb.out)}
    assert lwps == {thread["tid"] for thread in ours["threads"]}
    pcs = {int(word, 16) for word in re.findall(r"^rip +(0x[0-9a-f]+)", gdb.out, re.M)}
    assert pcs == {int(next(f for f in t["frames"] if f["kind"] == "native")["pc"], 16) for t in ours["threads"]}
    assert "read" in gdb.out


@pytest.mark.matrix("watch")
def test_core_of_large_and_empty_memory(tree_folder):
    """Gigabytes that were never touched take no disk and no time; what was touched is there."""
    script = tree_folder / "large.py"
    script.write_text("import mmap, os\n"
                      "area = mmap.mmap(-1, 8 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)\n"
                      "area[5 << 30:(5 << 30) + 9] = b'a-needle!'\n"
                      "shared = mmap.mmap(-1, 1 << 20); shared[4096:4105] = b'b-needle!'\n"
                      "open(%r, 'w').write(str(os.getpid()))\n"
                      "os.read(os.pipe()[0], 1)\n" % str(tree_folder / "account.main"))
    begin = time.monotonic()
    done = watch("--timeout", 2, "--core", tree_folder, "--", sys.executable, script)
    assert done.returncode == STUCK and time.monotonic() - begin < 30
    path = core_of(tree_folder, told(tree_folder, "main"))
    size = os.stat(path)
    assert size.st_size > 8 << 30 and size.st_blocks * 512 < 100 << 20
    found = subprocess.run(["sh", "-c", "exec python3 -"], input=(
        "import os\nfd = os.open(%r, os.O_RDONLY)\nat, seen = 0, b''\n"
        "while True:\n"
        "    try: at = os.lseek(fd, at, os.SEEK_DATA)\n"
        "    except OSError: break\n"
        "    end = os.lseek(fd, at, os.SEEK_HOLE)\n"
        "    data = os.pread(fd, end - at, at)\n"
        "    print(*[n for n in ('a-needle!', 'b-needle!') if n.encode() in data])\n"
        "    at = end\n" % path).encode(), stdout=subprocess.PIPE, check=True, timeout=60).stdout
    assert b"a-needle!" in found and b"b-needle!" in found


@pytest.mark.matrix("watch")
def test_core_that_takes_long(tree_folder):
    """A slow disk: the process stands still as long as it takes, and goes on afterwards."""
    if not shutil.which("strace"):
        pytest.skip("strace is not installed")
    counter, core = tree_folder / "counter", tree_folder / "cores"
    counter.write_bytes(bytes(8))
    core.mkdir()
    script = tree_folder / "count.py"
    script.write_text("import mmap, signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                      "stream = open(%r, 'r+b')\narea = mmap.mmap(stream.fileno(), 8)\nn = 0\n"
                      "while True:\n    n += 1\n    area[:] = n.to_bytes(8, 'little')\n" % str(counter))
    # Without -f: neither the command nor what traces it is slowed.
    slow = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=pwrite64", "-e", "inject=pwrite64:delay_enter=60000"]
    command = [PYBRAID, "watch", "--timeout", "1", "--grace", "3", "--core", str(core), "--", sys.executable, str(script)]
    seen = []
    with subprocess.Popen([*slow, *command], stderr=subprocess.PIPE, env=environment()) as run:
        while run.poll() is None:
            seen.append((time.monotonic(), counter.read_bytes(), any(name.count(".") == 2 for name in os.listdir(core))))
            time.sleep(0.02)
        said = run.stderr.read()
    assert run.returncode == STUCK and b"core of" in said and len(os.listdir(core)) == 1, said
    during = [(at, value) for at, value, writing in seen if writing][1:]
    after = [value for at, value, _writing in seen if at > during[-1][0]]
    assert during[-1][0] - during[0][0] > 2.5, "not slower than the keeper's patience"
    assert len({value for _at, value in during}) == 1
    assert len(set(after)) > 10


@pytest.mark.matrix("watch")
def test_core_on_a_full_disk(tree_folder):
    """Said once, and no partial file is left."""
    disk = tree_folder / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)]).returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    try:
        done = watch("--timeout", 2, "--core", disk, "--", sys.executable, "-c",
                     "import os\nx = os.urandom(1 << 23)\nos.fork()\nos.read(os.pipe()[0], 1)")
        assert done.returncode == STUCK and done.stderr.count(b"No space left on device") == 1, done.stderr
        assert os.listdir(disk) == []
    finally:
        subprocess.run(["umount", str(disk)], check=True)


# --- a process that runs already

@pytest.mark.matrix("watch")
def test_pid():
    for more, code in (([], STUCK), (["--kill"], STUCK)):
        running = subprocess.Popen([sys.executable, "-c", "import os\nos.read(os.pipe()[0], 1)"])
        try:
            done = watch("--pid", running.pid, "--timeout", 1, *more)
            assert done.returncode == code and b"no end after 1 s" in done.stderr
            if more:
                assert running.wait(timeout=10) == -signal.SIGTERM
            else:
                assert running.poll() is None and process.state_of(running.pid) == "S"
        finally:
            running.kill()
            running.wait(timeout=30)
    ending = subprocess.Popen(["sleep", "1"])
    assert watch("--pid", ending.pid, "--timeout", 30).returncode == 0
    ending.wait(timeout=30)
    assert watch("--pid", ending.pid, "--timeout", 30).returncode == OWN_FAILURE


# --- what the documents say

def written_commands():
    """Each `pybraid watch ... -- ...` of the documents and examples."""
    places = ["README.md", "docs/watch.md", "docs/man/pybraid-watch.1", "examples/ci/github.yml", "examples/ci/gitlab-ci.yml"]
    for place in places:
        for line in process.read_text(os.path.join(pythons.REPO, place)).splitlines():
            hit = re.search(r"pybraid watch (--?[a-z].*?) -- (\S+)", line)
            if hit:
                yield place, shlex.split(hit.group(1))


@pytest.mark.matrix("watch")
def test_written_commands(tmp_path):
    """What the documents tell people to type is accepted."""
    (tmp_path / "stuck").mkdir()
    seen = set()
    for place, options in written_commands():
        done = watch(*options, "--", "true", cwd=str(tmp_path))
        assert (done.returncode, done.stderr) == (0, b""), (place, options)
        seen.add(place)
    assert seen >= {"docs/watch.md", "examples/ci/github.yml", "examples/ci/gitlab-ci.yml"}


@pytest.mark.matrix("watch")
def test_pytest_timeout(tmp_path):
    """examples/ci/conftest.py: the stacks come before pytest-timeout ends the test."""
    if subprocess.run([sys.executable, "-c", "import pytest_timeout"], stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("pytest-timeout is not installed for %s" % sys.executable)
    conftest = process.read_text(os.path.join(pythons.REPO, "examples", "ci", "conftest.py"))
    (tmp_path / "conftest.py").write_text(conftest)
    (tmp_path / "test_it.py").write_text("import os, pytest\ndef wait_for_nothing(): os.read(os.pipe()[0], 1)\n"
                                         "def test_quick(): pass\n"
                                         "@pytest.mark.timeout(4)\ndef test_stuck(): wait_for_nothing()\n")
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "30"], cwd=str(tmp_path),
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=90, env=environment(PYBRAID=PYBRAID))
    text = done.stdout.decode()
    assert done.returncode == 1 and "1 failed, 1 passed" in text
    ours = text.index("the time of test_it.py::test_stuck is nearly over")
    assert "Process " in text[ours:] and re.search(r"^py +wait_for_nothing +.*test_it.py:2$", text[ours:], re.M)
    assert "test_quick is nearly" not in text
