"""Instructions and system calls per quote and per delivery, counted by callgrind: make bench-
instructions.

It runs tests/bench/kernels.c, the same work every time, so that a regression shows without a clock.
It compares the figures with instructions.json, which also names the compiler and libraries: with
others nothing is compared, and the output says so. It counts system calls, but not the kernel's
instructions.
"""

import argparse
import concurrent.futures
import glob
import json
import os
import platform
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile

import zmq

HERE = os.path.dirname(os.path.abspath(__file__))
RECORDED = os.path.join(HERE, "instructions.json")
WITHIN = 0.05
FEW, MANY = 1, 33  # clients; the difference is what more of them cost
PER_TURN = 8

# A function is entered: everything counted so far is forgotten; it is left: what it was is written.
CALLGRIND = ("valgrind", "--tool=callgrind", "--zero-before=measure", "--dump-after=measure",
             "--collect-systime=yes", "--quiet")
# The C library has several memcpy, and takes one by the processor: here always the same.
SAME_EVERYWHERE = "glibc.cpu.hwcaps=-AVX2,-AVX,-ERMS,-FSRM,-AVX512F,-AVX512VL"


def count(kernels, *words):
    """(instructions, system calls) per quote: the median, because a table may grow in one round."""
    with tempfile.TemporaryDirectory(prefix="pregon-kernels-") as folder:
        out = os.path.join(folder, "callgrind")
        done = subprocess.run(
            [*CALLGRIND, f"--callgrind-out-file={out}", kernels, *map(str, words)],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ["PATH"], "GLIBC_TUNABLES": SAME_EVERYWHERE},
        )
        if done.returncode:
            sys.exit(
                f"bench-instructions: kernels {' '.join(map(str, words))}: "
                f"{done.stderr}{done.stdout}"
            )
        rounds = []
        for name in glob.glob(f"{out}.*"):
            with open(name, encoding="ascii", errors="replace") as f:
                found = re.search(
                    r"^events: Ir sysCount.*?^summary: (\d+)(?: (\d+))?", f.read(), re.M | re.S
                )
            rounds.append([int(n or 0) for n in found.groups()])  # zeros at the end are left out
    if not rounds:
        sys.exit(
            "bench-instructions: callgrind wrote no dump: is there a function measure() in kernels?"
        )
    return [statistics.median(r[i] for r in rounds) / int(done.stdout) for i in (0, 1)]


def gateway(kernels, pool, per_turn, mode, subprotocol):
    """Futures of both runs."""
    return [pool.submit(count, kernels, "gateway", clients, per_turn, mode, subprotocol)
            for clients in (FEW, MANY)]


def measure(kernels):
    """{figure: {"instructions": …, "system calls": …}}; system calls if our code makes any."""
    found = {}

    def put(name, one):
        found[name] = {"instructions": round(one[0])}
        if name.startswith("gateway: a delivery"):
            found[name]["system calls"] = round(one[1], 3)

    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        simple = {
            "feeder: a line of JSON becomes a record": pool.submit(count, kernels, "feeder"),
            "broker: a quote received, judged, put in the log, forwarded": pool.submit(
                count, kernels, "broker"
            ),
            "broker: of that judged and put in the log": pool.submit(count, kernels, "core"),
            "broker: a record written to SQLite": pool.submit(count, kernels, "store", "pregon.db"),
        }
        turns = {
            "merge, one quote in a turn": gateway(kernels, pool, 1, "merge", "json"),
            f"merge, {PER_TURN} quotes in a turn": gateway(
                kernels, pool, PER_TURN, "merge", "json"
            ),
            f"all, {PER_TURN} quotes in a turn": gateway(kernels, pool, PER_TURN, "all", "json"),
        }
        packed = pool.submit(count, kernels, "gateway", FEW, 1, "merge", "msgpack")
        for name, one in simple.items():
            put(name, one.result())
        for name, (few, many) in turns.items():
            few, many = few.result(), many.result()
            delivery = [(m - f) / (MANY - FEW) for f, m in zip(few, many)]
            if name.startswith("merge, one"):
                put("gateway: a quote received and made a frame, JSON",
                    [f - FEW * d for f, d in zip(few, delivery)])
                put("gateway: a quote received and made a frame, MessagePack",
                    [p - FEW * d for p, d in zip(packed.result(), delivery)])
            put(f"gateway: a delivery, {name}", delivery)
    return found


def made_with(compiler, flags):
    version = subprocess.run([*compiler.split(), "--version"], capture_output=True, text=True,
                             check=True).stdout.splitlines()[0]
    number = re.search(r" (\d+)\.\d+", version)
    return {
        "compiler": f"{'clang' if 'clang' in version else 'gcc'} "
        f"{number.group(1) if number else '?'}",
        "flags": flags,
        "machine": platform.machine(),
        "libc": platform.libc_ver()[1],
        "ZeroMQ": zmq.zmq_version(),
        "SQLite": sqlite3.sqlite_version,
    }


def compare(found, recorded):
    """Print the table; return the figures that differ too much."""
    off = [f"{name}: recorded, but not measured any more" for name in recorded if name not in found]
    width = max(map(len, found))
    print(f"{'':{width}}{'instructions':>14}{'recorded':>10}{'system calls':>14}{'recorded':>10}")
    for name, one in found.items():
        cells = ""
        for kind, now in one.items():
            before = recorded.get(name, {}).get(kind)
            cells += f"{now:>14,}{'-' if before is None else format(before, ','):>10}"
            if before is None:
                off.append(f"{name}: {kind} were never recorded")
            elif abs(now - before) > WITHIN * before:
                off.append(
                    f"{name}: {now:,} {kind}, recorded are {before:,} ({now / before - 1:+.1%})"
                )
        print(f"{name:{width}}{cells}")
    return off


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("kernels", help="the program")
    p.add_argument("--compiler", default="cc")
    p.add_argument("--flags", default="", help="it was built with")
    p.add_argument("--record", action="store_true", help="write instructions.json anew")
    args = p.parse_args()
    if not shutil.which("valgrind"):
        print("bench-instructions: skipped: there is no valgrind (tools/install-deps test)")
        return 0
    with open(RECORDED, encoding="utf-8") as f:
        recorded = json.load(f)
    here = made_with(args.compiler, args.flags)
    others = [f"{key} is {here[key]}, not {recorded['made with'].get(key)}"
              for key in here if here[key] != recorded["made with"].get(key)]
    if others and not args.record:
        print(
            f"bench-instructions: skipped: what is recorded was made with something else: "
            f"{'; '.join(others)}"
        )
        return 0
    found = measure(os.path.abspath(args.kernels))
    off = compare(found, recorded["figures"])
    if args.record:
        with open(RECORDED, "w", encoding="utf-8") as f:
            json.dump({"made with": here, "figures": found}, f, indent=2, ensure_ascii=False)
            f.write("\n")
        print(f"written to {os.path.relpath(RECORDED)}")
        return 0
    for line in off:
        print(f"bench-instructions: {line}", file=sys.stderr)
    if off:
        print(
            f"bench-instructions: more than {WITHIN:.0%} beside what is recorded. On purpose, or "
            f"better than "
            "it was? make bench-instructions RECORD=1",
            file=sys.stderr,
        )
    return bool(off)


if __name__ == "__main__":
    sys.exit(main())
