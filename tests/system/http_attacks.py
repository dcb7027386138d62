"""Hostile HTTP peers: each class holds many connections in one bad way, from start() to stop().

All are bounded: a number of sockets in one process, no thread, and only the data that tick() sends.
"""

import random
import socket

import pregon

HALF = b"GET /cotizaciones/live HTTP/1.1\r\nHost: x\r\nX: "
PAGE = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"


class Attack:
    """`count` connections to an address; tick() continues the attack."""

    receive_buffer = None
    first = b""

    def __init__(self, address, count, seed=0):
        self.address, self.count = address, count
        self.dice = random.Random(seed)
        self.sockets = []

    def start(self):
        for _ in range(self.count):
            self._open()
        return self

    def _open(self):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if self.receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        sock.settimeout(pregon.PATIENCE)
        sock.connect(self.address)
        sock.settimeout(0)
        self.sockets.append(sock)
        self._send(sock, self.opening())

    def opening(self):
        return self.first

    @staticmethod
    def _send(sock, data):
        try:
            sock.send(data)
        except OSError:  # refused, or its window is full
            pass

    def tick(self):
        """Send the next bytes; closed connections are opened again, ten at a time."""
        for _ in range(10):
            sock = self.dice.choice(self.sockets)
            try:
                if sock.recv(65536) == b"":
                    raise ConnectionError
            except BlockingIOError:
                continue
            except OSError:
                sock.close()
                self.sockets.remove(sock)
                self._open()

    def stop(self):
        for sock in self.sockets:
            sock.close()
        self.sockets = []


class HalfHeads(Attack):
    """Send half a request, a different half each, and wait."""

    def opening(self):
        return HALF[: self.dice.randrange(1, len(HALF) + 1)]


class Trickle(Attack):
    """A byte of a header now and then."""

    first = HALF

    def tick(self):
        for sock in self.sockets:
            self._send(sock, b"x")


class HalfBodies(Attack):
    """Announce a body and send half of it."""

    def __init__(self, *args, token="", **more):
        super().__init__(*args, **more)
        self.first = (f"PUT /cotizaciones/locks/attack HTTP/1.1\r\nHost: x\r\n"
                      f"Authorization: Bearer {token}\r\nContent-Length: 16000\r\n\r\n"
                      ).encode() + b" " * 8000


class Idle(Attack):
    """Request keep-alive, send a request and half of the next one, and wait."""

    first = b"GET /cotizaciones/live HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n" + HALF

    def tick(self):
        pass


class Deaf(Attack):
    """Request the largest route and read nothing."""

    receive_buffer = 2048
    first = PAGE

    def tick(self):
        pass
