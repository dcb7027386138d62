"""Followers take part in the chaos: every quote once, or a report of its loss.

CHAOS_SEED repeats a run, CHAOS_MINUTES sets its length.
"""

import os
import secrets
import subprocess
import sys

import pregon
from programs import EXTREMES, interpreter

MINUTES = os.environ.get("CHAOS_MINUTES") or "1"
SEED = os.environ.get("CHAOS_SEED") or str(secrets.randbelow(10**6))
CHAOS = os.path.join(pregon.ROOT, "tests", "chaos", "chaos.py")


def test_whatever_is_killed_or_cut_a_follower_gets_each_quote_once_or_reports_its_loss():
    packages = [word for name in EXTREMES for word in ("--package", interpreter(name))]
    code = subprocess.run([sys.executable, CHAOS, "--bin", pregon.BIN, "--minutes", MINUTES,
                           "--seed", SEED, *packages], check=False).returncode
    assert code == 0, f"CHAOS_SEED={SEED}: see the report above"
