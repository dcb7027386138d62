"""pregon-tail --since and --until: exactly the records of a part of the log."""

import datetime
import json
import threading

import pytest

import pregon
from test_tail import broker, fed, ran  # noqa: F401, fixtures


def numbers(result):
    assert result.returncode == 0, result.stderr
    return [json.loads(line)["n"] for line in result.stdout.splitlines()
            if json.loads(line)["type"] == "quote"]


def iso(seconds):
    time = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


@pytest.fixture
def accepted(system, broker):  # noqa: F811
    """Two thousand quotes; the times at which the broker accepted them."""
    gateway = system.gateway(broker)
    feed = system.feed(broker)
    for last in (700, 1400, 2000):
        fed(feed, "X", last - 699 if last < 2000 else 1401, last)
    records = []
    query = "?order=oldest"
    while query:
        page = gateway.get("/cotizaciones/quotes/X/history" + query).json()
        records += page["records"]
        query = "?order=oldest&next=" + page["next"] if "next" in page else None
    assert [r["n"] for r in records] == list(range(1, 2001))
    return [r["accepted"] for r in records]


def test_from_the_start_to_the_end_is_everything_once(broker, accepted):  # noqa: F811
    assert numbers(ran(broker, "--since", "start", "--until", "end")) == list(range(1, 2001))
    assert numbers(ran(broker, "--since=start", "--until=end", "Y")) == []


@pytest.mark.parametrize("written", [iso, lambda t: f"@{t:.6f}"])
def test_times_select_what_was_accepted_between_them(broker, accepted, written):  # noqa: F811
    since, until = accepted[600], accepted[1500]
    expected = [n for n, at in enumerate(accepted, 1) if since <= at < until]
    assert expected
    assert numbers(ran(broker, "--since", written(since), "--until", written(until))) == expected
    following = [n for n, at in enumerate(accepted, 1) if at >= since]
    assert numbers(ran(broker, "--since", written(since), "--until", "end")) == following
    earlier = [n for n, at in enumerate(accepted, 1) if at < until]
    assert numbers(ran(broker, "--since", "start", "--until", written(until))) == earlier


def test_the_end_is_that_of_the_log_while_quotes_come(system, broker, accepted):  # noqa: F811
    feed, is_over = system.feed(broker, "other"), threading.Event()

    def feed_on():
        n = 0
        while not is_over.wait(0.001):
            n += 1
            feed.quote("OTHER", last=str(n), n=n)

    thread = threading.Thread(target=feed_on)
    thread.start()
    try:
        result = ran(broker, "--since", "start", "--until", "end")
    finally:
        is_over.set()
        thread.join()
    got = [json.loads(line) for line in result.stdout.splitlines()]
    for symbol in ("X", "OTHER"):
        seen = [m["n"] for m in got if m["symbol"] == symbol and m["type"] == "quote"]
        assert seen == list(range(1, len(seen) + 1))
    assert len([m for m in got if m["symbol"] == "X"]) >= 2000


def test_a_time_in_the_future_ends_it_without_a_quote(broker, accepted):  # noqa: F811
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
    result = ran(broker, "--since", "start", "--until", soon.isoformat())
    assert numbers(result) == list(range(1, 2001))


def test_what_was_pruned_is_reported_as_lost(system):
    broker = system.broker(store=f"sqlite:{system.path('small.db')}", retention_count=1000,
                           journal_bytes=1048576)
    feed = system.feed(broker)
    fed(feed, "X", 1, 40000)
    control = system.control(broker)
    pregon.eventually(lambda: control.request("status")["store"]["first"], lambda n: n > 1)
    lines = [json.loads(line) for line in ran(broker, "--since", "start", "--until",
                                              "end").stdout.splitlines()]
    assert lines[0]["type"] == "lost" and lines[0]["first"] == 1
    at = 1  # the store may prune more while it is read: then more is lost
    for m in lines:
        if m["type"] == "lost":
            assert (m["feed"], m["first"]) == ("", at)
            at = m["last"] + 1
        elif m["type"] == "quote":
            assert m["n"] == at
            at += 1
    assert at == 40001


def test_all_symbols_that_are_fed_back_are_the_same(system, broker, accepted):  # noqa: F811
    """Record, export, feed back into a second broker, compare."""
    fed(system.feed(broker, "second"), "Y", 1, 300)
    exported = ran(broker, "--since", "start", "--until", "end").stdout
    path = system.path("all.ndjson", exported)
    second = system.broker()
    feeder = system.feeder(second, f"ndjson:{path}?speed=0", wait=False, timestamps="tape")
    feeder.wait_for_exit()
    again = ran(second, "--since", "start", "--until", "end").stdout

    def plain(text):
        return [{k: v for k, v in json.loads(line).items() if k not in ("seq", "prev", "source")}
                for line in text.splitlines() if '"type":"quote"' in line]

    assert plain(again) == plain(exported)
    assert len(plain(again)) == 2300
