"""Clients that do not listen, or are no longer there."""

import json

import pytest

import pregon

MIB = 1024 * 1024
ROOM = MIB * (64 if pregon.IS_SANITIZED else 12)  # what a test may cost the gateway


def active(gateway):
    return gateway.status()["active_connections"]


def test_a_client_that_stops_reading_delays_nobody_and_costs_bounded_memory(stage):
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    symbols = [f"S{i}" for i in range(200)]
    rounds = 150
    quick = stage.client(gateway, "?symbols=S*")
    quick.hears("ack")
    slow = [stage.raw_client(gateway, "?symbols=S*", receive_buffer=4096) for _ in range(5)]
    for client in slow:
        client.hears("ack")
    before = gateway.rss()

    for n in range(rounds):
        for symbol in symbols:
            feed.quote(symbol, n=n, last="1", note="x" * 400)
        if n % 10 == 0:
            quick.hears(("quote", "snapshot"), n=n)
            assert gateway.rss() - before < ROOM
    feed.quote("SEND", last="1", n=rounds)

    quick.hears(("quote", "snapshot"), symbol="SEND")
    grown = gateway.rss() - before
    assert grown < ROOM, f"grew by {grown}, {rounds * len(symbols) * 500} bytes were called out"
    assert active(gateway) == 6

    for client in slow:
        newest, count = {}, 0
        while newest.get("SEND") != rounds or len(newest) <= len(symbols):
            m = client.hears(where=lambda m: "symbol" in m)
            assert m["n"] >= newest.get(m["symbol"], 0)
            newest[m["symbol"]] = m["n"]
            count += 1
        while any(newest[s] != rounds - 1 for s in symbols):
            m = client.hears(where=lambda m: "symbol" in m)
            newest[m["symbol"]] = m["n"]
            count += 1
        assert count < rounds * len(symbols) / 2


@pytest.mark.parametrize("mode", ["merge", "all"])
def test_a_reconnecting_client_that_does_not_read_costs_marks_and_no_copies(stage, mode):
    broker, gateway = stage.play(client_queue=65536)
    feed = stage.feed(broker)
    names = [f"SYMBOL-{i:04}" for i in range(3000)]
    observer = stage.client(gateway, "?symbols=*")
    ack = observer.hears("ack")
    for name in names:
        feed.quote(name, last="1")
    feed.settled()
    observer.is_told(lambda all: {m.get("symbol") for m in all} >= {*names})
    head = max(m.get("seq", 0) for m in observer.messages)
    query = f"?symbols=SYMBOL*&mode={mode}&since={ack['epoch']}:{head}"
    before = gateway.rss()

    back = [stage.raw_client(gateway, query, receive_buffer=4096) for _ in range(90)]
    observer.asks("ping")
    for client in back:
        assert client.hears("ack")["recovered"] is True
    grown = gateway.rss() - before
    assert grown < ROOM, f"grew by {grown}"

    told = [back[0].hears("state")["symbol"] for _ in names]
    assert sorted(told) == names
    feed.quote(names[0], last="2")
    assert back[0].hears("quote")["symbol"] == names[0]


def test_a_client_that_reads_again_gets_only_the_newest_values(stage):
    broker, gateway = stage.play(heartbeat=1)
    feed = stage.feed(broker)
    slow = stage.raw_client(gateway, "?symbols=X,Y", receive_buffer=4096)
    slow.hears("ack")
    for n in range(4000):
        feed.quote("X", n=n, last="1", note="x" * 1000)
    feed.quote("Y", last="1")
    feed.settled()

    seen = [slow.hears("quote")]
    while seen[-1].get("n") != 3999:
        seen.append(slow.hears(where=lambda m: m.get("symbol") == "X"))
    assert len(seen) < 2000
    assert [m["seq"] for m in seen] == sorted(m["seq"] for m in seen)
    merged = slow.hears("heartbeat")["merged"]
    assert merged >= 4000 - len(seen)


def test_a_client_that_answers_no_ping_is_dropped_and_one_that_does_stays(stage):
    broker, gateway = stage.play(websocket_timeout=2)
    feed = stage.feed(broker)
    present = stage.client(gateway, "?symbols=X")
    dead = stage.raw_client(gateway, "?symbols=X")
    present.hears("welcome"), dead.hears("welcome")
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
    present.hears(("quote", "snapshot"), last="1")
    assert present.asks("ping")["type"] == "ack"
    gateway.says("connection closed: silent for WEBSOCKET_TIMEOUT, code 4001")


def test_a_client_that_died_without_a_word_is_gone_after_the_timeout(stage):
    broker, gateway = stage.play(websocket_timeout=2)
    feed = stage.feed(broker)
    dead = stage.raw_client(gateway, "?symbols=X", receive_buffer=4096)
    dead.hears("ack")
    for n in range(3000):  # as to a host that is no longer there, nothing can be sent
        feed.quote("X", n=n, last="1", note="x" * 1000)
    feed.settled()
    pregon.eventually(lambda: active(gateway), lambda n: n == 0, "the place being free")
    gateway.says("connection closed: silent for WEBSOCKET_TIMEOUT")


def test_any_word_of_a_client_counts_as_a_sign_of_life(stage):
    broker, gateway = stage.play(websocket_timeout=2)
    other = stage.raw_client(gateway, "?symbols=X")
    client = stage.raw_client(gateway, "?symbols=X")
    heard_close = False
    while not heard_close:  # as long as it takes the other one to be dropped
        client.says(op="ping")
        client.hears("ack", op="ping")
        heard_close = other.frame()[0] == pregon.CLOSE
    client.says(op="ping", id=1)
    assert client.hears("ack", id=1)


def test_pings_to_clients_can_be_made_more_frequent(stage):
    broker, gateway = stage.play(websocket_timeout=600, ws_ping_interval=0.2)
    client = stage.raw_client(gateway, "?symbols=X")
    pings = 0
    while pings < 3:
        opcode, payload = client.frame()
        if opcode == pregon.PING:
            pings += 1
            client.send_frame(pregon.PONG, payload)
