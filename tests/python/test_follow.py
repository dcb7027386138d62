"""Followers of the Python package, through everything that may happen to a connection."""

import signal

import pytest

import pregon
from programs import Follower, follow
from sieve import Sieve

BOTH = pytest.mark.parametrize("is_sync", [False, True], ids=["async", "sync"])


def lasts(follower, symbol):
    return [q["last"] for q in follower.all("quote") if q["symbol"] == symbol]


@pytest.mark.every_python
@BOTH
def test_it_shows_last_values_then_quotes_and_states(system, python, is_sync):
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("DAX", bid="1.0842", ask="1.08430", venue="X", depth=[1, 2])
    feed.quote("GOLD", last="2411.10")
    feed.wait_processed()
    client = follow(system, python, gateway, is_sync, symbols=["DAX", "USD*"])
    dax = client.receive("quote", symbol="DAX")
    assert (dax["bid"], dax["ask"], dax["last"], dax["prev"]) == ("1.0842", "1.08430", None, None)
    assert dax["extra"] == {"venue": "X", "depth": [1, 2]}
    assert dax["text"] == "DAX 1.0842 / 1.08430 live"
    feed.quote("USD/THB", last="24.90")
    quote = client.receive("quote", symbol="USD/THB")
    assert (quote["last"], quote["state"]) == ("24.90", "live")
    feed.goodbye()
    client.receive("state", symbol="DAX", state="stale")
    assert lasts(client, "GOLD") == []


@pytest.mark.every_python
@BOTH
def test_in_mode_all_it_gets_every_quote_once_through_restarts(system, python, is_sync):
    broker = system.broker(store=f"sqlite:{system.path('pregon.db')}")
    gateway = system.gateway(broker)
    feed = system.feed(broker)
    client = follow(system, python, gateway, is_sync, symbols="USD*", mode="all").connected()

    def call(first, last):
        for n in range(first, last + 1):
            feed.quote("USD/THB", last=str(n))
        feed.wait_processed()

    call(1, 10)
    client.receive("quote", last="10")
    for victim, end, last in ((gateway, "kill", 20), (gateway, "stop", 30), (broker, "kill", 40)):
        getattr(victim, end)()
        if victim is gateway:
            call(last - 9, last)
        victim.start()
        if victim is broker:
            call(last - 9, last)
        client.receive("quote", last=str(last))
    assert lasts(client, "USD/THB") == [str(n) for n in range(1, 41)]
    assert client.all("lost") == client.all("reset") == []


@BOTH
def test_it_reconnects_for_a_record_that_the_network_dropped(system, python, is_sync):
    broker, gateway = system.start()
    feed = system.feed(broker)
    sieve = system.add(Sieve(gateway))
    client = Follower(system, python, sieve.url, is_sync, symbols="DAX", mode="all").connected()

    def call(first, last):
        for n in range(first, last + 1):
            feed.quote("DAX", last=str(n))
        feed.wait_processed()

    call(1, 1)
    client.receive("quote", last="1")
    sieve.swallow(b'"last":"3"', times=1)
    call(2, 5)
    client.receive("quote", last="5")
    assert lasts(client, "DAX") == ["1", "2", "3", "4", "5"]
    assert client.all("lost") == []


@BOTH
def test_a_record_that_never_arrives_is_reported_as_lost(system, python, is_sync):
    broker, gateway = system.start()
    feed = system.feed(broker)
    sieve = system.add(Sieve(gateway))
    client = Follower(system, python, sieve.url, is_sync, symbols="DAX", mode="all").connected()
    feed.quote("DAX", last="1")
    client.receive("quote", last="1")
    sieve.swallow(b'"last":"3"', times=1000)
    for n in range(2, 6):
        feed.quote("DAX", last=str(n))
    feed.wait_processed()
    lost = client.receive("lost", reason="gap", symbol="DAX")
    assert (lost["count"], lost["feed"]) == (1, "")
    client.receive("quote", last="5")
    assert lasts(client, "DAX") == ["1", "2", "4", "5"]


@BOTH
def test_a_new_log_is_reported_before_its_values(system, python, is_sync):
    broker = system.broker(store="memory")
    gateway = system.gateway(broker)
    feed = system.feed(broker)
    feed.quote("DAX", last="1")
    client = follow(system, python, gateway, is_sync, symbols="DAX", mode="all")
    client.receive("quote", last="1")
    broker.kill()
    broker.start()
    client.receive("reset", reason="log_replaced")
    feed.quote("DAX", last="2")
    client.receive("quote", last="2")


@BOTH
def test_a_program_goes_on_from_its_position_after_its_own_restart(system, python, is_sync):
    broker, gateway = system.start()
    feed = system.feed(broker)
    first = follow(system, python, gateway, is_sync, symbols="DAX", mode="all", stop="2",
                   positions=True)
    first.connected()
    for n in range(1, 6):
        feed.quote("DAX", last=str(n))
    feed.wait_processed()
    first.receive("end")
    first.wait_for_exit(0)
    at = first.all("position")[-1]["at"]
    pregon.eventually(lambda: gateway.status()["active_connections"], lambda n: n == 0)
    second = follow(system, python, gateway, is_sync, symbols="DAX", mode="all", since=at)
    second.receive("quote", last="5")
    assert lasts(first, "DAX") + lasts(second, "DAX") == ["1", "2", "3", "4", "5"]
    assert second.all("status")[1]["recovered"] is True


@BOTH
def test_a_gateway_that_stands_still_is_noticed(system, python, is_sync):
    broker, gateway = system.start(heartbeat=1)
    client = follow(system, python, gateway, is_sync).connected()
    gateway.signal(signal.SIGSTOP)
    assert client.receive("status", phase="waiting")["text"].startswith(
        "nothing was heard for 3 s; next attempt in ")
    gateway.signal(signal.SIGCONT)
    client.connected()


@BOTH
def test_of_several_gateways_it_takes_one_that_runs(system, python, is_sync):
    broker, gateway = system.start()
    away = "http://" + pregon.free_address().removeprefix("tcp://")
    client = Follower(system, python, [away, gateway.url], is_sync)
    assert "cannot be reached" in client.receive("status", phase="waiting")["text"]
    client.connected()


REFUSALS = {
    "unauthorized": ({"websocket_token": "t0ps3cret"}, {"token": "wrong"}, 401, 4401),
    "malformed": ({}, {"urls": "/ws/cotizaciones?symbol=DAX"}, 400, 400),
    "no_such_path": ({}, {"urls": "/ws/quotes"}, 404, 404),
}


@pytest.mark.every_python
@BOTH
def test_a_wrong_token_is_an_exception_with_reason_and_hint(system, python, is_sync):
    broker, gateway = system.start(websocket_token="t0ps3cret")
    client = follow(system, python, gateway, is_sync, token="wrong")
    refused = client.receive("refused", code="unauthorized", status=401)
    assert refused["message"] and refused["hint"]
    client.wait_for_exit(0)


@BOTH
@pytest.mark.parametrize("explain", [0, 1])
@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_that_stays_is_an_exception_with_reason_and_hint(
    system, python, code, explain, is_sync
):
    settings, options, status, close = REFUSALS[code]
    broker, gateway = system.start(websocket_explain=explain, **settings)
    options = {**options, "urls": gateway.url + options.get("urls", "")}
    client = Follower(system, python, is_sync=is_sync, **options)
    refused = client.receive("refused")
    assert (refused["code"], refused["status"]) == (code, close if explain else status)
    assert refused["message"]
    if code != "no_such_path":
        assert refused["hint"]
    client.wait_for_exit(0)


@BOTH
@pytest.mark.parametrize("explain", [0, 1])
def test_a_full_gateway_is_tried_again_until_it_has_a_place(system, python, explain, is_sync):
    broker, gateway = system.start(websocket_max_connections=1, websocket_explain=explain)
    first = follow(system, python, gateway, is_sync).connected()
    second = follow(system, python, gateway, is_sync)
    status = second.receive("status", phase="waiting")
    assert status["refusal"]["code"] == "max_connections"
    first.kill()
    second.connected()


@BOTH
def test_a_token_admits(system, python, is_sync):
    broker, gateway = system.start(websocket_token="t0ps3cret")
    follow(system, python, gateway, is_sync, token="t0ps3cret").connected()


@BOTH
def test_symbols_beyond_the_gateways_limit_are_an_exception(system, python, is_sync):
    broker, gateway = system.start(max_symbols=2)
    client = follow(system, python, gateway, is_sync, symbols=["A", "B", "C"])
    refused = client.receive("refused", code="too_many_symbols")
    assert "C" in refused["message"] and "MAX_SYMBOLS" in refused["hint"]
    client.wait_for_exit(0)


@BOTH
def test_a_trace_and_a_limit_of_updates_are_passed_on(system, python, is_sync):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = follow(system, python, gateway, is_sync, trace=True, max_hz=100).connected()
    feed.quote("DAX", last="1")
    quote = client.receive("quote", last="1")
    assert quote["extra"]["trace"]["written"] > 10**15
    bad = follow(system, python, gateway, is_sync, max_hz=0)
    assert bad.receive("refused")["code"] == "bad_request"
    bad.wait_for_exit(0)
