"""The protocol on /ws/cotizaciones: requests, their answers, and their order."""

import json
import time

import msgpack

from stream_checks import is_time, silent


def test_the_first_message_is_a_welcome_with_the_limits(system):
    broker, gateway = system.start(
        gateway_name="gw-1", heartbeat=7, websocket_timeout=41.5, max_symbols=77,
        ws_max_size=4242, client_queue=54321,
    )
    feed = system.feed(broker)
    feed.quote("X", last="1")
    feed.wait_processed()
    client = system.client(gateway)

    welcome = client.next()

    assert is_time(welcome.pop("timestamp"))
    status = system.control(broker).request("status")
    assert welcome == {
        "type": "welcome",
        "protocol": "pregon.v1.json",
        "gateway": "gw-1",
        "connection": "gw-1:1",
        "epoch": "%016x" % status["epoch"],
        "seq": welcome["seq"],
        "heartbeat": 7,
        "timeout": 41.5,
        "limits": {"symbols": 77, "message_bytes": 4242, "queue_bytes": 54321},
    }


def test_every_connection_has_a_name_of_its_own(system):
    broker, gateway = system.start()
    names = {system.client(gateway).receive("welcome")["connection"] for _ in range(5)}
    assert len(names) == 5


def test_a_subscription_is_acknowledged_before_its_data(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    for symbol in ("EUR/USD", "BTC/USD", "BTC/EUR", "GOLD"):
        feed.quote(symbol, last="1")
    feed.wait_processed()
    client = silent(system, gateway)
    before = len(client.messages)

    client.send_message(op="subscribe", id=1, symbols=["EUR/USD", "BTC*"])

    client.wait_until(lambda m: len(m) >= before + 4)
    ack, *snapshots = client.messages[before:]
    epoch = client.messages[0]["epoch"]
    assert ack == {
        "type": "ack", "op": "subscribe", "id": 1, "epoch": epoch, "seq": ack["seq"],
        "symbols": ["EUR/USD", "BTC*"], "rejected": [],
    }
    assert sorted(s["symbol"] for s in snapshots) == ["BTC/EUR", "BTC/USD", "EUR/USD"]
    for s in snapshots:
        assert is_time(s.pop("timestamp"))
        assert s == {"type": "snapshot", "symbol": s["symbol"], "seq": s["seq"], "state": "live",
                     "last": "1"}
        assert s["seq"] > ack["seq"]  # it is not sent yet


def test_a_quote_names_its_position_and_the_one_before(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = silent(system, gateway, "?symbols=X")

    feed.quote("X", last="1", timestamp=1000.25)
    feed.quote("Y", last="9")
    first = client.receive("quote")
    feed.quote("X", last="2")
    second = client.receive("quote")

    assert first == {"type": "quote", "symbol": "X", "seq": first["seq"], "prev": 0,
                     "last": "1", "timestamp": 1000.25}
    assert second["prev"] == first["seq"]
    assert second["seq"] == first["seq"] + 2


def test_a_change_of_state_is_a_message_with_a_position(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = silent(system, gateway, "?symbols=X")
    feed.quote("X", last="1")
    quote = client.receive("quote")

    feed.goodbye()

    state = client.receive("state")
    assert state == {"type": "state", "symbol": "X", "seq": state["seq"], "prev": quote["seq"],
                     "state": "stale"}
    assert state["seq"] > quote["seq"]


def test_a_pattern_matches_its_prefix_and_a_symbol_only_itself(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    exact = silent(system, gateway, "?symbols=BTC&mode=all")
    prefix = silent(system, gateway, "?symbols=BTC*&mode=all")
    everything = silent(system, gateway, "?symbols=*&mode=all")

    for symbol in ("BT", "BTC", "BTC/USD", "BTCX", "ETH", "BTC2", "END", "BTC"):
        feed.quote(symbol, last="1")

    everything.wait_until(lambda m: len(everything.received("quote")) == 8)
    prefix.wait_until(lambda m: len(prefix.received("quote")) == 5)
    exact.wait_until(lambda m: len(exact.received("quote")) == 2)
    received = [m["symbol"] for m in prefix.received("quote")]
    assert received == ["BTC", "BTC/USD", "BTCX", "BTC2", "BTC"]
    assert [m["symbol"] for m in exact.received("quote")] == ["BTC", "BTC"]


def test_a_symbol_is_sent_once_whatever_number_of_patterns_match_it(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    clients = [silent(system, gateway, f"?symbols=A*,AB*,ABC,*&mode={m}") for m in ("all", "merge")]
    for client in clients:
        feed.quote("ABC", last="1")
        client.receive("quote")
        feed.quote("END", last="1")
        client.receive("quote", symbol="END")
        seqs = [m["seq"] for m in client.received("quote")]
        assert len(seqs) == len(set(seqs))


def test_an_unknown_symbol_may_be_subscribed_before_it_exists(system):
    broker, gateway = system.start()
    client = silent(system, gateway)
    ack = client.request("subscribe", symbols=["LATER"])
    assert ack["symbols"] == ["LATER"] and ack["rejected"] == []
    system.feed(broker).quote("LATER", last="1")
    client.receive("quote", symbol="LATER")


def test_invalid_patterns_are_rejected_by_name_and_the_rest_is_accepted(system):
    broker, gateway = system.start()
    client = silent(system, gateway)
    wrong = ["A\u0000B", "a", "", "A B", "*A", "A**", "X" * 33, "Ñ"]

    ack = client.request("subscribe", symbols=["A", *wrong, "B*"])

    assert ack["symbols"] == ["A", "B*"]
    assert len(ack["rejected"]) == len(wrong)
    assert ack["rejected"][1:] == wrong[1:]
    assert client.request("list")["symbols"][-2:] == ["A", "B*"]


def test_more_patterns_than_allowed_are_rejected_by_name(system):
    broker, gateway = system.start(max_symbols=3)
    client = system.client(gateway, "?symbols=A")
    client.receive("ack")
    ack = client.request("subscribe", symbols=["B", "C", "D", "E"])
    assert (ack["symbols"], ack["rejected"]) == (["B", "C"], ["D", "E"])
    client.request("unsubscribe", symbols=["A"])
    assert client.request("subscribe", symbols=["D"])["symbols"] == ["D"]


def test_subscribing_again_changes_nothing(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("X", last="1")
    client = silent(system, gateway, "?symbols=X")
    client.receive("snapshot")
    ack = client.request("subscribe", symbols=["X", "X"])
    assert ack["symbols"] == ["X"]
    assert client.request("list")["symbols"] == ["X"]
    feed.quote("X", last="2")
    client.receive("quote", last="2")
    assert len(client.received("quote")) == 1


def test_the_url_subscribes_as_a_request_would(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("EUR/USD", last="1")
    feed.quote("BTC/USD", last="1")
    feed.quote("GOLD", last="1")
    feed.wait_processed()
    client = system.client(gateway, "?symbols=EUR%2FUSD,BTC*,bad%20one&mode=all&max_hz=100")
    client.receive("welcome")
    ack = client.next()
    assert ack["symbols"] == ["EUR/USD", "BTC*"]
    assert ack["rejected"] == ["bad one"]
    assert {client.next()["symbol"], client.next()["symbol"]} == {"EUR/USD", "BTC/USD"}
    listed = client.request("list")
    assert (listed["mode"], listed["symbols"]) == ("all", ["EUR/USD", "BTC*"])


def test_a_mistake_in_the_url_is_reported_and_the_rest_holds(system):
    broker, gateway = system.start()
    client = system.client(gateway, "?symbols=X&mode=some&max_hz=-1")
    client.receive("welcome")
    assert "mode" in client.receive("error", code="bad_request")["message"]
    assert "max_hz" in client.receive("error", code="bad_request")["message"]
    assert client.receive("ack")["symbols"] == ["X"]


def test_a_client_that_sends_nothing_gets_everything_until_its_first_subscribe(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("A", last="1")
    feed.wait_processed()
    client = system.client(gateway)
    ack = client.receive("ack")
    assert (ack["symbols"], ack["auto"]) == (["*"], True)
    assert client.receive("snapshot")["symbol"] == "A"
    feed.quote("B", last="1")
    assert client.receive("quote")["symbol"] == "B"

    ack = client.request("subscribe", symbols=["A"])

    assert ack["symbols"] == ["A"]
    assert client.request("list")["symbols"] == ["A"]
    feed.quote("B", last="2")
    feed.quote("A", last="2")
    client.receive(("quote", "snapshot"), symbol="A", last="2")
    assert not client.received(symbol="B", last="2")


def test_the_automatic_subscription_can_be_set_or_turned_off(system):
    broker, gateway = system.start(websocket_auto_subscribe="A*,B")
    feed = system.feed(broker)
    client = system.client(gateway)
    assert client.receive("ack")["symbols"] == ["A*", "B"]
    nothing = system.gateway(broker, websocket_auto_subscribe="")
    quiet = system.client(nothing)
    quiet.receive("welcome")
    feed.quote("A1", last="1")
    client.receive("quote", symbol="A1")
    assert quiet.request("list")["symbols"] == []
    assert not quiet.received("quote") and not quiet.received("snapshot")


def test_automatic_snapshots_end_at_auto_max_with_an_error_that_names_the_setting(system):
    broker, gateway = system.start(auto_max=5)
    feed = system.feed(broker)
    for i in range(8):
        feed.quote(f"S{i}", last="1")
    feed.wait_processed()
    client = system.client(gateway)
    error = client.receive("error")
    assert error["code"] == "auto_max"
    assert "AUTO_MAX" in error["message"]
    client.wait_until(lambda m: len(client.received("snapshot")) == 5)
    for i in range(8):
        feed.quote(f"S{i}", last="2")
    client.wait_until(lambda m: len(client.received(last="2")) == 8)
    assert len(client.received("snapshot", last="1")) == 5


def test_unsubscribe_takes_away_patterns_as_written(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = silent(system, gateway, "?symbols=A*,AB,C")

    ack = client.request("unsubscribe", symbols=["A*", "AB*", "D", "C"])

    assert (ack["op"], ack["symbols"], ack["rejected"]) == (
        "unsubscribe",
        ["A*", "C"],
        ["AB*", "D"],
    )
    assert client.request("list")["symbols"] == ["AB"]
    for symbol in ("A", "C", "AB"):
        feed.quote(symbol, last="1")
    assert client.receive("quote")["symbol"] == "AB"
    assert len(client.received("quote")) == 1
    again = client.request("unsubscribe", symbols=["C"])
    assert (again["symbols"], again["rejected"]) == ([], ["C"])


def test_max_hz_thins_out_and_the_newest_value_always_comes(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    slow = silent(system, gateway, "?symbols=X&max_hz=2")
    quick = silent(system, gateway, "?symbols=X&mode=all")

    began = time.monotonic()
    for i in range(400):
        feed.quote("X", last=str(i))
        quick.receive("quote", last=str(i))  # so that they do come one by one
    slow.receive("quote", last="399")
    elapsed = time.monotonic() - began

    assert len(slow.received("quote")) <= 2 * elapsed + 2
    seqs = [q["seq"] for q in slow.received("quote")]
    assert seqs == sorted(set(seqs))


def test_max_hz_does_not_hold_up_answers(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = silent(system, gateway, "?symbols=X&max_hz=0.01")
    feed.quote("X", last="1")
    client.receive("quote")
    feed.quote("X", last="2")
    feed.wait_processed()
    assert client.request("ping")["type"] == "ack"
    assert client.request("subscribe", symbols=["X"], max_hz=1000)["type"] == "ack"
    client.receive("quote", last="2")


def test_mode_all_gets_every_quote_in_rising_order(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = silent(system, gateway, "?symbols=*&mode=all")
    count = 3000

    for i in range(count):
        feed.quote(f"S{i % 7}", last=str(i))

    client.wait_until(lambda m: len(client.received("quote")) == count, "every quote")
    quotes = client.received("quote")
    assert [q["last"] for q in quotes] == [str(i) for i in range(count)]
    assert [q["seq"] for q in quotes] == list(range(1, count + 1))
    last = {}
    for q in quotes:
        assert q["prev"] == last.get(q["symbol"], 0)
        last[q["symbol"]] = q["seq"]


def test_changing_the_mode_neither_repeats_nor_skips(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = silent(system, gateway, "?symbols=X")
    for i in range(1, 600):
        feed.quote("X", last=str(i))
        if i % 20 == 0:
            client.send_message(op="subscribe", symbols=["X"], mode="all" if i % 40 else "merge")
    client.receive(("quote", "snapshot"), last="599")
    seqs = [m["seq"] for m in client.messages if m["type"] in ("quote", "snapshot")]
    assert all(a < b for a, b in zip(seqs, seqs[1:])), seqs


def test_in_mode_all_a_client_that_falls_behind_is_closed_with_4008(system):
    broker, gateway = system.start(client_queue=65536)
    feed = system.feed(broker)
    other = silent(system, gateway, "?symbols=X")
    client = system.raw_client(gateway, "?symbols=X&mode=all", receive_buffer=4096)
    for i in range(3000):
        feed.quote("X", last=str(i), note="x" * 1000)
    feed.wait_processed()

    assert client.wait_closed() == 4008
    reason = json.loads(client.reason)
    quotes = [m for m in client.messages if m["type"] == "quote"]
    assert (reason["code"], reason["setting"]) == ("slow_consumer", "CLIENT_QUEUE")
    ack = [m for m in client.messages if m["type"] == "ack"]
    assert reason["seq"] == (quotes or ack)[-1]["seq"]
    other.receive(("quote", "snapshot"), last="2999")
    gateway.wait_for_log("connection closed: slow consumer, code 4008")


def test_heartbeats_state_how_far_the_client_is(system):
    broker, gateway = system.start(heartbeat=1)
    feed = system.feed(broker)
    client = silent(system, gateway, "?symbols=X")
    feed.quote("X", last="1")
    seq = client.receive("quote")["seq"]
    beat = client.receive("heartbeat", where=lambda m: m["seq"] >= seq)
    assert is_time(beat.pop("timestamp"))
    assert beat == {"type": "heartbeat", "seq": seq, "merged": 0}
    feed.quote("OTHER", last="1")
    feed.wait_processed()
    client.receive("heartbeat", where=lambda m: m["seq"] > seq)


def test_merged_values_are_counted_and_nothing_else_is(system):
    broker, gateway = system.start(heartbeat=1)
    feed = system.feed(broker)
    for i in range(20):
        feed.quote(f"S{i}", last="1")
    feed.wait_processed()
    client = system.client(gateway)
    client.wait_until(lambda m: len(client.received("snapshot")) == 20)
    assert client.receive("heartbeat")["merged"] == 0


def test_a_range_lost_before_the_broker_is_reported_to_every_client(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = silent(system, gateway, "?symbols=X")
    feed.quote("X", last="1")
    client.receive("quote")
    with feed.changed:
        feed.control.send(msgpack.packb({"op": "lost", "id": 5, "epoch": feed.epoch, "first": 2,
                                         "last": 5, "reason": "ring_overflow"}))
    lost = client.receive("lost")
    assert lost == {"type": "lost", "seq": 2, "feed": "feed", "first": 2, "last": 5, "count": 4,
                    "reason": "ring_overflow"}
    with feed.changed:
        feed.lines += [feed.lines[0]] * 4
    feed.quote("X", last="6")
    assert client.receive("quote")["last"] == "6"
    (row,) = gateway.page("health")["feeds"]
    assert row["lost"] == 4


def test_a_position_of_another_log_is_not_recovered(system):
    broker, gateway = system.start()
    client = silent(system, gateway)
    ack = client.request("subscribe", symbols=["X"], since={"epoch": "0" * 16, "seq": 900})
    assert ack["recovered"] is False
    query = system.client(gateway, f"?symbols=X&since={'0' * 16}:5")
    assert query.receive("ack")["recovered"] is False


def test_a_client_that_offers_no_subprotocol_gets_json_after_any_other_client(system):
    broker, gateway = system.start(http_threads=4)
    for _ in range(8):
        system.client(gateway, "?symbols=X", subprotocol="pregon.v1.msgpack").receive("welcome")
    for _ in range(8):
        answer = system.handshake(gateway)
        assert answer.status == 101
        assert "Sec-WebSocket-Protocol" not in answer.headers
        assert answer.socket.receive("welcome")["protocol"] == "pregon.v1.json"
