"""The example clients over WebSocket and HTTP do what consumer/examples describes."""

import os
import re
import sys

import pytest

from example_client import Client, example, node_command
from sieve import Sieve


def follow_through_everything(system, command, name, code):
    """Snapshot, quote, a gateway that restarts, staleness."""
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("DAX", bid="1.0842", ask="1.0843")
    feed.quote("GOLD", last="2411.10")
    feed.wait_processed()
    client = Client(system, gateway, command, name, code)
    client.wait_for_log(r"^DAX 1\.0842 / 1\.0843 live$")
    feed.quote("USD/THB", last="24.90")
    client.wait_for_log(r"^USD/THB 24\.90 live$")
    gateway.stop()
    feed.quote("USD/THB", last="24.95")
    feed.wait_processed()
    gateway.start()
    client.wait_for_log(r"^USD/THB 24\.95 live$")
    feed.goodbye()
    client.wait_for_log(r"^DAX 1\.0842 / 1\.0843 stale$")
    assert not client.logged("GOLD")
    client.kill()


def asking(code, name, value):
    """The client with one more parameter."""
    for there, more in (
        ("symbols=DAX,USD*", f"&{name}={value}"),
        ('["DAX", "USD*"],', f' {name}: "{value}",'),
    ):
        if code.count(there) == 1:
            return code.replace(there, there + more)
    raise AssertionError("it does not say what it asks for")


def lose_nothing_in_mode_all(system, command, name, code):
    """The client gets every quote once and in order while gateways are killed and restarted."""
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = Client(system, gateway, command, name, asking(code, "mode", "all"))

    def call(first, last):
        for n in range(first, last + 1):
            feed.quote("USD/THB", last=str(n))
        feed.wait_processed()

    call(1, 1)
    client.wait_for_log(r"^USD/THB 1 live$")
    call(2, 10)
    client.wait_for_log(r"^USD/THB 10 live$")
    for end, last in (("kill", 20), ("stop", 30)):
        getattr(gateway, end)()
        call(last - 9, last)
        gateway.start()
        client.wait_for_log(rf"^USD/THB {last} live$")
    told = [int(m[1]) for m in client.logged(r"^USD/THB (\d+) live$")]
    assert told == list(range(1, 31))
    client.kill()


def fetch_what_is_missing(system, command, name, code):
    """The client reconnects to get a record that a bad network dropped."""
    broker, gateway = system.start()
    feed = system.feed(broker)
    sieve = system.add(Sieve(gateway))
    code = asking(code, "mode", "all").replace("127.0.0.1:8000", sieve.url.removeprefix("ws://"))
    client = Client(system, gateway, command, name, code)

    def call(first, last):
        for n in range(first, last + 1):
            feed.quote("DAX", last=str(n))
        feed.wait_processed()

    call(1, 1)
    client.wait_for_log("^DAX 1 live$")
    sieve.swallow(b'"last":"3"', times=1)
    call(2, 5)
    client.wait_for_log("^DAX 5 live$")
    assert [int(m[1]) for m in client.logged(r"^DAX (\d+) live$")] == [1, 2, 3, 4, 5]
    client.kill()


def test_the_python_client_follows_quotes_through_a_restart(system):
    code = example("stream.py")
    follow_through_everything(system, [sys.executable, "-u"], "client.py", code)


def test_the_python_client_loses_no_quote_in_mode_all(system):
    code = example("stream.py")
    lose_nothing_in_mode_all(system, [sys.executable, "-u"], "client.py", code)


def test_the_python_client_comes_back_for_a_record_that_is_missing(system):
    fetch_what_is_missing(system, [sys.executable, "-u"], "client.py", example("stream.py"))


# From version 14 on websockets raises another class; the old class is gone from version 16 on.
AS_NEWER = """
import websockets

Old = websockets.InvalidStatusCode


class InvalidStatus(websockets.InvalidHandshake):
    pass


class connect(websockets.connect):
    async def __aenter__(self):
        try:
            return await super().__aenter__()
        except Old as e:
            raise InvalidStatus("server rejected WebSocket connection: HTTP 503") from e


websockets.connect = connect
websockets.InvalidStatusCode = None
"""
NEWEST = os.environ.get("PREGON_NEWEST_WEBSOCKETS")  # a Python that has them


@pytest.mark.parametrize("version", ["installed", "newer", "newest"])
def test_the_python_client_shows_why_it_was_refused(system, version):
    if version == "newest" and not NEWEST:
        pytest.skip("PREGON_NEWEST_WEBSOCKETS names no Python")
    broker, gateway = system.start(websocket_enabled=0)
    code = (AS_NEWER if version == "newer" else "") + example("stream.py")
    client = Client(system, gateway, [NEWEST if version == "newest" else sys.executable, "-u"],
                     "client.py", code)
    client.wait_for_log(
        r"^refused: websocket_disabled: WebSockets are turned off here\. Set WEBSOCKET_ENABLED=1"
    )
    client.kill()


def test_the_python_client_names_a_parameter_that_does_not_exist(system):
    broker, gateway = system.start()
    code = example("stream.py").replace("symbols=DAX", "symbol=DAX")
    client = Client(system, gateway, [sys.executable, "-u"], "client.py", code)
    client.wait_for_log(r"^refused: malformed: The parameter 'symbol' does not exist here")
    client.kill()


def test_the_javascript_client_follows_quotes_through_a_restart(system):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    follow_through_everything(system, command, "client.mjs", example("stream.mjs"))


def test_the_javascript_client_loses_no_quote_in_mode_all(system):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    lose_nothing_in_mode_all(system, command, "client.mjs", example("stream.mjs"))


def test_the_javascript_client_comes_back_for_a_record_that_is_missing(system):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    fetch_what_is_missing(system, command, "client.mjs", example("stream.mjs"))


def test_the_javascript_client_shows_why_it_was_refused(system):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    broker, gateway = system.start(websocket_enabled=0)
    client = Client(system, gateway, command, "client.mjs", example("stream.mjs"))
    client.wait_for_log(r"^refused: websocket_disabled: .*WEBSOCKET_ENABLED")
    client.kill()


REJECTED = """
import { connect } from "./consumer/js/pregon.js";

connect("ws://127.0.0.1:8000", {
  symbols: ["dax", "DAX", "A", "B", "C"],
  onStatus: ({ phase, text, rejected }) =>
    console.log("status", phase, text, JSON.stringify(rejected)),
  onError: (error) =>
    console.log("error", error.code, JSON.stringify(error.symbols), error.message),
});
"""


def test_the_javascript_client_shows_rejected_symbols_and_the_reasons(system):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    broker, gateway = system.start(max_symbols=3)
    client = Client(system, gateway, command, "rejected.mjs", REJECTED)
    client.wait_for_log(
        r'^error rejected \["dax","C"\] the gateway does not take dax: no symbol: 1 to 32 of .*; '
        r'did you mean '
        r"DAX\?; C: over the limit of 3 patterns, MAX_SYMBOLS$"
    )
    client.wait_for_log(r"^status connected connected; rejected: dax \(no symbol.*\), "
                        r"C \(over .*\) "
                        r'\[\{"symbol":"dax","code":"bad_symbol","reason":"no symbol')
    client.kill()


MISSPELT = """
import { connect } from "./consumer/js/pregon.js";

connect("ws://127.0.0.1:8000/ws/cotizaciones?symbol=DAX&token=t0ps3cret", {
  onStatus: ({ phase, text }) => console.log("status", phase, text),
});
"""


def test_the_javascript_client_names_an_unknown_parameter_of_its_address(system):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    broker, gateway = system.start()
    client = Client(system, gateway, command, "misspelt.mjs", MISSPELT)
    client.wait_for_log(r"^status refused malformed: The parameter 'symbol' does not exist here")
    assert not gateway.logged("t0ps3cret")
    client.kill()


def test_the_javascript_client_shows_the_check_the_token_it_was_refused_with(system):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    broker, gateway = system.start(websocket_token="t0ps3cret", websocket_max_connections=1)
    code = asking(example("stream.mjs"), "token", "t0ps3cret")
    first = Client(system, gateway, command, "first.mjs", code)
    system.feed(broker).quote("DAX", last="1")
    first.wait_for_log("^DAX 1 live$")
    second = Client(system, gateway, command, "second.mjs", code)
    second.wait_for_log(r"^refused: (max_connections|unauthorized): ")
    assert not second.logged("unauthorized")
    first.kill()
    second.kill()


def test_the_python_client_backs_off_when_it_is_refused_by_close_code(system):
    broker, gateway = system.start(websocket_max_connections=0, websocket_explain=1)
    code = example("stream.py").replace(
        "await asyncio.sleep(pause ", "print('attempt', attempt) or await asyncio.sleep(0 "
    )
    client = Client(system, gateway, [sys.executable, "-u"], "client.py", code)
    client.wait_for_log("^attempt 4$")
    client.kill()


def test_the_bot_takes_its_lock_renews_it_and_releases_it(system):
    broker, gateway = system.start(locks_token="open-sesame")
    bot = Client(system, gateway, [sys.executable], "bot.py", example("lock.py"))
    bot.wait_for_exit()
    done = [
        m[1] for m in gateway.logged(r'"(PUT|DELETE) /cotizaciones/locks/telegram-bot.* 200 OK')
    ]
    assert done == ["PUT", "PUT", "DELETE"]
    (lock,) = gateway.page("telegram_locks_status")["locks"]
    assert (lock["name"], lock["state"], lock["token"] > 0) == ("telegram-bot", "free", True)

    held = {"Authorization": "Bearer open-sesame"}
    path = "/cotizaciones/locks/telegram-bot"
    assert gateway.get(path, "PUT", held, '{"owner":"another","ttl":60}').status == 200
    second = Client(system, gateway, [sys.executable], "bot2.py", example("lock.py"))
    second.wait_for_exit(1)
    assert second.logged("^held: .*another")
    assert not second.logged("Traceback")
    assert gateway.page("locks/telegram-bot")["holder"] == "another"
