"""Which handshakes are refused; each refusal has its reason in every place that shows refusals."""

import json
import urllib.parse

import pytest

import pregon
from handshakes import agree, check_refusal

OURS = "http://localhost:3000"  # in CORS_ORIGINS by default
FOREIGN = "https://evil.example"

# How each handshake differs from a good one; status and code (None: accepted).
MATRIX = {
    "a good one": ({}, 101, None),
    "a slash at the end": ({"path": "/ws/cotizaciones/"}, 101, None),
    "two slashes at the end": ({"path": "/ws/cotizaciones//"}, 404, "no_such_path"),
    "a percent-encoded path": ({"path": "/ws/c%6ftizaciones"}, 101, None),
    "a query": ({"path": "/ws/cotizaciones?symbols=A"}, 101, None),
    "an unknown path": ({"path": "/ws/nope"}, 404, "no_such_path"),
    "another case": ({"path": "/WS/cotizaciones"}, 404, "no_such_path"),
    "an HTTP page": ({"path": "/cotizaciones/health"}, 404, "no_such_path"),
    "the quote board": ({"path": "/"}, 404, "no_such_path"),
    "our origin": ({"headers": {"Origin": OURS}}, 101, None),
    "our origin in capitals": ({"headers": {"Origin": "HTTP://LOCALHOST:3000"}}, 101, None),
    "a foreign origin": ({"headers": {"Origin": FOREIGN}}, 403, "origin_not_allowed"),
    "another port": ({"headers": {"Origin": "http://localhost:3001"}}, 403, "origin_not_allowed"),
    "another scheme": ({"headers": {"Origin": "https://localhost:3000"}}, 403,
                       "origin_not_allowed"),
    "a name that only begins like ours": ({"headers": {"Origin": OURS + ".evil.example"}}, 403,
                                          "origin_not_allowed"),
    "the null origin": ({"headers": {"Origin": "null"}}, 403, "origin_not_allowed"),
    "an empty origin": ({"headers": {"Origin": ""}}, 403, "origin_not_allowed"),
    "a malformed origin": ({"headers": {"Origin": "not an origin"}}, 403, "origin_not_allowed"),
    "the page's own origin": ({"headers": {"Origin": "http://localhost:81"},
                               "host": "localhost:81"}, 101, None),
    "the origin of a domain that was made to point at us": (
        {"headers": {"Origin": "http://quotes.test:81"}, "host": "quotes.test:81"}, 403,
        "host_not_allowed"),
    "no origin": ({"headers": {"Origin": None}}, 101, None),
    "version 8": ({"headers": {"Sec-WebSocket-Version": "8"}}, 426, "bad_version"),
    "no version": ({"headers": {"Sec-WebSocket-Version": None}}, 426, "bad_version"),
    "no key": ({"headers": {"Sec-WebSocket-Key": None}}, 400, "malformed"),
    "a short key": ({"headers": {"Sec-WebSocket-Key": "abc"}}, 400, "malformed"),
    "a long key": ({"headers": {"Sec-WebSocket-Key": "x" * 100}}, 400, "malformed"),
    "a key that is no base64": ({"headers": {"Sec-WebSocket-Key": "!" * 22 + "=="}}, 400,
                                "malformed"),
    "the JSON subprotocol": ({"headers": {"Sec-WebSocket-Protocol": "pregon.v1.json"}}, 101, None),
    "msgpack among others": (
        {"headers": {"Sec-WebSocket-Protocol": "x, pregon.v1.msgpack, pregon.v1.json"}}, 101, None),
    "subprotocols in two headers": (
        {"headers": {"Sec-WebSocket-Protocol": ["graphql-ws", "pregon.v1.json"]}}, 101, None),
    "an unknown subprotocol": ({"headers": {"Sec-WebSocket-Protocol": "graphql-ws, soap"}}, 400,
                               "no_common_subprotocol"),
    "POST": ({"method": "POST"}, 400, "malformed"),
    "HEAD": ({"method": "HEAD"}, 400, "malformed"),
    "HTTP/1.0": ({"version": "HTTP/1.0"}, 400, "malformed"),
    "no Upgrade": ({"headers": {"Upgrade": None}}, 426, "upgrade_required"),
    "another Upgrade": ({"headers": {"Upgrade": "h2c"}}, 426, "upgrade_required"),
    "no Connection": ({"headers": {"Connection": None}}, 426, "upgrade_required"),
    "Connection: keep-alive": ({"headers": {"Connection": "keep-alive"}}, 426, "upgrade_required"),
    "Connection as Firefox sends it": ({"headers": {"Connection": "keep-alive, Upgrade"}}, 101,
                                       None),
    "Upgrade in capitals": ({"headers": {"Upgrade": "WEBSOCKET", "Connection": "UPGRADE"}}, 101,
                            None),
    "a plain GET": ({"headers": {"Upgrade": None, "Connection": None, "Sec-WebSocket-Key": None,
                                 "Sec-WebSocket-Version": None}}, 426, "upgrade_required"),
    "wrong in everything": ({"path": "/nope", "headers": {"Origin": FOREIGN,
                                                         "Sec-WebSocket-Version": "8"}}, 404,
                            "no_such_path"),
}


def warnings(gateway, code):
    return [t for t in gateway.log("err") if t.startswith("WARNING") and code in t]


@pytest.mark.parametrize("case", MATRIX)
def test_a_handshake_is_judged_by_the_first_rule_it_breaks(shared_system, case):
    system = shared_system
    if not system.processes:
        system.start(websocket_max_connections=1000, log_level="warning")
    gateway = system.processes[1]
    how, status, code = MATRIX[case]
    before = gateway.status()["gateway"]["refusals"]
    here = gateway.log_position()

    answer = system.handshake(gateway, **how)

    if status == 101:
        assert answer.status == 101, answer.body
        answer.socket.receive("welcome")
        assert gateway.status()["gateway"]["refusals"]["total"] == before["total"]
        return
    check_refusal(gateway, answer, status, code)
    if how.get("method") != "HEAD":
        assert answer.body, "an empty body explains nothing"
    after = gateway.status()["gateway"]["refusals"]
    assert after["total"] == before["total"] + 1
    assert after["by_code"][code] == before["by_code"].get(code, 0) + 1
    last = after["last"][0]
    assert (last["code"], last["status"]) == (code, status)
    assert last["origin"] == (how.get("headers") or {}).get("Origin")
    line = gateway.wait_for_log(r"^WARNING: +.*", after=here, stream="err")[0]
    assert code in line and f" {status} " in line
    assert len(warnings(gateway, "")) == after["total"]


@pytest.mark.parametrize("origin", [OURS, FOREIGN, "null", "http://quotes.test:81", None, ""])
@pytest.mark.parametrize("path", ["/ws/cotizaciones", "/ws/cotizaciones/", "/nope", "/"])
def test_websocket_check_gives_the_verdict_the_handshake_gets(shared_system, origin, path):
    system = shared_system
    if not system.processes:
        system.start(websocket_max_connections=1000, log_level="warning")
    gateway = system.processes[1]
    query = {"path": path, "origin": origin or ""}
    asked = gateway.get("/cotizaciones/websocket_check?" + urllib.parse.urlencode(query),
                        headers={"Host": "quotes.test:81", "Origin": "https://who.ever"})
    answer = system.handshake(gateway, path=path, host="quotes.test:81",
                              headers={"Origin": origin or None})
    verdict = asked.json()
    assert asked.status == 200
    assert asked.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in asked.headers
    assert verdict["status"] == answer.status
    assert verdict["allowed"] == (answer.status == 101)
    if answer.status != 101:
        assert verdict["code"] == answer.code
        assert verdict["message"] == answer.json()["error"]["message"]
        assert verdict["hint"] == answer.json()["error"]["hint"]
        (failed, *_) = [r for r in verdict["rules"] if not r["pass"]]
        assert failed["rule"] == answer.code
    assert verdict["origin"] == (origin or None)
    assert [r["rule"] for r in verdict["rules"]] == [
        "no_such_path", "upgrade_required", "bad_version", "malformed", "no_common_subprotocol",
        "host_not_allowed", "origin_not_allowed", "unauthorized", "websocket_disabled", "draining",
        "starting", "max_connections",
    ]


def test_a_page_of_any_origin_can_request_the_reason_of_a_refusal(system):
    broker, gateway = system.start()
    verdict = gateway.get("/cotizaciones/websocket_check", headers={"Origin": FOREIGN})
    assert verdict.headers["Access-Control-Allow-Origin"] == "*"
    assert verdict.json()["code"] == "origin_not_allowed"
    assert "CORS_ORIGINS" in verdict.json()["hint"]
    assert verdict.json()["origin_source"] == "header"
    preflight = gateway.get("/cotizaciones/websocket_check", "OPTIONS",
                            {"Origin": FOREIGN, "Access-Control-Request-Method": "GET"})
    assert preflight.status == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == "*"
    # a check does not count as a refusal
    assert gateway.status()["gateway"]["refusals"]["total"] == 0


def test_with_websockets_disabled_http_works_and_handshakes_are_reported(system):
    broker, gateway = system.start(websocket_enabled=False)
    answer = agree(system, gateway, 503, "websocket_disabled")
    assert "WEBSOCKET_ENABLED" in answer.json()["error"]["hint"]
    assert gateway.get("/cotizaciones/ready").status == 200
    assert gateway.status()["websocket_enabled"] is False


def test_a_gateway_that_has_not_met_its_broker_is_starting(system):
    gateway = system.gateway()
    agree(system, gateway, 503, "starting")
    ready = gateway.get("/cotizaciones/ready")
    assert (ready.status, ready.code) == (503, "starting")
    assert gateway.get("/cotizaciones/live").status == 200


def test_a_broker_that_goes_away_later_is_no_reason_to_refuse(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    feed.quote("X", last="1")
    first = system.client(gateway, "?symbols=X")
    first.receive("snapshot", state="live")
    broker.kill()
    first.receive("state", state="stale")

    second = system.client(gateway, "?symbols=X")

    assert second.receive("ack")["upstream"] == "away"
    assert second.receive("snapshot")["state"] == "stale"
    assert gateway.get("/cotizaciones/ready").status == 200


def test_with_a_token_only_clients_that_send_it_are_admitted(system):
    broker, gateway = system.start(websocket_token="s3cret/+&=", websocket_max_connections=1000)
    agree(system, gateway, 401, "unauthorized")
    agree(system, gateway, 401, "unauthorized", {"Authorization": "Bearer s3cret"})
    agree(system, gateway, 401, "unauthorized", {"Authorization": "Basic s3cret/+&="})
    for wrong in ("", "s3cret", "s3cret/%2B%26%3D%20", "%zz"):
        assert system.handshake(gateway, path=f"{pregon.STREAM}?token={wrong}").status in (400, 401)
    good = "s3cret%2F%2B%26%3D"
    for how in (
        {"headers": {"Authorization": "Bearer s3cret/+&="}},
        {"headers": {"Authorization": "bearer s3cret/+&="}},
        {"path": f"{pregon.STREAM}?token={good}"},
        {"path": f"{pregon.STREAM}?symbols=X&token={good}"},
    ):
        assert system.handshake(gateway, **how).status == 101
    check = gateway.page(f"websocket_check?token={good}")
    assert check["allowed"] is True
    assert not gateway.logged("s3cret"), "a secret in the log"


def test_a_draining_gateway_reports_draining_until_it_ends(system):
    broker, gateway = system.start(timeout_graceful_shutdown=60)
    mute = system.raw_client(gateway)  # it does not answer the close, so the drain lasts
    mute.receive("welcome")
    gateway.signal(15)
    gateway.wait_for_log("Waiting for connections to close")
    try:
        answer = system.handshake(gateway)
    except (ConnectionError, EOFError):
        answer = None  # a closed port is a valid answer too
    if answer:
        check_refusal(gateway, answer, 503, "draining")
    assert mute.receive("going_away")
    assert mute.wait_closed() == 1012
    gateway.wait_for_exit(0)


@pytest.mark.parametrize(
    "settings, query, close, code",
    [
        ({"websocket_enabled": False}, "", 4503, "websocket_disabled"),
        ({"websocket_max_connections": 0}, "", 4013, "max_connections"),
        ({"websocket_token": "x"}, "?token=y", 4401, "unauthorized"),
    ],
)
def test_explaining_accepts_and_closes_with_the_reason_and_no_data(system, settings, query, close,
                                                                   code):
    broker, gateway = system.start(websocket_explain=True, **settings)
    system.feed(broker).quote("X", last="1")
    client = system.client(gateway, query)
    assert client.wait_closed()[0] == close
    reason = json.loads(client.end[1])
    assert reason["code"] == code
    assert len(client.end[1].encode()) <= 123
    assert client.messages == []
    gateway.wait_for_log(rf"^WARNING: .*\b{close} {code} \(explained\)")
    status = gateway.status()
    assert status["gateway"]["refusals"]["by_code"] == {code: 1}
    assert status["active_connections"] == 0


def test_explaining_does_not_let_foreign_pages_in(system):
    broker, gateway = system.start(websocket_explain=True)
    answer = system.handshake(gateway, headers={"Origin": FOREIGN})
    check_refusal(gateway, answer, 403, "origin_not_allowed")
    answer = system.handshake(gateway, path="/nope")
    check_refusal(gateway, answer, 404, "no_such_path")


def test_explaining_a_starting_gateway(system):
    gateway = system.gateway(websocket_explain=True)
    assert system.client(gateway).wait_closed()[0] == 4503


def test_a_root_path_is_understood_with_and_without_its_prefix(system):
    broker, gateway = system.start(root_path="/api/")
    for path in ("/ws/cotizaciones", "/api/ws/cotizaciones", "/api/ws/cotizaciones/"):
        assert system.handshake(gateway, path=path).status == 101
    assert system.handshake(gateway, path="/apiws/cotizaciones").status == 404
    assert gateway.get("/api/cotizaciones/ready").status == 200
    assert gateway.get("/cotizaciones/ready").status == 200


def test_the_origin_that_a_trusted_proxy_forwards_is_the_gateways_own(system):
    broker, gateway = system.start()
    told = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "app.example",
            "X-Forwarded-For": "203.0.113.9", "Origin": "https://app.example"}
    answer = system.handshake(gateway, headers=told)
    assert answer.status == 101
    answer.socket.receive("welcome")
    (row,) = gateway.status()["connections"]
    assert row["host"] == "203.0.113.9"

    deaf = system.gateway(broker, forwarded_allow_ips="10.0.0.0/8")
    assert system.handshake(deaf, headers=told).code == "origin_not_allowed"
    check = deaf.page("websocket_check", **told)
    assert any("FORWARDED_ALLOW_IPS" in n for n in check["proxy"]["notes"])
    unwilling = system.gateway(broker, proxy_headers=False)
    assert system.handshake(unwilling, headers=told).code == "origin_not_allowed"


@pytest.mark.parametrize(
    "origins, origin, status",
    [
        ("https://app.example", "https://app.example", 101),
        ("https://app.example", "https://app.example:443", 101),
        ("https://app.example:443/", "https://APP.example", 101),
        ("https://app.example", "http://app.example", 403),
        (' https://a.example/ , "https://b.example"'.replace('"', ""), "https://b.example", 101),
        ('["https://a.example", "https://b.example/"]', "https://b.example", 101),
        ("https://*.example", "https://x.example", 101),
        ("https://*.example", "https://x.y.example", 101),
        ("https://*.example", "https://example", 403),
        ("https://*.example", "https://x.example.evil", 403),
        ("https://*.example", "null", 403),
        ("http://localhost:*", "http://localhost:5173", 101),
        ("null", "null", 101),
        ("*", "https://anything.example", 101),
        ("*", "null", 101),
        ("", "http://localhost:3000", 403),
        ("", None, 101),
    ],
)
def test_origins_are_compared_as_scheme_host_and_port(system, origins, origin, status):
    broker, gateway = system.start(cors_origins=origins)
    assert system.handshake(gateway, headers={"Origin": origin}).status == status


def test_warnings_about_refusals_are_limited_and_the_rest_counted(system):
    broker, gateway = system.start()
    for i in range(200):
        assert system.handshake(gateway, path=f"/nope{i}").status == 404
    assert gateway.status()["gateway"]["refusals"]["by_code"] == {"no_such_path": 200}
    assert len(warnings(gateway, "no_such_path")) < 100
    assert len(gateway.status()["gateway"]["refusals"]["last"]) <= 50


@pytest.mark.parametrize("headers, host, told", [
    ({"Origin": "https://quotes.test:8443", "X-Forwarded-Proto": "https"}, "quotes.test", True),
    ({"Origin": "http://Quotes.test:81"}, "quotes.test", True),
    ({"Origin": "http://quotes.test:81"}, "quotes.test:81", False),
    ({"Origin": "https://quotes.test", "X-Forwarded-Proto": "https"}, "quotes.test", False),
    ({"Origin": "http://quotes.test.evil:81"}, "quotes.test", False),
    ({}, "quotes.test", False),
])
def test_a_proxy_that_drops_the_port_of_host_is_named(system, headers, host, told):
    broker, gateway = system.start()
    notes = gateway.get("/cotizaciones/websocket_check", headers={"Host": host, **headers}).json()[
        "proxy"
    ]["notes"]
    assert any("$http_host" in note for note in notes) == told
