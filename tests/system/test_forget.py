"""Symbols and feeds that will not come back are removed, on all gateways and after restarts."""

import os
import sqlite3
import subprocess

import pytest

import consumer
import pregon
from openapi import as_described
from test_pages import check, is_text

TOKEN = "let-me-tidy"
BEARER = {"Authorization": "Bearer " + TOKEN}


def removed(gateway, path):
    answer = gateway.get("/cotizaciones/" + path, "DELETE", BEARER)
    assert answer.status == 200, answer.body
    as_described(answer.json(), "Removal", path)
    return answer.json()


def refused(answer, status, code):
    assert (answer.status, answer.code) == (status, code), answer.body
    check(answer.json()["error"], {"code": code, "message": is_text, "request_id": is_text,
                                   "hint": is_text})
    return answer.json()["error"]


def symbols(gateway):
    return {q["symbol"] for q in gateway.page("quotes")["quotes"]}


def feeds(gateway):
    return {f["name"]: f["status"] for f in gateway.page("health")["feeds"]}


@pytest.fixture
def broker(system):
    return system.broker()


def fed(system, broker, name="feed", *names):
    feed = system.feed(broker, name)
    for symbol in names or ("A", "B"):
        feed.quote(symbol, last="1.50")
    feed.wait_processed()
    return feed


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_removed_symbol_is_gone_everywhere_and_after_a_restart(system, end):
    path = system.path("pregon.db")
    broker = system.broker(store=f"sqlite:{path}")
    gateway, other = (system.gateway(broker, admin_token=TOKEN) for _ in range(2))
    fed(system, broker).goodbye()
    client = system.client(other, "?symbols=A,B&mode=all")
    client.receive("snapshot", symbol="A")

    answer = removed(gateway, "quotes/A")
    assert (answer["symbol"], answer["symbols"]) == ("A", 1)
    told = client.receive("state", symbol="A", state="removed")
    assert told["seq"] == answer["seq"]
    broker.wait_for_log(r"symbol A is removed at position \d+, as requested by 127\.0\.0\.1:\d+ "
                        r"over HTTP")
    for one in (gateway, other):
        assert symbols(one) == {"B"}
        assert one.get("/cotizaciones/quotes/A").code == "unknown_symbol"
        assert one.page("health")["broker"]["symbols"] == 1
    late = system.client(other, "?symbols=*")
    late.receive("snapshot", symbol="B")
    assert not late.received("snapshot", symbol="A")

    getattr(broker, end)()
    broker.start()
    pregon.eventually(lambda: symbols(gateway), lambda s: s == {"B"})
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as db:
        assert db.execute("SELECT symbol FROM latest").fetchall() == [("B",)]
    # its history stays, and a new quote brings it back, in the same chain
    fed(system, broker, "again", "A")
    back = client.receive("quote", symbol="A", where=lambda m: m["seq"] > answer["seq"])
    assert back["prev"] == answer["seq"]
    history = gateway.page("quotes/A/history?order=oldest")["records"]
    assert [r.get("state") for r in history] == [None, "stale", "removed", None]
    assert symbols(gateway) == {"A", "B"}


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_feed_that_has_ended_is_removed_with_its_symbols(system, end):
    broker = system.broker(store=f"sqlite:{system.path('pregon.db')}")
    gateway = system.gateway(broker, admin_token=TOKEN)
    fed(system, broker, "old", "A", "B").goodbye()
    fed(system, broker, "new", "B", "C")
    control = system.control(broker)
    pregon.eventually(lambda: control.request("status"), lambda s: s["store"]["stored"] == s["seq"])
    assert feeds(gateway) == {"old": "ended", "new": "live"}
    assert gateway.page("feeds/old")["status"] == "ended"

    assert removed(gateway, "feeds/old")["symbols"] == 1
    assert feeds(gateway) == {"new": "live"}
    assert symbols(gateway) == {"B", "C"}
    assert b'feed="old"' not in gateway.get("/metrics").body
    refused(gateway.get("/cotizaciones/feeds/old", "DELETE", BEARER), 404, "unknown_feed")
    refused(gateway.get("/cotizaciones/feeds/old"), 404, "unknown_feed")
    getattr(broker, end)()
    broker.start()
    pregon.eventually(lambda: feeds(gateway), lambda f: f == {"new": "live"})
    assert symbols(gateway) == {"B", "C"}


def test_a_live_feed_is_not_removed_and_brings_its_symbols_back(system):
    broker, gateway = system.start(admin_token=TOKEN)
    feed = fed(system, broker)
    error = refused(gateway.get("/cotizaciones/feeds/feed", "DELETE", BEARER), 409, "feed_live")
    assert "is live" in error["message"] and feeds(gateway) == {"feed": "live"}
    removed(gateway, "quotes/A")
    feed.quote("A", last="2")
    feed.wait_processed()
    assert symbols(gateway) == {"A", "B"}


def test_only_bearers_of_the_token_remove(system):
    broker, gateway = system.start()
    fed(system, broker).goodbye()
    error = refused(gateway.get("/cotizaciones/quotes/A", "DELETE", BEARER), 403, "admin_disabled")
    assert "ADMIN_TOKEN" in error["hint"]
    guarded = system.gateway(broker, admin_token=TOKEN)
    for headers in ({}, {"Authorization": "Bearer other"}, {"Authorization": TOKEN}):
        for path in ("quotes/A", "feeds/feed"):
            answer = guarded.get("/cotizaciones/" + path, "DELETE", headers)
            refused(answer, 401, "unauthorized")
            assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert symbols(guarded) == {"A", "B"}


@pytest.mark.parametrize("path,status,code", [
    ("quotes/a%20b", 400, "bad_symbol"),
    ("quotes/NOPE", 404, "unknown_symbol"),
    ("quotes/A?force=1", 400, "bad_request"),
    ("feeds/" + "x" * 65, 404, "unknown_feed"),
    ("feeds/a%22%0a", 404, "unknown_feed"),
    ("feeds/feed/", 404, "unknown_feed"),
])
def test_a_removal_that_names_nothing_changes_nothing(system, path, status, code):
    broker, gateway = system.start(admin_token=TOKEN)
    fed(system, broker).goodbye()
    refused(gateway.get("/cotizaciones/" + path, "DELETE", BEARER), status, code)
    assert symbols(gateway) == {"A", "B"} and feeds(gateway) == {"feed": "ended"}


def test_a_gateway_that_was_away_learns_what_was_removed(system):
    broker, gateway = system.start(admin_token=TOKEN)
    fed(system, broker).goodbye()
    proxies = {key: system.proxy(address) for key, address in consumer.addresses(broker).items()}
    far = system.gateway(**{f"broker_{key}": proxy.address for key, proxy in proxies.items()})
    client = system.client(far, "?symbols=*")
    client.receive("snapshot", symbol="A")
    for proxy in proxies.values():
        proxy.cut()
    removed(gateway, "quotes/A")
    client.receive("state", symbol="A", state="removed")
    assert symbols(far) == {"B"}


@pytest.mark.parametrize("mode", ["all", "merge"])
def test_a_program_that_was_away_learns_what_was_removed(system, mode):
    broker, gateway = system.start(admin_token=TOKEN)
    fed(system, broker).goodbye()
    proxies = {key: system.proxy(address) for key, address in consumer.addresses(broker).items()}
    tail = system.process("tail", {"symbols": "*", "mode": mode, **{
        f"broker_{key}": proxy.address for key, proxy in proxies.items()}}, wait=False)
    tail.wait_for_log('"symbol":"B"', stream="out")
    for proxy in proxies.values():
        proxy.cut()
    seq = removed(gateway, "quotes/A")["seq"]
    tail.wait_for_log(f'"type":"state","symbol":"A","seq":{seq},"prev":\\d+,"state":"removed"',
                      stream="out")


def test_a_client_in_merge_that_was_away_learns_what_was_removed(system):
    broker, gateway = system.start(admin_token=TOKEN)
    fed(system, broker).goodbye()
    client = system.client(gateway, "?symbols=*")
    ack = client.receive("ack")
    client.receive("snapshot", symbol="A")
    position = ack["epoch"], client.receive("heartbeat")["seq"]
    client.close()
    removed(gateway, "quotes/A")
    again = system.client(gateway, "?symbols=*&since=%s:%d" % position)
    assert again.receive("ack")["recovered"]
    again.receive("state", symbol="A", state="removed")


def test_an_ended_feed_is_not_a_silent_one(system):
    broker, gateway = system.start()
    fed(system, broker, "over", "A").goodbye()
    fed(system, broker, "broken", "B").fall_silent()
    pregon.eventually(lambda: feeds(gateway), lambda f: f == {"over": "ended", "broken": "silent"})
    metrics = gateway.get("/metrics").body.decode()
    for name, ended in (("over", 1), ("broken", 0)):
        assert f'pregon_feed_live{{feed="{name}"}} 0\n' in metrics
        assert f'pregon_feed_ended{{feed="{name}"}} {ended}\n' in metrics


def test_the_command_removes_and_says_why_not(system, broker):
    where = [f"--broker-{key}={address}" for key, address in consumer.addresses(broker).items()]

    def forget(what):
        return subprocess.run([os.path.join(pregon.BIN, "pregon-tail"), *where, "--forget", what],
                              capture_output=True, text=True, timeout=pregon.PATIENCE + 15,
                              env=pregon.plain_environment())

    feed = fed(system, broker)
    said = forget("feed:feed")
    assert said.returncode == 1 and "feed feed is live" in said.stderr
    feed.goodbye()
    said = forget("B")
    assert said.returncode == 0 and said.stdout.startswith("B is removed (1 symbols, position ")
    assert forget("B").returncode == 1
    assert forget("feed:feed").returncode == 0
    assert broker.logged(r"feed feed is removed after line 2, with 1 symbols, as requested by "
                         r"pregon-tail, uid \d+ on ")
    assert not system.control(broker).request("status")["feeds"]
