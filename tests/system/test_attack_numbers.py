"""Peers that report impossible numbers harm only themselves."""

import random
import struct
import time

import msgpack
import pregon
import pytest
import zmq

ABSURD = (0, 2**53 + 1, 2**63, 2**64 - 1, -1, -2**63, 1.5, "7", None, True, [], {})
SEED = random.randrange(2**32)


def check_quotes_flow(feed, control, last):
    feed.quote("X", last=last)
    feed.wait_processed()
    (entry,) = control.request("snapshot", pattern="X")["quotes"]
    assert msgpack.unpackb(entry[3])[6]["last"] == last


def hello(control, name, **members):
    return control.request("hello", role="feeder", name=name, **{
        "owner": name, "oldest": 1, "newest": 1, "acked": 0, "host": "h", "pid": 1, **members})


@pytest.mark.parametrize("last", ABSURD)
def test_lines_that_were_never_sent_cannot_be_lost(system, last):
    broker = system.broker()
    control, feed = system.control(broker), system.feed(broker)
    check_quotes_flow(feed, control, "1")
    answer = control.request("lost", epoch=feed.epoch, first=2, last=last, reason="ring_overflow")
    assert answer["error"] == "invalid"
    check_quotes_flow(feed, control, "2")


@pytest.mark.parametrize("acked", (2**53 + 1, 2**63, 2**64 - 1))
def test_a_feeder_that_was_acknowledged_the_impossible_is_refused(system, acked):
    broker = system.broker()
    control = system.control(broker)
    assert hello(control, "liar", acked=acked)["error"] == "invalid"
    assert not control.request("status")["feeds"]
    check_quotes_flow(system.feed(broker, "liar"), control, "1")


def test_invented_feeds_keep_no_real_one_out_and_are_forgotten_at_a_restart(system):
    broker = system.broker(store=f"sqlite:{system.path('log.db')}")
    control = system.control(broker)
    for n in range(80):
        liar = system.control(broker)
        granted = [n for n in range(20) if "error" not in hello(liar, f"invented-{id(liar)}-{n}")]
        assert len(granted) == 16
        liar.close()
    feed = system.feed(broker, "real")
    check_quotes_flow(feed, control, "1")
    assert len(control.request("status")["feeds"]) <= 1024
    feed.close()
    broker.kill()
    broker.start()
    control = system.control(broker)
    assert [f["name"] for f in control.request("status")["feeds"]] == ["real"]
    check_quotes_flow(system.feed(broker, "real"), control, "2")


def publish_invented(system, broker, control, round_number, publisher):
    """Sixteen invented feeds that leave after one line, which the broker has taken."""
    liar = system.control(broker)
    epochs = {}
    for n in range(16):
        answer = hello(liar, f"invented-{round_number}-{n}")
        assert "error" not in answer, answer
        epochs[f"invented-{round_number}-{n}"] = answer["epoch"]

    def say_lines():
        for epoch in epochs.values():
            head = struct.pack(">BBBQBQBQBQBQ", 0x97, 1, 0xCF, epoch, 0xCF, 1, 0xCF, 0,
                               0xCF, int(time.time() * 1e6), 0xCF, 0)
            publisher.send_multipart(
                [b"LIE ", head + msgpack.packb({"last": "1", "timestamp": 1.0})]
            )
        return sum(f["received"] for f in control.request("status")["feeds"] if f["name"] in epochs)

    pregon.eventually(say_lines, lambda count: count == 16, "their lines are taken")
    for epoch in epochs.values():
        liar.request("goodbye", epoch=epoch)
    liar.close()


def test_invented_feeds_that_published_keep_no_real_one_out_not_even_after_a_restart(system):
    broker = system.broker(store=f"sqlite:{system.path('log.db')}")
    control, live, away = (
        system.control(broker),
        system.feed(broker, "live"),
        system.feed(broker, "away"),
    )
    check_quotes_flow(live, control, "1")
    for n in range(5):
        away.quote(f"AWAY{n}", last="1")
    away.wait_processed()
    away.goodbye()
    publisher = system.context.socket(zmq.PUB)
    try:
        publisher.linger = 0
        publisher.connect(broker.ready["ingest"])
        for number in range(66):  # 1,056 names
            publish_invented(system, broker, control, number, publisher)
    finally:
        publisher.close()
    feeds = control.request("status")["feeds"]
    assert len(feeds) == 1024 and {"live", "away"} <= {f["name"] for f in feeds}
    check_quotes_flow(live, control, "2")
    real = system.feed(broker, "real")
    check_quotes_flow(real, control, "3")
    for feed in (live, real):
        feed.close()
    broker.kill()
    broker.start()
    control = system.control(broker)
    feeds = {f["name"]: f["received"] for f in control.request("status")["feeds"]}
    assert (feeds["live"], feeds["away"], feeds["real"]) == (2, 5, 1)
    check_quotes_flow(system.feed(broker, "new"), control, "4")


def test_invented_gateways_keep_no_real_one_out(system):
    broker = system.broker()
    liars = [system.control(broker) for _ in range(300)]
    for n, liar in enumerate(liars):
        answer = liar.request("hello", role="gateway", name=f"invented-{n}", host="h", http="x",
                              pid=n, limit=2**64 - 1, oldest=1, newest=1)
        assert "error" not in answer
    gateway, feed = system.gateway(broker), system.feed(broker)
    client = system.client(gateway, "?symbols=X")
    feed.quote("X", last="1")
    client.receive(("quote", "snapshot"), symbol="X", last="1")
    pid = gateway.pid
    pregon.eventually(lambda: system.control(broker).request("connections")["gateways"],
                      lambda rows: any(r["pid"] == pid for r in rows), "it is listed")


def test_a_gateway_cannot_report_more_connections_than_its_limit_allows(system):
    broker = system.broker()
    liar = system.control(broker)
    liar.request("hello", role="gateway", name="liar", host="h", http="x", pid=1, limit=10,
                 oldest=1, newest=1)
    for begin in range(0, 10000, 1000):
        liar.send(msgpack.packb({"op": "report", "opened": [
            [n, "192.0.2.1", 1, 1, "json"] for n in range(begin, begin + 1000)], "closed": []}))
    liar.request("ping")
    assert system.control(broker).request("connections")["total"] <= 2 * 10 + 1024


def test_a_feeder_stops_when_the_broker_has_received_more_than_it_sent(system):
    context = system.context
    control, ingest = context.socket(zmq.ROUTER), context.socket(zmq.SUB)
    try:
        for socket in (control, ingest):
            socket.linger = 0
            socket.bind("tcp://127.0.0.1:0")
        feeder = system.process("feeder", {
            "source": "-", "broker_ingest": ingest.getsockopt(zmq.LAST_ENDPOINT).decode(),
            "broker_control": control.getsockopt(zmq.LAST_ENDPOINT).decode()},
            wait=False, stdin=-1)
        peer, message = control.recv_multipart()
        question = msgpack.unpackb(message)
        control.send_multipart([peer, msgpack.packb({
            "re": "hello", "id": question["id"], "version": 1, "epoch": 7, "received": 5,
            "lease_ms": 900})])
        feeder.wait_for_log("says that it received line 5 of feed .*, which has sent 0")
        feeder.wait_for_exit(1)
    finally:
        control.close()
        ingest.close()


def test_random_numbers_in_every_field_leave_the_broker_and_a_feed_as_they_were(system):
    broker = system.broker()
    control, other, feed = system.control(broker), system.control(broker), system.feed(broker)
    check_quotes_flow(feed, other, "1")
    rng = random.Random(SEED)
    print("seed", SEED)
    ops = ("hello", "lost", "report", "snapshot", "replay", "history", "connections", "lock",
           "renew", "release", "value_put", "locks", "goodbye", "ping", "status")
    keys = ("id", "epoch", "first", "last", "acked", "window", "pid", "limit", "count", "from",
            "after", "until", "before", "since", "offset", "token", "ttl_ms", "delay_ms",
            "wait_ms", "known_epoch", "known_seq", "known_record", "known_accepted", "oldest",
            "newest")

    def number():
        return rng.choice((*ABSURD, 1, rng.randrange(2**64), 2**32, 2**31))

    for n in range(1500):
        members = {k: number() for k in rng.sample(keys, 6)}
        control.send(msgpack.packb({
            "op": rng.choice(ops), "id": 1, "role": rng.choice(("feeder", "gateway", "consumer")),
            "name": "liar", "owner": "liar", "symbol": "X", "pattern": "*", "reason": "x",
            "opened": [[number(), "h", number(), number(), "json"]], "closed": [number()],
            **members}))
        feed.raw(b"X ", msgpack.packb([rng.choice((1, 2, 3, 4, 5, 6)), number(), number(),
                                       number(), number(), number(), {"last": "9"}]))
        if n % 300 == 0:
            other.request("ping")
            check_quotes_flow(feed, other, str(n + 2))
    check_quotes_flow(feed, other, "5000")
    (row,) = [f for f in other.request("status")["feeds"] if f["name"] == "feed"]
    assert (row["live"], row["lost"]) == (True, 0)
