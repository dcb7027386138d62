import os
import random
import sys

import pytest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "system"))
if not os.environ.get("CHAOS_SEED"):
    os.environ["CHAOS_SEED"] = str(random.SystemRandom().randrange(10**6))
RUN = pytest.StashKey()


@pytest.fixture
def chaos_run(request):
    return request.session.stash[RUN]


def pytest_collection_finish(session):
    """The chaos begins before the first test, if it is among them."""
    for item in session.items:
        if "chaos_run" in item.fixturenames and not session.config.option.collectonly:
            session.stash[RUN] = item.module.Run(os.environ["CHAOS_SEED"])


def pytest_sessionfinish(session):
    if RUN in session.stash:
        session.stash[RUN].stop()


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"CHAOS_SEED={os.environ['CHAOS_SEED']}")
