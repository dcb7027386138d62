"""Locks through libpregon: who believes to hold one does hold it, and stops in time."""

import signal
import time

import pytest

import consumer
from pregon import eventually

TTL = 3000  # ms
LONG = 60000


@pytest.fixture
def broker(stage):
    return stage.broker(store=f"sqlite:{stage.path('pregon.db')}")


def holding(stage, broker, name="a", ttl=TTL, delay=0, owner=""):
    driver = consumer.driver(stage, broker)
    driver.obeys("lock", name, ttl, delay, owner)
    return driver, driver.hears("held", lock=name)


def entry(stage, broker, name="a"):
    return stage.locker(broker, "somebody").entry(name)


def test_two_instances_take_turns_and_a_clean_stop_hands_over_at_once(stage, broker):
    first, held = holding(stage, broker, ttl=LONG, delay=LONG)
    assert 0 < held["remaining"] <= LONG * 2 // 3
    second = consumer.driver(stage, broker)
    second.obeys("lock", "a", LONG)
    waiting = second.hears("waiting")
    assert (waiting["reason"], waiting["place"]) == ("held", 1)
    assert waiting["holder"] == entry(stage, broker)["owner"]
    first.leaves()  # neither its ttl nor its delay is over within this test
    assert second.hears("held")["token"] > held["token"]
    third = consumer.driver(stage, broker)
    third.obeys("lock", "a", LONG)
    third.hears("waiting")
    second.obeys("unlock", "a")
    third.hears("held")
    assert not first.heard("lock_lost") and not second.heard("lock_lost")


def test_a_lock_is_kept_for_longer_than_its_ttl(stage, broker):
    driver, held = holding(stage, broker, ttl=3000)  # a busy machine may stop us for a second
    control = stage.locker(broker, "somebody")
    since = time.monotonic()
    eventually(lambda: control.entry("a")["held_ms"], lambda ms: ms > 6000, "two lives")
    assert time.monotonic() - since > 5
    assert control.entry("a")["token"] == held["token"]
    assert not driver.heard("lock_lost")


def test_an_owner_without_an_answer_loses_the_lock_while_the_broker_still_counts_its_grant(
    stage, broker
):
    driver, held = holding(stage, broker)
    broker.signal(signal.SIGSTOP)
    lost = driver.hears("lock_lost")
    assert (lost["reason"], lost["token"]) == ("unanswered", 0)
    assert driver.hears("waiting")["reason"] == "away"
    assert driver.obeys("put", "a", "x")["error"] == "stale"
    broker.signal(signal.SIGCONT)
    driver.hears("held")


def test_a_process_that_was_stopped_past_its_lease_hears_of_that_first(stage, broker):
    feed = stage.feed(broker)
    driver, held = holding(stage, broker, ttl=1000)
    driver.obeys("subscribe", "*")
    driver.hears("synced")
    driver.signal(signal.SIGSTOP)
    for n in range(100):
        feed.quote("X", last="1", n=n)
    other, taken = holding(stage, broker)
    assert taken["token"] > held["token"]
    at = driver.here()
    driver.signal(signal.SIGCONT)
    driver.hears("quote", n=99)
    told = [m["type"] for m in driver.messages()]
    assert told.index("lock_lost") < told.index("quote")
    assert driver.lines[at][1].startswith('{"type":"lock_lost"')
    assert driver.hears("waiting")["reason"] == "held"
    assert not other.heard("lock_lost")


def test_a_lock_that_was_held_survives_a_killed_broker(stage, broker):
    driver, held = holding(stage, broker, ttl=LONG)
    broker.kill()
    broker.start()
    driver.obeys("put", "a", "x")
    assert driver.hears("put")["error"] == "ok"
    assert entry(stage, broker)["token"] == held["token"]
    assert not driver.heard("lock_lost")


def test_a_waiter_gets_the_lock_of_a_broker_that_was_restarted(stage, broker):
    first, _ = holding(stage, broker, ttl=LONG)
    second = consumer.driver(stage, broker)
    second.obeys("lock", "a", LONG)
    second.hears("waiting", place=1)
    broker.kill()
    broker.start()
    first.obeys("unlock", "a")
    second.hears("held")


@pytest.mark.parametrize("unanswered", (1, 3))
def test_a_lock_closed_while_the_broker_is_away_is_free_when_it_returns(stage, broker, unanswered):
    driver = consumer.driver(stage, broker, "X")
    driver.hears("synced")
    broker.kill()
    driver.obeys("lock", "a", LONG, LONG)
    driver.hears("waiting", reason="away")
    driver.obeys("unlock", "a")
    # Each is given up 5 s later: after one the lock's questions are too, after three the lock is
    # forgotten.  They went with the socket, which is replaced every 3 s.
    for _ in range(unanswered):
        driver.obeys("get", "a")
        assert driver.hears("value")["error"] == "away"
    broker.start()
    other = consumer.driver(stage, broker)
    other.obeys("lock", "a", LONG)
    other.hears("held")


def test_a_broken_lock_is_a_loss_with_its_reason(stage, broker):
    driver, held = holding(stage, broker)
    control = stage.control(broker)
    assert "error" not in control.ask("lock_break", name="a", token=held["token"], by="test",
                                      reason="test")
    assert driver.hears("lock_lost")["reason"] == "broken"
    assert driver.hears("held")["token"] > held["token"]


def test_a_value_is_put_under_the_current_token_only(stage, broker):
    first, old = holding(stage, broker, ttl=1000)
    first.obeys("put", "a", "one")
    assert first.hears("put")["version"] == 1
    first.signal(signal.SIGSTOP)
    second, new = holding(stage, broker)
    second.obeys("get", "a")
    value = second.hears("value")
    assert (value["value"], value["token"], value["version"]) == ("one", old["token"], 1)
    first.signal(signal.SIGCONT)
    first.hears("lock_lost")
    # The paused one, that looked before it leapt, is refused here; else it is refused there.
    assert first.obeys("put", "a", "late")["error"] == "stale"
    first.obeys("put_as", "a", old["token"], "late")
    assert first.hears("put")["error"] == "stale"
    second.obeys("put", "a", "two")
    assert second.hears("put")["version"] == 2
    first.obeys("get", "a")
    assert first.hears("value")["value"] == "two"
    first.obeys("get", "never")
    answer = first.hears("value", lock="never")
    assert answer["version"] == 0


def test_a_question_that_nobody_answers_ends_as_away_and_one_at_the_end_as_closed(stage, broker):
    driver, _ = holding(stage, broker, ttl=LONG)
    broker.signal(signal.SIGSTOP)
    driver.obeys("put", "a", "x")
    assert driver.hears("put")["error"] == "away"
    driver.obeys("get", "a")
    driver.leaves()
    assert driver.heard("value")[-1]["error"] == "closed"


def test_two_locks_of_one_process_exclude_each_other_unless_they_name_one_owner(stage, broker):
    driver, _ = holding(stage, broker, ttl=LONG)
    driver.obeys("lock", "a", LONG)
    driver.hears("waiting", reason="held")
    same, held = holding(stage, broker, name="b", ttl=LONG, owner="me")
    again, held_again = holding(stage, broker, name="b", ttl=LONG, owner="me")
    assert held["token"] == held_again["token"]
    assert driver.obeys("lock", "not/a/name", LONG)["error"] == "invalid"
    assert driver.obeys("lock", "c", 10)["error"] == "invalid"


def test_the_line_is_kept_by_asking_and_given_up_by_closing(stage, broker):
    holder, _ = holding(stage, broker, ttl=LONG)
    second = consumer.driver(stage, broker)
    second.obeys("lock", "a", LONG)
    second.hears("waiting", place=1)
    third = consumer.driver(stage, broker)
    third.obeys("lock", "a", LONG)
    third.hears("waiting", place=2)
    second.obeys("unlock", "a")
    third.hears("waiting", place=1)
    # Longer than the broker keeps a place of one who does not ask.
    control = stage.locker(broker, "somebody")
    held = control.entry("a")["held_ms"]
    eventually(lambda: control.entry("a"), lambda e: e["held_ms"] > held + 11000, "11 s",
               patience=60)
    assert control.entry("a")["waiters"] == 1
    holder.obeys("unlock", "a")
    third.hears("held")
