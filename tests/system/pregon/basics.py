"""Where everything is, how long a test waits, and how it waits."""

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
SANITIZER = re.compile(r"ERROR: \w*Sanitizer|runtime error:|WARNING: ThreadSanitizer")

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Lost(AssertionError):
    """What a test waited for did not come."""


def eventually(look, until=bool, what="it", patience=None):
    """Look again and again until what is seen is right; returns it."""
    deadline = time.monotonic() + (patience or PATIENCE)
    pause = threading.Event()
    while True:
        seen = look()
        if until(seen):
            return seen
        if time.monotonic() > deadline:
            raise Lost(f"{what} did not come true; last seen: {str(seen)[:2000]}")
        pause.wait(POLL)


def free_address():
    """An address on loopback where nobody listens."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return f"tcp://127.0.0.1:{s.getsockname()[1]}"
