import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), "system"))

import programs
import pytest
from fixtures import *  # noqa: F403  (fixtures and hooks)


def pytest_generate_tests(metafunc):
    """`python`: a Python with the package; a test that is marked so runs with every one."""
    if "python" in metafunc.fixturenames:
        is_for_all = metafunc.definition.get_closest_marker("every_python")
        names = programs.NAMES if is_for_all else programs.EXTREMES
        metafunc.parametrize("python", names)


def pytest_configure(config):
    config.addinivalue_line("markers", "every_python: runs with each Python and websockets")


def pytest_collection_modifyitems(config, items):
    if not programs.NAMES:
        raise pytest.UsageError(f"nothing in {programs.VENVS}: make test-python makes it")
