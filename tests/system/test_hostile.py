"""Frames that no correct client sends are refused by name, free their place, and harm no other
client."""

import struct
import threading

import pytest

from hostile import LIMIT, MIB, ROOM, check_calm, check_served, only, start
from pregon import BINARY, CLOSE, PING, PONG, TEXT, frame_bytes

CONTINUATION = 0

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
def test_a_bad_frame_is_closed_with_its_code_and_frees_its_place(shared_system, offence):
    gateway, observer = start(shared_system)
    data, codes = OFFENCES[offence]
    client = shared_system.raw_client(gateway, "?symbols=X")
    client.receive("ack")

    client.send_bytes(data)

    while client.close_code is None:
        client.frame()
    assert client.close_code in (codes if isinstance(codes, tuple) else (codes,))
    client.close()
    only(gateway, 1)
    check_served(gateway, observer)


def test_a_frame_too_large_is_refused_before_its_payload_is_sent(shared_system):
    gateway, observer = start(shared_system)
    client = shared_system.raw_client(gateway, "?symbols=X")
    client.receive("ack")
    for byte in frame_bytes(TEXT, declared=2**40):  # the header, one byte per write
        client.send_bytes(bytes([byte]))
    while client.close_code is None:
        client.frame()
    assert client.close_code == 1009
    assert client.reason == '{"code":"too_large","setting":"WS_MAX_SIZE"}'
    client.close()


def test_offenders_that_do_not_go_away_cost_no_processor_time(system):
    gateway, observer = start(system)
    for data, _ in OFFENCES.values():
        client = system.raw_client(gateway, "?symbols=X")
        client.receive("ack")
        client.send_bytes(data)  # and neither read on nor close
    check_calm(gateway, observer)
    only(gateway, 1)


def test_fragments_are_put_together_with_control_frames_between_them(shared_system):
    gateway, _ = start(shared_system)
    client = shared_system.raw_client(gateway, "?symbols=NOTHING")
    client.receive("ack")
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
    assert client.wait_closed() == 1000


def test_a_message_of_exactly_the_limit_is_accepted(shared_system):
    gateway, _ = start(shared_system)
    client = shared_system.raw_client(gateway, "?symbols=NOTHING")
    client.receive("ack")
    request = b'{"op":"ping","id":1}'
    client.send_frame(TEXT, request.ljust(LIMIT))
    client.receive("ack", id=1)
    client.send_frame(TEXT, request, fin=False)
    client.send_frame(CONTINUATION, b" " * (LIMIT - len(request)))
    client.receive("ack", id=1)
    client.close()


class Flood(threading.Thread):
    """Sends as much as the socket accepts and reads nothing, until it is stopped."""

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
def test_a_flood_of_requests_with_unread_answers_harms_no_other_peer(shared_system, kind):
    gateway, observer = start(shared_system)
    before = gateway.rss()
    flooder = shared_system.raw_client(gateway, "?symbols=NOTHING", receive_buffer=4096)
    flood = Flood(flooder, FLOODS[kind])
    try:
        for _ in range(50):
            check_served(gateway, observer)
            assert gateway.rss() - before < ROOM, f"after {flood.sent} bytes"
    finally:
        flood.stop()
    flooder.reset()
    only(gateway, 1)


def test_requests_of_a_client_that_does_not_read_wait_and_are_then_answered_in_order(system):
    broker, gateway = system.start(max_symbols=1100)
    observer = system.client(gateway, "?symbols=X")
    observer.receive("ack")
    patterns = [f"PATTERN-{i:04}-{'X' * 18}" for i in range(1000)]
    client = system.raw_client(gateway, "?symbols=X", receive_buffer=4096)
    client.receive("ack")
    for i in range(0, 1000, 100):
        client.send_message(op="subscribe", symbols=patterns[i : i + 100])
        client.receive("ack")
    before = gateway.rss()

    lists = 1500  # in a few bytes each, and 32 KB is the answer to one; all wait for the first
    client.send_bytes(frame_bytes(TEXT, b'{"op":"subscribe","symbols":["NEW"]}') + b"".join(
        frame_bytes(TEXT, b'{"op":"list","id":%d}' % i) for i in range(lists)))
    for _ in range(20):
        check_served(gateway, observer)
        assert gateway.rss() - before < ROOM
    assert client.receive("ack")["symbols"] == ["NEW"]
    for i in range(lists):
        assert client.receive("ack")["id"] == i


def test_a_client_that_flooded_and_stays_connected_costs_no_processor_time(system):
    gateway, observer = start(system)
    feed = system.feed(system.processes[0])
    before = gateway.rss()
    for frames in FLOODS.values():
        flooder = system.raw_client(gateway, "?symbols=NOTHING", receive_buffer=4096)
        flood = Flood(flooder, frames)
        try:
            for n in range(5):
                feed.quote("X", last="1", n=n)
                observer.receive("quote", n=n)
        finally:
            flood.stop()
    check_calm(gateway, observer)
    assert gateway.rss() - before < ROOM
