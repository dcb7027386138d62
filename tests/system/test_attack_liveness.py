"""Peers that break their connection while the broker still has data for them; no other peer
notices.

On 8ba3ba6 each of them ended the broker through an assertion of libzmq: docs/adr/0013.
"""

import contextlib
import socket
import statistics
import struct
import time

import msgpack
import pytest

import pregon
from zmtp import GREETING, command, frame

MIB = 1024 * 1024
ROOM = MIB * (256 if pregon.IS_SANITIZED else 64)
RECORDS = 3000  # in the log, so that a replay takes a while
QUOTES = 150  # in a quiet window, and during the attack


HEARTBEAT = command(b"PING", bytes(2))


def open_dealer(address):
    host, port = address.removeprefix("tcp://").split(":")
    s = socket.create_connection((host, int(port)), pregon.PATIENCE)
    s.sendall(GREETING + command(b"READY", b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"))
    s.recv(len(GREETING), socket.MSG_WAITALL)
    return s


def replay(patterns):
    return msgpack.packb({"op": "replay", "id": 1, "after": 0, "pattern": ",".join(patterns)})


class ResettingAsker:
    """Sends `count` requests without reading an answer, then resets the connection."""

    def __init__(self, address, request, count, has_heartbeats=False):
        self.address, self.count = address, count
        self.data = frame(request) + (HEARTBEAT * 20 if has_heartbeats else b"")

    def attack(self):
        with contextlib.closing(open_dealer(self.address)) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            s.settimeout(0.2)  # of a broker that has stopped reading
            with contextlib.suppress(TimeoutError, ConnectionError):
                for _ in range(self.count):
                    s.sendall(self.data)


class Watcher:
    """A feeder and a client in mode all, and the delay of each quote between them."""

    def __init__(self, system, broker, gateway):
        self.feed = system.feed(broker, "good")
        self.client = system.client(gateway, "?symbols=GOOD&mode=all")
        self.client.receive("ack")
        self.sent = 0

    def delays(self, count):
        """The delays of `count` quotes in ms, sent one by one; fails if one is missing or out of
        order."""
        delays = []
        for _ in range(count):
            self.sent += 1
            begin = time.monotonic()
            self.feed.quote("GOOD", last=str(self.sent))
            got = self.client.receive(("quote", "snapshot"))
            delays.append((time.monotonic() - begin) * 1e3)
            assert got["last"] == str(self.sent)
        return delays


def p99(delays):
    return statistics.quantiles(delays, n=100)[-1]


ATTACKS = {
    "costly requests": dict(patterns=25, count=10000),
    "costly requests of a peer with heartbeats": dict(
        patterns=25, count=10000, has_heartbeats=True
    ),
    "small requests of a peer with heartbeats": dict(patterns=1, count=20000, has_heartbeats=True),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_peer_that_floods_requests_and_resets_ends_only_its_own_connection(
        system, attack):
    how = dict(ATTACKS[attack])
    broker, gateway = system.start(heartbeat=1)
    watcher = Watcher(system, broker, gateway)
    past = system.feed(broker, "past")
    for n in range(RECORDS):
        past.quote(f"P{n % 100}", last=str(n))
    past.wait_processed()
    quiet = watcher.delays(QUOTES)
    before = broker.rss()
    patterns = [f"S{n:04}" for n in range(how.pop("patterns"))]
    asker = ResettingAsker(broker.ready["control"], replay(patterns), **how)

    for _ in range(2):
        asker.attack()
        watcher.client.receive("heartbeat")  # a second

    busy = watcher.delays(QUOTES)
    assert broker.is_running and gateway.is_running
    assert broker.rss() - before < ROOM
    print(
        f"{attack}: p99 {p99(quiet):.2f} ms in a quiet window, {p99(busy):.2f} ms after the attack"
    )
