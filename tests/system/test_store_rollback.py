"""A data folder that was copied and restored as a whole: peers prove that it lost positions."""

import os
import shutil

import pytest

import consumer
import pregon


@pytest.fixture
def path(system):
    os.mkdir(system.path("data"))
    return system.path("data/pregon.db")


def epoch_of(broker):
    return broker.wait_for_log(r"log epoch ([0-9a-f]{16})", after=broker.mark).group(1)


def copy_folder(path):
    shutil.copytree(os.path.dirname(path), os.path.dirname(path) + "-copy")


def put_back(path):
    folder = os.path.dirname(path)
    shutil.rmtree(folder)
    os.rename(folder + "-copy", folder)


def fed(feed, first, last):
    for n in range(first, last + 1):
        feed.quote("X", last=str(n), n=n)
    feed.wait_processed()


def copied_and_put_back(path, broker, feed, goodbye=False, seen=lambda: None):
    """Lines 1 to 50 are in the copy, 51 to 100 are not; the broker runs on the copy.

    seen: waits until a peer knows line 100.
    """
    fed(feed, 1, 50)
    broker.stop()
    copy_folder(path)
    broker.start()
    fed(feed, 51, 100)
    seen()
    if goodbye:
        feed.goodbye()
    broker.stop()
    put_back(path)
    broker.start()


def test_a_feeder_that_was_acknowledged_more_begins_a_new_epoch(system, path):
    broker = system.broker(store=f"sqlite:{path}")
    old = epoch_of(broker)
    feed, control = system.feed(broker), system.control(broker)
    copied_and_put_back(path, broker, feed)
    broker.wait_for_log("The log has lost positions: feed feed was acknowledged lines up to 100")
    broker.wait_for_log("begins a new epoch .rolled_back.")
    status = control.request("status")
    assert status["epoch_reason"] == "rolled_back" and "%016x" % status["epoch"] != old
    gateway = system.gateway(broker)
    client = system.client(gateway, f"?symbols=X&mode=all&since={old}:100")
    assert client.receive("ack")["recovered"] is False
    client.receive("snapshot")
    fed(feed, 101, 101)
    assert client.receive("quote", n=101)["seq"] > 50
    health = gateway.page("health")
    assert health["broker"]["epoch_reason"] == "rolled_back"
    pregon.eventually(lambda: control.request("status")["feeds"][0]["stored"], lambda n: n == 101)
    broker.kill()  # the new epoch is as good as any other
    broker.start()
    assert "%016x" % status["epoch"] == epoch_of(broker)


def test_a_gateway_that_proves_lost_positions_makes_the_broker_begin_a_new_epoch(system, path):
    broker = system.broker(store=f"sqlite:{path}")
    gateway, feed = system.gateway(broker), system.feed(broker)
    client = system.client(gateway, "?symbols=X&mode=all")
    client.receive("ack")

    copied_and_put_back(path, broker, feed, goodbye=True,
                        seen=lambda: client.receive("quote", n=100))
    broker.wait_for_log(
        r"The log has lost positions: gateway \S+ knows position 1\d\d, the log goes to \d+"
    )
    reset = client.receive("reset")
    assert reset["reason"] == "log_replaced"
    client.receive("snapshot", n=50)
    other = system.feed(broker, name="other")
    other.quote("X", last="1", n=1000)
    assert client.receive("quote", n=1000)["seq"] > 100
    before = client.messages[: client.messages.index(client.received("reset")[0])]
    positions = [m["seq"] for m in before if m["type"] == "quote"]
    assert positions == sorted(set(positions))
    # Once per start: the next claim changes nothing.
    control = system.control(broker)
    epoch = control.request("status")["epoch"]
    control.request("hello", role="consumer", oldest=1, newest=1, known_epoch=epoch,
                    known_seq=10**6)
    assert control.request("status")["epoch"] == epoch
    broker.wait_for_log("Ignored: consumer  knows position 1000000")


def test_a_program_that_knows_more_begins_a_new_epoch(system, path):
    broker = system.broker(store=f"sqlite:{path}")
    feed = system.feed(broker)
    tail = consumer.tail(system, broker, "X", mode="all", format="json")
    feed.quote("X", last="1", n=0)
    tail.receive("snapshot")
    copied_and_put_back(path, broker, feed, goodbye=True,
                        seen=lambda: tail.receive("quote", n=100))
    broker.wait_for_log("The log has lost positions: consumer  knows position")
    tail.receive("reset", reason="log_replaced")


def test_a_log_that_is_whole_goes_on_whatever_is_known_of_it(system, path):
    broker = system.broker(store=f"sqlite:{path}")
    old = epoch_of(broker)
    gateway, feed = system.gateway(broker), system.feed(broker)
    client = system.client(gateway, "?symbols=X&mode=all")
    tail = consumer.tail(system, broker, "X", mode="all", format="json")
    client.receive("ack")
    for life in range(3):
        fed(feed, life * 100 + 1, life * 100 + 100)
        client.receive("quote", n=life * 100 + 100)
        broker.kill()
        broker.start()
    fed(feed, 301, 301)
    client.receive("quote", n=301)
    tail.receive("quote", n=301)
    assert epoch_of(broker) == old and not broker.logged("lost positions|Ignored")
