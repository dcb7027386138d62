"""The routes' answers: their members and types, and the answers to wrong requests."""

import gzip
import json
import re
import urllib.parse

import pytest

import pregon
from page_shapes import EPOCH, check, is_age, is_count, is_epoch, is_text, is_time

ROUTES = ("health", "ready", "live", "websocket_status", "websocket_check",
          "telegram_locks_status", "quotes", "quotes/EUR/USD")
OURS, FOREIGN = "http://localhost:3000", "https://evil.example"

QUOTE = {"symbol": "EUR/USD", "seq": is_count, "state": "live", "bid": "1.0842", "ask": "1.0843",
         "timestamp": is_time}
SHAPES = {
    "health": {
        "status": "ok",
        "reason": is_text,
        "broker": {
            "status": "up",
            "reason": is_text,
            "age": is_age,
            "epoch": is_epoch,
            "seq": is_count,
            "gaps": 0,
            "version": is_text,
            "symbols": 1,
            "started": is_time,
        },
        "store": {"kind": "memory", "durable": False, "reason": is_text},
        "feeds": [
            {
                "name": "test",
                "status": "live",
                "reason": is_text,
                "age": is_age,
                "quote_age": is_age,
                "received": 1,
                "accepted": 1,
                "refused": 0,
                "refused_in_row": 0,
                "lost": 0,
            }
        ],
        "gateway": {
            "name": "gw-1",
            "version": is_text,
            "started": is_time,
            "active_connections": 2,
            "max_connections": 7,
            "websocket_enabled": True,
            "symbols": is_count,
        },
        "timestamp": is_time,
    },
    "ready": {"status": "ready"},
    "live": {"status": "live"},
    "websocket_status": {
        "active_connections": 2,
        "connections": [
            {
                "host": "127.0.0.1",
                "port": is_count,
                "state": 1,
                "gateway": "gw-1",
                "since": is_time,
                "protocol": lambda p: p in ("json", "msgpack"),
            }
        ],
        "offset": 0,
        "limit": 1000,
        "truncated": False,
        "complete": True,
        "websocket_enabled": True,
        "gateways": [
            {
                "name": "gw-1",
                "http": is_text,
                "active_connections": 2,
                "max_connections": 7,
                "since": is_time,
            }
        ],
        "gateway": {
            "name": "gw-1",
            "active_connections": 2,
            "max_connections": 7,
            "timeout": 41.5,
            "symbols": is_count,
            "bytes_sent": is_count,
            "merged": is_count,
            "upstream_gaps": 0,
            "refusals": {
                "total": 1,
                "by_code": {"origin_not_allowed": 1},
                "last": [
                    {
                        "code": "origin_not_allowed",
                        "status": 403,
                        "origin": FOREIGN,
                        "path": pregon.STREAM,
                        "setting": "CORS_ORIGINS",
                        "timestamp": is_time,
                    }
                ],
            },
        },
        "timestamp": is_time,
    },
    "websocket_check": {
        "allowed": True,
        "code": "admitted",
        "status": 101,
        "message": lambda t: isinstance(t, str),
        "hint": lambda t: isinstance(t, str),
        "setting": lambda t: isinstance(t, str),
        "origin": None,
        "origin_source": "none",
        "path": pregon.STREAM,
        "client": is_text,
        "rules": [{"rule": is_text, "pass": True, "message": ""}],
        "proxy": {
            "peer": "127.0.0.1",
            "peer_is_trusted": True,
            "x_forwarded_for": None,
            "x_forwarded_proto": None,
            "x_forwarded_host": None,
            "host": is_text,
            "own_origin": is_text,
            "notes": lambda n: n == [],
        },
        "publish": {
            "allowed": False,
            "code": "publish_disabled",
            "message": is_text,
            "hint": is_text,
            "setting": "PUBLISH_TOKEN",
        },
        "request_id": is_epoch,
    },
    "telegram_locks_status": {
        "status": "ok",
        "locks": lambda v: v == [],
        "count": 0,
        "truncated": False,
        "durable": False,
        "reason": is_text,
        "timestamp": is_time,
    },
    "quotes": {
        "quotes": [QUOTE],
        "epoch": is_epoch,
        "seq": is_count,
        "symbols": 1,
        "truncated": False,
        "complete": True,
        "timestamp": is_time,
    },
    "quotes/EUR/USD": QUOTE,
}


@pytest.fixture(scope="module")
def prepared(shared_system):
    """A gateway with two clients, one quote and one refusal; the tests only look."""
    broker, gateway = shared_system.start(gateway_name="gw-1", websocket_max_connections=7,
                                          websocket_timeout=41.5, root_path="/precios/")
    feed = shared_system.feed(broker, "test")
    feed.quote("EUR/USD", bid="1.0842", ask="1.0843")
    feed.wait_processed()
    for protocol in ("pregon.v1.json", "pregon.v1.msgpack"):
        shared_system.client(gateway, "?symbols=EUR/USD", subprotocol=protocol).receive("snapshot")
    assert shared_system.handshake(gateway, headers={"Origin": FOREIGN}).status == 403
    pregon.eventually(gateway.status, lambda s: s["active_connections"] == 2)
    return gateway


@pytest.mark.parametrize("page", SHAPES)
def test_a_page_has_the_members_and_types_it_promises(prepared, page):
    answer = prepared.get("/cotizaciones/" + page)
    assert answer.status == 200
    check(answer.json(), SHAPES[page])
    assert answer.body.count(b"\n") == 1 and answer.body.endswith(b"\n")


@pytest.mark.parametrize("page", ROUTES)
def test_every_page_comes_with_the_headers_it_promises(prepared, page):
    answer = prepared.get("/cotizaciones/" + page)
    assert answer.headers["Content-Type"] == "application/json"
    assert int(answer.headers["Content-Length"]) == len(answer.body)
    assert answer.headers["Server"] == "pregon"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Connection"] == "close"
    assert EPOCH.fullmatch(answer.headers["X-Request-Id"])
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", answer.headers["Date"])
    for name in answer.headers:
        assert len(answer.headers.get_all(name)) == 1, f"{name} twice"
    other = prepared.get("/cotizaciones/" + page)
    assert other.headers["X-Request-Id"] != answer.headers["X-Request-Id"]


def varying(headers):
    return {k.lower(): v for k, v in headers.items()
            if k.lower() not in ("date", "x-request-id", "content-length")}


@pytest.mark.parametrize("path", ["/", "/nothing", *("/cotizaciones/" + r for r in ROUTES)])
def test_head_answers_as_get_without_the_body(prepared, path):
    got, head = prepared.get(path), prepared.get(path, "HEAD")
    assert head.status == got.status
    assert head.body == b""
    assert varying(head.headers) == varying(got.headers)
    # Times and numbers within may have other lengths a moment later.
    assert abs(int(head.headers["Content-Length"]) - len(got.body)) < 20


@pytest.mark.parametrize("path", ["/cotizaciones/" + r for r in ROUTES])
def test_a_slash_at_the_end_and_the_root_path_make_no_difference(prepared, path):
    if not path.endswith("EUR/USD"):
        assert prepared.get(path + "/").status == 200
    assert prepared.get("/precios" + path).status == 200
    assert prepared.get("/preciosx" + path).status == 404
    assert prepared.get("/precios/precios" + path).status == 404


def test_the_board_and_the_stream_answer_below_the_root_path_too(prepared):
    for path in ("/", "/precios/"):
        assert prepared.get(path).headers["Content-Type"].startswith("text/html")
    assert prepared.get("/precios/www/board.js").status == 200
    assert prepared.get("/precios" + pregon.STREAM).code == "upgrade_required"


@pytest.mark.parametrize("symbol, status", [
    ("EUR/USD", 200), ("EUR%2FUSD", 200), ("EUR%2fUSD", 200), ("%45UR/USD", 200),
    ("EUR", 404), ("EUR/USD/", 404), ("eur/usd", 400), ("EUR USD", 400), ("EUR%20USD", 400),
    ("A" * 32, 404), ("A" * 33, 400), ("%00", 400), ("%zz", 400), ("é", 400), ("*", 400),
])
def test_a_symbol_in_the_path_may_hold_a_slash_encoded_or_not(prepared, symbol, status):
    answer = prepared.get("/cotizaciones/quotes/" + urllib.parse.quote(symbol, safe="/%*"))
    assert answer.status == status, answer.body
    if status == 200:
        check(answer.json(), QUOTE)
    elif status == 404:
        assert answer.code == "unknown_symbol"
    else:
        assert answer.code in ("bad_symbol", "bad_request")


WRONG = {
    "GET /nothing": (404, "no_such_path"),
    "GET /cotizaciones": (404, "no_such_path"),
    "GET /cotizaciones/nothing": (404, "no_such_path"),
    "GET /cotizaciones/health/more": (404, "no_such_path"),
    "GET /cotizaciones/quotes/NOTHING": (404, "unknown_symbol"),
    "GET /cotizaciones/quotes/bad": (400, "bad_symbol"),
    "GET /cotizaciones/quotes?symbols=a": (400, "bad_request"),
    "GET /cotizaciones/quotes/EUR/USD/history?limit=0": (400, "bad_request"),
    "POST /cotizaciones/quotes/EUR/USD/history": (405, "method_not_allowed"),
    "GET /cotizaciones/quotes?limit=-1": (400, "bad_request"),
    "GET /cotizaciones/quotes?limit=1001": (400, "bad_request"),
    "GET /cotizaciones/quotes?limit=x": (400, "bad_request"),
    "GET /cotizaciones/quotes?limit=": (400, "bad_request"),
    "GET /cotizaciones/quotes?offset=1e3": (400, "bad_request"),
    "GET /cotizaciones/websocket_status?limit=1001": (400, "bad_request"),
    "GET /cotizaciones/websocket_status?limit=1.5": (400, "bad_request"),
    "GET /cotizaciones/websocket_status?offset=99999999999999999999": (400, "bad_request"),
    "POST /cotizaciones/health": (405, "method_not_allowed"),
    "PUT /cotizaciones/quotes": (405, "method_not_allowed"),
    "DELETE /cotizaciones/quotes": (405, "method_not_allowed"),
    "DELETE /cotizaciones/quotes/EUR/USD": (403, "admin_disabled"),
    "PATCH /": (405, "method_not_allowed"),
    "OPTIONS /cotizaciones/health": (405, "method_not_allowed"),
    "POST /ws/cotizaciones": (405, "method_not_allowed"),
    "POST /nothing": (404, "no_such_path"),
    "GET /ws/cotizaciones": (426, "upgrade_required"),
    "GET /ws": (404, "no_such_path"),
    "GET /www": (404, "no_such_path"),
    "GET /www/nothing.js": (404, "no_such_path"),
    "GET /www/board.js/more": (404, "no_such_path"),
    "FROB /": (400, "bad_request"),
}


@pytest.mark.parametrize("request_line", WRONG)
def test_an_error_is_json_with_the_cause(prepared, request_line):
    method, path = request_line.split()
    status, code = WRONG[request_line]
    answer = prepared.get(path, method)
    assert (answer.status, answer.code) == (status, code), answer.body
    check(answer.json(), {"error": {"code": code, "message": is_text, "hint": is_text,
                                    "request_id": answer.headers["X-Request-Id"]}})
    assert answer.headers["X-Reject-Reason"] == code
    assert answer.headers["Content-Type"] == "application/json"
    if status == 405:
        allowed = ("GET" if path.startswith("/ws/")
                   else "GET, HEAD, POST" if path == "/cotizaciones/quotes" else "GET, HEAD")
        assert answer.headers["Allow"] == allowed


PAGES = ("/",)


def test_a_page_is_requested_by_the_path_that_its_links_are_relative_to(prepared):
    for path, target in {
        "/precios": "./precios/",
        "/precios?q=a%20b": "./precios/?q=a%20b",
    }.items():
        answer = prepared.get(path)
        assert (answer.status, answer.headers["Location"], answer.body) == (308, target, b"")
    for page in (p for p in PAGES if p != "/"):
        for root in ("", "/precios"):
            answer = prepared.get(root + page + "/?q=1")
            assert (answer.status, answer.headers["Location"]) == (308, f"..{page}?q=1")


def links(page):
    return re.findall(r'(?:src|href)="([^"#?]+)"', page)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_loads_nothing_from_elsewhere(prepared, page):
    answer = prepared.get(page)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http:" not in policy and "https:" not in policy
    for link in links(answer.body.decode()):
        assert not link.startswith("/"), "it would miss a prefix that a proxy puts in front"
        if re.search(r"\.(js|css)$", link):
            assert not re.match(r"\w+:", link)
            loaded = prepared.get(urllib.parse.urljoin(page, link))
            assert (loaded.status, bool(loaded.body)) == (200, True), link
            kind = "javascript" if link.endswith("js") else "css"
            assert loaded.headers["Content-Type"] == f"text/{kind}; charset=utf-8"


@pytest.mark.parametrize("path", [*PAGES, "/www/board.js", "/www/style.css"])
def test_a_file_is_sent_packed_if_it_may_be_and_not_again_if_it_is_known(prepared, path):
    plain = prepared.get(path)
    packed = prepared.get(path, headers={"Accept-Encoding": "br, gzip"})
    assert gzip.decompress(packed.body) == plain.body
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["ETag"] != plain.headers["ETag"]
    for answer, accepted in (plain, "identity"), (packed, "gzip"):
        headers = {"Accept-Encoding": accepted, "If-None-Match": answer.headers["ETag"]}
        same = prepared.get(path, headers=headers)
        assert (same.status, same.body) == (304, b"")
        assert same.headers["ETag"] == answer.headers["ETag"]
        headers["If-None-Match"] = '"other"'
        assert prepared.get(path, headers=headers).status == 200
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Accept-Encoding" in answer.headers.get_all("Vary")
    head = prepared.get(path, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["Content-Length"]) == len(plain.body)
    assert prepared.get(path, "POST").status == 405


def test_quotes_are_paged_until_there_are_no_more(shared_system, prepared):
    broker, gateway = shared_system.start()
    feed = shared_system.feed(broker)
    names = [f"S{i:04}" for i in range(2500)]
    for name in names:
        feed.quote(name, last="1")
    feed.wait_processed()

    first = gateway.page("quotes")
    assert (len(first["quotes"]), first["truncated"], first["symbols"]) == (1000, True, 2500)
    for limit in (1000, 700, 250):
        seen, offset, pages = [], 0, 0
        while True:
            page = gateway.page(f"quotes?limit={limit}&offset={offset}")
            assert len(page["quotes"]) <= limit
            seen += [q["symbol"] for q in page["quotes"]]
            pages += 1
            assert page["truncated"] == ("next" in page)
            if not page["truncated"]:
                break
            assert page["next"] > offset
            offset = page["next"]
        assert sorted(seen) == names
        assert pages <= 2500 / limit + 2
    exactly = gateway.page("quotes?limit=1000&offset=1500")
    assert (len(exactly["quotes"]), exactly["truncated"]) == (1000, False)
    beyond = gateway.page("quotes?offset=4294967295")
    assert (beyond["quotes"], beyond["truncated"]) == ([], False)
    assert gateway.get("/cotizaciones/quotes?limit=0").status == 400


@pytest.mark.parametrize("symbols, expected", [
    ("*", ["BTC/EUR", "BTC/USD", "EUR/USD", "GOLD"]),
    ("", ["BTC/EUR", "BTC/USD", "EUR/USD", "GOLD"]),
    ("GOLD", ["GOLD"]),
    ("BTC*", ["BTC/EUR", "BTC/USD"]),
    ("BTC/USD,GOLD", ["BTC/USD", "GOLD"]),
    ("GOLD,BTC*", ["BTC/EUR", "BTC/USD", "GOLD"]),
    ("BTC*,BTC/USD,B*", ["BTC/EUR", "BTC/USD"]),
    ("NOTHING", []),
    ("NOTHING,GOLD,", ["GOLD"]),
])
def test_quotes_may_be_asked_for_by_several_patterns(shared_system, symbols, expected):
    name = "patterns"
    found = [p for p in shared_system.processes if p.name == name]
    if found:
        gateway = found[0]
    else:
        broker = shared_system.broker()
        gateway = shared_system.gateway(broker)
        gateway.name = name
        feed = shared_system.feed(broker)
        for symbol in ("EUR/USD", "BTC/USD", "BTC/EUR", "GOLD"):
            feed.quote(symbol, last="1")
        feed.wait_processed()
    answer = gateway.get("/cotizaciones/quotes?" + urllib.parse.urlencode({"symbols": symbols}))
    assert answer.status == 200, answer.body
    assert sorted(q["symbol"] for q in answer.json()["quotes"]) == expected
    assert answer.json()["truncated"] is False


def test_connections_are_paged(system):
    broker, gateway = system.start()
    clients = [system.client(gateway, "?symbols=X") for _ in range(7)]
    ports = {c.local_port for c in clients}
    pregon.eventually(gateway.status, lambda s: len(s["connections"]) == 7)

    def page(query):
        told = gateway.page("websocket_status?" + query)
        assert told["active_connections"] == 7
        return [c["port"] for c in told["connections"]], told["truncated"]

    one, more = page("limit=3")
    assert (len(one), more) == (3, True)
    two, more = page("limit=3&offset=3")
    assert (len(two), more) == (3, True)
    three, more = page("limit=3&offset=6")
    assert (len(three), more) == (1, False)
    assert set(one + two + three) == ports
    assert page("limit=0") == ([], True)
    assert page("offset=7") == ([], False)
    assert page("offset=8") == ([], False)
    assert page("limit=1000&offset=4294967295") == ([], False)


def test_addresses_are_shown_to_bearers_of_the_status_token_only(system):
    broker, gateway = system.start(status_token="s3cret")
    client = system.client(gateway, "?symbols=X")
    pregon.eventually(gateway.status, lambda s: len(s["connections"]) == 1)

    def seen(**headers):
        (row,) = gateway.page("websocket_status", **headers)["connections"]
        return row["host"], row["port"]

    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer s3cre"},
                    {"Authorization": "Bearer s3cretx"}, {"Authorization": "Basic s3cret"},
                    {"Authorization": "Bearer "}):
        assert seen(**headers) == ("", 0)
    assert seen(Authorization="Bearer s3cret") == ("127.0.0.1", client.local_port)
    assert not gateway.logged("s3cret")


@pytest.mark.parametrize("path", ["/", "/nothing", "/cotizaciones/health", pregon.STREAM])
def test_no_foreign_preflight_is_ever_answered_with_a_star(prepared, path):
    for asked in ("GET", "POST", None):
        headers = {"Origin": FOREIGN, "Access-Control-Request-Headers": "X-Any"}
        if asked:
            headers["Access-Control-Request-Method"] = asked
        answer = prepared.get(path, "OPTIONS", headers)
        assert answer.status == (400 if asked else 405 if path != "/nothing" else 404)
        assert not [n for n in answer.headers if n.lower().startswith("access-control-allow")]
        assert "*" not in str(answer.headers)


def test_bodies_of_requests_do_no_harm(prepared):
    body = json.dumps({"x": "y" * 100000})
    assert prepared.get("/cotizaciones/quotes", "PUT", body=body).status == 405
    assert prepared.get("/cotizaciones/quotes", "POST", body=body).status == 403
    assert prepared.get("/cotizaciones/live", "GET", body="{}").status == 200
