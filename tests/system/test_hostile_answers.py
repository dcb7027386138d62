"""A broker that sends nonsense, or never answers, does not harm its gateway."""

import concurrent.futures
import itertools
import random

import msgpack
import pytest

from fake_broker import HEARTBEAT, LOST, MARK, QUOTE, STATE, FakeBroker
from hostile import ROOM, SEED, check_calm, check_served, hostile_msgpack


def hostile_records(fake, rng):
    """Messages of the right log with an unexpected form."""
    record = fake.record
    for value in hostile_msgpack(rng):
        yield (value,)
        yield (value, value)
        yield b"X ", value
        yield b"!heartbeat ", value
    for kind, topic in itertools.product(
        (0, QUOTE, STATE, LOST, HEARTBEAT, MARK, 6, 255),
        (b"", b"X", b" ", b"x ", b"A" * 33 + b" ", b"~mark/ ", b"!lost ", b"!nobody ", b"\xff "),
    ):
        for body in (None, 1, "x", [], {}, {"state": 7}, {"changed": 7},
                     {"changed": [[1, "X"]]}, {"changed": [["X"]]}, {"changed": [["x y", 1]]},
                     {"bid": 1, "ask": None}, {"bid": {"a": {"b": {"c": [1]}}}}, {1: 2},
                     {"timestamp": -1}, {"timestamp": "x"}, {"symbol": "Y"}):
            yield topic, record(kind, fake.head, 0, body)
    yield b"X ", record(QUOTE, fake.head, 0, {"bid": "1"}), b"more"
    yield tuple([b"X "] * 60)


def test_a_broker_that_talks_nonsense_does_not_take_the_gateway_along(system):
    fake = FakeBroker(system)
    gateway = system.gateway(fake, heartbeat=1)
    observer = system.client(gateway, "?symbols=*")
    observer.receive("ack")
    fake.quote("X", last="1")
    observer.receive("quote", last="1")
    before = gateway.rss()
    rng = random.Random(SEED)
    print("seed", SEED)

    for _ in range(5):
        for frames in hostile_records(fake, rng):
            fake.publish(*frames)
    for value in hostile_msgpack(rng):
        fake.send_to_gateways(value)
        fake.send_to_gateways(value, value)
    for message in ({"op": "who"}, {"op": "x"}, {"op": 1}, {"re": "hello"}, {"id": 1},
                    *({"re": "snapshot", "id": n, "quotes": 5} for n in range(50))):
        fake.send_to_gateways(msgpack.packb(message))
    fake.quote("X", last="2")

    observer.receive(("quote", "snapshot"), symbol="X", last="2")
    check_served(gateway, observer)
    assert gateway.rss() - before < ROOM
    check_calm(gateway, observer)
    assert len(gateway.log("err")) < 300, "nonsense fills the log"


ODD_ANSWERS = {
    "nothing at all": lambda q: None,
    "no msgpack": lambda q: b"\xc1",
    "no map": lambda q: msgpack.packb([1, 2, 3]),
    "an error": lambda q: {"error": "invalid", "message": "no"},
    "only an id": lambda q: {},
    "lists that are none": lambda q: {
        k: 7 for k in ("quotes", "records", "feeds", "gateways", "connections", "locks", "epoch")},
    "lists of something else": lambda q: {
        k: [1, "x", None, [], {}]
        for k in ("quotes", "records", "feeds", "gateways", "connections", "locks")},
    "rows of the right length": lambda q: {
        "quotes": [[1, 2, 3, 4]], "records": [[1, 2]], "connections": [[1, 2, 3, 4, 5]],
        "gateways": [{"name": 1, "http": 2}], "feeds": [{"name": 1, "silent_ms": "x"}],
        "locks": [b"\xff"], "total": "many", "next": "x"},
    "text that is not text": lambda q: {
        "version": b"\xff\xfe", "gateways": [{"name": b"\xff\x00\"", "http": b"\n"}],
        "connections": [[b"\xff", b"\xff", 1, 1, b"\xff"]], "feeds": [{"name": b"\xff\""}],
        "quotes": [["x y\"", 1, "\"live", b"\xc1"]]},
    "numbers at the edge": lambda q: {
        "epoch": 2**64 - 1, "seq": 2**64 - 1, "total": 2**64 - 1, "next": 2**64 - 1,
        "first": 2**64 - 1, "head": 2**64 - 1, "upto": 0, "started": 2**64 - 1, "records": [],
        "quotes": [], "feeds": [{"name": "f", "silent_ms": 2**64 - 1}]},
}

PAGES = ("health", "websocket_status", "telegram_locks_status", "quotes", "quotes/X", "ready",
         "live", "websocket_check")


def pages(gateway):
    """Requests all routes at once, because some wait for an answer that never arrives."""
    with concurrent.futures.ThreadPoolExecutor(len(PAGES)) as pool:
        return dict(zip(PAGES, pool.map(lambda p: gateway.get("/cotizaciones/" + p), PAGES)))


@pytest.mark.parametrize("kind", [k for k in ODD_ANSWERS if k != "nothing at all"])
def test_odd_answers_of_a_broker_make_no_page_hang_or_lie_about_its_form(system, kind):
    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    observer = system.client(gateway, "?symbols=X")
    observer.receive("ack")
    fake.answers.update(
        {op: ODD_ANSWERS[kind] for op in ("status", "connections", "locks", "snapshot", "replay")})
    try:
        for page, answer in pages(gateway).items():
            assert answer.status in (200, 404, 503), page
            answer.json()
        joining = system.client(gateway, "?symbols=Y*")
        assert joining.receive("welcome")
    finally:
        fake.answers.clear()
    fake.quote("Y1", last="1")
    joining.receive(("snapshot", "quote"), symbol="Y1")
    check_served(gateway, observer)


def test_a_broker_that_never_answers_costs_no_page_more_than_its_wait(system):
    fake = FakeBroker(system)
    gateway = system.gateway(fake, heartbeat=1)
    observer = system.client(gateway, "?symbols=X")
    observer.receive("ack")
    for op in ("status", "connections", "locks", "snapshot"):
        fake.answers[op] = ODD_ANSWERS["nothing at all"]
    told = pages(gateway)
    health, locks = told["health"], told["telegram_locks_status"]
    assert (health.status, health.json()["broker"]["status"]) == (503, "away")
    assert (locks.status, locks.json()["status"]) == (503, "unknown")
    assert told["websocket_status"].json()["complete"] is False
    assert told["quotes"].json()["complete"] is False
    assert told["quotes/X"].code == "broker_away"
    assert told["ready"].status == 200
    fake.quote("X", last="1")
    observer.receive("quote", last="1")
    check_served(gateway, observer)
