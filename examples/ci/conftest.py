# SPDX-License-Identifier: Apache-2.0
"""For conftest.py of tests that use pytest-timeout: a second before a test's time is over, the stacks of everything it runs.

pytest-timeout itself shows the Python stacks of its own process; this adds native frames, child processes and who waits for whom,
and leaves the ending of the test to pytest-timeout. `pybraid` has to be on the PATH (or name it in PYBRAID).
"""
import ctypes
import os
import subprocess
import sys
import threading

import pytest

BEFORE = 1.0  # seconds
PR_SET_PTRACER, ANYBODY = 0x59616d61, ctypes.c_ulong(-1)
timers = {}


def show_stacks(name):
    # With kernel.yama.ptrace_scope=1 a child may look at us only if we say so; elsewhere this does nothing.
    ctypes.CDLL(None).prctl(PR_SET_PTRACER, ANYBODY, 0, 0, 0)
    sys.__stderr__.write("\npybraid: the time of %s is nearly over\n" % name)
    sys.__stderr__.flush()
    command = [os.environ.get("PYBRAID", "pybraid"), "dump", "--children", str(os.getpid())]
    try:
        subprocess.call(command, stdout=sys.__stderr__.fileno(), stderr=sys.__stderr__.fileno())
    except OSError as error:
        sys.__stderr__.write("%s: %s\n" % (command[0], error))


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item, settings):
    timer = threading.Timer(max(settings.timeout - BEFORE, settings.timeout / 2), show_stacks, [item.nodeid])
    timer.daemon = True
    timer.name = "pybraid-before-timeout"
    timer.start()
    timers[item.nodeid] = timer  # and None: pytest-timeout sets its own one too


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_cancel_timer(item):
    timer = timers.pop(item.nodeid, None)
    if timer:
        timer.cancel()
