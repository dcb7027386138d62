"""HTTP garbage, slow headers and a lack of descriptors harm no other client."""

import random
import socket

import pytest

import pregon
from hostile import check_calm, check_served, only, start

GARBAGE = {
    "random bytes": random.Random(1).randbytes(3000),
    "zeros": bytes(3000),
    "newlines": b"\n" * 3000,
    "a TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "the HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "an unknown method": b"FROB / HTTP/1.1\r\n\r\n",
    "HTTP of the future": b"GET / HTTP/9.9\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "no path": b"GET  HTTP/1.1\r\n\r\n",
    "a path without slash": b"GET cotizaciones HTTP/1.1\r\n\r\n",
    "a path with a NUL": b"GET /\0 HTTP/1.1\r\n\r\n",
    "an encoded NUL": b"GET /cotizaciones/quotes/A%00B HTTP/1.1\r\n\r\n",
    "a way up": b"GET /../../etc/passwd HTTP/1.1\r\n\r\n",
    "an encoded way up": b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n\r\n",
    "half an escape": b"GET /cotizaciones/quotes/%4 HTTP/1.1\r\n\r\n",
    "a path of 8 KiB": b"GET /" + b"x" * 8192 + b" HTTP/1.1\r\n\r\n",
    "a path of 64 KiB": b"GET /" + b"x" * 65536 + b" HTTP/1.1\r\n\r\n",
    "a query of 64 KiB": b"GET /?" + b"x" * 65536 + b" HTTP/1.1\r\n\r\n",
    "a header of 64 KiB": b"GET / HTTP/1.1\r\nX: " + b"x" * 65536 + b"\r\n\r\n",
    "1000 headers": b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 1000 + b"\r\n",
    "a header without colon": b"GET / HTTP/1.1\r\nnonsense\r\n\r\n",
    "a header without name": b"GET / HTTP/1.1\r\n: x\r\n\r\n",
    "a folded header": b"GET / HTTP/1.1\r\nX: y\r\n z\r\n\r\n",
    "a negative length": b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    "a length beyond numbers": b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 40 + b"\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a chunk said to be huge": b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"ffffffffffffffff\r\n",
    "requests in a row": b"GET / HTTP/1.1\r\n\r\n" * 100,
    "half a line": b"GET /cotizaci",
    "nothing": b"",
}


def answer_to(gateway, system, data):
    """The bytes that arrive until the connection ends; we send nothing more."""
    sock = system.connect(gateway)
    answer = b""
    try:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        while True:
            more = sock.recv(65536)
            if not more:
                break
            answer += more
    except OSError:  # it has hung up already
        pass
    sock.close()
    return answer


@pytest.mark.parametrize("kind", GARBAGE)
def test_bytes_that_are_not_http_are_answered_with_an_error_or_closed(shared_system, kind):
    gateway, observer = start(shared_system)
    answer = answer_to(gateway, shared_system, GARBAGE[kind])
    if answer:
        head, body = answer.split(b"\r\n\r\n", 1)
        status = int(head.split()[1])
        assert head.startswith(b"HTTP/1.1 ")
        assert b"root:" not in answer
        if status >= 400:
            assert b"content-type: application/json" in head.lower(), answer
            assert body.startswith(b'{"error":{"code":"'), answer
            assert b"request_id" in body
        else:
            assert status == 200
    check_served(gateway, observer)


def test_http_garbage_leaves_no_descriptor_and_no_spin_behind(system):
    gateway, observer = start(system)
    before = gateway.descriptors_open()
    for data in GARBAGE.values():
        answer_to(gateway, system, data)
    check_calm(gateway, observer)
    pregon.eventually(gateway.descriptors_open, lambda n: n <= before + 2, "descriptors closed")


def test_headers_that_come_slowly_hold_up_no_websocket_and_are_given_up(system):
    gateway, observer = start(system, http_threads=4)
    feed = system.feed(system.processes[0])
    slow = [system.connect(gateway) for _ in range(4)]  # one for each worker
    for sock in slow:
        sock.sendall(b"GET / HTTP/1.1\r\nX: ")

    def trickle():
        for sock in slow:
            try:
                sock.send(b"x")
            except OSError:
                pass

    for n in range(5):
        trickle()
        feed.quote("X", last="1", n=n)
        observer.receive("quote", n=n)
        assert observer.request("ping")["type"] == "ack"
    asked = system.connect(gateway)
    asked.settimeout(0.2)
    asked.sendall(b"GET /cotizaciones/live HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = b""

    def look():
        nonlocal answer
        trickle()
        try:
            answer += asked.recv(65536)
        except TimeoutError:
            pass
        return answer

    pregon.eventually(look, what="the page behind the slow ones")
    assert answer.startswith(b"HTTP/1.1 200 ")
    check_calm(gateway, observer)


def test_a_silent_connection_holds_up_no_page_and_is_answered_once_it_sends_a_request(system):
    gateway, observer = start(system, http_threads=4)
    # Each of these connections would hold a worker for ten seconds.
    silent = [system.connect(gateway) for _ in range(64)]
    for _ in range(4):
        check_served(gateway, observer)
    silent[7].sendall(b"GET /cotizaciones/live HTTP/1.1\r\nHost: x\r\n\r\n")
    assert silent[7].recv(65536).startswith(b"HTTP/1.1 200 ")


def test_out_of_descriptors_handshakes_are_refused_with_the_reason_until_some_are_free(system):
    broker = system.broker()
    gateway = system.gateway(broker, descriptors=256, websocket_max_connections=1000,
                             http_threads=4, heartbeat=1)
    gateway.wait_for_log("^WARNING: .*descriptors.*LimitNOFILE")
    inside = []
    while True:
        answer = system.handshake(gateway)
        if answer.status != 101:
            break
        inside.append(answer.socket)
    assert (answer.status, answer.code) == (503, "max_connections")
    assert "descriptors" in answer.json()["error"]["message"] + answer.json()["error"]["hint"]
    assert int(answer.headers["Retry-After"]) > 0
    status = gateway.status()
    assert status["active_connections"] == len(inside) > 20
    assert status["gateway"]["max_connections"] == len(inside)
    verdict = gateway.page("websocket_check")
    assert (verdict["code"], verdict["message"]) == (
        "max_connections", answer.json()["error"]["message"])

    # Connections that send nothing, more than there are descriptors for.
    idle = [system.connect(gateway) for _ in range(400)]
    for client in inside[:3]:
        client.send_message(op="ping", id="still here")
        client.receive("ack", id="still here")
    for sock in idle:
        sock.close()
    for client in inside[1:]:
        client.reset()

    only(gateway, 1)
    observer = system.client(gateway, "?symbols=X")
    check_calm(gateway, observer)
    assert gateway.page("live")["status"] == "live"
