import os
import random
import sys

import pytest

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "system"))
if not os.environ.get("CHAOS_SEED"):
    os.environ["CHAOS_SEED"] = str(random.SystemRandom().randrange(10**6))
BESIDE = pytest.StashKey()


@pytest.fixture
def beside(request):
    return request.session.stash[BESIDE]


def pytest_collection_finish(session):
    """What runs beside the tests begins before the first of them."""
    from beside import Beside

    module = next((i.module for i in session.items if "beside" in i.fixturenames), None)
    if module and not session.config.option.collectonly:
        session.stash[BESIDE] = Beside(module.BESIDE)


def pytest_sessionfinish(session):
    if BESIDE in session.stash:
        session.stash[BESIDE].stop()


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"CHAOS_SEED={os.environ['CHAOS_SEED']}")
