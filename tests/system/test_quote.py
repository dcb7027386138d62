"""Valid quotes pass unchanged from their feeder to a client, and invalid ones are refused."""

import csv
import json
import os
import time

import msgpack
import pytest

import pregon


def test_a_price_arrives_with_every_digit_it_left_with(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = system.client(gateway, "?symbols=GOLD")
    client.receive("ack")
    now = time.time()

    feed.quote("GOLD", bid="1034.50", ask="1034.60", bid_size="0.00", currency="USD",
               source="test", timestamp=now)

    quote = client.receive("quote")
    assert quote["bid"] == "1034.50"
    assert quote["ask"] == "1034.60"
    assert quote["bid_size"] == "0.00"
    assert quote["timestamp"] == pytest.approx(now, abs=1e-6)
    assert '"bid":"1034.50"' in client.text_of(quote)
    assert gateway.page("quotes/GOLD")["bid"] == "1034.50"


def test_a_producer_may_leave_the_timestamp_out_and_learns_what_was_refused(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = system.client(gateway, "?symbols=GOLD&mode=all")
    client.receive("ack")
    before = time.time()

    feed.line(b"GOLD ", {"last": "1034.50"})
    feed.line(b"GOLD ", {"last": 1034.5})

    quote = client.receive("quote")
    assert quote["last"] == "1034.50"
    assert before - 1 < quote["timestamp"] < time.time() + 1
    assert feed.wait_processed().refusals() == [[2, "bad_price"]]


def test_a_feeder_warns_of_what_the_broker_refuses(system):
    broker = system.broker(max_symbols_total=1)
    feeder = system.feeder(broker, "-")

    feeder.write('{"symbol":"GOLD","last":"1"}\n{"symbol":"SILVER","last":"1"}\n')
    feeder.wait_for_log(r"the broker refused the quote of line 2: book_full; refused so far: 1")


def test_unknown_fields_pass_unchanged(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = system.client(gateway, "?symbols=X")
    client.receive("ack")
    extra = {"venue": "BMV ñ \u2028\x01\"", "deep": {"a": [1, -2, None, True, "z"]}, "n": 2**53 + 1}

    feed.quote("X", last="1", **extra)

    quote = client.receive("quote")
    assert {k: quote[k] for k in extra} == extra


def test_a_number_as_price_is_taken_as_its_source_text(system):
    broker, gateway = system.start()
    client = system.client(gateway, "?symbols=A,B,C&mode=all")
    client.receive("ack")
    feeder = system.feeder(broker, "-")

    feeder.write('{"symbol":"A","bid":1034.50,"ask":1034.60000000000000000001}\n')
    feeder.write('{"symbol":"B","last":"007.10","volume":12345678901234567890123}\n')
    feeder.write('{"symbol":"C","last":1e-7}\n')

    quote = client.receive("quote", symbol="A")
    assert (quote["bid"], quote["ask"]) == ("1034.50", "1034.60000000000000000001")
    quote = client.receive("quote", symbol="B")
    assert (quote["last"], quote["volume"]) == ("007.10", "12345678901234567890123")
    assert client.receive("quote", symbol="C")["last"] == "0.0000001"
    feeder.end_of_input()
    feeder.wait_for_exit(0)


def test_msgpack_clients_get_the_same_keys_and_values_as_json_clients(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("X", bid="1", ask="2", venue={"name": "ñ", "ids": [1, 2]})
    feed.wait_processed()
    system.client(gateway, "?symbols=X").receive(
        "snapshot"
    )  # so that both are welcomed at its position
    text = system.client(gateway, "?symbols=X&mode=all", subprotocol="pregon.v1.json")
    packed = system.client(gateway, "?symbols=X&mode=all", subprotocol="pregon.v1.msgpack")
    assert packed.subprotocol == "pregon.v1.msgpack"
    assert packed.receive("welcome")["protocol"] == "pregon.v1.msgpack"

    text.receive("snapshot"), packed.receive("snapshot")
    feed.quote("X", last="3.10", open="3")
    text.receive("quote"), packed.receive("quote")
    feed.goodbye()
    text.receive("state"), packed.receive("state")

    assert isinstance(packed.raw[-1], bytes)
    shape = [
        {k: v for k, v in m.items() if k not in ("connection", "timestamp", "protocol")}
        for m in text.messages
    ]
    other = [
        {k: v for k, v in m.items() if k not in ("connection", "timestamp", "protocol")}
        for m in packed.messages
    ]
    assert shape == other
    assert [list(m) for m in text.messages] == [list(m) for m in packed.messages]


def test_a_json_client_may_not_send_msgpack_and_a_msgpack_client_may_send_both(system):
    broker, gateway = system.start()
    text = system.client(gateway, "?symbols=")
    packed = system.client(gateway, "?symbols=", subprotocol="pregon.v1.msgpack")

    text.send(msgpack.packb({"op": "ping", "id": 1}))
    assert text.receive("error")["code"] == "bad_request"
    assert packed.request("ping", id="a")["op"] == "ping"
    packed.send(json.dumps({"op": "ping", "id": 7}))
    assert packed.receive("ack")["id"] == 7


REFUSED = {
    "crossed": ("X", {"bid": "2", "ask": "1.99"}),
    "future": ("X", {"last": "1", "timestamp": 0}),  # an hour ahead, see below
    "a_negative_size": ("X", {"last": "1", "volume": "-1"}),
    "a_price_that_is_a_float": ("X", {"last": 1.5}),
    "a_price_with_a_comma": ("X", {"last": "1,5"}),
    "no_price": ("X", {"volume": "1"}),
    "oversized": ("X", {"last": "1", "note": "x" * 70000}),
    "a_lower_case_symbol": ("x", {"last": "1"}),
    "a_symbol_with_a_space": ("X Y", {"last": "1"}),
    "a_symbol_too_long": ("X" * 33, {"last": "1"}),
    "a_reserved_field": ("X", {"last": "1", "seq": 7}),
    "no_map": ("X", b"\x91\x01"),
    "a_duplicate_key": ("X", b"\x83\xa4last\xa11\xa4last\xa12\xa9timestamp\x01"),
    "nonsense": ("X", b"\xc1"),
    "too_deep": ("X", b"\x82\xa9timestamp\x01\xa4note" + b"\x91" * 40 + b"\x01"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_an_invalid_quote_is_refused_counted_and_never_published(system, kind):
    broker, gateway = system.start()
    feed = system.feed(broker)
    client = system.client(gateway, "?mode=all")
    client.receive("ack")
    symbol, body = REFUSED[kind]
    if isinstance(body, dict):
        now = time.time()
        body = {"timestamp": now, **body}
        body["timestamp"] = body["timestamp"] or now + 3600

    feed.quote("GOOD", last="1")
    feed.line(symbol.encode() + b" ", body)
    feed.quote("GOOD", last="2")
    feed.wait_processed()

    client.receive("quote", last="2")
    assert [m["symbol"] for m in client.received("quote")] == ["GOOD", "GOOD"]
    (row,) = gateway.page("health")["feeds"]
    assert (row["accepted"], row["refused"]) == (2, 1)
    assert broker.logged(r"WARNING: +feed feed: quote of \S* ?\S* ?refused: ")
    assert [q["symbol"] for q in gateway.page("quotes")["quotes"]] == ["GOOD"]


def test_a_feed_that_may_cross_may_cross(system):
    broker, gateway = system.start()
    client = system.client(gateway, "?symbols=X")
    client.receive("ack")
    system.feed(broker, allow_crossed=True).quote("X", bid="2", ask="1")
    assert client.receive("quote")["bid"] == "2"


def test_a_bad_line_is_refused_with_its_number_and_reason_and_the_rest_goes_on(system):
    broker, gateway = system.start()
    client = system.client(gateway, "?mode=all")
    client.receive("ack")
    feeder = system.feeder(broker, "-", feed="lines")
    lines = [
        '{"symbol":"A","last":"1"}',
        "not json",
        "",
        '{"symbol":"a","last":"1"}',
        '{"symbol":"A","last":"--1"}',
        '{"symbol":"A","bid":"2","ask":"1"}',
        '{"symbol":"A","last":"2","note":"' + "x" * 300000 + '"}',
        '["A"]',
        '{"symbol":"B","last":"2"}',
    ]

    feeder.write("\n".join(lines))  # the last one without a newline
    feeder.end_of_input()
    feeder.wait_for_exit(0)

    client.receive("quote", symbol="B")
    assert [m["symbol"] for m in client.received("quote")] == ["A", "B"]
    said = "\n".join(feeder.log("err"))
    for number, why in ((2, "malformed"), (4, "bad_symbol"), (5, "bad_price"), (6, "crossed"),
                        (7, "oversized")):
        assert f"line {number} refused: {why}" in said
    assert "refused so far: 6" in said
    assert "2 received, 0 lost" in said


def test_a_refused_line_names_the_field_that_is_wrong(system):
    broker = system.broker()
    feeder = system.feeder(broker, "-", feed="lines")
    feeder.write("\ufeff" + json.dumps({"symbol": "TY", "last": 1, "type": "trade"}) + "\n")
    feeder.wait_for_log("line 1 refused: reserved_name: the record itself has a field of this "
                        "name: type, symbol, seq, prev or state, field type at byte")
    feeder.write(json.dumps({"symbol": "TY", "last": "many"}) + "\n")
    feeder.wait_for_log("line 2 refused: bad_price: .*, field last at byte")
    feeder.write(
        json.dumps({"symbol": "TY", "last": 1, "note": "x"}).encode("utf-16").decode("latin-1")
        + "\n"
    )
    feeder.wait_for_log("line 3 refused: malformed: .*send UTF-8")
    feeder.stop()


@pytest.mark.parametrize("rule", ["allow", "refuse"])
def test_a_negative_price_arrives_unless_its_feed_forbids_it(system, rule):
    broker, gateway = system.start()
    client = system.client(gateway, "?mode=all")
    client.receive("ack")
    feeder = system.feeder(broker, "-", feed="lines", negative=rule)
    for fields in ({"symbol": "CL=F", "last": -37.63}, {"symbol": "CL=F", "last": 0},
                   {"symbol": "SPREAD", "bid": "-0.25", "ask": "-0.20"}):
        feeder.write(json.dumps(fields) + "\n")
    feeder.end_of_input()
    feeder.wait_for_exit(0)
    if rule == "allow":
        client.receive("quote", symbol="CL=F", last="-37.63")
        client.receive("quote", symbol="CL=F", last="0")
        client.receive("quote", symbol="SPREAD", bid="-0.25", ask="-0.20")
        assert gateway.page("quotes/SPREAD")["bid"] == "-0.25"
        records = gateway.page("quotes/CL=F/history?order=oldest")["records"]
        assert [r["last"] for r in records if r["type"] == "quote"] == ["-37.63", "0"]
    else:
        client.receive("quote", symbol="CL=F", last="0")
        assert feeder.logged("line 1 refused: negative") and feeder.logged("2 refused")


def test_refused_lines_that_are_only_counted_are_reported_once_and_in_the_totals(system):
    broker = system.broker()
    feeder = system.feeder(broker, "-", feed="lines")
    feeder.write("not json\n" * 300 + '{"symbol":"A","last":"1"}\n')
    feeder.end_of_input()
    feeder.wait_for_exit(0)
    assert len(feeder.logged("line [0-9]+ refused: malformed")) < 300
    assert (
        len(feeder.logged("standard input: of the refused lines that follow most are only counted"))
        == 1
    )
    assert feeder.logged("feed lines: 1 lines, 1 received, 0 lost, 300 refused")


def test_recorded_quotes_flow_with_their_prices_as_recorded(system):
    broker, gateway = system.start(client_queue=64 * 1024 * 1024)
    client = system.client(gateway, "?mode=all")
    client.receive("ack")
    path = os.path.join(pregon.DATA, "usdthb.csv")
    with open(path, newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))

    feeder = system.feeder(broker, f"csv:{path}?speed=0", feed="recorded")
    feeder.wait_for_exit(0)

    good = [r for r in rows if float(r["BID"]) <= float(r["ASK"])]
    client.wait_until(lambda m: len(client.received("quote")) >= len(good), "all quotes")
    quotes = client.received("quote")
    assert sorted((q["bid"], q["ask"], q["contributor"]) for q in quotes) == sorted(
        (r["BID"], r["ASK"], r["CONTRIBUTOR"]) for r in good
    )
    assert {q["symbol"] for q in quotes} == {"USD/THB"}
    assert {q["source"] for q in quotes} == {"recorded data"}
    now = time.time()
    assert all(now - 3600 < q["timestamp"] <= now + 1 for q in quotes)
    assert all(865000000 < q["recorded_at"] < 868000000 for q in quotes)  # June 1997
    assert feeder.logged(r"refused so far: %d" % (len(rows) - len(good)))


def test_several_recorded_files_are_replayed_side_by_side(system):
    broker, gateway = system.start()
    client = system.client(gateway)
    names = ("usdthb", "usdchf", "EuStockMarkets", "sp500_daily")
    sources = [f"csv:{pregon.DATA}/{name}.csv?speed=1000000" for name in names]
    system.feeder(broker, sources, loop=True)
    for symbol in ("USD/THB", "USD/CHF", "DAX", "SMI", "CAC", "FTSE", "SP500"):
        client.wait_until(lambda m, s=symbol: any(x.get("symbol") == s for x in m), symbol)


def test_a_simulation_waits_when_the_broker_falls_behind_and_logs_it(system):
    broker, gateway = system.start(client_queue=256 * 1024 * 1024)
    client = system.client(gateway, "?mode=all")
    client.receive("ack")
    feeder = system.feeder(broker, "sim:3?rate=2000", feed="sim", ring=64)
    client.receive("quote")

    broker.signal(19)  # SIGSTOP
    feeder.wait_for_log("back-pressure")
    broker.signal(18)  # SIGCONT
    feeder.wait_for_log("in time again")
    feeder.stop()

    received = int(feeder.wait_for_log(r"(\d+) received, 0 lost")[1])
    client.wait_until(lambda m: len(client.received("quote")) >= received, "every quote")
    seen = {}
    for quote in client.received("quote"):
        assert quote["n"] == seen.get(quote["symbol"], quote["n"] - 1) + 1
        seen[quote["symbol"]] = quote["n"]
    assert not client.received("lost")


def test_a_program_that_never_waits_is_paced_and_loses_nothing(system):
    broker, gateway = system.start()
    feeder = system.feeder(broker, "-", feed="flood", ring=1000)
    count = 100000

    # Like `yes '{"symbol":"X",…}'`: the writes block while the feeder does not read.
    line = b'{"symbol":"X","bid":"1","ask":"2"}\n'
    for _ in range(count // 1000):
        feeder.write(line * 1000)
    feeder.write('{"symbol":"X","bid":"1","ask":"3"}\n')
    feeder.end_of_input()
    feeder.wait_for_exit(0)

    assert feeder.wait_for_log(r"feed flood: (\d+) lines, (\d+) received, 0 lost").groups() == (
        str(count + 1), str(count + 1))
    (row,) = gateway.page("health")["feeds"]
    assert (row["accepted"], row["lost"], row["refused"]) == (count + 1, 0, 0)
    assert gateway.page("quotes/X")["ask"] == "3"


def test_symbols_go_stale_when_their_feeder_is_killed_and_live_when_one_is_back(system):
    broker, gateway = system.start()
    other = system.feed(broker, "other")
    other.quote("Y", last="1")
    client = system.client(gateway)
    client.receive("ack")
    feeder = system.feeder(broker, "-", feed="main")
    feeder.write('{"symbol":"X","last":"1"}\n')
    client.receive("quote", symbol="X")

    feeder.kill()

    state = client.receive("state")
    assert (state["symbol"], state["state"]) == ("X", "stale")
    assert gateway.page("quotes/X")["state"] == "stale"
    assert gateway.page("quotes/Y")["state"] == "live"
    rows = {f["name"]: f for f in gateway.page("health")["feeds"]}
    assert (rows["main"]["status"], rows["other"]["status"]) == ("silent", "live")

    feeder.start()
    feeder.write('{"symbol":"X","last":"2"}\n')
    client.receive(("quote", "snapshot"), symbol="X", last="2")
    assert gateway.page("quotes/X")["state"] == "live"


def test_the_symbols_of_a_feed_are_stale_at_once_after_its_goodbye(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("X", last="1")
    client = system.client(gateway, "?symbols=X")
    client.receive("snapshot", state="live")
    feed.goodbye()
    client.receive("state", symbol="X", state="stale")


def test_a_second_feeder_of_a_name_stands_by_and_takes_over(system):
    broker, gateway = system.start()
    client = system.client(gateway, "?symbols=X")
    client.receive("ack")
    first = system.feeder(broker, "-", feed="twin")
    second = system.feeder(broker, "-", feed="twin", wait=False)
    second.wait_for_log("standing by")
    second.write('{"symbol":"X","last":"2"}\n')
    first.write('{"symbol":"X","last":"1"}\n')
    assert client.receive("quote")["last"] == "1"

    first.kill()

    second.wait_ready()
    client.receive(("quote", "snapshot"), last="2")
    second.write('{"symbol":"X","last":"3"}\n')
    client.receive(("quote", "snapshot"), last="3")
    (row,) = gateway.page("health")["feeds"]
    assert (row["name"], row["status"], row["lost"]) == ("twin", "live", 0)


def test_lines_under_a_grant_that_was_taken_over_are_not_published(system):
    broker, gateway = system.start()
    client = system.client(gateway, "?mode=all")
    client.receive("ack")
    first = system.feed(broker, "twin")
    first.quote("X", last="1")
    client.receive("quote", last="1")
    old = first.epoch
    first.fall_silent()
    second = system.feed(broker, "twin", wait=False)
    pregon.eventually(lambda: second.is_open, what="the take-over")
    assert second.epoch > old

    first.raw(b"X ", msgpack.packb([1, old, 2, 0, 0, 0, {"last": "666", "timestamp": time.time()}]))
    broker.wait_for_log("an epoch that holds no feed name")
    second.quote("X", last="2")
    client.receive("quote", last="2")
    assert not client.received("quote", last="666")


def test_lines_that_arrive_twice_or_out_of_order_are_published_once_and_in_order(system):
    broker, gateway = system.start()
    client = system.client(gateway, "?symbols=X&mode=all")
    client.receive("ack")
    feed = system.feed(broker)

    def send(line):
        body = {"last": str(line), "timestamp": time.time()}
        feed.raw(b"X ", msgpack.packb([1, feed.epoch, line, 0, 0, 0, body]))

    send(1), send(1), send(3), send(2), send(2)
    client.receive("quote", last="1")
    client.receive("quote", last="2")
    with feed.changed:  # now the feed has these lines too, and sends 3 again on request
        feed.lines = [(b"X ", {"last": str(n), "timestamp": time.time()}) for n in (1, 2, 3)]
    client.receive("quote", last="3")
    assert [q["last"] for q in client.received("quote")] == ["1", "2", "3"]
