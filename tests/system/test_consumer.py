"""libpregon at the real broker: each record once and in order, or a word about what is missing."""

import re
import signal

import pytest

import consumer
import pregon
from pregon import eventually


@pytest.fixture
def path(stage):
    return stage.path("pregon.db")


def fed(feed, symbol, first, last):
    for n in range(first, last + 1):
        feed.quote(symbol, last=str(n), n=n)
    feed.settled()


def in_order(driver):
    positions = [m["seq"] for m in driver.messages() if m["type"] in ("quote", "state")]
    assert positions == sorted(set(positions))
    return True


def test_snapshots_then_every_quote_with_its_price_as_it_came(stage):
    broker = stage.broker()
    feed = stage.feed(broker)
    feed.quote("EUR/USD", bid="1.0800", ask="1.0801", note="é", n=1)
    feed.quote("BTC/USD", last="1034.50")
    feed.settled()
    driver = consumer.driver(stage, broker, "EUR/USD")
    snapshot = driver.hears("snapshot")
    assert (snapshot["bid"], snapshot["state"], snapshot["note"]) == ("1.0800", "live", "é")
    synced = driver.hears("synced")
    assert synced["seq"] >= snapshot["seq"]
    feed.quote("EUR/USD", bid="1.0900", ask="1.0901")
    quote = driver.hears("quote", bid="1.0900")
    assert quote["prev"] == snapshot["seq"]
    # A pattern that comes later begins with its own snapshots, and nothing is told twice.
    driver.obeys("subscribe", "*")
    assert driver.hears("snapshot")["symbol"] == "BTC/USD"
    driver.hears("synced")
    driver.obeys("unsubscribe", "*")
    feed.quote("BTC/USD", last="2"), feed.quote("EUR/USD", last="2")
    driver.hears("quote", symbol="EUR/USD", last="2")
    assert not driver.heard("quote", symbol="BTC/USD")
    assert driver.obeys("subscribe", "no symbol")["error"] == "invalid"
    assert driver.obeys("unsubscribe", "X")["error"] == "not_found"
    driver.leaves()


def test_a_feed_that_falls_silent_is_a_state(stage):
    broker = stage.broker()
    feed = stage.feed(broker, "mine")
    feed.quote("X", last="1")
    feed.settled()
    driver = consumer.driver(stage, broker, "*")
    driver.hears("synced")
    feed.goodbye()
    assert driver.hears("state", symbol="X")["feed"] == "mine"
    late = consumer.driver(stage, broker, "X")
    assert late.hears("snapshot")["state"] == "stale"


@pytest.mark.parametrize("end", ["kill", "stop"])
@pytest.mark.parametrize("patterns", [("*",), ("X", "Z*")])
def test_a_broker_with_a_store_may_be_killed_and_every_quote_comes_once(stage, path, end, patterns):
    broker = stage.broker(store=f"sqlite:{path}")
    feed = stage.feed(broker)
    driver = consumer.driver(stage, broker, *patterns)
    driver.hears("synced")
    for life in range(4):
        fed(feed, "X", life * 100 + 1, life * 100 + 100)
        fed(feed, "Y", life, life)
        getattr(broker, end)()
        broker.start()
    fed(feed, "X", 401, 410)
    driver.hears("quote", symbol="X", n=410)
    assert driver.numbers("X") == list(range(1, 411))
    assert in_order(driver)
    assert not driver.heard("reset") and not driver.heard("lost")


def test_a_broker_with_memory_that_was_restarted_is_a_reset_and_snapshots(stage):
    broker = stage.broker(store="memory")
    feed = stage.feed(broker)
    driver = consumer.driver(stage, broker, "*")
    driver.hears("synced")
    fed(feed, "X", 1, 10)
    driver.hears("quote", n=10)
    old = driver.position()
    broker.kill()
    broker.start()
    fed(feed, "X", 11, 12)
    reset = driver.hears("reset", reason="log_replaced")
    assert reset["epoch"] != old.split(":")[0]
    driver.hears(("snapshot", "quote"), n=12)
    # Whoever comes with the old position is told that it is of no use.
    late = consumer.driver(stage, broker, "*", since=old)
    assert late.hears("reset")["reason"] == "other_log"
    late.hears("snapshot", symbol="X", n=12)


def test_a_connection_that_is_cut_again_and_again_costs_no_quote(stage):
    broker = stage.broker()
    feed = stage.feed(broker)
    proxies = {key: stage.proxy(broker.settings["broker_" + key])
               for key in ("publish", "control")}
    driver = consumer.driver(stage, broker, "X",
                             **{key: proxy.address for key, proxy in proxies.items()})
    driver.hears("synced")
    for n in range(1, 601):
        feed.quote("X", last="1", n=n)
        if n % 100 == 50:
            proxies["publish"].cut()
        if n % 200 == 0:
            proxies["control"].cut()
    driver.hears("quote", n=600)
    assert driver.numbers("X") == list(range(1, 601))
    assert in_order(driver)


def test_since_goes_on_where_another_process_ended(stage, path):
    broker = stage.broker(store=f"sqlite:{path}")
    feed = stage.feed(broker)
    first = consumer.driver(stage, broker, "X", "Y")
    first.hears("synced")
    fed(feed, "X", 1, 50)
    fed(feed, "OTHER", 1, 50)
    first.hears("quote", n=50)
    # The position is vouched for by a heartbeat: all fifty lie before it.
    head = feed.received
    position = eventually(first.position, lambda p: int(p.split(":")[1]) >= head, "a heartbeat")
    first.leaves()
    fed(feed, "X", 51, 2500)
    fed(feed, "Y", 1, 1)
    second = consumer.driver(stage, broker, "X", "Y", since=position)
    second.hears("synced")
    fed(feed, "X", 2501, 2510)
    second.hears("quote", n=2510)
    assert second.numbers("X") == list(range(51, 2511))
    assert not second.heard("snapshot")
    assert in_order(second)
    epoch = position.split(":")[0]
    beyond = consumer.driver(stage, broker, "X", since=f"{epoch}:99999999")
    assert beyond.hears("reset")["reason"] == "beyond_head"
    beyond.hears("snapshot", n=2510)
    everything = consumer.driver(stage, broker, "X", since=f"{epoch}:0")
    everything.hears("quote", n=2510)
    assert everything.numbers("X") == list(range(1, 2511))


def test_what_was_pruned_is_named_and_the_newest_values_make_up_for_it(stage, path):
    broker = stage.broker(store=f"sqlite:{path}", journal_bytes=1048576, retention_count=1000)
    feed = stage.feed(broker)
    feed.quote("OLD", last="7")
    for n in range(1, 5001):
        feed.quote("X", last="1", n=n, note="x" * 500)
    feed.settled()
    control = stage.control(broker)
    eventually(lambda: control.ask("status")["store"]["first"], lambda first: first > 3000,
               "pruning")
    epoch = f"{control.ask('status')['epoch']:016x}"
    driver = consumer.driver(stage, broker, "*", since=f"{epoch}:1")
    lost = driver.hears("lost", reason="retention", first=2)
    driver.hears("synced")
    numbers = driver.numbers("X")
    assert numbers == list(range(lost["last"], 5001))
    assert len(numbers) + lost["last"] == 5001
    assert [m["n"] for m in driver.heard("snapshot") if m["symbol"] == "X"] == []


def test_a_consumer_that_was_stopped_while_its_queue_ran_over_misses_nothing(stage):
    broker = stage.broker(publish_queue=1000, journal_bytes=64 << 20)
    feed = stage.feed(broker)
    driver = consumer.driver(stage, broker, "X")
    driver.hears("synced")
    driver.signal(signal.SIGSTOP)
    for n in range(1, 40001):
        feed.quote("X", last="1", n=n, note="x" * 200)
        if n % 1000 == 0:
            feed.settled()
    driver.signal(signal.SIGCONT)
    feed.quote("X", last="1", n=40001)
    driver.hears("quote", n=40001)
    assert driver.numbers("X") == list(range(1, 40002))


def test_newest_skips_to_the_newest_values(stage):
    broker = stage.broker()
    feed = stage.feed(broker)
    driver = consumer.driver(stage, broker, "*", mode="newest")
    driver.hears("synced")
    driver.signal(signal.SIGSTOP)
    fed(feed, "X", 1, 3000)
    fed(feed, "Y", 1, 1)
    driver.signal(signal.SIGCONT)
    driver.hears("quote", symbol="X", n=3000)
    driver.hears("quote", symbol="Y", n=1)
    numbers = driver.numbers("X")
    assert numbers == sorted(set(numbers)) and len(numbers) < 3000


def test_the_link_goes_down_and_up_with_the_broker(stage):
    broker = stage.broker()
    driver = consumer.driver(stage, broker, "*")
    driver.hears("link", up=True)
    broker.signal(signal.SIGSTOP)
    assert re.search("heartbeat", driver.hears("link", up=False)["why"])
    broker.signal(signal.SIGCONT)
    driver.hears("link", up=True)


def test_a_consumer_may_come_before_its_broker(stage):
    broker = stage.broker()
    settings = dict(broker.settings)
    broker.stop()
    driver = consumer.driver(stage, broker, "X")
    driver.hears("link", up=False)
    broker.settings = settings
    broker.start()
    feed = stage.feed(broker)
    driver.hears("link", up=True)
    feed.quote("X", last="1", n=1)
    driver.hears(("snapshot", "quote"), n=1)


def test_what_a_broker_never_sent_is_asked_for(stage):
    from fake_broker import FakeBroker

    fake = FakeBroker(stage)
    driver = consumer.driver(stage, fake, "X")
    driver.hears("synced")
    fake.quote("X", last="1", n=1)
    fake.quote("X", last="2", n=2, is_lost=True)
    fake.quote("X", last="3", n=3)
    driver.hears("quote", n=3)
    fake.quote("X", last="4", n=4, is_lost=True)  # the last one: a heartbeat tells of it
    driver.hears("quote", n=4)
    assert driver.numbers() == [1, 2, 3, 4]
    for nonsense in (b"\xc1", b"", b"\x97\x01"):
        fake.publish(b"X ", nonsense)
        fake.say(nonsense)
    fake.quote("X", last="5", n=5)
    driver.hears("quote", n=5)
