"""What storing costs: make bench-store, or this with --help.

A feeder at full speed (sim, one process), the broker, and a consumer that counts (sink). Runs with
STORE=memory and STORE=sqlite take turns, and medians are compared: only what ran side by side on
one machine can be. The last table is one long run with sqlite: what is stored, and how far the
writer is behind.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "system"))

import pregon  # noqa: E402


def on(cores, process):
    if cores:
        subprocess.run(["taskset", "-a", "-p", "-c", cores, str(process.pid)], check=True,
                       stdout=subprocess.DEVNULL)


class Sink:
    def __init__(self, endpoint):
        self.process = subprocess.Popen(
            [os.path.join(pregon.BIN, "..", "tests", "bench", "sink"), endpoint],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def read(self):
        """(quotes, missed)"""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return tuple(int(n) for n in self.process.stdout.readline().split()[:2])

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def seconds_of(pid):
    """By kind of thread (the loop's, ZeroMQ's, the store's): seconds with a processor, waiting for
    one."""
    found = {kind: [0.0, 0.0] for kind in ("loop", "zmq", "store")}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm", encoding="ascii") as f:
            name = f.read()
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
            run, wait = (int(n) / 1e9 for n in f.read().split()[:2])
        kind = "loop" if int(task) == pid else "zmq" if name.startswith("ZMQ") else "store"
        found[kind][0] += run
        found[kind][1] += wait
    return found


class Run:
    """Start everything and warm up."""

    def __init__(self, args, store, rate, name):
        self.system = system = pregon.System()
        settings = {"store": "memory"}
        if store == "sqlite":
            settings["store"] = f"sqlite:{system.path('pregon.db')}"
        self.broker = system.broker(publish_queue=100000000, **settings)
        self.sink = Sink(self.broker.ready["publish"])
        self.control = system.control(self.broker)
        self.feeder = system.feeder(self.broker, f"sim:{args.symbols}?rate={rate}", feed=name)
        on(args.broker_cores, self.broker.process)
        on(args.other_cores, self.sink.process)
        on(args.other_cores, self.feeder.process)
        pregon.eventually(lambda: self.control.request("status")["seq"], lambda n: n > 20000,
                          "the first quotes", patience=60)
        time.sleep(args.warm)

    def measure(self, duration, each=lambda status: None):
        """Quotes per second at the sink, how many it missed, µs of the broker's per quote."""
        cpu, began, quotes = seconds_of(self.broker.pid), time.monotonic(), self.sink.read()
        while time.monotonic() < began + duration:
            time.sleep(min(0.25, duration))
            each(self.control.request("status"))
        after, took = self.sink.read(), time.monotonic() - began
        count = after[0] - quotes[0]
        spent = seconds_of(self.broker.pid)
        return {"rate": count / took, "missed": after[1],
                "wait": {k: (spent[k][1] - cpu[k][1]) / took for k in spent},
                **{k: (spent[k][0] - cpu[k][0]) / count * 1e6 for k in spent}}

    def end(self):
        self.sink.close()
        self.system.end()


def tell(one):
    return (f"{one['rate']:9.0f} quotes/s, {one['missed']} missed; µs of processor per quote: loop "
            f"{one['loop']:.2f}, ZeroMQ {one['zmq']:.2f}, store {one['store']:.2f}; waited for a "
            f"processor: loop {one['wait']['loop']:.0%}, store {one['wait']['store']:.0%}")


def compare(args):
    found = {"memory": [], "sqlite": []}
    for _ in range(args.runs):
        for store in found:
            run = Run(args, store, 0, "bench")
            found[store].append(run.measure(args.seconds))
            run.end()
            one = found[store][-1]
            print(f"  {store:7} {tell(one)}", flush=True)
    medians = {s: statistics.median(r["rate"] for r in runs) for s, runs in found.items()}
    loops = {s: statistics.median(r["loop"] for r in runs) for s, runs in found.items()}
    ratios = sorted(b["rate"] / a["rate"] for a, b in zip(found["memory"], found["sqlite"]))
    print(
        f"forwarded, median of {args.runs}: memory {medians['memory']:.0f}/s, "
        f"sqlite {medians['sqlite']:.0f}/s, ratio {medians['sqlite'] / medians['memory']:.2f} "
        f"(of pairs {statistics.median(ratios):.2f}: {', '.join(f'{r:.2f}' for r in ratios)}); the "
        f"loop alone could: "
        f"{loops['memory'] / loops['sqlite']:.2f}",
        flush=True,
    )


def stored_over(args, rate, seconds):
    """A steady stream into SQLite: quotes stored per second, quotes not stored, and the writer's
    highest delay."""
    run = Run(args, "sqlite", rate, "bench")
    lags = []
    try:
        before, began = run.control.request("status")["store"], time.monotonic()
        one = run.measure(seconds, lambda s: lags.append(s["store"]["behind_us"] / 1e6))
        after, took = run.control.request("status")["store"], time.monotonic() - began
    finally:
        run.end()
    return {
        **one,
        "stored": (after["stored"] - before["stored"] - after["gaps"]) / took,
        "gaps": after["gaps"],
        "lags": lags,
    }


def sustain(args):
    one = stored_over(args, args.rate, args.long)
    print(f"  {tell(one)}")
    print(
        f"stored, {args.long:.0f} s at rate {args.rate or 'as fast as it goes'}: "
        f"{one['stored']:.0f} quotes/s "
        f"(called out: {one['rate']:.0f}/s), {one['gaps']} not stored; lag "
        f"{one['lags'][-1]:.2f} s at the end, {max(one['lags']):.2f} s at most",
        flush=True,
    )


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    p.add_argument("--runs", type=int, default=3, help="of each store")
    p.add_argument("--seconds", type=float, default=8, help="of each run")
    p.add_argument("--warm", type=float, default=2, help="seconds before it counts")
    p.add_argument("--long", type=float, default=60, help="seconds of the long run; 0: none")
    p.add_argument("--rate", type=int, default=0, help="of the long run; 0: full speed")
    p.add_argument("--symbols", type=int, default=1000)
    p.add_argument("--broker-cores", default="", help="for taskset")
    p.add_argument("--other-cores", default="", help="feeder and sink")
    args = p.parse_args()
    if args.runs:
        compare(args)
    if args.long:
        sustain(args)


if __name__ == "__main__":
    main()
