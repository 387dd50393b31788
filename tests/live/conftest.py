# SPDX-License-Identifier: Apache-2.0
"""Live tests: --pythons chooses interpreters, fixtures start things, the matrix closes the run.

    @pytest.mark.matrix("live")                  the column of the closing matrix (live, core, server, ...)
    @pytest.mark.pythons(since=(3, 11), without={"root"})   which interpreters a test is for
    @pytest.mark.wide                            on every interpreter of a quick run; other tests get a few of them
    def test_x(python, target_folder): ...       once for each chosen interpreter
"""
import os
import sys
import zlib

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from support import debugger, pythons  # noqa: E402
from support.matrix import Matrix  # noqa: E402

MATRIX = pytest.StashKey()
ROWS = pytest.StashKey()


def pytest_addoption(parser):
    group = parser.getgroup("pybraid")
    group.addoption("--pythons", default=os.environ.get("PYBRAID_PYTHONS", "quick"),
                    metavar="quick|all|ID,...", help="interpreters to test (default: quick, one of each kind)")
    group.addoption("--stops", type=int, default=int(os.environ.get("PYBRAID_STOPS", "40")),
                    help="random stops for each interpreter in the tests that make such (2000 by hand)")


def pytest_configure(config):
    config.addinivalue_line("markers", "matrix(column): column of the closing matrix")
    config.addinivalue_line("markers", "wide: on every interpreter of a quick run")
    config.addinivalue_line("markers", "pythons(since, before, having, without): who a test is for")
    rows, absent = pythons.discover()
    try:
        chosen = pythons.select(rows, config.getoption("--pythons"))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    needed = int(os.environ.get("PYBRAID_MIN_PYTHONS", "1"))
    found = len({row.path for row in rows})  # with its JIT on it is no other interpreter
    if found < needed:
        reasons = "\n".join("%s: %s" % (row.id, row.reason) for row in absent)
        raise pytest.UsageError("%d interpreters found, %d wanted (PYBRAID_MIN_PYTHONS); `make pythons` fetches "
                                "some:\n%s" % (found, needed, reasons))
    config.stash[ROWS] = rows, chosen, absent
    config.stash[MATRIX] = Matrix()
    config.pluginmanager.register(Collector(config.stash[MATRIX]), "pybraid-matrix")


def wanted(row, mark):
    """Whether a `pythons` marker lets an interpreter in."""
    if mark is None:
        return True
    limits = mark.kwargs
    having, without = set(limits.get("having", ())), set(limits.get("without", ()))
    return (limits.get("since", (0,)) <= row.minor < limits.get("before", (99,))
            and having <= row.traits and not without & row.traits)


NARROW = 4


def spread(rows, name):
    """A few of the rows, evenly apart, beginning at a place that the test's name gives: the same ones in every run."""
    if len(rows) <= NARROW:
        return rows
    begin = zlib.crc32(name.encode("utf-8")) % len(rows)
    return [rows[(begin + index * len(rows) // NARROW) % len(rows)] for index in range(NARROW)]


def pytest_generate_tests(metafunc):
    if "python" in metafunc.fixturenames:
        mark = metafunc.definition.get_closest_marker("pythons")
        chosen = [row for row in metafunc.config.stash[ROWS][1] if wanted(row, mark)]
        if metafunc.config.getoption("--pythons") == "quick" and not metafunc.definition.get_closest_marker("wide"):
            chosen = spread(chosen, metafunc.definition.nodeid)
        metafunc.parametrize("python", chosen, ids=[row.id for row in chosen], scope="session")
    if "gdb" in metafunc.fixturenames:
        found = debugger.gdbs()
        metafunc.parametrize("gdb", found, ids=[gdb.id for gdb in found], scope="session")


@pytest.fixture
def target_folder(tmp_path):
    """A folder for one target: its account, stderr and cores (large) go when the test is over."""
    yield tmp_path
    for name in os.listdir(tmp_path):
        if "core" in name and os.path.isfile(tmp_path / name):
            os.unlink(tmp_path / name)


@pytest.fixture
def interpreters(request):
    """All that were found, for a test that needs a certain one, or several."""
    return request.config.stash[ROWS][0]


def row_and_column(item):
    callspec = getattr(item, "callspec", None)
    row = callspec.params.get("python") if callspec else None
    mark = item.get_closest_marker("matrix")
    # Where no chosen interpreter fits the test's marker, pytest puts a placeholder there and skips it.
    return getattr(row, "id", "(any)"), (mark.args[0] if mark else "other")


def skip_reason(report):
    if isinstance(report.longrepr, (tuple, list)):
        return str(report.longrepr[2]).replace("Skipped: ", "", 1)
    return str(getattr(report, "wasxfail", report.longrepr))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    # An attribute of plain data: it travels from a worker of pytest-xdist to where the matrix is.
    outcome.get_result().pyb_cell = list(row_and_column(item))


def counted(report):
    """One entry for each test: its call, or whatever kept it from being called, or failed after it."""
    return report.when == "call" or report.outcome != "passed"


class Collector:
    """Fills the matrix from the reports, where the summary is printed."""

    def __init__(self, matrix):
        self.matrix = matrix
        self.said = []  # record_property("said", ...): figures that belong into the result of the run

    def pytest_runtest_logreport(self, report):
        if report.when == "call":
            self.said += [value for name, value in report.user_properties if name == "said"]
        if counted(report) and hasattr(report, "pyb_cell"):
            row, column = report.pyb_cell
            reason = skip_reason(report) if report.outcome == "skipped" else ""
            self.matrix.add(row, column, report.outcome, reason)


def pytest_terminal_summary(terminalreporter, config):
    rows, chosen, absent = config.stash[ROWS]
    matrix = config.stash[MATRIX]
    if not matrix.columns:
        return
    names = [row.id for row in chosen]
    if any(row == "(any)" for row, _ in matrix.cells):
        names.append("(any)")
    terminalreporter.section("interpreters (%d of %d found)" % (len(chosen), len(rows)))
    for line in matrix.lines(names, absent):
        terminalreporter.write_line(line)
    for line in sorted(config.pluginmanager.get_plugin("pybraid-matrix").said):
        terminalreporter.write_line(line)
