"""The chaos runs as tests. Each run has a new seed, which pytest prints at its end.

CHAOS_SEED repeats a run, CHAOS_MINUTES sets its length, CHAOS_KEEP is the folder for its logs.
"""

import os
import subprocess
import sys

import pregon

HERE = os.path.dirname(os.path.abspath(__file__))
MINUTES = float(os.environ.get("CHAOS_MINUTES") or 2)
STORE = os.environ.get("CHAOS_STORE") or "sqlite"
SLACK = 300 * (5 if pregon.IS_SANITIZED else 1)  # seconds for the end of the run and the check
SEED = os.environ["CHAOS_SEED"]
KEEP = ["--keep", os.environ["CHAOS_KEEP"]] if os.environ.get("CHAOS_KEEP") else []


def exit_code(program, *arguments, seconds):
    """Run a program; returns its exit code. pytest shows its output if the test fails."""
    process = subprocess.Popen([sys.executable, os.path.join(HERE, program), *arguments])
    try:
        return process.wait(seconds)
    finally:
        if process.poll() is None:
            process.terminate()  # it ends its own processes
            process.wait()


def test_whatever_is_killed_or_cut_no_quote_is_missing_and_none_comes_twice():
    code = exit_code("chaos.py", "--bin", pregon.BIN, "--minutes", str(MINUTES), "--seed", SEED,
                     "--store", STORE, *KEEP, seconds=MINUTES * 60 + SLACK)
    assert code == 0, f"CHAOS_SEED={SEED}: see the report above"


def test_a_broker_killed_again_and_again_loses_nothing_and_repeats_nothing():
    assert exit_code("kill_broker.py", seconds=SLACK) == 0, "see the report above"
