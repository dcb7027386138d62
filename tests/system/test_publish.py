"""A program that publishes quotes over HTTP, through any gateway."""

import gzip
import http.client
import json
import os
import random
import secrets
import threading
import time

import pytest

import pregon
from openapi import as_described
from test_pages import check, is_text

TOKEN = "open-sesame"
QUOTES = "/cotizaciones/quotes"
BEARER = {"Authorization": "Bearer " + TOKEN}


def post(gateway, body, query="", **headers):
    if not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.get(QUOTES + query, "POST", {**BEARER, **headers}, body)


def accepted(answer):
    """The positions; every quote must be accepted."""
    assert answer.status == 200, answer.body
    as_described(answer.json(), "Published", "POST quotes")
    return [quote["seq"] for quote in answer.json()["quotes"]]


def refused(answer, status, code):
    assert (answer.status, answer.code) == (status, code), answer.body
    assert answer.headers["X-Reject-Reason"] == code
    check(answer.json()["error"], {"code": code, "message": is_text, "request_id": is_text,
                                   "hint": is_text})
    return answer


@pytest.fixture(scope="module")
def prepared(shared_system):
    return shared_system.start(publish_token=TOKEN)


def test_a_posted_quote_reaches_clients_as_it_was_written(system):
    broker, gateway = system.start(publish_token=TOKEN)
    client = system.client(gateway, "?symbols=GOLD&mode=all")
    client.receive("ack")
    before = time.time()

    seqs = accepted(post(gateway, '{"symbol":"GOLD","bid":1034.50,"ask":"1034.60","desk":"X"}'))

    quote = client.receive("quote")
    assert (quote["seq"], quote["bid"], quote["ask"], quote["desk"]) == (
        seqs[0], "1034.50", "1034.60", "X")
    assert before - 1 < quote["timestamp"] < time.time() + 1
    assert gateway.page("quotes/GOLD")["seq"] == seqs[0]
    feed = gateway.page("health")["feeds"][0]
    assert (feed["name"], feed["status"], feed["accepted"]) == ("web", "live", 1)


def test_arrays_and_lines_are_published_in_order_plain_and_compressed(prepared):
    gateway = prepared[1]
    quotes = [{"symbol": f"S{i}", "last": i} for i in range(600)]
    lines = "\n".join(map(json.dumps, quotes)).encode()

    for body, headers in (
        (quotes, {}),
        (lines, {"Content_Type": "application/x-ndjson"}),
        (lines, {"Content_Type": "text/plain"}),
        (gzip.compress(lines), {"Content_Encoding": "gzip"}),
        (gzip.compress(json.dumps(quotes).encode()), {"Content_Encoding": "GZIP"}),
    ):
        seqs = accepted(post(gateway, body, **headers))
        assert len(seqs) == 600 and seqs == sorted(set(seqs))
    assert accepted(post(gateway, [])) == []


def test_each_refused_quote_is_named_with_its_code_and_field(prepared):
    answer = post(prepared[1], [
        {"symbol": "A", "last": 1}, {"symbol": "a", "last": 1}, {"symbol": "A", "bid": "x"},
        {"symbol": "A", "last": 1, "timestamp": 99999999999}, {"symbol": "A", "bid": 2, "ask": 1},
        {"symbol": "A", "last": 2},
    ])

    assert answer.status == 200
    as_described(answer.json(), "Published", "POST quotes")
    body = answer.json()
    assert (body["accepted"], body["refused"]) == (2, 4)
    assert [(q["index"], q["code"], q["field"]) for q in body["quotes"] if "code" in q] == [
        (1, "bad_symbol", "symbol"), (2, "bad_price", "bid"), (3, "future", "timestamp"),
        (4, "crossed", "bid")]
    assert body["quotes"][5]["seq"] == body["quotes"][0]["seq"] + 1


def test_a_request_of_which_no_quote_is_accepted_is_an_error_with_the_reasons(prepared):
    answer = refused(post(prepared[1], [{"symbol": "a", "last": 1}]), 422, "quotes_refused")
    as_described(answer.json(), "PublishError", "POST quotes")
    assert answer.json()["quotes"][0]["code"] == "bad_symbol"


SENSELESS = {
    "empty": ("", {}, "", 400, "bad_request"),
    "no JSON": ("[{]", {}, "", 400, "bad_request"),
    "a number": ("7", {}, "", 400, "bad_request"),
    "a key with a space": ("[]", {"Idempotency_Key": "a b"}, "", 400, "bad_request"),
    "a long key": ("[]", {"Idempotency_Key": "k" * 129}, "", 400, "bad_request"),
    "a bad feed": ("[]", {"X_Feed": "a/b"}, "", 400, "bad_request"),
    "a bad parameter": ("[]", {}, "?stored=2", 400, "bad_request"),
    "an unknown parameter": ("[]", {}, "?feed=web", 400, "bad_request"),
    "another encoding": ("[]", {"Content_Encoding": "br"}, "", 415, "unsupported_encoding"),
    "no gzip": ("[]", {"Content_Encoding": "gzip"}, "", 400, "bad_request"),
    "a bomb": (gzip.compress(b" " * (1 << 21)), {"Content_Encoding": "gzip"}, "", 413,
               "too_large"),
    "too many bytes": (" " * ((1 << 20) + 1), {}, "", 413, "too_large"),
    "too many quotes": ([{"symbol": "A", "last": 1}] * 1001, {}, "", 413, "too_large"),
}


@pytest.mark.parametrize("case", SENSELESS)
def test_a_request_that_makes_no_sense_publishes_nothing(prepared, case):
    body, headers, query, status, code = SENSELESS[case]
    before = prepared[1].page("quotes?limit=1")["seq"]
    refused(post(prepared[1], body, query, **headers), status, code)
    assert prepared[1].page("quotes?limit=1")["seq"] == before


def test_only_bearers_of_the_token_publish_and_refusals_are_explained(system):
    broker, gateway = system.start(publish_token=TOKEN)
    body = json.dumps({"symbol": "A", "last": 1})

    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = refused(gateway.get(QUOTES, "POST", headers, body), 401, "publish_unauthorized")
        assert answer.headers["WWW-Authenticate"] == "Bearer"
    gateway.wait_for_log(r'WARNING: .* - "POST /cotizaciones/quotes" 401 publish_unauthorized: '
                 r"A token is needed\. .* \[PUBLISH_TOKEN\]")
    refusals = gateway.status()["gateway"]["refusals"]
    assert refusals["by_code"] == {"publish_unauthorized": 2}
    assert refusals["last"][0]["setting"] == "PUBLISH_TOKEN"
    assert ('pregon_refusals_total{code="publish_unauthorized"} 2'
            in gateway.get("/metrics").body.decode())
    for bearer, allowed in (("wrong", False), (TOKEN, True)):
        verdict = gateway.get("/cotizaciones/websocket_check",
                              headers={"Authorization": "Bearer " + bearer}).json()["publish"]
        assert verdict["allowed"] == allowed
    assert gateway.page("quotes")["quotes"] == []


def test_without_a_token_nobody_publishes(system):
    broker, gateway = system.start()
    answer = refused(post(gateway, {"symbol": "A", "last": 1}), 403, "publish_disabled")
    assert "PUBLISH_TOKEN" in answer.json()["error"]["hint"]
    verdict = gateway.page("websocket_check")["publish"]
    assert (verdict["allowed"], verdict["setting"]) == (False, "PUBLISH_TOKEN")


def test_a_repeated_key_gets_the_same_answer_through_any_gateway(system):
    broker, gateway = system.start(publish_token=TOKEN)
    other = system.gateway(broker, publish_token=TOKEN)
    quotes = [{"symbol": f"S{i}", "last": i or "x"} for i in range(300)]

    first = post(gateway, quotes, Idempotency_Key="k1").json()
    again = post(other, quotes, Idempotency_Key="k1").json()

    assert (first.pop("repeated"), again.pop("repeated")) == (False, True)
    assert first == again and first["accepted"] == 299
    refused(post(other, quotes[:9], Idempotency_Key="k1"), 422, "key_reused")
    assert post(other, quotes[:9], Idempotency_Key="k1", X_Feed="other").json()["accepted"] == 8
    assert gateway.page("quotes")["seq"] == 299 + 8


def test_a_feed_that_ends_turns_stale_and_one_of_a_feeder_is_held(system):
    broker, gateway = system.start(publish_token=TOKEN)
    client = system.client(gateway, "?symbols=A&mode=all")
    client.receive("ack")

    accepted(post(gateway, {"symbol": "A", "last": 1}, "?ended=1", X_Feed="day"))
    client.receive("state", symbol="A", state="stale")
    assert gateway.page("health")["feeds"][0]["status"] == "ended"

    feed = system.feed(broker, "mine")
    feed.quote("B", last="1")
    feed.wait_processed()
    answer = refused(post(gateway, {"symbol": "A", "last": 1}, X_Feed="mine"), 409, "held")
    assert int(answer.headers["Retry-After"]) >= 1


def test_requests_without_an_accepted_quote_change_nothing(system):
    broker, gateway = system.start(publish_token=TOKEN)
    client = system.client(gateway, "?symbols=*&mode=all")
    client.receive("ack")
    accepted(post(gateway, [{"symbol": "A", "last": 1}, {"symbol": "B", "last": 1}]))
    accepted(post(gateway, [], "?ended=1"))
    seq = gateway.page("quotes")["seq"]
    for body in ([], [{"symbol": "A", "last": "x"}]):
        for query in ("", "?ended=1"):
            for feed in ("web", "other"):
                post(gateway, body, query, X_Feed=feed)
    assert gateway.page("quotes")["seq"] == seq
    assert [(f["name"], f["status"]) for f in gateway.page("health")["feeds"]] == [
        ("web", "ended")]
    accepted(post(gateway, {"symbol": "B", "last": 2}))
    client.receive("quote", symbol="B", last="2")
    assert [q["state"] for q in gateway.page("quotes")["quotes"]] == ["stale", "live"]


def test_requests_never_take_the_feed_of_a_silent_feeder(system):
    broker, gateway = system.start(publish_token=TOKEN)
    feed = system.feed(broker, "mine")
    feed.quote("B", last="1")
    feed.wait_processed()
    feed.close()
    pregon.eventually(lambda: gateway.page("health")["feeds"][0]["status"],
                      lambda status: status != "live")
    answer = refused(post(gateway, {"symbol": "B", "last": 2}, X_Feed="mine"), 409, "held")
    assert "that of a feeder" in answer.json()["error"]["message"]
    assert answer.headers["Retry-After"] is None
    assert gateway.page("quotes/B")["last"] == "1"


def test_an_error_after_the_first_quotes_says_which_are_published(system):
    broker = system.broker(publish_keys=32)
    gateway = system.gateway(broker, publish_token=TOKEN)
    for i in range(30):
        accepted(post(gateway, {"symbol": "A", "last": i}, Idempotency_Key=f"k{i}"))
    quotes = [{"symbol": "A", "last": i} for i in range(600)]
    answer = refused(post(gateway, quotes, Idempotency_Key="large"), 429, "too_many_requests")
    body = answer.json()
    as_described(body, "PublishError", "POST quotes")
    assert (body["accepted"], body["refused"], len(body["quotes"])) == (512, 0, 512)
    assert "The first 512 quotes of this request" in body["error"]["message"]
    assert "same Idempotency-Key is safe" in body["error"]["hint"]
    assert gateway.page("quotes")["seq"] == body["quotes"][-1]["seq"] == 30 + 512


def test_a_key_is_refused_for_a_longer_body_that_begins_alike(prepared):
    gateway = prepared[1]
    quotes = [{"symbol": "A", "last": i} for i in range(512)]
    accepted(post(gateway, quotes[:256], Idempotency_Key="alike"))
    before = gateway.page("quotes?limit=1")["seq"]
    refused(post(gateway, quotes, Idempotency_Key="alike"), 422, "key_reused")
    assert gateway.page("quotes?limit=1")["seq"] == before


@pytest.mark.parametrize("fields", [9, 60])
def test_arrays_of_many_fields_are_taken_whole(prepared, fields):
    quotes = [{"symbol": "A", "last": 1, **{f"f{i}": i for i in range(fields - 1)}}] * 1000
    assert len(accepted(post(prepared[1], quotes))) == 1000


def test_quotes_of_any_depth_get_an_answer(prepared):
    for depth in range(1, 12):
        answer = post(prepared[1], '{"symbol":"A","last":1,"x":' + "[" * depth + "]" * depth + "}")
        assert answer.status in (200, 400, 422), (depth, answer.body)


def test_a_header_that_comes_twice_is_refused(prepared):
    for name in ("Idempotency-Key", "X-Feed", "Content-Encoding"):
        connection = http.client.HTTPConnection("127.0.0.1", prepared[1].port)
        connection.putrequest("POST", QUOTES)
        for header, value in ((name, "gzip"), (name, "other"), ("Content-Length", "2"),
                              *BEARER.items()):
            connection.putheader(header, value)
        connection.endheaders(b"[]")
        answer = connection.getresponse()
        assert answer.status == 400 and b"came twice" in answer.read()
        connection.close()


def test_while_the_broker_is_away_nothing_is_published(system):
    broker, gateway = system.start(publish_token=TOKEN)
    accepted(post(gateway, {"symbol": "A", "last": 1}))
    broker.kill()
    gateway.wait_for_log("The broker is silent")

    answer = refused(post(gateway, {"symbol": "A", "last": 2}), 503, "broker_away")
    assert int(answer.headers["Retry-After"]) >= 1


def test_an_answer_may_wait_for_the_store(system):
    broker = system.broker(store="sqlite:" + system.path("log.db"))
    gateway = system.gateway(broker, publish_token=TOKEN)

    answer = post(gateway, {"symbol": "A", "last": 1}, "?stored=1").json()
    assert answer["stored"] is True
    answer = post(gateway, [{"symbol": "A", "last": n} for n in range(600)], "?stored=1").json()
    assert (answer["accepted"], answer["stored"]) == (600, True)
    broker.kill()


def test_a_feed_whose_last_quote_was_refused_is_stored_completely(system):
    broker = system.broker(store="sqlite:" + system.path("log.db"))
    gateway = system.gateway(broker, publish_token=TOKEN)

    answer = post(gateway, [{"symbol": "A", "last": 1}, {"symbol": "A", "last": "x"}]).json()
    assert (answer["accepted"], answer["refused"]) == (1, 1)
    pregon.eventually(lambda: gateway.get("/cotizaciones/health").json()["feeds"][0],
                      lambda f: (f["received"], f["stored"]) == (2, 2), "both lines stored")


def test_a_page_of_a_listed_origin_may_be_allowed_to_publish(system):
    page = "http://localhost:3000"
    broker, gateway = system.start(publish_token=TOKEN, cors_allow_methods="GET,POST",
                                 cors_allow_headers="Authorization,Idempotency-Key")
    preflight = gateway.get(QUOTES, "OPTIONS", {
        "Origin": page, "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,idempotency-key"})
    assert preflight.status == 200
    answer = post(gateway, {"symbol": "A", "last": 1}, Origin=page)
    assert answer.headers["Access-Control-Allow-Origin"] == page
    assert post(gateway, [], Origin="http://evil.example").headers[
        "Access-Control-Allow-Origin"] is None


def durable(system, **settings):
    broker = system.broker(store="sqlite:" + system.path("log.db"), **settings)
    return broker, system.gateway(broker, publish_token=TOKEN)


def of_all_restarts(answer):
    """What must be the same in the answer to a repeated request."""
    return {name: v for name, v in answer.items() if name not in ("repeated", "stored", "epoch")}


def until_answered(gateways, body, key):
    """As a producer that repeats its request until it is answered, through any gateway."""
    def look():
        for gateway in gateways:
            try:
                answer = post(gateway, body, Idempotency_Key=key)
            except (OSError, http.client.HTTPException):  # killed meanwhile
                continue
            if answer.status == 200:
                return answer.json()
        return None

    return pregon.eventually(look, what=f"an answer to {key}")


def history_of(gateway, symbol):
    records, more = [], ""
    while True:
        page = gateway.page(f"quotes/{symbol}/history?order=oldest{more}")
        records += [r for r in page["records"] if r["type"] == "quote"]
        if not page["truncated"]:
            return records
        more = "&next=" + page["next"]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_key_and_its_answer_outlive_the_broker(system, end):
    broker, gateway = durable(system)
    quotes = [{"symbol": "A", "last": i or "x"} for i in range(300)]
    first = post(gateway, quotes, Idempotency_Key="k1").json()

    getattr(broker, end)()
    broker.start()
    again = until_answered([gateway], quotes, "k1")
    more = until_answered([gateway], quotes[1:3], "k2")
    assert (again["repeated"], more["repeated"]) == (True, False)
    assert of_all_restarts(first) == of_all_restarts(again)

    broker.kill()
    broker.start()
    assert of_all_restarts(until_answered([gateway], quotes, "k1")) == of_all_restarts(first)
    assert of_all_restarts(until_answered([gateway], quotes[1:3], "k2")) == of_all_restarts(more)
    refused(post(gateway, quotes[:9], Idempotency_Key="k1"), 422, "key_reused")
    seqs = [r["seq"] for r in history_of(gateway, "A")]
    assert seqs == [q["seq"] for q in first["quotes"][1:] + more["quotes"]]


def test_a_client_in_mode_all_notices_nothing_of_keys(system):
    broker, gateway = durable(system)
    client = system.client(gateway, "?symbols=A&mode=all")
    client.receive("ack")
    seqs = []
    for i in range(20):
        seqs += accepted(post(gateway, {"symbol": "A", "last": i}, Idempotency_Key=f"k{i}"))
        assert client.receive("quote")["seq"] == seqs[-1]
    epoch = gateway.page("quotes")["epoch"]
    late = system.client(gateway, f"?symbols=*&mode=all&since={epoch}:{seqs[0]}")
    assert late.receive("ack")["recovered"] is True
    assert [late.receive("quote")["seq"] for _ in seqs[1:]] == seqs[1:]
    assert client.received("lost") + late.received("lost") == []
    assert gateway.status()["gateway"]["upstream_gaps"] == 0


def test_every_quote_exists_once_whatever_is_killed(system):
    seed = int(os.environ.get("PUBLISH_SEED", secrets.randbelow(1 << 32)))
    print(f"PUBLISH_SEED={seed}")
    dice = random.Random(seed)
    broker, gateway = durable(system)
    gateways = [gateway, system.gateway(broker, publish_token=TOKEN)]
    has_ended = threading.Event()

    def kill():
        while not has_ended.wait(dice.uniform(0.01, 1.0)):
            victim = dice.choice([broker, *gateways])
            victim.kill()
            victim.start()

    killer = threading.Thread(target=kill)
    killer.start()
    answered, n = [], 0
    try:
        for batch in range(20):
            size = dice.choice([1, 3, 40, 300])
            quotes = [{"symbol": "A", "last": n + i} for i in range(size)]
            n += size
            answer = until_answered(dice.sample(gateways, 2), quotes, f"batch-{batch}")
            answered += [q["seq"] for q in answer["quotes"]]
    finally:
        has_ended.set()
        killer.join()
    records = pregon.eventually(lambda: history_of(gateways[0], "A"), lambda r: len(r) >= n)
    assert [int(r["last"]) for r in records] == list(range(n))
    assert [r["seq"] for r in records] == answered


@pytest.mark.parametrize("protocol", ["pregon.v1.json", "pregon.v1.msgpack"])
def test_quotes_are_published_over_the_stream(system, protocol):
    broker, gateway = system.start(publish_token=TOKEN)
    client = system.client(gateway, "?symbols=GOLD&mode=all", subprotocol=protocol)
    client.receive("ack")
    gold = {"symbol": "GOLD", "bid": "1034.50"}

    def publish(*quotes, **members):
        return client.request("publish", quotes=list(quotes), **members)

    assert publish(gold)["code"] == "publish_unauthorized"
    assert publish(gold, token="wrong")["code"] == "publish_unauthorized"
    gateway.wait_for_log(r"publish: publish_unauthorized: .* \[PUBLISH_TOKEN\]")
    assert gateway.page("quotes")["quotes"] == []
    ack = publish(gold, {"symbol": "a", "last": "1"}, gold, {"symbol": "GOLD", "bid": "x"},
                  token=TOKEN, key="k1")
    assert ack["positions"] == [ack["positions"][0], 0, ack["positions"][0] + 1, 0]
    assert ack["refused"] == [{"index": 1, "code": "bad_symbol", "field": "symbol"},
                              {"index": 3, "code": "bad_price", "field": "bid"}]
    quotes = pregon.eventually(lambda: client.received("quote"), lambda q: len(q) == 2)
    assert [q["seq"] for q in quotes] == [ack["positions"][0], ack["positions"][2]]
    assert [q["bid"] for q in quotes] == ["1034.50"] * 2
    again = post(gateway, [gold, {"symbol": "a", "last": "1"}, gold,
                           {"symbol": "GOLD", "bid": "x"}], Idempotency_Key="k1").json()
    assert again["repeated"] is True  # over HTTP it is the same request
    assert publish(gold, key="k1")["code"] == "key_reused"
    assert publish(*[gold] * 257)["code"] == "bad_request"
    assert len(publish(*[gold] * 256)["positions"]) == 256
    assert publish(gold, keys="k2")["code"] == "bad_request"
    if protocol.endswith("msgpack"):
        assert publish({"symbol": "GOLD", "bid": 1034.5})["code"] == "bad_request"
    feed = system.feed(broker, "mine")
    feed.quote("B", last="1")
    feed.wait_processed()
    assert publish(gold, feed="mine")["code"] == "held"
    broker.kill()
    gateway.wait_for_log("The broker is silent")
    assert publish(gold)["code"] == "broker_away"


def test_without_a_token_nobody_publishes_over_the_stream(system):
    broker, gateway = system.start()
    client = system.client(gateway, "?symbols=A")
    client.receive("ack")
    answer = client.request("publish", token="", quotes=[{"symbol": "A", "last": "1"}])
    assert answer["code"] == "publish_disabled"
