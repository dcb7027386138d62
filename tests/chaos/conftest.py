import os
import random
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "system"))
if not os.environ.get("CHAOS_SEED"):  # one seed for all worker processes
    os.environ["CHAOS_SEED"] = str(random.SystemRandom().randrange(10**6))


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"CHAOS_SEED={os.environ['CHAOS_SEED']}")
