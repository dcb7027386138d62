#!/usr/bin/python3
"""Run the fuzz targets, all together for a given time, as many at once as there are processors.

usage: tests/fuzz/fuzz.py --build build/fuzz [--minutes 2] [--only NAME]… [--seed N]

Each target begins with tests/fuzz/seeds/NAME/ and what earlier runs found worth keeping
(BUILD/corpus/NAME/).  An input that ends a target is kept in BUILD/found/, and its path is printed
with the command that repeats it.  Exit code 1: there is one.

The same program, corpus and seed give the same inputs in the same order, and the time decides how
many.  For that the targets run without randomised addresses, which libFuzzer sees in comparisons;
where the system does not allow it, as in most containers, the order may differ.
"""

import argparse
import concurrent.futures
import glob
import os
import random
import re
import subprocess
import sys

MOST_MB = 1024  # memory of one target
LONGEST_S = 20  # for one input
LENGTH = {
    "head": 30000,
    "control": 8192,
    "csv": 8192,
    "lines": 40000,
    "body": 9000,
    "receiver": 8192,
    "link": 8192,
    "wire": 8400,
}  # bytes of an input; else 4096


def is_order_fixed():
    """May addresses be the same in every run?"""
    tried = subprocess.run(["setarch", "-R", "true"], stderr=subprocess.DEVNULL, check=False)
    return tried.returncode == 0


def command(binary, *arguments):
    return [binary, f"-rss_limit_mb={MOST_MB}", f"-timeout={LONGEST_S}", *arguments]


def run(build, name, seconds, seed, prefix):
    """The lines to print about a finding, or a line of statistics."""
    binary = f"{build}/tests/fuzz/fuzz_{name}"
    corpus, found = f"{build}/corpus/{name}", f"{build}/found"
    seeds = sorted(glob.glob(f"tests/fuzz/seeds/{name}/*"))
    os.makedirs(corpus, exist_ok=True)
    os.makedirs(found, exist_ok=True)
    if not seeds:
        return False, f"{name}: there are no seed inputs in tests/fuzz/seeds/{name}/"
    arguments = [
        f"-max_total_time={seconds}",
        f"-seed={seed}",
        f"-max_len={LENGTH.get(name, 4096)}",
        "-print_final_stats=1",
        f"-artifact_prefix={found}/{name}-",
        "-reload=0",
        f"-seed_inputs={','.join(seeds)}",
        corpus,
    ]
    done = subprocess.run(
        prefix + command(binary, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        errors="replace",
        check=False,
    )
    with open(f"{build}/{name}.log", "w", encoding="utf-8") as log:
        log.write(done.stdout)
    if done.returncode == 0:
        runs = re.search(r"number_of_executed_units: (\d+)", done.stdout)
        covered = re.findall(r" cov: (\d+)", done.stdout)
        return (
            True,
            f"{name}: {runs[1] if runs else '?'} inputs in {seconds} s, "
            f"{covered[-1] if covered else '?'} places reached",
        )
    kept = re.search(r"Test unit written to (\S+)", done.stdout)
    lines = [line for line in done.stdout.split("\n") if not re.match(r"#\d+\s", line)]
    repeat = " ".join(command(binary, kept[1])) if kept else f"see {build}/{name}.log"
    return False, "\n".join(
        [
            f"{name}: exit code {done.returncode}; seed {seed}",
            *lines[-60:],
            f"The input: {kept[1] if kept else 'none'}",
            f"Repeat it: {repeat}",
        ]
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--build", default="build/fuzz")
    parser.add_argument("--minutes", type=float, default=2)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--seed", type=int, default=random.randrange(1, 2**31))
    options = parser.parse_args()
    names = sorted(
        re.search(r"fuzz_(\w+)\.c$", path)[1] for path in glob.glob("tests/fuzz/fuzz_*.c")
    )
    names = [name for name in names if not options.only or name in options.only]
    if not names:
        parser.error("no such target")
    at_once = min(len(names), os.cpu_count() or 1)
    seconds = max(1, int(options.minutes * 60 * at_once / len(names)))
    print(
        f"{len(names)} targets, {at_once} at a time, {seconds} s each, seed {options.seed}",
        flush=True,
    )
    failed = []
    prefix = ["setarch", "-R"] if is_order_fixed() else []
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        jobs = {
            pool.submit(run, options.build, name, seconds, options.seed, prefix): name
            for name in names
        }
        for job in concurrent.futures.as_completed(jobs):
            is_good, text = job.result()
            print(("  OK   " if is_good else "") + text, flush=True)
            if not is_good:
                failed.append(jobs[job])
    if failed:
        print("fuzz targets that failed: " + " ".join(sorted(failed)), file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
