"""The programs' log lines: uvicorn's form for people, JSON for machines, no forged line."""

import json
import re
import time

import msgpack
import pytest

import pregon

LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LINE = re.compile(r"(?:%s):\s+\S.*" % "|".join(LEVELS))
ACCESS = re.compile(r'INFO:     127\.0\.0\.1:\d+ - "[A-Z]+ \S+ HTTP/1\.[01]" \d{3} [A-Za-z\' -]+')


def prepared(system, **settings):
    """A bit of everything that is logged."""
    broker, gateway = system.start(gateway_name="gw-1", **settings)
    feed = system.feed(broker)
    feed.quote("X", last="1")
    client = system.client(gateway, "?symbols=X")
    client.receive("snapshot")
    client.request("ping")
    client.close()
    system.handshake(gateway, headers={"Origin": "https://evil.example"})
    gateway.get("/cotizaciones/health")
    gateway.get("/nothing?a=b")
    pregon.eventually(gateway.status, lambda s: s["active_connections"] == 0)
    return broker, gateway, client


def test_lines_have_the_shape_uvicorns_have(system):
    broker, gateway, client = prepared(system)
    gateway.stop()
    broker.stop()
    for process in (broker, gateway):
        for text in process.log("err"):
            assert LINE.fullmatch(text), text
            tag = text.split(":")[0] + ":"
            assert text[:10] == f"{tag:<10}", text
        assert process.logged(rf"^INFO:     Started pregon-\w+ \d+\.\d+\.\d+ \[{process.pid}\]")
        assert process.logged(rf"^INFO:     Finished pregon-\w+ \[{process.pid}\]$")
    ready, *access = gateway.log("out")
    assert re.fullmatch(r"ready http=http://127\.0\.0\.1:\d+", ready)
    for text in access:
        assert ACCESS.fullmatch(text), text
    running = rf"^INFO:     Pregón running on {gateway.url} \(Press CTRL\+C to quit\)$"
    assert gateway.logged(running)
    assert gateway.logged("^INFO:     Shutting down$")


def test_access_lines_go_to_standard_output_and_all_others_to_standard_error(system):
    broker, gateway, client = prepared(system)
    # The gateway writes this line after the answer.
    gateway.wait_for_log('"GET /cotizaciones/websocket_status ', stream="out")
    access = gateway.log("out")[1:]
    assert [t.split(" - ")[1] for t in access[:4]] == [
        '"GET /ws/cotizaciones HTTP/1.1" 403 Forbidden',
        '"GET /cotizaciones/health HTTP/1.1" 200 OK',
        '"GET /nothing?a=b HTTP/1.1" 404 Not Found',
        '"GET /cotizaciones/websocket_status HTTP/1.1" 200 OK',
    ]
    assert not gateway.logged("HTTP/1.1", "err")


def test_a_connection_is_logged_with_its_client_duration_counts_and_reason(system):
    broker, gateway, client = prepared(system)
    who = re.escape(f"127.0.0.1:{client.local_port}")
    accepted = rf'^INFO:     {who} - "WebSocket /ws/cotizaciones(\?symbols=X)?" \[accepted\]$'
    opened = rf"^INFO:     {who} - connection open \(gw-1:1\)$"
    closed = (rf"^INFO:     {who} - connection closed: client closed, code 1000, (\d+\.\d) s, "
              r"(\d+) messages and (\d+) bytes sent, 0 merged, 1 messages received$")
    places = [next(i for i, text in enumerate(gateway.log("err")) if re.search(pattern, text))
              for pattern in (accepted, opened, closed)]
    assert places == sorted(places)
    (line,) = gateway.logged(closed, "err")
    assert float(line[1]) < 600
    assert int(line[2]) == len(client.messages)
    payload = sum(len(raw.encode()) for raw in client.raw)
    assert payload < int(line[3]) < payload + 20 * len(client.messages)


def test_a_refusal_is_a_warning_that_names_client_origin_rule_and_setting(system):
    broker, gateway, client = prepared(system)
    (line,) = [t for t in gateway.log("err") if t.startswith("WARNING")]
    assert re.match(r"WARNING:  127\.0\.0\.1:\d+ - ", line)
    for part in ("/ws/cotizaciones", "https://evil.example", "403", "origin_not_allowed",
                 "CORS_ORIGINS"):
        assert part in line, line


def test_as_json_every_line_is_one_object(system):
    broker, gateway, client = prepared(system, log_format="json")
    gateway.stop()
    ready, *access = gateway.log("out")
    assert ready.startswith("ready http=")
    access, others = [list(map(json.loads, lines)) for lines in (access, gateway.log("err"))]
    assert others[0]["message"].startswith("Started pregon-gateway")
    for entry in access + others:
        assert abs(entry["time"] - time.time()) < 600
        assert entry["level"] in [level.lower() for level in LEVELS]
        assert entry["program"] == "pregon-gateway"
    for entry in others:
        assert set(entry) == {"time", "level", "program", "message"}
    (health,) = [e for e in access if e["path"] == "/cotizaciones/health"]
    assert set(health) == {"time", "level", "program", "client", "method", "path", "version",
                           "status"}
    assert (health["method"], health["version"], health["status"]) == ("GET", "1.1", 200)
    assert re.fullmatch(r"127\.0\.0\.1:\d+", health["client"])
    assert any(e["message"].endswith("connection open (gw-1:1)") for e in others)


def test_without_access_log_only_the_ready_line_is_on_standard_output(system):
    broker, gateway, client = prepared(system, access_log=False)
    assert len(gateway.log("out")) == 1
    assert gateway.logged("connection open")
    quiet = system.gateway(broker, flags=["--no-access-log"])
    quiet.get("/cotizaciones/live")
    quiet.stop()
    assert len(quiet.log("out")) == 1


def test_at_level_warning_refusals_are_reported_and_the_rest_is_not(system):
    broker, gateway, client = prepared(system, log_level="warning")
    assert len(gateway.log("out")) == 1
    (line,) = gateway.log("err")
    assert "origin_not_allowed" in line


# Also the characters that other programs treat as the end of a line.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
FORGED = "INFO:     127.0.0.1:1 - forged"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_message_of_a_peer_can_forge_or_break_a_log_line(system, log_format):
    broker = system.broker(log_format=log_format)
    gateway = system.gateway(broker, log_format=log_format, gateway_name="gw-1", access_log=True)
    evil = ("x\n" + FORGED + "\r\n" + FORGED + '\x1b[31m"} \x07\x00').encode()
    odd = b"\xff\xfe \xc2\x9b31m \xe2\x80\xa8" + FORGED.encode()

    def shake(**how):
        answer = system.handshake(gateway, **how)
        if answer.socket:
            answer.socket.close()

    for text in (evil, odd):
        quoted = "".join(f"%{b:02x}" for b in text)
        shake(path="/ws/" + quoted)
        shake(path=pregon.STREAM + "?symbols=" + quoted)
        gateway.get("/cotizaciones/quotes/" + quoted)
        gateway.get("/nothing?" + quoted)
        raw = text.translate(None, b"\r\n\0")  # bytes that a header can contain
        for name in ("Origin", "Host", "User-Agent", "X-Forwarded-For", "X-Forwarded-Host",
                     "Sec-WebSocket-Protocol"):
            shake(headers={name: raw.decode("latin-1")})
        sock = system.connect(gateway)
        sock.sendall(b"GET /" + raw.replace(b" ", b"") + b"\" HTTP/1.1\r\n\r\n")
        pregon.read_answer(sock)
        control = system.control(broker)
        for key in ("name", "host", "http"):
            control.send(msgpack.packb(
                {"op": "hello", "id": 1, "role": "gateway", "oldest": 1, "newest": 1, "name": "g",
                 key: text}, use_bin_type=False))
        control.request("ping")
    feed = system.feed(broker, host=evil.decode("latin-1"))
    feed.line(evil + b" ", {"last": "1"})
    feed.line(b"X ", {"last": "1", "source": evil.decode("latin-1")})
    feed.quote("X", last="1")
    feed.wait_processed()
    gateway.stop()
    broker.stop()

    for process in (broker, gateway):
        for stream, text in process.lines:
            assert not CONTROL.search(text), repr(text)
            if text.startswith("ready "):
                continue
            if log_format == "json":
                assert json.loads(text)["program"] == "pregon-" + process.program
            else:
                assert LINE.fullmatch(text), text
                assert not text.startswith(FORGED)
                if stream == "out":
                    assert ACCESS.fullmatch(text), text


def test_secrets_are_never_logged(system):
    broker, gateway = system.start(websocket_token="t0ps3cret", log_level="trace")
    for how in ({"path": pregon.STREAM + "?token=t0ps3cret"},
                {"path": pregon.STREAM + "?symbols=X&token=t0ps3cret"},
                {"path": "/nothing?token=t0ps3cret"},
                {"headers": {"Authorization": "Bearer t0ps3cret"}}):
        system.handshake(gateway, **how)
    gateway.get("/cotizaciones/websocket_check?token=t0ps3cret")
    gateway.get("/cotizaciones/health?token=t0ps3cret")
    gateway.stop()
    assert gateway.logged("websocket_check")
    assert not gateway.logged("t0ps3cret")
