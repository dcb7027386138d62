#!/usr/bin/python3
"""Measures the latency of a well-behaved client in quiet windows and during each attack.

    make attack                            (all attacks, three rounds)
    make attack ATTACK_ARGS='--only names --rounds 5 --seconds 6'

Each round has a quiet window, a window under the attack, and a quiet window again.  The attack runs
in a process of its own, on the same processors.  The ratio is that of the p99, attacked to quiet,
the median over the rounds; a round whose two quiet windows differ by more than half is counted as
noisy.  `only_busy` attacks nothing: its process only uses a processor, and its ratio is the
baseline of all attacks on a machine with few processors; `only_frames` is the baseline of
large_replays.  In each window every quote must arrive, in order.  --strict: exit code 1 if a ratio
exceeds 1.5 although its rounds were not noisy. """

import argparse
import contextlib
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))

import msgpack

import http_attacks
import pregon
import query_attacks
import zmtp
from query_attacks import Latency, quantile
from test_attack_names import NameAttack

SYMBOLS = 5000
LIMIT = 1.5
SETTINGS = {"http_query_rate": 50}


class Where:
    """The addresses of the attacked programs, as far as an attack needs them."""

    def __init__(self, told):
        self.told = told
        self.port = told["port"]
        self.address = ("127.0.0.1", self.port)


def until(seconds, turn, pause=0.01):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        turn()
        time.sleep(pause)


def hold(attack, seconds):
    """An attack that only keeps its connections."""
    attack.start()
    try:
        until(seconds, lambda: None)
    finally:
        attack.stop()


def names(where, seconds, seed):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        answer = pregon.read_answer(connected(where, pregon.STREAM + "?symbols=NOTHING"))
        NameAttack(answer.socket, seed, rounds=10).start().stop()


def connected(where, path):
    sock = pregon.connect(where)
    sock.sendall(pregon.handshake_bytes(path=path, host=f"127.0.0.1:{where.port}"))
    return sock


def queries(where, seconds, seed):
    dice = random.Random(seed)
    paths = [query_attacks.costly_query(dice) for _ in range(50)]
    query_attacks.QueryStorm(where.address, paths, 80, seconds).start().stop()


def half_heads(where, seconds, seed):
    attack = http_attacks.HalfHeads(where.address, 200, seed).start()
    until(seconds, attack.tick)
    attack.stop()


def trickle(where, seconds, seed):
    attack = http_attacks.Trickle(where.address, 200, seed).start()
    until(seconds, attack.tick, 0.1)
    attack.stop()


def deaf_askers(where, seconds, seed):
    request = msgpack.packb({"op": "snapshot", "id": 1, "pattern": "*"})
    hold(zmtp.DeafAsker(where.told["control"], request, count=60), seconds)


def deaf_subscribers(where, seconds, seed):
    hold(zmtp.DeafSubscriber(where.told["publish"], count=20), seconds)


def endless(where, seconds, seed):
    hold(zmtp.EndlessMultipart(where.told["ingest"], "PUB", bytes(50000)), seconds)


def large_replays(where, seconds, seed):
    body = msgpack.packb(
        {"op": "replay", "id": 1, "pattern": ",".join(["A*"] * 300000), "after": 0}
    )
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        query_attacks.LargeFrames(where.told["control"], b"DEALER", body, 4).start().stop()


def only_busy(where, seconds, seed):
    """The baseline: it attacks nothing, but keeps a processor and a kernel thread busy."""
    near, far = socket.socketpair()
    threading.Thread(target=lambda: [None for _ in iter(lambda: far.recv(65536), b"")],
                     daemon=True).start()
    until(seconds, lambda: near.send(b"x" * 1000), 0)
    near.close()


def only_frames(where, seconds, seed):
    """The baseline of large_replays: sends the same frames to its own listener, which reads their
    head and closes."""
    def refuse(listener):
        while True:
            with contextlib.suppress(OSError), listener.accept()[0] as s:
                s.recv(200)

    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    threading.Thread(target=refuse, args=(listener,), daemon=True).start()
    where.told["control"] = "tcp://127.0.0.1:%d" % listener.getsockname()[1]
    large_replays(where, seconds, seed)


ATTACKS = {
    f.__name__: f
    for f in (
        only_busy,
        only_frames,
        names,
        queries,
        half_heads,
        trickle,
        deaf_askers,
        deaf_subscribers,
        endless,
        large_replays,
    )
}


def window(watch, seconds):
    end = time.monotonic() + seconds
    return watch.many(until=lambda: time.monotonic() < end)


@contextlib.contextmanager
def attacked(name, told, seconds, seed):
    process = subprocess.Popen(
        [
            sys.executable,
            os.path.abspath(__file__),
            "--perform",
            name,
            "--at",
            json.dumps(told),
            "--seconds",
            str(seconds),
            "--seed",
            str(seed),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield
    finally:
        try:
            _, said = process.communicate(timeout=seconds + 30)
            if process.returncode:
                print(f"  the attack ended with {process.returncode}: {said.strip()[-300:]}")
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            print("  the attack did not end by itself")


def measure(args, name, watch, programs, told):
    """One row of the table, and whether the ratio is within the limit (or unknown)."""
    ratios, noisy, shown = [], 0, None
    before = [p.rss() for p in programs]
    for n in range(args.rounds):
        quiet = window(watch, args.seconds)
        with attacked(name, told, args.seconds + 1, args.seed + n):
            time.sleep(1)  # until the attack has begun
            busy = window(watch, args.seconds)
        again = window(watch, args.seconds)
        first, last = quantile(quiet, 0.99), quantile(again, 0.99)
        noisy += max(first, last) > 1.5 * min(first, last)
        calm = sorted(quiet + again)
        ratios.append(quantile(busy, 0.99) / quantile(calm, 0.99))
        shown = [quantile(w, q) for w in (calm, busy) for q in (0.5, 0.99)]
    ratio = statistics.median(ratios)
    grown = " ".join(f"{(p.rss() - b) / 2**20:+.0f}" for p, b in zip(programs, before))
    print(f"{name:17} {shown[0]:7.2f} {shown[1]:7.2f} {shown[2]:9.2f} {shown[3]:9.2f} {ratio:7.2f} "
          f"{noisy:3}/{args.rounds}  {grown}", flush=True)
    return ratio <= LIMIT or noisy * 2 >= args.rounds


def run(args):
    system = pregon.System()
    try:
        broker = system.broker()
        gateway = system.gateway(broker, **SETTINGS)
        feed = system.feed(broker, "many")
        for i, symbol in enumerate(query_attacks.symbols(SYMBOLS)):
            feed.quote(symbol, last="1.5", bid="1.25", ask="1.75")
            if i % 1000 == 999:
                feed.wait_processed()
        watch = Latency(system, broker, gateway)
        watch.many(300)
        told = {"port": gateway.port, "control": broker.ready["control"],
                "publish": broker.ready["publish"], "ingest": broker.ready["ingest"]}
        print(
            f"seed {args.seed}; ms of the last round; MiB that broker and gateway grew\n"
            f"{'attack':17} {'quiet p50':>7} {'p99':>5} {'attacked p50':>9} {'p99':>6} "
            f"{'ratio':>7} noisy  MiB"
        )
        return all([measure(args, name, watch, (broker, gateway), told)
                    for name in args.only or ATTACKS])
    finally:
        system.end()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--only", nargs="+", choices=ATTACKS, help="these attacks only")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4, help="of a window")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--strict", action="store_true", help="exit code 1 if a ratio exceeds 1.5")
    parser.add_argument("--perform", choices=ATTACKS, help=argparse.SUPPRESS)
    parser.add_argument("--at", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.perform:
        ATTACKS[args.perform](Where(args.at), args.seconds, args.seed)
        return 0
    is_well = run(args)
    return 0 if is_well or not args.strict else 1


if __name__ == "__main__":
    sys.exit(main())
