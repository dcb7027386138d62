"""Where broker and gateway spend their time: perf's cpu-clock while W2 runs, as a table for
docs/benchmarks.md.

    PREGON_BIN=build/release/bin tests/bench/profile.py [--rate 2000] [--seconds 5]

The scheduler's counters show the rest of the time: asleep, or waiting for a processor.
"""

import argparse
import collections
import os
import re
import subprocess
import tempfile
import time

import servers

LEAST = 0.02  # of a process's time


def scheduled(pid):
    """Seconds on a processor, and waiting for one, of all threads."""
    found = [0, 0]
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
            for i, n in enumerate(f.read().split()[:2]):
                found[i] += int(n) / 1e9
    return found


def samples(path):
    """{(where, function): count}"""
    out = subprocess.run(
        ["perf", "script", "-i", path, "-F", "comm,ip,sym,dso"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = collections.Counter()
    for line in out.splitlines():
        m = re.match(r"\s*(.+?)\s+[0-9a-f]+ (.*) \((.*)\)$", line)
        if m:
            thread, function, dso = m.groups()
            where = "kernel" if "kernel" in dso or dso.startswith("[") else os.path.basename(dso)
            found[(thread, where, function.split("+")[0])] += 1
    return found


def table(name, found):
    total = sum(found.values())
    by_where = collections.Counter()
    for (_, where, _), count in found.items():
        by_where[where] += count
    print(f"\n**{name}**: " + ", ".join(f"{w} {c / total:.0%}" for w, c in by_where.most_common(5)))
    print("\n| share | thread | where | function |\n|---:|---|---|---|")
    for (thread, where, function), count in found.most_common():
        if count >= LEAST * total:
            print(f"| {count / total:.1%} | {thread} | {where} | `{function}` |")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--rate", type=float, default=2000)
    p.add_argument("--seconds", type=float, default=5)
    args = p.parse_args()
    servers.keep_off_the_servers()
    with tempfile.TemporaryDirectory(prefix="pregon-bench-") as folder, \
            servers.start("pregon", symbols=200, each=10) as (server, load):
        load.connect(1000)
        load.publish(200, 1)
        names = ["broker", "gateway"]
        paths = [os.path.join(folder, name) for name in names]
        perfs = [
            subprocess.Popen(
                [
                    "perf",
                    "record",
                    "-q",
                    "-e",
                    "cpu-clock",
                    "-F",
                    "999",
                    "-p",
                    str(pid),
                    "-o",
                    path,
                ],
                stderr=subprocess.DEVNULL,
            )
            for pid, path in zip(server.pids, paths)
        ]
        time.sleep(1)
        before, began = [scheduled(pid) for pid in server.pids], time.monotonic()
        a = load.publish(args.rate, args.seconds)
        took = time.monotonic() - began
        after = [scheduled(pid) for pid in server.pids]
        for perf in perfs:
            perf.terminate()
            perf.wait()
        print(
            f"{a['delivered']:,} deliveries of {a['sent']:,} quotes in {took:.1f} s, load average "
            f"{os.getloadavg()[0]:.1f}"
        )
        for name, path, b, e in zip(names, paths, before, after):
            table(name, samples(path))
            print(
                f"\nOn a processor {(e[0] - b[0]) / took:.0%} of the time, waiting for one "
                f"{(e[1] - b[1]) / took:.0%} (all threads)."
            )


if __name__ == "__main__":
    main()
