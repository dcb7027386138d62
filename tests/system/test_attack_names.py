"""A client names symbols that do not exist, thousands of patterns at a time: other clients notice
nothing."""

import json
import random
import threading
import time

import pregon
from pregon import PING, PONG, TEXT, frame_bytes

SYMBOLS = 5000  # that a feed supplies
NAMES = 900  # names in one message; none of them exists
PREFIXES = 990
TOPICS, TOPICS_MS = 16, 4  # new ones of a client, beyond MAX_SYMBOLS: gateway/stream.h
ROUNDS = 40
MIB = 1024 * 1024
ROOM = MIB * (256 if pregon.IS_SANITIZED else 4)  # memory that the allocator may keep
SEED = random.SystemRandom().randrange(10**6)


class NameAttack:
    """Subscribes to names that do not exist and unsubscribes again, `rounds` times; then subscribes
    to `PREFIXES` prefixes in one request. It reads all messages, and ends by itself."""

    def __init__(self, client, seed, rounds=ROUNDS):
        self.client = client
        self.dice = random.Random(seed)
        self.rounds = rounds
        self.acks = 0
        self.thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self.thread.start()
        return self

    def stop(self):
        """Wait for its end."""
        self.thread.join(pregon.PATIENCE)
        assert not self.thread.is_alive(), "the attack did not end"

    def _ask(self, *requests):
        text = b"".join(frame_bytes(TEXT, json.dumps(r)) for r in requests)
        self.client.send_bytes(text)
        for _ in requests:
            self.client.receive("ack")
            self.acks += 1
        self.client.messages.clear()

    def _run(self):
        for _ in range(self.rounds):
            names = [f"NONE{self.dice.randrange(10**9)}" for _ in range(NAMES)]
            self._ask(
                {"op": "subscribe", "symbols": names}, {"op": "unsubscribe", "symbols": names}
            )
        prefixes = [
            f"S{self.dice.randrange(10**6):06}"[: self.dice.randint(2, 7)] + "*"
            for _ in range(PREFIXES)
        ]
        self._ask({"op": "subscribe", "symbols": prefixes})


class Publisher:
    """Publishes quotes of its own symbols, one after the other, until it is stopped."""

    def __init__(self, feed):
        self.feed = feed
        self.count = 0
        self.is_over = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.is_over.wait(0.001):
            self.feed.quote(f"GOOD{self.count % 7}", last=str(self.count))
            self.count += 1

    def stop(self):
        self.is_over.set()
        self.thread.join()


def supply(system, gateway_settings=None):
    """A broker and a gateway that follow SYMBOLS symbols."""
    broker, gateway = system.start(max_symbols=1000, **(gateway_settings or {}))
    feed = system.feed(broker)
    for i in range(SYMBOLS):
        feed.quote(f"S{i:06}", last=str(i))
    feed.wait_processed()
    observer = system.client(gateway, "?symbols=*", keep=False)
    observer.wait_until(
        lambda messages: sum(m["type"] == "snapshot" for m in messages) >= SYMBOLS, "all snapshots"
    )
    return gateway, feed, observer


def symbols_known(gateway):
    return gateway.status()["gateway"]["symbols"]


def p99(messages):
    delays = sorted(m["heard_at"] - m["timestamp"] for m in messages)
    return 1000 * delays[len(delays) * 99 // 100]


class Heard(list):
    """Messages with the time when they came."""

    def append(self, message):
        message["heard_at"] = time.time()
        super().append(message)


def test_names_that_do_not_exist_neither_stay_nor_stop_the_others(system):
    print(f"SEED={SEED}")
    gateway, feed, _ = supply(system)
    good = system.client(gateway, "?symbols=GOOD*&mode=all", keep=False)
    good.receive("ack")
    good.messages = Heard(good.messages)
    attacker = system.raw_client(gateway, "?symbols=NONE")
    attacker.receive("ack")
    before = gateway.rss()

    publisher = Publisher(feed)
    good.wait_until(
        lambda messages: sum(m["type"] == "quote" for m in messages) >= 200, "a quiet window"
    )
    quiet = publisher.count
    begin = time.monotonic()
    attack = NameAttack(attacker, SEED).start()
    attack.stop()
    elapsed_ms = 1000 * (time.monotonic() - begin)
    busy = publisher.count
    publisher.stop()
    attacker.close()

    good.wait_until(
        lambda messages: sum(m["type"] == "quote" for m in messages) >= publisher.count,
        "every quote",
    )
    quotes = good.received("quote")
    assert [int(q["last"]) for q in quotes] == list(range(publisher.count))
    assert attack.acks == 2 * ROUNDS + 1
    assert (
        ROUNDS * NAMES <= 1000 + TOPICS + elapsed_ms * TOPICS / TOPICS_MS
    )  # new ones of one client
    print(f"p99 quiet {p99(quotes[:quiet]):.2f} ms, attacked {p99(quotes[quiet:busy]):.2f} ms")
    pregon.eventually(
        lambda: symbols_known(gateway), lambda n: n == SYMBOLS + 7, "only what the feed supplies"
    )
    pregon.eventually(gateway.rss, lambda n: n < before + ROOM, f"memory as before, {before}")
    assert gateway.is_running


def test_a_thousand_new_names_are_served_at_once(system):
    _, gateway = system.start(max_symbols=1000)
    client = system.raw_client(gateway, "?symbols=GOOD")
    client.receive("ack")
    names = [f"NEW{i}" for i in range(999)]
    client.send_message(op="subscribe", id=1, symbols=names)
    ack = client.receive("ack", id=1)
    assert (ack["symbols"], ack["rejected"], ack.get("upstream")) == (names, [], None)


def test_the_answer_to_a_large_request_comes_in_slices(system):
    gateway, feed, _ = supply(system)
    client = system.raw_client(gateway, "?symbols=GOOD*")
    client.receive("ack")
    publisher = Publisher(feed)
    prefixes = [f"S{i:03}*" for i in range(PREFIXES)]

    def is_mixed():
        """Quotes of earlier symbols arrive between the snapshots of the new ones."""
        client.messages.clear()
        client.send_message(op="subscribe", id=1, symbols=prefixes)
        client.receive("ack", id=1)
        at = len(client.messages)
        snapshots = set()
        while len(snapshots) < SYMBOLS:
            message = client.receive()
            if message["type"] == "snapshot":
                assert message["symbol"] not in snapshots
                snapshots.add(message["symbol"])
        kinds = [m["type"] for m in client.messages[at:]]
        client.send_message(op="unsubscribe", id=2, symbols=prefixes)
        client.receive("ack", id=2)
        return "quote" in kinds[kinds.index("snapshot"):]

    pregon.eventually(is_mixed, what="a quote between the snapshots")
    publisher.stop()


def test_in_mode_all_every_snapshot_of_a_large_request_comes_before_the_first_record(system):
    """More symbols than CLIENT_QUEUE holds change while their snapshots are sent."""
    gateway, feed, _ = supply(system, {"client_queue": 65536})
    client = system.raw_client(gateway, "?symbols=GOOD*&mode=all")
    client.receive("ack")
    changes = [f"S{i:06}" for i in range(0, SYMBOLS, 17)]
    client.send_message(op="subscribe", id=1, symbols=["S*"])
    for name in changes:
        feed.quote(name, last="99999")
    client.receive("ack", id=1)
    known, records, newest, left = {}, [], 0, set(changes)
    while len(known) < SYMBOLS or left:
        message = client.receive(("snapshot", "quote"))
        if message["type"] == "snapshot":
            assert not records and message["symbol"] not in known and message["seq"] > newest
            newest = message["seq"]
        else:
            assert message["symbol"] in known
            records.append(message["seq"])
        known[message["symbol"]] = message["last"]
        if message["last"] == "99999":
            left.discard(message["symbol"])
    assert records == sorted(set(records))


def test_a_flood_of_small_frames_is_answered_in_order_beside_the_others(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    good = system.client(gateway, "?symbols=GOOD*&mode=all", keep=False)
    good.receive("ack")
    flood = system.raw_client(gateway, "?symbols=NONE")
    flood.receive("ack")
    publisher = Publisher(feed)
    count = 4000

    def send():
        for first in range(0, count, 500):
            flood.send_bytes(b"".join(
                frame_bytes(PING, str(i)) + frame_bytes(TEXT, json.dumps({"op": "ping", "id": i}))
                for i in range(first, first + 500)
            ))

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    pongs, acks = [], []
    while len(pongs) < count or len(acks) < count:
        opcode, payload = flood.frame()
        if opcode == PONG:
            pongs.append(int(payload))
        elif opcode == TEXT and (message := json.loads(payload))["type"] == "ack":
            acks.append(message["id"])
    sender.join()
    assert pongs == acks == list(range(count))
    publisher.stop()
    good.wait_until(
        lambda messages: sum(m["type"] == "quote" for m in messages) >= publisher.count,
        "every quote",
    )
    assert [int(q["last"]) for q in good.received("quote")] == list(range(publisher.count))
