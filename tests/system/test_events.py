"""Server-sent events: the stream over plain HTTP, for EventSource, curl and any HTTP library."""

import json
import shutil
import signal
import subprocess
import threading

import pytest

import pregon
from handshakes import check_refusal

FOREIGN = {"Origin": "https://evil.example"}


def fed(feed, first, last, symbol="X"):
    for n in range(first, last + 1):
        feed.quote(symbol, last=str(n), n=n)
    feed.wait_processed()


def numbers(client):
    return [m["n"] for m in client.messages if m["type"] == "quote"]


def refused(gateway, status, code, query="", **headers):
    answer = gateway.get(pregon.EVENTS + query, headers=headers)
    check_refusal(gateway, answer, status, code)
    return answer


# --- what comes ----------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["?symbols=X,Y", "?symbols=X&mode=all", "?symbols=X&trace=true",
                                   "", "?symbols=bad%20one&max_hz=0"])
def test_the_messages_are_those_of_a_websocket_in_json(system, query):
    broker, gateway = system.start(heartbeat=1)
    feed = system.feed(broker)
    fed(feed, 1, 1)
    system.client(gateway, "?symbols=X,Y").receive("snapshot")
    both = system.client(gateway, query), system.events(gateway, query)
    for client in both:
        client.receive("ack")
    feed.quote("X", last="2", n=2, more={"a": [1, None, "line\nbreak"]})
    feed.wait_processed()
    for client in both:
        if "bad" not in query:
            client.receive("quote", n=2)
        client.receive("heartbeat")
    lists = [[{k: v for k, v in m.items() if k not in ("timestamp", "connection", "trace")}
              for m in c.messages if m["type"] != "heartbeat"] for c in both]
    assert lists[0] == lists[1]
    members = [[set(m) for m in client.received("quote")] for client in both]
    assert members[0] == members[1]
    assert both[1].headers["Content-Type"] == "text/event-stream"
    assert both[1].headers["Cache-Control"] == "no-store"
    assert both[1].headers["X-Accel-Buffering"] == "no"
    assert both[1].headers["X-Request-Id"]


def test_curl_shows_quotes(system):
    if not shutil.which("curl"):
        pytest.skip("no curl")
    broker, gateway = system.start()
    feed = system.feed(broker)
    fed(feed, 1, 1)
    with subprocess.Popen(["curl", "-sN", f"{gateway.url}{pregon.EVENTS}?symbols=X"],
                          stdout=subprocess.PIPE, text=True) as curl:
        wait = threading.Timer(pregon.PATIENCE, curl.kill)
        wait.start()
        lines = iter(curl.stdout.readline, "")
        assert next(line for line in lines if '"snapshot"' in line).startswith("data: {")
        fed(feed, 2, 2)
        quote = next(line for line in lines if '"quote"' in line)
        assert json.loads(quote.removeprefix("data: "))["last"] == "2"
        wait.cancel()
        curl.kill()


def test_a_client_in_mode_merge_gets_the_newest_values_at_its_rate(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    quick = system.events(gateway, "?symbols=X")
    slow = system.events(gateway, "?symbols=X&max_hz=2")
    for client in (quick, slow):
        client.receive("ack")
    for n in range(1, 31):
        fed(feed, n, n)
        quick.receive("quote", where=lambda m, n=n: m["n"] == n)
    slow.receive("quote", n=30)
    assert len(numbers(slow)) < 30


def test_it_holds_no_worker_and_counts_like_a_websocket(system):
    broker, gateway = system.start(http_threads=4, websocket_max_connections=20)
    clients = [system.events(gateway, "?symbols=X") for _ in range(18)]
    for client in clients:
        client.receive("ack")
    system.client(gateway).receive("ack")
    system.events(gateway, "?symbols=X&mode=all").receive("ack")
    status = gateway.status()  # a worker is free
    assert status["active_connections"] == 20
    kinds = [c["protocol"] for c in status["connections"]]
    assert sorted(kinds) == ["json"] + 19 * ["sse"]
    text = gateway.get("/metrics").body.decode()
    assert 'pregon_clients{mode="merge",encoding="sse"} 18' in text
    assert 'pregon_clients{mode="all",encoding="sse"} 1' in text
    answer = refused(gateway, 503, "max_connections")
    assert "20 of 20" in answer.json()["error"]["message"]
    assert system.handshake(gateway).code == "max_connections"
    clients[0].close()
    pregon.eventually(lambda: gateway.status()["active_connections"], lambda n: n == 19)
    system.events(gateway).receive("ack")
    assert 'pregon_clients_closed_total{reason="left"} 1' in gateway.get("/metrics").body.decode()


# --- who may -------------------------------------------------------------------------------


def test_a_refusal_is_the_one_of_a_handshake(system):
    broker, gateway = system.start(websocket_token="t0ps3cret")
    bearer = {"Authorization": "Bearer t0ps3cret"}
    here = gateway.log_position()
    refused(gateway, 401, "unauthorized")
    gateway.wait_for_log(r'^WARNING: .* "EventSource /\S+" 401 unauthorized\b', after=here)
    refused(gateway, 403, "origin_not_allowed", **bearer, **FOREIGN)
    refused(gateway, 403, "host_not_allowed", **bearer, Host="evil.example")
    refused(gateway, 400, "malformed", "?symbol=X", **bearer)
    refused(gateway, 400, "malformed", "?mode=all&mode=all", **bearer)
    codes = gateway.status()["gateway"]["refusals"]["by_code"]
    assert codes == {"unauthorized": 1, "origin_not_allowed": 1, "host_not_allowed": 1,
                     "malformed": 2}
    system.events(gateway, headers=bearer).receive("ack")
    system.events(gateway, "?token=t0ps3cret").receive("ack")
    assert not gateway.logged("t0ps3cret")


def test_a_listed_page_may_read_it_and_others_are_explained(system):
    broker, gateway = system.start(cors_origins="http://a.example")
    page = system.events(gateway, headers={"Origin": "http://a.example"})
    assert page.headers["Access-Control-Allow-Origin"] == "http://a.example"
    assert page.headers["Vary"] == "Origin"
    for site in ("cross-site", "same-site"):  # an image, or fetch with no-cors
        answer = gateway.get(pregon.EVENTS, headers={"Sec-Fetch-Site": site})
        assert (answer.status, answer.code) == (403, "origin_not_allowed")
    system.events(gateway, headers={"Sec-Fetch-Site": "same-origin"})
    for origin, code, status in (("http://a.example", "admitted", 200),
                                 ("https://evil.example", "origin_not_allowed", 403)):
        told = gateway.page(f"websocket_check?path={pregon.EVENTS}&origin={origin}")
        assert (told["code"], told["status"]) == (code, status)


def test_other_methods_and_websockets_are_told_where_to_go(system):
    broker, gateway = system.start()
    answer = gateway.get(pregon.EVENTS, "POST", body=b"{}")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    head = gateway.get(pregon.EVENTS, "HEAD")
    assert (head.status, head.headers["Content-Type"]) == (200, "text/event-stream")
    assert "Content-Length" not in head.headers
    answer = system.handshake(gateway, path=pregon.EVENTS)
    assert (answer.status, answer.code) == (404, "no_such_path")
    assert gateway.status()["active_connections"] == 0


# --- coming back ---------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["same", "other", "fresh"])
def test_in_mode_all_exactly_what_was_missed_comes_in_order(system, where):
    broker, gateway = system.start()
    feed = system.feed(broker)
    other = system.gateway(broker) if where == "other" else None
    client = system.events(gateway, "?symbols=X&mode=all")
    client.receive("ack")
    fed(feed, 1, 100)
    client.receive("quote", n=70)
    client.close()
    client.wait_closed()
    came = numbers(client)
    fed(feed, 101, 300)
    gateway = other or (system.gateway(broker) if where == "fresh" else gateway)
    again = system.events(gateway, "?symbols=X&mode=all", last_event_id=client.last_event_id)
    assert again.receive("ack")["recovered"] is True
    again.receive("quote", n=300)
    fed(feed, 301, 310)
    again.receive("quote", n=310)
    assert came + numbers(again) == list(range(1, 311))
    assert not again.received("snapshot")


def test_in_mode_merge_what_changed_comes_as_its_newest_value(system):
    broker, gateway = system.start(heartbeat=1)
    feed = system.feed(broker)
    client = system.events(gateway, "?symbols=X,Y")
    client.receive("ack")
    fed(feed, 1, 1)
    fed(feed, 1, 1, "Y")
    head = feed.received
    client.receive("heartbeat", where=lambda m: m["seq"] >= head)
    client.close()
    client.wait_closed()
    fed(feed, 2, 50)
    again = system.events(gateway, "?symbols=X,Y", last_event_id=client.last_event_id)
    assert again.receive("ack")["recovered"] is True
    again.receive("snapshot", n=50)
    fed(feed, 2, 2, "Y")
    again.receive("quote", symbol="Y", n=2)
    assert len(again.received("snapshot")) == 1


def test_a_stopping_gateway_tells_when_to_come_back(system):
    broker, gateway = system.start(drain_delay=0)
    client = system.events(gateway, "?symbols=X")
    client.receive("ack")
    gateway.signal(signal.SIGTERM)
    after = client.receive("going_away")["reconnect_after"]
    assert client.receive("close", code=1012)["reason"] == {"code": "restart"}
    client.wait_closed()
    assert client.retry == pytest.approx(after, abs=0.001)
    gateway.wait_for_exit(0)


def test_one_that_comes_back_too_early_is_told_to_come_again(system):
    gateway = system.gateway(websocket_max_connections=1)
    refused(gateway, 503, "starting")  # a first visit, and programs, get the status
    client = system.events(gateway, last_event_id="0123456789abcdef:7")
    assert client.headers["X-Reject-Reason"] == "starting"
    assert client.next()["code"] == 4503
    client.wait_closed()
    assert client.retry == 1
    assert gateway.status()["active_connections"] == 0
    assert gateway.status()["gateway"]["refusals"]["by_code"] == {"starting": 2}


def test_a_log_that_is_another_one_begins_anew(system):
    broker, gateway = system.start()
    feed = system.feed(broker)
    fed(feed, 1, 3)
    client = system.events(gateway, "?symbols=X&mode=all", last_event_id="00000000000000ff:2")
    assert client.receive("ack")["recovered"] is False
    client.receive("snapshot", n=3)
    assert client.ids[-1] == ""
    broker.kill()
    broker.start()
    client.receive("reset")
    assert client.ids[-1] == ""


# --- slow ones, and silent ones --------------------------------------------------------------


@pytest.mark.parametrize("mode", ["merge", "all"])
def test_one_that_does_not_read_is_treated_like_a_websocket(system, mode):
    broker, gateway = system.start(client_queue=65536)
    feed = system.feed(broker)
    slow = system.events(gateway, f"?symbols=X&mode={mode}", receive_buffer=4096, reads=False)
    quick = system.client(gateway, "?symbols=X")
    quick.receive("ack")
    pregon.eventually(lambda: gateway.status()["active_connections"], lambda n: n == 2)
    for n in range(2000):
        feed.quote("X", last="1", n=n, note="x" * 1000)
    feed.wait_processed()
    quick.receive(("quote", "snapshot"), n=1999)
    if mode == "all":
        gateway.wait_for_log("slow consumer, code 4008")
        slow.read()
        slow.wait_closed()
        return
    slow.read()
    slow.receive(("quote", "snapshot"), n=1999)
    assert len(slow.messages) < 1000


def test_one_that_acknowledges_nothing_is_closed_after_the_timeout(system):
    broker, gateway = system.start(websocket_timeout=4)
    feed = system.feed(broker)
    alive = system.events(gateway, "?symbols=X")
    deaf = system.events(gateway, "?symbols=X", receive_buffer=4096, reads=False)

    def call():
        feed.quote("X", last="1", note="x" * 2000)
        feed.wait_processed()
        return gateway.logged("silent for WEBSOCKET_TIMEOUT, code 4001")

    pregon.eventually(call, what="its end")
    assert alive.is_open
    deaf.close()
