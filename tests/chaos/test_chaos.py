"""The chaos run as a test: two minutes of it, another seed each time.

It begins with the session and goes on beside the other tests, which mostly wait; here is only
its verdict.  CHAOS_SEED repeats one, CHAOS_MINUTES makes it longer or shorter, CHAOS_KEEP is where
logs go.
"""

import os
import subprocess
import sys
import tempfile

import pregon

HERE = os.path.dirname(os.path.abspath(__file__))
MINUTES = float(os.environ.get("CHAOS_MINUTES") or 2)
STORE = os.environ.get("CHAOS_STORE") or "sqlite"
PATIENCE = MINUTES * 60 + 300 * (5 if pregon.IS_SANITIZED else 1)


class Run:
    def __init__(self, seed):
        command = [sys.executable, os.path.join(HERE, "chaos.py"), "--bin", pregon.BIN,
                   "--minutes", str(MINUTES), "--seed", seed, "--store", STORE]
        if os.environ.get("CHAOS_KEEP"):
            command += ["--keep", os.environ["CHAOS_KEEP"]]
        self.said = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdout=self.said, stderr=subprocess.STDOUT)

    def ends(self):
        """Its exit code; what it said is shown if the test fails."""
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.stop()
            self.said.seek(0)
            print(self.said.read().decode())

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()  # it ends its own processes
            self.process.wait()


def test_whatever_is_killed_or_cut_no_quote_is_missing_and_none_comes_twice(chaos_run):
    assert chaos_run.ends() == 0, f"CHAOS_SEED={os.environ['CHAOS_SEED']}: see the verdict above"
