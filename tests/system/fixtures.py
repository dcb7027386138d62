"""The fixture `system`, and the logs of a failing test's processes; for conftest.py."""

import os

import pytest

import pregon

LINES_SHOWN = 300


def pytest_sessionstart(session):
    missing = [
        name
        for name in ("broker", "gateway", "feeder", "tail", "doctor")
        if not os.access(os.path.join(pregon.BIN, "pregon-" + name), os.X_OK)
    ]
    if missing:
        raise pytest.UsageError(f"no pregon-{missing[0]} in {pregon.BIN}: build it, set PREGON_BIN")


def _staged():
    system = pregon.System()
    yield system
    system.end()


@pytest.fixture
def system():
    yield from _staged()


@pytest.fixture(scope="module")
def shared_system():
    """One set of processes for all tests of a file, which must not change them."""
    yield from _staged()


def pytest_runtest_setup(item):
    pregon.System.all[:] = [s for s in pregon.System.all if not s.is_over]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    for system in pregon.System.all:
        for p in system.processes:
            lines = [f"{stream}| {text}" for stream, text in list(p.lines)]
            if len(lines) > LINES_SHOWN:
                lines = [f"({len(lines) - LINES_SHOWN} lines before)"] + lines[-LINES_SHOWN:]
            title = f"{p.name} [{p.pid}] {' '.join(p.arguments()[1:])}"
            report.sections.append((title, "\n".join(lines)))
