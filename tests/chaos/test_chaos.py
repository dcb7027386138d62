"""The chaos runs as tests, each time with another seed, which the end of the session prints.

CHAOS_SEED repeats one, CHAOS_MINUTES makes it longer or shorter, CHAOS_KEEP is where logs go.
"""

import os
import subprocess
import sys

import pregon

HERE = os.path.dirname(os.path.abspath(__file__))
MINUTES = float(os.environ.get("CHAOS_MINUTES") or 2)
STORE = os.environ.get("CHAOS_STORE") or "sqlite"
SLACK = 300 * (5 if pregon.IS_SANITIZED else 1)  # seconds to settle and to be judged
SEED = os.environ["CHAOS_SEED"]
KEEP = ["--keep", os.environ["CHAOS_KEEP"]] if os.environ.get("CHAOS_KEEP") else []


def verdict(program, *arguments, seconds):
    """Its exit code; its output is shown if the test fails."""
    process = subprocess.Popen([sys.executable, os.path.join(HERE, program), *arguments])
    try:
        return process.wait(seconds)
    finally:
        if process.poll() is None:
            process.terminate()  # it ends its own processes
            process.wait()


def test_whatever_is_killed_or_cut_no_quote_is_missing_and_none_comes_twice():
    code = verdict("chaos.py", "--bin", pregon.BIN, "--minutes", str(MINUTES), "--seed", SEED,
                   "--store", STORE, *KEEP, seconds=MINUTES * 60 + SLACK)
    assert code == 0, f"CHAOS_SEED={SEED}: see the verdict above"


def test_a_broker_killed_again_and_again_loses_nothing_and_repeats_nothing():
    assert verdict("kill_broker.py", seconds=SLACK) == 0, "see the verdict above"
