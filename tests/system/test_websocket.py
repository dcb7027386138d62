"""Frames as RFC 6455 has them: the cases of the public conformance suites that apply here.

The client is a socket and frames made by hand. A message is a valid request or not JSON: either way
it gets exactly one answer, so the answers show what the gateway received. """

import json
import random
import struct

import pytest

import pregon
from pregon import BINARY, CLOSE, PING, PONG, TEXT, frame_bytes

CONTINUATION = 0
LIMIT = 65536  # WS_MAX_SIZE


def request(n, **members):
    return json.dumps({"op": "ping", "id": n, **members}).encode()


def spaced(n, size):
    """A request of exactly that many bytes."""
    return request(n).ljust(size)


def bye(code=None, reason=b""):
    return frame_bytes(CLOSE, (struct.pack(">H", code) if code else b"") + reason)


def gateway_of(system):
    if not system.processes:
        system.start(heartbeat=3600, websocket_max_connections=1000, ws_max_size=LIMIT)
    return system.processes[1]


def connected(system):
    client = system.raw_client(gateway_of(system), "?symbols=")
    client.receive("welcome")
    return client


def short(opcode, payload):
    """A frame that came, as the tests write it."""
    if opcode == PONG:
        return "pong", payload
    if opcode == CLOSE:
        return "close", struct.unpack_from(">H", payload)[0] if len(payload) > 1 else 1005
    message = json.loads(payload)
    return message["type"], message.get("id")


def answers(client, count=None):
    """This many frames, or all until the connection ends."""
    seen = []
    try:
        while count is None or len(seen) < count:
            seen.append(short(*client.frame()))
            if seen[-1][0] == "close" and count is None:
                client.socket.shutdown(1)
    except (EOFError, ConnectionError):
        if count is not None:
            raise
    return seen


def pieces(data, size):
    return [data[i:i + size] for i in range(0, len(data), size)]


# --- what is right ----------------------------------------------------------------------------

SIZES = [0, 125, 126, 127, 128, 65535, 65536]


@pytest.mark.parametrize("chop", [None, 1, 997])
@pytest.mark.parametrize("size", SIZES)
def test_a_message_of_every_size_is_received_however_it_arrives(shared_system, size, chop):
    client = connected(shared_system)
    payload = spaced(7, size) if size else b""
    frame = frame_bytes(TEXT, payload)
    if chop == 1:
        frame, rest = frame[:300], frame[300:]
        for byte in pieces(frame, 1):
            client.send_bytes(byte)
        client.send_bytes(rest)
    else:
        for piece in pieces(frame, chop or len(frame)):
            client.send_bytes(piece)
    assert answers(client, 1) == [("ack", 7) if size else ("error", None)]
    client.send_frame(BINARY, b"\x00\xff" * (size // 2))
    assert answers(client, 1) == [("error", None)]
    client.close()


@pytest.mark.parametrize("payload", [b"", b"Hello", bytes(range(256))[:125], b"\x00" * 125])
def test_a_ping_is_answered_with_its_own_payload(shared_system, payload):
    client = connected(shared_system)
    for byte in pieces(frame_bytes(PING, payload), 1):
        client.send_bytes(byte)
    assert answers(client, 1) == [("pong", payload)]
    client.close()


def test_an_unrequested_pong_is_not_answered(shared_system):
    client = connected(shared_system)
    client.send_bytes(frame_bytes(PONG) + frame_bytes(PONG, b"x") + frame_bytes(PING, b"y"))
    assert answers(client, 1) == [("pong", b"y")]
    client.close()


@pytest.mark.parametrize("seed", range(6))
def test_no_answer_overtakes_one_that_was_due_before_it_whatever_arrives_at_once(
    shared_system, seed
):
    dice = random.Random(seed)
    client = connected(shared_system)
    sent, wanted = b"", []
    for n in range(200):
        kind = dice.choice("pingmessagefragments")
        if kind in "ping":
            sent += frame_bytes(PING, str(n).encode())
            wanted.append(("pong", str(n).encode()))
        elif kind in "fragments":
            parts = pieces(request(n), dice.randrange(1, 30))
            for i, part in enumerate(parts):
                sent += frame_bytes(CONTINUATION if i else TEXT, part, fin=i == len(parts) - 1)
                if i < len(parts) - 1 and dice.random() < 0.3:
                    sent += frame_bytes(PING, f"{n}.{i}".encode())
                    wanted.append(("pong", f"{n}.{i}".encode()))
            wanted.append(("ack", n))
        else:
            sent += frame_bytes(TEXT, request(n))
            wanted.append(("ack", n))
    while sent:
        size = dice.choice((1, 100, 5000, len(sent)))
        client.send_bytes(sent[:size])
        sent = sent[size:]
    got = answers(client, len(wanted))
    for kind in ("ack", "pong"):
        assert [a for a in got if a[0] == kind] == [
            a for a in wanted if a[0] == kind
        ], f"seed {seed}"
    for at, answer in enumerate(
        got
    ):  # a pong may be early: messages wait for each other, it does not
        if answer[0] == "pong":
            due = wanted[:wanted.index(answer)]
            assert all(
                a in due for a in got[:at] if a[0] == "ack"
            ), f"seed {seed}: {answer} is late"
    client.close()


def test_a_pong_leaves_before_the_answer_to_a_later_message(shared_system):
    client = connected(shared_system)
    client.send_bytes(frame_bytes(PING, b"first") + frame_bytes(TEXT, request(1)) +
                      frame_bytes(PING, b"second") + frame_bytes(TEXT, b"no JSON") + bye(1000))
    assert answers(client) == [("pong", b"first"), ("ack", 1), ("pong", b"second"), ("error", None),
                               ("close", 1000)]
    client.close()


def test_messages_before_a_bad_frame_are_answered(shared_system):
    client = connected(shared_system)
    client.send_bytes(frame_bytes(PING, b"x") + frame_bytes(TEXT, request(1)) + frame_bytes(3))
    assert answers(client) == [("pong", b"x"), ("ack", 1), ("close", 1002)]
    client.close()


def test_nothing_is_answered_behind_a_close_frame(shared_system):
    client = connected(shared_system)
    noise = frame_bytes(TEXT, b"{") * 200  # more errors than are allowed
    client.send_bytes(noise + frame_bytes(PING, b"x") + frame_bytes(3) + bye(1000))
    kinds = [kind for kind, _ in answers(client)]
    assert kinds[-1] == "close" and kinds.count("close") == 1
    client.close()
    client = connected(shared_system)
    client.send_bytes(
        bye(1000) + frame_bytes(PING, b"x") + frame_bytes(TEXT, request(1)) + bye(1000)
    )
    assert answers(client) == [("close", 1000)]
    client.close()


# --- fragments --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 8, 20])
def test_fragments_are_one_message(shared_system, size):
    client = connected(shared_system)
    parts = pieces(request(3, text="κόσμε 😀"), size)
    for i, part in enumerate(parts):
        client.send_frame(CONTINUATION if i else TEXT, part, fin=i == len(parts) - 1)
        client.send_frame(CONTINUATION, b"", fin=False) if i < len(parts) - 1 else None
    assert answers(client, 1) == [("ack", 3)]
    client.close()


def test_a_message_may_begin_and_end_with_empty_fragments(shared_system):
    client = connected(shared_system)
    for parts in ([b"", request(1)], [request(1), b""], [b"", b"", request(1), b""]):
        for i, part in enumerate(parts):
            client.send_frame(CONTINUATION if i else TEXT, part, fin=i == len(parts) - 1)
        assert answers(client, 1) == [("ack", 1)]
    client.send_frame(TEXT, b"", fin=False)
    client.send_frame(CONTINUATION, b"", fin=True)
    assert answers(client, 1) == [("error", None)]
    client.close()


WRONG_ORDER = {
    "a continuation of nothing": frame_bytes(CONTINUATION, b"x"),
    "a continuation of nothing, unfinished": frame_bytes(CONTINUATION, b"x", fin=False),
    "a continuation after a whole message": frame_bytes(TEXT, request(1))
    + frame_bytes(CONTINUATION, b"x"),
    "text within fragments": frame_bytes(TEXT, b"{", fin=False) + frame_bytes(TEXT, b"}"),
    "binary within fragments of text": frame_bytes(TEXT, b"{", fin=False)
    + frame_bytes(BINARY, b"}"),
    "fragments twice begun": frame_bytes(TEXT, b"{", fin=False)
    + frame_bytes(TEXT, b"}", fin=False),
    "a ping in fragments": frame_bytes(PING, b"x", fin=False) + frame_bytes(CONTINUATION, b"x"),
    "a pong in fragments": frame_bytes(PONG, b"x", fin=False),
    "a close in fragments": frame_bytes(CLOSE, b"\x03\xe8", fin=False),
}


@pytest.mark.parametrize("case", WRONG_ORDER)
def test_fragments_in_a_wrong_order_are_a_protocol_error(shared_system, case):
    client = connected(shared_system)
    client.send_bytes(WRONG_ORDER[case])
    assert answers(client)[-1] == ("close", 1002)
    client.close()


# --- reserved bits and opcodes, masks, lengths ------------------------------------------------


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, PONG, CLOSE])
def test_reserved_bits_are_a_protocol_error(shared_system, opcode, rsv):
    client = connected(shared_system)
    payload = struct.pack(">H", 1000) if opcode == CLOSE else request(1)
    client.send_bytes(frame_bytes(TEXT, request(5)) + frame_bytes(opcode, payload, rsv=rsv) +
                      frame_bytes(PING, b"late"))
    assert answers(client) == [("ack", 5), ("close", 1002)]
    client.close()


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("payload", [b"", b"x"])
def test_a_reserved_opcode_is_a_protocol_error(shared_system, opcode, payload):
    client = connected(shared_system)
    client.send_bytes(
        frame_bytes(TEXT, request(5)) + frame_bytes(opcode, payload) + frame_bytes(PING)
    )
    assert answers(client) == [("ack", 5), ("close", 1002)]
    client.close()


@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, PONG, CLOSE])
def test_a_frame_without_a_mask_is_a_protocol_error(shared_system, opcode):
    client = connected(shared_system)
    payload = struct.pack(">H", 1000) if opcode == CLOSE else b"x"
    client.send_frame(opcode, payload, masked=False)
    assert answers(client) == [("close", 1002)]
    client.close()


def test_frames_of_the_gateway_have_no_mask(shared_system):
    client = connected(shared_system)
    client.send_frame(TEXT, request(1))
    client._need(2)
    assert client.buffer[0] == 0x81 and not client.buffer[1] & 0x80
    client.close()


@pytest.mark.parametrize("frame", [
    b"\x81\xfe\x00\x7d\x01\x02\x03\x04" + b"x" * 125,  # 125 in 16 bits
    b"\x81\xff" + struct.pack(">Q", 65535) + b"\x01\x02\x03\x04",  # 65,535 in 64
    b"\x81\xff" + struct.pack(">Q", 1 << 63) + b"\x01\x02\x03\x04",
    b"\x89\xfe\x00\x7e\x01\x02\x03\x04" + b"x" * 126,  # a ping of 126
    b"\x88\xfe\x00\x80\x01\x02\x03\x04" + b"x" * 128,
], ids=["16 bits", "64 bits", "negative", "ping", "close"])
def test_a_length_written_wrongly_ends_the_connection(shared_system, frame):
    client = connected(shared_system)
    client.send_bytes(frame)
    assert answers(client)[-1] in (("close", 1002), ("close", 1009))
    client.close()


@pytest.mark.parametrize("frames", [
    frame_bytes(TEXT, declared=LIMIT + 1), frame_bytes(BINARY, declared=1 << 40),
    frame_bytes(TEXT, b" " * LIMIT, fin=False) + frame_bytes(CONTINUATION, b" "),
    b"".join(frame_bytes(CONTINUATION if i else TEXT, b" " * 1000, fin=False) for i in range(66)),
], ids=["one", "huge", "two", "many"])
def test_a_message_over_the_limit_is_closed_with_1009(shared_system, frames):
    client = connected(shared_system)
    client.send_bytes(frames)
    assert answers(client) == [("close", 1009)]
    client.close()


# --- UTF-8 ------------------------------------------------------------------------------------

GOOD_TEXT = [
    b"\x00",
    b"\x7f",
    b"\xc2\x80",
    b"\xdf\xbf",
    b"\xe0\xa0\x80",
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    b"\xef\xbf\xbf",
    b"\xf0\x90\x80\x80",
    b"\xf4\x8f\xbf\xbf",
    "κόσμε".encode(),
    "\ufdd0\ufffe".encode(),
]
BAD_TEXT = [
    b"\x80",
    b"\xbf",
    b"\xc0\x80",
    b"\xc0\xaf",
    b"\xc1\xbf",
    b"\xc2",
    b"\xc2\x20",
    b"\xdf",
    b"\xe0\x80\xaf",
    b"\xe0\x9f\xbf",
    b"\xe1\x80",
    b"\xe1\x80\x20",
    b"\xed\xa0\x80",
    b"\xed\xad\xbf\xed\xb0\x80",
    b"\xed\xbf\xbf",
    b"\xf0\x80\x80\xaf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf0\x90\x80",
    b"\xf1\x80\x80\x20",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xfe",
    b"\xff",
    b"\xfe\xff",
]


def test_text_that_is_utf_8_is_received_whole_and_in_pieces(shared_system):
    client = connected(shared_system)
    for text in GOOD_TEXT:
        client.send_frame(TEXT, text)
        for i, byte in enumerate(pieces(text, 1)):
            client.send_frame(CONTINUATION if i else TEXT, byte, fin=False)
        client.send_frame(CONTINUATION, b"")
    assert answers(client, 2 * len(GOOD_TEXT)) == [("error", None)] * (2 * len(GOOD_TEXT))
    client.close()


@pytest.mark.parametrize("text", BAD_TEXT, ids=bytes.hex)
def test_text_that_is_not_utf_8_is_closed_with_1007(shared_system, text):
    for frames in (
        [frame_bytes(TEXT, b"ok " + text)],
        [
            (
                frame_bytes(TEXT, byte, fin=False)
                if i == 0
                else frame_bytes(CONTINUATION, byte, fin=False)
            )
            for i, byte in enumerate(pieces(text, 1))
        ]
        + [frame_bytes(CONTINUATION, b"")],
    ):
        client = connected(shared_system)
        client.send_bytes(b"".join(frames))
        assert answers(client) == [("close", 1007)]
        client.close()


@pytest.mark.parametrize("how", ["between fragments", "within a frame"])
def test_text_is_closed_as_soon_as_it_cannot_become_utf_8(shared_system, how):
    client = connected(shared_system)
    if how == "between fragments":
        client.send_frame(TEXT, "κόσμε".encode(), fin=False)
        client.send_frame(CONTINUATION, b"\xf4\x90", fin=False)
    else:
        client.send_bytes(frame_bytes(TEXT, b"x" * 20 + b"\xff", declared=1000))
    assert answers(client) == [("close", 1007)]  # and nothing more was sent
    client.close()


def test_a_character_may_lie_on_both_sides_of_a_ping(shared_system):
    client = connected(shared_system)
    text = request(4, text="€")
    at = text.index(b"\\u20ac") if b"\\u20ac" in text else len(text) // 2
    whole = text[:at] + "€😀".encode() + text[at + 6:]
    for i, byte in enumerate(pieces(whole, 1)):
        client.send_frame(CONTINUATION if i else TEXT, byte, fin=i == len(whole) - 1)
        if i < len(whole) - 1:
            client.send_frame(PING, b"")
    assert answers(client, len(whole)) == [("pong", b"")] * (len(whole) - 1) + [("ack", 4)]
    client.close()


def test_binary_may_be_any_bytes(shared_system):
    client = connected(shared_system)
    for text in BAD_TEXT:
        client.send_frame(BINARY, text)
    assert answers(client, len(BAD_TEXT)) == [("error", None)] * len(BAD_TEXT)
    client.close()


# --- close ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]
)
def test_a_close_is_answered_with_its_own_code(shared_system, code):
    for reason in (b"", "adiós".encode(), b"x" * 123):
        client = connected(shared_system)
        client.send_bytes(bye(code, reason))
        assert answers(client) == [("close", code)]
        client.close()


def test_a_close_without_a_code_is_answered_without_one(shared_system):
    client = connected(shared_system)
    client.send_bytes(bye())
    assert answers(client) == [("close", 1005)]
    client.close()


@pytest.mark.parametrize(
    "code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]
)
def test_a_reserved_close_code_is_a_protocol_error(shared_system, code):
    client = connected(shared_system)
    client.send_frame(CLOSE, struct.pack(">H", code))
    assert answers(client) == [("close", 1002)]
    client.close()


@pytest.mark.parametrize("payload, codes", [
    (b"\x03", (1002,)), (b"\x03\xe8" + b"x" * 124, (1002,)), (b"\x03\xe8\xff", (1007,)),
    (b"\x03\xe8" + b"\xce\xba\xed\xa0\x80", (1007,)),
])
def test_a_close_frame_that_is_none_is_an_error(shared_system, payload, codes):
    client = connected(shared_system)
    client.send_frame(CLOSE, payload)
    seen = answers(client)
    assert len(seen) == 1 and seen[0][0] == "close" and seen[0][1] in codes
    client.close()


def test_a_close_within_fragments_ends_the_connection(shared_system):
    client = connected(shared_system)
    client.send_bytes(
        frame_bytes(TEXT, b"{", fin=False) + bye(1001) + frame_bytes(CONTINUATION, b"}")
    )
    assert answers(client) == [("close", 1001)]
    client.close()


def test_after_all_this_the_gateway_serves_as_before(shared_system):
    gateway = gateway_of(shared_system)
    pregon.eventually(lambda: gateway.status()["active_connections"], lambda n: n == 0)
    client = shared_system.client(gateway, "?symbols=")
    assert client.request("ping")["type"] == "ack"
