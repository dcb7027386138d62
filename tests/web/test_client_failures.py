"""pregon.js when a gateway refuses, is silent or does not run."""

import json
import shutil
import signal
import subprocess

import pytest

import pregon
from node import HAS_SOCKET, MODULES, PACKAGE, Follower, follow, SOCKETS


def test_a_gateway_that_stands_still_is_noticed(system):
    broker, gateway = system.start(heartbeat=1)
    client = follow(system, gateway, mode="all").connected()
    gateway.signal(signal.SIGSTOP)
    assert client.receive("status", phase="waiting")["text"] == "nothing was heard for 3 s"
    gateway.signal(signal.SIGCONT)
    client.connected()


REFUSALS = [
    ({"websocket_token": "t0ps3cret"}, "unauthorized", 401, "WEBSOCKET_TOKEN"),
    ({"websocket_max_connections": 0}, "max_connections", 503, "WEBSOCKET_MAX_CONNECTIONS"),
    ({"websocket_enabled": 0}, "websocket_disabled", 503, "WEBSOCKET_ENABLED"),
]


@SOCKETS
@pytest.mark.parametrize("explain", [0, 1])
@pytest.mark.parametrize("settings,code,status,setting", REFUSALS)
def test_a_refusal_is_reported_with_its_reason(
    system, settings, code, status, setting, explain, socket
):
    broker, gateway = system.start(websocket_explain=explain, **settings)
    client = follow(system, gateway, token="wrong", socket=socket)
    status_event = client.receive("status", lambda s: s["refusal"] and s["refusal"]["hint"],
                                  phase="refused")
    refusal = status_event["refusal"]
    assert (refusal["code"], refusal["status"], refusal["setting"]) == (code, status, setting)
    assert refusal["reason"] in status_event["text"]


def test_a_refused_client_connects_once_the_gateway_admits_it(system):
    broker, gateway = system.start(websocket_max_connections=1)
    first = follow(system, gateway).connected()
    second = follow(system, gateway)
    second.receive(
        "status", phase="refused", where=lambda s: s["refusal"]["code"] == "max_connections"
    )
    first.begin("close")
    second.connected()


def test_a_wrong_path_is_reported(system):
    broker, gateway = system.start()
    client = Follower(system, f"ws://127.0.0.1:{gateway.port}/ws/quotes")
    assert client.receive("status", phase="refused")["refusal"]["code"] == "no_such_path"


@SOCKETS
def test_a_gateway_that_is_not_there_is_reported(system, socket):
    address = pregon.free_address().removeprefix("tcp://")
    client = Follower(system, "ws://" + address, socket=socket)
    assert client.receive("status", phase="waiting")["text"] == "the gateway cannot be reached"


def test_a_socket_that_cannot_even_be_made_is_tried_again(system):
    broker, gateway = system.start()
    code = system.path("moody.mjs", """
        import { WebSocket } from "%s/ws/wrapper.mjs";
        import { connect } from "%s/pregon.js";
        let made = 0;
        class Moody extends WebSocket {
          constructor(...its) {
            if (!made++) throw new Error("not today");
            super(...its);
          }
        }
        const client = connect(process.argv[2], {
          WebSocket: Moody,
          onStatus({ phase, text }) {
            console.log(JSON.stringify([phase, text]));
            if (phase === "connected") client.close();
          },
        });
    """ % (MODULES, PACKAGE))
    done = subprocess.run(
        [shutil.which("node"), code, gateway.url],
        capture_output=True,
        text=True,
        check=True,
        timeout=pregon.PATIENCE,
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told[1] == ["waiting", "not today"]
    assert [phase for phase, _ in told][-2:] == ["connected", "closed"]


@pytest.mark.parametrize("url,options,says", [
    ("127.0.0.1:8000", {}, "127.0.0.1:8000.* is no address of a gateway; one looks like ws://"),
    ("ftp://127.0.0.1/", {}, "no address of a gateway"),
    ("ws://127.0.0.1", {"mode": "both"}, 'mode is "merge" or "all", not "both"'),
    ("ws://127.0.0.1", {"encoding": "xml"}, 'encoding is "json" or "msgpack", not "xml"'),
    ("ws://127.0.0.1", {"symbols": "DAX"}, "symbols are an array"),
    ("ws://127.0.0.1", {"WebSocket": None}, "no WebSocket here.*npm install ws"),
])
def test_invalid_arguments_of_connect_throw_at_once(system, url, options, says):
    if "WebSocket" in options and HAS_SOCKET:
        pytest.skip("this Node has a WebSocket")
    client = Follower(system, url, socket="ws", **options)
    client.wait_for_log("TypeError: pregon: .*" + says, stream="err")
    client.wait_for_exit(1)


@SOCKETS
@pytest.mark.parametrize("when", ["connected", "waiting"])
def test_a_client_that_is_closed_lets_its_program_end(system, when, socket):
    broker, gateway = system.start()
    client = follow(system, gateway, socket=socket).connected()
    if when == "waiting":
        gateway.kill()
        client.receive("status", phase="waiting")
    client.begin("close")
    client.receive("status", phase="closed")
    client.end_of_input()
    client.wait_for_exit(0)
    if when == "connected":
        pregon.eventually(lambda: gateway.status()["active_connections"], lambda n: n == 0)
