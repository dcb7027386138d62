"""Compares /openapi.json with the messages of the stream that are sent and accepted."""

import json
import signal

import msgpack

import pregon
from openapi import DOCUMENT, as_described, errors, prepared  # noqa: F401 (fixtures)

SERVER = [ref["$ref"].rsplit("/", 1)[1]
          for ref in DOCUMENT["components"]["schemas"]["ServerMessage"]["oneOf"]]


def hold(seen, *clients):
    """Exactly one schema describes each message that the clients received."""
    for client in clients:
        for message in list(client.messages):
            fits = [n for n in SERVER
                    if not errors(message, {"$ref": "#/components/schemas/" + n})]
            assert len(fits) == 1, f"{message} is {fits or 'not described'}"
            as_described(message, "ServerMessage", "a message")
            seen.add(fits[0])


def test_every_message_of_the_stream_is_described_and_every_described_one_is_sent(system):
    seen = set()
    broker, gateway = system.start(heartbeat=1, auto_max=1, publish_token="open")
    feed = system.feed(broker, "test", window=100)
    feed.quote("EUR/USD", bid="1.0842", ask="1.0843", venue="XSTO")
    feed.quote("BTC/USD", last="64000.10")
    feed.wait_processed()
    everybody = []
    for protocol in ("pregon.v1.json", "pregon.v1.msgpack"):
        auto = system.client(gateway, subprotocol=protocol)
        auto.receive("error", code="auto_max")
        one = system.client(gateway, "?symbols=EUR/USD&max_hz=100", subprotocol=protocol)
        one.receive("snapshot")
        everything = system.client(gateway, "?symbols=*,bad symbol&mode=all".replace(" ", "%20"),
                                   subprotocol=protocol)
        told = everything.receive("ack")
        everything.receive("heartbeat")
        back = system.client(
            gateway, f"?symbols=*&since={told['epoch']}:{told['seq']}", subprotocol=protocol)
        assert back.receive("ack")["recovered"] is True
        for op, members in (("list", {}), ("ping", {"id": "a"}),
                            ("unsubscribe", {"symbols": ["EUR/USD", "NOT"]}),
                            ("subscribe", {"symbols": ["EUR/USD"], "mode": "merge", "max_hz": 5,
                                           "since": {"epoch": told["epoch"], "seq": 0}}),
                            ("dance", {}), ("subscribe", {"symbols": "EUR/USD"})):
            one.request(op, **members)
        one.request("subscribe", symbols=["EUR/USD"], trace=True)
        one.request("list")
        one.request("publish", token="open", feed="web", ended=True,
                    quotes=[{"symbol": "A", "last": "1"}, {"symbol": "a", "last": "1"}])
        one.send("{" if protocol.endswith("json") else b"\xc1")
        everybody += [auto, one, everything, back]
    events = system.events(gateway, "?symbols=*&mode=all")
    events.receive("ack")
    feed.quote("EUR/USD", bid="1.0843", ask="1.0844")
    for client in everybody[1::4]:
        as_described(client.receive("quote")["trace"], "Trace", "a trace")
    lost = {"op": "lost", "id": 7, "epoch": feed.epoch, "first": 4, "last": 6,
            "reason": "ring_overflow"}
    feed.wait_processed()
    with feed.changed:
        feed.control.send(msgpack.packb(lost))
    for client in everybody:
        client.receive("lost", first=4, last=6)
    feed.goodbye()
    for client in everybody[2:3]:
        client.receive("state", state="stale")
    broker.kill()
    broker.start()
    for client in everybody:
        client.receive("reset")
    gateway.signal(signal.SIGTERM)
    for client in everybody:
        client.receive("going_away")
        code, reason = client.wait_closed()
        assert str(code) in DOCUMENT["paths"][pregon.STREAM]["get"]["x-stream"]["closeCodes"]
        if reason:
            as_described(json.loads(reason), "CloseReason", "a close frame")
    assert events.receive("close")["code"] == 1012
    as_described(events.messages.pop(), "EventsClose", "the last event")
    hold(seen, *everybody, events)
    assert seen == set(SERVER)


GOOD = [
    {"op": "subscribe", "symbols": ["EUR/USD", "BTC*", "*"], "mode": "all", "max_hz": 0.01},
    {"op": "subscribe", "id": "x" * 64, "symbols": [], "since": None},
    {"op": "subscribe", "id": 7, "symbols": ["A"],
     "since": {"epoch": "0efc6f433b8d1fa2", "seq": 980}},
    {"op": "unsubscribe", "id": 1.5, "symbols": ["A"]},
    {"op": "list"},
    {"op": "subscribe", "symbols": ["A"], "trace": False},
    {"op": "ping", "id": 9007199254740993},
]
WRONG = [
    {"op": "subscribe"},
    {"op": "subscribe", "symbols": "A"},
    {"op": "subscribe", "symbols": [1]},
    {"op": "subscribe", "symbols": ["A"], "mode": "fast"},
    {"op": "subscribe", "symbols": ["A"], "max_hz": 0},
    {"op": "subscribe", "symbols": ["A"], "max_hz": 1001},
    {"op": "subscribe", "symbols": ["A"], "since": {"epoch": "1", "seq": 1}},
    {"op": "subscribe", "symbols": ["A"], "since": {"epoch": "0efc6f433b8d1fa2"}},
    {"op": "subscribe", "symbols": ["A"], "trace": 1},
    {"op": "unsubscribe"},
    {"op": "ping", "id": "x" * 65},
    {"op": "ping", "id": [1]},
    {"op": "dance"},
    {},
]


def test_a_request_is_accepted_exactly_if_openapi_json_permits_it(system, prepared):
    client = system.client(prepared[1], "?symbols=NONE")
    client.receive("ack")
    for requests, answer in ((GOOD, "ack"), (WRONG, "error")):
        for request in requests:
            wrong = errors(request, {"$ref": "#/components/schemas/ClientMessage"})
            assert bool(wrong) == (answer == "error"), (request, wrong)
            client.send_message(**request)
            told = client.receive(("ack", "error"))
            assert told["type"] == answer, (request, told)


def test_the_check_of_the_tests_sees_a_member_that_is_not_described():
    gaps = {"first": 1, "last": 2, "reason": "retention"}
    assert not errors(gaps, {"$ref": "#/components/schemas/Gap"})
    assert errors({**gaps, "more": 1}, {"$ref": "#/components/schemas/Gap"})
    assert errors({**gaps, "first": "1"}, {"$ref": "#/components/schemas/Gap"})
