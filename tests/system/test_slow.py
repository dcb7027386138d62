"""Clients that do not read, or that have vanished."""

import json

import pytest

import pregon

MIB = 1024 * 1024
ROOM = MIB * (64 if pregon.IS_SANITIZED else 12)  # memory that a test may cost the gateway


def active(gateway):
    return gateway.status()["active_connections"]


def test_a_client_that_stops_reading_delays_no_other_client_and_costs_bounded_memory(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    symbols = [f"S{i}" for i in range(200)]
    rounds = 150
    quick = system.client(gateway, "?symbols=S*")
    quick.receive("ack")
    slow = [system.raw_client(gateway, "?symbols=S*", receive_buffer=4096) for _ in range(5)]
    for client in slow:
        client.receive("ack")
    before = gateway.rss()

    for n in range(rounds):
        for symbol in symbols:
            feed.quote(symbol, n=n, last="1", note="x" * 400)
        if n % 10 == 0:
            quick.receive(("quote", "snapshot"), n=n)
            assert gateway.rss() - before < ROOM
    feed.quote("SEND", last="1", n=rounds)

    quick.receive(("quote", "snapshot"), symbol="SEND")
    grown = gateway.rss() - before
    assert grown < ROOM, f"grew by {grown}, {rounds * len(symbols) * 500} bytes were called out"
    assert active(gateway) == 6

    for client in slow:
        newest, count = {}, 0
        while newest.get("SEND") != rounds or len(newest) <= len(symbols):
            m = client.receive(where=lambda m: "symbol" in m)
            assert m["n"] >= newest.get(m["symbol"], 0)
            newest[m["symbol"]] = m["n"]
            count += 1
        while any(newest[s] != rounds - 1 for s in symbols):
            m = client.receive(where=lambda m: "symbol" in m)
            newest[m["symbol"]] = m["n"]
            count += 1
        assert count < rounds * len(symbols) / 2


@pytest.mark.parametrize("mode", ["merge", "all"])
def test_a_reconnecting_client_that_does_not_read_costs_marks_and_no_copies(system, mode):
    broker, gateway = system.start(client_queue=65536)
    feed = system.feed(broker)
    names = [f"SYMBOL-{i:04}" for i in range(3000)]
    observer = system.client(gateway, "?symbols=*")
    ack = observer.receive("ack")
    for name in names:
        feed.quote(name, last="1")
    feed.wait_processed()
    observer.wait_until(lambda all: {m.get("symbol") for m in all} >= {*names})
    head = max(m.get("seq", 0) for m in observer.messages)
    query = f"?symbols=SYMBOL*&mode={mode}&since={ack['epoch']}:{head}"
    before = gateway.rss()

    back = [system.raw_client(gateway, query, receive_buffer=4096) for _ in range(90)]
    observer.request("ping")
    for client in back:
        assert client.receive("ack")["recovered"] is True
    grown = gateway.rss() - before
    assert grown < ROOM, f"grew by {grown}"

    told = [back[0].receive("state")["symbol"] for _ in names]
    assert sorted(told) == names
    feed.quote(names[0], last="2")
    assert back[0].receive("quote")["symbol"] == names[0]


def test_a_client_that_reads_again_gets_only_the_newest_values(system):
    broker, gateway = system.start(heartbeat=1)
    feed = system.feed(broker)
    slow = system.raw_client(gateway, "?symbols=X,Y", receive_buffer=4096)
    slow.receive("ack")
    for n in range(4000):
        feed.quote("X", n=n, last="1", note="x" * 1000)
    feed.quote("Y", last="1")
    feed.wait_processed()

    seen = [slow.receive("quote")]
    while seen[-1].get("n") != 3999:
        seen.append(slow.receive(where=lambda m: m.get("symbol") == "X"))
    assert len(seen) < 2000
    assert [m["seq"] for m in seen] == sorted(m["seq"] for m in seen)
    merged = slow.receive("heartbeat")["merged"]
    assert merged >= 4000 - len(seen)


def test_a_client_that_answers_no_ping_is_dropped_and_one_that_does_stays(system):
    broker, gateway = system.start(websocket_timeout=2)
    feed = system.feed(broker)
    present = system.client(gateway, "?symbols=X")
    dead = system.raw_client(gateway, "?symbols=X")
    present.receive("welcome"), dead.receive("welcome")
    assert active(gateway) == 2

    opcodes = []
    while not opcodes or opcodes[-1] != pregon.CLOSE:
        opcode, payload = dead.frame()
        opcodes.append(opcode)
    assert pregon.PING in opcodes
    assert int.from_bytes(payload[:2], "big") == 4001
    assert json.loads(payload[2:]) == {"code": "idle", "setting": "WEBSOCKET_TIMEOUT"}

    pregon.eventually(lambda: active(gateway), lambda n: n == 1, "the place being free")
    feed.quote("X", last="1")
    present.receive(("quote", "snapshot"), last="1")
    assert present.request("ping")["type"] == "ack"
    gateway.wait_for_log("connection closed: silent for WEBSOCKET_TIMEOUT, code 4001")


def test_a_client_whose_host_vanished_is_dropped_after_the_timeout(system):
    broker, gateway = system.start(websocket_timeout=2)
    feed = system.feed(broker)
    dead = system.raw_client(gateway, "?symbols=X", receive_buffer=4096)
    dead.receive("ack")
    for n in range(3000):  # no data reaches the client, as with a host that has vanished
        feed.quote("X", n=n, last="1", note="x" * 1000)
    feed.wait_processed()
    pregon.eventually(lambda: active(gateway), lambda n: n == 0, "the place being free")
    gateway.wait_for_log("connection closed: silent for WEBSOCKET_TIMEOUT")


def test_any_message_of_a_client_counts_as_a_sign_of_life(system):
    broker, gateway = system.start(websocket_timeout=2)
    other = system.raw_client(gateway, "?symbols=X")
    client = system.raw_client(gateway, "?symbols=X")
    heard_close = False
    while not heard_close:  # until the other client is dropped
        client.send_message(op="ping")
        client.receive("ack", op="ping")
        heard_close = other.frame()[0] == pregon.CLOSE
    client.send_message(op="ping", id=1)
    assert client.receive("ack", id=1)


def test_pings_to_clients_can_be_made_more_frequent(system):
    broker, gateway = system.start(websocket_timeout=600, ws_ping_interval=0.2)
    client = system.raw_client(gateway, "?symbols=X")
    pings = 0
    while pings < 3:
        opcode, payload = client.frame()
        if opcode == pregon.PING:
            pings += 1
            client.send_frame(pregon.PONG, payload)
