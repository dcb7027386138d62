"""Bodies, paths and parameters of requests for locks that are wrong, slow or too large."""

import concurrent.futures
import signal
import socket
import threading

import pytest

import pregon
from locks_http import LOCKS, Locks, SECRET, locks, start, refused  # noqa: F401 (fixtures)

GOOD = '{"owner":"a","ttl":30}'
OBJECTS = {
    "": 0, "{": 1, "[1]": 0, "7": 0, '{"owner":"a"}': 0, '{"ttl":30}': 0,
    '{"owner":"a","ttl":"30"}': 19, '{"owner":"a","ttl":1e1}': 19, '{"owner":"a","ttl":0.9}': 19,
    '{"owner":"a","ttl":600.001}': 19, '{"owner":"a","ttl":30.0001}': 19,
    '{"owner":"a","ttl":30,"tll":1}': 22, '{"owner":"a b","ttl":30}': 9,
    '{"owner":"a","ttl":30,"ttl":30}': 22, '{"owner":7,"ttl":30}': 9,
    '{"owner":"a","ttl":30}x': 22, '{"owner":"\ud800","ttl":30}': 10,
    '{"owner":"a","token":-1}': 21, '{"owner":"a","token":"x"}': 21,
    '{"owner":"a","x":' + "[" * 9 + "]" * 9 + "}": 24,
    '{"owner":"a",' + " " * 1000 + "}": 1013,
}


@pytest.mark.parametrize("text", OBJECTS)
def test_a_body_that_is_wrong_is_refused_with_the_byte_where(locks, text):
    data = text.encode("utf-8", "surrogatepass")
    told = refused(locks.request("PUT", "/wrong", data), 400, "bad_request")
    assert told["at"] == OBJECTS[text], told
    refused(locks.request("GET", "/wrong"), 404, "unknown_lock")


WRONG = {
    "GET /": (200, None),
    "GET /unknown": (404, "unknown_lock"),
    "GET /unknown/": (404, "unknown_lock"),
    "GET /unknown/value": (404, "unknown_lock"),
    "GET /value": (404, "unknown_lock"),
    "GET /value/value": (404, "unknown_lock"),
    "GET //value": (400, "bad_name"),
    "GET /a/b": (400, "bad_name"),
    "GET /a%2Fb": (400, "bad_name"),
    "GET /a%20b": (400, "bad_name"),
    "GET /a%00b": (400, "bad_request"),
    "GET /" + "a" * 64: (404, "unknown_lock"),
    "GET /" + "a" * 65: (400, "bad_name"),
    "PUT /a/b/value": (400, "bad_name"),
    "DELETE /a": (400, "bad_request"),
    "DELETE /a?owner=x": (400, "bad_request"),
    "DELETE /a?token=7": (400, "bad_request"),
    "DELETE /a?owner=x&token=0": (400, "bad_request"),
    "DELETE /a?owner=x&token=-1": (400, "bad_request"),
    "DELETE /a?owner=x&token=18446744073709551616": (400, "bad_request"),
    "DELETE /a?owner=x%20y&token=7": (400, "bad_request"),
    "DELETE /a?owner=" + "x" * 129 + "&token=7": (400, "bad_request"),
    "DELETE /a?owner=" + "x" * 128 + "&token=18446744073709551615": (404, "unknown_lock"),
    "DELETE /a?break=1": (400, "bad_request"),
    "DELETE /a?break=2&token=7": (400, "bad_request"),
    "DELETE /a?break=1&token=7&reason=" + "x" * 201: (400, "bad_request"),
    "DELETE /a?break=1&token=7": (404, "unknown_lock"),
    "PUT /a/value?owner=x": (400, "bad_request"),
    "GET ?limit=1001": (400, "bad_request"),
    "GET ?offset=x": (400, "bad_request"),
    "GET ?prefix=a%20b": (400, "bad_request"),
    "POST /a": (405, "GET, HEAD, PUT, DELETE"),
    "PATCH /a": (405, "GET, HEAD, PUT, DELETE"),
    "OPTIONS /a": (405, "GET, HEAD, PUT, DELETE"),
    "DELETE /a/value": (405, "GET, HEAD, PUT"),
    "POST /a/value": (405, "GET, HEAD, PUT"),
    "PUT ": (405, "GET, HEAD"),
    "DELETE /": (405, "GET, HEAD"),
}


@pytest.mark.parametrize("line", WRONG)
def test_a_path_or_a_parameter_that_is_wrong_is_refused_by_name(locks, line):
    method, path = line.split(" ")
    status, code = WRONG[line]
    answer = locks.request(method, path)
    if status == 405:
        refused(answer, 405, "method_not_allowed")
        assert answer.headers["Allow"] == code
    elif status == 200:
        assert answer.status == 200
    else:
        refused(answer, status, code)


def test_the_brokers_own_bounds_are_reported(system):
    broker = system.broker(lock_ttl_max=20, lock_delay_max=5, lock_count_max=2)
    locks = Locks(system.gateway(broker, locks_token=SECRET))
    told = refused(locks.put("a", owner="a", ttl=30), 400, "bad_request")
    assert "LOCK_TTL_MAX" in told["error"]["message"]
    refused(locks.put("a", owner="a", ttl=20, lock_delay=6), 400, "bad_request")
    for name in ("a", "b"):
        locks.take(name, "a", ttl=20)
    refused(locks.put("c", owner="a", ttl=20), 503, "full")


HEAD = f"PUT {LOCKS}/hostile HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\n"


def raw(gateway, text, *pieces):
    sock = pregon.connect(gateway)
    sock.sendall(text.encode("latin-1") if isinstance(text, str) else text)
    for piece in pieces:
        sock.sendall(piece)
    return sock


GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"

HOSTILE = {
    "no length": ("", b"", 411, "length_required"),
    "chunks": ("Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n", 411, "length_required"),
    "chunks and a length": (
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n", b"{}", 400, "bad_request"),
    "a length with a tail": ("Content-Length: 2x\r\n", b"{}", 400, "bad_request"),
    "a length with a sign": ("Content-Length: +2\r\n", b"{}", 400, "bad_request"),
    "two lengths": ("Content-Length: 2\r\nContent-Length: 3\r\n", b"{}x", 400, "bad_request"),
    "a length beyond 64 bits": (
        "Content-Length: 99999999999999999999\r\n", b"{}", 400, "bad_request"),
    "one byte too many": ("Content-Length: 16385\r\n", b" " * 16385, 413, "too_large"),
    "a terabyte, begun": (
        "Content-Length: 1099511627776\r\n", b" " * 1048576, 413, "too_large"),
    "nothing but spaces": ("Content-Length: 16384\r\n", b" " * 16384, 400, "bad_request"),
    "a deep one": ("Content-Length: 16384\r\n", b"[" * 16384, 400, "bad_request"),
    "zeros": ("Content-Length: 16384\r\n", bytes(16384), 400, "bad_request"),
    "one long number": ("Content-Length: 16384\r\n", b"1" * 16384, 400, "bad_request"),
    "many members": ("Content-Length: 16384\r\n",
                     b"{" + b",".join(b'"%06d":0' % i for i in range(1489)) + b"}" + b" " * 4,
                     400, "bad_request"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_body_is_refused_and_the_answer_arrives(locks, kind):
    headers, body, status, code = HOSTILE[kind]
    answer = pregon.read_answer(raw(locks.gateway, HEAD + headers + "\r\n", body))
    refused(answer, status, code)
    assert locks.gateway.get("/cotizaciones/live").status == 200


def test_the_gateway_does_not_wait_for_a_large_body_on_a_route_without_bodies(locks):
    for path in ("/cotizaciones/health", LOCKS, "/nothing", LOCKS + "/x"):
        sock = raw(
            locks.gateway,
            f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n",
            bytes(65536),
        )
        answer = pregon.read_answer(sock)
        assert answer.status in (401, 404, 405)
        answer.json()


def test_a_body_may_come_in_pieces_and_a_client_may_send_expect_first(locks):
    body = GOOD.encode()
    sock = raw(locks.gateway, HEAD + f"Content-Length: {len(body)}\r\n\r\n{GOOD[:3]}")
    for byte in body[3:]:
        sock.sendall(bytes([byte]))
    assert pregon.read_answer(sock).status == 200

    sock = raw(locks.gateway,
               HEAD + f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n")
    assert sock.recv(len(GO_ON), socket.MSG_WAITALL) == GO_ON
    sock.sendall(body)
    assert pregon.read_answer(sock).status == 200

    sock = raw(locks.gateway, HEAD + "Content-Length: 99999\r\nExpect: 100-continue\r\n\r\n")
    refused(pregon.read_answer(sock), 413, "too_large")  # and does not send 100 Continue first


def test_a_body_that_never_ends_is_given_up(locks):
    stalled = raw(locks.gateway, HEAD + "Content-Length: 22\r\n\r\n" + GOOD[:10])
    trickling = raw(locks.gateway, HEAD + "Content-Length: 16384\r\n\r\n")
    trickling.settimeout(0.1)
    sent, head = 0, b""
    while sent < 16384 and not head:
        trickling.sendall(b" ")
        sent += 1
        try:
            head = trickling.recv(12)
        except TimeoutError:
            pass
    assert head == b"HTTP/1.1 408"
    refused(pregon.read_answer(stalled), 408, "timed_out")
    cut = raw(locks.gateway, HEAD + "Content-Length: 22\r\n\r\n" + GOOD[:10])
    cut.shutdown(socket.SHUT_WR)
    refused(pregon.read_answer(cut), 400, "bad_request")


def test_bodies_that_never_come_do_not_hold_the_threads(system):
    broker, gateway, locks = start(system, http_threads=4)
    sockets = [raw(gateway, HEAD + "Content-Length: 22\r\n\r\n") for _ in range(4)]
    assert gateway.get("/cotizaciones/live").status == 200
    for sock in sockets:
        sock.close()


def trickle(sock, is_over):
    """Send a byte now and then, regardless of the answer."""
    while not is_over.wait(0.1):
        try:
            sock.sendall(b" ")
        except ConnectionError:
            break
    sock.close()


def test_a_body_that_no_handler_reads_holds_no_thread_however_slowly_it_arrives(system):
    broker, gateway, locks = start(system, http_threads=4)
    is_over = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        try:
            for _ in range(4):
                pool.submit(trickle, raw(
                    gateway, f"PUT {LOCKS}/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n"),
                    is_over)
            gateway.wait_for_log("401", stream="out")
            assert gateway.get("/cotizaciones/live").status == 200
        finally:
            is_over.set()


def test_a_gateway_that_stops_does_not_wait_for_a_body(system):
    broker, gateway, locks = start(system)
    sock = raw(gateway, HEAD + "Content-Length: 22\r\nExpect: 100-continue\r\n\r\n")
    assert sock.recv(len(GO_ON), socket.MSG_WAITALL) == GO_ON
    gateway.signal(signal.SIGTERM)
    refused(pregon.read_answer(sock), 503, "draining")
    gateway.wait_for_exit()
