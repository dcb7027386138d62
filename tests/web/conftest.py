import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.append(os.path.join(os.path.dirname(HERE), "system"))

import node
import pytest
from browser import browser, chromium  # noqa: F401  (fixtures)
from fixtures import *  # noqa: F403  (fixtures and hooks)


def pytest_collection_modifyitems(config, items):
    if not os.path.isdir(node.MODULES):
        raise pytest.UsageError(f"no {node.MODULES}: make test-web makes it")
