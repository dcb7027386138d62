"""The history of a symbol over HTTP: complete, in both orders, from the ring, the store or both."""

import sqlite3
import threading
import time
import urllib.parse

import pytest

import pregon

SMALL = 1048576  # the smallest ring


@pytest.fixture(params=["memory", "sqlite"])
def settings(request, system):
    if request.param == "memory":
        return {"store": "memory"}
    return {"store": f"sqlite:{system.path('pregon.db')}", "journal_bytes": SMALL}


def page(gateway, symbol, **query):
    answer = gateway.get(f"/cotizaciones/quotes/{symbol}/history?" + urllib.parse.urlencode(query))
    assert answer.status == 200, answer.body
    return answer.json()


def pages(gateway, symbol, between=lambda: None, **query):
    """All pages, as a reader follows `next`."""
    found = []
    while True:
        found.append(page(gateway, symbol, **query))
        assert found[-1]["truncated"] == ("next" in found[-1])
        if "next" not in found[-1]:
            return found
        query["next"] = found[-1]["next"]
        between()


def records(all_pages):
    return [r for p in all_pages for r in p["records"]]


def plain(message):
    return {k: v for k, v in message.items() if k != "accepted"}


def follower(system, gateway, symbol):
    """A client in mode all, whose tale of this symbol is complete from the beginning."""
    client = system.client(gateway, f"?mode=all&symbols={symbol}")
    client.receive("ack")
    return client


def told(client):
    return [m for m in client.messages if m["type"] in ("quote", "state")]


def fed(feed, symbol, first, last, **more):
    for n in range(first, last + 1):
        feed.quote(symbol, last=f"{n}.50", n=n, **more)
        feed.quote("OTHER", last="1")
    feed.wait_processed()


def all_stored(control):
    """Wait until the store has all records that the ring has overwritten."""
    head, store = control.request("status")["seq"], control.request("status")["store"]
    if store["kind"] != "memory":
        pregon.eventually(lambda: control.request("status")["store"]["stored"], lambda n: n >= head)


def check_both_ways(gateway, symbol, expected, **query):
    for order in ("oldest", "newest"):
        found = pages(gateway, symbol, order=order, **query)
        got = records(found)
        assert [plain(r) for r in got] == (expected if order == "oldest" else expected[::-1])
        assert all(p["complete"] and not p["gaps"] for p in found)
        assert all(abs(r["accepted"] - time.time()) < 600 for r in got)


# --- what it tells ---------------------------------------------------------------------------


def test_the_history_equals_the_quotes_of_a_client_in_mode_all(system, settings):
    broker = system.broker(**settings)
    gateway = system.gateway(broker)
    client = follower(system, gateway, "USD/THB")
    feed = system.feed(broker)
    fed(feed, "USD/THB", 1, 1500, note="x" * 700)
    feed.goodbye()
    client.receive("state", state="stale")
    expected = told(client)
    assert len(expected) == 1501
    all_stored(system.control(broker))
    for limit in (1000, 333):
        check_both_ways(gateway, "USD/THB", expected, limit=limit)
    check_both_ways(gateway, "USD%2FTHB", expected)
    one = page(gateway, "USD/THB", limit=1)
    assert one["records"][0]["state"] == "stale" and one["truncated"]
    slash = gateway.page("quotes/USD/THB/history/?limit=2")
    assert slash["records"][1]["last"] == "1500.50"
    first = page(gateway, "USD/THB", order="oldest", limit=1)
    assert (first["symbol"], first["order"]) == ("USD/THB", "oldest")
    assert first["head"] >= one["records"][0]["seq"] and first["first"] == 1


def test_a_consumer_continues_over_killed_brokers(system):
    broker = system.broker(store=f"sqlite:{system.path('pregon.db')}", journal_bytes=SMALL)
    gateway = system.gateway(broker)
    client = follower(system, gateway, "X")
    feed = system.feed(broker)
    for life in range(4):
        fed(feed, "X", life * 300 + 1, life * 300 + 300, note="x" * 900)
        broker.kill()
        broker.start()
    fed(feed, "X", 1201, 1210)
    client.receive("quote", n=1210)
    pregon.eventually(lambda: gateway.page("health")["broker"]["status"], lambda s: s == "up")
    expected = told(client)
    assert [m["n"] for m in expected if m["type"] == "quote"] == list(range(1, 1211))
    all_stored(system.control(broker))
    check_both_ways(gateway, "X", expected, limit=100)


def test_pages_stay_true_while_quotes_flow(system, settings):
    broker = system.broker(**settings)
    gateway = system.gateway(broker)
    feeder = system.feeder(broker, "sim:20?rate=4000", feed="sim")
    control = system.control(broker)
    pregon.eventually(lambda: control.request("status")["seq"], lambda seq: seq > 20000)
    names = [q["symbol"] for q in gateway.page("quotes")["quotes"]]
    symbol = sorted(names)[0]
    every = follower(system, gateway, urllib.parse.quote(symbol, safe=""))
    epoch, since = every.received("ack")[0]["epoch"], every.receive("snapshot")["seq"]
    start = f"{epoch}:{since}"
    every.wait_until(lambda all: len(all) > 300)
    all_stored(control)
    before = threading.Event()
    newest = pages(gateway, symbol, limit=50, since=start, between=lambda: before.wait(0.01))
    oldest = pages(gateway, symbol, limit=50, since=start, order="oldest",
                   until=f"{newest[0]['epoch']}:{newest[0]['head']}")
    assert records(newest) == records(oldest)[::-1]
    feeder.stop()
    every.wait_until(lambda all: any(m.get("seq", 0) >= newest[0]["head"] for m in all))
    expected = [m for m in told(every) if since < m["seq"] <= newest[0]["head"]]
    assert [plain(r) for r in records(oldest)] == expected
    assert len(expected) > 100


def test_positions_and_times_bound_it(system, settings):
    broker = system.broker(**settings)
    gateway = system.gateway(broker)
    feed = system.feed(broker)
    fed(feed, "X", 1, 10)
    threading.Event().wait(0.01)
    middle = time.time()
    threading.Event().wait(0.01)
    fed(feed, "X", 11, 20)
    whole = records(pages(gateway, "X", order="oldest"))
    epoch, seqs = page(gateway, "X")["epoch"], [r["seq"] for r in whole]
    iso = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(middle)) + f"{middle % 1:.6f}"[1:] + "Z"

    def numbers(**query):
        return [r["n"] for r in page(gateway, "X", order="oldest", **query)["records"]]

    for when in (f"@{middle:.6f}", iso):
        assert numbers(since=when) == list(range(11, 21))
        assert numbers(until=when) == list(range(1, 11))
        assert numbers(since=seqs[4], until=when) == list(range(6, 11))
    for position in (seqs[4], f"{epoch}:{seqs[4]}"):
        assert numbers(since=position) == list(range(6, 21))
        assert numbers(until=position) == list(range(1, 6))
    assert numbers(since=seqs[4], until=seqs[6]) == [6, 7]
    assert numbers(since=seqs[4], until=seqs[4]) == []
    assert numbers(since=0, until=0) == []
    assert numbers(since=f"{epoch}:99999999999") == []
    assert page(gateway, "OTHER", since="@1", limit=3)["truncated"] is True


def test_a_page_that_would_be_too_large_ends_early(system, settings):
    broker = system.broker(**settings)
    gateway = system.gateway(broker, client_queue=4 << 20)  # the client may be slower than the feed
    client = follower(system, gateway, "X")
    feed = system.feed(broker)
    fed(feed, "X", 1, 150, note="x" * 7500)
    client.receive("quote", n=150)
    all_stored(system.control(broker))
    found = pages(gateway, "X", order="oldest")
    assert all(p["complete"] and not p["gaps"] for p in found)
    assert len(found) > 3 and all(p["records"] for p in found)
    assert [plain(r) for r in records(found)] == told(client)


def test_fields_of_a_quote_with_our_names_stay_what_they_were(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("X", last="1", accepted="mine", epoch="mine too")
    feed.wait_processed()
    answer = gateway.get("/cotizaciones/quotes/X/history")
    assert answer.body.count(b'"accepted"') == 1
    assert answer.json()["records"][0]["accepted"] == "mine"


# --- what is missing ----------------------------------------------------------------------------


def test_positions_that_were_not_stored_are_reported_as_a_gap(system):
    path = system.path("pregon.db")
    broker = system.broker(store=f"sqlite:{path}", journal_bytes=SMALL)
    gateway = system.gateway(broker)
    control = system.control(broker)
    feed = system.feed(broker)
    fed(feed, "X", 1, 10)
    pregon.eventually(lambda: control.request("status")["store"]["stored"], lambda n: n == 20)
    lock = sqlite3.connect(path, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")  # the writer waits; readers do not
    n = 10
    # More than waits to be written at most (32 MiB) and is in the ring.
    while n < 5800:
        fed(feed, "X", n + 1, n + 200, note="x" * 7900)
        n += 200
    ring = control.request("status")["journal_first"]
    for order in ("oldest", "newest"):
        found = pages(gateway, "X", order=order)
        (gap,) = [g for p in found for g in p["gaps"]]
        assert gap == {"first": 21, "last": ring - 1, "reason": "not_stored_yet"}
        kept = [r["n"] for r in records(found)]
        assert kept[:10] == list(range(1, 11)) if order == "oldest" else kept[0] == n
        assert not all(p["complete"] for p in found)
    lock.execute("ROLLBACK")
    lock.close()
    fed(feed, "X", n + 1, n + 1)
    head = control.request("status")["seq"]
    pregon.eventually(lambda: control.request("status")["store"]["stored"], lambda s: s >= head)
    holes = sorted(rows(path, "SELECT first, last FROM gaps"))
    assert holes
    for order in ("oldest", "newest"):
        found = pages(gateway, "X", order=order)
        gaps = [g for p in found for g in p["gaps"]]
        assert sorted((g["first"], g["last"]) for g in gaps) == holes
        assert {g["reason"] for g in gaps} == {"not_stored"}
        seqs = [r["seq"] for r in records(found)]
        assert seqs == sorted(set(seqs), reverse=order == "newest")
        missing = sum(last - first + 1 for first, last in holes)
        assert abs((head - missing) / 2 - len(seqs)) < 10


def rows(path, query):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        return db.execute(query).fetchall()


def test_the_member_first_shows_how_far_the_log_was_pruned(system):
    path = system.path("pregon.db")
    broker = system.broker(store=f"sqlite:{path}", journal_bytes=SMALL, retention_count=1000)
    gateway = system.gateway(broker)
    feed = system.feed(broker)
    fed(feed, "X", 1, 3000, note="x" * 500)
    pregon.eventually(
        lambda: rows(path, "SELECT count(*), max(seq) FROM log")[0],
        lambda log: log[0] <= 1000 and log[1] == 6000,
        "that all is stored and pruned",
    )
    found = pages(gateway, "X", order="oldest")
    assert found[0]["first"] > 1000 and found[0]["complete"] is True
    assert records(found)[-1]["n"] == 3000
    assert records(found) == records(pages(gateway, "X"))[::-1]
    since = page(gateway, "X", order="oldest", since=2)
    assert (since["complete"], since["gaps"]) == (False, [])


def test_a_position_of_another_log_is_not_believed(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    fed(feed, "X", 1, 5)
    old = page(gateway, "X", limit=2)
    broker.kill()
    broker.start()
    feed.wait_processed()
    fed(system.feed(broker, name="other"), "X", 6, 8)
    pregon.eventually(lambda: gateway.page("health")["broker"]["epoch"],
                      lambda epoch: epoch != old["epoch"])
    for bound in (f"since={old['epoch']}:1", f"until={old['epoch']}:1", f"next={old['next']}"):
        answer = gateway.get("/cotizaciones/quotes/X/history?" + bound)
        assert (answer.status, answer.code) == (410, "log_replaced"), answer.body
    assert page(gateway, "X", since=0)["epoch"] != old["epoch"]


# --- refusals -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared(shared_system):
    broker, gateway = shared_system.start(cors_origins="http://page.example")
    feed = shared_system.feed(broker)
    feed.quote("USD/THB", last="24.80")
    feed.wait_processed()
    return gateway


@pytest.mark.parametrize("query, name", [
    ("since=", "since"), ("since=soon", "since"), ("since=-1", "since"), ("since=1.5", "since"),
    ("since=1795382037", "since"), ("since=1795382037.5", "since"), ("since=@", "since"),
    ("since=2026-02-30T00:00:00Z", "since"), ("until=x", "until"), ("until=%zz", "until"),
    ("since=0efc6f433b8d1fa2:", "since"), ("since=efc6f433b8d1fa2:1", "since"),
    ("since=0efc6f433b8d1fa2:1&until=1efc6f433b8d1fa2:2", "until"), ("until=" + "1" * 70, "until"),
    ("next=5", "next"), ("next=", "next"), ("order=up", "order"), ("order=", "order"),
    ("limit=0", "limit"), ("limit=1001", "limit"), ("limit=x", "limit"), ("limit=", "limit"),
])
def test_the_answer_to_a_malformed_request_states_the_permitted_values(prepared, query, name):
    answer = prepared.get("/cotizaciones/quotes/USD/THB/history?" + query)
    assert (answer.status, answer.code) == (400, "bad_request"), answer.body
    error = answer.json()["error"]
    assert f"'{name}'" in error["message"] and error["hint"]


@pytest.mark.parametrize("path, status, code", [
    ("NOTHING/history", 404, "unknown_symbol"), ("a/history", 400, "bad_symbol"),
    ("history", 400, "bad_symbol"), ("/history", 400, "bad_symbol"),
    ("USD/THB/historY", 400, "bad_symbol"), ("USD/THB/HISTORY", 404, "unknown_symbol"),
    ("USD/THB/history/more", 400, "bad_symbol"), ("A" * 33 + "/history", 400, "bad_symbol"),
])
def test_no_symbol_is_taken_for_its_history(prepared, path, status, code):
    answer = prepared.get("/cotizaciones/quotes/" + path)
    assert (answer.status, answer.code) == (status, code), answer.body


def test_a_symbol_may_end_like_the_path(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("X/HISTORY", last="1")
    feed.quote("X", last="2")
    feed.wait_processed()
    assert page(gateway, "X/HISTORY")["records"][0]["last"] == "1"
    assert page(gateway, "X")["records"][0]["last"] == "2"
    assert gateway.page("quotes/X/HISTORY")["last"] == "1"


def test_it_is_read_only_and_for_listed_origins_like_its_neighbours(prepared):
    path = "/cotizaciones/quotes/USD/THB/history"
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = prepared.get(path, method)
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    head = prepared.get(path, "HEAD")
    assert (head.status, head.body) == (200, b"")
    for origin, allowed in (("http://page.example", "http://page.example"),
                            ("http://evil.example", None)):
        answer = prepared.get(path, headers={"Origin": origin})
        assert answer.status == 200 and answer.headers["Vary"] == "Origin"
        assert answer.headers["Access-Control-Allow-Origin"] == allowed
        flight = prepared.get(path, "OPTIONS", headers={
            "Origin": origin, "Access-Control-Request-Method": "GET"})
        assert flight.status == (200 if allowed else 400)


def test_without_the_broker_it_is_unavailable(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    fed(feed, "X", 1, 3)
    assert page(gateway, "X")["records"]
    broker.stop()
    answer = gateway.get("/cotizaciones/quotes/X/history")
    assert (answer.status, answer.code) == (503, "broker_away")
    assert int(answer.headers["Retry-After"]) > 0
