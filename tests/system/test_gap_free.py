"""A client in mode all gets records in order, also when the gateway's connections fail."""

import random
import signal

import pytest
import zmq

import metrics
import pregon
from fake_broker import LOST, FakeBroker

SEED = random.SystemRandom().randrange(10**6)


def quotes(client):
    return [(m["symbol"], m["n"]) for m in client.received("quote")]


def no_answer(question):
    return None


@pytest.fixture
def broker_that_falls_silent(system):
    """A gateway with a client of two symbols, and the broker's heartbeats and answers away."""
    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    client = system.client(gateway, "?symbols=RARE,HOT&mode=all")
    client.receive("ack")
    for symbol in ("RARE", "HOT"):
        fake.quote(symbol, last="1", n=1)
        client.receive("quote", symbol=symbol)
    with fake.changed:
        fake.is_mute = True
        fake.answers = {op: no_answer for op in ("hello", "snapshot", "replay")}
    client.receive("state", symbol="HOT", state="stale")
    return fake, gateway, client


def test_a_record_that_arrives_before_the_broker_is_back_waits_for_missing_records(
        system, broker_that_falls_silent):
    fake, gateway, client = broker_that_falls_silent
    fake.quote("RARE", last="2", n=2, is_lost=True)
    arrived, hot = ("pregon_records_received_total", "quote"), []

    def some_arrive():
        """The first records may be missing: the gateway opens new sockets when the broker is
        silent."""
        hot.append(len(hot) + 2)
        fake.quote("HOT", last="2", n=hot[-1])
        return metrics.of(gateway)[arrived]

    pregon.eventually(some_arrive, lambda count: count > 3, str(arrived))
    with fake.changed:
        fake.is_mute, fake.answers = False, {}
    fake.wait_requested("replay")
    fake.quote("HOT", last="3", n=1000000)
    client.receive("quote", symbol="HOT", n=1000000)
    assert quotes(client)[2:] == [("RARE", 2), *(("HOT", n) for n in hot), ("HOT", 1000000)]


def test_a_client_that_reconnects_after_the_silence_misses_nothing(
        system, broker_that_falls_silent):
    fake, gateway, client = broker_that_falls_silent
    seen = max(m["seq"] for m in client.received("quote"))
    fake.quote("RARE", last="2", n=2, is_lost=True)
    fake.quote("HOT", last="2", n=2)
    client.close()
    late = system.client(gateway, f"?symbols=RARE,HOT&mode=all&since={fake.epoch:016x}:{seen}")
    with fake.changed:
        fake.is_mute, fake.answers = False, {}
    assert late.receive("ack")["recovered"] is True
    fake.quote("HOT", last="3", n=3)
    late.receive("quote", symbol="HOT", n=3)
    assert quotes(late) == [("RARE", 2), ("HOT", 2), ("HOT", 3)]


def test_a_missing_loss_is_requested_before_the_next_loss_is_reported(system):
    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    client = system.client(gateway, "?symbols=X&mode=all")
    client.receive("ack")
    fake.quote("X", last="1", n=1)
    client.receive("quote")
    losses = []
    for line in (10, 20):
        with fake.changed:
            before = losses[-1] if losses else 0
            body = {"feed": "f", "first": line, "last": line + 1, "count": 2,
                    "reason": "ring_overflow"}
            record = fake.record(LOST, fake.head + 1, before, body)
            fake.journal.append((b"!lost ", record))
            losses.append(fake.head)
            if len(losses) == 2:
                fake.publisher.send_multipart([b"!lost ", record])
    client.receive("lost", first=20)
    assert [m["first"] for m in client.received("lost")] == [10, 20]


def test_a_snapshot_that_names_a_missing_record_makes_the_gateway_read_the_log(system):
    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    client = system.client(gateway, "?symbols=X&mode=all")
    client.receive("ack")
    fake.quote("X", last="1", n=1)
    client.receive("quote")
    with fake.changed:
        fake.is_mute = True
    for n in (2, 3):
        fake.quote("X", last="2", n=n, is_lost=True)
    system.client(gateway, "?symbols=X*").receive("snapshot", n=3)
    client.receive("quote", n=3)
    assert quotes(client) == [("X", 1), ("X", 2), ("X", 3)]
    assert not client.received("snapshot")


def test_a_full_publish_queue_costs_a_client_no_record_and_no_order(system):
    """Rare symbols beside hot ones: a hole in a rare one does not show at the next record."""
    dice = random.Random(SEED)
    print("seed", SEED)
    broker = system.broker(publish_queue=1000)
    gateway = system.gateway(broker, client_queue=512 * 1024 * 1024)
    feed = system.feed(broker)
    client = system.client(gateway, "?symbols=*&mode=all")
    client.receive("ack")
    feed.quote("HOT", last="0", n=0)
    client.receive("quote")
    count, last = 100000, {}
    rare = dice.choice((100, 2000))

    gateway.signal(signal.SIGSTOP)
    for n in range(1, count + 1):
        symbol = f"RARE{dice.randrange(rare)}" if dice.random() < 0.02 else "HOT"
        feed.quote(symbol, n=n, last="1")
        last[symbol] = n
        if n % 5000 == 0:
            feed.wait_processed(n - 4000)
        if n == count - 2000:
            gateway.signal(signal.SIGCONT)
    feed.wait_processed()

    client.wait_until(lambda all: any(m.get("n") == count for m in all))
    told = [m for m in client.messages if m["type"] in ("quote", "lost")]
    assert [m["n"] for m in told] == list(range(count + 1))
    assert broker.logged("does not take its records"), "no queue was full"


def test_a_subscriber_that_reads_nothing_is_cut_and_others_lose_nothing(system):
    broker = system.broker(publish_queue=1000)
    gateway = system.gateway(broker, client_queue=512 * 1024 * 1024)
    feed = system.feed(broker)
    client = system.client(gateway, "?symbols=*&mode=all")
    client.receive("ack")
    idle = system.context.socket(zmq.SUB)
    idle.linger, idle.rcvhwm, idle.reconnect_ivl = 0, 1, -1
    idle.subscribe(b"")
    idle.connect(broker.settings["broker_publish"])
    assert idle.recv() == b"!welcome "
    count = 60000
    for n in range(1, count + 1):
        feed.quote("X", n=n, last="1", text="x" * 200)
        if n % 2000 == 0:
            feed.wait_processed(n - 1000)
    feed.wait_processed()
    client.wait_until(lambda all: any(m.get("n") == count for m in all))
    assert [m["n"] for m in client.received("quote")] == list(range(1, count + 1))
    assert broker.logged("does not take its records")
    idle.close()


def test_a_client_that_goes_from_merge_to_all_gets_snapshots_and_then_every_record(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = system.client(gateway, "?symbols=X*&max_hz=0.01")
    client.receive("ack")
    feed.quote("X1", last="1", n=1)
    client.receive("quote", n=1)
    for n, symbol in ((2, "X1"), (3, "X2"), (4, "X1")):  # they wait, and n=2 is conflated
        feed.quote(symbol, last="1", n=n)
    witness = system.client(gateway, "?symbols=X*&mode=all")
    witness.wait_until(lambda all: any(m.get("n") == 4 for m in all))
    ack = client.request("subscribe", symbols=["Y"], mode="all", max_hz=1000)
    assert ack["symbols"] == ["Y"]
    feed.quote("X2", last="1", n=5)
    feed.quote("X1", last="1", n=6)
    client.receive("quote", n=6)
    after = client.messages[client.messages.index(ack) + 1:]
    assert [(m["type"], m["n"]) for m in after if m["type"] in ("quote", "snapshot")] == [
        ("snapshot", 3), ("snapshot", 4), ("quote", 5), ("quote", 6)]
    assert ack["seq"] < min(m["seq"] for m in after if m["type"] == "snapshot")
    listed = client.request("list")
    assert (listed["mode"], sorted(listed["symbols"])) == ("all", ["X*", "Y"])


def test_a_position_does_not_pass_records_that_the_gateway_lacks_while_the_broker_is_away(system):
    fake = FakeBroker(system)
    gateway = system.gateway(fake)
    fake.quote("OTHER", last="1", n=1)  # no client has subscribed to it yet
    client = system.client(gateway, "?symbols=HOT")
    client.receive("ack")
    fake.quote("HOT", last="1", n=1)
    client.receive("quote", symbol="HOT")

    def position():
        return client.request("ping")["seq"]

    pregon.eventually(position, lambda seq: seq == 2, "the position")
    with fake.changed:
        fake.is_mute = True
        fake.answers = {op: no_answer for op in ("hello", "snapshot", "replay")}
    client.receive("state", symbol="HOT", state="stale")
    ack = client.request("subscribe", symbols=["OTHER"])
    assert (ack["upstream"], ack["seq"]) == ("away", 0)
    assert position() == 0
    with fake.changed:
        fake.is_mute, fake.answers = False, {}
    client.receive("snapshot", symbol="OTHER", n=1)
    pregon.eventually(position, lambda seq: seq == 2, "the position")
