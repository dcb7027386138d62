"""Peers that hold HTTP connections in bad ways, beside a client and a monitor that behave."""

import socket
import time

import http_attacks
import metrics
import pytest

import pregon

SECRET = "locksmith"
MIB = 1024 * 1024
ROOM = MIB * (256 if pregon.IS_SANITIZED else 48)
QUOTES = 200


class Watch:
    """A client in mode all, which must get every quote, and the delay of each quote."""

    def __init__(self, system, broker, gateway):
        self.feed = system.feed(broker)
        self.client = system.client(gateway, "?symbols=X&mode=all")
        self.client.receive("ack")
        self.system, self.gateway, self.n = system, gateway, 0

    def quotes(self, count, between=lambda: None):
        took = []
        for _ in range(count):
            self.n += 1
            began = time.perf_counter()
            self.feed.quote("X", last="1", n=self.n)
            heard = self.client.receive("quote")
            took.append(time.perf_counter() - began)
            assert heard["n"] == self.n  # complete, in order
            between()
        return sorted(took)

    def served(self):
        """How long a page, a probe and a handshake took."""
        took = []
        for path in ("/cotizaciones/live", "/cotizaciones/ready"):
            began = time.perf_counter()
            assert self.gateway.get(path).status == 200
            took.append(time.perf_counter() - began)
        began = time.perf_counter()
        client = self.system.raw_client(self.gateway, "?symbols=NOTHING")
        took.append(time.perf_counter() - began)
        client.close()
        return took


def p99(took):
    return 1000 * took[int(len(took) * 0.99) - 1]


ATTACKS = {
    "half heads": (http_attacks.HalfHeads, {}),
    "a byte now and then": (http_attacks.Trickle, {}),
    "half bodies": (http_attacks.HalfBodies, {"token": SECRET}),
    "keep-alive": (http_attacks.Idle, {}),
    "answers nobody reads": (http_attacks.Deaf, {}),
}


@pytest.mark.parametrize("kind", ATTACKS)
def test_peers_that_hold_connections_delay_no_other_peer(system, kind):
    broker, gateway = system.start(locks_token=SECRET, http_threads=4, http_max_connections=1200,
                                   http_max_per_address=1200)
    watch = Watch(system, broker, gateway)
    quiet = watch.quotes(QUOTES)
    before = gateway.rss()
    make, how = ATTACKS[kind]
    attack = make(gateway.address, 1000, **how).start()
    try:
        served = [t for _ in range(5) for t in watch.served()]
        attacked = watch.quotes(QUOTES, attack.tick)
        served += watch.served()
        assert gateway.rss() - before < ROOM
    finally:
        attack.stop()
    print(f"{kind}: p99 of a quote {p99(quiet):.2f} ms, attacked {p99(attacked):.2f} ms; "
          f"slowest page, probe or handshake {1000 * max(served):.0f} ms")


def test_when_all_places_are_taken_the_connection_that_has_waited_longest_is_closed(system):
    _, gateway = system.start(http_max_connections=16, http_threads=4)
    attack = http_attacks.HalfHeads(gateway.address, 100).start()
    for _ in range(10):
        assert gateway.get("/cotizaciones/live").status == 200
    system.raw_client(gateway).receive("welcome")
    attack.stop()


def test_a_connection_is_closed_for_another_one_only_if_that_one_waits(system):
    _, gateway = system.start(http_max_connections=16, http_threads=4)
    attack = http_attacks.HalfHeads(gateway.address, 16).start()
    for _ in range(3):  # the first one is the seventeenth connection, the others are the sixteenth
        with socket.create_connection(gateway.address, timeout=pregon.PATIENCE) as sock:
            sock.sendall(b"GET /cotizaciones/live HTTP/1.0\r\n\r\n")
            while sock.recv(4096):
                pass
    assert metrics.of(gateway)["pregon_http_heads_refused_total", "pushed_out"] == 1
    attack.stop()


def test_one_address_takes_its_share_only(system):
    _, gateway = system.start(http_max_per_address=8, http_threads=4)
    attack = http_attacks.HalfHeads(gateway.address, 40).start()
    assert gateway.get("/cotizaciones/live").status == 200

    def closed():
        count = 0
        for sock in attack.sockets:
            try:
                count += sock.recv(100) == b""
            except BlockingIOError:
                pass
            except OSError:
                count += 1
        return count

    pregon.eventually(closed, lambda n: n == 32, "the oldest of the address were closed")
    attack.stop()
