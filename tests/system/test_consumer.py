"""libpregon with the real broker: each record once and in order, or a report of its loss."""

import re
import signal

import pytest

import consumer
import pregon
from pregon import eventually


@pytest.fixture
def path(system):
    return system.path("pregon.db")


def fed(feed, symbol, first, last):
    for n in range(first, last + 1):
        feed.quote(symbol, last=str(n), n=n)
    feed.wait_processed()


def in_order(driver):
    positions = [m["seq"] for m in driver.messages() if m["type"] in ("quote", "state")]
    assert positions == sorted(set(positions))
    return True


def test_snapshots_then_every_quote_with_its_price_as_it_came(system):
    broker = system.broker()
    feed = system.feed(broker)
    feed.quote("EUR/USD", bid="1.0800", ask="1.0801", note="é", n=1)
    feed.quote("BTC/USD", last="1034.50")
    feed.wait_processed()
    driver = consumer.driver(system, broker, "EUR/USD")
    snapshot = driver.receive("snapshot")
    assert (snapshot["bid"], snapshot["state"], snapshot["note"]) == ("1.0800", "live", "é")
    synced = driver.receive("synced")
    assert synced["seq"] >= snapshot["seq"]
    feed.quote("EUR/USD", bid="1.0900", ask="1.0901")
    quote = driver.receive("quote", bid="1.0900")
    assert quote["prev"] == snapshot["seq"]
    # A pattern that is added later begins with its own snapshots, and no record is delivered twice.
    driver.run_command("subscribe", "*")
    assert driver.receive("snapshot")["symbol"] == "BTC/USD"
    driver.receive("synced")
    driver.run_command("unsubscribe", "*")
    feed.quote("BTC/USD", last="2"), feed.quote("EUR/USD", last="2")
    driver.receive("quote", symbol="EUR/USD", last="2")
    assert not driver.received("quote", symbol="BTC/USD")
    assert driver.run_command("subscribe", "no symbol")["error"] == "invalid"
    assert driver.run_command("unsubscribe", "X")["error"] == "not_found"
    driver.finish()


def test_a_feed_that_falls_silent_is_a_state(system):
    broker = system.broker()
    feed = system.feed(broker, "mine")
    feed.quote("X", last="1")
    feed.wait_processed()
    driver = consumer.driver(system, broker, "*")
    driver.receive("synced")
    feed.goodbye()
    assert driver.receive("state", symbol="X")["feed"] == "mine"
    late = consumer.driver(system, broker, "X")
    assert late.receive("snapshot")["state"] == "stale"


@pytest.mark.parametrize("end", ["kill", "stop"])
@pytest.mark.parametrize("patterns", [("*",), ("X", "Z*")])
def test_a_broker_with_a_store_may_be_killed_and_every_quote_comes_once(
    system, path, end, patterns
):
    broker = system.broker(store=f"sqlite:{path}")
    feed = system.feed(broker)
    driver = consumer.driver(system, broker, *patterns)
    driver.receive("synced")
    for life in range(4):
        fed(feed, "X", life * 100 + 1, life * 100 + 100)
        fed(feed, "Y", life, life)
        getattr(broker, end)()
        broker.start()
    fed(feed, "X", 401, 410)
    driver.receive("quote", symbol="X", n=410)
    assert driver.numbers("X") == list(range(1, 411))
    assert in_order(driver)
    assert not driver.received("reset") and not driver.received("lost")


def test_a_broker_with_memory_that_was_restarted_is_a_reset_and_snapshots(system):
    broker = system.broker(store="memory")
    feed = system.feed(broker)
    driver = consumer.driver(system, broker, "*")
    driver.receive("synced")
    fed(feed, "X", 1, 10)
    driver.receive("quote", n=10)
    old = driver.position()
    broker.kill()
    broker.start()
    fed(feed, "X", 11, 12)
    reset = driver.receive("reset", reason="log_replaced")
    assert reset["epoch"] != old.split(":")[0]
    driver.receive(("snapshot", "quote"), n=12)
    # A consumer with the old position gets the report that it cannot be used.
    late = consumer.driver(system, broker, "*", since=old)
    assert late.receive("reset")["reason"] == "other_log"
    late.receive("snapshot", symbol="X", n=12)


def test_a_connection_that_is_cut_again_and_again_costs_no_quote(system):
    broker = system.broker()
    feed = system.feed(broker)
    proxies = {key: system.proxy(broker.settings["broker_" + key])
               for key in ("publish", "control")}
    driver = consumer.driver(system, broker, "X",
                             **{key: proxy.address for key, proxy in proxies.items()})
    driver.receive("synced")
    for n in range(1, 601):
        feed.quote("X", last="1", n=n)
        if n % 100 == 50:
            proxies["publish"].cut()
        if n % 200 == 0:
            proxies["control"].cut()
    driver.receive("quote", n=600)
    assert driver.numbers("X") == list(range(1, 601))
    assert in_order(driver)


def test_since_goes_on_where_another_process_ended(system, path):
    broker = system.broker(store=f"sqlite:{path}")
    feed = system.feed(broker)
    first = consumer.driver(system, broker, "X", "Y")
    first.receive("synced")
    fed(feed, "X", 1, 50)
    fed(feed, "OTHER", 1, 50)
    first.receive("quote", n=50)
    # A heartbeat proves the position: all fifty records lie before it.
    head = feed.received
    position = eventually(first.position, lambda p: int(p.split(":")[1]) >= head, "a heartbeat")
    first.finish()
    fed(feed, "X", 51, 2500)
    fed(feed, "Y", 1, 1)
    second = consumer.driver(system, broker, "X", "Y", since=position)
    second.receive("synced")
    fed(feed, "X", 2501, 2510)
    second.receive("quote", n=2510)
    assert second.numbers("X") == list(range(51, 2511))
    assert not second.received("snapshot")
    assert in_order(second)
    epoch = position.split(":")[0]
    beyond = consumer.driver(system, broker, "X", since=f"{epoch}:99999999")
    assert beyond.receive("reset")["reason"] == "beyond_head"
    beyond.receive("snapshot", n=2510)
    everything = consumer.driver(system, broker, "X", since=f"{epoch}:0")
    everything.receive("quote", n=2510)
    assert everything.numbers("X") == list(range(1, 2511))


def test_pruned_records_are_reported_and_replaced_by_the_newest_values(system, path):
    broker = system.broker(store=f"sqlite:{path}", journal_bytes=1048576, retention_count=1000)
    feed = system.feed(broker)
    feed.quote("OLD", last="7")
    for n in range(1, 5001):
        feed.quote("X", last="1", n=n, note="x" * 500)
    feed.wait_processed()
    control = system.control(broker)
    eventually(lambda: control.request("status")["store"]["first"], lambda first: first > 3000,
               "pruning")
    epoch = f"{control.request('status')['epoch']:016x}"
    driver = consumer.driver(system, broker, "*", since=f"{epoch}:1")
    lost = driver.receive("lost", reason="retention", first=2)
    driver.receive("synced")
    numbers = driver.numbers("X")
    assert numbers == list(range(lost["last"], 5001))
    assert len(numbers) + lost["last"] == 5001
    assert [m["n"] for m in driver.received("snapshot") if m["symbol"] == "X"] == []


def test_a_consumer_that_was_stopped_while_its_queue_ran_over_misses_nothing(system):
    broker = system.broker(publish_queue=1000, journal_bytes=64 << 20)
    feed = system.feed(broker)
    driver = consumer.driver(system, broker, "X")
    driver.receive("synced")
    driver.signal(signal.SIGSTOP)
    for n in range(1, 40001):
        feed.quote("X", last="1", n=n, note="x" * 200)
        if n % 1000 == 0:
            feed.wait_processed()
    driver.signal(signal.SIGCONT)
    feed.quote("X", last="1", n=40001)
    driver.receive("quote", n=40001)
    assert driver.numbers("X") == list(range(1, 40002))


def test_newest_skips_to_the_newest_values(system):
    broker = system.broker()
    feed = system.feed(broker)
    driver = consumer.driver(system, broker, "*", mode="newest")
    driver.receive("synced")
    driver.signal(signal.SIGSTOP)
    fed(feed, "X", 1, 3000)
    fed(feed, "Y", 1, 1)
    driver.signal(signal.SIGCONT)
    driver.receive("quote", symbol="X", n=3000)
    driver.receive("quote", symbol="Y", n=1)
    numbers = driver.numbers("X")
    assert numbers == sorted(set(numbers)) and len(numbers) < 3000


def test_the_link_goes_down_and_up_with_the_broker(system):
    broker = system.broker()
    driver = consumer.driver(system, broker, "*")
    driver.receive("link", up=True)
    broker.signal(signal.SIGSTOP)
    assert re.search("heartbeat", driver.receive("link", up=False)["why"])
    broker.signal(signal.SIGCONT)
    driver.receive("link", up=True)


def test_a_consumer_may_come_before_its_broker(system):
    broker = system.broker()
    settings = dict(broker.settings)
    broker.stop()
    driver = consumer.driver(system, broker, "X")
    driver.receive("link", up=False)
    broker.settings = settings
    broker.start()
    feed = system.feed(broker)
    driver.receive("link", up=True)
    feed.quote("X", last="1", n=1)
    driver.receive(("snapshot", "quote"), n=1)


def test_a_record_that_the_broker_never_sent_is_requested(system):
    from fake_broker import FakeBroker

    fake = FakeBroker(system)
    driver = consumer.driver(system, fake, "X")
    driver.receive("synced")
    fake.quote("X", last="1", n=1)
    fake.quote("X", last="2", n=2, is_lost=True)
    fake.quote("X", last="3", n=3)
    driver.receive("quote", n=3)
    fake.quote("X", last="4", n=4, is_lost=True)  # the last record: a heartbeat names it
    driver.receive("quote", n=4)
    assert driver.numbers() == [1, 2, 3, 4]
    for nonsense in (b"\xc1", b"", b"\x97\x01"):
        fake.publish(b"X ", nonsense)
        fake.send_to_gateways(nonsense)
    fake.quote("X", last="5", n=5)
    driver.receive("quote", n=5)
