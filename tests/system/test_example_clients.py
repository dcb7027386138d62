"""The example clients over WebSocket and HTTP do what consumer/examples says of them."""

import os
import re
import sys

import pytest

from example_client import Client, example, node_command
from sieve import Sieve


def follow_through_everything(stage, command, name, code):
    """Snapshot, quote, a gateway that restarts, staleness."""
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    feed.quote("DAX", bid="1.0842", ask="1.0843")
    feed.quote("GOLD", last="2411.10")
    feed.settled()
    client = Client(stage, gateway, command, name, code)
    client.says(r"^DAX 1\.0842 / 1\.0843 live$")
    feed.quote("USD/THB", last="24.90")
    client.says(r"^USD/THB 24\.90 live$")
    gateway.stop()
    feed.quote("USD/THB", last="24.95")
    feed.settled()
    gateway.start()
    client.says(r"^USD/THB 24\.95 live$")
    feed.goodbye()
    client.says(r"^DAX 1\.0842 / 1\.0843 stale$")
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


def lose_nothing_in_mode_all(stage, command, name, code):
    """Every quote once and in order, whatever becomes of the gateway."""
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    client = Client(stage, gateway, command, name, asking(code, "mode", "all"))

    def call(first, last):
        for n in range(first, last + 1):
            feed.quote("USD/THB", last=str(n))
        feed.settled()

    call(1, 1)
    client.says(r"^USD/THB 1 live$")
    call(2, 10)
    client.says(r"^USD/THB 10 live$")
    for end, last in (("kill", 20), ("stop", 30)):
        getattr(gateway, end)()
        call(last - 9, last)
        gateway.start()
        client.says(rf"^USD/THB {last} live$")
    told = [int(m[1]) for m in client.logged(r"^USD/THB (\d+) live$")]
    assert told == list(range(1, 31))
    client.kill()


def fetch_what_is_missing(stage, command, name, code):
    """A record that a bad network swallowed is come back for."""
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    sieve = stage._with(Sieve(gateway))
    code = asking(code, "mode", "all").replace("127.0.0.1:8000", sieve.url.removeprefix("ws://"))
    client = Client(stage, gateway, command, name, code)

    def call(first, last):
        for n in range(first, last + 1):
            feed.quote("DAX", last=str(n))
        feed.settled()

    call(1, 1)
    client.says("^DAX 1 live$")
    sieve.swallow(b'"last":"3"', times=1)
    call(2, 5)
    client.says("^DAX 5 live$")
    assert [int(m[1]) for m in client.logged(r"^DAX (\d+) live$")] == [1, 2, 3, 4, 5]
    client.kill()


def test_the_python_client_follows_quotes_through_a_restart(stage):
    code = example("stream.py")
    follow_through_everything(stage, [sys.executable, "-u"], "client.py", code)


def test_the_python_client_loses_no_quote_in_mode_all(stage):
    code = example("stream.py")
    lose_nothing_in_mode_all(stage, [sys.executable, "-u"], "client.py", code)


def test_the_python_client_comes_back_for_a_record_that_is_missing(stage):
    fetch_what_is_missing(stage, [sys.executable, "-u"], "client.py", example("stream.py"))


# From version 14 on another class is raised, and the old one is gone from 16 on.
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
def test_the_python_client_tells_why_it_was_refused(stage, version):
    if version == "newest" and not NEWEST:
        pytest.skip("PREGON_NEWEST_WEBSOCKETS names no Python")
    broker, gateway = stage.play(websocket_enabled=0)
    code = (AS_NEWER if version == "newer" else "") + example("stream.py")
    client = Client(stage, gateway, [NEWEST if version == "newest" else sys.executable, "-u"],
                     "client.py", code)
    client.says(
        r"^refused: websocket_disabled: WebSockets are turned off here\. Set WEBSOCKET_ENABLED=1"
    )
    client.kill()


def test_the_python_client_names_a_parameter_that_does_not_exist(stage):
    broker, gateway = stage.play()
    code = example("stream.py").replace("symbols=DAX", "symbol=DAX")
    client = Client(stage, gateway, [sys.executable, "-u"], "client.py", code)
    client.says(r"^refused: malformed: The parameter 'symbol' does not exist here")
    client.kill()


def test_the_javascript_client_follows_quotes_through_a_restart(stage):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    follow_through_everything(stage, command, "client.mjs", example("stream.mjs"))


def test_the_javascript_client_loses_no_quote_in_mode_all(stage):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    lose_nothing_in_mode_all(stage, command, "client.mjs", example("stream.mjs"))


def test_the_javascript_client_comes_back_for_a_record_that_is_missing(stage):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    fetch_what_is_missing(stage, command, "client.mjs", example("stream.mjs"))


def test_the_javascript_client_tells_why_it_was_refused(stage):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    broker, gateway = stage.play(websocket_enabled=0)
    client = Client(stage, gateway, command, "client.mjs", example("stream.mjs"))
    client.says(r"^refused: websocket_disabled: .*WEBSOCKET_ENABLED")
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


def test_the_javascript_client_tells_what_was_rejected_and_why(stage):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    broker, gateway = stage.play(max_symbols=3)
    client = Client(stage, gateway, command, "rejected.mjs", REJECTED)
    client.says(
        r'^error rejected \["dax","C"\] the gateway does not take dax: no symbol: 1 to 32 of .*; '
        r'did you mean '
        r"DAX\?; C: over the limit of 3 patterns, MAX_SYMBOLS$"
    )
    client.says(r"^status connected connected; rejected: dax \(no symbol.*\), C \(over .*\) "
                r'\[\{"symbol":"dax","code":"bad_symbol","reason":"no symbol')
    client.kill()


MISSPELT = """
import { connect } from "./consumer/js/pregon.js";

connect("ws://127.0.0.1:8000/ws/cotizaciones?symbol=DAX&token=t0ps3cret", {
  onStatus: ({ phase, text }) => console.log("status", phase, text),
});
"""


def test_the_javascript_client_tells_which_parameter_of_its_address_does_not_exist(stage):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    broker, gateway = stage.play()
    client = Client(stage, gateway, command, "misspelt.mjs", MISSPELT)
    client.says(r"^status refused malformed: The parameter 'symbol' does not exist here")
    assert not gateway.logged("t0ps3cret")
    client.kill()


def test_the_javascript_client_shows_the_check_the_token_it_was_refused_with(stage):
    command = node_command()
    if not command:
        pytest.skip("there is no node with a WebSocket")
    broker, gateway = stage.play(websocket_token="t0ps3cret", websocket_max_connections=1)
    code = asking(example("stream.mjs"), "token", "t0ps3cret")
    first = Client(stage, gateway, command, "first.mjs", code)
    stage.feed(broker).quote("DAX", last="1")
    first.says("^DAX 1 live$")
    second = Client(stage, gateway, command, "second.mjs", code)
    second.says(r"^refused: (max_connections|unauthorized): ")
    assert not second.logged("unauthorized")
    first.kill()
    second.kill()


def test_the_python_client_backs_off_when_it_is_refused_by_close_code(stage):
    broker, gateway = stage.play(websocket_max_connections=0, websocket_explain=1)
    code = example("stream.py").replace(
        "await asyncio.sleep(pause ", "print('attempt', attempt) or await asyncio.sleep(0 "
    )
    client = Client(stage, gateway, [sys.executable, "-u"], "client.py", code)
    client.says("^attempt 4$")
    client.kill()


def test_the_bot_takes_its_lock_renews_it_and_releases_it(stage):
    broker, gateway = stage.play(locks_token="open-sesame")
    bot = Client(stage, gateway, [sys.executable], "bot.py", example("lock.py"))
    bot.ends()
    done = [
        m[1] for m in gateway.logged(r'"(PUT|DELETE) /cotizaciones/locks/telegram-bot.* 200 OK')
    ]
    assert done == ["PUT", "PUT", "DELETE"]
    (lock,) = gateway.page("telegram_locks_status")["locks"]
    assert (lock["name"], lock["state"], lock["token"] > 0) == ("telegram-bot", "free", True)

    held = {"Authorization": "Bearer open-sesame"}
    path = "/cotizaciones/locks/telegram-bot"
    assert gateway.get(path, "PUT", held, '{"owner":"another","ttl":60}').status == 200
    second = Client(stage, gateway, [sys.executable], "bot2.py", example("lock.py"))
    second.ends(1)
    assert second.logged("^held: .*another")
    assert not second.logged("Traceback")
    assert gateway.page("locks/telegram-bot")["holder"] == "another"
