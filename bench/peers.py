# SPDX-License-Identifier: Apache-2.0
"""py-spy, austin and pystack from PyPI, in a virtual environment of the cache folder: used here only."""
import os
import re
import resource
import subprocess
import sys
import sysconfig
import tempfile

from support import pythons

PEERS = ["py-spy", "austin-dist", "pystack"]
FOLDER = os.path.join(pythons.cache_folder(), "bench", "peers")


def say(argv, timeout=60):
    """(exit code, output) of a command that may not even start."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=timeout, encoding="utf-8", errors="replace")
    except (OSError, subprocess.SubprocessError) as error:
        return 127, str(error)
    return done.returncode, done.stdout


def fetch():
    """None, or why the peers could not be installed."""
    if all(os.path.exists(os.path.join(FOLDER, "bin", name)) for name in ("py-spy", "pystack")):
        return None
    code, output = say([sys.executable, "-m", "venv", FOLDER])
    if code == 0:
        pip = os.path.join(FOLDER, "bin", "pip")
        code, output = say([pip, "install", "-q", *PEERS], timeout=300)
    return None if code == 0 else "not installable: " + (output.strip().splitlines() or ["no output"])[-1]


def launcher(name):
    """(argument vector, version, None) or (None, None, why it does not run)."""
    missing = fetch()
    if missing:
        return None, None, missing
    program = os.path.join(FOLDER, "bin", name)
    root = os.path.join(pythons.cache_folder(), "sid")
    loader = root + "/lib64/ld-linux-x86-64.so.2"
    ways = [[program]]
    if os.path.exists(loader):  # a peer built for a newer libc than this machine's
        libraries = root + "/usr/lib/" + sysconfig.get_config_var("MULTIARCH")
        ways.append([loader, "--library-path", libraries, program])
    for way in ways:
        code, output = say([*way, "--version"])
        if code == 0:
            return way, output.strip(), None
    return None, None, "does not run: " + output.strip().splitlines()[-1]


def collapsed(path, _output):
    """Samples in a file of collapsed stacks."""
    with open(path, encoding="utf-8", errors="replace") as stream:
        return sum(int(m.group(1)) for m in (re.search(r" (\d+)$", line.strip()) for line in stream) if m)


def stated(_path, output):
    """Samples as austin itself counts them: "Error rate ... 0/58167"."""
    found = re.search(r"Error rate.*?\d+/(\d+)", re.sub(r"\x1b\[[0-9;]*m", "", output))
    return int(found.group(1)) if found else 0


def cpu_seconds(argv):
    """(CPU seconds of a command with all its threads, its output)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _, output = say(argv, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, output


def sampled(short, long, output_option, count):
    """(CPU microseconds, system calls for each sample, None) as what a longer run costs more; or why not."""
    seconds, samples, calls = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for argv in (short, long):
            path, summary = os.path.join(folder, "samples"), os.path.join(folder, "calls")
            used, output = cpu_seconds([*argv, output_option, path])
            samples.append(count(path, output) if os.path.exists(path) else 0)  # austin ends with 254 always
            seconds.append(used)
            if not samples[-1]:
                return None, None, "no samples: " + (output.strip().splitlines() or ["no output"])[-1]
            _, output = say(["strace", "-f", "-c", "-o", summary, *argv, output_option, path], timeout=300)
            if os.path.exists(summary):
                with open(summary, encoding="utf-8", errors="replace") as stream:
                    totals = [line.split() for line in stream if line.strip().endswith("total")]
                calls.append((int(totals[0][3]), count(path, output)))
    each = (seconds[1] - seconds[0]) * 1e6 / max(samples[1] - samples[0], 1)
    if len(calls) < 2 or calls[1][1] <= calls[0][1]:
        return each, None, None
    return each, (calls[1][0] - calls[0][0]) / (calls[1][1] - calls[0][1]), None


def py_spy(pid):
    """(version, CPU microseconds for each sample, system calls for each, why not)."""
    argv, version, missing = launcher("py-spy")
    if missing:
        return None, None, None, missing
    runs = [[*argv, "record", "--nonblocking", "--idle", "--rate", "100", "--duration", duration,
             "--format", "raw", "--pid", str(pid)] for duration in ("1", "4")]
    return (version, *sampled(*runs, "--output", collapsed))


def austin(pid):
    argv, version, missing = launcher("austin")
    if missing:
        return None, None, None, missing
    runs = [[*argv, "--interval", "1us", "--exposure", seconds, "--pid", str(pid)] for seconds in ("1", "3")]
    return (version, *sampled(*runs, "--output", stated))
