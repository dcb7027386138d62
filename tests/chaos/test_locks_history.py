"""Locks while broker and clients are killed, stopped and cut off: all observations of the clients
must be consistent."""

import os
import random
import shutil
import tempfile

import locks

SECONDS = float(os.environ.get("LOCKS_SECONDS") or 18)
SEED = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))


def test_no_two_holders_no_old_token_no_lost_value_and_no_waiter_passed_in_the_queue():
    print("CHAOS_SEED =", SEED)
    directory = tempfile.mkdtemp(prefix="pregon-locks-")
    wrong, numbers = locks.run(SEED, SECONDS, directory)
    print(numbers)
    assert not wrong, f"CHAOS_SEED={SEED}, logs in {directory}\n" + "\n".join(wrong)
    shutil.rmtree(directory)
