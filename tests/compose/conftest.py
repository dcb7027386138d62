import os
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "system"))

import engine
import pytest
import stack as stacks
from crowd import Crowd

notes = []  # measured values, shown at the end


@pytest.fixture(scope="session")
def docker():
    try:
        ours = engine.Engine()
    except engine.NotHere as e:
        notes.append(f"skipped: {e}")
        pytest.skip(str(e))
    yield ours
    if ours.process:
        notes.append(
            f"the engine started for this has been stopped; its images stay in {engine.STATE}"
        )
    else:
        notes.append("the images pregon-*:test stay with the engine that was there")
    ours.stop()


@pytest.fixture(scope="session")
def stack(docker):
    try:
        ours = stacks.Stack(docker)
    except engine.NotHere as e:
        notes.append(f"skipped: {e}")
        pytest.skip(str(e))
    began = time.monotonic()
    ours.compose("--profile", "telegram", "--profile", "tools", "build", patience=600)
    built = time.monotonic()
    try:
        ours.compose("up", "-d", "--no-build")
        stacks.eventually(lambda: ours.page("health"), what="health")
        notes.append(
            f"images built in {built - began:.0f} s; from `up` until quotes flow through the "
            f"balancer {time.monotonic() - built:.1f} s"
        )
        yield ours
    finally:
        ours.down()


@pytest.fixture(scope="session")
def feed(stack):
    return stack.feed()


@pytest.fixture
def crowd():
    ours = Crowd()
    yield ours
    ours.disperse()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    ours = getattr(item, "funcargs", {}).get("stack")
    if report.failed and ours:
        report.sections.append(("containers", ours.logs()[-30000:]))
        for fed in ours.feeds:
            report.sections.append(
                ("the counting feeder", fed.said.decode(errors="replace")[-4000:])
            )


def pytest_terminal_summary(terminalreporter):
    for note in notes:
        terminalreporter.write_line(note)
    count = {
        k: len(terminalreporter.stats.get(k, [])) for k in ("passed", "failed", "error", "skipped")
    }
    skipped = f", {count['skipped']} skipped" if count["skipped"] else ""
    terminalreporter.write_line(
        f"{count['passed']} passed, {count['failed'] + count['error']} failed{skipped}"
    )
