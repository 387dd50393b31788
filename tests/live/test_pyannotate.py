# SPDX-License-Identifier: Apache-2.0
"""`perf script | pyannotate` on what perf really records. Truth: what the target says it spent in each function, and perf's own count."""
import collections
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass

import pytest

from support.pythons import REPO
from support.tools import BUILD

PYANNOTATE = os.environ.get("PYANNOTATE_PROGRAM", os.path.join(BUILD, "bin", "pyannotate"))
SAMPLE = (b"app 7/8 [001] 1.5:    1001 cpu-clock: \n\t    7fa082fbfc66 py::leaf:/srv/x y.py+0x6 (/tmp/perf-7.map)\n"
          b"\t           b7751 py_trampoline_evaluator+0x21 (/usr/bin/python3.13)\n\t           2724a _start+0x7a (/usr/bin/python3.13)\n\n")


def run(*words, text=b"", **options):
    return subprocess.run([PYANNOTATE, *words], input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, **options)


@dataclass
class Recording:
    text: bytes     # of perf script
    samples: int    # as perf record counted them
    spent: dict     # seconds, as the target says
    chains: bool    # perf got through to the Python functions


@pytest.fixture(scope="module")
def recorded(python, tmp_path_factory):
    """perf record and perf script of tests/targets/perf_shares.py."""
    perf = shutil.which("perf")
    if not perf:
        pytest.skip("no perf (linux-perf)")
    folder = tmp_path_factory.mktemp("perf")
    data = str(folder / "perf.data")
    perf = [perf, "--buildid-dir", str(folder / "debug")]
    command = [*perf, "record", "-o", data, "-e", "cpu-clock", "-F", "999", "-g", "--", *python.launch("/tmp"), "-X", "perf",
               REPO + "/tests/targets/perf_shares.py", "0.3"]
    before = set(glob.glob("/tmp/perf-*.map"))
    done = subprocess.run(command, env=python.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False)
    try:
        said = done.stderr.decode()
        counted = re.search(r"\((\d+) samples\)", said)
        if done.returncode or not counted:
            pytest.skip("perf record does not work here: " + said[-300:])
        script = subprocess.run([*perf, "script", "-i", data, "-F", "comm,pid,tid,time,period,event,ip,sym,symoff,dso"], check=True, timeout=120,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout
    finally:
        for path in set(glob.glob("/tmp/perf-*.map")) - before:
            os.unlink(path)
    return Recording(script, int(counted.group(1)), json.loads(done.stdout), script.count(b"py::main:") > int(counted.group(1)) // 2)


def folded(text):
    """{stack: count} of folded lines."""
    stacks = collections.Counter()
    for line in text.decode().splitlines():
        stack, _, count = line.rpartition(" ")
        stacks[stack] += int(count)
    return stacks


def tidy(name):
    """What stackcollapse-perf.pl makes of a name."""
    name = name.replace(";", ":")
    if not re.search(r"\.\(.*\)\.", name):
        name = name.partition("(")[0]
    return re.sub("[\"']", "", name)


def stackcollapse(text):
    """{stack: count} of perf script's text by the rules of stackcollapse-perf.pl (brackets <> kept); a line that they do not fit fails."""
    stacks, stack, comm = collections.Counter(), [], None
    for line in text.decode().split("\n"):
        if line.startswith("#"):
            continue
        header = re.match(r"(\S.*?)\s+(\d+)/*(\d+)*\s+", line)
        frame = re.match(r"\s*(\w+)\s*(.+) \((\S*)\)", line)
        if line == "":
            if comm is not None:
                stacks[";".join([comm] + stack)] += 1
            stack, comm = [], None
        elif header:
            comm = header.group(1).replace(" ", "_")
        else:
            assert frame, line
            name = re.sub(r"\+0x[\da-f]+$", "", frame.group(2))
            if name == "[unknown]":
                name = "[%s]" % (os.path.basename(frame.group(3)) if not frame.group(3).startswith("[") else "unknown")
            stack.insert(0, tidy(name))
    return stacks


def need_chains(recorded, python):
    if not recorded.chains:
        pytest.skip("%s is built without frame pointers: perf's chains end before the Python functions" % python)


@pytest.mark.pythons(since=(3, 12))
@pytest.mark.wide
def test_counts_and_passing(python, recorded):
    fold = run("--fold", text=recorded.text)
    assert fold.returncode == 0 and sum(folded(fold.stdout).values()) == recorded.samples
    assert sum(folded(run("--fold", "-p", text=recorded.text).stdout).values()) == recorded.samples
    text = run(text=recorded.text)
    assert text.returncode == 0
    assert len(re.findall(rb"^\S.* cpu-clock: *$", text.stdout, re.M)) == recorded.samples
    assert run(text=text.stdout).stdout == text.stdout
    documents = [json.loads(line) for line in run("--json", text=recorded.text).stdout.splitlines()]
    assert len(documents) == recorded.samples
    assert sum(len(one["frames"]) for one in documents) == len(re.findall(rb"^\t", recorded.text, re.M))
    # Without Python's names nothing is changed, and that is said.
    other = recorded.text.replace(b"py::", b"qy::")
    done = run(text=other)
    assert done.stdout == other and (b"no sample has a Python function" in done.stderr or b"perf has no names for" in done.stderr)
    if not recorded.chains and b"_PyEval_EvalFrameDefault" in recorded.text:
        assert b"samples are in Python code that perf has no names for" in fold.stderr
        assert run("--strict", text=recorded.text).returncode == 6


@pytest.mark.pythons(since=(3, 12))
@pytest.mark.wide
def test_shares(python, recorded):
    need_chains(recorded, python)
    stacks = folded(run("--fold", "-p", text=recorded.text).stdout)
    script = REPO + "/tests/targets/perf_shares.py"
    names = {"straight": "py::straight:" + script, "through_sorted": "py::Shop.through_sorted:" + script,
             "through_exec": "py::through_exec:" + script, "in_thread": "py::in_thread:" + script}
    total = sum(recorded.spent.values())
    seen = {name: sum(count for stack, count in stacks.items() if symbol in stack.split(";")) for name, symbol in names.items()}
    assert sum(seen.values()) > 500, seen
    for name, spent in recorded.spent.items():
        assert abs(seen[name] / sum(seen.values()) - spent / total) < 0.05, (name, seen, recorded.spent)
    # The whole way, in its order, for nearly all of them.
    burn, main, timed = ("py::%s:%s" % (name, script) for name in ("burn", "main", "timed"))
    ways = {"straight": [main, timed, names["straight"], burn],
            "through_sorted": [main, timed, names["through_sorted"], "py::Shop.by_price:" + script, burn],
            "through_exec": [main, timed, names["through_exec"], "py::<module>:/no\\x20where/a\\x3bb\\x28c\\x29.py", burn]}
    for name, way in ways.items():
        right = sum(count for stack, count in stacks.items() if ";".join(way) in stack and stack.endswith(burn))
        assert right > 0.97 * seen[name], (name, right, seen, [stack for stack in stacks if names[name] in stack][:5])


@pytest.mark.pythons(since=(3, 12))
@pytest.mark.wide
def test_plumbing_is_gone(python, recorded):
    need_chains(recorded, python)
    out = run(text=recorded.text).stdout
    for sample in out.split(b"\n\n"):
        lines = sample.split(b"\n")
        ours = [index for index, line in enumerate(lines) if b" py::" in line]
        for index in ours:
            assert b"perf-" not in lines[index] and b"py_trampoline_evaluator" not in sample
        for one, two in zip(ours, ours[1:]):
            assert not any(b"_PyEval_EvalFrameDefault" in line for line in lines[one:two]), sample.decode()
    if b"py_trampoline_evaluator" in recorded.text:
        assert b"py_trampoline_evaluator" in run("-a", text=recorded.text).stdout


@pytest.mark.pythons(since=(3, 12))
@pytest.mark.wide
def test_consumers_read_it(python, recorded):
    """The rules of stackcollapse-perf.pl make of the text what --fold writes."""
    for options in ([], ["-a"], ["-p"]):
        wanted = collections.Counter()
        for stack, count in folded(run("--fold", *options, text=recorded.text).stdout).items():
            comm, *names = stack.split(";")
            wanted[";".join([comm] + [tidy(name) for name in names])] += count
        assert stackcollapse(run(*options, text=recorded.text).stdout) == wanted


@pytest.mark.pythons(since=(3, 12))
def test_inferno_reads_it(python, recorded):
    inferno = shutil.which("inferno-collapse-perf")
    if not inferno:
        pytest.skip("no inferno-collapse-perf (cargo install inferno)")
    def by_inferno(text):
        text = re.sub(rb": +\d+ cpu-clock:", b": cpu-clock:", text)  # it would add up the periods
        return folded(subprocess.run([inferno], input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, timeout=60).stdout)
    stacks = by_inferno(run("-p", text=recorded.text).stdout)
    ours = folded(run("--fold", "-p", text=recorded.text).stdout)
    assert {stack: count for stack, count in stacks.items() if ";" in stack} == {stack: count for stack, count in ours.items() if ";" in stack}


def test_what_it_writes():
    done = run(text=SAMPLE)
    assert done.returncode == 0 and not done.stderr
    assert done.stdout == (b"app 7/8 [001] 1.5:    1001 cpu-clock: \n\t    7fa082fbfc66 py::leaf:/srv/x\\x20y.py (/srv/x\\x20y.py)\n"
                           b"\t           2724a _start+0x7a (/usr/bin/python3.13)\n\n")
    assert run("--fold", "--tid", text=SAMPLE * 3).stdout == b"app-7/8;_start;py::leaf:/srv/x\\x20y.py 3\n"


def test_output_file(tmp_path):
    path = tmp_path / "out"
    assert run("-p", "--fold", "-o", str(path), text=SAMPLE).returncode == 0
    assert path.read_bytes() == b"app;py::leaf:/srv/x\\x20y.py 1\n"


def test_usage():
    for words in (["--nonsense"], ["-Z"], ["--fold", "--json"], ["--tid"], ["perf.data"], ["-o"]):
        done = run(*words, text=SAMPLE)
        assert done.returncode == 2 and not done.stdout and b"pyannotate --help" in done.stderr, words
    assert run("--version").stdout.startswith(b"pyannotate ") and run("--help").returncode == 0
    wrong = run(text=b"PERFILE2" + bytes(100))
    assert wrong.returncode == 2 and b"perf script -i FILE | pyannotate" in wrong.stderr and not wrong.stdout


def test_failures(tmp_path):
    done = run("-o", str(tmp_path / "absent" / "x"), text=SAMPLE)
    assert done.returncode == 3 and b"No such file" in done.stderr
    with open("/dev/full", "wb") as full:
        done = subprocess.run([PYANNOTATE], input=SAMPLE, stdout=full, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 1 and b"No space left" in done.stderr
    with open(os.devnull, "rb") as nothing:
        done = subprocess.run([PYANNOTATE], stdin=nothing, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 0 and not done.stdout and b"no sample" in done.stderr


def test_other_text_passes():
    text = bytes(range(256)) * 5000 + b"hello\n\tadd 12\n\t7fa (x" + b"y" * 1000000 + b"\r\n\x00\n\t    7fa0 cut"
    assert run(text=text).stdout == text


def test_closed_pipe_is_quiet():
    for ignore in (False, True):
        process = subprocess.Popen([PYANNOTATE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   preexec_fn=(lambda: signal.signal(signal.SIGPIPE, signal.SIG_IGN)) if ignore else None)
        process.stdout.close()
        try:
            process.stdin.write(SAMPLE * 20000)
            process.stdin.close()
        except BrokenPipeError:
            pass
        said = process.stderr.read()
        process.stderr.close()
        assert process.wait(timeout=60) == (1 if ignore else -signal.SIGPIPE) and not said


def test_samples_come_at_once():
    """While perf script still waits for more."""
    with subprocess.Popen([PYANNOTATE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdin.write(SAMPLE)
        process.stdin.flush()
        os.set_blocking(process.stdout.fileno(), False)
        end, got = time.monotonic() + 20, b""
        while time.monotonic() < end and not got.endswith(b"\n\n"):
            got += process.stdout.read() or b""
            time.sleep(0.01)
        assert got == run(text=SAMPLE).stdout
        process.stdin.close()
        assert process.wait(timeout=20) == 0


def test_memory_is_bounded():
    """Different stacks without end."""
    script = "import sys; [sys.stdout.write('a%d 1 1.5: 1 x: \\n\\t     1 f%d%s (/x)\\n\\n' % (i, i, 'y' * 900)) for i in range(300000)]"
    source = subprocess.Popen(["/usr/bin/python3", "-c", script], stdout=subprocess.PIPE)
    done = subprocess.run(["bash", "-c", "ulimit -v 400000; exec %s --fold" % PYANNOTATE], stdin=source.stdout, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=200)
    source.stdout.close()
    assert source.wait(timeout=60) == 0 and done.returncode == 0, done.stderr
    assert done.stdout.count(b"\n") == 300000
