"""The promises of `make` to developers."""

import os
import subprocess

import pregon


def script(path, text):
    with open(path, "w", encoding="utf-8") as f:
        f.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)
    return path


def test_make_unit_runs_every_test_and_then_fails_with_a_list(tmp_path):
    tests = [script(str(tmp_path / name), text) for name, text in (
        ("one", "echo one was asked; exit 1\n"), ("two", "exit 0\n"),
        ("three", "kill -SEGV $$\n"), ("four", "exit 0\n"))]
    done = subprocess.run(["make", "-s", "unit", "UNIT_TESTS=" + " ".join(tests)],
                          cwd=pregon.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert [f"OK   {t}" in done.stdout for t in tests] == [False, True, False, True]
    assert "one was asked" in done.stdout
    assert done.stdout.endswith(f"unit tests that failed:\n  {tests[0]}\n  {tests[2]}\n")
    done = subprocess.run(["make", "-s", "unit", "UNIT_TESTS=" + tests[1]],
                          cwd=pregon.ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
