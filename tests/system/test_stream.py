"""What is said on /ws/cotizaciones: requests, their answers, and their order."""

import json
import time

import msgpack

from stream_checks import is_time, silent


def test_the_first_word_is_a_welcome_that_states_the_terms(stage):
    broker, gateway = stage.play(
        gateway_name="gw-1", heartbeat=7, websocket_timeout=41.5, max_symbols=77,
        ws_max_size=4242, client_queue=54321,
    )
    feed = stage.feed(broker)
    feed.quote("X", last="1")
    feed.settled()
    client = stage.client(gateway)

    welcome = client.next()

    assert is_time(welcome.pop("timestamp"))
    status = stage.control(broker).ask("status")
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


def test_every_connection_has_a_name_of_its_own(stage):
    broker, gateway = stage.play()
    names = {stage.client(gateway).hears("welcome")["connection"] for _ in range(5)}
    assert len(names) == 5


def test_a_subscription_is_acknowledged_before_its_data(stage):
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    for symbol in ("EUR/USD", "BTC/USD", "BTC/EUR", "GOLD"):
        feed.quote(symbol, last="1")
    feed.settled()
    client = silent(stage, gateway)
    before = len(client.messages)

    client.says(op="subscribe", id=1, symbols=["EUR/USD", "BTC*"])

    client.is_told(lambda m: len(m) >= before + 4)
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
        assert s["seq"] > ack["seq"]  # it is still owed


def test_a_quote_names_its_position_and_the_one_before(stage):
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    client = silent(stage, gateway, "?symbols=X")

    feed.quote("X", last="1", timestamp=1000.25)
    feed.quote("Y", last="9")
    first = client.hears("quote")
    feed.quote("X", last="2")
    second = client.hears("quote")

    assert first == {"type": "quote", "symbol": "X", "seq": first["seq"], "prev": 0,
                     "last": "1", "timestamp": 1000.25}
    assert second["prev"] == first["seq"]
    assert second["seq"] == first["seq"] + 2


def test_a_change_of_state_is_a_message_with_a_position(stage):
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    client = silent(stage, gateway, "?symbols=X")
    feed.quote("X", last="1")
    quote = client.hears("quote")

    feed.goodbye()

    state = client.hears("state")
    assert state == {"type": "state", "symbol": "X", "seq": state["seq"], "prev": quote["seq"],
                     "state": "stale"}
    assert state["seq"] > quote["seq"]


def test_a_pattern_matches_its_prefix_and_a_symbol_only_itself(stage):
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    exact = silent(stage, gateway, "?symbols=BTC&mode=all")
    prefix = silent(stage, gateway, "?symbols=BTC*&mode=all")
    everything = silent(stage, gateway, "?symbols=*&mode=all")

    for symbol in ("BT", "BTC", "BTC/USD", "BTCX", "ETH", "BTC2", "END", "BTC"):
        feed.quote(symbol, last="1")

    everything.is_told(lambda m: len(everything.heard("quote")) == 8)
    prefix.is_told(lambda m: len(prefix.heard("quote")) == 5)
    exact.is_told(lambda m: len(exact.heard("quote")) == 2)
    assert [m["symbol"] for m in prefix.heard("quote")] == ["BTC", "BTC/USD", "BTCX", "BTC2", "BTC"]
    assert [m["symbol"] for m in exact.heard("quote")] == ["BTC", "BTC"]


def test_a_symbol_is_sent_once_whatever_number_of_patterns_match_it(stage):
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    clients = [silent(stage, gateway, f"?symbols=A*,AB*,ABC,*&mode={m}") for m in ("all", "merge")]
    for client in clients:
        feed.quote("ABC", last="1")
        client.hears("quote")
        feed.quote("END", last="1")
        client.hears("quote", symbol="END")
        seqs = [m["seq"] for m in client.heard("quote")]
        assert len(seqs) == len(set(seqs))


def test_a_symbol_nobody_has_heard_of_may_still_come(stage):
    broker, gateway = stage.play()
    client = silent(stage, gateway)
    ack = client.asks("subscribe", symbols=["LATER"])
    assert ack["symbols"] == ["LATER"] and ack["rejected"] == []
    stage.feed(broker).quote("LATER", last="1")
    client.hears("quote", symbol="LATER")


def test_what_cannot_be_a_pattern_is_rejected_by_name_and_the_rest_accepted(stage):
    broker, gateway = stage.play()
    client = silent(stage, gateway)
    wrong = ["A\u0000B", "a", "", "A B", "*A", "A**", "X" * 33, "Ñ"]

    ack = client.asks("subscribe", symbols=["A", *wrong, "B*"])

    assert ack["symbols"] == ["A", "B*"]
    assert len(ack["rejected"]) == len(wrong)
    assert ack["rejected"][1:] == wrong[1:]
    assert client.asks("list")["symbols"][-2:] == ["A", "B*"]


def test_more_patterns_than_allowed_are_rejected_by_name(stage):
    broker, gateway = stage.play(max_symbols=3)
    client = stage.client(gateway, "?symbols=A")
    client.hears("ack")
    ack = client.asks("subscribe", symbols=["B", "C", "D", "E"])
    assert (ack["symbols"], ack["rejected"]) == (["B", "C"], ["D", "E"])
    client.asks("unsubscribe", symbols=["A"])
    assert client.asks("subscribe", symbols=["D"])["symbols"] == ["D"]


def test_subscribing_again_changes_nothing(stage):
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    feed.quote("X", last="1")
    client = silent(stage, gateway, "?symbols=X")
    client.hears("snapshot")
    ack = client.asks("subscribe", symbols=["X", "X"])
    assert ack["symbols"] == ["X"]
    assert client.asks("list")["symbols"] == ["X"]
    feed.quote("X", last="2")
    client.hears("quote", last="2")
    assert len(client.heard("quote")) == 1


def test_the_url_subscribes_as_a_request_would(stage):
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    feed.quote("EUR/USD", last="1")
    feed.quote("BTC/USD", last="1")
    feed.quote("GOLD", last="1")
    feed.settled()
    client = stage.client(gateway, "?symbols=EUR%2FUSD,BTC*,bad%20one&mode=all&max_hz=100")
    client.hears("welcome")
    ack = client.next()
    assert ack["symbols"] == ["EUR/USD", "BTC*"]
    assert ack["rejected"] == ["bad one"]
    assert {client.next()["symbol"], client.next()["symbol"]} == {"EUR/USD", "BTC/USD"}
    listed = client.asks("list")
    assert (listed["mode"], listed["symbols"]) == ("all", ["EUR/USD", "BTC*"])


def test_a_mistake_in_the_url_is_reported_and_the_rest_holds(stage):
    broker, gateway = stage.play()
    client = stage.client(gateway, "?symbols=X&mode=some&max_hz=-1")
    client.hears("welcome")
    assert "mode" in client.hears("error", code="bad_request")["message"]
    assert "max_hz" in client.hears("error", code="bad_request")["message"]
    assert client.hears("ack")["symbols"] == ["X"]


def test_a_client_that_sends_nothing_gets_everything_until_its_first_subscribe(stage):
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    feed.quote("A", last="1")
    feed.settled()
    client = stage.client(gateway)
    ack = client.hears("ack")
    assert (ack["symbols"], ack["auto"]) == (["*"], True)
    assert client.hears("snapshot")["symbol"] == "A"
    feed.quote("B", last="1")
    assert client.hears("quote")["symbol"] == "B"

    ack = client.asks("subscribe", symbols=["A"])

    assert ack["symbols"] == ["A"]
    assert client.asks("list")["symbols"] == ["A"]
    feed.quote("B", last="2")
    feed.quote("A", last="2")
    client.hears(("quote", "snapshot"), symbol="A", last="2")
    assert not client.heard(symbol="B", last="2")


def test_what_a_silent_client_gets_can_be_set_or_turned_off(stage):
    broker, gateway = stage.play(websocket_auto_subscribe="A*,B")
    feed = stage.feed(broker)
    client = stage.client(gateway)
    assert client.hears("ack")["symbols"] == ["A*", "B"]
    nothing = stage.gateway(broker, websocket_auto_subscribe="")
    quiet = stage.client(nothing)
    quiet.hears("welcome")
    feed.quote("A1", last="1")
    client.hears("quote", symbol="A1")
    assert quiet.asks("list")["symbols"] == []
    assert not quiet.heard("quote") and not quiet.heard("snapshot")


def test_automatic_snapshots_end_at_auto_max_with_an_error_that_names_it(stage):
    broker, gateway = stage.play(auto_max=5)
    feed = stage.feed(broker)
    for i in range(8):
        feed.quote(f"S{i}", last="1")
    feed.settled()
    client = stage.client(gateway)
    error = client.hears("error")
    assert error["code"] == "auto_max"
    assert "AUTO_MAX" in error["message"]
    client.is_told(lambda m: len(client.heard("snapshot")) == 5)
    for i in range(8):
        feed.quote(f"S{i}", last="2")
    client.is_told(lambda m: len(client.heard(last="2")) == 8)
    assert len(client.heard("snapshot", last="1")) == 5


def test_unsubscribe_takes_away_patterns_as_written(stage):
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    client = silent(stage, gateway, "?symbols=A*,AB,C")

    ack = client.asks("unsubscribe", symbols=["A*", "AB*", "D", "C"])

    assert (ack["op"], ack["symbols"], ack["rejected"]) == (
        "unsubscribe",
        ["A*", "C"],
        ["AB*", "D"],
    )
    assert client.asks("list")["symbols"] == ["AB"]
    for symbol in ("A", "C", "AB"):
        feed.quote(symbol, last="1")
    assert client.hears("quote")["symbol"] == "AB"
    assert len(client.heard("quote")) == 1
    again = client.asks("unsubscribe", symbols=["C"])
    assert (again["symbols"], again["rejected"]) == ([], ["C"])


def test_max_hz_thins_out_and_the_newest_value_always_comes(stage):
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    slow = silent(stage, gateway, "?symbols=X&max_hz=2")
    quick = silent(stage, gateway, "?symbols=X&mode=all")

    began = time.monotonic()
    for i in range(400):
        feed.quote("X", last=str(i))
        quick.hears("quote", last=str(i))  # so that they do come one by one
    slow.hears("quote", last="399")
    elapsed = time.monotonic() - began

    assert len(slow.heard("quote")) <= 2 * elapsed + 2
    seqs = [q["seq"] for q in slow.heard("quote")]
    assert seqs == sorted(set(seqs))


def test_max_hz_does_not_hold_up_answers(stage):
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    client = silent(stage, gateway, "?symbols=X&max_hz=0.01")
    feed.quote("X", last="1")
    client.hears("quote")
    feed.quote("X", last="2")
    feed.settled()
    assert client.asks("ping")["type"] == "ack"
    assert client.asks("subscribe", symbols=["X"], max_hz=1000)["type"] == "ack"
    client.hears("quote", last="2")


def test_mode_all_gets_every_quote_in_rising_order(stage):
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    client = silent(stage, gateway, "?symbols=*&mode=all")
    count = 3000

    for i in range(count):
        feed.quote(f"S{i % 7}", last=str(i))

    client.is_told(lambda m: len(client.heard("quote")) == count, "every quote")
    quotes = client.heard("quote")
    assert [q["last"] for q in quotes] == [str(i) for i in range(count)]
    assert [q["seq"] for q in quotes] == list(range(1, count + 1))
    last = {}
    for q in quotes:
        assert q["prev"] == last.get(q["symbol"], 0)
        last[q["symbol"]] = q["seq"]


def test_changing_the_mode_neither_repeats_nor_skips(stage):
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    client = silent(stage, gateway, "?symbols=X")
    for i in range(1, 600):
        feed.quote("X", last=str(i))
        if i % 20 == 0:
            client.says(op="subscribe", symbols=["X"], mode="all" if i % 40 else "merge")
    client.hears(("quote", "snapshot"), last="599")
    seqs = [m["seq"] for m in client.messages if m["type"] in ("quote", "snapshot")]
    assert all(a < b for a, b in zip(seqs, seqs[1:])), seqs


def test_in_mode_all_a_client_that_falls_behind_is_closed_with_4008(stage):
    broker, gateway = stage.play(client_queue=65536)
    feed = stage.feed(broker)
    other = silent(stage, gateway, "?symbols=X")
    client = stage.raw_client(gateway, "?symbols=X&mode=all", receive_buffer=4096)
    for i in range(3000):
        feed.quote("X", last=str(i), note="x" * 1000)
    feed.settled()

    assert client.closed() == 4008
    reason = json.loads(client.reason)
    quotes = [m for m in client.messages if m["type"] == "quote"]
    assert (reason["code"], reason["setting"]) == ("slow_consumer", "CLIENT_QUEUE")
    ack = [m for m in client.messages if m["type"] == "ack"]
    assert reason["seq"] == (quotes or ack)[-1]["seq"]
    other.hears(("quote", "snapshot"), last="2999")
    gateway.says("connection closed: slow consumer, code 4008")


def test_heartbeats_state_how_far_the_client_is(stage):
    broker, gateway = stage.play(heartbeat=1)
    feed = stage.feed(broker)
    client = silent(stage, gateway, "?symbols=X")
    feed.quote("X", last="1")
    seq = client.hears("quote")["seq"]
    beat = client.hears("heartbeat", where=lambda m: m["seq"] >= seq)
    assert is_time(beat.pop("timestamp"))
    assert beat == {"type": "heartbeat", "seq": seq, "merged": 0}
    feed.quote("OTHER", last="1")
    feed.settled()
    client.hears("heartbeat", where=lambda m: m["seq"] > seq)


def test_merged_values_are_counted_and_nothing_else_is(stage):
    broker, gateway = stage.play(heartbeat=1)
    feed = stage.feed(broker)
    for i in range(20):
        feed.quote(f"S{i}", last="1")
    feed.settled()
    client = stage.client(gateway)
    client.is_told(lambda m: len(client.heard("snapshot")) == 20)
    assert client.hears("heartbeat")["merged"] == 0


def test_a_range_lost_before_the_broker_is_reported_to_every_client(stage):
    broker, gateway = stage.play()
    feed = stage.feed(broker)
    client = silent(stage, gateway, "?symbols=X")
    feed.quote("X", last="1")
    client.hears("quote")
    with feed.changed:
        feed.control.send(msgpack.packb({"op": "lost", "id": 5, "epoch": feed.epoch, "first": 2,
                                         "last": 5, "reason": "ring_overflow"}))
    lost = client.hears("lost")
    assert lost == {"type": "lost", "seq": 2, "feed": "feed", "first": 2, "last": 5, "count": 4,
                    "reason": "ring_overflow"}
    with feed.changed:
        feed.lines += [feed.lines[0]] * 4
    feed.quote("X", last="6")
    assert client.hears("quote")["last"] == "6"
    (row,) = gateway.page("health")["feeds"]
    assert row["lost"] == 4


def test_a_position_of_another_log_is_not_recovered(stage):
    broker, gateway = stage.play()
    client = silent(stage, gateway)
    ack = client.asks("subscribe", symbols=["X"], since={"epoch": "0" * 16, "seq": 900})
    assert ack["recovered"] is False
    query = stage.client(gateway, f"?symbols=X&since={'0' * 16}:5")
    assert query.hears("ack")["recovered"] is False


def test_a_client_that_offers_no_subprotocol_gets_json_after_any_other_client(stage):
    broker, gateway = stage.play(http_threads=4)
    for _ in range(8):
        stage.client(gateway, "?symbols=X", subprotocol="pregon.v1.msgpack").hears("welcome")
    for _ in range(8):
        answer = stage.handshake(gateway)
        assert answer.status == 101
        assert "Sec-WebSocket-Protocol" not in answer.headers
        assert answer.socket.hears("welcome")["protocol"] == "pregon.v1.json"
