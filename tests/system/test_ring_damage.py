"""A damaged or restored FILE-ring: lost positions are reported, and the broker starts."""

import shutil
import sqlite3
import struct

import pytest

import pregon

RING = 384 + 1024 * 160  # where its entries begin
HEADER = 32


@pytest.fixture
def path(system):
    return system.path("pregon.db")


def fed(feed, first, last):
    for n in range(first, last + 1):
        feed.quote("X", last=str(n), n=n)
    feed.wait_processed()


def epoch_of(broker):
    return broker.wait_for_log(r"log epoch ([0-9a-f]{16})", after=broker.mark).group(1)


def damage(path, position):
    """Change one byte in the record of a position; the ring has not wrapped yet."""
    with open(path + "-ring", "r+b") as f:
        at = RING
        while True:
            f.seek(at)
            seq, _, _, topic, record = struct.unpack("<QQIHH", f.read(24))
            assert seq and seq <= position
            if seq == position:
                f.seek(at + HEADER + topic + record - 2)
                byte = f.read(1)
                f.seek(-1, 1)
                f.write(bytes([byte[0] ^ 0x40]))
                return
            at += (HEADER + topic + record + 7) // 8 * 8


def numbers(client):
    return [m["n"] for m in client.messages if m["type"] == "quote"]


def stored(control, position):
    pregon.eventually(lambda: control.request("status")["store"]["stored"], lambda n: n == position)


def test_damaged_entries_of_the_ring_that_are_stored_cost_nothing(system, path):
    broker = system.broker(store=f"sqlite:{path}")
    fed(system.feed(broker), 1, 200)
    stored(system.control(broker), 200)
    damage(path, 50)
    damage(path, 51)
    gateway = system.gateway(broker)
    client = system.client(gateway, f"?symbols=X&mode=all&since={epoch_of(broker)}:10")
    assert client.receive("ack")["recovered"] is True
    client.receive("quote", n=200)
    assert numbers(client) == list(range(11, 201)) and not client.received("lost")
    times = [m["timestamp"] for m in client.messages if m["type"] == "quote"]
    assert times == sorted(times)  # as they came in, not as they were changed
    for order in ("oldest", "newest"):
        answer = gateway.page(f"quotes/X/history?limit=1000&order={order}")
        assert len(answer["records"]) == 200 and not answer["gaps"]


@pytest.mark.parametrize("position", [50, 120])
def test_damaged_entries_that_only_the_ring_had_are_reported_as_lost(system, path, position):
    broker = system.broker(store=f"sqlite:{path}")
    epoch = epoch_of(broker)
    control = system.control(broker)
    feed = system.feed(broker)
    fed(feed, 1, 20)
    stored(control, 20)
    locked = sqlite3.connect(path, isolation_level=None)
    locked.execute("BEGIN IMMEDIATE")  # the disk accepts no data any more
    fed(feed, 21, 120)
    broker.kill()
    damage(path, position)
    locked.close()
    broker.start()
    assert epoch_of(broker) == epoch
    gateway = system.gateway(broker)
    client = system.client(gateway, f"?symbols=X&mode=all&since={epoch}:10")
    assert client.receive("ack")["recovered"] is True
    fed(system.feed(broker, name="next"), 121, 130)
    client.receive("quote", n=130)
    lost, = client.received("lost")
    assert (lost["reason"], lost["feed"], lost["first"], lost["last"]) == (
        "damaged", "", position, position)
    assert numbers(client) == [n for n in range(11, 131) if n != position]
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT first, last, reason FROM gaps").fetchall() == [
            (position, position, "damaged")]
    assert len(broker.logged("pregon.db-ring: a part is damaged")) == 1
    assert gateway.page("health")["status"] == "degraded"


def test_a_ring_that_is_behind_the_store_begins_a_new_epoch(system, path):
    broker = system.broker(store=f"sqlite:{path}")
    feed = system.feed(broker)
    fed(feed, 1, 10)
    feed.close()
    broker.stop()
    shutil.copy(path + "-ring", path + "-old")
    broker.start()
    epoch = epoch_of(broker)
    fed(system.feed(broker, name="next"), 11, 20)
    broker.stop()
    shutil.copy(path + "-old", path + "-ring")
    broker.start()
    assert epoch_of(broker) != epoch
    broker.wait_for_log("new epoch .journal_behind.")
    gateway = system.gateway(broker)
    client = system.client(gateway, f"?symbols=X&mode=all&since={epoch}:5")
    assert client.receive("ack")["recovered"] is False
    fed(system.feed(broker, name="last"), 21, 21)
    assert client.receive("quote", n=21)["seq"] > 20


def test_an_invalid_ring_begins_a_new_epoch_above_its_positions(system, path):
    broker = system.broker(store=f"sqlite:{path}")
    fed(system.feed(broker), 1, 100)
    epoch = epoch_of(broker)
    broker.kill()
    with open(path + "-ring", "r+b") as f:
        f.seek(128)  # tail and head
        f.write(b"\xff" * 16)
    broker.start()
    assert epoch_of(broker) != epoch
    broker.wait_for_log("new epoch .journal_damaged.")
    client = system.client(system.gateway(broker), "?symbols=X&mode=all")
    client.receive("ack")
    fed(system.feed(broker, name="next"), 101, 101)
    assert client.receive("quote", n=101)["seq"] > 100
