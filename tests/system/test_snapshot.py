"""A snapshot and the quotes after it are consistent, whatever happens in the meantime."""

import random
import threading

import pytest

SYMBOLS = [f"{group}{i}" for group in ("AA", "AB", "B") for i in range(8)]
PATTERNS = SYMBOLS + ["A*", "AA*", "AB*", "B*", "*"]
QUOTES = 12000
SEED = random.SystemRandom().randrange(10**6)


class Caller(threading.Thread):
    """Publishes quotes whose `n` counts up per symbol, until it is stopped."""

    def __init__(self, feed, rng):
        super().__init__(daemon=True)
        self.feed, self.rng = feed, rng
        self.last = dict.fromkeys(SYMBOLS, 0)
        self.go_on = threading.Event()
        self.start()

    def run(self):
        for count in range(QUOTES):
            symbol = self.rng.choice(SYMBOLS)
            self.last[symbol] += 1
            self.feed.quote(symbol, last=str(self.last[symbol]), n=self.last[symbol])
            if count % 500 == 499:  # as a source that waits: a few hundred in flight
                self.feed.wait_processed(count - 499)


def check(client, last, mode):
    """The messages of each symbol and subscription must be consistent."""
    held = set()  # patterns it holds, by its acks
    at = {}  # symbol -> (seq, n)
    newest = 0
    for m in client.messages:
        if m["type"] == "ack":
            if m["op"] == "subscribe":
                held |= set(m["symbols"])
            elif m["op"] == "unsubscribe":
                held -= set(m["symbols"])
                at = {s: v for s, v in at.items() if covers(held, s)}
        if m["type"] not in ("snapshot", "quote"):
            continue
        symbol = m["symbol"]
        assert covers(held, symbol), f"{m} before its ack or after it left {held}"
        seq, n = at.get(symbol, (0, 0))
        if m["type"] == "quote":
            assert m["seq"] > seq, f"{m} after {seq}"
            assert m["n"] > n
            if mode == "all":
                assert m["prev"] == seq or (symbol not in at and m["prev"] == 0), f"{m} after {seq}"
                assert m["seq"] > newest
        else:
            assert m["seq"] >= seq, f"{m} after {seq}"
        newest = max(newest, m["seq"]) if m["type"] == "quote" else newest
        at[symbol] = (m["seq"], m["n"])
    for symbol, (seq, n) in at.items():
        assert n == last[symbol], f"{symbol} ended at {n}, not {last[symbol]}"
    return at


def covers(patterns, symbol):
    return any(p == symbol or (p[-1] == "*" and symbol.startswith(p[:-1])) for p in patterns)


@pytest.mark.parametrize("mode", ["all", "merge"])
def test_snapshot_and_quotes_have_no_gap_and_no_reorder_under_load(system, mode):
    broker, gateway = system.start(client_queue=64 * 1024 * 1024, heartbeat=1)
    rng = random.Random(SEED)
    print("seed", SEED)
    feed = system.feed(broker)
    clients = [system.client(gateway, f"?symbols=NOTHING&mode={mode}") for _ in range(12)]
    stayers = [system.client(gateway, f"?symbols={p}&mode={mode}") for p in ("*", "A*,AA*", "AA1")]
    caller = Caller(feed, rng)

    while caller.is_alive():
        client = rng.choice(clients)
        op = rng.choice(("subscribe", "subscribe", "unsubscribe"))
        client.request(op, symbols=rng.sample(PATTERNS, rng.randint(1, 4)))
        if rng.random() < 0.05:
            late = system.client(gateway, f"?symbols={rng.choice(PATTERNS)}&mode={mode}")
            stayers.append(late)
    caller.join()
    feed.wait_processed()
    feed.quote("ZEND", last="1", n=1)
    head = feed.wait_processed().received

    for client in clients + stayers:
        client.request("subscribe", symbols=["ZEND"])
        client.receive(("quote", "snapshot"), symbol="ZEND")
        client.receive("heartbeat", where=lambda m: m["seq"] >= head)
    assert not any(c.received("lost") or c.received("error") for c in clients + stayers)
    caller.last["ZEND"] = 1
    for client in clients + stayers:
        check(client, caller.last, mode)
    everything = check(stayers[0], caller.last, mode)
    assert set(everything) == set(SYMBOLS) | {"ZEND"}
    status = gateway.status()
    assert status["gateway"]["upstream_gaps"] == 0


def test_a_client_that_joins_late_sees_every_quote_since_its_snapshot(system):
    broker, gateway = system.start(client_queue=64 * 1024 * 1024)
    feeder = system.feeder(broker, "sim:5?rate=4000", feed="sim")
    first = system.client(gateway, "?mode=all")
    first.wait_until(lambda m: len(m) > 2000)
    late = [system.client(gateway, "?mode=all") for _ in range(10)]
    for client in late:
        client.wait_until(lambda m: len(m) > 1000)
    feeder.stop()
    for client in late:
        at = {}
        for m in client.messages:
            if m["type"] == "snapshot":
                at[m["symbol"]] = m
            elif m["type"] == "quote":
                before = at[m["symbol"]]
                assert (m["prev"], m["n"]) == (before["seq"], before["n"] + 1)
                at[m["symbol"]] = m


def test_a_record_lost_between_broker_and_gateway_is_found_and_mended(system):
    """The gateway is stopped until its pipe at the broker is full, and then let go on."""
    broker = system.broker(publish_queue=1000)
    gateway = system.gateway(broker, client_queue=512 * 1024 * 1024)
    feed = system.feed(broker)
    every = system.client(gateway, "?symbols=X&mode=all")
    newest = system.client(gateway, "?symbols=X,Y")
    every.receive("ack"), newest.receive("ack")
    feed.quote("X", last="0", n=0)
    every.receive("quote")
    count = 120000

    gateway.signal(19)  # SIGSTOP
    for n in range(1, count + 1):
        feed.quote("X", n=n, last="1")
        if n % 5000 == 0:
            feed.wait_processed(n - 4000)
    feed.quote("Y", last="7")
    feed.wait_processed()
    gateway.signal(18)  # SIGCONT

    newest.wait_until(lambda all: any(m.get("symbol") == "Y" for m in all))
    newest.wait_until(lambda all: any(m.get("n") == count for m in all))
    every.wait_until(lambda all: any(m.get("n") == count for m in all))
    last = 0
    told_lost = False
    for m in every.messages:
        if m["type"] == "lost":
            told_lost = True
        if m["type"] in ("quote", "snapshot") and m["n"]:
            assert m["n"] == last + 1 or told_lost, f"{m} after {last} without a word"
            last = m["n"]
            told_lost = False
    assert last == count
    # A gateway that was paused for longer than its connection lasts requests all missed records.
    assert gateway.status()["gateway"]["upstream_gaps"] > 0 or gateway.logged("Catching up"), \
        "nothing was lost: nothing was tested"
