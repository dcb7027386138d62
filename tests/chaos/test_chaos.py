"""The chaos as tests: another seed each time, which is said at the end of the session.

CHAOS_SEED repeats one, CHAOS_MINUTES makes it longer or shorter, CHAOS_KEEP is where logs go.
Both programs run beside the other tests (beside.py); here are only their verdicts.
"""

import os

import pregon

MINUTES = float(os.environ.get("CHAOS_MINUTES") or 2)
STORE = os.environ.get("CHAOS_STORE") or "sqlite"
SLACK = 300 * (5 if pregon.IS_SANITIZED else 1)  # seconds to settle and to be judged
SEED = os.environ["CHAOS_SEED"]
KEEP = ["--keep", os.environ["CHAOS_KEEP"]] if os.environ.get("CHAOS_KEEP") else []

BESIDE = {
    "chaos.py": (["--bin", pregon.BIN, "--minutes", str(MINUTES), "--seed", SEED,
                  "--store", STORE, *KEEP], MINUTES * 60 + SLACK),
    "kill_broker.py": ([], SLACK),
}


def test_whatever_is_killed_or_cut_no_quote_is_missing_and_none_comes_twice(beside):
    assert beside.code("chaos.py") == 0, f"CHAOS_SEED={SEED}: see the verdict above"


def test_a_broker_killed_again_and_again_loses_nothing_and_repeats_nothing(beside):
    assert beside.code("kill_broker.py") == 0, f"CHAOS_SEED={SEED}: see the verdict above"
