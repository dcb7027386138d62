"""The rows of the benchmark: each is a function that records figures by (work, measure, server)."""

import argparse
import os
import statistics
import subprocess
import time

import peers
import servers

JUDGED = ("pregon", "floor B")  # in every round; the others in the first
BESIDE = ("floor A", "hops", *peers.PEERS)


def publish_into(b, work, load, name, rate, seconds):
    """Publish and record the cost; losses are noted."""
    a = load.publish(rate, seconds)
    if not a["is_whole"]:
        b.note(f"{work} {name} at {rate}/s: {a['delivered']} of {a['expected']} came, "
               f"{a['missed']} left out, {a['errors']} wrong, {a['closed']} closed")
    elif a["missed"]:
        b.note(
            f"{work} {name} at {rate}/s: {a['missed']} of {a['expected']} were replaced by newer "
            f"ones"
        )
    b.record(work, f"processor per delivery, {rate}/s", "µs", name, a["cpu_us"], a)
    b.record(work, f"p50, {rate}/s", "ms", name, a["p50_us"] / 1e3)
    b.record(work, f"p99, {rate}/s", "ms", name, a["p99_us"] / 1e3)


def w1(b):
    """One symbol, 1,000 clients, 120 bytes."""
    def one(_server, load, name):
        load.connect(1000)
        load.publish(20, 0.5)
        for rate in (10, 50):
            publish_into(b, "W1", load, name, rate, b.seconds)

    for number in b.rounds("W1"):
        for name in b.names(*JUDGED, *b.first(number, BESIDE)):
            b.attempt("W1", name, one)


FIRST_RATE = {"uvicorn": 10, "node ws": 50, "mosquitto": 50, "nchan": 100, "nats": 400}


class Search:
    """The highest rate at which nothing is lost and p99 stays under a second: steps upwards, then
    halvings in between.  A server that was overloaded is started anew."""

    def __init__(self, b, name, first):
        self.b, self.name = b, name
        self.low, self.high, self.best = 0, first, None
        self.seconds = b.seconds / 2

    def is_sustained(self, load, rate):
        a = load.publish(rate, self.seconds)
        is_good = a["is_whole"] and a["p99_us"] < 1e6 and a["seconds"] < self.seconds + 1
        if is_good:
            self.low, self.best = rate, a
        else:
            self.high = rate
        return is_good

    def climb(self, _server, load, _name):
        load.connect(1000)
        load.publish(20, 0.5)
        while self.is_sustained(load, self.high):
            self.high *= 1.5

    def halve(self, _server, load, _name):
        load.connect(1000)
        load.publish(20, 0.5)
        self.is_sustained(load, (self.low * self.high) ** 0.5 if self.low else self.high / 2)

    def run(self, halvings):
        """Deliveries a second, or None."""
        self.b.attempt("W1", self.name, self.climb, mode="all")
        for _ in range(halvings):
            self.b.attempt("W1", self.name, self.halve, mode="all")
        return self.low * 1000 if self.low else None


def w1_most(b):
    """Most deliveries a second without loss: 1.5 times more each time, then halvings."""
    known = dict(FIRST_RATE)
    for number in b.rounds("W1max"):
        for name in b.names(*JUDGED, *([] if b.is_quick else b.first(number, peers.PEERS))):
            search = Search(b, name, known.get(name, 2000))
            most = search.run(1 if b.is_quick or name in peers.PEERS else 2)
            if not most:
                b.note(f"W1 {name}: no rate was found that it keeps up with")
                continue
            known[name] = most / 1000 * 0.8  # the next round begins nearby
            if search.best["load_busy"] > 0.9:
                b.note(
                    f"W1 {name}: the load was at its own limit ({search.best['load_busy']:.0%} "
                    f"busy): no less than that"
                )
            b.record("W1", "most deliveries without loss, p99 < 1 s", "/s", name, most, search.best)


def w2(b):
    """200 symbols, 1,000 clients with 10 of them."""
    def one(_server, load, name):
        is_quick = b.is_quick and name in peers.PEERS
        load.connect(1000)
        load.publish(200, 1)
        for rate in (500,) if is_quick or name == "uvicorn" else (500, 2000):
            publish_into(b, "W2", load, name, rate, b.seconds)

    for number in b.rounds("W2"):
        for name in b.names(*JUDGED, *b.first(number, peers.PEERS if b.is_quick else BESIDE)):
            b.attempt("W2", name, one, symbols=200, each=10)


def w3(b):
    """Memory of idle clients, of the whole server over their number."""
    def one(server, load, name, count):
        pids = server.pids[-1:]  # the broker knows no clients' sockets, but their entries
        before, all_before = servers.rss_of(pids), servers.rss_of(server.pids)
        load.connect(count)
        load.publish(1, 1)  # each has had a quote, and time passes
        rss = servers.rss_of(pids)
        b.record(
            "W3",
            f"gateway's memory per client, whole process, {count:,}",
            "KB",
            name,
            rss / count / 1024,
        )
        b.record(
            "W3",
            f"what each client adds, broker included, {count:,}",
            "KB",
            name,
            (servers.rss_of(server.pids) - all_before) / count / 1024,
            {"rss": rss, "before": before},
        )

    for name in b.names(*JUDGED, *peers.PEERS):
        for count in (2000,) if b.is_quick else (5000, 18000) if name in JUDGED else (5000,):
            b.attempt("W3", name, lambda s, l, n, count=count: one(s, l, n, count))


# p99 of each, then the median: a second in which the machine did something else decides nothing
SLICE_S = 1


def p99_of(load, rate, seconds):
    """Of each slice."""
    answers = [load.publish(rate, SLICE_S) for _ in range(max(round(seconds / SLICE_S), 1))]
    return [a["p99_us"] for a in answers], all(a["is_whole"] for a in answers)


def w4(b):
    """4,000 bytes, 20 quotes a second; 10 of 1,000 stop reading, in turns with all reading."""
    def one(server, load, name):
        calm, stalled, rss, calm_s = [], [], [], 1 if b.is_quick else 5
        load.connect(1000)
        load.publish(20, 1)
        pids = server.pids[-1:]  # a gateway also keeps the newest records
        for stall in (
            (1, 1) if b.is_quick else (30, calm_s) if name == "pregon" else (calm_s, calm_s)
        ):
            rss.append(servers.rss_of(pids))
            some, is_whole = p99_of(load, 20, calm_s)
            calm += some
            rss.append(servers.rss_of(pids))
            load.request("mute", 10)
            some, is_whole_too = p99_of(load, 20, stall)
            stalled += some
            rss.append(servers.rss_of(pids))
            load.request("unmute")
            if not is_whole or not is_whole_too:
                b.note(f"W4 {name}: the others did not get everything")
            if len(rss) == 3:
                growth = (rss[1] - rss[0]) * stall / calm_s
                b.record(
                    "W4",
                    "memory per stalled client, beyond what the same time cost without",
                    "KB",
                    name,
                    max(rss[2] - rss[1] - growth, 0) / 10 / 1024,
                    {"rss": rss, "seconds": stall},
                )
        calm += p99_of(load, 20, calm_s)[0]
        b.record(
            "W4",
            "the others' p99, beside it without a stall",
            "times",
            name,
            statistics.median(stalled) / statistics.median(calm),
            {"calm": calm, "stalled": stalled},
        )

    for name in b.names(*JUDGED):
        b.attempt("W4", name, one, size=4000)


def forward_bare(seconds):
    """Quotes per second through a bare XSUB–XPUB loop, and µs of its processor for each."""
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


STORED_RATE = 210000  # requested of the feeder in the long run


def w5(b):
    """The broker at full speed, beside a bare loop; then what is stored of a steady stream."""
    import store

    args = argparse.Namespace(
        symbols=1000,
        warm=0.5,
        broker_cores=",".join(map(str, servers.SERVER_CORES)),
        other_cores=",".join(map(str, servers.LOAD_CORES)),
    )

    def bare():
        rate, cost = forward_bare(b.seconds)
        b.record("W5", "quotes forwarded", "/s", "floor B", rate)
        b.record("W5", "processor per quote", "µs", "floor B", cost)

    def broker(kind):
        run = store.Run(args, kind, 0, "bench")
        try:
            one = run.measure(b.seconds)
        finally:
            run.end()
        label = "" if kind == "memory" else ", stored in SQLite"
        b.record("W5", "quotes forwarded" + label, "/s", "pregon", one["rate"], one)
        b.record(
            "W5",
            "processor per quote" + label,
            "µs",
            "pregon",
            one["loop"] + one["zmq"] + one["store"],
        )

    def long(seconds):
        """All programs on all cores: usually the writer thread has a core of its own."""
        cores = f"{args.broker_cores},{args.other_cores}"  # they would inherit the load's
        everywhere = argparse.Namespace(
            **{**vars(args), "broker_cores": cores, "other_cores": cores}
        )
        one = store.stored_over(everywhere, STORED_RATE, seconds)
        b.record("W5", f"quotes stored, over {seconds} s", "/s", "pregon", one["stored"], one)
        b.record(
            "W5", f"the writer behind at most, over {seconds} s", "s", "pregon", max(one["lags"])
        )

    for _ in b.rounds("W5"):
        if "floor B" in b.servers:
            b.guard("W5", "floor B", bare)
        for kind in ("memory", "sqlite") if "pregon" in b.servers else ():
            b.guard("W5", "pregon", lambda kind=kind: broker(kind))
    if "pregon" in b.servers:
        b.guard("W5", "pregon", lambda: long(3 if b.is_quick else 60))


def w6(b):
    """One quote at a time, one client, nothing else."""
    def one(_server, load, name):
        load.connect(1)
        load.publish(20, 0.5)
        a = load.publish(50, b.seconds)
        b.record("W6", "feeder to client, p50", "µs", name, a["p50_us"], a)
        b.record("W6", "feeder to client, p99", "µs", name, a["p99_us"])

    for _ in b.rounds("W6"):
        for name in b.names("pregon", "hops", "floor B"):
            b.attempt("W6", name, one)


def w7(b):
    """Handshakes, and all clients reconnecting at once."""
    def shake(_server, load, name):
        count = 1000 if b.is_quick or name == "uvicorn" else 5000
        a = load.connect(count)
        b.record("W7", "handshakes, 128 under way", "/s", name, count / a["seconds"], a)

    def come_back(server, load, _name):
        count = 2000 if b.is_quick else 10000
        load.connect(count)
        load.publish(2, 1)
        server.kill_gateway()
        load.request("down")
        load.request("publish", 10, 1)  # missed by all of them
        server.start_gateway()
        a = load.request("return", count)
        after = load.publish(2, 1)
        b.record("W7", f"{count:,} back with since, each with what it missed", "s", "pregon",
                 a["acked_seconds"], a)
        b.record(
            "W7",
            "of them with a reported or unreported loss",
            "clients",
            "pregon",
            sum(a[k] + after[k] for k in ("lost", "unrecovered", "resets", "missed", "refused"))
            + count
            - a["open"],
        )

    for number in b.rounds("W7"):
        talk_websocket = [n for n in peers.PEERS if peers.PEERS[n].protocol == "websocket"]
        for name in b.names(*JUDGED, *b.first(number, talk_websocket)):
            b.attempt("W7", name, shake)
        for name in b.names("pregon"):
            b.attempt("W7", name, come_back, mode="all")


GROWTH = 20000  # deliveries a second, however they come about


def w8(b):
    """The same deliveries per second with more clients, symbols or gateways: what does one cost?"""
    def clients(count):
        def one(_server, load, name):
            load.connect(count)
            load.publish(GROWTH / count, 0.5)
            a = load.publish(GROWTH / count, b.seconds)
            b.record("W8", f"processor per delivery, {count:,} clients", "µs", name, a["cpu_us"], a)
        return one

    def symbols(count):
        def one(_server, load, name):
            load.publish(max(count / 2, 1), 2)  # all of them have a value
            load.connect(20)
            load.publish(GROWTH / 20, 0.5)
            a = load.publish(GROWTH / 20, b.seconds)
            b.record(
                "W8",
                f"processor per delivery, 20 clients, {count:,} symbols",
                "µs",
                name,
                a["cpu_us"],
                a,
            )
        return one

    def gateways(count):
        def one(_server, load, name):
            load.connect(1000)
            load.publish(GROWTH / 1000, 0.5)
            a = load.publish(GROWTH / 1000, b.seconds)
            b.record(
                "W8",
                f"processor per delivery, 1,000 clients on {count} gateways",
                "µs",
                name,
                a["cpu_us"],
                a,
            )
        return one

    for _ in b.rounds("W8"):
        for name in b.names("pregon", *[] if b.is_quick else ["floor B"]):
            for count in (100, 10000) if b.is_quick else (100, 1000, 10000, 18000):
                b.attempt("W8", name, clients(count))
            for count in (1, 100000) if b.is_quick else (1, 1000, 100000):
                b.attempt("W8", name, symbols(count), symbols=count, each=0)
        for count in (1, 4):
            for name in b.names("pregon"):
                b.attempt("W8", name, gateways(count), gateways=count)


PUBLISH = 20000  # quotes a second over HTTP, in batches of
BATCH = 100


def w9(b):
    """Other quotes are published over HTTP, in turns with none: what do clients notice?"""
    def one(server, load, _name):
        producer = servers.Helper(
            "publisher.py", server.ports[0], "bench", PUBLISH / BATCH, BATCH
        )
        calm, busy, answers = [], [], []
        load.connect(200)
        load.publish(500, 1)
        producer.request(1)
        for _ in range(2 if b.is_quick else 8):
            some, is_whole = p99_of(load, 500, SLICE_S)
            calm += some
            producer.say(SLICE_S + 0.5)
            some, is_whole_too = p99_of(load, 500, SLICE_S)
            busy += some
            answers.append(producer.hear())
            if not is_whole or not is_whole_too:
                b.note("W9: the clients did not get everything")
        producer.end()
        failed = sum(a["failed"] for a in answers)
        if failed:
            b.note(f"W9: {failed} requests were not answered 200")
        b.record(
            "W9", "quotes published over HTTP in batches of 100", "/s", "pregon",
            sum(a["published"] for a in answers) * BATCH / sum(a["seconds"] for a in answers),
            answers,
        )
        b.record("W9", "a request's p50", "ms", "pregon",
                 statistics.median(a["p50_ms"] for a in answers))
        b.record("W9", "a request's p99", "ms", "pregon",
                 statistics.median(a["p99_ms"] for a in answers))
        b.record("W9", "the clients' p99 without publishing", "ms", "pregon",
                 statistics.median(calm) / 1e3)
        b.record(
            "W9", "the clients' p99, beside it without publishing", "times", "pregon",
            statistics.median(busy) / statistics.median(calm), {"calm": calm, "busy": busy},
        )

    for _ in b.rounds("W9"):
        for name in b.names("pregon"):
            b.attempt("W9", name, one, symbols=200, each=10,
                      settings={"publish_token": "bench"})


# Share of the time for each row; each runs at least one round.
WORKS = {
    "W1": (w1, 0.12),
    "W1max": (w1_most, 0.14),
    "W2": (w2, 0.14),
    "W3": (w3, 0.06),
    "W4": (w4, 0.14),
    "W5": (w5, 0.05),
    "W6": (w6, 0.04),
    "W7": (w7, 0.09),
    "W8": (w8, 0.15),
    "W9": (w9, 0.05),
}

# What is asked of Pregón: (work, beginning of the measure) → (beside what, at most or at least, how
# much).
GOALS = {
    ("W1", "processor"): ("floor B", "<=", 1.10),
    ("W1", "most"): ("floor B", ">=", 0.9),
    ("W2", "processor"): ("floor B", "<=", 1.15),
    ("W2", "p99"): ("floor B", "<=", 1.5),
    ("W3", "gateway's"): (None, "<=", 2.5),
    ("W4", "the others'"): (None, "<=", 1.1),
    ("W4", "memory"): (None, "<=", 64),
    ("W5", "quotes forwarded"): ("floor B", ">=", 0.8),
    ("W5", "quotes stored"): (None, ">=", 200000),
    ("W5", "the writer"): (None, "<=", 1),
    ("W6", "feeder to client, p50"): ("hops", "<=", 1.5),
    ("W7", "handshakes"): ("floor B", ">=", 0.6),
    ("W7", "10,000 back"): (None, "<=", 5),
    ("W7", "of them"): (None, "<=", 0),
    ("W9", "quotes"): (None, ">=", 20000),
    ("W9", "the clients' p99, beside"): (None, "<=", 1.1),
}
