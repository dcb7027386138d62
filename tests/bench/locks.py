#!/usr/bin/python3
"""What a busy lock service costs quotes: their latency without and with it, in turns.

    tests/bench/locks.py --bin build/release/bin --rounds 6 --seconds 5

A feeder publishes quotes at a steady rate, and a subscriber measures the time from a quote's stamps
to its receipt. In every other stretch 1,000 held locks are renewed 10,000 times a second over
several sockets. The stretches alternate, so that other work of the machine affects both kinds.
Prints a table and asserts nothing.
"""

import argparse
import multiprocessing
import os
import statistics
import struct
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "system"))

TICK = 0.005  # seconds between two batches of renewals
SOCKETS = 4
SETTLE = 0.5  # seconds of a stretch that are not counted


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    root = os.path.dirname(os.path.dirname(HERE))
    parser.add_argument("--bin", default=os.path.join(root, "build", "release", "bin"))
    parser.add_argument("--rounds", type=int, default=6, help="of each kind")
    parser.add_argument("--seconds", type=float, default=5.0, help="of a stretch")
    parser.add_argument("--quotes", type=int, default=5000, help="a second")
    parser.add_argument("--locks", type=int, default=1000)
    parser.add_argument("--renewals", type=int, default=10000, help="a second")
    return parser.parse_args()


ARGUMENTS = arguments()
os.environ["PREGON_BIN"] = os.path.abspath(ARGUMENTS.bin)

# pylint: disable=wrong-import-position  (pregon reads PREGON_BIN when it is imported)
import msgpack
import zmq

import pregon


def listen(address, out, is_over):
    """(receipt, sent, accepted) of every quote, in µs; all at the end."""
    socket = zmq.Context().socket(zmq.SUB)
    socket.rcvhwm = 0
    socket.connect(address)
    socket.subscribe(b"")
    seen = []
    quote = b"\x97\x01"
    while not is_over.is_set():
        if not socket.poll(100):
            continue
        frames = socket.recv_multipart()
        now = time.time_ns() // 1000
        if len(frames) == 2 and frames[1][:2] == quote:
            seen.append((now, *struct.unpack_from(">QxQ", frames[1], 30)))
    out.put(seen)


def renew(address, tokens, rate, is_on, is_over, counts):
    """Renew in batches while switched on; a late batch is followed by more."""
    context = zmq.Context()
    sockets = [context.socket(zmq.DEALER) for _ in range(SOCKETS)]
    for s in sockets:
        s.linger = 0
        s.connect(address)
    messages = [msgpack.packb({"op": "renew", "id": i, "name": name, "owner": "bench",
                               "token": token}) for i, (name, token) in enumerate(tokens)]
    at, due, last = 0, 0.0, time.monotonic()
    keep_at = 0.0
    while not is_over.is_set():
        time.sleep(TICK)
        now = time.monotonic()
        if is_on.is_set():
            due += (now - last) * rate
        elif now >= keep_at:  # held they must be all the time
            due, keep_at = len(messages), now + 60
        last = now
        count, due = int(due), due - int(due)
        for i in range(count):
            sockets[i % SOCKETS].send(messages[at % len(messages)])
            at += 1
        counts[0] += count
        for s in sockets:
            while s.poll(0):
                counts[1] += 1
                counts[2] += b"error" in s.recv()


def take_locks(system, broker, count):
    x = system.locker(broker, "bench")
    return [(f"lock-{i}", x.lock(f"lock-{i}", 600000)["token"]) for i in range(count)]


def quantile(values, q):
    return values[min(len(values) - 1, int(len(values) * q))] if values else 0


def row(title, quotes, begin_end, renewals, cpu):
    seconds = sum(e - b for b, e in begin_end)
    stretches = [[s for s in quotes if b * 1e6 <= s[0] < e * 1e6] for b, e in begin_end]
    cells = [title, f"{sum(map(len, stretches)) / seconds:,.0f}", f"{renewals / seconds:,.0f}"]
    for which in (1, 2):
        taken = [sorted(s[0] - s[which] for s in several) for several in stretches]
        # Of the stretches the median: one in which the machine did something else decides nothing.
        cells += [f"{statistics.median(quantile(t, q) for t in taken):,.0f}" for q in (0.5, 0.99)]
    return "| " + " | ".join(cells + [f"{cpu / seconds:.0f} %"]) + " |"


def main():
    system = pregon.System()
    broker = system.broker(store=f"sqlite:{tempfile.mkdtemp(prefix='pregon-bench-')}/pregon.db")
    tokens = take_locks(system, broker, ARGUMENTS.locks)
    system.feeder(broker, "sim:1000", rate=ARGUMENTS.quotes)
    is_on, is_over = multiprocessing.Event(), multiprocessing.Event()
    counts = multiprocessing.Array("q", 3, lock=False)
    out = multiprocessing.Queue()
    helpers = [multiprocessing.Process(target=listen, args=(broker.ready["publish"], out, is_over)),
               multiprocessing.Process(target=renew, args=(
                   broker.ready["control"], tokens, ARGUMENTS.renewals, is_on, is_over, counts))]
    for h in helpers:
        h.start()
    time.sleep(2)
    stretches, renewals, cpu = {False: [], True: []}, {False: 0, True: 0}, {False: 0, True: 0}
    for turn in range(2 * ARGUMENTS.rounds):
        kind = bool(turn % 2)
        (is_on.set if kind else is_on.clear)()
        time.sleep(SETTLE)
        begin, ticks, done = time.time(), broker.ticks(), counts[1]
        time.sleep(ARGUMENTS.seconds)
        stretches[kind].append((begin, time.time()))
        cpu[kind] += broker.ticks() - ticks
        renewals[kind] += counts[1] - done
    is_over.set()
    quotes = out.get()
    for h in helpers:
        h.join()
    print(
        "| | quotes/s | renewals answered/s | sent → received, µs: p50 | p99 | accepted → "
        "received, "
        "µs: p50 | p99 | broker's processor |\n|---|---|---|---|---|---|---|---|"
    )
    print(row("no renewals", quotes, stretches[False], renewals[False], cpu[False]))
    print(row(f"{ARGUMENTS.locks:,} locks renewed", quotes, stretches[True], renewals[True],
              cpu[True]))
    print(f"\n{counts[0]:,} renewals sent, {counts[1]:,} answered, {counts[2]} refused")
    system.end()


if __name__ == "__main__":
    main()
