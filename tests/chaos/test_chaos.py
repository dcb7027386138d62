"""The chaos run as a test: two minutes of it, another seed each time.

CHAOS_SEED repeats one, CHAOS_MINUTES makes it longer or shorter, CHAOS_KEEP is where logs go.
"""

import os
import random
import subprocess
import sys

import pregon

HERE = os.path.dirname(os.path.abspath(__file__))
MINUTES = float(os.environ.get("CHAOS_MINUTES") or 2)
SEED = os.environ.get("CHAOS_SEED") or str(random.SystemRandom().randrange(10**6))
STORE = os.environ.get("CHAOS_STORE") or "sqlite"


def test_whatever_is_killed_or_cut_no_quote_is_missing_and_none_comes_twice():
    command = [sys.executable, os.path.join(HERE, "chaos.py"), "--bin", pregon.BIN,
               "--minutes", str(MINUTES), "--seed", SEED, "--store", STORE]
    if os.environ.get("CHAOS_KEEP"):
        command += ["--keep", os.environ["CHAOS_KEEP"]]
    print("CHAOS_SEED =", SEED)
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        told, _ = run.communicate(timeout=MINUTES * 60 + 300 * (5 if pregon.IS_SANITIZED else 1))
    except BaseException:
        run.terminate()  # it ends its own processes
        print(run.communicate()[0])
        raise
    print(told)
    assert run.returncode == 0, f"CHAOS_SEED={SEED}: see the verdict above"
