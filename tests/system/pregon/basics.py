"""Where everything is, how long a test waits, and how it waits."""

import collections
import os
import re
import socket
import threading
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))
BIN = os.environ.get("PREGON_BIN") or os.path.join(ROOT, "build", "release", "bin")
DATA = os.path.join(ROOT, "feeder", "data")

IS_SANITIZED = bool(re.search(r"address|thread|undefined|san\b", BIN))
PATIENCE = 15 * (5 if IS_SANITIZED else 1)  # seconds until a test counts as lost
POLL = 0.02  # seconds between two looks at a page

STREAM = "/ws/cotizaciones"
EVENTS = "/cotizaciones/events"
SANITIZER = re.compile(r"ERROR: \w*Sanitizer|runtime error:|WARNING: ThreadSanitizer")

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Lost(AssertionError):
    """A condition that a test waited for did not become true in time."""


def eventually(look, until=bool, what="it", patience=None):
    """Call `look` until its result satisfies `until`; returns the result."""
    deadline = time.monotonic() + (patience or PATIENCE)
    pause = threading.Event()
    while True:
        seen = look()
        if until(seen):
            return seen
        if time.monotonic() > deadline:
            raise Lost(f"{what} did not come true; last seen: {str(seen)[:2000]}")
        pause.wait(POLL)


RESERVED = collections.deque(maxlen=500)  # the sockets of free_port; the oldest are given up


def free_port():
    """A port on loopback that no program listens on and that the kernel gives to no other socket.

    A socket stays bound to the port and never listens.  A program may listen there, end, and
    listen again: no connection of another test gets the port in between.
    """
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.bind(("127.0.0.1", 0))
    if len(RESERVED) == RESERVED.maxlen:
        RESERVED.popleft().close()
    RESERVED.append(s)
    return s.getsockname()[1]


def free_address():
    """An address on loopback that no program listens on: see free_port."""
    return f"tcp://127.0.0.1:{free_port()}"
