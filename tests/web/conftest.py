import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), "system"))

import pytest
from browser import browser, chromium  # noqa: F401  (fixtures)
from staging import *  # noqa: F403  (fixtures and hooks)


def pytest_collection_modifyitems(config, items):
    if not os.path.isdir(os.path.join(HERE, "node_modules")):
        raise pytest.UsageError("no node_modules in tests/web: run `make test-web`, or npm ci there")
