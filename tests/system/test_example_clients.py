"""The JavaScript client of consumer/examples does what the README there describes."""

import pytest

from example_client import (
    Client, asking, example, fetch_what_is_missing, follow_through_everything,
    lose_nothing_in_mode_all, node_command,
)


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
