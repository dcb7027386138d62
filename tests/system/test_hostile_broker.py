"""Garbage on the broker's sockets is refused, and all other peers are served."""

import random
import socket

import msgpack
import zmq

import pregon
from fake_broker import MARK
from hostile import CALM, ROOM, SEED, hostile_msgpack


def calm_broker(broker, control):
    """Like check_calm, but by the broker's own answers: one heartbeat of its log per second."""
    subscriber = control.socket.context.socket(zmq.SUB)
    try:
        subscriber.linger = 0
        subscriber.subscribe(b"!heartbeat ")
        subscriber.connect(broker.ready["publish"])
        assert subscriber.poll(pregon.PATIENCE * 1000)
        subscriber.recv_multipart()
        before = broker.ticks()
        assert subscriber.poll(pregon.PATIENCE * 1000)
        subscriber.recv_multipart()
        assert broker.ticks() - before <= CALM
    finally:
        subscriber.close()


def check_quotes_flow(feed, control, last):
    feed.quote("X", last=last)
    feed.wait_processed()
    (entry,) = control.request("snapshot", pattern="X")["quotes"]
    assert msgpack.unpackb(entry[3])[6]["last"] == last


def test_garbage_on_ingest_is_dropped_and_the_feed_goes_on(system):
    broker = system.broker()
    control = system.control(broker)
    feed = system.feed(broker)
    check_quotes_flow(feed, control, "1")
    rng = random.Random(SEED)
    print("seed", SEED)
    before = broker.rss()

    for n in range(200):
        for value in hostile_msgpack(rng):
            feed.raw(value)
            feed.raw(b"X ", value)
            feed.raw(value, value)
        feed.raw(b"X ", b"y", b"z")
        feed.raw(b"X ", *[b"y"] * 50)
        feed.raw(b"", b"")
        feed.raw(b"X" * 100000 + b" ", b"y")
        if n % 20 == 0:
            check_quotes_flow(feed, control, str(n + 2))
    check_quotes_flow(feed, control, "1000")

    assert broker.rss() - before < ROOM
    (row,) = control.request("status")["feeds"]
    assert (row["name"], row["live"], row["received"]) == ("feed", True, feed.received)
    assert len(broker.log()) < 100, "garbage fills the log"
    calm_broker(broker, control)


def test_lines_with_invalid_bodies_are_refused_one_by_one(system):
    broker = system.broker()
    control = system.control(broker)
    feed = system.feed(broker)
    bodies = list(hostile_msgpack(random.Random(SEED)))
    print("seed", SEED)
    for body in bodies:
        feed.line(b"X ", body)
    for topic in (b"", b"X", b" ", b"x ", b"X\0 ", b"A" * 33 + b" ", b"!heartbeat ", b"~mark/x ",
                  b"!lost ", b"\xff\xfe "):
        feed.line(topic, {"last": "1"})
    check_quotes_flow(feed, control, "7")
    status = control.request("status")
    assert status["symbols"] == 1
    assert status["feeds"][0]["refused"] == len(feed.lines) - 1
    assert status["feeds"][0]["accepted"] == 1


def test_garbage_on_control_is_answered_or_dropped_and_delays_no_other_peer(system):
    broker = system.broker()
    control, other = system.control(broker), system.control(broker)
    feed = system.feed(broker)
    rng = random.Random(SEED)
    print("seed", SEED)
    before = broker.rss()
    ops = ("hello", "report", "snapshot", "replay", "lost", "goodbye", "connections", "status", "x")
    odd = (None, -1, 2**64 - 1, 2.5, "", "x" * 100000, b"\xff", [], [[]], {}, {"a": 1}, True)

    for _ in range(50):
        for value in hostile_msgpack(rng):
            control.send(value)
        control.socket.send_multipart([b""] * 3)
        control.socket.send_multipart([b"x"] * 100)
    for op in ops:
        for key in ("id", "role", "name", "owner", "epoch", "first", "last", "pattern", "after",
                    "from", "limit", "offset", "opened", "closed", "count", "window", "acked",
                    "oldest", "newest", "peer", "reason"):
            for value in odd:
                question = {"op": op, "id": 0, "oldest": 1, "newest": 1, "role": "gateway",
                            "name": "g", "count": 0, key: value}
                if not (op == "hello" and key == "role"):
                    control.send(msgpack.packb(question))
        assert other.request("ping")["re"] == "ping"
    check_quotes_flow(feed, other, "1")
    assert broker.rss() - before < ROOM
    calm_broker(broker, other)


def test_a_peer_that_sends_requests_and_never_reads_costs_bounded_memory(system):
    broker = system.broker()
    control, feed = system.control(broker), system.feed(broker)
    for i in range(500):
        feed.quote(f"S{i}", last="1", note="x" * 500)
    feed.wait_processed()
    before = broker.rss()
    deaf = system.context.socket(zmq.DEALER)
    deaf.linger = 0
    deaf.rcvhwm = 1
    deaf.sndhwm = 0
    deaf.connect(broker.ready["control"])
    try:
        question = msgpack.packb({"op": "snapshot", "id": 1, "pattern": "*"})  # 300 KB each
        for n in range(3000):
            deaf.send(question)
            if n % 100 == 0:
                control.request("ping")
                assert broker.rss() - before < 4 * ROOM, f"after {n} questions"
        control.request("ping")
        check_quotes_flow(feed, control, "1")
        assert broker.rss() - before < 4 * ROOM
    finally:
        deaf.close()


def test_unusual_subscriptions_do_no_harm(system):
    broker = system.broker()
    control = system.control(broker)
    feed = system.feed(broker)
    before = broker.rss()
    rng = random.Random(SEED)
    print("seed", SEED)
    # Written by hand: bytes that are not a subscription, and topics of any bytes.
    subscriber = system.context.socket(zmq.XSUB)
    subscriber.linger = 0
    subscriber.sndhwm = 0
    subscriber.connect(broker.ready["publish"])
    try:
        for topic in (b"", b"\0", b"\xff" * 100, b"~mark/", b"~mark/ ", b"~mark/" + b"x" * 70,
                      b"~mark/\0\n\xff ", b"!heartbeat", b"x" * 110, b"!lock/" + b"n" * 64 + b" ",
                      *(rng.randbytes(rng.randrange(1, 110)) for _ in range(2000))):
            for kind in (b"\1", b"\0", b"\2", b"\xff", b""):
                subscriber.send(kind + topic)
        subscriber.send_multipart([b"\1x", b"\1y", b"z"] * 20)
        subscriber.send(b"\1~mark/test ")
        subscriber.send(b"\1X ")

        welcomes = []

        def next_record(topic):
            while subscriber.poll(pregon.PATIENCE * 1000):
                frames = subscriber.recv_multipart()
                if frames[0] == topic:
                    return msgpack.unpackb(frames[1])
                welcomes.extend(f for f in frames if f == b"!welcome ")
                assert len(welcomes) < 2, "its connection was closed"
            raise pregon.Lost(topic)

        assert next_record(b"~mark/test ")[0] == MARK
        feed.quote("X", last="5")
        assert next_record(b"X ")[6]["last"] == "5"
        assert broker.rss() - before < ROOM
    finally:
        subscriber.close()
    calm_broker(broker, control)


def test_the_broker_closes_connections_that_do_not_speak_zeromq(system):
    broker = system.broker()
    control, feed = system.control(broker), system.feed(broker)
    rng = random.Random(SEED)
    print("seed", SEED)
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\0" + bytes(31)
    for door in ("ingest", "publish", "control"):
        host, port = broker.ready[door].removeprefix("tcp://").split(":")

        def call(host=host, port=int(port)):
            return system.add(socket.create_connection((host, port), pregon.PATIENCE))

        for data in (b"GET / HTTP/1.1\r\n\r\n", bytes(1000), b"\xff" * 1000,
                     greeting + b"\xff" * 1000,
                     greeting + b"\x04\x26\x05READY" + b"\x0bSocket-Type\xff\xff\xff\xff",
                     *(rng.randbytes(500) for _ in range(20)),
                     *(greeting + rng.randbytes(500) for _ in range(20))):
            try:
                call().sendall(data)
            except ConnectionError:
                pass
        for _ in range(50):
            call()  # and sends nothing
    check_quotes_flow(feed, control, "3")
    calm_broker(broker, control)
