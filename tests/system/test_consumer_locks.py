"""Locks through libpregon: a program that believes to hold a lock holds it, and stops in time."""

import signal
import time

import pytest

import consumer
from pregon import eventually

TTL = 3000  # ms
LONG = 60000


@pytest.fixture
def broker(system):
    return system.broker(store=f"sqlite:{system.path('pregon.db')}")


def holding(system, broker, name="a", ttl=TTL, delay=0, owner=""):
    driver = consumer.driver(system, broker)
    driver.run_command("lock", name, ttl, delay, owner)
    return driver, driver.receive("held", lock=name)


def entry(system, broker, name="a"):
    return system.locker(broker, "somebody").entry(name)


def test_two_instances_take_turns_and_a_clean_stop_hands_over_at_once(system, broker):
    first, held = holding(system, broker, ttl=LONG, delay=LONG)
    assert 0 < held["remaining"] <= LONG * 2 // 3
    second = consumer.driver(system, broker)
    second.run_command("lock", "a", LONG)
    waiting = second.receive("waiting")
    assert (waiting["reason"], waiting["place"]) == ("held", 1)
    assert waiting["holder"] == entry(system, broker)["owner"]
    first.finish()  # neither its ttl nor its delay is over within this test
    assert second.receive("held")["token"] > held["token"]
    third = consumer.driver(system, broker)
    third.run_command("lock", "a", LONG)
    third.receive("waiting")
    second.run_command("unlock", "a")
    third.receive("held")
    assert not first.received("lock_lost") and not second.received("lock_lost")


def test_a_lock_is_kept_for_longer_than_its_ttl(system, broker):
    driver, held = holding(system, broker, ttl=3000)  # a busy machine may stop us for a second
    control = system.locker(broker, "somebody")
    since = time.monotonic()
    eventually(lambda: control.entry("a")["held_ms"], lambda ms: ms > 6000, "two lives")
    assert time.monotonic() - since > 5
    assert control.entry("a")["token"] == held["token"]
    assert not driver.received("lock_lost")


def test_an_owner_without_an_answer_loses_the_lock_while_the_broker_still_counts_its_grant(
    system, broker
):
    driver, held = holding(system, broker)
    broker.signal(signal.SIGSTOP)
    lost = driver.receive("lock_lost")
    assert (lost["reason"], lost["token"]) == ("unanswered", 0)
    assert driver.receive("waiting")["reason"] == "away"
    assert driver.run_command("put", "a", "x")["error"] == "stale"
    broker.signal(signal.SIGCONT)
    driver.receive("held")


def test_a_process_that_was_stopped_past_its_lease_first_gets_on_lost(system, broker):
    feed = system.feed(broker)
    driver, held = holding(system, broker, ttl=1000)
    driver.run_command("subscribe", "*")
    driver.receive("synced")
    driver.signal(signal.SIGSTOP)
    for n in range(100):
        feed.quote("X", last="1", n=n)
    other, taken = holding(system, broker)
    assert taken["token"] > held["token"]
    at = driver.log_position()
    driver.signal(signal.SIGCONT)
    driver.receive("quote", n=99)
    told = [m["type"] for m in driver.messages()]
    assert told.index("lock_lost") < told.index("quote")
    assert driver.lines[at][1].startswith('{"type":"lock_lost"')
    assert driver.receive("waiting")["reason"] == "held"
    assert not other.received("lock_lost")


def test_a_lock_that_was_held_survives_a_killed_broker(system, broker):
    driver, held = holding(system, broker, ttl=LONG)
    broker.kill()
    broker.start()
    driver.run_command("put", "a", "x")
    assert driver.receive("put")["error"] == "ok"
    assert entry(system, broker)["token"] == held["token"]
    assert not driver.received("lock_lost")


def test_a_waiter_gets_the_lock_of_a_broker_that_was_restarted(system, broker):
    first, _ = holding(system, broker, ttl=LONG)
    second = consumer.driver(system, broker)
    second.run_command("lock", "a", LONG)
    second.receive("waiting", place=1)
    broker.kill()
    broker.start()
    first.run_command("unlock", "a")
    second.receive("held")


@pytest.mark.parametrize("unanswered", (1, 3))
def test_a_lock_closed_while_the_broker_is_away_is_free_when_it_returns(system, broker, unanswered):
    driver = consumer.driver(system, broker, "X")
    driver.receive("synced")
    broker.kill()
    driver.run_command("lock", "a", LONG, LONG)
    driver.receive("waiting", reason="away")
    driver.run_command("unlock", "a")
    # Each request is given up after 5 s: after the first the lock's requests are given up too,
    # after the third the lock is dropped. They were lost with the socket, which is replaced every 3
    # s.
    for _ in range(unanswered):
        driver.run_command("get", "a")
        assert driver.receive("value")["error"] == "away"
    broker.start()
    other = consumer.driver(system, broker)
    other.run_command("lock", "a", LONG)
    other.receive("held")


def test_a_broken_lock_is_a_loss_with_its_reason(system, broker):
    driver, held = holding(system, broker)
    control = system.control(broker)
    assert "error" not in control.request("lock_break", name="a", token=held["token"], by="test",
                                          reason="test")
    assert driver.receive("lock_lost")["reason"] == "broken"
    assert driver.receive("held")["token"] > held["token"]


def test_a_value_is_put_under_the_current_token_only(system, broker):
    first, old = holding(system, broker, ttl=1000)
    first.run_command("put", "a", "one")
    assert first.receive("put")["version"] == 1
    first.signal(signal.SIGSTOP)
    second, new = holding(system, broker)
    second.run_command("get", "a")
    value = second.receive("value")
    assert (value["value"], value["token"], value["version"]) == ("one", old["token"], 1)
    first.signal(signal.SIGCONT)
    first.receive("lock_lost")
    # If the paused process still held its token, the library refuses the put; otherwise the broker
    # does.
    assert first.run_command("put", "a", "late")["error"] == "stale"
    first.run_command("put_as", "a", old["token"], "late")
    assert first.receive("put")["error"] == "stale"
    second.run_command("put", "a", "two")
    assert second.receive("put")["version"] == 2
    first.run_command("get", "a")
    assert first.receive("value")["value"] == "two"
    first.run_command("get", "never")
    answer = first.receive("value", lock="never")
    assert answer["version"] == 0


def test_a_request_without_an_answer_ends_as_away_and_one_at_the_end_as_closed(system, broker):
    driver, _ = holding(system, broker, ttl=LONG)
    broker.signal(signal.SIGSTOP)
    driver.run_command("put", "a", "x")
    assert driver.receive("put")["error"] == "away"
    driver.run_command("get", "a")
    driver.finish()
    assert driver.received("value")[-1]["error"] == "closed"


def test_two_locks_of_one_process_exclude_each_other_unless_they_name_one_owner(system, broker):
    driver, _ = holding(system, broker, ttl=LONG)
    driver.run_command("lock", "a", LONG)
    driver.receive("waiting", reason="held")
    same, held = holding(system, broker, name="b", ttl=LONG, owner="me")
    again, held_again = holding(system, broker, name="b", ttl=LONG, owner="me")
    assert held["token"] == held_again["token"]
    assert driver.run_command("lock", "not/a/name", LONG)["error"] == "invalid"
    assert driver.run_command("lock", "c", 10)["error"] == "invalid"


def test_an_owner_keeps_its_place_by_repeated_requests_and_gives_it_up_by_closing(system, broker):
    holder, _ = holding(system, broker, ttl=LONG)
    second = consumer.driver(system, broker)
    second.run_command("lock", "a", LONG)
    second.receive("waiting", place=1)
    third = consumer.driver(system, broker)
    third.run_command("lock", "a", LONG)
    third.receive("waiting", place=2)
    second.run_command("unlock", "a")
    third.receive("waiting", place=1)
    # Longer than the broker keeps the place of an owner that sends no requests.
    control = system.locker(broker, "somebody")
    held = control.entry("a")["held_ms"]
    eventually(lambda: control.entry("a"), lambda e: e["held_ms"] > held + 11000, "11 s",
               patience=60)
    assert control.entry("a")["waiters"] == 1
    holder.run_command("unlock", "a")
    third.receive("held")
