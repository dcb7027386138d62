"""Requests on /ws/cotizaciones: their ids, their order, and the answers to mistakes."""

import json

import msgpack
import pytest

import pregon
from stream_checks import is_time, silent


def test_a_request_of_odd_texts_gets_them_back_unharmed(system):
    broker, gateway = system.start()
    client = silent(system, gateway)
    odd = ['a"b', "\\", "ñ", "x" * 60, "", "\u2028"]
    ack = client.request("unsubscribe", symbols=odd)
    assert ack["rejected"] == odd


def test_ping_and_list_answer_with_the_truth(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = silent(system, gateway, "?symbols=X,Y*&mode=all")
    feed.quote("X", last="1")
    seq = client.receive("quote")["seq"]
    pong = client.request("ping")
    assert is_time(pong.pop("timestamp"))
    assert pong == {"type": "ack", "op": "ping", "id": 1, "seq": seq}
    assert client.request("list") == {"type": "ack", "op": "list", "id": 2, "seq": seq,
                                      "mode": "all", "symbols": ["X", "Y*"]}


@pytest.mark.parametrize("subprotocol", ["pregon.v1.json", "pregon.v1.msgpack"])
@pytest.mark.parametrize("id", [0, 1, -5, 2**53, "", "ñ\"\\", "x" * 64])
def test_a_requests_id_comes_back_as_it_was(shared_system, id, subprotocol):
    system = shared_system
    if not system.processes:
        system.start(websocket_max_connections=1000)
    client = silent(system, system.processes[1], subprotocol=subprotocol)
    client.send_message(op="ping", id=id)
    assert client.receive("ack")["id"] == id


@pytest.mark.parametrize("id", ["x" * 65, {"a": 1}, [1], True])
def test_an_id_that_cannot_be_is_an_error(system, id):
    broker, gateway = system.start()
    client = silent(system, gateway)
    client.send_message(op="ping", id=id)
    error = client.receive("error")
    assert error["code"] == "bad_request" and "id" not in error
    assert client.request("ping", id=1)["type"] == "ack"


def test_a_request_without_id_is_answered_without(system):
    broker, gateway = system.start()
    client = silent(system, gateway)
    client.send_message(op="ping")
    assert "id" not in client.receive("ack")
    client.send_message(op="nothing")
    assert "id" not in client.receive("error")


def test_requests_sent_in_one_go_are_answered_in_their_order(system):
    broker, gateway = system.start()
    client = silent(system, gateway)
    for i in range(50):
        client.send_message(op="subscribe", id=i, symbols=[f"S{i}"])
    client.wait_until(lambda m: len(client.received("ack")) == 51)
    assert [m["id"] for m in client.received("ack")[1:]] == list(range(50))


def test_a_pattern_subscribed_and_unsubscribed_in_one_go_is_not_held(system):
    broker, gateway = system.start()
    client = silent(system, gateway)
    client.send_message(op="subscribe", id=1, symbols=["NEW"])
    client.send_message(op="unsubscribe", id=2, symbols=["NEW"])
    client.send_message(op="list", id=3)
    assert client.receive("ack", id=1)["symbols"] == ["NEW"]
    assert client.receive("ack", id=2)["symbols"] == ["NEW"]
    assert client.receive("ack", id=3)["symbols"] == ["NOTHING"]


@pytest.mark.parametrize(
    "text, at",
    [
        ("hello", 0),
        ('{"op":x}', 6),
        ('{"op":"ping"', None),
        ('{"op":"ping"} {}', None),
        ("[]", 0),
        ('"ping"', 0),
        ("", None),
        ('{"op":7}', 6),
        ('{"op":"subscribe","id":7,"symbols":"X"}', 35),
        ('{"op":"subscribe","id":7,"symbols":["X",7]}', 40),
        ('{"op":"subscribe","id":7,"symbols":[],"mode":"some"}', 45),
        ('{"op":"subscribe","id":7,"symbols":[],"max_hz":0}', 47),
        ('{"op":"subscribe","id":7,"symbols":[],"max_hz":"5"}', 47),
        ('{"op":"subscribe","id":7}', None),
        ('{"op":"unsubscribe","id":7}', None),
        ("[" * 5000, None),
        ('{"op":"ping","op":"list"}', None),
    ],
)
def test_a_mistake_is_answered_with_its_place_and_the_connection_stays(system, text, at):
    broker, gateway = system.start()
    client = silent(system, gateway)
    client.send(text)
    error = client.receive("error")
    assert error["code"] == "bad_request"
    assert error["message"]
    if at is not None:
        assert error["at"] == at
    assert error.get("id") == (7 if '"id":7' in text else None)
    assert client.request("ping", id=1)["op"] == "ping"


def test_invalid_json_is_answered_with_its_place_and_the_expected_form(system):
    broker, gateway = system.start()
    client = silent(system, gateway)
    client.send("hello")
    error = client.receive("error", code="bad_request")
    assert error["at"] == 0
    assert error["message"].endswith('; a request looks like {"op":"ping"}'), error


def test_an_unknown_op_is_an_error_that_lists_the_known_ones(system):
    broker, gateway = system.start()
    client = silent(system, gateway)
    error = client.request("order", id=3)
    assert (error["type"], error["code"], error["id"]) == ("error", "unknown_op", 3)
    assert "subscribe" in error["message"]


def test_unknown_members_of_a_request_are_ignored(system):
    broker, gateway = system.start()
    client = silent(system, gateway)
    assert client.request("ping", colour="blue", deep={"a": [1]})["type"] == "ack"


def test_bad_msgpack_is_an_error_and_the_connection_stays(system):
    broker, gateway = system.start()
    client = silent(system, gateway, subprotocol="pregon.v1.msgpack")
    for bad in (b"", b"\xc1", b"\x81\xa2op", b"\xdd\xff\xff\xff\xff", b"\x91" * 100 + b"\x01",
                msgpack.packb({"op": "ping"}) + b"\x00"):
        client.send(bad)
        assert client.receive("error")["code"] == "bad_request"
    assert client.request("ping", id=1)["type"] == "ack"


def test_a_client_that_makes_only_mistakes_is_sent_away_with_4429(system):
    broker, gateway = system.start()
    other = silent(system, gateway)
    client = system.raw_client(gateway)
    for _ in range(150):
        client.send_frame(pregon.TEXT, "garbage")
    assert client.wait_closed() == 4429
    assert json.loads(client.reason)["code"] == "too_many_errors"
    assert gateway.wait_for_log("connection closed: too many bad requests, code 4429")
    assert other.request("ping")["type"] == "ack"
