"""Followers and a server that is no gateway, or behaves badly."""

import json
import socket
import threading

import pytest
import websockets

import pregon
from programs import Follower, Program

BOTH = pytest.mark.parametrize("is_sync", [False, True], ids=["async", "sync"])


class Server:
    """Answers each connection with the same bytes."""

    def __init__(self, answer):
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "http://127.0.0.1:%d" % self.listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        try:
            while True:
                peer, _ = self.listener.accept()
                with peer:
                    peer.recv(65536)
                    peer.sendall(self.answer)
        except OSError:
            pass

    def close(self):
        self.listener.close()


@BOTH
def test_a_server_that_is_no_gateway_is_an_exception_that_asks_for_the_address(
    system, python, is_sync
):
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
    client = Follower(system, python, system.add(Server(page)).url, is_sync)
    refused = client.receive("refused")
    assert (refused["code"], refused["status"]) == ("http_200", 200)
    assert refused["hint"] == "Is this the address of a gateway?"
    client.wait_for_exit(0)


@BOTH
def test_a_server_that_hangs_up_is_tried_again(system, python, is_sync):
    client = Follower(system, python, system.add(Server(b"")).url, is_sync)
    for _ in range(2):
        assert "cannot be reached" in client.receive("status", phase="waiting")["text"]


class Gateway:
    """A WebSocket server that sends a welcome, and then what a test wants."""

    def __init__(self, messages, **welcome):
        self.messages = messages
        self.welcome = {"type": "welcome", "heartbeat": 1, **welcome}
        self.server = pregon.REACTOR.run(self._start())
        self.url = "http://127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]

    async def _start(self):
        return await websockets.serve(self._serve, "127.0.0.1", 0,
                                      subprotocols=["pregon.v1.json"])

    async def _serve(self, peer, path):
        await peer.send(json.dumps(self.welcome))
        await peer.recv()
        for message in self.messages:
            await peer.send(message)
        await peer.wait_closed()

    def close(self):
        async def close():
            self.server.close()

        pregon.REACTOR.run(close())


ACK = json.dumps({"type": "ack", "op": "subscribe", "id": 1, "epoch": "e", "seq": 0,
                  "symbols": ["*"], "rejected": []})
NONSENSE = {
    "no JSON": "}{",
    "no object": "[1]",
    "deep": "[" * 100000,
    "no type": "{}",
    "a quote without its symbol": '{"type":"quote","seq":1,"prev":0}',
    "a seq that is a text": '{"type":"quote","symbol":"A","seq":"1","prev":0,"last":"1"}',
    "a heartbeat without seq": '{"type":"heartbeat"}',
    "bytes": b"\xff\xfe",
    "too long": '"' + "x" * (2 << 20) + '"',
    "silence": "",
}


@BOTH
@pytest.mark.parametrize("case", NONSENSE)
def test_nonsense_is_reported_and_ends_the_connection_not_the_program(
    system, python, is_sync, case
):
    server = system.add(Gateway([ACK] + ([NONSENSE[case]] if NONSENSE[case] else [])))
    client = Follower(system, python, server.url, is_sync, mode="all").connected()
    text = client.receive("status", phase="waiting")["text"]
    assert any(word in text for word in ("not understood", "is no JSON object", "was lost",
                                         "nothing was heard for 3 s", "closed")), text
    client.connected()
    assert not client.all("quote")


def test_messages_and_prices_of_a_later_version_are_passed_over(system, python):
    server = system.add(Gateway([
        ACK, '{"type":"news","seq":1}',
        '{"type":"quote","symbol":"A","seq":1,"prev":0,"last":"x","bid":2,"new":0.5,"state":"odd"}',
    ]))
    quote = Follower(system, python, server.url).receive("quote", symbol="A")
    assert (quote["last"], quote["bid"], quote["extra"]) == (None, "2", {"new": "0.5"})


ODD_ANSWERS = ["{}", '{"quotes":null,"records":7}', '{"quotes":[1],"records":[1]}',
               '{"quotes":[{}],"records":[{}]}', '{"quotes":{"a":1},"records":{"a":1}}',
               '{"quotes":[],"records":[],"truncated":true,"next":"e:1"}']
CALLS = """
import sys
import pregon
for call in (lambda: pregon.quotes(sys.argv[1], timeout=1),
             lambda: pregon.history(sys.argv[1], "A", timeout=1),
             lambda: pregon.publish(sys.argv[1], {"symbol": "A", "last": 1}, token="t", timeout=1)):
    try:
        print(call())
    except pregon.Unreachable as e:
        print(e.code)
"""


@pytest.mark.parametrize("odd", ODD_ANSWERS)
def test_an_answer_that_is_not_a_gateways_is_never_taken_for_success(system, python, odd):
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(odd)}\r\n\r\n{odd}".encode()
    said = Program(system, python, CALLS, system.add(Server(answer)).url).finish()
    assert said.split() == ["bad_answer"] * 3


@pytest.mark.parametrize("seconds", ["1e400", "-5", "NaN", '"x"', "null"])
def test_a_time_that_makes_no_sense_is_reported_and_ends_the_connection(system, python, seconds):
    going = f'{{"type":"going_away","reconnect_after":{seconds}}}'
    client = Follower(system, python, system.add(Gateway([ACK, going])).url).connected()
    assert "not understood" in client.receive("status", phase="waiting")["text"]
    client.connected()


@pytest.mark.parametrize("limits,ack", [
    ({}, {"positions": [7], "refused": []}),
    ({"message_bytes": 65536}, {}),
    ({"message_bytes": 65536}, {"positions": [], "refused": []}),
    ({"message_bytes": 65536}, {"positions": [None], "refused": []}),
    ({"message_bytes": 65536}, {"positions": [0], "refused": [{"index": 0}]}),
])
def test_an_ack_that_is_not_a_gateways_is_never_taken_for_success(system, python, limits, ack):
    ack = json.dumps({"type": "ack", "id": 1, **ack})
    server = system.add(Gateway([ack], limits=limits))
    seen = Program(system, python, """
import sys
import pregon
try:
    with pregon.Publisher(sys.argv[1], token="t") as publisher:
        print(publisher.publish({"symbol": "A", "last": 1}))
except pregon.Unreachable as e:
    print(e.code)
""", server.url).finish()
    assert seen == "bad_answer"
