# SPDX-License-Identifier: Apache-2.0
"""Names from a debuginfod server, asked only where the user names one."""
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

from support.process import wait_until
from support.shell import pybraid

SOURCE = """
__attribute__((noinline)) static int kept_secret(int (*f)(void)) { return f() + 1; }
int visible(int (*f)(void)) { return kept_secret(f) * 2; }
"""
PROGRAM = """
import ctypes, sys, time
def wait():
    print(flush=True)
    time.sleep(600)
    return 1
ctypes.CDLL(sys.argv[1]).visible(ctypes.CFUNCTYPE(ctypes.c_int)(wait))
"""


def run(*words):
    subprocess.run(words, check=True)


@pytest.fixture
def library(tmp_path):
    """A stripped library; its debug file lies in the folder `served`."""
    source, path, served = tmp_path / "secret.c", str(tmp_path / "libsecret.so"), tmp_path / "served"
    source.write_text(SOURCE, encoding="ascii")
    served.mkdir()
    run("gcc", "-g", "-O1", "-shared", "-fPIC", "-Wl,--build-id", str(source), "-o", path)
    run("objcopy", "--only-keep-debug", path, str(served / "libsecret.so.debug"))
    run("strip", path)
    return path


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def has_indexed(port):
    try:
        with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % port, timeout=5) as answer:
            text = answer.read().decode("utf-8")
    except (urllib.error.URLError, OSError):
        return False
    return any(line.startswith("thread_work_total") and 'role="traverse"' in line and not line.endswith(" 0")
               for line in text.splitlines()) and "scanned_files_total" in text


@pytest.fixture
def server(tmp_path, library):
    if not shutil.which("debuginfod"):
        pytest.skip("debuginfod is not installed (Debian: debuginfod)")
    port = free_port()
    command = ["debuginfod", "-p", str(port), "-d", str(tmp_path / "index.sqlite"), "-F", str(tmp_path / "served")]
    with open(tmp_path / "server.log", "wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            wait_until(lambda: has_indexed(port), "debuginfod has looked through its folder", timeout=30, every=0.1)
            yield "http://127.0.0.1:%d" % port
        finally:
            process.terminate()


def names(pid, tmp_path, url):
    environment = {k: v for k, v in os.environ.items() if k != "DEBUGINFOD_URLS"}
    environment["DEBUGINFOD_CACHE_PATH"] = str(tmp_path / ("cache-%d" % time.monotonic_ns()))
    if url is not None:
        environment["DEBUGINFOD_URLS"] = url
    done = pybraid("dump", pid, env=environment)
    assert done.code == 0, done.err
    return done.out


def test_names_come_from_the_server(library, server, tmp_path):
    with subprocess.Popen([sys.executable, "-c", PROGRAM, library], stdout=subprocess.PIPE) as child:
        try:
            child.stdout.readline()
            without = names(child.pid, tmp_path, None)
            assert "visible" in without and "kept_secret" not in without, without
            assert "kept_secret ()" in names(child.pid, tmp_path, server)
        finally:
            child.kill()


def test_a_server_that_never_answers_is_left_soon(library, tmp_path):
    with socket.socket() as silent, subprocess.Popen([sys.executable, "-c", PROGRAM, library],
                                                     stdout=subprocess.PIPE) as child:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        try:
            child.stdout.readline()
            begin = time.monotonic()
            assert "visible" in names(child.pid, tmp_path, "http://127.0.0.1:%d" % silent.getsockname()[1])
            assert time.monotonic() - begin < 20
        finally:
            child.kill()
