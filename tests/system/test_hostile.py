"""What nobody sane sends: it is refused by name, frees its place, and harms nobody else."""

import concurrent.futures
import itertools
import random
import socket
import struct
import threading

import msgpack
import pytest
import zmq

import pregon
from fake_broker import HEARTBEAT, LOST, MARK, QUOTE, STATE, FakeBroker
from pregon import BINARY, CLOSE, PING, PONG, TEXT, frame_bytes

MIB = 1024 * 1024
ROOM = MIB * (256 if pregon.IS_SANITIZED else 24)  # what a story may cost a process
CONTINUATION = 0
LIMIT = 4096  # of a message here, in bytes
SEED = random.SystemRandom().randrange(10**6)

# A heartbeat is a second, and a loop that spins takes all hundred ticks of it.
CALM = 10


def check_calm(process, observer, heartbeats=1):
    """It does next to nothing while nothing is to be done."""
    observer.hears("heartbeat")
    before = process.ticks()
    for _ in range(heartbeats):
        observer.hears("heartbeat")
    per_heartbeat = (process.ticks() - before) / heartbeats
    assert per_heartbeat <= CALM, f"{process.name}: {per_heartbeat} ticks a heartbeat"


def check_served(gateway, observer):
    """Those who behave are served as ever."""
    assert observer.asks("ping")["type"] == "ack"
    assert gateway.get("/cotizaciones/live").status == 200


def only(gateway, count):
    pregon.eventually(lambda: gateway.status()["active_connections"], lambda n: n == count,
                      f"{count} places in use")


def play(stage, **settings):
    """A broker, a gateway and a client who behaves; once for all stories of a shared stage."""
    if not stage.processes:
        broker, gateway = stage.play(heartbeat=1, ws_max_size=LIMIT, **settings)
        stage.observer = stage.client(gateway, "?symbols=X")
        stage.observer.hears("ack")
    return stage.processes[1], stage.observer


# --- frames -----------------------------------------------------------------------------

E_ACUTE = "é".encode()

OFFENCES = {
    "a frame said to be huge": (frame_bytes(TEXT, declared=2**40), 1009),
    "a frame one byte too large": (frame_bytes(TEXT, declared=LIMIT + 1), 1009),
    "a binary frame said to be 2 GiB": (frame_bytes(BINARY, declared=0x7FFF0000), 1009),
    "a size beyond 63 bits": (frame_bytes(TEXT, declared=2**63 + 1), (1002, 1009)),
    "fragments too large together": (
        frame_bytes(TEXT, b" " * LIMIT, fin=False) + frame_bytes(CONTINUATION, b" "), 1009),
    "unmasked text": (frame_bytes(TEXT, b"{}", masked=False), 1002),
    "an unmasked ping": (frame_bytes(PING, b"", masked=False), 1002),
    "text that is not UTF-8": (frame_bytes(TEXT, b'{"op":"\xff"}'), 1007),
    "text that ends within a character": (frame_bytes(TEXT, E_ACUTE[:1]), 1007),
    "a surrogate": (frame_bytes(TEXT, b"\xed\xa0\x80"), 1007),
    "fragments that are not UTF-8": (
        frame_bytes(TEXT, E_ACUTE[:1], fin=False) + frame_bytes(CONTINUATION, b"x"), 1007),
    "a close reason that is not UTF-8": (frame_bytes(CLOSE, b"\x03\xe8\xff"), 1007),
    "a close of one byte": (frame_bytes(CLOSE, b"\x03"), (1002, 1005)),
    "a close with 1005": (frame_bytes(CLOSE, b"\x03\xed"), 1002),
    "a close with 999": (frame_bytes(CLOSE, b"\x03\xe7"), 1002),
    "opcode 3": (frame_bytes(3, b"x"), 1002),
    "opcode 11": (frame_bytes(11, b"x"), 1002),
    "RSV1": (frame_bytes(TEXT, b"{}", rsv=4), 1002),
    "RSV2 in a ping": (frame_bytes(PING, b"", rsv=2), 1002),
    "a continuation of nothing": (frame_bytes(CONTINUATION, b"x"), 1002),
    "text within fragments": (
        frame_bytes(TEXT, b"{", fin=False) + frame_bytes(TEXT, b"}"), 1002),
    "a ping in fragments": (frame_bytes(PING, b"x", fin=False), 1002),
    "a ping too long": (frame_bytes(PING, b"x" * 126), 1002),
    "a short size written long": (b"\x81\xfe\x00\x02\x01\x02\x03\x04" + b"zy", 1002),
}


@pytest.mark.parametrize("offence", OFFENCES)
def test_a_bad_frame_is_closed_with_its_code_and_frees_its_place(long_stage, offence):
    gateway, observer = play(long_stage)
    data, codes = OFFENCES[offence]
    client = long_stage.raw_client(gateway, "?symbols=X")
    client.hears("ack")

    client.send_bytes(data)

    while client.close_code is None:
        client.frame()
    assert client.close_code in (codes if isinstance(codes, tuple) else (codes,))
    client.close()
    only(gateway, 1)
    check_served(gateway, observer)


def test_a_frame_too_large_is_refused_before_its_payload_is_sent(long_stage):
    gateway, observer = play(long_stage)
    client = long_stage.raw_client(gateway, "?symbols=X")
    client.hears("ack")
    for byte in frame_bytes(TEXT, declared=2**40):  # the header, in as many pieces as it has bytes
        client.send_bytes(bytes([byte]))
    while client.close_code is None:
        client.frame()
    assert client.close_code == 1009
    assert client.reason == '{"code":"too_large","setting":"WS_MAX_SIZE"}'
    client.close()


def test_offenders_that_do_not_go_away_cost_no_processor_time(stage):
    gateway, observer = play(stage)
    for data, _ in OFFENCES.values():
        client = stage.raw_client(gateway, "?symbols=X")
        client.hears("ack")
        client.send_bytes(data)  # and neither read on nor close
    check_calm(gateway, observer)
    only(gateway, 1)


def test_fragments_are_put_together_with_control_frames_between_them(long_stage):
    gateway, _ = play(long_stage)
    client = long_stage.raw_client(gateway, "?symbols=NOTHING")
    client.hears("ack")
    request = '{"op":"ping","id":"é€😀"}'.encode()

    pieces = [request[i : i + 1] for i in range(len(request))]
    for i, piece in enumerate(pieces):
        client.send_frame(CONTINUATION if i else TEXT, piece, fin=False)
        client.send_frame(PING, str(i).encode())
        client.send_frame(PONG, b"unasked")
    client.send_frame(CONTINUATION, b"")

    pongs, answers = [], []
    while len(pongs) < len(pieces) or not answers:
        opcode, payload = client.frame()
        if opcode == PONG:
            pongs.append(payload)
        elif b'"op":"ping"' in payload:
            answers.append(payload.decode())
    assert pongs == [str(i).encode() for i in range(len(pieces))]
    assert '"id":"é€😀"' in answers[0]
    client.send_frame(CLOSE, struct.pack(">H", 1000) + "adiós".encode())
    assert client.closed() == 1000


def test_a_message_of_exactly_the_limit_is_heard(long_stage):
    gateway, _ = play(long_stage)
    client = long_stage.raw_client(gateway, "?symbols=NOTHING")
    client.hears("ack")
    request = b'{"op":"ping","id":1}'
    client.send_frame(TEXT, request.ljust(LIMIT))
    client.hears("ack", id=1)
    client.send_frame(TEXT, request, fin=False)
    client.send_frame(CONTINUATION, b" " * (LIMIT - len(request)))
    client.hears("ack", id=1)
    client.close()


# --- floods -----------------------------------------------------------------------------


class Flood(threading.Thread):
    """Sends as much as the socket takes, and reads nothing, until it is told to stop."""

    def __init__(self, client, frames):
        super().__init__(daemon=True)
        self.client = client
        self.data = frames * (MIB // len(frames))
        self.sent = 0
        self.is_over = threading.Event()
        client.socket.settimeout(0.05)
        self.start()

    def run(self):
        at = 0
        while not self.is_over.is_set():
            try:
                count = self.client.socket.send(memoryview(self.data)[at:])
            except TimeoutError:
                continue
            except OSError:
                return
            at = (at + count) % len(self.data)
            self.sent += count

    def stop(self):
        self.is_over.set()
        self.join()


FLOODS = {
    "pings": frame_bytes(PING, b"x" * 100),
    "empty pings": frame_bytes(PING, b""),
    "pongs": frame_bytes(PONG, b"x" * 100),
    "requests": frame_bytes(TEXT, b'{"op":"ping"}'),
    "lists": frame_bytes(TEXT, b'{"op":"list","id":"%s"}' % (b"x" * 60)),
    "subscriptions": frame_bytes(TEXT, b'{"op":"subscribe","symbols":["A"]}')
    + frame_bytes(TEXT, b'{"op":"unsubscribe","symbols":["A"]}'),
    "empty fragments": frame_bytes(TEXT, b"", fin=False)
    + frame_bytes(CONTINUATION, b"", fin=False) * 500,
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_nobody_reads_the_answers_of_harms_nobody_else(long_stage, kind):
    gateway, observer = play(long_stage)
    before = gateway.rss()
    flooder = long_stage.raw_client(gateway, "?symbols=NOTHING", receive_buffer=4096)
    flood = Flood(flooder, FLOODS[kind])
    try:
        for _ in range(50):
            check_served(gateway, observer)
            assert gateway.rss() - before < ROOM, f"after {flood.sent} bytes"
    finally:
        flood.stop()
    flooder.reset()
    only(gateway, 1)


def test_requests_of_who_takes_no_answers_wait_and_are_then_answered_in_order(stage):
    broker, gateway = stage.play(max_symbols=1100)
    observer = stage.client(gateway, "?symbols=X")
    observer.hears("ack")
    patterns = [f"PATTERN-{i:04}-{'X' * 18}" for i in range(1000)]
    client = stage.raw_client(gateway, "?symbols=X", receive_buffer=4096)
    client.hears("ack")
    for i in range(0, 1000, 100):
        client.says(op="subscribe", symbols=patterns[i : i + 100])
        client.hears("ack")
    before = gateway.rss()

    lists = 1500  # in a few bytes each, and 32 KB is the answer to one; all wait for the first
    client.send_bytes(frame_bytes(TEXT, b'{"op":"subscribe","symbols":["NEW"]}') + b"".join(
        frame_bytes(TEXT, b'{"op":"list","id":%d}' % i) for i in range(lists)))
    for _ in range(20):
        check_served(gateway, observer)
        assert gateway.rss() - before < ROOM
    assert client.hears("ack")["symbols"] == ["NEW"]
    for i in range(lists):
        assert client.hears("ack")["id"] == i


def test_who_has_flooded_and_stays_costs_no_processor_time(stage):
    gateway, observer = play(stage)
    feed = stage.feed(stage.processes[0])
    before = gateway.rss()
    for frames in FLOODS.values():
        flooder = stage.raw_client(gateway, "?symbols=NOTHING", receive_buffer=4096)
        flood = Flood(flooder, frames)
        try:
            for n in range(5):
                feed.quote("X", last="1", n=n)
                observer.hears("quote", n=n)
        finally:
            flood.stop()
    check_calm(gateway, observer)
    assert gateway.rss() - before < ROOM


# --- HTTP -------------------------------------------------------------------------------

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


def answer_to(gateway, stage, data):
    """What comes back until the connection ends; we have said all we have to say."""
    sock = stage.connect(gateway)
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
def test_what_is_no_http_is_answered_as_an_error_or_closed(long_stage, kind):
    gateway, observer = play(long_stage)
    answer = answer_to(gateway, long_stage, GARBAGE[kind])
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


def test_http_garbage_leaves_no_descriptor_and_no_spin_behind(stage):
    gateway, observer = play(stage)
    before = gateway.descriptors_open()
    for data in GARBAGE.values():
        answer_to(gateway, stage, data)
    check_calm(gateway, observer)
    pregon.eventually(gateway.descriptors_open, lambda n: n <= before + 2, "descriptors closed")


def test_headers_that_come_slowly_hold_up_no_websocket_and_are_given_up(stage):
    gateway, observer = play(stage, http_threads=4)
    feed = stage.feed(stage.processes[0])
    slow = [stage.connect(gateway) for _ in range(4)]  # one for each worker
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
        observer.hears("quote", n=n)
        assert observer.asks("ping")["type"] == "ack"
    asked = stage.connect(gateway)
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


def test_who_connects_and_says_nothing_holds_up_no_page_and_is_answered_once_it_speaks(stage):
    gateway, observer = play(stage, http_threads=4)
    silent = [stage.connect(gateway) for _ in range(64)]  # each would hold a worker for ten seconds
    for _ in range(4):
        check_served(gateway, observer)
    silent[7].sendall(b"GET /cotizaciones/live HTTP/1.1\r\nHost: x\r\n\r\n")
    assert silent[7].recv(65536).startswith(b"HTTP/1.1 200 ")


# --- descriptors ------------------------------------------------------------------------


def test_out_of_descriptors_handshakes_are_refused_with_the_reason_until_some_are_free(stage):
    broker = stage.broker()
    gateway = stage.gateway(broker, descriptors=256, websocket_max_connections=1000,
                            http_threads=4, heartbeat=1)
    gateway.says("^WARNING: .*descriptors.*LimitNOFILE")
    inside = []
    while True:
        answer = stage.handshake(gateway)
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

    # Callers who say nothing, more than there are descriptors for.
    idle = [stage.connect(gateway) for _ in range(400)]
    for client in inside[:3]:
        client.says(op="ping", id="still here")
        client.hears("ack", id="still here")
    for sock in idle:
        sock.close()
    for client in inside[1:]:
        client.reset()

    only(gateway, 1)
    observer = stage.client(gateway, "?symbols=X")
    check_calm(gateway, observer)
    assert gateway.page("live")["status"] == "live"


# --- ZeroMQ -----------------------------------------------------------------------------


def hostile_msgpack(rng):
    """Values that are none, or not what they should be."""
    yield b""
    yield b"\xc1"
    yield b"\x91" * 5000 + b"\xc0"  # deep
    yield b"\x81\xa1x" * 5000 + b"\xc0"
    yield b"\xdd\xff\xff\xff\xff"  # counts beyond the bytes there are
    yield b"\xdf\xff\xff\xff\xff"
    yield b"\xdb\xff\xff\xff\xffx"
    yield b"\xc6\xff\xff\xff\xffx"
    yield b"\x97\x01" + b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff" * 5 + b"\xdf\xff\xff\xff\xff"
    yield msgpack.packb([])
    yield msgpack.packb({})
    yield msgpack.packb([1] * 7)
    yield msgpack.packb(["1"] * 7)
    yield msgpack.packb([-1] * 7)
    yield msgpack.packb([1.5] * 7)
    yield msgpack.packb([99, 1, 1, 0, 0, 0, {}])
    yield msgpack.packb([1, 1, 1, 0, 0, 0, {"bid": "1"}]) + b"trailing"
    yield msgpack.packb({"op": None, "id": None})
    yield msgpack.packb(msgpack.ExtType(5, b"x" * 100))
    for size in (1, 5, 50, 500, 50000):
        yield rng.randbytes(size)


def calm_broker(broker, control):
    """As check_calm, by the broker's own answers: a second is a heartbeat of its log."""
    subscriber = control.socket.context.socket(zmq.SUB)
    try:
        subscriber.linger = 0
        subscriber.subscribe(b"!heartbeat ")
        subscriber.connect(broker.ready["publish"])
        assert subscriber.poll(pregon.PATIENCE * 1000)
        subscriber.recv_multipart()
        before = broker.ticks()
        assert subscriber.poll(pregon.PATIENCE * 1000)
        subscriber.recv_multipart()
        assert broker.ticks() - before <= CALM
    finally:
        subscriber.close()


def check_quotes_flow(feed, control, last):
    feed.quote("X", last=last)
    feed.settled()
    (entry,) = control.ask("snapshot", pattern="X")["quotes"]
    assert msgpack.unpackb(entry[3])[6]["last"] == last


def test_garbage_on_ingest_is_dropped_and_the_feed_goes_on(stage):
    broker = stage.broker()
    control = stage.control(broker)
    feed = stage.feed(broker)
    check_quotes_flow(feed, control, "1")
    rng = random.Random(SEED)
    print("seed", SEED)
    before = broker.rss()

    for n in range(200):
        for value in hostile_msgpack(rng):
            feed.raw(value)
            feed.raw(b"X ", value)
            feed.raw(value, value)
        feed.raw(b"X ", b"y", b"z")
        feed.raw(b"X ", *[b"y"] * 50)
        feed.raw(b"", b"")
        feed.raw(b"X" * 100000 + b" ", b"y")
        if n % 20 == 0:
            check_quotes_flow(feed, control, str(n + 2))
    check_quotes_flow(feed, control, "1000")

    assert broker.rss() - before < ROOM
    (row,) = control.ask("status")["feeds"]
    assert (row["name"], row["live"], row["received"]) == ("feed", True, feed.received)
    assert len(broker.log()) < 100, "garbage fills the log"
    calm_broker(broker, control)


def test_lines_with_bodies_no_quote_has_are_refused_one_by_one(stage):
    broker = stage.broker()
    control = stage.control(broker)
    feed = stage.feed(broker)
    bodies = list(hostile_msgpack(random.Random(SEED)))
    print("seed", SEED)
    for body in bodies:
        feed.line(b"X ", body)
    for topic in (b"", b"X", b" ", b"x ", b"X\0 ", b"A" * 33 + b" ", b"!heartbeat ", b"~mark/x ",
                  b"!lost ", b"\xff\xfe "):
        feed.line(topic, {"last": "1"})
    check_quotes_flow(feed, control, "7")
    status = control.ask("status")
    assert status["symbols"] == 1
    assert status["feeds"][0]["refused"] == len(feed.lines) - 1
    assert status["feeds"][0]["accepted"] == 1


def test_garbage_on_control_is_answered_or_dropped_and_nobody_else_waits(stage):
    broker = stage.broker()
    control, other = stage.control(broker), stage.control(broker)
    feed = stage.feed(broker)
    rng = random.Random(SEED)
    print("seed", SEED)
    before = broker.rss()
    ops = ("hello", "report", "snapshot", "replay", "lost", "goodbye", "connections", "status", "x")
    odd = (None, -1, 2**64 - 1, 2.5, "", "x" * 100000, b"\xff", [], [[]], {}, {"a": 1}, True)

    for _ in range(50):
        for value in hostile_msgpack(rng):
            control.send(value)
        control.socket.send_multipart([b""] * 3)
        control.socket.send_multipart([b"x"] * 100)
    for op in ops:
        for key in ("id", "role", "name", "owner", "epoch", "first", "last", "pattern", "after",
                    "from", "limit", "offset", "opened", "closed", "count", "window", "acked",
                    "oldest", "newest", "peer", "reason"):
            for value in odd:
                question = {"op": op, "id": 0, "oldest": 1, "newest": 1, "role": "gateway",
                            "name": "g", "count": 0, key: value}
                if not (op == "hello" and key == "role"):
                    control.send(msgpack.packb(question))
        assert other.ask("ping")["re"] == "ping"
    check_quotes_flow(feed, other, "1")
    assert broker.rss() - before < ROOM
    calm_broker(broker, other)


def test_a_peer_that_asks_and_never_reads_costs_bounded_memory(stage):
    broker = stage.broker()
    control, feed = stage.control(broker), stage.feed(broker)
    for i in range(500):
        feed.quote(f"S{i}", last="1", note="x" * 500)
    feed.settled()
    before = broker.rss()
    deaf = stage.context.socket(zmq.DEALER)
    deaf.linger = 0
    deaf.rcvhwm = 1
    deaf.sndhwm = 0
    deaf.connect(broker.ready["control"])
    try:
        question = msgpack.packb({"op": "snapshot", "id": 1, "pattern": "*"})  # 300 KB each
        for n in range(3000):
            deaf.send(question)
            if n % 100 == 0:
                control.ask("ping")
                assert broker.rss() - before < 4 * ROOM, f"after {n} questions"
        control.ask("ping")
        check_quotes_flow(feed, control, "1")
        assert broker.rss() - before < 4 * ROOM
    finally:
        deaf.close()


def test_odd_subscriptions_are_taken_for_what_they_are(stage):
    broker = stage.broker()
    control = stage.control(broker)
    feed = stage.feed(broker)
    before = broker.rss()
    rng = random.Random(SEED)
    print("seed", SEED)
    # Said by hand: what is no subscription, and topics of any bytes.
    subscriber = stage.context.socket(zmq.XSUB)
    subscriber.linger = 0
    subscriber.sndhwm = 0
    subscriber.connect(broker.ready["publish"])
    try:
        for topic in (b"", b"\0", b"\xff" * 100, b"~mark/", b"~mark/ ", b"~mark/" + b"x" * 70,
                      b"~mark/\0\n\xff ", b"!heartbeat", b"x" * 110, b"!lock/" + b"n" * 64 + b" ",
                      *(rng.randbytes(rng.randrange(1, 110)) for _ in range(2000))):
            for kind in (b"\1", b"\0", b"\2", b"\xff", b""):
                subscriber.send(kind + topic)
        subscriber.send_multipart([b"\1x", b"\1y", b"z"] * 20)
        subscriber.send(b"\1~mark/story ")
        subscriber.send(b"\1X ")

        welcomes = []

        def next_record(topic):
            while subscriber.poll(pregon.PATIENCE * 1000):
                frames = subscriber.recv_multipart()
                if frames[0] == topic:
                    return msgpack.unpackb(frames[1])
                welcomes.extend(f for f in frames if f == b"!welcome ")
                assert len(welcomes) < 2, "its connection was closed"
            raise pregon.Lost(topic)

        assert next_record(b"~mark/story ")[0] == MARK
        feed.quote("X", last="5")
        assert next_record(b"X ")[6]["last"] == "5"
        assert broker.rss() - before < ROOM
    finally:
        subscriber.close()
    calm_broker(broker, control)


def test_what_is_no_zeromq_is_hung_up_on(stage):
    broker = stage.broker()
    control, feed = stage.control(broker), stage.feed(broker)
    rng = random.Random(SEED)
    print("seed", SEED)
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16) + b"\0" + bytes(31)
    for door in ("ingest", "publish", "control"):
        host, port = broker.ready[door].removeprefix("tcp://").split(":")

        def call(host=host, port=int(port)):
            return stage._with(socket.create_connection((host, port), pregon.PATIENCE))

        for data in (b"GET / HTTP/1.1\r\n\r\n", bytes(1000), b"\xff" * 1000,
                     greeting + b"\xff" * 1000,
                     greeting + b"\x04\x26\x05READY" + b"\x0bSocket-Type\xff\xff\xff\xff",
                     *(rng.randbytes(500) for _ in range(20)),
                     *(greeting + rng.randbytes(500) for _ in range(20))):
            try:
                call().sendall(data)
            except ConnectionError:
                pass
        for _ in range(50):
            call()  # and says nothing
    check_quotes_flow(feed, control, "3")
    calm_broker(broker, control)


# --- a broker one cannot trust ----------------------------------------------------------


def hostile_records(fake, rng):
    """Messages of the right log that are not what they should be."""
    record = fake.record
    for value in hostile_msgpack(rng):
        yield (value,)
        yield (value, value)
        yield b"X ", value
        yield b"!heartbeat ", value
    for kind, topic in itertools.product(
        (0, QUOTE, STATE, LOST, HEARTBEAT, MARK, 6, 255),
        (b"", b"X", b" ", b"x ", b"A" * 33 + b" ", b"~mark/ ", b"!lost ", b"!nobody ", b"\xff "),
    ):
        for body in (None, 1, "x", [], {}, {"state": 7}, {"changed": 7},
                     {"changed": [[1, "X"]]}, {"changed": [["X"]]}, {"changed": [["x y", 1]]},
                     {"bid": 1, "ask": None}, {"bid": {"a": {"b": {"c": [1]}}}}, {1: 2},
                     {"timestamp": -1}, {"timestamp": "x"}, {"symbol": "Y"}):
            yield topic, record(kind, fake.head, 0, body)
    yield b"X ", record(QUOTE, fake.head, 0, {"bid": "1"}), b"more"
    yield tuple([b"X "] * 60)


def test_a_broker_that_talks_nonsense_does_not_take_the_gateway_along(stage):
    fake = FakeBroker(stage)
    gateway = stage.gateway(fake, heartbeat=1)
    observer = stage.client(gateway, "?symbols=*")
    observer.hears("ack")
    fake.quote("X", last="1")
    observer.hears("quote", last="1")
    before = gateway.rss()
    rng = random.Random(SEED)
    print("seed", SEED)

    for _ in range(5):
        for frames in hostile_records(fake, rng):
            fake.publish(*frames)
    for value in hostile_msgpack(rng):
        fake.say(value)
        fake.say(value, value)
    for message in ({"op": "who"}, {"op": "x"}, {"op": 1}, {"re": "hello"}, {"id": 1},
                    *({"re": "snapshot", "id": n, "quotes": 5} for n in range(50))):
        fake.say(msgpack.packb(message))
    fake.quote("X", last="2")

    observer.hears(("quote", "snapshot"), symbol="X", last="2")
    check_served(gateway, observer)
    assert gateway.rss() - before < ROOM
    check_calm(gateway, observer)
    assert len(gateway.log("err")) < 300, "nonsense fills the log"


ODD_ANSWERS = {
    "nothing at all": lambda q: None,
    "no msgpack": lambda q: b"\xc1",
    "no map": lambda q: msgpack.packb([1, 2, 3]),
    "an error": lambda q: {"error": "invalid", "message": "no"},
    "only an id": lambda q: {},
    "lists that are none": lambda q: {
        k: 7 for k in ("quotes", "records", "feeds", "gateways", "connections", "locks", "epoch")},
    "lists of something else": lambda q: {
        k: [1, "x", None, [], {}]
        for k in ("quotes", "records", "feeds", "gateways", "connections", "locks")},
    "rows of the right length": lambda q: {
        "quotes": [[1, 2, 3, 4]], "records": [[1, 2]], "connections": [[1, 2, 3, 4, 5]],
        "gateways": [{"name": 1, "http": 2}], "feeds": [{"name": 1, "silent_ms": "x"}],
        "locks": [b"\xff"], "total": "many", "next": "x"},
    "text that is not text": lambda q: {
        "version": b"\xff\xfe", "gateways": [{"name": b"\xff\x00\"", "http": b"\n"}],
        "connections": [[b"\xff", b"\xff", 1, 1, b"\xff"]], "feeds": [{"name": b"\xff\""}],
        "quotes": [["x y\"", 1, "\"live", b"\xc1"]]},
    "numbers at the edge": lambda q: {
        "epoch": 2**64 - 1, "seq": 2**64 - 1, "total": 2**64 - 1, "next": 2**64 - 1,
        "first": 2**64 - 1, "head": 2**64 - 1, "upto": 0, "started": 2**64 - 1, "records": [],
        "quotes": [], "feeds": [{"name": "f", "silent_ms": 2**64 - 1}]},
}


PAGES = ("health", "websocket_status", "telegram_locks_status", "quotes", "quotes/X", "ready",
         "live", "websocket_check")


def pages(gateway):
    """All of them at once, because some wait for an answer that never comes."""
    with concurrent.futures.ThreadPoolExecutor(len(PAGES)) as pool:
        return dict(zip(PAGES, pool.map(lambda p: gateway.get("/cotizaciones/" + p), PAGES)))


@pytest.mark.parametrize("kind", [k for k in ODD_ANSWERS if k != "nothing at all"])
def test_odd_answers_of_a_broker_make_no_page_hang_or_lie_about_its_form(stage, kind):
    fake = FakeBroker(stage)
    gateway = stage.gateway(fake)
    observer = stage.client(gateway, "?symbols=X")
    observer.hears("ack")
    fake.answers.update(
        {op: ODD_ANSWERS[kind] for op in ("status", "connections", "locks", "snapshot", "replay")})
    try:
        for page, answer in pages(gateway).items():
            assert answer.status in (200, 404, 503), page
            answer.json()
        joining = stage.client(gateway, "?symbols=Y*")
        assert joining.hears("welcome")
    finally:
        fake.answers.clear()
    fake.quote("Y1", last="1")
    joining.hears(("snapshot", "quote"), symbol="Y1")
    check_served(gateway, observer)


def test_a_broker_that_never_answers_costs_no_page_more_than_its_wait(stage):
    fake = FakeBroker(stage)
    gateway = stage.gateway(fake, heartbeat=1)
    observer = stage.client(gateway, "?symbols=X")
    observer.hears("ack")
    for op in ("status", "connections", "locks", "snapshot"):
        fake.answers[op] = ODD_ANSWERS["nothing at all"]
    told = pages(gateway)
    health, locks = told["health"], told["telegram_locks_status"]
    assert (health.status, health.json()["broker"]["status"]) == (503, "away")
    assert (locks.status, locks.json()["status"]) == (503, "unknown")
    assert told["websocket_status"].json()["complete"] is False
    assert told["quotes"].json()["complete"] is False
    assert told["quotes/X"].code == "broker_away"
    assert told["ready"].status == 200
    fake.quote("X", last="1")
    observer.hears("quote", last="1")
    check_served(gateway, observer)
