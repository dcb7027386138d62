"""Peers that report numbers nobody can have: they harm themselves at most, and no later than
that."""

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
    feed.settled()
    (entry,) = control.ask("snapshot", pattern="X")["quotes"]
    assert msgpack.unpackb(entry[3])[6]["last"] == last


def hello(control, name, **members):
    return control.ask("hello", role="feeder", name=name, **{
        "owner": name, "oldest": 1, "newest": 1, "acked": 0, "host": "h", "pid": 1, **members})


@pytest.mark.parametrize("last", ABSURD)
def test_lines_that_nobody_sent_cannot_be_lost(stage, last):
    broker = stage.broker()
    control, feed = stage.control(broker), stage.feed(broker)
    check_quotes_flow(feed, control, "1")
    answer = control.ask("lost", epoch=feed.epoch, first=2, last=last, reason="ring_overflow")
    assert answer["error"] == "invalid"
    check_quotes_flow(feed, control, "2")


@pytest.mark.parametrize("acked", (2**53 + 1, 2**63, 2**64 - 1))
def test_a_feeder_that_was_acknowledged_the_impossible_is_refused(stage, acked):
    broker = stage.broker()
    control = stage.control(broker)
    assert hello(control, "liar", acked=acked)["error"] == "invalid"
    assert not control.ask("status")["feeds"]
    check_quotes_flow(stage.feed(broker, "liar"), control, "1")


def test_invented_feeds_keep_no_real_one_out_and_are_forgotten_at_a_restart(stage):
    broker = stage.broker(store=f"sqlite:{stage.path('log.db')}")
    control = stage.control(broker)
    for n in range(80):
        liar = stage.control(broker)
        granted = [n for n in range(20) if "error" not in hello(liar, f"invented-{id(liar)}-{n}")]
        assert len(granted) == 16
        liar.close()
    feed = stage.feed(broker, "real")
    check_quotes_flow(feed, control, "1")
    assert len(control.ask("status")["feeds"]) <= 1024
    feed.close()
    broker.kill()
    broker.start()
    control = stage.control(broker)
    assert [f["name"] for f in control.ask("status")["feeds"]] == ["real"]
    check_quotes_flow(stage.feed(broker, "real"), control, "2")


def publish_invented(stage, broker, control, round_number, publisher):
    """Sixteen invented feeds that leave after one line, which the broker has taken."""
    liar = stage.control(broker)
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
        return sum(f["received"] for f in control.ask("status")["feeds"] if f["name"] in epochs)

    pregon.eventually(say_lines, lambda count: count == 16, "their lines are taken")
    for epoch in epochs.values():
        liar.ask("goodbye", epoch=epoch)
    liar.close()


def test_invented_feeds_that_published_keep_no_real_one_out_not_even_after_a_restart(stage):
    broker = stage.broker(store=f"sqlite:{stage.path('log.db')}")
    control, live, away = (
        stage.control(broker),
        stage.feed(broker, "live"),
        stage.feed(broker, "away"),
    )
    check_quotes_flow(live, control, "1")
    for n in range(5):
        away.quote(f"AWAY{n}", last="1")
    away.settled()
    away.goodbye()
    publisher = stage.context.socket(zmq.PUB)
    try:
        publisher.linger = 0
        publisher.connect(broker.ready["ingest"])
        for number in range(66):  # 1,056 names
            publish_invented(stage, broker, control, number, publisher)
    finally:
        publisher.close()
    feeds = control.ask("status")["feeds"]
    assert len(feeds) == 1024 and {"live", "away"} <= {f["name"] for f in feeds}
    check_quotes_flow(live, control, "2")
    real = stage.feed(broker, "real")
    check_quotes_flow(real, control, "3")
    for feed in (live, real):
        feed.close()
    broker.kill()
    broker.start()
    control = stage.control(broker)
    feeds = {f["name"]: f["received"] for f in control.ask("status")["feeds"]}
    assert (feeds["live"], feeds["away"], feeds["real"]) == (2, 5, 1)
    check_quotes_flow(stage.feed(broker, "new"), control, "4")


def test_invented_gateways_keep_no_real_one_out(stage):
    broker = stage.broker()
    liars = [stage.control(broker) for _ in range(300)]
    for n, liar in enumerate(liars):
        answer = liar.ask("hello", role="gateway", name=f"invented-{n}", host="h", http="x",
                          pid=n, limit=2**64 - 1, oldest=1, newest=1)
        assert "error" not in answer
    gateway, feed = stage.gateway(broker), stage.feed(broker)
    client = stage.client(gateway, "?symbols=X")
    feed.quote("X", last="1")
    client.hears(("quote", "snapshot"), symbol="X", last="1")
    pid = gateway.pid
    pregon.eventually(lambda: stage.control(broker).ask("connections")["gateways"],
                      lambda rows: any(r["pid"] == pid for r in rows), "it is listed")


def test_a_gateway_cannot_report_more_connections_than_its_limit_allows(stage):
    broker = stage.broker()
    liar = stage.control(broker)
    liar.ask("hello", role="gateway", name="liar", host="h", http="x", pid=1, limit=10,
             oldest=1, newest=1)
    for begin in range(0, 10000, 1000):
        liar.send(msgpack.packb({"op": "report", "opened": [
            [n, "192.0.2.1", 1, 1, "json"] for n in range(begin, begin + 1000)], "closed": []}))
    liar.ask("ping")
    assert stage.control(broker).ask("connections")["total"] <= 2 * 10 + 1024


def test_a_feeder_stops_when_the_broker_has_received_more_than_it_sent(stage):
    context = stage.context
    control, ingest = context.socket(zmq.ROUTER), context.socket(zmq.SUB)
    try:
        for socket in (control, ingest):
            socket.linger = 0
            socket.bind("tcp://127.0.0.1:0")
        feeder = stage.process("feeder", {
            "source": "-", "broker_ingest": ingest.getsockopt(zmq.LAST_ENDPOINT).decode(),
            "broker_control": control.getsockopt(zmq.LAST_ENDPOINT).decode()},
            wait=False, stdin=-1)
        peer, message = control.recv_multipart()
        question = msgpack.unpackb(message)
        control.send_multipart([peer, msgpack.packb({
            "re": "hello", "id": question["id"], "version": 1, "epoch": 7, "received": 5,
            "lease_ms": 900})])
        feeder.says("says that it received line 5 of feed .*, which has sent 0")
        feeder.ends(1)
    finally:
        control.close()
        ingest.close()


def test_random_numbers_in_every_field_leave_the_broker_and_a_feed_as_they_were(stage):
    broker = stage.broker()
    control, other, feed = stage.control(broker), stage.control(broker), stage.feed(broker)
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
            other.ask("ping")
            check_quotes_flow(feed, other, str(n + 2))
    check_quotes_flow(feed, other, "5000")
    (row,) = [f for f in other.ask("status")["feeds"] if f["name"] == "feed"]
    assert (row["live"], row["lost"]) == (True, 0)
