"""A feeder that a test drives."""

import os
import secrets
import struct
import threading
import time

import msgpack
import zmq

from .basics import Lost, PATIENCE


class Feed:
    """A feeder after docs/protocol/wire.md, in a thread that keeps its name alive.

    A quote is sent as it is said; `received` tells how far the broker has come.  Lines are
    kept, and sent again when the broker asks.
    """

    HEARTBEAT = 0.25
    OPENING = 0.1
    SILENCE = 1.5

    def __init__(self, context, broker, name="feed", **hello):
        self.name = name
        self.broker = broker
        self.owner = secrets.token_hex(8)
        self.hello = {"allow_crossed": False, **hello}
        self.lines = []  # frames without epoch, by number - 1
        self.received = 0
        self.refused = []
        self.epoch = 0
        self.refusal = None
        self.is_open = False
        self.is_silent = False
        self.resent = 0
        self.changed = threading.Condition(threading.RLock())
        self.publisher = context.socket(zmq.PUB)
        self.publisher.linger = 0
        self.publisher.sndhwm = 0
        self.publisher.connect(broker.ready["ingest"])
        self.control = context.socket(zmq.DEALER)
        self.control.linger = 0
        self.control.connect(broker.ready["control"])
        self.has_ended = False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    # called by tests

    def wait_granted(self):
        with self.changed:
            if not self.changed.wait_for(lambda: self.is_open or self.refusal, PATIENCE):
                raise Lost(f"feed {self.name} was not let in")
        return self

    def quote(self, symbol, **fields):
        """Send a quote; returns its line."""
        fields.setdefault("timestamp", time.time())
        return self.line(symbol.encode() + b" ", fields)

    def line(self, topic, body):
        with self.changed:
            self.lines.append((topic, body))
            number = len(self.lines)
            if self.is_open:
                self._send_line(number)
        return number

    def wait_processed(self, line=None):
        """Wait until the broker has taken in all lines so far."""
        with self.changed:
            line = line or len(self.lines)
            if not self.changed.wait_for(lambda: self.received >= line, PATIENCE):
                raise Lost(f"feed {self.name}: {self.received} of {line} lines received")
        return self

    def refusals(self):
        """The refused lines that the broker has reported so far."""
        with self.changed:
            return list(self.refused)

    def fall_silent(self):
        """Send nothing more, like a process that hangs."""
        with self.changed:
            self.is_silent = True

    def goodbye(self):
        with self.changed:
            self.control.send(
                msgpack.packb({"op": "goodbye", "id": 99999, "epoch": self.epoch})
            )
            self.is_silent = True

    def raw(self, *frames):
        with self.changed:
            self.publisher.send_multipart(frames)

    def close(self):
        self.has_ended = True
        self.thread.join()
        self.publisher.close()
        self.control.close()

    # the thread

    def _send_line(self, number):
        topic, body = self.lines[number - 1]
        if isinstance(body, dict):
            body = msgpack.packb(body)
        now = int(time.time() * 1e6)
        head = struct.pack(
            ">BBBQBQBQBQBQ", 0x97, 1, 0xCF, self.epoch, 0xCF, number, 0xCF, 0, 0xCF, now, 0xCF, 0
        )
        self.publisher.send_multipart([topic, head + body])

    def _say_hello(self):
        self.control.send(
            msgpack.packb(
                {
                    "op": "hello",
                    "id": 1,
                    "role": "feeder",
                    "name": self.name,
                    "owner": self.owner,
                    "oldest": 1,
                    "newest": 1,
                    "acked": self.received,
                    "host": "test",
                    "pid": os.getpid(),
                    **self.hello,
                }
            )
        )

    def _heartbeat(self):
        last = len(self.lines) if self.is_open else self.received
        self.publisher.send_multipart(
            [b"!heartbeat ", msgpack.packb([4, self.epoch, last, 0, 0, 0, None])]
        )

    def _take(self, message):
        if message.get("re") == "hello":
            if "error" in message:
                self.refusal = message
                return
            self.refusal = None
            self.epoch = message["epoch"]
            self.received = message["received"]
        elif message.get("op") == "received" and message["epoch"] == self.epoch:
            self.received = max(self.received, message["line"])
            self.refused += message.get("refusals", [])
            self.heard_at = time.monotonic()
            if not self.is_open:
                self.is_open = True
                for number in range(self.received + 1, len(self.lines) + 1):
                    self._send_line(number)
        elif message.get("op") == "resend" and message["epoch"] == self.epoch:
            self.resent += 1
            for number in range(message["from"], len(self.lines) + 1):
                self._send_line(number)
        self.changed.notify_all()

    def _run(self):
        self.heard_at = time.monotonic()
        hello_at = beat_at = 0.0
        while not self.has_ended:
            if self.control.poll(10):
                with self.changed:
                    if not self.is_silent:
                        self._take(msgpack.unpackb(self.control.recv(), strict_map_key=False))
                    else:
                        self.control.recv()
            now = time.monotonic()
            with self.changed:
                if self.is_silent:
                    continue
                if self.epoch and now - self.heard_at > self.SILENCE:
                    self.epoch = 0
                    self.is_open = False
                if not self.epoch and now >= hello_at:
                    hello_at = now + 0.25
                    self.heard_at = now
                    self._say_hello()
                elif self.epoch and now >= beat_at:
                    beat_at = now + (self.HEARTBEAT if self.is_open else self.OPENING)
                    self._heartbeat()
