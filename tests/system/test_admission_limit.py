"""The limit of connections is exact, and a place is free again however a client leaves."""

import concurrent.futures

import pytest

import pregon
from handshakes import agree


def test_the_limit_is_reported_with_its_numbers(system):
    broker, gateway = system.start(websocket_max_connections=2)
    inside = [system.raw_client(gateway) for _ in range(2)]
    answer = agree(system, gateway, 503, "max_connections")
    assert "2 of 2" in answer.json()["error"]["message"]
    assert "WEBSOCKET_MAX_CONNECTIONS" in answer.json()["error"]["hint"]
    assert inside[0].receive("welcome")


def test_a_limit_of_zero_refuses_every_client(system):
    broker, gateway = system.start(websocket_max_connections=0)
    answer = agree(system, gateway, 503, "max_connections")
    assert answer.json()["error"]["message"] == "The limit of connections is 0: nobody is let in."


def burst(system, gateway, count):
    """Send this many handshakes at once; returns the answers."""

    def one(_):
        sock = pregon.connect(gateway)
        sock.sendall(pregon.handshake_bytes())
        return pregon.read_answer(sock)

    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(one, range(count)))
    for a in answers:
        if a.socket:
            system.peers.append(a.socket)
    return answers


def test_the_limit_is_exact_under_a_burst_of_handshakes(system):
    broker, gateway = system.start(websocket_max_connections=50, http_threads=16,
                                   log_level="error")
    answers = burst(system, gateway, 200)
    inside = [a for a in answers if a.status == 101]
    assert len(inside) == 50
    assert {a.status for a in answers} == {101, 503}
    for a in inside:
        a.socket.receive("welcome")
    status = gateway.status()
    assert status["active_connections"] == 50
    assert status["gateway"]["refusals"]["by_code"] == {"max_connections": 150}

    for a in inside:
        a.socket.reset()
    pregon.eventually(lambda: gateway.status()["active_connections"], lambda n: n == 0)
    assert sum(a.status == 101 for a in burst(system, gateway, 60)) == 50


WAYS_OUT = {
    "a clean close": lambda c: (c.send_frame(pregon.CLOSE, b"\x03\xe8"), c.wait_closed(),
                                c.close()),
    "FIN": lambda c: c.close(),
    "RST": lambda c: c.reset(),
    "a bad frame": lambda c: (c.send_frame(3, b"x"), c.wait_closed(), c.close()),
    "an unmasked frame": lambda c: (c.send_frame(pregon.TEXT, b"{}", masked=False), c.wait_closed(),
                                    c.close()),
    "a frame too large": lambda c: (c.send_frame(pregon.TEXT, b"", declared=2**40), c.wait_closed(),
                                    c.close()),
    "half a frame and FIN": lambda c: (c.send_bytes(b"\x81"), c.close()),
    "silence": lambda c: c.wait_closed(),
}


@pytest.mark.parametrize("way", WAYS_OUT)
def test_a_place_is_free_again_after(system, way):
    broker, gateway = system.start(websocket_max_connections=1,
                                   websocket_timeout=1 if way == "silence" else 30)
    client = system.raw_client(gateway)
    client.receive("welcome")
    assert system.handshake(gateway).code == "max_connections"
    WAYS_OUT[way](client)
    again = pregon.eventually(lambda: system.handshake(gateway), lambda a: a.status == 101,
                              "a place")
    again.socket.receive("welcome")
    assert system.handshake(gateway).code == "max_connections"
    pregon.eventually(lambda: gateway.status()["active_connections"], lambda n: n == 1)


@pytest.mark.parametrize(
    "leave",
    [
        # Their frames or their end may arrive before the gateway has sent the 101.
        lambda s: s.close(),
        lambda s: (s.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0"), s.close()),
        lambda s: (s.sendall(b"\x81\x80abcd" * 3), s.close()),
    ],
    ids=["FIN", "RST", "frames"],
)
def test_places_are_free_again_after_abandoned_handshakes(system, leave):
    broker, gateway = system.start(websocket_max_connections=5, log_level="error")
    for _ in range(200):
        sock = pregon.connect(gateway)
        sock.sendall(pregon.handshake_bytes())
        leave(sock)
    kept = []

    def fill():
        answer = system.handshake(gateway)
        if answer.status == 101:
            kept.append(answer.socket)
        return len(kept)

    pregon.eventually(fill, lambda n: n == 5, "all five places being free")
    assert system.handshake(gateway).code == "max_connections"
    for client in kept:
        client.receive("welcome")
    pregon.eventually(lambda: gateway.status()["active_connections"], lambda n: n == 5)


def test_frames_sent_with_the_handshake_are_answered_or_end_the_connection_with_1002(system):
    broker, gateway = system.start(websocket_max_connections=1000)
    for _ in range(20):
        sock = system.connect(gateway)
        frame = pregon.frame_bytes(pregon.TEXT, b'{"op":"ping","id":1}')
        sock.sendall(pregon.handshake_bytes(path=pregon.STREAM + "?symbols=X") + frame)
        client = pregon.read_answer(sock).socket
        try:
            assert client.receive("ack", op="ping")["id"] == 1
        except EOFError:
            assert client.close_code == 1002
