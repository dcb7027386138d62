"""What is measured: each work is a function that records figures by (work, measure, server)."""

import argparse
import os
import subprocess
import time

import servers
from servers import play

FANS = ("pregon", "floor B", "floor A", "hops", "uvicorn", "node ws")


def names(b, *wanted):
    return [n for n in wanted if n in b.servers and not servers.SERVERS[n].missing]


def publish_into(b, work, load, name, rate, seconds, with_times=True):
    """Publish, and record what it cost; a run that lost something counts as none."""
    a = load.publish(rate, seconds)
    if not a["is_whole"]:
        b.note(f"{work} {name} at {rate}/s: {a['delivered']} of {a['expected']} came, "
               f"{a['missed']} left out, {a['errors']} wrong, {a['closed']} closed")
    elif a["missed"]:
        b.note(f"{work} {name} at {rate}/s: {a['missed']} of {a['expected']} were replaced by newer ones")
    b.record(work, f"processor per delivery, {rate}/s", "µs", name, a["cpu_us"], a)
    if with_times:
        b.record(work, f"p50, {rate}/s", "ms", name, a["p50_us"] / 1e3)
        b.record(work, f"p99, {rate}/s", "ms", name, a["p99_us"] / 1e3)
    return a


def w1(b):
    """One symbol, 1,000 clients, 120 bytes."""
    for _ in range(b.runs):
        for name in names(b, *FANS):
            with play(name) as (_server, load):
                load.connect(1000)
                load.publish(20, 0.5)
                for rate in (10, 50):
                    publish_into(b, "W1", load, name, rate, b.seconds)


def is_sustained(name, rate, seconds, clients):
    with play(name, mode="all") as (_server, load):
        load.connect(clients)
        load.publish(50, 0.5)
        a = load.publish(rate, seconds)
        return a["is_whole"] and a["p99_us"] < 1e6 and a["seconds"] < seconds + 1, a


def w1_most(b):
    """The highest rate at which nothing is lost and p99 stays under a second: steps of 1.5, then three
    halvings (5 %)."""
    for _ in range(b.runs):
        for name in names(b, "pregon", "floor B", *() if b.is_quick else ("node ws", "uvicorn")):
            low, high, best = 0, {"uvicorn": 5, "node ws": 50}.get(name, 2000), None
            while high < 20000:
                ok, a = is_sustained(name, high, b.seconds / 2, 1000)
                if not ok:
                    break
                low, best, high = high, a, high * 1.5
            for _ in range(1 if b.is_quick else 3):
                middle = (low * high) ** 0.5 if low else high / 2
                ok, a = is_sustained(name, middle, b.seconds / 2, 1000)
                low, high, best = (middle, high, a) if ok else (low, middle, best)
            if best and best["load_busy"] > 0.9:
                b.note(f"W1 {name}: the load was at its own limit ({best['load_busy']:.0%} busy): no less than that")
            b.record("W1", "most deliveries without loss, p99 < 1 s", "/s", name, low * 1000, best)


def w2(b):
    """200 symbols, 1,000 clients with 10 of them."""
    for _ in range(b.runs):
        for name in names(b, *FANS[:2] + FANS[3:4] if b.is_quick else FANS):
            with play(name, symbols=200, each=10) as (_server, load):
                load.connect(1000)
                load.publish(200, 1)
                for rate in (500, 2000) if name not in ("uvicorn",) else (500,):
                    publish_into(b, "W2", load, name, rate, b.seconds)


def w3(b):
    """Memory of idle clients, of the whole server over their number."""
    for name in names(b, *FANS[:2] if b.is_quick else ("pregon", "floor B", "node ws", "uvicorn")):
        for count in (5000, 18000) if name in ("pregon", "floor B") else (5000,):
            with play(name) as (server, load):
                pids = server.pids[-1:]  # the broker knows no clients' sockets, but their entries
                before, all_before = servers.rss_of(pids), servers.rss_of(server.pids)
                load.connect(count)
                load.publish(1, 2)  # each has had a quote, and time passes
                rss = servers.rss_of(pids)
                b.record("W3", f"gateway's memory per client, whole process, {count:,}", "KB", name,
                         rss / count / 1024)
                b.record("W3", f"what each client adds, broker included, {count:,}", "KB", name,
                         (servers.rss_of(server.pids) - all_before) / count / 1024,
                         {"rss": rss, "before": before})


def w4(b):
    """4,000 bytes, 20 quotes a second; 10 of 1,000 stop reading."""
    stall = 3 if b.is_quick else 30
    for name in names(b, "pregon", "floor B"):
        with play(name, size=4000) as (server, load):
            pids = server.pids[-1:]  # a gateway also keeps the newest records for those who come back
            load.connect(1000)
            load.publish(20, 1)
            rss = [servers.rss_of(pids)]
            calm = load.publish(20, stall)
            rss.append(servers.rss_of(pids))
            load.ask("mute", 10)
            stalled = load.publish(20, stall)
            rss.append(servers.rss_of(pids))
            b.record("W4", "the others' p99, beside it without a stall", "times", name,
                     stalled["p99_us"] / calm["p99_us"], {"calm": calm, "stalled": stalled})
            b.record("W4", "memory per stalled client, beyond what the same time cost without", "KB",
                     name, max(rss[2] - rss[1] - (rss[1] - rss[0]), 0) / 10 / 1024, {"rss": rss})
            if not stalled["is_whole"]:
                b.note(f"W4 {name}: the others got {stalled['delivered']} of {stalled['expected']}")
            load.ask("unmute")


def forward_bare(seconds):
    """Quotes per second through a bare XSUB–XPUB loop."""
    import store

    relay = os.path.join(servers.PROGRAMS, "relay")
    with servers.on(servers.SERVER_CORES):
        proxy = subprocess.Popen([relay, "proxy"], stdout=subprocess.PIPE, text=True)
    entry, exit_ = proxy.stdout.readline().split()[1:]
    with servers.on(servers.LOAD_CORES):
        sink = store.Sink(exit_)
        time.sleep(0.3)  # its subscription is on the way
        flood = subprocess.Popen([relay, "flood", entry, "81"])  # bytes of a quote of sim's
    try:
        time.sleep(0.5)
        spent, began, quotes = servers.seconds_of([proxy.pid]), time.monotonic(), sink.read()[0]
        time.sleep(seconds)
        count, took = sink.read()[0] - quotes, time.monotonic() - began
        return count / took, (servers.seconds_of([proxy.pid]) - spent) / count * 1e6
    finally:
        for process in (flood, proxy):
            process.kill()
            process.wait()
        proxy.stdout.close()
        sink.close()


def w5(b):
    """The broker at full speed, beside a bare loop."""
    import store

    args = argparse.Namespace(symbols=1000, warm=0.5, broker_cores=",".join(map(str, servers.SERVER_CORES)),
                              other_cores=",".join(map(str, servers.LOAD_CORES)))
    for _ in range(b.runs):
        rate, cost = forward_bare(b.seconds)
        b.record("W5", "quotes forwarded", "/s", "floor B", rate)
        b.record("W5", "processor per quote", "µs", "floor B", cost)
        for kind in ("memory", "sqlite"):
            run = store.Run(args, kind, 0, "bench")
            one = run.measure(b.seconds)
            run.end()
            label = "" if kind == "memory" else ", stored in SQLite"
            b.record("W5", "quotes forwarded" + label, "/s", "pregon", one["rate"], one)
            b.record("W5", "processor per quote" + label, "µs", "pregon",
                     one["loop"] + one["zmq"] + one["store"])


def w6(b):
    """One quote at a time, one client, nothing else."""
    for _ in range(b.runs):
        for name in names(b, "pregon", "hops", "floor B"):
            with play(name) as (_server, load):
                load.connect(1)
                load.publish(20, 0.5)
                a = load.publish(50, b.seconds)
                b.record("W6", "feeder to client, p50", "µs", name, a["p50_us"], a)
                b.record("W6", "feeder to client, p99", "µs", name, a["p99_us"])


def w7(b):
    """Handshakes, and everybody coming back at once."""
    for _ in range(b.runs):
        for name in names(b, "pregon", "floor B", "node ws", "uvicorn"):
            count = 1000 if name == "uvicorn" else 5000
            with play(name) as (_server, load):
                a = load.connect(count)
                b.record("W7", "handshakes, 128 under way", "/s", name, count / a["seconds"], a)
    if "pregon" in b.servers:
        come_back(b, 10000)


def come_back(b, count):
    with play("pregon", mode="all") as (server, load):
        load.connect(count)
        load.publish(2, 2)
        server.kill_gateway()
        load.ask("down")
        load.ask("publish", 10, 1)  # missed by all of them
        server.start_gateway()
        a = load.ask("return", count)
        after = load.publish(2, 1)
        b.record("W7", f"{count:,} back with since, each with what it missed", "s", "pregon",
                 a["acked_seconds"], a)
        b.record("W7", "of them told of a loss, or left without", "clients", "pregon",
                 sum(a[k] + after[k] for k in ("lost", "unrecovered", "resets", "missed", "refused"))
                 + count - a["open"])


GROWTH = 20000  # deliveries a second, however they come about


def w8(b):
    """The same deliveries a second from more clients, symbols, gateways: does one cost the same?"""
    seconds = b.seconds
    for _ in range(b.runs):
        for name in names(b, *FANS[:1 if b.is_quick else 2]):
            for clients in (100, 10000) if b.is_quick else (100, 1000, 10000, 18000):
                with play(name) as (_server, load):
                    load.connect(clients)
                    load.publish(GROWTH / clients, 1)
                    a = load.publish(GROWTH / clients, seconds)
                    b.record("W8", f"processor per delivery, {clients:,} clients", "µs", name,
                             a["cpu_us"], a)
            for symbols in (1, 100000) if b.is_quick else (1, 1000, 100000):
                with play(name, symbols=symbols, each=0) as (_server, load):
                    load.publish(max(symbols / 2, 1), 2)  # all of them have a value
                    load.connect(20)
                    load.publish(GROWTH / 20, 1)
                    a = load.publish(GROWTH / 20, seconds)
                    b.record("W8", f"processor per delivery, 20 clients, {symbols:,} symbols", "µs", name,
                             a["cpu_us"], a)
        for gateways in (1, 4) if "pregon" in b.servers else ():
            with play("pregon", gateways=gateways) as (_server, load):
                load.connect(1000)
                load.publish(GROWTH / 1000, 1)
                a = load.publish(GROWTH / 1000, seconds)
                b.record("W8", f"processor per delivery, 1,000 clients on {gateways} gateways", "µs",
                         "pregon", a["cpu_us"], a)


WORKS = {"W1": w1, "W1max": w1_most, "W2": w2, "W3": w3, "W4": w4, "W5": w5, "W6": w6, "W7": w7,
         "W8": w8}

# What is asked of Pregón: (work, beginning of the measure) → (beside what, at most or at least, how much).
GOALS = {
    ("W1", "processor"): ("floor B", "<=", 1.10),
    ("W1", "most"): ("floor B", ">=", 0.9),
    ("W2", "processor"): ("floor B", "<=", 1.15),
    ("W2", "p99"): ("floor B", "<=", 1.5),
    ("W3", "gateway's"): (None, "<=", 2.5),
    ("W4", "the others'"): (None, "<=", 1.1),
    ("W4", "memory"): (None, "<=", 64),
    ("W5", "quotes forwarded"): ("floor B", ">=", 0.8),
    ("W6", "feeder to client, p50"): ("hops", "<=", 1.5),
    ("W7", "handshakes"): ("floor B", ">=", 0.6),
    ("W7", "10,000 back"): (None, "<=", 5),
    ("W7", "of them"): (None, "<=", 0),
}
