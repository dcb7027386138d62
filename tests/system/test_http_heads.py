"""Heads of requests: a head that HTTP forbids is refused with the reason, a permitted one is
served."""

import socket

import pytest

import metrics
import pregon

EVIL = "https://evil.example"
LIVE = "/cotizaciones/live"
FILLERS = "".join(f"X-Filler-{i}: {i}\r\n" for i in range(70))


def start(system, **settings):
    """A broker and a gateway; once for all tests of a shared system."""
    if not system.processes:
        system.start(websocket_token="open", **settings)
    return system.processes[1]


def ask(system, gateway, data):
    sock = system.connect(gateway)
    sock.sendall(data if isinstance(data, bytes) else data.encode("latin-1"))
    return pregon.read_answer(sock)


def with_line(line, headers=None):
    """A handshake with one more line among its headers."""
    data = pregon.handshake_bytes(
        headers={"Authorization": "Bearer open", **(headers or {})}).decode("latin-1")
    return data[:-2] + line + "\r\n"


def check_refused(answer, status, code):
    assert (answer.status, answer.code) == (status, code), answer
    error = answer.json()["error"]
    assert error["code"] == code and error["message"] and error["hint"]
    assert error["request_id"] == answer.headers["X-Request-Id"]
    assert answer.headers["Connection"] == "close"
    assert answer.headers["Content-Type"] == "application/json"


HANDSHAKES = {
    "no Host": (with_line("", {"Host": None}), 400),
    "two Hosts": (with_line("", {"Host": ["a", "b"]}), 400),
    "the same Host twice": (with_line("", {"Host": ["a", "a"]}), 400),
    "two keys": (with_line("", {"Sec-WebSocket-Key": [pregon.new_key(), pregon.new_key()]}), 400),
    "two versions": (with_line("", {"Sec-WebSocket-Version": ["13", "13"]}), 400),
    "two origins": (with_line("", {"Origin": ["http://localhost:3000", EVIL]}), 400),
    "a space before a colon": (with_line("Origin : https://evil.example\r\n"), 400),
    "a tab before a colon": (with_line("X\t: y\r\n"), 400),
    "a folded header": (with_line("X: y\r\n z\r\n"), 400),
    "a folded Upgrade": (with_line("", {"Upgrade": "\r\n websocket"}), 400),
    "a line feed alone": (with_line("X: y\nOrigin: z\r\n"), 400),
    "a carriage return alone": (with_line("X: y\rz\r\n"), 400),
    "a NUL": (with_line("X: y\0z\r\n"), 400),
    "a header without a colon": (with_line("X\r\n"), 400),
    "70 fillers, then a foreign origin": (with_line(FILLERS + f"Origin: {EVIL}\r\n"), 431),
    "a head too large": (with_line("".join(f"X-{i}: {'y' * 1000}\r\n" for i in range(30))), 431),
    "a target too long": (b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
    "a target that does not end": (b"GET /" + b"x" * 20000, 414),
    "HTTP/2": (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    "HTTP/0.9": (b"GET /\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "a length twice": (
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        400,
    ),
    "a negative length": (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
    "a length and chunks": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
    ),
}
CODES = {400: "bad_request", 414: "too_large", 431: "too_large", 505: "bad_http_version"}


@pytest.mark.parametrize("kind", HANDSHAKES)
def test_a_head_that_is_not_http_is_refused_with_the_reason(shared_system, kind):
    gateway = start(shared_system)
    data, status = HANDSHAKES[kind]
    check_refused(ask(shared_system, gateway, data), status, CODES[status])
    assert gateway.get(LIVE).status == 200


MALFORMED = {
    "another Upgrade's name in it": with_line("", {"Upgrade": "notwebsocket"}),
    "a version of the protocol": with_line("", {"Upgrade": "websocket/13"}),
    "a body": with_line("Content-Length: 2\r\n") + "{}",
    "chunks": with_line("Transfer-Encoding: chunked\r\n") + "0\r\n\r\n",
    "HTTP/1.0": pregon.handshake_bytes(version="HTTP/1.0").decode(),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_head_that_is_no_handshake_is_malformed(shared_system, kind):
    gateway = start(shared_system)
    check_refused(ask(shared_system, gateway, MALFORMED[kind]), 400, "malformed")


ACCEPTED = {
    "Connection twice": with_line("", {"Connection": ["keep-alive", "Upgrade"]}),
    "Upgrade twice": with_line("", {"Upgrade": ["h2c", "websocket"]}),
    "spaces after a value": with_line("", {"Sec-WebSocket-Version": "13 \t ",
                                           "Upgrade": "  websocket  ", "Host": "x  "}),
    "no space after a colon": with_line("X:y\r\n"),
    "an empty value": with_line("X:\r\nY: \t\r\n"),
    "Latin letters in a value": with_line("X: caf\xe9\r\n"),
    "60 fillers": with_line("".join(f"X-{i}: y\r\n" for i in range(57))),
    "empty lines before it": "\r\n\r\n" + with_line(""),
    "a target in absolute form": with_line("").replace(
        "GET /", "GET http://127.0.0.1:8000/", 1),
    "a target with the scheme of WebSockets": with_line("").replace(
        "GET /", "GET ws://quotes.example/", 1),
}


@pytest.mark.parametrize("kind", ACCEPTED)
def test_a_handshake_that_rfc_9112_allows_is_admitted(shared_system, kind):
    gateway = start(shared_system)
    answer = ask(shared_system, gateway, ACCEPTED[kind])
    assert answer.status == 101, answer
    answer.socket.receive("welcome")
    answer.socket.close()


def test_pages_take_absolute_targets_and_http_1_0(shared_system):
    gateway = start(shared_system)
    for data in ("GET http://x/cotizaciones/live HTTP/1.1\r\nHost: y\r\n\r\n",
                 "GET HTTPS://x:1/cotizaciones/live HTTP/1.1\r\nHost: y \r\n\r\n",
                 "GET /cotizaciones/live HTTP/1.0\r\n\r\n"):
        assert ask(shared_system, gateway, data).json()["status"] == "live"


def test_the_target_s_authority_is_the_gateway_s_own_origin_not_host(shared_system):
    gateway = start(shared_system)
    own = f"http://127.0.0.1:{gateway.port}"
    check_refused(ask(shared_system, gateway, with_line(
        "", {"Host": "evil.example", "Origin": "http://evil.example"}).replace(
            "GET /", f"GET {own}/", 1)), 403, "origin_not_allowed")


def test_a_proxy_s_header_beyond_the_64th_is_not_overlooked(shared_system):
    gateway = start(shared_system)
    data = ("GET /cotizaciones/websocket_check HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6\r\n"
            + FILLERS + "X-Forwarded-For: 9.9.9.9\r\n\r\n")
    check_refused(ask(shared_system, gateway, data), 431, "too_large")


def test_a_head_in_single_bytes_is_read(shared_system):
    gateway = start(shared_system)
    sock = shared_system.connect(gateway)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in with_line("Connection: x\r\n").encode("latin-1"):
        sock.sendall(bytes([byte]))
    answer = pregon.read_answer(sock)
    assert answer.status == 101
    answer.socket.close()


def test_a_head_that_does_not_come_in_time_is_answered_with_408(system):
    _, gateway = system.start(http_head_timeout=1)
    sock = system.connect(gateway)
    sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
    answer = pregon.read_answer(sock)
    check_refused(answer, 408, "timed_out")
    assert "HTTP_HEAD_TIMEOUT" in answer.json()["error"]["hint"]
    assert metrics.of(gateway)["pregon_http_heads_refused_total", "late"] == 1


# --- under which name ---------------------------------------------------------------------------


def asks(system, gateway, host, origin=None, **headers):
    if origin:
        headers["Origin"] = origin
    return system.handshake(gateway, host=host, headers={"Authorization": "Bearer open", **headers})


def test_a_page_whose_domain_was_made_to_point_at_us_is_refused_with_the_setting(system):
    _, gateway = system.start(websocket_token="open")
    evil = f"evil.example:{gateway.port}"

    answer = asks(system, gateway, evil, f"http://{evil}")
    check_refused(answer, 403, "host_not_allowed")  # the body, and X-Reject-Reason
    assert "ALLOWED_HOSTS" in answer.json()["error"]["hint"]
    gateway.wait_for_log(r"403 host_not_allowed.*evil\.example.*\[ALLOWED_HOSTS\]")
    told = gateway.page("websocket_status")["gateway"]["refusals"]
    assert told["by_code"] == {"host_not_allowed": 1}
    assert told["last"][0]["setting"] == "ALLOWED_HOSTS"
    assert metrics.of(gateway)["pregon_refusals_total", "host_not_allowed"] == 1
    verdict = gateway.get("/cotizaciones/websocket_check", headers={
        "Host": evil, "Origin": f"http://{evil}", "Authorization": "Bearer open"}).json()
    assert (verdict["allowed"], verdict["code"], verdict["setting"]) == (
        False, "host_not_allowed", "ALLOWED_HOSTS")
    assert verdict["hint"] == answer.json()["error"]["hint"]

    for page in ("/", "/cotizaciones/quotes", "/cotizaciones/websocket_status", "/nothing"):
        check_refused(gateway.get(page, headers={"Host": evil}), 403, "host_not_allowed")
    for header in (
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
    ):  # a page's fetch may add it
        forged = {"Host": evil, "Origin": f"http://{evil}", header: "10.0.0.1"}
        check_refused(gateway.get("/cotizaciones/quotes", headers=forged), 403, "host_not_allowed")
    for page in ("/metrics", "/cotizaciones/live", "/cotizaciones/ready", "/cotizaciones/health"):
        assert gateway.get(page, headers={"Host": evil}).status in (200, 503)


@pytest.mark.parametrize("host, origin, headers", [
    ("localhost:8000", "http://localhost:8000", {}),
    ("127.0.0.1:8000", "http://127.0.0.1:8000", {}),
    ("[::1]:8000", "http://[::1]:8000", {}),
    ("gateway", "http://gateway", {}),
    ("app.localhost", "http://app.localhost", {}),
    ("evil.example", None, {}),  # a program
    ("evil.example", "http://localhost:3000", {}),  # a page that is listed
    ("quotes.example", "https://quotes.example", {"X-Forwarded-Proto": "https"}),  # a proxy
])
def test_every_permitted_client_of_a_gateway_on_loopback_gets_in(
    shared_system, host, origin, headers
):
    gateway = start(shared_system)
    answer = asks(shared_system, gateway, host, origin, **headers)
    assert answer.status == 101, answer
    answer.socket.close()


def test_allowed_hosts_bind_every_request(system):
    _, gateway = system.start(websocket_token="open",
                              allowed_hosts="quotes.example,*.quotes.example:8000")
    for host, status in (("quotes.example", 101), ("a.quotes.example:8000", 101),
                         ("127.0.0.1:1", 101), ("a.quotes.example", 403), ("evil.example", 403)):
        assert asks(system, gateway, host).status == status, host
    forged = {"Host": "evil.example", "X-Forwarded-Host": "quotes.example"}
    check_refused(gateway.get("/cotizaciones/quotes", headers=forged), 403, "host_not_allowed")


def test_an_entry_of_allowed_hosts_that_is_no_host_stops_the_start(system):
    broker = system.broker()
    gateway = system.gateway(broker, allowed_hosts="http://quotes.example", wait=False)
    gateway.wait_for_exit(2)
    assert gateway.logged("ALLOWED_HOSTS: entry 'http://quotes.example' is no host")
