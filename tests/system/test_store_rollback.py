"""A data folder that was copied and is put back as a whole: peers prove that it lost positions."""

import os
import shutil

import pytest

import consumer
import pregon


@pytest.fixture
def path(stage):
    os.mkdir(stage.path("data"))
    return stage.path("data/pregon.db")


def epoch_of(broker):
    return broker.says(r"log epoch ([0-9a-f]{16})", after=broker.mark).group(1)


def copy_folder(path):
    shutil.copytree(os.path.dirname(path), os.path.dirname(path) + "-copy")


def put_back(path):
    folder = os.path.dirname(path)
    shutil.rmtree(folder)
    os.rename(folder + "-copy", folder)


def fed(feed, first, last):
    for n in range(first, last + 1):
        feed.quote("X", last=str(n), n=n)
    feed.settled()


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


def test_a_feeder_that_was_acknowledged_more_begins_a_new_epoch(stage, path):
    broker = stage.broker(store=f"sqlite:{path}")
    old = epoch_of(broker)
    feed, control = stage.feed(broker), stage.control(broker)
    copied_and_put_back(path, broker, feed)
    broker.says("The log has lost positions: feed feed was acknowledged lines up to 100")
    broker.says("begins a new epoch .rolled_back.")
    status = control.ask("status")
    assert status["epoch_reason"] == "rolled_back" and "%016x" % status["epoch"] != old
    gateway = stage.gateway(broker)
    client = stage.client(gateway, f"?symbols=X&mode=all&since={old}:100")
    assert client.hears("ack")["recovered"] is False
    client.hears("snapshot")
    fed(feed, 101, 101)
    assert client.hears("quote", n=101)["seq"] > 50
    health = gateway.page("health")
    assert health["broker"]["epoch_reason"] == "rolled_back"
    pregon.eventually(lambda: control.ask("status")["feeds"][0]["stored"], lambda n: n == 101)
    broker.kill()  # the new epoch is as good as any other
    broker.start()
    assert "%016x" % status["epoch"] == epoch_of(broker)


def test_a_gateway_that_knows_more_begins_a_new_epoch_and_tells_its_clients(stage, path):
    broker = stage.broker(store=f"sqlite:{path}")
    gateway, feed = stage.gateway(broker), stage.feed(broker)
    client = stage.client(gateway, "?symbols=X&mode=all")
    client.hears("ack")

    copied_and_put_back(path, broker, feed, goodbye=True,
                        seen=lambda: client.hears("quote", n=100))
    broker.says(
        r"The log has lost positions: gateway \S+ knows position 1\d\d, the log goes to \d+"
    )
    reset = client.hears("reset")
    assert reset["reason"] == "log_replaced"
    client.hears("snapshot", n=50)
    other = stage.feed(broker, name="other")
    other.quote("X", last="1", n=1000)
    assert client.hears("quote", n=1000)["seq"] > 100
    before = client.messages[: client.messages.index(client.heard("reset")[0])]
    positions = [m["seq"] for m in before if m["type"] == "quote"]
    assert positions == sorted(set(positions))
    # Once per start: the next claim changes nothing.
    control = stage.control(broker)
    epoch = control.ask("status")["epoch"]
    control.ask("hello", role="consumer", oldest=1, newest=1, known_epoch=epoch, known_seq=10**6)
    assert control.ask("status")["epoch"] == epoch
    broker.says("Ignored: consumer  knows position 1000000")


def test_a_program_that_knows_more_begins_a_new_epoch(stage, path):
    broker = stage.broker(store=f"sqlite:{path}")
    feed = stage.feed(broker)
    tail = consumer.tail(stage, broker, "X", mode="all", format="json")
    feed.quote("X", last="1", n=0)
    tail.hears("snapshot")
    copied_and_put_back(path, broker, feed, goodbye=True,
                        seen=lambda: tail.hears("quote", n=100))
    broker.says("The log has lost positions: consumer  knows position")
    tail.hears("reset", reason="log_replaced")


def test_a_log_that_is_whole_goes_on_whatever_is_known_of_it(stage, path):
    broker = stage.broker(store=f"sqlite:{path}")
    old = epoch_of(broker)
    gateway, feed = stage.gateway(broker), stage.feed(broker)
    client = stage.client(gateway, "?symbols=X&mode=all")
    tail = consumer.tail(stage, broker, "X", mode="all", format="json")
    client.hears("ack")
    for life in range(3):
        fed(feed, life * 100 + 1, life * 100 + 100)
        client.hears("quote", n=life * 100 + 100)
        broker.kill()
        broker.start()
    fed(feed, 301, 301)
    client.hears("quote", n=301)
    tail.hears("quote", n=301)
    assert epoch_of(broker) == old and not broker.logged("lost positions|Ignored")
