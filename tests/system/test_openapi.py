"""Compares /openapi.json with the answers of the gateway, for every route and message.

tests/unit/gateway/routes/test_openapi.c compares it with the gateway's tables.  Here each answer
must be described: its status, its type, its error code and every member of its body.
"""

import glob
import gzip
import json
import os
import re
import socket
import urllib.parse

import jsonschema
import pytest

import pregon
from openapi import DOCUMENT, STRICT, as_described, prepared  # noqa: F401 (fixtures)

LOCKS = "/cotizaciones/locks"
OURS, FOREIGN = "http://localhost:3000", "https://evil.example"
PREFIX = "/precios"
METHODS = ("get", "put", "post", "delete", "patch")


def resolve(node, document=STRICT):
    while isinstance(node, dict) and "$ref" in node:
        found = document
        for part in node["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        node = found
    return node


def walk(node, where=()):
    yield where, node
    for key, value in node.items() if isinstance(node, dict) else enumerate(
            node if isinstance(node, list) else ()):
        yield from walk(value, (*where, key))


def test_every_reference_leads_somewhere_and_everything_is_referred_to():
    used = {node["$ref"] for _, node in walk(DOCUMENT) if isinstance(node, dict) and "$ref" in node}
    used |= {target for _, node in walk(DOCUMENT) if isinstance(node, dict)
             for target in node.get("mapping", {}).values()}
    there = {f"#/components/{kind}/{name}" for kind, entries in DOCUMENT["components"].items()
             if kind != "securitySchemes" for name in entries}
    assert used == there
    named = {name for _, node in walk(DOCUMENT["paths"]) if isinstance(node, dict)
             for one in node.get("security", []) for name in one}
    assert named == set(DOCUMENT["components"]["securitySchemes"])


def test_every_schema_is_one_and_every_example_is_an_instance_of_its_schema():
    count = 0
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema(schema)
        assert name[0].isupper()
    for where, node in walk(STRICT):
        if not (isinstance(node, dict) and "schema" in node):
            continue
        jsonschema.Draft202012Validator.check_schema(node["schema"])
        examples = [node["example"]] if "example" in node else [
            e["value"] for e in node.get("examples", {}).values()]
        for example in examples:
            as_described(example, node["schema"], where)
            count += 1
    assert count > 30


def test_every_operation_is_complete():
    seen = set()
    for path, item in DOCUMENT["paths"].items():
        names = set(re.findall(r"{(\w+)}", path))
        for method in set(item) & set(METHODS):
            op = item[method]
            assert op["operationId"] not in seen
            seen.add(op["operationId"])
            assert op["summary"] and op["responses"], path
            assert set(op["tags"]) <= {t["name"] for t in DOCUMENT["tags"]}
            there = [resolve(p) for p in item.get("parameters", []) + op.get("parameters", [])]
            assert {p["name"] for p in there if p["in"] == "path"} == names
            for answer in op["responses"].values():
                assert resolve(answer)["description"]


def codes_of_the_source():
    """Every code that a C file of the gateway gives to an error body, with its status."""
    found = set()
    for path in glob.glob(os.path.join(pregon.ROOT, "gateway", "*", "*.c")):
        with open(path, encoding="utf-8") as source:
            text = source.read()
        found |= set(re.findall(r'reply_error\(\s*\w+, r, \d+,\s*"(\w+)"', text))
        found |= set(re.findall(r'route_unavailable\(\s*\w+, r, "(\w+)"', text))
        found |= set(re.findall(r'^    \{"\w+", "(\w+)", "[^}]*\d{3}\},?$', text, re.M))
        found |= set(re.findall(r'\.code = "(\w+)"', text))
        found |= set(re.findall(r'set_fault\(f, \d+, "(\w+)"', text))
        found |= set(re.findall(r'head_explanation why = \{\d+, "(\w+)"', text))
    with open(os.path.join(pregon.ROOT, "gateway", "http", "head.h"), encoding="utf-8") as source:
        found |= set(re.findall(r'X\(\w+, \d{3}, "(\w+)"', source.read()))
    with open(
        os.path.join(pregon.ROOT, "gateway", "policy", "admission.h"), encoding="utf-8"
    ) as source:
        found |= set(re.findall(r"X\((\w+), \d{3}, \d{4},", source.read()))
    with open(os.path.join(pregon.ROOT, "gateway", "limits", "gate.h"), encoding="utf-8") as source:
        found |= set(re.findall(r'X\((\w+), \d{3}, "', source.read()))
    return found


def page_of_the_protocol(name):
    with open(os.path.join(pregon.ROOT, "docs", "protocol", name), encoding="utf-8") as f:
        return f.read()


def test_the_error_codes_are_those_of_the_source_and_of_the_protocol():
    described = {c["const"] for c in DOCUMENT["components"]["schemas"]["ErrorCode"]["oneOf"]}
    assert described == codes_of_the_source()
    text = page_of_the_protocol("http.md")
    table = text[text.index("## Errors"):text.index("## /cotizaciones/health")]
    told = {code for line in re.findall(r"^\| \d{3}.*?\|(.*?)\|", table, re.M)
            for code in re.findall(r"`(\w+)`", line)}
    text = page_of_the_protocol("stream.md")
    table = text[text.index("## Refused handshakes"):text.index("### Names of the gateway")]
    told |= set(re.findall(r"^\| `(\w+)` \| \d{3}", table, re.M))
    assert told <= described
    assert told == described


def template_of(path):
    """The path item that stands for a path; the more letters of its own, the better it fits."""
    best, path = None, path.removeprefix(PREFIX).rstrip("/") or "/"
    for template in DOCUMENT["paths"]:
        pattern = re.sub(r"\\{\w+\\}", ".+", re.escape(template))
        if re.fullmatch(pattern, path) and (best is None or len(template) > len(best)):
            best = template
    assert best, f"{path} is not described"
    return best


class Inspector:
    """Asks, and holds every answer against the document."""

    def __init__(self):
        self.seen = set()  # (path, method, status)
        self.codes = set()

    def inspect(self, method, target, answer):
        template = template_of(urllib.parse.unquote(target.split("?")[0]))
        what = f"{method} {target}: {answer.status}"
        described = STRICT["paths"][template][method.lower()]["responses"]
        assert str(answer.status) in described, f"{what} is not described"
        self.seen.add((template, method.lower(), str(answer.status)))
        response = resolve(described[str(answer.status)])
        for name, header in response.get("headers", {}).items():
            # A 503 of a page of its own kind has none of those.
            if name not in ("Retry-After", "X-Reject-Reason") or "error" in answer.body.decode():
                text = answer.headers[name]
                is_optional = template == LOCKS + "/{name}" or name == "X-Next"
                assert text is not None or is_optional, f"{what}: no {name}"
                schema = resolve(header)["schema"]
                if text is not None:
                    is_number = resolve(schema).get("type") == "integer"
                    as_described(int(text) if is_number else text, schema, f"{what}: {name}")
        if not answer.body:
            return answer
        kind = answer.headers["Content-Type"].split(";")[0]
        assert kind in response["content"], f"{what} is {kind}"
        if kind == "application/json" and "schema" in response["content"][kind]:
            as_described(answer.json(), response["content"][kind]["schema"], what)
            if answer.status >= 400 and "error" in answer.json():
                self.codes.add(answer.code)
        return answer

    def request(self, gateway, target, method="GET", headers=None, body=None):
        return self.inspect(method, target, gateway.get(target, method, headers, body))

    def handshake(self, system, gateway, status, code=None, **how):
        answer = system.handshake(gateway, **how)
        self.inspect("GET", how.get("path", pregon.STREAM), answer)
        assert answer.status == status and (not code or answer.code == code), answer.body
        return answer


# What no test can bring about at will: a gateway too busy or stuck, or in its last second.
NOT_PROVOKED = {("/cotizaciones/live", "503"), ("/cotizaciones/quotes", "503"),
                ("/cotizaciones/websocket_status", "503"), ("/metrics", "503")}
CODES_NOT_PROVOKED = {"busy", "loop_stalled", "draining", "internal", "store_failed", "bad_answer",
                      "cors_origin_not_allowed",
                      "cors_method_not_allowed", "cors_header_not_allowed",  # of preflights
                      "full", "not_stored", "method_not_allowed", "bad_http_version",
                      "publish_busy", "no_answer"}


def look_at_quotes(ask, gateway):
    ask(gateway, "/cotizaciones/quotes?symbols=EUR*&limit=1")
    ask(gateway, "/cotizaciones/quotes?limit=1")
    ask(gateway, "/cotizaciones/quotes?limit=x")
    ask(gateway, "/cotizaciones/quotes/EUR/USD")
    ask(gateway, "/cotizaciones/quotes/EUR%2FUSD")
    ask(gateway, "/cotizaciones/quotes/NOTHING")
    ask(gateway, "/cotizaciones/quotes/nothing")
    page = ask(gateway, "/cotizaciones/quotes/EUR/USD/history?limit=1").json()
    assert page["truncated"]
    ask(gateway, "/cotizaciones/quotes/EUR/USD/history?next=" + page["next"])
    ask(gateway, "/cotizaciones/quotes/EUR/USD/history?limit=0")
    ask(gateway, "/cotizaciones/quotes/NOTHING/history")
    ask(gateway, "/cotizaciones/quotes/EUR/USD/history?since=00000000000000ff:1")


def look_at_state(ask, gateway):
    for page in ("health", "ready", "live", "websocket_status", "websocket_check",
                 "websocket_status?limit=x", "telegram_locks_status"):
        ask(gateway, "/cotizaciones/" + page)
    ask(gateway, "/metrics")
    ask(gateway, "/cotizaciones/websocket_check?origin=https://evil.example&path=/nope")
    ask(gateway, "/cotizaciones/websocket_check?origin=%zz")


def look_at_pages(ask, gateway):
    for path in DOCUMENT["paths"]:
        item = DOCUMENT["paths"][path]["get"]
        if "pages" not in item["tags"]:
            continue
        path = path.replace("{file}", "style.css")
        answer = ask(gateway, path)
        ask(gateway, path, headers={"If-None-Match": answer.headers["ETag"]})
        if "308" in item["responses"]:
            ask(gateway, path + "/" if path != "/" else PREFIX)
    ask(gateway, "/www/nothing.js")


def use_locks(ask, gateway, bearer):
    def put(body, name="telegram-bot"):
        return ask(gateway, f"{LOCKS}/{name}", "PUT", bearer, json.dumps(body))

    def release(token, name="telegram-bot", more=""):
        return ask(gateway, f"{LOCKS}/{name}?owner=a&token={token}{more}", "DELETE", bearer)

    token = put({"owner": "a", "ttl": 30, "lock_delay": 1, "host": "web1", "pid": 7}).json()[
        "token"
    ]
    put({"owner": "a", "token": token})
    assert put({"owner": "b", "ttl": 30}).code == "held"
    assert put({"owner": "a", "token": token + 1}).code == "stale"
    assert put({"owner": "a"}).json()["at"] == 0
    put({"owner": "a", "token": 1}, "unknown")
    for path in ("", "?prefix=telegram&limit=1", "?limit=x", "/telegram-bot", "/unknown", "/a$"):
        ask(gateway, LOCKS + path)
    ask(gateway, "/cotizaciones/telegram_locks_status")

    value = f"{LOCKS}/telegram-bot/value"
    ask(gateway, value, headers=bearer)
    for target, method, body in ((f"{value}?owner=a&token={token}", "PUT", b"\x00value"),
                                 (f"{value}?owner=a&token={token + 1}", "PUT", b"x"),
                                 (f"{value}?owner=a&token=x", "PUT", b"x"),
                                 (f"{value}?owner=a&token={token}", "PUT", b"x" * 65537),
                                 (f"{LOCKS}/unknown/value?owner=a&token=1", "PUT", b"x"),
                                 (value, "GET", None), (f"{LOCKS}/a$/value", "GET", None),
                                 (f"{LOCKS}/telegram-bot", "PUT", b" " * 16385)):
        ask(gateway, target, method, bearer, body)
    release(token + 1)
    release("x")
    release(token)
    token = put({"owner": "a", "ttl": 30, "lock_delay": 1}, "broken").json()["token"]
    release(token, "broken", "&break=1&reason=a+test")
    release(1, "unknown")
    assert ask(gateway, LOCKS + "/broken").json()["last_lost"]["reason"] == "broken"


def publish_quotes(ask, gateway, bearer):
    def post(body, query="", **headers):
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(gateway, "/cotizaciones/quotes" + query, "POST", {**bearer, **headers},
                   json.dumps(body))

    good, bad = {"symbol": "A", "last": "1"}, {"symbol": "a", "last": "x"}
    post([good, bad], "?stored=1", Idempotency_Key="k")
    post([good, bad], Idempotency_Key="k")
    assert post(good, Idempotency_Key="k").code == "key_reused"
    for i in range(31):
        assert post(good, Idempotency_Key=f"k{i}").status == 200
    assert post(good, Idempotency_Key="k32").code == "too_many_requests"  # PUBLISH_KEYS is 32
    assert post(bad).code == "quotes_refused"
    assert post(7).code == "bad_request"
    assert post(good, "?stored=x").code == "bad_request"
    assert post(good, X_Feed="test").code == "held"
    assert post([good] * 1001).code == "too_large"
    assert post(good, Content_Encoding="br").code == "unsupported_encoding"
    assert ask(gateway, "/cotizaciones/quotes", "POST").code == "publish_unauthorized"
    post([], "?ended=1")


def remove(ask, gateway, bearer):
    symbol, feed = "/cotizaciones/quotes/", "/cotizaciones/feeds/"
    assert ask(gateway, symbol + "A", "DELETE").code == "unauthorized"
    assert ask(gateway, feed + "test", "DELETE").code == "unauthorized"
    assert ask(gateway, symbol + "a", "DELETE", bearer).code == "bad_symbol"
    assert ask(gateway, feed + "test?x=1", "DELETE", bearer).code == "bad_request"
    assert ask(gateway, symbol + "NONE", "DELETE", bearer).code == "unknown_symbol"
    assert ask(gateway, feed + "none", "DELETE", bearer).code == "unknown_feed"
    assert ask(gateway, feed + "none").code == "unknown_feed"
    assert ask(gateway, feed + "test").json()["status"] == "live"
    assert ask(gateway, feed + "test", "DELETE", bearer).code == "feed_live"
    assert ask(gateway, symbol + "A", "DELETE", bearer).status == 200
    pregon.eventually(lambda: ask(gateway, feed + "web", "DELETE", bearer).status,
                      lambda status: status == 200)  # 503 until its quotes are stored


def send_slowly(inspector, gateway, bearer, target, head, method="PUT"):
    """A body that is announced and never comes, or not announced."""
    with socket.create_connection(gateway.address, pregon.PATIENCE) as sock:
        sock.sendall(f"{method} {target} HTTP/1.1\r\nHost: x\r\nAuthorization: "
                     f"{bearer['Authorization']}\r\n{head}\r\n".encode())
        return inspector.inspect(method, target, pregon.read_answer(sock))


def try_handshakes(inspector, system, gateway):
    def refused(status, code, **headers):
        inspector.handshake(system, gateway, status, code, headers=headers)

    refused(400, "no_common_subprotocol", **{"Sec-WebSocket-Protocol": "soap"})
    refused(400, "malformed", **{"Sec-WebSocket-Key": "x"})
    refused(403, "origin_not_allowed", Origin=FOREIGN)
    refused(403, "host_not_allowed", Host="evil.example", Origin="http://evil.example")
    refused(426, "upgrade_required", Upgrade=None)
    refused(426, "bad_version", **{"Sec-WebSocket-Version": "8"})
    answer = inspector.handshake(system, gateway, 101,
                                 headers={"Sec-WebSocket-Protocol": "pregon.v1.json"})
    answer.socket.receive("welcome")
    answer = system.handshake(gateway, path="/cotizaciones/health")
    assert answer.status == 404
    inspector.inspect("GET", pregon.STREAM, answer)


def try_events(inspector, system, gateway):
    for query, headers, status in (("?symbol=X", {}, 400), ("", {"Origin": FOREIGN}, 403)):
        assert inspector.request(gateway, pregon.EVENTS + query, headers=headers).status == status
    client = system.events(gateway, "?symbols=EUR/USD&mode=all")
    inspector.seen.add((pregon.EVENTS, "get", str(client.status)))
    for message in (client.receive("welcome"), client.receive("ack"), client.receive("snapshot")):
        as_described(message, "ServerMessage", "an event")


def test_every_answer_is_described_and_every_described_answer_is_given(system):
    secret = {"Authorization": "Bearer sesame-open"}
    inspector = Inspector()
    ask = inspector.request
    broker = system.broker(store="sqlite:" + system.path("log.db"), publish_keys=32)
    gateway = system.gateway(broker, locks_token="sesame-open", publish_token="sesame-open",
                             admin_token="sesame-open", root_path=PREFIX)
    feed = system.feed(broker, "test")
    feed.quote("EUR/USD", bid="1.0842", ask="1.0843", currency="USD", venue={"mic": "XSTO"})
    feed.quote("EUR/USD", bid="1.0843", ask="1.0844")
    feed.quote("BTC/USD", last="64000.10")
    feed.wait_processed()
    client = system.client(gateway, "?symbols=EUR/USD")
    client.receive("snapshot")

    served = ask(gateway, "/openapi.json")
    assert served.json() == DOCUMENT
    packed = gateway.get("/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed.body) == served.body
    try_handshakes(inspector, system, gateway)
    try_events(inspector, system, gateway)
    look_at_quotes(ask, gateway)
    look_at_state(ask, gateway)
    look_at_pages(ask, gateway)
    use_locks(ask, gateway, secret)
    publish_quotes(ask, gateway, secret)
    remove(ask, gateway, secret)
    for head in ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"):
        send_slowly(inspector, gateway, secret, "/cotizaciones/quotes", head, "POST")
    for path in ("/telegram-bot", "/telegram-bot/value?owner=a&token=1"):
        target = LOCKS + path
        send_slowly(inspector, gateway, secret, target, "Content-Length: 5\r\n")
        send_slowly(inspector, gateway, secret, target, "Transfer-Encoding: chunked\r\n")
    feed.goodbye()
    pregon.eventually(lambda: gateway.page("health")["feeds"][0]["status"], lambda s: s == "ended")
    assert ask(gateway, "/cotizaciones/health").status == 503
    ask(gateway, "/cotizaciones/quotes/EUR/USD/history")  # has a change of state now

    plain = system.gateway(broker, websocket_token="t0ps3cret", status_token="show-me")
    inspector.handshake(system, plain, 401, "unauthorized")
    ask(plain, pregon.EVENTS)
    for method, path in (("GET", "/a/value"), ("PUT", "/a/value"), ("PUT", "/a"), ("DELETE", "/a")):
        assert ask(gateway, LOCKS + path, method).code == "unauthorized"
        assert ask(plain, LOCKS + path, method).code == "locks_read_only"
    assert ask(plain, "/cotizaciones/quotes", "POST").code == "publish_disabled"
    for path in ("quotes/A", "feeds/test"):
        assert ask(plain, "/cotizaciones/" + path, "DELETE").code == "admin_disabled"
    ask(plain, LOCKS)
    ask(plain, "/cotizaciones/websocket_status")
    full = system.gateway(broker, websocket_max_connections=0)
    inspector.handshake(system, full, 503, "max_connections")
    ask(full, pregon.EVENTS)
    closed_ = system.gateway(broker, websocket_enabled=False)
    inspector.handshake(system, closed_, 503, "websocket_disabled")

    slow = system.gateway(broker, http_query_rate=1)
    for path in 11 * [""] + ["/EUR/USD", "/EUR/USD/history"]:
        last = ask(slow, "/cotizaciones/quotes" + path)
    assert (last.status, last.code) == (429, "too_many_requests")

    alone = system.gateway(locks_token="sesame-open", publish_token="sesame-open",
                           admin_token="sesame-open")
    inspector.handshake(system, alone, 503, "starting")
    look_at_state(ask, alone)
    for path in ("/cotizaciones/quotes", "/cotizaciones/quotes/EUR/USD", LOCKS, LOCKS + "/a",
                 "/cotizaciones/quotes/EUR/USD/history"):
        ask(alone, path)
    for method, path, body in (("GET", "/a/value", None), ("DELETE", "/a?owner=a&token=1", None),
                               ("PUT", "/a/value?owner=a&token=1", b"x"),
                               ("PUT", "/a", b'{"owner":"a","ttl":30}')):
        assert ask(alone, LOCKS + path, method, secret, body).code == "broker_away"
    assert ask(alone, "/cotizaciones/quotes", "POST", secret, "[]").code == "broker_away"
    for method, path in (("DELETE", "quotes/A"), ("DELETE", "feeds/a"), ("GET", "feeds/a")):
        assert ask(alone, "/cotizaciones/" + path, method, secret).code == "broker_away"

    promised = {(path, method, status) for path, item in DOCUMENT["paths"].items()
                for method in set(item) & set(METHODS) for status in item[method]["responses"]
                if (path, status) not in NOT_PROVOKED}
    assert promised - inspector.seen == set()
    codes = {c["const"] for c in DOCUMENT["components"]["schemas"]["ErrorCode"]["oneOf"]}
    assert codes - inspector.codes - CODES_NOT_PROVOKED == set()


@pytest.mark.parametrize("path", DOCUMENT["paths"])
def test_a_path_knows_the_methods_that_are_described_and_no_others(prepared, path):
    item = DOCUMENT["paths"][path]
    target = (path.replace("{symbol}", "EUR/USD").replace("{name}", "a")
              .replace("{file}", "style.css"))
    answer = prepared[1].get(target, "PATCH" if "post" in item else "POST")
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    allowed = set(answer.headers["Allow"].split(", ")) - {"HEAD"}
    assert allowed == {m.upper() for m in set(item) & set(METHODS)}


def test_the_document_s_server_is_where_it_came_from_below_a_root_path_too():
    (server,) = DOCUMENT["servers"]
    for base in ("http://a/openapi.json", "https://a/precios/openapi.json"):
        url = urllib.parse.urljoin(base, server["url"])
        assert url == base.removesuffix("openapi.json")
