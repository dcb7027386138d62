"""pregon.js under Node, against the real programs."""

import time

import msgpack
import pytest

import pregon
from fake_broker import FakeBroker
from node import Follower, follow, SOCKETS
from sieve import Sieve

MODES = pytest.mark.parametrize("mode", ["all", "merge"])

ENCODINGS = pytest.mark.parametrize("encoding", ["json", "msgpack"])


def call(feed, first, last, symbol="X"):
    for n in range(first, last + 1):
        feed.quote(symbol, last=f"{n}.10", n=n)
    feed.wait_processed()


def numbers(client, kind="quote", symbol="X"):
    return [m["n"] for m in client.all(kind, symbol=symbol)]


@MODES
@ENCODINGS
def test_the_last_values_come_first_then_what_follows(system, mode, encoding):
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("X", bid="1034.50", ask="1034.60", n=1)
    feed.wait_processed()
    client = follow(system, gateway, symbols=["X"], mode=mode, encoding=encoding)
    assert client.receive("snapshot", symbol="X", state="live")["bid"] == "1034.50"
    feed.quote("X", bid="0.000000000000000000010", n=2)
    feed.quote("OTHER", last="1")
    assert client.receive("quote", n=2)["bid"] == "0.000000000000000000010"
    feed.goodbye()
    client.receive("state", symbol="X", state="stale")
    assert not client.all("quote", symbol="OTHER")


def test_both_encodings_have_the_same_values(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    now = int(time.time()) - 1  # of a fraction JSON has microseconds
    feed.quote("OLD", last="7", timestamp=now + 0.5)
    feed.wait_processed()
    clients = [
        follow(system, gateway, mode="all", encoding=e).connected() for e in ("json", "msgpack")
    ]
    odd = {
        "text": "ñandú € 🎺 " + "long " * 200,
        "list": [1, -1, -129, 2**40, 1.5, None, True, {"a": ""}],
        "many": list(range(100)),
        "__proto__": "a member like any other",
        "empty": {},
    }
    feed.quote("X", last="1", timestamp=now, **odd)
    feed.quote("X", last="2", timestamp=now)
    feed.wait_processed()
    feed.goodbye()
    heard = []
    for client in clients:
        client.receive("state", symbol="X", state="stale")
        heard.append([told for told in client.told if told[0] in ("snapshot", "quote", "state")])
    assert heard[0] == heard[1]
    assert [(kind, m["symbol"]) for kind, m in heard[0][:3]] == [
        ("snapshot", "OLD"),
        ("quote", "X"),
        ("quote", "X"),
    ]
    assert {name: heard[1][1][1][name] for name in odd} == odd


@ENCODINGS
def test_the_javascript_client_sends_requests_and_gets_answers(system, encoding):
    broker, gateway = system.start()
    client = follow(system, gateway, symbols=["X", "Y"], encoding=encoding).connected()
    assert client.call("ask", "ping")["timestamp"] > 1.6e9
    assert client.call("ask", "list")["symbols"] == ["X", "Y"]
    client.begin("ask", "sing")
    assert client.receive("refusal")["code"] == "unknown_op"
    client.begin("subscribe", "X")
    assert "array" in client.receive("refusal")["message"]


@MODES
def test_subscriptions_can_be_added_and_removed(system, mode):
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("B1", last="1", n=1)
    feed.wait_processed()
    client = follow(system, gateway, symbols=["A"], mode=mode).connected()
    ack = client.call("subscribe", ["B*", "no symbol"])
    assert (ack["symbols"], ack["rejected"]) == (["B*"], ["no symbol"])
    client.receive("snapshot", symbol="B1", n=1)
    assert client.call("unsubscribe", ["A"])["symbols"] == ["A"]
    feed.quote("A", last="2")
    feed.quote("B1", last="2", n=2)
    client.receive("quote", symbol="B1", n=2)
    gateway.kill()
    feed.quote("A", last="3")
    feed.quote("B1", last="3", n=3)
    feed.wait_processed()
    gateway.start()
    client.receive("quote" if mode == "all" else "snapshot", symbol="B1", n=3)
    assert client.call("ask", "list")["symbols"] == ["B*"]
    assert not client.all("quote", symbol="A") and not client.all("snapshot", symbol="A")


def test_symbols_added_without_a_connection_are_subscribed_by_the_next_one(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    call(feed, 1, 1, "B")
    client = follow(system, gateway, symbols=["A"], mode="all").connected()
    call(feed, 1, 1, "A")
    client.receive("quote", symbol="A")
    gateway.kill()
    client.receive("status", phase="waiting")
    assert client.call("subscribe", ["B"]) is None
    call(feed, 2, 2, "A")
    gateway.start()
    client.receive("quote", symbol="A", n=2)
    client.receive("snapshot", symbol="B", n=1)
    call(feed, 2, 2, "B")
    client.receive("quote", symbol="B", n=2)


def test_the_javascript_client_reads_history(system):
    broker, gateway = system.start()
    call(system.feed(broker), 1, 3, "USD/X")
    client = follow(system, gateway, symbols=[])
    client.connected()
    assert [r["n"] for r in client.call("history", "USD/X", {"limit": "2"})["records"]] == [3, 2]
    client.begin("history", "NEVER")
    assert client.receive("refusal")["code"] == "unknown_symbol"


@SOCKETS
@ENCODINGS
def test_in_mode_all_a_client_resumes_at_a_killed_gateway_without_a_hole_or_a_repeat(
    system, encoding, socket
):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = follow(system, gateway, mode="all", encoding=encoding, socket=socket).connected()
    call(feed, 1, 50)
    client.receive("quote", n=50)
    for last in (100, 150):
        gateway.kill()
        call(feed, last - 49, last)
        gateway.start()
        assert client.receive("status", phase="resuming")["since"]["seq"] >= last - 50
        client.receive("quote", n=last)
    assert numbers(client) == list(range(1, 151))
    assert not client.all("lost") and not client.all("reset")


def test_in_mode_merge_a_client_resumes_with_the_newest_values(system):
    broker, gateway = system.start(heartbeat=1)
    feed = system.feed(broker)
    client = follow(system, gateway, symbols=["X", "Y"]).connected()
    call(feed, 1, 1, "Y")
    call(feed, 1, 50)
    client.receive("quote", n=50)
    pregon.eventually(client.position, lambda p: p and p["seq"] >= 51, "its position")
    gateway.kill()
    call(feed, 51, 99)
    gateway.start()
    client.receive("status", phase="resuming")
    client.connected()
    client.receive("snapshot", symbol="X", n=99)
    assert not client.all("snapshot", symbol="Y"), "it has not changed"


@MODES
def test_a_broker_that_restarts_on_its_store_costs_nothing(system, mode):
    broker = system.broker(store="sqlite:log.db")
    gateway = system.gateway(broker)
    feed = system.feed(broker)
    client = follow(system, gateway, mode=mode).connected()
    call(feed, 1, 20)
    client.receive("quote", n=20)
    broker.kill()
    client.receive("state", symbol="X", state="stale")
    broker.start()
    call(feed, 21, 40)
    client.receive(("quote", "snapshot"), n=40)
    if mode == "all":
        assert numbers(client) == list(range(1, 41))
    assert not client.all("reset")
    assert len(client.all("status", phase="connected")) == 1, "its gateway was there all the time"


@MODES
def test_another_log_is_reported_and_everything_begins_anew(system, mode):
    broker, gateway = system.start()
    feed = system.feed(broker)
    call(feed, 1, 50)
    client = follow(system, gateway, mode=mode).connected()
    call(feed, 51, 55)
    client.receive("quote", n=55)
    broker.kill()
    broker.start()
    reset = client.receive("reset", reason="log_replaced")
    call(feed, 56, 59)
    client.receive(("quote", "snapshot"), n=59)
    call(feed, 1, 1, "NEW")
    client.receive("quote", symbol="NEW")
    position = pregon.eventually(client.position, bool, "a position")
    assert position["epoch"] == reset["epoch"]


def test_a_position_that_is_not_kept_is_reported_and_everything_begins_anew(system):
    broker, gateway = system.start()
    call(system.feed(broker), 1, 3)
    client = follow(system, gateway, mode="all", since={"epoch": "00000000000000ff", "seq": 2})
    client.receive("status", phase="resuming", since={"epoch": "00000000000000ff", "seq": 2})
    client.receive("reset", reason="log_replaced")
    client.receive("snapshot", symbol="X", n=3)
    client.begin("close")
    epoch = client.all("reset")[0]["epoch"]
    later = follow(system, gateway, mode="all", since={"epoch": epoch, "seq": 1000})
    later.receive("reset", reason="not_kept")


def test_a_program_goes_on_where_the_one_before_it_ended(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    first = follow(system, gateway, mode="all").connected()
    call(feed, 1, 10)
    first.receive("quote", n=10)
    position = first.position()
    first.begin("close")
    first.receive("status", phase="closed")
    call(feed, 11, 20)
    second = follow(system, gateway, mode="all", since=position)
    second.receive("quote", n=20)
    assert numbers(second) == list(range(11, 21))


def test_a_gateway_that_stops_states_when_to_reconnect(system):
    broker, gateway = system.start(handshake_rate=1)
    feed = system.feed(broker)
    beside = system.client(gateway)
    client = follow(system, gateway, mode="all").connected()
    gateway.stop()
    slots = {0.5, 1.5}  # one client a second
    slots.remove(beside.receive("going_away")["reconnect_after"])
    waits = client.receive("status", phase="waiting")
    assert (waits["text"], waits["retryIn"]) == ("the gateway restarts", *slots)
    gateway.start()
    client.connected()
    call(feed, 1, 1)
    client.receive("quote", n=1)


def behind_a_sieve(system):
    """A client in mode all that has had five quotes."""
    broker, gateway = system.start()
    feed = system.feed(broker)
    sieve = system.add(Sieve(gateway))
    client = Follower(system, sieve.url, mode="all").connected()
    call(feed, 1, 5)
    client.receive("quote", n=5)
    return feed, sieve, client


def test_a_record_that_is_missing_on_the_way_is_fetched(system):
    feed, sieve, client = behind_a_sieve(system)
    sieve.swallow(b'"n":7', times=1)
    call(feed, 6, 7)
    call(feed, 1, 3, "Y")
    client.receive("quote", symbol="Y", n=3)
    call(feed, 8, 9)
    assert "is missing" in client.receive("status", phase="waiting")["text"]
    client.receive("quote", symbol="X", n=9)
    assert numbers(client) == list(range(1, 10))
    assert numbers(client, symbol="Y") == [1, 2, 3]
    assert not client.all("lost")


def test_a_record_that_is_missing_again_and_again_is_reported_as_lost(system):
    feed, sieve, client = behind_a_sieve(system)
    sieve.swallow(b'"n":7', times=2)
    call(feed, 6, 9)
    lost = client.receive("lost", reason="gap", symbol="X")
    assert (lost["first"], lost["last"], lost["count"]) == (7, 7, 1)
    client.receive("quote", n=9)
    assert numbers(client) == [1, 2, 3, 4, 5, 6, 8, 9]


def test_lost_lines_of_a_feed_are_reported(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = follow(system, gateway, mode="all").connected()
    call(feed, 1, 1)
    client.receive("quote", n=1)
    with feed.changed:
        take = feed._take
        feed._take = lambda m: (
            feed.control.send(
                msgpack.packb(
                    {
                        "op": "lost",
                        "id": 7,
                        "epoch": feed.epoch,
                        "first": m["from"],
                        "last": 3,
                        "reason": "ring_overflow",
                    }
                )
            )
            if m.get("op") == "resend" and m["from"] < 4
            else take(m)
        )
        feed.lines += [(b"X ", {"last": "1"})] * 2  # numbered, and never sent
        feed.quote("X", last="4.10", n=4)
    lost = client.receive("lost", feed="feed", reason="ring_overflow")
    assert (lost["first"], lost["last"], lost["count"]) == (2, 3, 2)
    client.receive("quote", n=4)


def with_holes(fake, reason="not_stored"):
    """A record that was lost on the way is missing in the client's log too."""
    whole = FakeBroker.answer_replay

    def answer(question):
        told = whole(fake, question)
        told["records"] = [r for r in told["records"] if msgpack.unpackb(r[1])[2] not in fake.holes]
        told["gaps"] = [[n, n, reason] for n in fake.holes if n > question["after"]]
        return told

    fake.holes = []
    fake.answers["replay"] = answer
    return fake


def test_a_hole_of_the_log_is_reported_once_and_is_no_gap_of_its_symbols(system):
    fake = with_holes(FakeBroker(system))
    gateway = system.gateway(fake)
    client = follow(system, gateway, mode="all").connected()
    for symbol in "XY":
        fake.quote(symbol, last="1", n=1)
        client.receive("quote", symbol=symbol, n=1)
    gateway.kill()
    client.receive("status", phase="waiting")
    with fake.changed:
        fake.holes += [fake.quote(symbol, last="2", n=2, is_lost=True) for symbol in "XY"]
    gateway.start()
    client.connected()
    client.receive("lost", feed="", reason="not_stored", last=4)
    attempts = len(client.all("status"))
    for symbol in "XY":
        fake.quote(symbol, last="3", n=3)
        client.receive("quote", symbol=symbol, n=3)
    assert len(client.all("status")) == attempts, "it came back for what nobody has"
    assert [(m["first"], m["last"]) for m in client.all("lost")] in ([(3, 3), (4, 4)], [(3, 4)])


def test_a_reported_loss_is_not_reported_again_to_a_client_that_reconnects_for_an_earlier_gap(
    system,
):
    fake = with_holes(FakeBroker(system))
    gateway = system.gateway(fake)
    sieve = system.add(Sieve(gateway))
    client = Follower(system, sieve.url, mode="all").connected()
    for symbol in "XY":
        fake.quote(symbol, last="1", n=1)
        client.receive("quote", symbol=symbol, n=1)
    with fake.changed:
        fake.holes.append(fake.quote("Y", last="2", n=2, is_lost=True))
    client.receive("lost", first=3, last=3)
    sieve.swallow(b'"n":7', times=1)
    for n in (7, 8):
        fake.quote("X", last=f"{n}.1", n=n)
    assert "is missing" in client.receive("status", phase="waiting")["text"]
    client.receive("quote", symbol="X", n=8)
    assert numbers(client) == [1, 7, 8]
    assert len(client.all("lost")) == 1


def test_a_repeated_state_is_not_sent_again(system):
    broker, gateway = system.start()
    feed, other = system.feed(broker), system.feed(broker, name="other")
    sieve = system.add(Sieve(gateway))
    client = Follower(system, sieve.url, mode="all").connected()
    call(other, 1, 1, "Y")
    client.receive("quote", symbol="Y", n=1)
    call(feed, 1, 1)
    feed.goodbye()
    client.receive("state", symbol="X", state="stale")
    call(system.feed(broker, name="later"), 2, 2)
    client.receive("quote", symbol="X", n=2)
    sieve.swallow(b'"n":7', times=1)
    call(other, 7, 8, "Y")
    assert "is missing" in client.receive("status", phase="waiting")["text"]
    client.receive("quote", symbol="Y", n=8)
    assert numbers(client) == [1, 2]
    assert [m["state"] for m in client.all("state", symbol="X")] == [
        "stale"
    ], "and now it looks stale"
