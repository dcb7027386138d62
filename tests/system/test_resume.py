"""A client that reconnects with a position gets the records that it missed, from any gateway."""

import json
import random

import pytest

import pregon
from fake_broker import FakeBroker


def fed(feed, symbol, first, last, **more):
    for n in range(first, last + 1):
        feed.quote(symbol, last=str(n), n=n, **more)
    feed.wait_processed()


def since(epoch, seq):
    return {"epoch": epoch, "seq": seq}


def numbers(client, symbol="X", kind="quote"):
    return [m["n"] for m in client.messages if m["type"] == kind and m["symbol"] == symbol]


def left(client):
    """Close the client; returns its position by the rule of its mode."""
    position = max(
        m["seq"] for m in client.messages if m["type"] in ("quote", "state", "heartbeat")
    )
    epoch = client.received("ack")[0]["epoch"]
    client.close()
    return epoch, position


def first_visit(system, gateway, feed, query, count=100):
    client = system.client(gateway, query)
    client.receive("ack")
    fed(feed, "X", 1, count)
    client.receive("quote", n=count)
    return left(client)


@pytest.mark.parametrize("where", ["same", "other", "fresh"])
@pytest.mark.parametrize("how", ["url", "request"])
def test_in_mode_all_a_client_gets_exactly_the_missed_records_in_order(system, where, how):
    broker, gateway = system.start()
    feed = system.feed(broker)
    other = system.gateway(broker) if where == "other" else None
    if other:
        system.client(other, "?symbols=X").receive("ack")
    epoch, seq = first_visit(system, gateway, feed, "?symbols=X&mode=all")
    for n in range(101, 301):
        feed.quote("OTHER", last="1")
        feed.quote("X", last=str(n), n=n)
    feed.wait_processed()
    gateway = other or (system.gateway(broker) if where == "fresh" else gateway)

    if how == "url":
        client = system.client(gateway, f"?symbols=X&mode=all&since={epoch}:{seq}")
        ack = client.receive("ack")
    else:
        client = system.client(gateway, "?symbols=NOTHING")
        ack = client.request("subscribe", symbols=["X"], mode="all", since=since(epoch, seq))
    assert (ack["recovered"], ack["seq"]) == (True, seq)
    client.receive("quote", n=300)
    fed(feed, "X", 301, 310)
    client.receive("quote", n=310)
    assert numbers(client) == list(range(101, 311))
    assert not numbers(client, kind="snapshot")


@pytest.mark.parametrize("fresh", [False, True])
def test_in_mode_merge_each_changed_symbol_comes_with_its_newest_value(system, fresh):
    broker, gateway = system.start(heartbeat=1)
    feed = system.feed(broker)
    client = system.client(gateway, "?symbols=X,Y,Z")
    client.receive("ack")
    for symbol in "XYZ":
        fed(feed, symbol, 1, 1)
    head = feed.received
    client.receive("heartbeat", where=lambda m: m["seq"] >= head)
    epoch, seq = left(client)
    fed(feed, "X", 2, 50)
    fed(feed, "Y", 2, 2)
    if fresh:
        gateway = system.gateway(broker)

    client = system.client(gateway, f"?symbols=X,Y,Z&since={epoch}:{seq}")
    assert client.receive("ack")["recovered"] is True
    client.receive("snapshot", symbol="X", n=50)
    client.receive("snapshot", symbol="Y", n=2)
    fed(feed, "Z", 2, 2)
    client.receive("quote", symbol="Z", n=2)
    assert not any(m["type"] == "snapshot" and m["symbol"] == "Z" for m in client.messages)


@pytest.mark.parametrize("mode", ["all", "merge"])
def test_a_position_of_another_log_is_not_recovered(system, mode):
    broker, gateway = system.start()
    feed = system.feed(broker)
    fed(feed, "X", 1, 3)
    client = system.client(gateway, f"?symbols=X&mode={mode}&since=00000000000000ff:2")
    assert client.receive("ack")["recovered"] is False
    client.receive("snapshot", symbol="X", n=3)


@pytest.mark.parametrize("mode", ["all", "merge"])
def test_a_position_beyond_the_head_is_not_recovered(system, mode):
    broker, gateway = system.start()
    feed = system.feed(broker)
    fed(feed, "X", 1, 3)
    epoch = system.client(gateway, "?symbols=X").receive("ack")["epoch"]
    client = system.client(gateway, f"?symbols=X&mode={mode}&since={epoch}:1000000")
    assert client.receive("ack")["recovered"] is False
    client.receive("snapshot", symbol="X", n=3)
    fed(feed, "X", 4, 4)
    client.receive("quote", n=4)


def test_a_client_that_was_ahead_at_another_gateway_gets_no_record_twice(system):
    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    stays = system.client(gateway, "?symbols=X&mode=all")
    stays.receive("ack")
    fake.quote("X", last="1", n=1)
    stays.receive("quote", n=1)
    with fake.changed:
        fake.is_mute = True
        late = fake.quote("X", last="2", n=2, is_lost=True)
    client = system.client(gateway, f"?symbols=X&mode=all&since={fake.epoch:016x}:{late}")
    assert client.receive("ack")["recovered"] is True
    fake.publish(*fake.journal[late - 1])
    stays.receive("quote", n=2)
    fake.quote("X", last="3", n=3)
    client.receive("quote", n=3)
    assert numbers(client) == [3]


def test_in_mode_all_nothing_is_delivered_before_the_snapshots_of_what_a_gateway_did_not_know(
    system,
):
    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    stays = system.client(gateway, "?symbols=A")
    stays.receive("ack")
    for symbol in "DA":
        fake.quote(symbol, last="1", n=1)
    stays.receive(symbol="A", n=1)
    fake.is_mute, fake.answers["hello"] = True, lambda question: None
    stays.receive("state", symbol="A", state="stale")
    client = system.client(gateway, "?symbols=*&mode=all")
    newest = system.client(gateway, "?symbols=*")
    assert newest.receive("ack")["upstream"] == "away"
    assert newest.receive("snapshot", symbol="A")["state"] == "stale"

    fake.quote("A", last="2", n=2, is_lost=True)
    fake.is_mute, fake.answers = False, {}
    assert "upstream" not in client.receive("ack")
    client.receive("snapshot", symbol="A")
    fake.quote("A", last="3", n=3)
    client.receive("quote", symbol="A", n=3)
    told = [(m["type"], m["symbol"], m["n"]) for m in client.messages if "n" in m]
    assert told == [("snapshot", "D", 1), ("snapshot", "A", 2), ("quote", "A", 3)]
    newest.receive(symbol="D", n=1)


def test_while_the_broker_is_away_a_client_in_merge_that_is_ahead_keeps_what_it_has(system):
    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    stays = system.client(gateway, "?symbols=X,Y")
    stays.receive("ack")
    fake.quote("X", last="1", n=1)
    stays.receive(symbol="X", n=1)
    fake.is_mute, fake.answers["hello"] = True, lambda question: None
    stays.receive("state", symbol="X", state="stale")
    late = fake.quote("X", last="2", n=2, is_lost=True)  # received from another gateway

    client = system.client(gateway, f"?symbols=X,Y&since={fake.epoch:016x}:{late}")
    ack = client.receive("ack")
    assert (ack["recovered"], ack["upstream"]) == (True, "away")
    assert client.next()["state"] == "stale"
    fake.is_mute, fake.answers = False, {}
    fake.quote("Y", last="3", n=3, is_lost=True)
    client.receive("snapshot", symbol="Y", n=3)
    assert all(m.get("n", 2) >= 2 for m in client.messages), "an older value than it had"


def test_a_client_that_received_broker_away_receives_that_it_is_back(system):
    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    clients = {
        mode: system.client(gateway, f"?symbols=*,X&mode={mode}") for mode in ("all", "merge")
    }
    for symbol in "XYZ":
        fake.quote(symbol, last="1", n=1)
    head = fake.head
    back = {}
    for mode, client in clients.items():
        for symbol in "XYZ":
            client.receive(symbol=symbol, n=1)
    fake.is_mute, fake.answers["hello"] = True, lambda question: None
    for mode, client in clients.items():
        for symbol in "XYZ":
            client.receive("state", symbol=symbol, state="stale")
        client.close()
    fake.is_mute, fake.answers = False, {}
    system.client(gateway, "?symbols=*").receive("snapshot", symbol="X", state="live")
    fake.quote("Y", last="2", n=2)

    for mode in clients:
        pregon.eventually(lambda: gateway.page("quotes/Y")["seq"], lambda seq: seq == fake.head)
        client = system.client(gateway, f"?symbols=*,X&mode={mode}&since={fake.epoch:016x}:{head}")
        ack = client.receive("ack")
        assert ack["recovered"] is True and "upstream" not in ack
        client.wait_until(lambda all: {m["symbol"] for m in all if m["type"] == "state"
                                       and m["state"] == "live" and m["seq"] <= head} == {*"XZ"})
        client.receive("quote" if mode == "all" else "snapshot", symbol="Y")
        fake.quote("X", last="3", n=3)
        client.receive("quote", symbol="X", n=3)
        told = [(m["type"], m["symbol"]) for m in client.messages if "symbol" in m]
        assert len(told) == 4, told  # each once
        head = fake.head
        fake.quote("Y", last="4", n=4)


def test_a_position_that_is_no_longer_kept_is_not_recovered(system):
    broker = system.broker(journal_bytes=1048576)
    gateway = system.gateway(broker)
    feed = system.feed(broker)
    epoch, seq = first_visit(system, gateway, feed, "?symbols=X&mode=all", count=3)
    fed(feed, "X", 4, 3000, note="x" * 1000)
    gateway = system.gateway(broker)
    client = system.client(gateway, f"?symbols=X&mode=all&since={epoch}:{seq}")
    assert client.receive("ack")["recovered"] is False
    client.receive("snapshot", symbol="X", n=3000)
    fed(feed, "X", 3001, 3001)
    client.receive("quote", n=3001)


def test_positions_that_are_none_are_reported(system):
    broker, gateway = system.start()
    client = system.client(gateway, "?symbols=X&since=12")
    assert "EPOCH:SEQ" in client.receive("error")["message"]
    client.receive("ack")
    for wrong in ("x", {}, {"epoch": "1", "seq": 2}, {"epoch": "0" * 16, "seq": "2"},
                  {"epoch": "0" * 16, "seq": -1}, {"epoch": "0" * 15 + "g", "seq": 1}):
        client.send_message(op="subscribe", id=1, symbols=["X"], since=wrong)
        error = client.receive("error")
        assert error["code"] == "bad_request" and "since" in error["message"]


def test_missed_records_may_exceed_the_clients_queue(system):
    broker, gateway = system.start(client_queue=65536, resume_window=65536)
    feed = system.feed(broker)
    epoch, seq = first_visit(system, gateway, feed, "?symbols=X&mode=all", count=3)
    fed(feed, "X", 4, 4000, note="x" * 500)
    client = system.client(gateway, f"?symbols=X&mode=all&since={epoch}:{seq}")
    client.receive("quote", n=4000)
    fed(feed, "X", 4001, 4010)
    client.receive("quote", n=4010)
    assert numbers(client) == list(range(4, 4011))


def test_many_clients_that_reconnect_at_once_share_the_requests_to_the_broker(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    epoch, seq = first_visit(system, gateway, feed, "?symbols=X*&mode=all", count=3)
    fed(feed, "X", 4, 500)
    fresh = system.gateway(broker, websocket_max_connections=200)
    query = f"?symbols=X*&mode=all&since={epoch}:{seq}"
    clients = [system.client(fresh, query) for _ in range(100)]
    fed(feed, "X", 501, 600)
    for client in clients:
        client.receive("quote", n=600)
        assert numbers(client) == list(range(4, 601))


def test_a_client_that_reconnects_often_gets_every_record_once_and_in_order(system):
    """A client that reconnects after every few messages gets all of them once and in order."""
    seed = random.randrange(10**6)
    rng = random.Random(seed)
    print("seed", seed)
    broker, one = system.start(resume_window=65536)
    gateways = [one, system.gateway(broker)]
    feeder = system.feeder(broker, "sim:5?rate=3000", feed="sim")
    client = system.client(one, "?mode=all")
    client.wait_until(lambda m: len(m) > 500)
    epoch = client.received("ack")[0]["epoch"]
    last, seq = {}, 0
    for visit in range(25):
        more = rng.randint(1, 800)
        client.wait_until(lambda all: sum(m["type"] == "quote" for m in all) > more)
        client.close()
        for m in client.messages:
            if m["type"] == "quote":
                before = last.get(m["symbol"])
                assert m["seq"] > seq, f"visit {visit}: {m} after {seq}"
                assert before is None or m["prev"] == before, f"visit {visit}: {m} after {before}"
                last[m["symbol"]] = seq = m["seq"]
        client = system.client(rng.choice(gateways), f"?mode=all&since={epoch}:{seq}")
        assert client.receive("ack")["recovered"]
    feeder.stop()


def test_a_client_that_was_too_slow_resumes_at_its_position(system):
    broker, gateway = system.start(client_queue=65536)
    feed = system.feed(broker)
    slow = system.raw_client(gateway, "?symbols=X&mode=all", receive_buffer=4096)
    slow.receive("ack")
    fed(feed, "X", 1, 3000, note="x" * 1000)
    assert slow.wait_closed() == 4008
    got = [m["n"] for m in slow.messages if m["type"] == "quote"]
    reason = json.loads(slow.reason)
    client = system.client(
        gateway, f"?symbols=X&mode=all&since={reason['epoch']}:{reason['seq']}")
    client.receive("quote", n=3000)
    assert got + numbers(client) == list(range(1, 3001))


def test_a_gateway_that_loses_its_connection_to_the_broker_reports_no_hole(system):
    """Killed brokers in memory begin a new log; a cut connection does not."""
    broker = system.broker()
    proxy = system.proxy(broker.settings["broker_publish"])
    gateway = system.gateway(broker, broker_publish=proxy.address)
    feed = system.feed(broker)
    client = system.client(gateway, "?symbols=X&mode=all")
    newest = system.client(gateway, "?symbols=X")
    client.receive("ack")
    for cut in range(5):
        fed(feed, "X", cut * 200 + 1, cut * 200 + 100)
        proxy.cut()
        fed(feed, "X", cut * 200 + 101, cut * 200 + 200)
    client.receive("quote", n=1000)
    newest.wait_until(lambda all: any(m.get("n") == 1000 for m in all))
    assert numbers(client) == list(range(1, 1001))
    assert not client.received("lost")
